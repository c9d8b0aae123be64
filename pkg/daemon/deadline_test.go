package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/racker-project/racker/pkg/event"
)

// pipes is a listener whose connections have no buffers, and live in the test's own time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// inBubble runs the API in a time of its own, and gives each test one connection to it.
func inBubble(t *testing.T, test func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newAPI("", event.NewBus())
		var busy sync.WaitGroup
		srv := a.server(t.Context(), newMeter(a), &busy)
		srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, caller{})
		}
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- srv.Serve(l) }()
		mine, theirs := net.Pipe()
		l.conns <- theirs
		test(t, mine)
		_ = mine.Close()
		if err := errors.Join(srv.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		busy.Wait()
	})
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// gone waits for the end of a connection and gives the time that it took; what comes before the end is dropped.
func gone(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestSlowHead(t *testing.T) {
	inBubble(t, func(t *testing.T, conn net.Conn) {
		send(t, conn, "GET /v1/")
		if took := gone(t, conn); took != headerTime {
			t.Errorf("cut after %v", took)
		}
	})
}

func TestIdleConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, conn net.Conn) {
		in := bufio.NewReader(conn)
		for range 3 {
			send(t, conn, "GET /v1/rack HTTP/1.1\r\nHost: r\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status, err)
			}
			_ = resp.Body.Close()
			time.Sleep(idleTime - time.Second) // the deadline of the answer before is long over
		}
		if took := gone(t, conn); took != time.Second {
			t.Errorf("cut after %v more", took)
		}
	})
}

func TestSlowBody(t *testing.T) {
	for path, piece := range map[string]time.Duration{"/v1/runs": bodyTime / 3, "/v1/images": bodyTime + time.Second} {
		inBubble(t, func(t *testing.T, conn net.Conn) {
			began := time.Now()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\n"); err != nil {
					t.Error(err)
				}
				for {
					if _, err := io.WriteString(conn, "x"); err != nil {
						return
					}
					time.Sleep(piece)
				}
			}()
			b, err := io.ReadAll(conn)
			took := time.Since(began)
			if err != nil || !strings.Contains(string(b), "came too slowly") || took < bodyTime || took > bodyTime+time.Second {
				t.Errorf("%s: after %v: %v %s", path, took, err, b)
			}
			<-sent
		})
	}
}

func TestSleepingReader(t *testing.T) {
	for _, path := range []string{"/v1/rack", "/v1/events?follow=1", "/v1/nothing", "/metrics"} {
		inBubble(t, func(t *testing.T, conn net.Conn) {
			send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: r\r\n\r\n")
			began := time.Now()
			time.Sleep(writeTime + time.Second) // it reads nothing
			if _, err := io.WriteString(conn, "x"); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: not cut after %v: %v", path, time.Since(began), err)
			}
		})
	}
}

func TestImageMayTakeItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, conn net.Conn) {
		const pieces = 20
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(conn, "POST /v1/images?name=os HTTP/1.1\r\nHost: r\r\nConnection: close\r\nContent-Length: 20\r\n\r\n") // shows below
			for range pieces {
				_, _ = io.WriteString(conn, "x")
				time.Sleep(bodyTime - time.Second)
			}
		}()
		b, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(b), `"raw_size":20`) {
			t.Errorf("%v %s", err, b)
		}
		<-sent
	})
}

// A body that nobody takes is not waited for.
func TestUnwantedBody(t *testing.T) {
	for _, path := range []string{"/v1/runs", "/v1/nothing", "/v1/nodes/n1/adopt"} {
		inBubble(t, func(t *testing.T, conn net.Conn) {
			began := time.Now()
			send(t, conn, "POST "+path+" HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\n{")
			b, err := io.ReadAll(conn)
			if took := time.Since(began); err != nil || !strings.Contains(string(b), "408 Request Timeout") || took > bodyTime+time.Second {
				t.Errorf("%s: after %v: %v %s", path, took, err, b)
			}
		})
		inBubble(t, func(t *testing.T, conn net.Conn) {
			send(t, conn, "GET /v1/rack HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\n{")
			if took := gone(t, conn); took > bodyTime+time.Second {
				t.Errorf("a GET with a body: cut after %v", took)
			}
		})
	}
}
