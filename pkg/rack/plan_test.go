package rack

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testRack has a management node and the servers of the given numbers.
func testRack(numbers ...int) *Rack {
	r := &Rack{Nodes: []Node{{
		Primary: MAC{2, 0, 0xaa}, Secondary: MAC{2, 0, 0xcc}, BMC: MAC{2, 0, 0xbb}, Management: true, Line: 2,
	}}}
	for i, n := range numbers {
		hi, lo := byte(n>>8), byte(n)
		r.Nodes = append(r.Nodes, Node{
			Primary: MAC{2, 1, 0, 0, hi, lo}, Secondary: MAC{2, 3, 0, 0, hi, lo}, BMC: MAC{2, 2, 0, 0, hi, lo}, Line: i + 3,
		})
	}
	return r
}

// show prints a plan as "last byte name/mac number".
func show(p *Plan) []string {
	var out []string
	for _, a := range p.Assignments {
		out = append(out, fmt.Sprintf("%s %s %s %s", a.Addr, a.Role, a.MAC, a.Name))
	}
	return out
}

// checkPlan checks what holds for every plan.
func checkPlan(t testing.TB, p *Plan, r *Rack) {
	t.Helper()
	first, _ := p.Pool()
	addrs, macs, names := map[netip.Addr]bool{}, map[MAC]bool{}, map[string]bool{}
	for _, a := range p.Assignments {
		if !p.Prefix.Contains(a.Addr) || a.Addr.Compare(first) >= 0 || a.Addr.Compare(p.Server()) < 0 {
			t.Errorf("%s is not in the static half of %s", a.Addr, p.Prefix)
		}
		if (a.Addr == p.Server()) != (a.Role == RoleManagement) {
			t.Errorf("%s has the role %s", a.Addr, a.Role)
		}
		name := strings.ToLower(a.Name)
		if addrs[a.Addr] || macs[a.MAC] || (name != "" && names[name]) {
			t.Errorf("%v collides", a)
		}
		addrs[a.Addr], macs[a.MAC], names[name] = true, true, true
	}
	for _, n := range r.Servers() {
		a, ok := p.ByMAC(n.Primary)
		if !ok || a.Name == "" || a.Role != RoleServer || (n.Name != "" && a.Name != n.Name) {
			t.Errorf("server %s on line %d has %v", n.Primary, n.Line, a)
		}
		if _, ok := p.ByMAC(n.BMC); !ok && !n.BMC.IsZero() && !n.BMCAddress.IsValid() {
			t.Errorf("BMC %s on line %d has no address", n.BMC, n.Line)
		}
	}
}

func TestMakePlanFirst(t *testing.T) {
	t.Parallel()
	r := testRack(3, 1, 2)
	r.Nodes[3].Name = "db"
	r.Nodes[1].BMCAddress = netip.MustParseAddr("10.0.0.7")
	r.Nodes[2].BMCAddress = netip.MustParseAddr("172.24.213.4")
	p, err := MakePlan(prefix24, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkPlan(t, p, r)
	want := []string{
		"172.24.213.1 management 02:00:cc:00:00:00 management",
		"172.24.213.2 server 02:01:00:00:00:01 node-1",
		"172.24.213.3 server 02:01:00:00:00:02 db",
		"172.24.213.5 server 02:01:00:00:00:03 node-2",
		"172.24.213.6 bmc 02:02:00:00:00:02 ",
	}
	if diff := cmp.Diff(want, show(p)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	p.Apply(r)
	var names []string
	for _, n := range r.Nodes {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"management", "node-2", "node-1", "db"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if a, ok := p.ByAddr(netip.MustParseAddr("172.24.213.6")); !ok || a.MAC != r.Nodes[3].BMC {
		t.Errorf("ByAddr gives %v, %v", a, ok)
	}
	if _, ok := p.ByAddr(netip.MustParseAddr("172.24.213.7")); ok {
		t.Error("ByAddr gives an assignment for a free address")
	}
}

func TestMakePlanLater(t *testing.T) {
	t.Parallel()
	first, err := MakePlan(prefix24, testRack(5, 7), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := show(first)
	// 5 goes, 1 and 9 come, and a new management machine.
	r := testRack(1, 7, 9)
	r.Nodes[0].Secondary = MAC{2, 0, 0xdd}
	second, err := MakePlan(prefix24, r, first)
	if err != nil {
		t.Fatal(err)
	}
	checkPlan(t, second, r)
	want := []string{
		"172.24.213.1 management 02:00:dd:00:00:00 management",
		"172.24.213.2 server 02:01:00:00:00:05 node-1",
		"172.24.213.3 server 02:01:00:00:00:07 node-2",
		"172.24.213.4 bmc 02:02:00:00:00:05 ",
		"172.24.213.5 bmc 02:02:00:00:00:07 ",
		"172.24.213.6 server 02:01:00:00:00:01 node-3",
		"172.24.213.7 server 02:01:00:00:00:09 node-4",
		"172.24.213.8 bmc 02:02:00:00:00:01 ",
		"172.24.213.9 bmc 02:02:00:00:00:09 ",
	}
	if diff := cmp.Diff(want, show(second)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, show(first)); diff != "" {
		t.Errorf("the old plan changed:\n%s", diff)
	}
	if !second.Forget(MAC{2, 1, 0, 0, 0, 5}) || second.Forget(MAC{2, 1, 0, 0, 0, 5}) {
		t.Error("Forget does not tell whether it forgot")
	}
	third, err := MakePlan(prefix24, testRack(1, 2, 7, 9), second)
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := third.ByMAC(MAC{2, 1, 0, 0, 0, 2}); a.Addr.String() != "172.24.213.2" || a.Name != "node-1" {
		t.Errorf("the lowest free address was not given: %v", a)
	}
}

func TestPlanJSON(t *testing.T) {
	t.Parallel()
	p, err := MakePlan(prefix24, testRack(1, 2), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*p, back, cmpAddr()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(data), `{"mac":"02:01:00:00:00:01","addr":"172.24.213.2","role":"server","name":"node-1"}`) {
		t.Errorf("JSON is %s", data)
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	tests := []struct{ prefix, server, first, last string }{
		{"172.24.213.0/24", "172.24.213.1", "172.24.213.128", "172.24.213.254"},
		{"10.1.0.0/16", "10.1.0.1", "10.1.128.0", "10.1.255.254"},
		{"10.1.0.64/26", "10.1.0.65", "10.1.0.96", "10.1.0.126"},
	}
	for _, tt := range tests {
		p := Plan{Prefix: netip.MustParsePrefix(tt.prefix)}
		first, last := p.Pool()
		if p.Server().String() != tt.server || first.String() != tt.first || last.String() != tt.last {
			t.Errorf("%s: server %s, pool %s to %s", tt.prefix, p.Server(), first, last)
		}
	}
}

func TestMakePlanErrors(t *testing.T) {
	t.Parallel()
	upTo := func(n int) *Rack {
		var numbers []int
		for i := range n {
			numbers = append(numbers, i)
		}
		return testRack(numbers...)
	}
	plan := func(r *Rack, prefix string) *Plan {
		p, err := MakePlan(netip.MustParsePrefix(prefix), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	bmcAt := func(addr string) *Rack {
		r := testRack(1)
		r.Nodes[1].BMCAddress = netip.MustParseAddr(addr)
		return r
	}
	named := testRack(1, 2)
	named.Nodes[2].Name = "node-1"
	tests := []struct {
		name, prefix string
		rack         *Rack
		prev         *Plan
		err          string // "" for none
	}{
		{"63 servers fit a /24", "10.0.0.0/24", upTo(63), nil, ""},
		{"64 do not", "10.0.0.0/24", upTo(64), nil, "10.0.0.0/24 is full: 126 servers and BMCs fit, 128 are needed; a /23 would do"},
		{"15 do not fit a /26", "10.0.0.0/26", upTo(16), nil, "10.0.0.0/26 is full: 30 servers and BMCs fit, 32 are needed; a /25 would do"},
		{"17,000 fit nothing", "10.0.0.0/16", upTo(17000), nil, "32766 servers and BMCs fit, 34000 are needed; no network up to /16 would do"},
		{"removed ones count", "10.0.0.0/26", testRack(100), plan(upTo(15), "10.0.0.0/26"),
			"30 servers and BMCs fit, 32 are needed (30 of them are no longer in nodes.csv and keep theirs until they are forgotten); a /25"},
		{"network changed", "10.0.0.0/24", testRack(1), plan(testRack(1), "10.0.1.0/24"), "the network is 10.0.0.0/24, but addresses were given from 10.0.1.0/24"},
		{"too small", "10.0.0.0/27", testRack(1), nil, "want a prefix from /16 to /26"},
		{"too large", "10.0.0.0/15", testRack(1), nil, "want a prefix from /16 to /26"},
		{"IPv6", "fd00::/24", testRack(1), nil, "is IPv4"},
		{"invalid", "", testRack(1), nil, "IPv4"},
		{"BMC Address of the management node", "10.0.0.0/24", bmcAt("10.0.0.1"), nil, "10.0.0.1 on line 3 is the management node's own"},
		{"BMC Address in the pool", "10.0.0.0/24", bmcAt("10.0.0.200"), nil, "in the pool for unknown machines, 10.0.0.128 to 10.0.0.254"},
		{"BMC Address broadcast", "10.0.0.0/24", bmcAt("10.0.0.255"), nil, "is no host's"},
		{"BMC Address given to another", "10.0.0.0/24", bmcAt("10.0.0.2"), plan(testRack(1), "10.0.0.0/24"), "was given to node-1 02:01:00:00:00:01"},
		{"BMC Address as leased before", "10.0.0.0/24", bmcAt("10.0.0.3"), plan(testRack(1), "10.0.0.0/24"), ""},
		{"Name given to another", "10.0.0.0/24", named, plan(testRack(1, 2), "10.0.0.0/24"), "the name node-1 was given to 02:01:00:00:00:01 on line 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			prefix, _ := netip.ParsePrefix(tt.prefix) // "" is the invalid one
			got, err := MakePlan(prefix, tt.rack, tt.prev)
			if tt.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkPlan(t, got, tt.rack)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// TestPlanNeverMoves adds, removes, names and forgets nodes at random: no address of a MAC ever changes, and nothing
// collides.
func TestPlanNeverMoves(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		present := map[int]bool{}
		given := map[MAC]netip.Addr{}
		var plan *Plan
		for range 40 {
			for range rng.IntN(6) {
				if n := rng.IntN(28); present[n] {
					delete(present, n)
				} else {
					present[n] = true
				}
			}
			r := shuffled(rng, present)
			if plan != nil && rng.IntN(4) == 0 {
				a := plan.Assignments[rng.IntN(len(plan.Assignments))]
				plan.Forget(a.MAC)
				delete(given, a.MAC)
			}
			next, err := MakePlan(prefix24, r, plan)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			checkPlan(t, next, r)
			for m, addr := range given {
				if a, ok := next.ByMAC(m); !ok || a.Addr != addr {
					t.Fatalf("seed %d: %s moved from %s to %v", seed, m, addr, a)
				}
			}
			for _, a := range next.Assignments {
				given[a.MAC] = a.Addr
			}
			plan = next
		}
	}
}

func shuffled(rng *rand.Rand, present map[int]bool) *Rack {
	var numbers []int
	for n := range present {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	rng.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	r := testRack(numbers...)
	for i := range r.Nodes[1:] {
		if rng.IntN(5) == 0 {
			r.Nodes[i+1].Name = fmt.Sprintf("db-%d", i)
		}
	}
	return r
}

func TestParsePrefix(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"172.24.213", "172.24.213.0/24"}, {" 10.1.2.3/16 ", "10.1.0.0/16"}, {"10.0.0.64/26", "10.0.0.64/26"},
		{"", ""}, {"10.0.0", "10.0.0.0/24"}, {"10.0.0.0", ""}, {"10.0.0/24", ""}, {"10.0.0.0/27", ""}, {"10.0.0.0/8", ""},
		{"fd00::/24", ""}, {"224.0.0.0/24", ""}, {"127.0.0", ""}, {"256.0.0", ""}, {"0.0.0", ""}, {"a.b.c", ""},
	}
	for _, tt := range tests {
		got, err := ParsePrefix(tt.in)
		if (err == nil) != (tt.want != "") || (err == nil && got.String() != tt.want) {
			t.Errorf("ParsePrefix(%q) = %v, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}
