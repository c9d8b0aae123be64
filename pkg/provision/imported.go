package provision

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/store"
)

// importReason is why a run ended, or a node failed, whose state was imported.
const importReason = "the state was imported while this was under way in it"

// Settle takes the orders out of a state that is about to be imported: what was under way when it was exported may have
// ended long since, and a node must not be written because of it. Its runs are cancelled and the nodes they were at work on
// fail: before the write began they boot from disk, after it they wait in the microkernel, as after any failure. It gives the
// keys with their new values, and the runs and nodes that it ended, as they are called in the keys.
func Settle(kvs []store.KV, now time.Time) (settled []store.KV, ended []string, err error) {
	settled = slices.Clone(kvs)
	for i, kv := range settled {
		var changed []byte
		switch {
		case strings.HasPrefix(kv.Key, runKeys):
			changed, err = settle(kv, func(r *runRecord) bool { return r.settle(now) })
		case strings.HasPrefix(kv.Key, nodeKeys):
			changed, err = settle(kv, func(r *Record) bool { return r.settle(now) })
		}
		if err != nil {
			return nil, nil, err
		}
		if changed != nil {
			settled[i].Value = changed
			ended = append(ended, kv.Key)
		}
	}
	return settled, ended, nil
}

// settle changes a value; nil means that it stays.
func settle[T any](kv store.KV, change func(*T) bool) ([]byte, error) {
	v := new(T)
	if err := json.Unmarshal(kv.Value, v); err != nil {
		return nil, fmt.Errorf("read %s: %w", kv.Key, err)
	}
	if !change(v) {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", kv.Key, err)
	}
	return b, nil
}

func (r *runRecord) settle(now time.Time) bool {
	if r.State != runRunning {
		return false
	}
	r.State, r.Stop, r.Reason, r.Ended, r.Code, r.Asked = runCancelled, true, importReason, now.UTC(), 1, nil
	return true
}

func (r *Record) settle(now time.Time) bool {
	began := r.Job != nil && r.Job.Began
	if !r.State.underway() && (r.Job == nil || began) {
		return false
	}
	if r.State.underway() {
		r.Step, r.Reason, r.State, r.Since = string(r.State), importReason, Failed, now.UTC()
	}
	r.Session = nil
	r.disarm()
	return true
}
