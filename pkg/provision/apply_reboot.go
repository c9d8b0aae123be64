package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// rebootScript says which boot the node is in, and ends it if it is the one that is to end: asked again, it harms nobody.
func rebootScript(old string) string {
	return "id=$(cat /proc/sys/kernel/random/boot_id); echo \"$id\"; [ \"$id\" != " + quoteSh(old) + " ] || { sync; systemctl reboot; }"
}

// rebootNode journals which boot is to end, and that the node is on its way, before anything is ordered: awaitReturn does that.
func (m *Machine) rebootNode(ctx context.Context, r *runRecord, n *rack.Node) error {
	if r.Apply.BootID == "" {
		res, err := m.onNode(ctx, n, "asking for its boot ID", "cat /proc/sys/kernel/random/boot_id", nil, lookTime)
		if err != nil {
			return err
		}
		id := strings.TrimSpace(string(res.Stdout))
		if !guid.MatchString(id) {
			return &applyError{fmt.Sprintf("its boot ID is %.40q", id), codeFailed}
		}
		if err := m.updateRun(ctx, r.ID, func(r *runRecord) { r.Apply.BootID = id }); err != nil {
			return err
		}
	}
	rec := m.record(n.Primary)
	if rec.State != Ready || r.Apply.returned(rec) {
		return nil // it is on its way, or went by itself
	}
	return m.transition(ctx, n.Primary, Installed, func(rec *Record) error {
		if r.Apply.Cost != api.CostWipeRoot {
			rec.Awaited = true
			return nil
		}
		if rec.Install.Renew == nil {
			return &applyError{"its new Ignition config is not in place", codeFailed}
		}
		rec.Install.Callback, rec.Callback = rec.Install.Renew.Token, nil
		return nil
	})
}

// returned reports whether the system with the new root called back.
func (a *applying) returned(rec *Record) bool {
	return a.Cost == api.CostWipeRoot && rec.Callback != nil && rec.Install != nil && rec.Install.Renew == nil && same(rec.Install.Callback, a.Token)
}

// awaitReturn orders the reboot until it is seen to have begun, and waits for the node: for its callback after a new root, else
// for another boot ID, over SSH with its own host key.
func (m *Machine) awaitReturn(ctx context.Context, r *runRecord, n *rack.Node) error {
	for seen := ""; ; {
		changed := m.entry(n.Primary).changed.next()
		rec := m.record(n.Primary)
		if r.Apply.returned(rec) {
			return nil
		}
		if rec.State == Failed || rec.State == Excluded {
			return &applyError{"the node is " + string(rec.State) + ": " + rec.Reason, codeFailed}
		}
		id, err := m.lookAtBoot(ctx, n, r.Apply.BootID)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			seen = err.Error()
		case id == r.Apply.BootID:
			seen = "it has not rebooted"
		case r.Apply.Cost == api.CostWipeRoot:
			seen = "it runs again, and did not call back"
		default:
			return m.isBack(ctx, r, n)
		}
		rec = m.record(n.Primary)
		if limit := m.limit(rec); limit > 0 && m.timeLeft(rec) <= 0 {
			return &applyError{fmt.Sprintf("it is not back %s after its reboot: %s", limit, seen), codeUnreached}
		}
		wait := time.NewTimer(m.applyPause())
		select {
		case <-ctx.Done():
		case <-changed:
		case <-wait.C:
		}
		wait.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// lookAtBoot asks a node which boot it is in, and has the old one ended. The error tells only that it cannot be asked now.
func (m *Machine) lookAtBoot(ctx context.Context, n *rack.Node, old string) (string, error) {
	a, ok := m.Assigned(n.Primary)
	if !ok {
		return "", errors.New("it has no address in the plan")
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	res, err := m.needs.Remote.Run(ctx, n, a.Addr, rebootScript(old), nil)
	id, _, _ := strings.Cut(strings.TrimSpace(string(res.Stdout)), "\n")
	switch {
	case err != nil && id == "":
		return "", err
	case !guid.MatchString(id):
		return "", fmt.Errorf("its boot ID is %.40q", id)
	}
	return id, nil // a connection that broke after that is the reboot
}

// isBack takes a node that was rebooted back as ready.
func (m *Machine) isBack(ctx context.Context, r *runRecord, n *rack.Node) error {
	m.note(n.Primary, event.Event{Kind: event.RunChange, Run: r.ID, Message: "it is back after its reboot"})
	back := func(rec *Record) error {
		rec.Awaited = false
		return nil
	}
	if rec := m.record(n.Primary); rec.State == Installed || rec.State == Booted {
		return m.transition(ctx, n.Primary, Ready, back)
	}
	return m.update(ctx, n.Primary, back)
}
