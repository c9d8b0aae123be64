package fleet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
)

const (
	// MaxServers is how many servers a fleet may have: as many as a /16 has fixed addresses for.
	MaxServers = 16000
	// defaultServers is how many there are when nobody says.
	defaultServers = 3
	// leasedMost is up to how many servers BMCs are leased by default: half of what the kernel's neighbour table holds at
	// first (gc_thresh2, 512), with one entry for a server and one for its BMC.
	leasedMost = 250
)

// layout is how a fleet's networks are laid out.
type layout struct {
	prefix netip.Prefix
	// bmcs is the BMCs' own network; not valid when they are leased.
	bmcs netip.Prefix
}

// layout chooses networks for a number of servers.
func (s Settings) layout(servers int) (layout, error) {
	l := layout{prefix: s.Prefix}
	if s.BMC == BMCStatic || s.BMC == "" && servers > leasedMost {
		l.bmcs = s.BMCNetwork
		if !l.bmcs.IsValid() {
			l.bmcs = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, 0, 0}), 16)
		}
		if !l.bmcs.Addr().Is4() || 1<<(32-l.bmcs.Bits())-2 <= servers {
			return l, fmt.Errorf("fleet settings: bmc_network %s has no room for %d BMCs", l.bmcs, servers)
		}
	}
	fixed := 1 + servers // the management node's first
	if !l.bmcs.IsValid() {
		fixed += servers
	}
	if !l.prefix.IsValid() {
		l.prefix = netip.MustParsePrefix(sim.DefaultPrefix)
		for l.prefix.Bits() > rack.MinPrefixBits && 1<<(31-l.prefix.Bits()) <= fixed {
			l.prefix = netip.PrefixFrom(l.prefix.Addr(), l.prefix.Bits()-1).Masked()
		}
	}
	if !l.prefix.Addr().Is4() || 1<<(31-l.prefix.Bits()) <= fixed {
		return l, fmt.Errorf("fleet settings: prefix %s has no room for %d fixed addresses", l.prefix, fixed)
	}
	return l, nil
}

// bmc gives the address of the BMC of a server, counted from 0.
func (l layout) bmc(i int) netip.Addr {
	base := l.bmcs.Masked().Addr().As4()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+uint32(i)+1)
	return netip.AddrFrom4(b)
}

// mac gives a MAC of the server of a number from 1; kind tells primary, BMC and secondary apart.
func mac(kind byte, number int) rack.MAC {
	return rack.MAC{0x52, 0x54, kind, 0xf1, byte(number >> 8), byte(number)}
}

// Kinds of mac.
const (
	kindPrimary   = 0x01
	kindBMC       = 0x02
	kindSecondary = 0x03
)

// otherNIC is the MAC of the NIC that takes the place of the one with this MAC.
func otherNIC(m rack.MAC) rack.MAC {
	m[0] ^= 0x40 // stays a unicast address, with the locally administered bit as it was
	return m
}

// rows makes the nodes.csv of a fleet.
func (l layout) rows(servers int) *rack.Rack {
	r := &rack.Rack{Nodes: []rack.Node{{
		Primary: mac(kindPrimary, 0), BMC: mac(kindBMC, 0), Secondary: mac(kindSecondary, 0), Type: "mgmt", Comment: "management node",
	}}}
	for i := range servers {
		n := rack.Node{Primary: mac(kindPrimary, i+1), BMC: mac(kindBMC, i+1), Secondary: mac(kindSecondary, i+1), Type: "compute"}
		n.Location = fmt.Sprintf("R%d U%02d", 1+i/40, 1+i%40)
		if l.bmcs.IsValid() {
			n.BMCAddress = l.bmc(i)
		}
		r.Nodes = append(r.Nodes, n)
	}
	return r
}

// prepare writes the OEM folder of a fleet of a number of servers, and says how its networks are laid out. With 0 servers
// the rows of a nodes.csv that is there count, else the default.
func prepare(f sim.Folder, s Settings, servers int) (layout, error) {
	if servers < 0 || servers > MaxServers {
		return layout{}, fmt.Errorf("%d servers: want 1 to %d", servers, MaxServers)
	}
	have, static, err := count(f)
	if err != nil {
		return layout{}, err
	}
	servers = cmp.Or(servers, have, defaultServers)
	if s.BMC == "" && servers == have {
		s.BMC = BMCLeased
		if static {
			s.BMC = BMCStatic
		}
	}
	l, err := s.layout(servers)
	if err != nil {
		return l, err
	}
	if err := os.MkdirAll(f.OEM(), 0o755); err != nil {
		return l, fmt.Errorf("make OEM folder: %w", err)
	}
	if servers != have || static != l.bmcs.IsValid() {
		if err := l.writeRows(f, servers); err != nil {
			return l, err
		}
	}
	if err := f.WriteOEM(""); err != nil {
		return l, err
	}
	return l, l.writeSettings(f)
}

// writeRows writes nodes.csv.
func (l layout) writeRows(f sim.Folder, servers int) error {
	var b bytes.Buffer
	err := rack.WriteCSV(&b, l.rows(servers))
	if err == nil {
		err = os.WriteFile(filepath.Join(f.OEM(), rack.NodesFile), b.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write nodes.csv: %w", err)
	}
	return nil
}

// count tells how many servers a nodes.csv that is there has, 0 without one, and whether their BMCs have addresses.
func count(f sim.Folder) (servers int, static bool, err error) {
	b, err := os.ReadFile(filepath.Join(f.OEM(), rack.NodesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read nodes.csv: %w", err)
	}
	r, err := rack.ReadCSV(bytes.NewReader(b), rack.NodesFile, rack.ReadOptions{SkipLocal: true})
	if err != nil {
		return 0, false, err
	}
	for i := range r.Nodes[1:] {
		static = static || r.Nodes[1+i].BMCAddress.IsValid()
	}
	return len(r.Nodes) - 1, static, nil
}

// writeSettings writes racker's settings for the networks.
func (l layout) writeSettings(f sim.Folder) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of racker for this fleet, written by racker-sim fleet.\ninternal:\n  prefix: %s\n", l.prefix.Masked())
	if l.bmcs.IsValid() {
		fmt.Fprintf(&b, "bmc:\n  mode: static\n  network: %s\n", l.bmcs.Masked())
	}
	if err := os.WriteFile(f.Config(), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write racker's settings: %w", err)
	}
	return nil
}
