package cluster

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/racker-project/racker/pkg/internal/golden"
	"github.com/racker-project/racker/pkg/rack"
)

func TestINI(t *testing.T) {
	t.Parallel()
	got, err := ParseINI("ini", "\ufeff# public addresses\r\n[52:54:00:00:01:01]\r\nIP_ADDR = 10.0.0.5/24, 2001:db8::5/64\r\ngateway=10.0.0.1\r\ndns = 10.0.0.53 10.0.0.54\r\n"+
		"\n; DHCP\n[ 52-54-00-00-01-02 ]\n[52:54:00:00:01:03]\nip_addr=10.0.0.7/24\n[52:54:00:00:01:04]\nip_addr=10.1.0.7/24\ngateway=10.1.0.1\n[52:54:00:00:01:05]\nip_addr=10.1.0.8/24\n")
	if err != nil {
		t.Fatal(err)
	}
	dns := addrs("10.0.0.53", "10.0.0.54")
	want := []Static{
		{Secondary: mac(1, 1), Addresses: prefixes("10.0.0.5/24", "2001:db8::5/64"), Gateways: addrs("10.0.0.1"), DNS: dns},
		{Secondary: mac(1, 2)},
		{Secondary: mac(1, 3), Addresses: prefixes("10.0.0.7/24"), Gateways: addrs("10.0.0.1"), DNS: dns},
		{Secondary: mac(1, 4), Addresses: prefixes("10.1.0.7/24"), Gateways: addrs("10.1.0.1"), DNS: dns},
		{Secondary: mac(1, 5), Addresses: prefixes("10.1.0.8/24"), Gateways: addrs("10.1.0.1"), DNS: dns},
	}
	if d := cmp.Diff(want, got, append(unexported(), cmpopts.IgnoreUnexported(Static{}))...); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBadINI(t *testing.T) {
	t.Parallel()
	const head = "[52:54:00:00:01:01]\n"
	tests := map[string]struct{ text, want string }{
		"empty":             {"", "there is no section"},
		"no section":        {"ip_addr = 10.0.0.5/24\n", "ini:1:1: ip_addr belongs into a section"},
		"no MAC":            {"[node-1]\n", "ini:1:1: \"[node-1]\": want [SECONDARY_MAC]"},
		"open":              {"[52:54:00:00:01:01\n", "want [SECONDARY_MAC]"},
		"twice":             {head + head, "ini:2:1: 52:54:00:00:01:01 is there twice, first on line 1"},
		"setting twice":     {head + "dns=10.0.0.1\ndns=10.0.0.1\n", "ini:3:1: dns is set twice, first on line 2"},
		"no value":          {head + "ip_addr\n", "ini:2:1: \"ip_addr\": want NAME = VALUE"},
		"unknown":           {head + "ipaddr = 10.0.0.5/24\n", "there is no setting \"ipaddr\"; did you mean ip_addr?"},
		"no length":         {head + "ip_addr = 10.0.0.5\n", "\"10.0.0.5\" is no address with a prefix length"},
		"no address":        {head + "ip_addr = 10.0.0.5/24\ngateway = x\n", "ini:3:1: gateway: \"x\" is no address"},
		"no gateway":        {head + "ip_addr = 10.0.0.5/24\ndns = 10.0.0.1\n", "ini:1:1: 52:54:00:00:01:01: gateway is missing"},
		"no dns":            {head + "ip_addr = 10.0.0.5/24\ngateway = 10.0.0.1\n", "dns is missing, and no section before has it"},
		"gateway with DHCP": {head + "gateway = 10.0.0.1\n", "ini:2:1: gateway goes with an ip_addr"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseINI("ini", tt.text)
			var bad *Error
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzINI(f *testing.F) {
	for _, seed := range []string{"", "[52:54:00:00:01:01]\nip_addr=10.0.0.5/24\ngateway=10.0.0.1\ndns=10.0.0.1\n", "[", "=", "#", "[x]\ndns=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		static, err := ParseINI("ini", text)
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			return
		}
		for _, s := range static {
			if len(s.Addresses) > 0 && (len(s.Gateways) == 0 || len(s.DNS) == 0) {
				t.Errorf("%q: an address without gateway or dns: %+v", text, s)
			}
		}
	})
}

func TestDraft(t *testing.T) {
	t.Parallel()
	site := testSite()
	site.Nodes[1].Where = "node-2 (U2,\n# x: y)"
	static, err := ParseINI("ini", "[52:54:00:00:01:01]\nip_addr=10.0.0.5/24 2001:db8::5/64\ngateway=10.0.0.1\ndns=10.0.0.53\n[52:54:00:00:01:02]\n")
	if err != nil {
		t.Fatal(err)
	}
	draft := Draft{Image: Image{Name: "flatcar"}, SSHKeys: []string{testKey, testKey + `: "x" #`}, Site: site, Static: static}
	text, err := draft.Text("ini")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "draft.yaml", text)
	f, err := Parse("cluster.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	specs, warnings, err := f.Resolve(site)
	if err != nil || len(warnings) != 1 { // node-3 has no NIC for it
		t.Fatalf("%v, %v", warnings, err)
	}
	if d := cmp.Diff(draft.SSHKeys, specs[2].SSHKeys); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	if got := specs[0].Network.NICs[0].Addresses; len(got) != 2 || got[0].String() != "10.0.0.5/24" {
		t.Errorf("addresses: %v", got)
	}
	if specs[0].Image.Name != "flatcar" {
		t.Errorf("image: %+v", specs[0].Image)
	}
}

// TestDraftComments: what the draft has as comments is right, too.
func TestDraftComments(t *testing.T) {
	t.Parallel()
	text, err := (&Draft{Image: Image{Channel: "stable", Version: "4593.2.5"}, Site: testSite()}).Text("ini")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		prose := strings.HasPrefix(line, "# ") && !strings.HasPrefix(line, "#  ")
		if strings.HasPrefix(line, "#") && !prose && !strings.Contains(line, "  - file") {
			line = line[1:]
		}
		out.WriteString(line)
	}
	f, err := Parse("cluster.yaml", []byte(out.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	specs, _, err := f.Resolve(testSite())
	if err != nil {
		t.Fatal(err)
	}
	if specs[2].Disk.MaxSize != 500e9 || specs[0].Console != "ttyS1,57600n8" || specs[0].Image.Version != "4593.2.5" || len(specs[0].Hosts) != 1 {
		t.Errorf("%+v", specs[0])
	}
}

func TestDraftStrangers(t *testing.T) {
	t.Parallel()
	d := Draft{Site: testSite()}
	for _, m := range []rack.MAC{mac(0, 1), mac(2, 2), mac(7, 7), mac(1, 0xff)} {
		d.Static = append(d.Static, Static{Secondary: m, line: 7})
	}
	_, err := d.Text("ini")
	for _, want := range []string{
		"ini:7:1: 52:54:00:00:00:01 is the secondary MAC of no server in nodes.csv; it is the primary one of node-1 (U1)",
		"52:54:00:00:02:02 is the secondary MAC of no server in nodes.csv; it is that of the BMC of node-2 (U2)",
		"52:54:00:00:07:07 is the secondary MAC of no server in nodes.csv\n", "it is one of management",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}
