package cli

import (
	"testing"

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
		"first boot at large": {api.ConfigView{AppliedDigest: "d", Staged: "e"}, ""},
	} {
		n := &applyNode{view: api.NodeView{State: stateReady}, config: tt.config, digest: "d"}
		if n.settled(false); n.Action != tt.want {
			t.Errorf("%s: %q", name, n.Action)
		}
	}
}
