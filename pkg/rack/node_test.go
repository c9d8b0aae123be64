package rack

import (
	"net/netip"
	"testing"
)

func TestWhere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		node Node
		want string
	}{
		{Node{Name: "node-7", Location: "U17", Serial: "ABC"}, "node-7 (U17, serial ABC)"},
		{Node{Name: "node-7", Serial: "ABC"}, "node-7 (serial ABC)"},
		{Node{Name: "node-7"}, "node-7"},
		{Node{Primary: MAC{0x52, 0x54, 0, 0, 0, 1}, Location: "U17"}, "52:54:00:00:00:01 (U17)"},
	}
	for _, tt := range tests {
		if got := tt.node.Where(); got != tt.want {
			t.Errorf("Where() = %q, want %q", got, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	r := &Rack{Nodes: []Node{
		{Name: "management", Primary: MAC{2, 0, 0, 0, 0, 1}, Secondary: MAC{2, 2, 0, 0, 0, 1}, Management: true},
		{Name: "node-1", Primary: MAC{2, 0, 0, 0, 0, 2}, BMC: MAC{2, 1, 0, 0, 0, 2}, Serial: "AB1", BMCAddress: netip.MustParseAddr("10.0.0.7")},
		{Name: "AB1x", Primary: MAC{2, 0, 0, 0, 0, 3}, Serial: "node-2"},
		{Name: "node-2", Primary: MAC{2, 0, 0, 0, 0, 4}},
	}}
	tests := []struct{ word, want string }{
		{"node-1", "node-1"}, {"NODE-1", "node-1"}, {"02-00-00-00-00-02", "node-1"}, {"02:01:00:00:00:02", "node-1"},
		{"ab1", "node-1"}, {"10.0.0.7", "node-1"}, {"02:02:00:00:00:01", "management"},
		{"node-2", ""}, // the name of one, the serial of another
		{"", ""}, {"node-3", ""}, {"02:00:00:00:00:09", ""}, {"00:00:00:00:00:00", ""},
	}
	for _, tt := range tests {
		got := ""
		if n := r.Find(tt.word); n != nil {
			got = n.Name
		}
		if got != tt.want {
			t.Errorf("Find(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
	if m := r.Management(); m == nil || m.Name != "management" || len(r.Servers()) != 3 {
		t.Errorf("management %v, %d servers", m, len(r.Servers()))
	}
	if (&Rack{}).Management() != nil {
		t.Error("an empty rack has a management node")
	}
}
