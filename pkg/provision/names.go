package provision

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/rack"
)

// labelAddresses is the label of a config with the static public addresses of its node, separated by blanks.
const labelAddresses = "addresses"

// names are those by which the nodes of the cluster find each other, as they were declared last. They are live: no node's config
// has those of others, so that a new node changes nothing of the old ones.
type names struct {
	changed signal
	mu      sync.Mutex
	by      map[rack.MAC]nodeName
}

type nodeName struct {
	Host      string       `json:"host"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// nameOf is what a config calls its node. An address that is none is left out: nothing depends on it but a line in a file.
func nameOf(c *api.NodeConfig) nodeName {
	n := nodeName{Host: c.HostName}
	for _, word := range strings.Fields(c.Labels[labelAddresses]) {
		if a, err := netip.ParseAddr(word); err == nil {
			n.Addresses = append(n.Addresses, a)
		}
	}
	return n
}

// set takes what a node is called by now; a zero name forgets it.
func (n *names) set(mac rack.MAC, name nodeName) {
	n.mu.Lock()
	if n.by == nil {
		n.by = map[rack.MAC]nodeName{}
	}
	before := n.by[mac]
	if n.by[mac] = name; name.Host == "" {
		delete(n.by, mac)
	}
	n.mu.Unlock()
	if before.Host != name.Host || !slices.Equal(before.Addresses, name.Addresses) {
		n.changed.fire()
	}
}

// move takes a name over to another MAC.
func (n *names) move(from, to rack.MAC) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, ok := n.by[from]; ok {
		delete(n.by, from)
		n.by[to] = name
	}
}

// loadNames reads what all nodes are called.
func (m *Machine) loadNames(ctx context.Context) error {
	kvs, err := m.store.List(ctx, wantedKeys)
	if err != nil {
		return fmt.Errorf("load the names of nodes: %w", err)
	}
	for _, kv := range kvs {
		var mac rack.MAC
		var w wanted
		if err := mac.UnmarshalText([]byte(strings.TrimPrefix(kv.Key, wantedKeys))); err != nil {
			return fmt.Errorf("state of %s: %w", kv.Key, err)
		}
		if err := json.Unmarshal(kv.Value, &w); err != nil {
			return fmt.Errorf("state of %s: %w", kv.Key, err)
		}
		m.hostNames.set(mac, w.Name)
	}
	return nil
}

// clusterHosts gives the names of all nodes as lines of /etc/hosts, and what tells one such text from another; both are empty
// while no node has an address that others could know.
func (m *Machine) clusterHosts() (text []byte, digest string) {
	servers := m.inForce().servers
	m.hostNames.mu.Lock()
	defer m.hostNames.mu.Unlock()
	var out strings.Builder
	macs := slices.SortedFunc(maps.Keys(m.hostNames.by), func(a, b rack.MAC) int {
		return cmp.Or(cmp.Compare(m.hostNames.by[a].Host, m.hostNames.by[b].Host), cmp.Compare(a.String(), b.String()))
	})
	for _, mac := range macs {
		if servers[mac] == nil {
			continue // its row went
		}
		for _, a := range m.hostNames.by[mac].Addresses {
			out.WriteString(ignite.HostLine(a, m.hostNames.by[mac].Host))
		}
	}
	if out.Len() == 0 {
		return nil, ""
	}
	sum := sha256.Sum256([]byte(out.String()))
	return []byte(out.String()), hex.EncodeToString(sum[:8])
}
