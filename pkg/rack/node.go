package rack

import (
	"net/netip"
	"strings"
)

// Node is one row of nodes.csv: a server, or the management node.
type Node struct {
	// Name is the Name column, or the one that the address plan gave: node-1, node-2, ...
	Name      string `json:"name"`
	Primary   MAC    `json:"primary_mac"`
	BMC       MAC    `json:"bmc_mac,omitzero"`
	Secondary MAC    `json:"secondary_mac,omitzero"`
	Type      string `json:"type,omitempty"`
	Comment   string `json:"comment,omitempty"`

	// BMCAddress is set for a BMC that has an address of its own rather than a lease.
	BMCAddress netip.Addr `json:"bmc_address,omitzero"`
	Serial     string     `json:"serial,omitempty"`
	// Disk names the install disk: a WWN, a serial or a /dev/disk/by-path name; empty means by rule.
	Disk            string `json:"disk,omitempty"`
	Location        string `json:"location,omitempty"`
	Asset           string `json:"asset,omitempty"`
	BMCUser         string `json:"bmc_user,omitempty"`
	BMCPasswordFile string `json:"bmc_password_file,omitempty"`

	// Line is the line of nodes.csv, counted from 1.
	Line int `json:"line"`
	// Management marks the row of the machine that racker runs on; no order touches it.
	Management bool `json:"management,omitempty"`
}

// Where names the node and where it stands, for a person who walks there: "node-7 (U17, serial ABC)".
func (n *Node) Where() string {
	name := n.Name
	if name == "" {
		name = n.Primary.String()
	}
	var at []string
	if n.Location != "" {
		at = append(at, n.Location)
	}
	if n.Serial != "" {
		at = append(at, "serial "+n.Serial)
	}
	if len(at) == 0 {
		return name
	}
	return name + " (" + strings.Join(at, ", ") + ")"
}

// Rack is what nodes.csv says.
type Rack struct {
	Nodes []Node `json:"nodes"`
}

// Management gives the management node's row, or nil when none was found.
func (r *Rack) Management() *Node {
	for i := range r.Nodes {
		if r.Nodes[i].Management {
			return &r.Nodes[i]
		}
	}
	return nil
}

// Servers gives every row but the management node's, in the order of the file.
func (r *Rack) Servers() []*Node {
	var out []*Node
	for i := range r.Nodes {
		if !r.Nodes[i].Management {
			out = append(out, &r.Nodes[i])
		}
	}
	return out
}

// Find names a node by its name, primary, secondary or BMC MAC, address of its BMC, or serial; nil when
// nothing or more than one row fits. Leased addresses are the caller's to resolve first.
func (r *Rack) Find(word string) *Node {
	mac, _ := ParseMAC(word)
	var found *Node
	for i := range r.Nodes {
		n := &r.Nodes[i]
		fits := strings.EqualFold(n.Name, word) || (n.Serial != "" && strings.EqualFold(n.Serial, word)) ||
			(n.BMCAddress.IsValid() && n.BMCAddress.String() == word) ||
			(!mac.IsZero() && (mac == n.Primary || mac == n.BMC || mac == n.Secondary))
		if fits && found != nil {
			return nil
		}
		if fits {
			found = n
		}
	}
	return found
}
