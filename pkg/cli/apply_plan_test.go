package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

// A node that has its config is unchanged only when nothing else is left to do on it.
func TestSettled(t *testing.T) {
	for name, tt := range map[string]struct {
		config api.ConfigView
		want   string
	}{
		"as declared":         {api.ConfigView{AppliedDigest: "d"}, applyUnchanged},
		"another":             {api.ConfigView{AppliedDigest: "e"}, ""},
		"begun":               {api.ConfigView{AppliedDigest: "d", Attempted: []api.NodeConfig{{}}}, ""},
		"not known as well":   {api.ConfigView{AppliedDigest: "d", Unproved: true}, ""},
		"first boot at large": {api.ConfigView{AppliedDigest: "d", Staged: "e"}, ""},
	} {
		n := &applyNode{view: api.NodeView{State: stateReady}, config: tt.config, digest: "d"}
		if n.settled(false); n.Action != tt.want {
			t.Errorf("%s: %q", name, n.Action)
		}
	}
}

// Nodes whose health command did not succeed are asked again before another node is changed.
func TestPlanBeginsWithTheUnproved(t *testing.T) {
	p := &applyPlan{nodes: []*applyNode{
		{Node: "a", Action: applyChange}, {Node: "b", Action: applyUnchanged},
		{Node: "c", Action: applyChange, config: api.ConfigView{Unproved: true}}, {Node: "d", Action: applyChange},
	}}
	var got []string
	for _, n := range p.with(applyChange) {
		got = append(got, n.Node)
	}
	if d := cmp.Diff([]string{"c", "a", "d"}, got); d != "" {
		t.Error(d)
	}
}
