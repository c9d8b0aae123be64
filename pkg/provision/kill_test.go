package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

var errDead = errors.New("the daemon is dead")

// life is one life of a daemon: it ends at a point, before or after a write of its state or an order to a BMC, and from
// then on nothing that the daemon does has any effect.
type life struct {
	at    int           // the point at which it ends, from 1; 0 for never
	ended chan struct{} // closed at its end

	mu     sync.Mutex
	points int
	where  string // the point at which it ended
	seen   []string
}

// pass counts a point and reports whether the daemon is alive beyond it.
func (l *life) pass(point string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.where != "" {
		return false
	}
	l.points++
	l.seen = append(l.seen, point)
	if l.points == l.at {
		l.where = point
		close(l.ended)
		return false
	}
	return true
}

// mortalStore and mortalBMCs are what the daemon writes and orders, as long as it lives.
type mortalStore struct {
	store.Store
	life *life
}

func (s mortalStore) Txn(ctx context.Context, when []store.Compare, then ...store.Op) (bool, error) {
	point := written(then)
	if !s.life.pass("before " + point) {
		return false, errDead
	}
	ok, err := s.Store.Txn(ctx, when, then...)
	if !s.life.pass("after " + point) {
		return false, errDead
	}
	return ok, err
}

// written names what a transaction writes: a transition by its states, else the kind of key.
func written(ops []store.Op) string {
	for _, op := range ops {
		var e journalEntry
		if strings.HasPrefix(op.Key, journalKeys) && json.Unmarshal(op.Value, &e) == nil {
			return fmt.Sprintf("%s -> %s", e.From, e.To)
		}
	}
	kind, _, _ := strings.Cut(ops[0].Key, "/")
	return "write of " + kind
}

type mortalBMCs struct {
	BMCs
	life *life
}

func (b mortalBMCs) order(what string, do func() error) error {
	if !b.life.pass("before " + what) {
		return errDead
	}
	err := do()
	if !b.life.pass("after " + what) {
		return errDead
	}
	return err
}

func (b mortalBMCs) SetPower(ctx context.Context, n *rack.Node, a netip.Addr, on bool) error {
	return b.order(fmt.Sprintf("power on=%t", on), func() error { return b.BMCs.SetPower(ctx, n, a, on) })
}

func (b mortalBMCs) SoftOff(ctx context.Context, n *rack.Node, a netip.Addr) error {
	return b.order("soft off", func() error { return b.BMCs.SoftOff(ctx, n, a) })
}

func (b mortalBMCs) SetBoot(ctx context.Context, n *rack.Node, a netip.Addr, network, efi bool) error {
	return b.order(fmt.Sprintf("boot network=%t", network), func() error { return b.BMCs.SetBoot(ctx, n, a, network, efi) })
}

// scenario is a run of which the daemon is killed at every point.
type scenario struct {
	prepare func(*world)
	order   func(context.Context, *Machine) (api.RunView, error)
	// answer is given once the run asks.
	answer string
	// out is left out when the disks are confirmed; empty for none.
	out     string
	code    int
	skipped int // nodes that the run leaves out
	want    map[rack.MAC]State
	// after finds what is wrong with the world in the end.
	after func(*world) error
}

func scenarios() map[string]scenario {
	submit := func(change func(*api.RunRequest)) func(context.Context, *Machine) (api.RunView, error) {
		return func(ctx context.Context, m *Machine) (api.RunView, error) {
			req := request()
			change(&req)
			return m.Submit(ctx, req)
		}
	}
	both := map[rack.MAC]State{mac(2): Ready, mac(3): Ready}
	installed := func(w *world) {
		w.start(nil)
		w.runToEnd(request())
		w.kill()
		for _, s := range w.servers {
			s.writes, s.cut = 0, 0
		}
	}
	out := applyScenarios()
	maps.Copy(out, map[string]scenario{
		"install": {order: submit(func(*api.RunRequest) {}), want: both},
		"canary":  {order: submit(func(r *api.RunRequest) { r.Canary = api.CanaryOn }), want: both},
		"held": {order: submit(func(r *api.RunRequest) { r.StopAt = api.StopAtAgent }),
			want: map[rack.MAC]State{mac(2): Agent, mac(3): Agent}},
		"one is on": {
			prepare: func(w *world) { w.servers[mac(3)].on = true },
			order:   submit(func(r *api.RunRequest) { r.PowerCycleRunning = false }),
			code:    3, skipped: 1, want: map[rack.MAC]State{mac(2): Ready, mac(3): Known},
		},
		"disks confirmed": {order: submit(func(r *api.RunRequest) { r.Erase = api.EraseAsk }), want: both},
		"a disk left out": {order: submit(func(r *api.RunRequest) { r.Erase = api.EraseAsk }), out: "node-2", code: 3,
			want: map[rack.MAC]State{mac(2): Ready, mac(3): Excluded}},
		"asked, and excluded": {
			prepare: func(w *world) { w.servers[mac(3)].failWrite = 99 },
			order:   submit(func(r *api.RunRequest) { r.OnFailure = api.OnFailureAsk }), answer: api.OnFailureExclude,
			code: 3, want: map[rack.MAC]State{mac(2): Ready, mac(3): Excluded},
		},
		"boot of the disk": {prepare: installed, want: map[rack.MAC]State{mac(2): Ready},
			order: func(ctx context.Context, m *Machine) (api.RunView, error) {
				return m.Boot(ctx, "node-1", api.BootOrder{Target: api.BootDisk})
			}},
		"inventory": {prepare: installed, want: map[rack.MAC]State{mac(2): Ready},
			order: func(ctx context.Context, m *Machine) (api.RunView, error) {
				return m.Boot(ctx, "node-1", api.BootOrder{Target: api.BootInventory})
			}},
	})
	return out
}

// TestKillTable kills the daemon before and after everything that it writes and orders, in runs of every kind, and finds
// each run at its end in the daemon's next life, with nothing done twice.
func TestKillTable(t *testing.T) {
	var sum struct {
		sync.Mutex
		kills, lost, doubled int
		at                   map[string]int
	}
	sum.at = map[string]int{}
	t.Run("scenarios", func(t *testing.T) {
		for name, s := range scenarios() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					k := &killed{scenario: s, t: t, at: at}
					if !k.run() {
						break
					}
					sum.Lock()
					sum.kills++
					sum.lost += k.lost
					sum.doubled += k.doubled
					sum.at[strings.TrimPrefix(strings.TrimPrefix(k.where, "before "), "after ")]++
					sum.Unlock()
				}
			})
		}
	})
	for from, tos := range onward { // a transition that no scenario makes would be one that nobody kills
		for _, to := range tos {
			if name := fmt.Sprintf("%s -> %s", from, to); sum.at[name] == 0 && slices.Contains(everyInstall(), name) {
				t.Errorf("no kill at %s", name)
			}
		}
	}
	names := make([]string, 0, len(sum.at))
	for name := range sum.at {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("killed %4d times at %s", sum.at[name], name)
	}
	t.Logf("kill table: %d kills, %d lost runs, %d doubled actions", sum.kills, sum.lost, sum.doubled)
	if sum.lost > 0 || sum.doubled > 0 || sum.kills < 100 {
		t.Errorf("%d kills, %d lost runs, %d doubled actions", sum.kills, sum.lost, sum.doubled)
	}
}

// everyInstall are the transitions that each install makes.
func everyInstall() []string {
	return []string{
		"known -> checking-bmc", "checking-bmc -> powering", "powering -> netbooting", "netbooting -> agent",
		"agent -> installing", "installing -> installed", "installed -> booted", "booted -> ready",
	}
}

// killed is one scenario with one kill.
type killed struct {
	scenario
	t             *testing.T
	at            int
	where         string
	lost, doubled int
}

// run reports whether the daemon was killed; the scenario has no such point when it was not.
func (k *killed) run() bool {
	w := newWorld(k.t)
	defer w.kill()
	if k.prepare != nil {
		k.prepare(w)
	}
	first := &life{at: k.at, ended: make(chan struct{})}
	w.mortal = func(st store.Store, b BMCs) (store.Store, BMCs) { return mortalStore{st, first}, mortalBMCs{b, first} }
	w.remote.lives(first)
	m := w.start(nil)
	v, err := k.order(k.t.Context(), m)
	over := make(chan struct{})
	if err == nil {
		ctx, stop := context.WithCancel(k.t.Context())
		defer stop()
		go func() {
			defer close(over)
			k.attend(ctx, w, m, v.ID)
		}()
		select {
		case <-first.ended:
		case <-over:
			return false
		case <-time.After(30 * time.Second):
			k.t.Errorf("point %d: the run hangs before anybody was killed", k.at)
			return false
		}
		stop()
		<-over
	} else if !errors.Is(err, errDead) {
		k.t.Fatal(err)
	}
	k.where = first.where
	w.kill()
	w.mortal = nil
	w.remote.lives(nil)
	k.secondLife(w, w.start(nil), v.ID)
	return true
}

// attend answers what the run asks, until it is over or the machine is dead.
func (k *killed) attend(ctx context.Context, w *world, m *Machine, id string) {
	for {
		changed := m.changes()
		v, err := m.RunView(id)
		if err != nil || v.State != runRunning {
			return
		}
		for _, q := range v.Questions {
			// Somebody answers again when the daemon died over it.
			_, _ = m.Answer(ctx, id, api.Answer{Node: q.Node, Answer: k.answer})
		}
		if v.Erase != nil && v.Erase.Open {
			a := api.EraseAnswer{Digest: v.Erase.Digest}
			if k.out != "" && len(v.Erase.Rows) == 2 {
				a.Exclude = []string{k.out}
			}
			_, _ = m.ConfirmErase(ctx, id, a)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// secondLife finds the run where it should be at its end.
func (k *killed) secondLife(w *world, m *Machine, id string) {
	if id == "" { // the order was not answered: it may be stored or not, and is given again only when it is not
		if open := m.open(); len(open) > 0 {
			id = open[0].ID
		} else {
			v, err := k.order(k.t.Context(), m)
			if err != nil {
				k.t.Fatal(err)
			}
			id = v.ID
		}
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), 30*time.Second)
	defer cancel()
	k.attend(ctx, w, m, id)
	v, err := m.RunView(id)
	if err != nil || v.State == runRunning || v.Code != k.code || len(v.Skipped) != k.skipped {
		k.lost++
		k.t.Errorf("killed %s: run is %s, code %d, want %d: %v %s, skipped %q, %v", k.where, v.State, v.Code, k.code, states(v), v.Reason,
			v.Skipped, err)
	}
	for mac, want := range k.want {
		if rec := m.record(mac); rec.State != want {
			k.t.Errorf("killed %s: %s is %s, want %s: %s", k.where, mac, rec.State, want, rec.Reason)
		}
	}
	if k.after != nil {
		if err := k.after(w); err != nil {
			k.doubled++
			k.t.Errorf("killed %s: %v", k.where, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.servers {
		if s.writes > 1 || s.cut > 0 && k.answer == "" {
			k.doubled++
			k.t.Errorf("killed %s: %s was written %d times, and powered off %d times after that began", k.where, s.primary, s.writes, s.cut)
		}
	}
}
