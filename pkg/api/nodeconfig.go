package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// NodeConfig is all that the cluster's folder declares of one node: PUT /v1/nodes/ID/config -> ConfigView. It holds no
// secret: host key, callback token and racker's own SSH key stay with the daemon, which adds them to the Ignition config.
type NodeConfig struct {
	// HostName is what the node calls itself, and what others reach it by.
	HostName string `json:"host_name"`
	// Image is the ID or name of the image that the node is to have; empty leaves it to the order that installs it.
	Image string `json:"image,omitempty"`
	// Butane is merged in this order over racker's own part: what racker made of the folder first, the operator's last.
	Butane []ButaneSource `json:"butane"`
	// Disk says which disk is the install disk. Its Remembered is the daemon's own and ignored here.
	Disk DiskRule `json:"disk"`
	// Wipe is one of the Wipe words; empty means WipeInstallDisk.
	Wipe string `json:"wipe,omitempty"`
	// WipeOldOS allows an install although an older system is on another disk of the node.
	WipeOldOS bool `json:"wipe_old_os,omitempty"`
	// WipeForeign allows an install although the install disk holds what no OS image of racker's put there.
	WipeForeign bool `json:"wipe_foreign,omitempty"`
	// KernelArgs are words for the installed system's kernel, where its image profile has a place for them.
	KernelArgs []string `json:"kernel_args,omitempty"`
	// Console is the installed system's console, such as ttyS1,57600n8; empty means what the firmware's SPCR table says.
	Console string `json:"console,omitempty"`
	// Labels are racker's own business, and change nothing on the node: "version" is the OS version that is wanted.
	Labels map[string]string `json:"labels,omitempty"`
}

// Digest names the config: lower-case hex SHA-256 of its JSON. The disk that racker remembers is no part of it.
func (c NodeConfig) Digest() (string, error) {
	c.Disk.Remembered = ""
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("digest of the config of %s: %w", c.HostName, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// ButaneSource is one Butane config with the name of the file that it is in.
type ButaneSource struct {
	Name   string `json:"name"` // for errors: cl/node-1-custom.yaml
	Butane string `json:"butane"`
}

// Words of NodeConfig.Wipe: what is erased beside the image's own range.
const (
	WipeInstallDisk = "install-disk" // the default
	WipeAll         = "all"          // signatures of every disk that could be an install disk
	WipeNone        = "none"         // an install disk that has anything on it is refused
)

// ConfigView is a node's config as the daemon keeps it: GET /v1/nodes/ID/config. Digests are lower-case hex SHA-256 of the
// NodeConfig as JSON.
type ConfigView struct {
	// Wanted was sent last; nil when there is none.
	Wanted       *NodeConfig `json:"wanted,omitempty"`
	WantedDigest string      `json:"wanted_digest,omitempty"`
	// Applied is what the node runs: put there by its install, or by a later apply. Nil when racker installed it without.
	Applied       *NodeConfig `json:"applied,omitempty"`
	AppliedDigest string      `json:"applied_digest,omitempty"`
	AppliedAt     time.Time   `json:"applied_at,omitzero"`
	// Attempted are configs that an apply began to put on the node and did not finish: any of their parts may be there.
	Attempted []NodeConfig `json:"attempted,omitempty"`
	// Staged is the digest of the config with which the node's next boot makes ROOT anew, whoever reboots it; empty when that is not
	// so. Another apply takes it back first.
	Staged string `json:"staged,omitempty"`
	// Unproved is set when the health command of the last apply did not succeed. An apply with none, or with one that succeeds, ends that.
	Unproved bool `json:"unproved,omitempty"`
	// HostKey is the node's SSH host key, one line of authorized_keys form; empty until racker made it.
	HostKey string `json:"host_key,omitempty"`
}

// Costs of a change, cheapest first.
const (
	CostNothing   = "nothing"
	CostLive      = "live"      // over SSH, without a reboot
	CostReboot    = "reboot"    // over SSH, and a reboot
	CostWipeRoot  = "wipe-root" // Ignition runs again at the next boot; ROOT is erased
	CostReinstall = "reinstall" // the install disk is erased
)

// ApplyOrder brings a node to a config that was sent before: POST /v1/nodes/ID/apply -> RunView. The daemon compares what
// is applied with what is wanted itself, and refuses a change that costs more than Cost. It is idempotent.
type ApplyOrder struct {
	Digest string `json:"digest"` // ConfigView.WantedDigest
	Cost   string `json:"cost"`   // the most that may be paid: CostLive, CostReboot, CostWipeRoot or CostReinstall
	// Wipe must be set for CostWipeRoot and CostReinstall: the operator named this node.
	Wipe bool `json:"wipe,omitempty"`
	// Health is a command for a shell of the node, run as root after the change until it succeeds, or the time for a boot is
	// over: then the run fails. Empty for none.
	Health string `json:"health,omitempty"`
	// Keep are absolute paths, as extended regular expressions, that survive CostWipeRoot on a system with flatcar-reset.
	Keep []string `json:"keep,omitempty"`
	// Erase is that of a RunRequest, and Shown the EraseRow.Digest of disks that the operator saw and confirmed, for
	// CostReinstall: without either, the run asks before it erases a disk.
	Erase string `json:"erase,omitempty"`
	Shown string `json:"shown,omitempty"`
}

// OSUpgrade updates the OS of a ready node: POST /v1/nodes/ID/os-upgrade -> RunView. The payload must be in the daemon's cache. The
// new version is put beside the running one, and booted; a node that runs it already is left alone.
type OSUpgrade struct {
	Version string `json:"version"`          // as 4593.2.5
	Health  string `json:"health,omitempty"` // as in an ApplyOrder
}
