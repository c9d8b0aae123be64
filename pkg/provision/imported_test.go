package provision

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// In a settled state nothing is under way and no node has an order that could begin a write; what was done stays.
func TestSettle(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	put := func(key string, v any) store.KV {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return store.KV{Key: key, Value: b}
	}
	mac := rack.MAC{0x52, 0x54, 0, 0, 0, 1}
	node := func(s State, j *Job) Record {
		return Record{MAC: mac, State: s, Job: j, Session: &Session{Key: "k"}, Install: &Install{Image: "i"}}
	}
	failed := func(was State, j *Job) Record {
		return Record{MAC: mac, State: Failed, Step: string(was), Reason: importReason, Since: now, Job: j, Install: &Install{Image: "i"}}
	}
	idle := Record{MAC: mac, State: Failed, Reason: "it was so before", Job: &Job{ID: "j"}}
	disarmed := idle
	disarmed.Job = nil
	before := []store.KV{
		put(nodeKeys+"armed", node(Netbooting, &Job{ID: "j"})),
		put(nodeKeys+"booted", node(Booted, nil)),
		put(nodeKeys+"failed", idle),
		put(nodeKeys+"half", Record{MAC: mac, State: Failed, Job: &Job{Began: true}}),
		put(nodeKeys+"known", Record{MAC: mac, State: Known}),
		put(nodeKeys+"ready", node(Ready, nil)),
		put(nodeKeys+"writing", node(Installing, &Job{ID: "j", Began: true})),
		{Key: "plan", Value: []byte("not JSON")},
		put(runKeys+"1", runRecord{ID: "1", State: runDone}),
		put(runKeys+"2", runRecord{ID: "2", State: runRunning, Asked: map[rack.MAC]asked{mac: {Tries: 1}}}),
	}
	want := append([]store.KV(nil), before...)
	want[0] = put(nodeKeys+"armed", failed(Netbooting, nil))
	want[1] = put(nodeKeys+"booted", failed(Booted, nil))
	want[2] = put(nodeKeys+"failed", disarmed)
	want[6] = put(nodeKeys+"writing", failed(Installing, &Job{ID: "j", Began: true}))
	want[9] = put(runKeys+"2", runRecord{ID: "2", State: runCancelled, Stop: true, Reason: importReason, Ended: now, Code: 1})
	got, ended, err := Settle(before, now)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kvs []store.KV) (out []string) {
		for _, kv := range kvs {
			out = append(out, kv.Key+" "+string(kv.Value))
		}
		return out
	}
	if d := cmp.Diff(text(want), text(got)); d != "" {
		t.Errorf("settled (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{nodeKeys + "armed", nodeKeys + "booted", nodeKeys + "failed", nodeKeys + "writing", runKeys + "2"}, ended); d != "" {
		t.Errorf("ended (-want +got):\n%s", d)
	}
	if _, again, err := Settle(got, now); err != nil || len(again) != 0 {
		t.Errorf("settled twice: %v, %v", again, err)
	}
	if _, _, err := Settle([]store.KV{{Key: runKeys + "3", Value: []byte("{")}}, now); err == nil {
		t.Error("a value that is no JSON passed")
	}
}
