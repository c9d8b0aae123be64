package cli

import (
	"context"
	"errors"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// TestApplyOrdersWhatWasShown has whoever typed yes confirm the disks that the plan named, and --yes only what leaves no choice.
func TestApplyOrdersWhatWasShown(t *testing.T) {
	t.Parallel()
	seen, refused := testRow(1, 1), testRow(1, 1)
	refused.Refused = "holds a RAID"
	for name, tt := range map[string]struct {
		yes          bool
		disks        *api.EraseRow
		erase, shown string
	}{
		"yes typed":            {disks: &seen, shown: seen.Digest},
		"not seen yet":         {},
		"would be refused":     {disks: &refused},
		"--yes":                {yes: true, disks: &seen, erase: api.EraseExact},
		"--yes, not seen yet":  {yes: true, erase: api.EraseExact},
		"--yes, never refused": {yes: true, disks: &refused, erase: api.EraseExact},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &applyNode{Cost: api.CostReinstall, Disks: tt.disks, declared: &declaredNode{}, digest: "d"}
			n.MAC = seen.Node
			streams, _, _, _ := stdio.Test()
			o := &applyOptions{IO: streams, Yes: tt.yes}
			var d sentOrders
			if _, err := o.orderApply(t.Context(), &d, n); err != nil {
				t.Fatal(err)
			}
			if err := o.install(t.Context(), &d, []*applyNode{n}); !errors.Is(err, errSent) {
				t.Fatal(err)
			}
			if d.apply.Erase != tt.erase || d.apply.Shown != tt.shown {
				t.Errorf("reinstall: %+v", d.apply)
			}
			if d.run.Erase != tt.erase || d.run.Shown[n.MAC] != tt.shown {
				t.Errorf("install: %+v", d.run)
			}
		})
	}
}

var errSent = errors.New("sent")

// sentOrders keeps the orders that are sent to a daemon, and carries none out.
type sentOrders struct {
	applier
	apply api.ApplyOrder
	run   api.RunRequest
}

func (s *sentOrders) PutConfig(context.Context, string, api.NodeConfig) (api.ConfigView, error) {
	return api.ConfigView{WantedDigest: "d"}, nil
}

func (s *sentOrders) Apply(_ context.Context, _ string, o api.ApplyOrder) (api.RunView, error) {
	s.apply = o
	return api.RunView{}, nil
}

func (s *sentOrders) SubmitRun(_ context.Context, r api.RunRequest) (api.RunView, error) {
	s.run = r
	return api.RunView{}, errSent
}
