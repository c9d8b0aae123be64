package vmtest

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/sim"
)

// poll is how often a condition is looked at.
const poll = 50 * time.Millisecond

// Status gives what the servers are doing.
func (r *Running) Status() *sim.Status {
	r.t.Helper()
	st, err := r.Client.Status(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}

// Node gives what one server is doing.
func (r *Running) Node(name string) sim.NodeStatus {
	r.t.Helper()
	n := r.Status().Find(name)
	if n == nil {
		r.t.Fatalf("no server %s in the rack", name)
	}
	return *n
}

// Wait waits until the condition holds, at most for the time given. what says for what, in the error.
func (r *Running) Wait(limit time.Duration, what string, holds func(*sim.Status) bool) {
	r.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		st := r.Status()
		if holds(st) {
			return
		}
		if time.Now().After(deadline) {
			b, err := json.Marshal(st)
			r.t.Fatalf("waited %s for %s; the servers: %s %v", limit, what, b, err)
		}
		time.Sleep(poll)
	}
}

// WaitState waits until each of the servers is in the state.
func (r *Running) WaitState(limit time.Duration, state sim.State, nodes ...string) {
	r.t.Helper()
	r.Wait(limit, strings.Join(nodes, ", ")+" to be "+string(state), func(st *sim.Status) bool {
		for _, name := range nodes {
			if n := st.Find(name); n == nil || n.State != state {
				return false
			}
		}
		return true
	})
}

// WaitConsole waits until a server has printed the text on its serial console at least count times since the rack's start.
func (r *Running) WaitConsole(limit time.Duration, node, text string, count int) {
	r.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		b, err := os.ReadFile(r.Folder.Console(node))
		if err != nil {
			r.t.Fatal(err)
		}
		if strings.Count(string(b), text) >= count {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s for %s to print %q %d times; its console ends in:\n%s", limit, node, text, count, tail(b))
		}
		time.Sleep(poll)
	}
}

// WaitFile waits until a file, such as a program's log, holds the text.
func (r *Running) WaitFile(limit time.Duration, name, text string) {
	r.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		b, err := os.ReadFile(name)
		if strings.Contains(string(b), text) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s for %q in %s (%v); it ends in:\n%s", limit, text, name, err, tail(b))
		}
		time.Sleep(poll)
	}
}

func tail(b []byte) string {
	const most = 2000
	return string(b[max(0, len(b)-most):])
}

// WaitPath waits until there is something at the path.
func (r *Running) WaitPath(limit time.Duration, name string) {
	r.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(poll) {
		_, err := os.Stat(name)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s: %v", limit, err)
		}
	}
}
