package cluster

import (
	"net/netip"

	"github.com/racker-project/racker/pkg/rack"
)

// Site is the rack that a file is resolved with.
type Site struct {
	// Network is the rack-internal network, and Server the management node's address on it.
	Network netip.Prefix
	Server  netip.Addr
	// Ports are those of racker that nodes need: HTTP, HTTPS.
	Ports []int
	// Nodes are the rows of nodes.csv, without the management node's.
	Nodes []SiteNode
	// Management is the management node's row; nil when it is not known.
	Management *SiteNode
}

// SiteNode is one row, with what racker knows of the machine.
type SiteNode struct {
	Name      string
	Type      string
	Primary   rack.MAC
	Secondary rack.MAC // zero for none
	BMC       rack.MAC
	Address   netip.Addr // on the internal network
	Where     string     // name and place, for errors
	// NICs are those of the last inventory; empty when there was none.
	NICs []rack.MAC
}

// owner gives the row that a MAC belongs to; nil for none.
func (s *Site) owner(mac rack.MAC) *SiteNode {
	for i := range s.Nodes {
		if s.Nodes[i].has(mac) || s.Nodes[i].BMC == mac {
			return &s.Nodes[i]
		}
	}
	if m := s.Management; m != nil && (m.has(mac) || m.BMC == mac) {
		return m
	}
	return nil
}

// has reports whether a NIC is known to be the node's.
func (n *SiteNode) has(mac rack.MAC) bool {
	if mac == n.Primary || mac == n.Secondary {
		return !mac.IsZero()
	}
	for _, nic := range n.NICs {
		if nic == mac {
			return true
		}
	}
	return false
}
