package api

import "time"

// SystemUser is who racker and the operators log in as on an installed node.
const SystemUser = "core"

// HostView is how a server is reached once it is installed: GET /v1/hosts, in the order of nodes.csv. It holds no secret.
type HostView struct {
	// Name is the node's; Names are what it is called, that first.
	Name  string   `json:"name"`
	Names []string `json:"names"`
	MAC   string   `json:"mac"` // of the primary NIC
	// Address is on the internal network.
	Address string `json:"address"`
	Type    string `json:"type,omitempty"`
	State   string `json:"state"`
	// User is whom to log in as.
	User string `json:"user"`
	// HostKey is the node's SSH host key, one line of authorized_keys form without a comment. It is empty while no system is
	// on the node that racker gave one.
	HostKey string `json:"host_key,omitempty"`
}

// KeyView tells of racker's own SSH key, by which it changes installed nodes: GET /v1/key. Private keys are in no answer.
type KeyView struct {
	Key         string    `json:"key"` // its line of authorized_keys
	Fingerprint string    `json:"fingerprint"`
	Made        time.Time `json:"made"`
	// Next is the key of a rotation that is not done yet.
	Next *KeyNext `json:"next,omitempty"`
}

// KeyNext is the key that takes over. The old one stays good on the nodes that are left.
type KeyNext struct {
	Key         string    `json:"key"`
	Fingerprint string    `json:"fingerprint"`
	Made        time.Time `json:"made"`
	Running     bool      `json:"running"` // the daemon is at it now
	Done        int       `json:"done"`    // nodes that have the new key and not the old one
	Left        []KeyLeft `json:"left"`
}

// KeyLeft is a node that still takes the old key.
type KeyLeft struct {
	Node string `json:"node"`
	Why  string `json:"why,omitempty"` // empty before it was tried
}

// KeyRotation is the answer to POST /v1/key/rotate.
type KeyRotation struct {
	Key  KeyView   `json:"key"`
	Done int       `json:"done"` // nodes that have the new key and not the old one
	Left []KeyLeft `json:"left"`
	Code int       `json:"code"` // 0, or 3 when nodes are left
}
