package cluster

import (
	"net/netip"
	"testing"

	"github.com/racker-project/racker/pkg/rack"
)

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me"

// mac is the primary (kind 0), secondary (1), BMC (2) or further (3) MAC of node n.
func mac(kind, n byte) rack.MAC { return rack.MAC{0x52, 0x54, 0, 0, kind, n} }

// testSite has three nodes; node-3 has no secondary NIC, and was seen with a further one.
func testSite() Site {
	s := Site{
		Network: netip.MustParsePrefix("172.24.213.0/24"), Server: netip.MustParseAddr("172.24.213.1"), Ports: []int{8080, 8443},
		Management: &SiteNode{Name: "management", Where: "management", Primary: mac(0, 0xff), Secondary: mac(1, 0xff)},
	}
	for n := byte(1); n <= 3; n++ {
		name := "node-" + string('0'+n)
		s.Nodes = append(s.Nodes, SiteNode{
			Name: name, Where: name + " (U" + string('0'+n) + ")", Type: "compute", Primary: mac(0, n), Secondary: mac(1, n), BMC: mac(2, n),
			Address: netip.AddrFrom4([4]byte{172, 24, 213, n + 1}),
		})
	}
	s.Nodes[2].Type, s.Nodes[2].Secondary, s.Nodes[2].NICs = "storage", rack.MAC{}, []rack.MAC{mac(0, 3), mac(3, 3)}
	return s
}

// resolve gives the specs and warnings for a text that must be right.
func resolve(t *testing.T, text string) ([]Spec, []Problem) {
	t.Helper()
	f, err := Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	specs, warnings, err := f.Resolve(testSite())
	if err != nil {
		t.Fatal(err)
	}
	return specs, warnings
}

// wrong gives the mistakes in a text.
func wrong(t *testing.T, text string) string {
	t.Helper()
	f, err := Parse("cluster.yaml", []byte(text))
	if err == nil {
		_, _, err = f.Resolve(testSite())
	}
	if err == nil {
		return ""
	}
	return err.Error()
}
