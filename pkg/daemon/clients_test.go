package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

const (
	followers = 100
	askers    = 100
	perAsker  = 5
)

// settled waits until no more goroutines run than before.
func settled(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for n := runtime.NumGoroutine(); n > before; n = runtime.NumGoroutine() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d:\n%s", n, before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}

// Two hundred clients at once: half of them follow the events and miss none, half ask for all nodes.
func TestTwoHundredClients(t *testing.T) {
	before := runtime.NumGoroutine()
	bus := event.NewBus()
	a := newAPI(filepath.Join(t.TempDir(), "racker.sock"), bus)
	stop := started(t, a)
	after := bus.Last()
	const events = 300
	var g errgroup.Group
	ready := make(chan struct{}, followers)
	for range followers {
		g.Go(func() error { return follow(t.Context(), api.NewClient(a.Path), after, events, 1, ready) })
	}
	for range askers {
		g.Go(func() error {
			for range perAsker {
				if nodes, err := api.NewClient(a.Path).Nodes(t.Context(), false); err != nil || len(nodes) != 1 {
					return fmt.Errorf("%d nodes: %w", len(nodes), err)
				}
			}
			return nil
		})
	}
	bus.Publish(event.Event{Message: "0"})
	for range followers {
		<-ready
	}
	for i := 1; i < events; i++ {
		bus.Publish(event.Event{Message: fmt.Sprint(i)})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	settled(t, before)
}

// follow reads so many events, which are numbered, and says when it has some of them.
func follow(ctx context.Context, c *api.Client, after uint64, events, some int, ready chan<- struct{}) error {
	next := 0
	for e, err := range c.Stream(ctx, api.EventQuery{Follow: true, After: after}) {
		if err != nil {
			return err
		}
		if e.Message != fmt.Sprint(next) {
			return fmt.Errorf("event %d is %q", next, e.Message)
		}
		if next++; next == some {
			ready <- struct{}{}
		}
		if next == events {
			return nil
		}
	}
	return fmt.Errorf("the stream ended after %d events", next)
}

// The daemon stops in time though clients follow, sleep over what they should read, send no end of a body, or wait.
func TestStopsUnderLoad(t *testing.T) {
	before := runtime.NumGoroutine()
	bus := event.NewBus()
	a := newAPI(filepath.Join(t.TempDir(), "racker.sock"), bus)
	stop := started(t, a)
	heads := []string{
		"GET /v1/events?follow=1 HTTP/1.1\r\nHost: r\r\n\r\n", // never reads
		"POST /v1/runs HTTP/1.1\r\nHost: r\r\nContent-Length: 100\r\n\r\n{",
		"POST /v1/images HTTP/1.1\r\nHost: r\r\nContent-Length: 100\r\n\r\nx",
		"GET /v1/nodes/slow HTTP/1.1\r\nHost: r\r\n\r\n",
		"POST /v1/nodes/slow/adopt HTTP/1.1\r\nHost: r\r\nContent-Length: 0\r\n\r\n",
		"GET /v1/", // never ends its head
		"",
	}
	const published, readers = 60, 30 // of four kilobytes: more than the buffers of a socket, less than what the bus takes for slow
	var asleep []net.Conn
	for range 10 {
		for _, head := range heads {
			conn, err := new(net.Dialer).DialContext(t.Context(), "unix", a.Path)
			if err != nil {
				t.Fatal(err)
			}
			asleep = append(asleep, conn)
			if _, err := conn.Write([]byte(head)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var g errgroup.Group
	ready := make(chan struct{}, readers)
	after := bus.Last()
	for range readers {
		g.Go(func() error {
			if err := follow(t.Context(), api.NewClient(a.Path), after, 1<<20, published, ready); api.Unreachable(err) {
				return fmt.Errorf("the stream broke: %w", err)
			}
			return nil // it ended, with a last line
		})
	}
	pad := strings.Repeat("x", 4<<10)
	for i := range published {
		bus.Publish(event.Event{Message: fmt.Sprint(i), Fields: map[string]string{"pad": pad}})
	}
	for range readers {
		<-ready
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for _, conn := range asleep {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	settled(t, before)
}

// An order is carried out to its end though its client has gone.
func TestOrderOutlivesItsClient(t *testing.T) {
	a := newAPI(filepath.Join(t.TempDir(), "racker.sock"), event.NewBus())
	in, out := make(chan struct{}), make(chan error, 1)
	a.Orders = waits{in: in, out: out}
	stop := started(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := api.NewClient(a.Path).Adopt(ctx, "n1")
		gone <- err
	}()
	<-in
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := api.NewClient(a.Path).Rack(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-out:
		t.Fatalf("the order ended with its client: %v", err)
	default:
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-out; !errors.Is(err, context.Canceled) {
		t.Errorf("at the daemon's end: %v", err)
	}
	last := a.Audit.(*book).entries[1]
	if last.Result != "the daemon is stopping" {
		t.Errorf("%+v", last)
	}
}

// waits carries an order out until the daemon stops.
type waits struct {
	clerk
	in  chan struct{}
	out chan error
}

func (w waits) Adopt(ctx context.Context, _ string) (api.OrderView, error) {
	close(w.in)
	<-ctx.Done()
	w.out <- ctx.Err()
	return api.OrderView{}, ctx.Err()
}

// A socket whose seats are all taken says so, and the other one goes on.
func TestTooManyRequests(t *testing.T) {
	a := newAPI("", nil)
	release := make(chan struct{})
	inside := make(chan struct{}, maxClients)
	h := a.seated(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-release
	}))
	var g errgroup.Group
	request := func(c caller) *http.Request {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), callerKey{}, c), "GET", "/v1/rack", nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range maxClients {
		r := request(caller{looks: true})
		g.Go(func() error {
			h.ServeHTTP(&silent{header: http.Header{}}, r)
			return nil
		})
	}
	for range maxClients {
		<-inside
	}
	full := &silent{header: http.Header{}}
	h.ServeHTTP(full, request(caller{looks: true}))
	if full.status != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", full.status)
	}
	r := request(caller{})
	g.Go(func() error {
		h.ServeHTTP(&silent{header: http.Header{}}, r)
		return nil
	})
	<-inside // those who may order have seats of their own
	close(release)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// Real curl, over both sockets, for whatever is only looked at.
func TestCurl(t *testing.T) {
	bus, _ := published(event.Event{Message: "one"})
	a, _ := serving(t, bus)
	for _, socket := range []string{a.Path, api.ReadSocket(a.Path)} {
		for _, rt := range a.routes(newMeter(a)) {
			if rt.order() {
				continue
			}
			path := strings.NewReplacer("{", "", "}", "").Replace(rt.path)
			cmd := exec.CommandContext(t.Context(), "curl", "--silent", "--show-error", "--fail", "--max-time", "30",
				"--unix-socket", socket, "http://racker"+path)
			out, err := cmd.CombinedOutput()
			if err != nil || len(out) == 0 {
				t.Errorf("curl %s %s: %v %s", filepath.Base(socket), path, err, out)
			}
		}
	}
}
