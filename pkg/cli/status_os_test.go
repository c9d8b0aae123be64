package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

func TestRunningAgainstWanted(t *testing.T) {
	t.Parallel()
	const flatcar = "Flatcar Container Linux by Kinvolk 4593.2.5 (Oklo)"
	tests := []struct {
		name  string
		nodes []api.NodeView
		want  string
	}{
		{"nobody said", []api.NodeView{{Name: "node-1", State: stateReady}}, ""},
		{"as wanted", []api.NodeView{
			{Name: "node-1", State: stateReady, OS: flatcar, WantedOS: "4593.2.5"}, {Name: "node-2", State: stateReady, OS: flatcar},
		}, "\nOS: " + flatcar + " on node-1, node-2\n"},
		{"behind", []api.NodeView{
			{Name: "node-1", State: stateReady, OS: flatcar, WantedOS: "4600.0.0"},
			{Name: "node-2", State: stateReady, OS: "Flatcar 4600.0.0", OSVersion: "4600.0.0", WantedOS: "4600.0.0"},
			{Name: "node-3", State: stateFailed, OS: flatcar, WantedOS: "4600.0.0"},
		}, "\nOS: Flatcar 4600.0.0 on node-2; " + flatcar + " on node-1\nUpdates wanted: node-1 runs " + flatcar + ", wanted 4600.0.0\n"},
		{"another was brought there", []api.NodeView{{Name: "node-1", State: stateReady, OS: "Flatcar", OSVersion: "1.0.0", WantedOS: "2.0.0"}},
			"\nOS: Flatcar 1.0.0 on node-1\nUpdates wanted: node-1 runs Flatcar 1.0.0, wanted 2.0.0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			io, _, out, _ := stdio.Test()
			if err := runningAgainstWanted(io, tt.nodes); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, out.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
