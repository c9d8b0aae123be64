package provision

import (
	"testing"

	"github.com/racker-project/racker/pkg/api"
)

// reinstalls orders a reinstall onto the disk that the next config names; what else the order says is up to change.
func (w *world) reinstalls(change func(*api.ApplyOrder)) string {
	w.t.Helper()
	o := api.ApplyOrder{Cost: api.CostReinstall, Wipe: true}
	next := changes()[api.CostReinstall]
	next.Disk.Serial = "D" + mac(2).String()
	o.Digest = w.put(next)
	if change != nil {
		change(&o)
	}
	v, err := w.at().Apply(w.t.Context(), mac(2).String(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.ID
}

// TestApplyAsksForDisks reinstalls nodes whose disks nobody was shown, and others that lose their signatures: the run asks before
// it writes.
func TestApplyAsksForDisks(t *testing.T) {
	t.Parallel()
	other := api.Disk{Path: "/dev/vdb", Serial: "OTHER", Contents: []string{"ext4 data"}}
	for name, tt := range map[string]struct {
		change func(*api.ApplyOrder)
		found  func(*api.DiskResult)
	}{
		"nobody allowed it":    {},
		"another was shown":    {change: func(o *api.ApplyOrder) { o.Shown = "0123" }},
		"yes, two disks alike": {func(o *api.ApplyOrder) { o.Erase = api.EraseExact }, func(r *api.DiskResult) { r.Matched = 2 }},
		"yes, others are wiped": {func(o *api.ApplyOrder) { o.Erase = api.EraseExact },
			func(r *api.DiskResult) { r.Wipes = []api.Disk{other} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := ready(t, declaring(hosts("a")))
			w.servers[mac(2)].found = tt.found
			before := w.written()
			id := w.reinstalls(tt.change)
			table := w.table(id, 1)
			if w.at().run(id).Request.Erase == api.EraseExact && len(table.Inexact()) == 0 {
				t.Fatal("the run confirms its table by itself")
			}
			if w.written() != before {
				t.Fatal("a disk was written that nobody confirmed")
			}
			w.confirm(id, table)
			if end := w.wait(id); end.Code != 0 || w.written() != before+1 {
				t.Errorf("code %d, %d writes: %v", end.Code, w.written(), states(end))
			}
		})
	}
}

// TestShownDisksAreNotAskedAbout has disks that were confirmed with the plan, also of those that are only wiped.
func TestShownDisksAreNotAskedAbout(t *testing.T) {
	t.Parallel()
	w, _ := ready(t, declaring(hosts("a")))
	there := api.DiskResult{Disk: diskD().Disk, Matched: 2, Wipes: []api.Disk{{Path: "/dev/vdb", Serial: "OTHER", Contents: []string{"ext4 data"}}}}
	w.servers[mac(2)].found = func(r *api.DiskResult) { *r = there }
	before := w.written()
	if end := w.wait(w.reinstalls(func(o *api.ApplyOrder) { o.Shown = there.Digest() })); end.Code != 0 {
		t.Fatalf("code %d: %v", end.Code, states(end))
	}
	order := api.Reprovision{OnFailure: api.OnFailureCancel, Shown: there.Digest()}
	v, err := w.at().Reprovision(t.Context(), mac(2).String(), order)
	if err != nil {
		t.Fatal(err)
	}
	if end := w.wait(v.ID); end.Code != 0 || w.written() != before+2 {
		t.Errorf("code %d, %d writes: %v", end.Code, w.written(), states(end))
	}
}
