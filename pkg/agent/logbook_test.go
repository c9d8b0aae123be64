package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogbookTail(t *testing.T) {
	t.Parallel()
	var console strings.Builder
	l := NewLogbook(&console)
	for i := range 3000 {
		fmt.Fprintf(l, "line %05d of a log that is longer than its tail\n", i)
	}
	tail := l.Tail()
	if len(tail) > tailSize || len(tail) < tailSize-100 {
		t.Errorf("tail of %d bytes", len(tail))
	}
	if !strings.HasPrefix(tail, "line ") || !strings.HasSuffix(tail, "line 02999 of a log that is longer than its tail\n") {
		t.Errorf("tail %q ... %q", tail[:20], tail[len(tail)-60:])
	}
	if n := strings.Count(console.String(), "\n"); n != 3000 {
		t.Errorf("%d lines on the console", n)
	}
	if got := NewLogbook(nil); got.Tail() != "" || got.batch() != nil {
		t.Error("an empty log is not empty")
	}
}

// TestLogbookShip sends to a server that refuses at first, and then takes everything once, in order, at a pace.
func TestLogbookShip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLogbook(nil)
		var got strings.Builder
		calls := 0
		send := func(_ context.Context, lines []byte) error {
			if calls++; calls < 4 {
				return errors.New("no session yet")
			}
			if len(lines) > batchSize {
				t.Errorf("a batch of %d bytes", len(lines))
			}
			got.Write(lines)
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var owner sync.WaitGroup
		owner.Go(func() { l.ship(ctx, time.Second, send) })
		var want strings.Builder
		for i := range 4000 {
			line := fmt.Sprintf("line %05d, and some more of it to fill a batch\n", i)
			want.WriteString(line)
			if _, err := l.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		cancel()
		owner.Wait()
		if got.String() != want.String() {
			t.Errorf("got %d bytes, want %d", got.Len(), want.Len())
		}
		if calls > 10 {
			t.Errorf("%d requests for %d bytes", calls, want.Len())
		}
	})
}

// TestLogbookOverflow has no server for long: memory is bounded, and the gap is told.
func TestLogbookOverflow(t *testing.T) {
	t.Parallel()
	l := NewLogbook(nil)
	line := strings.Repeat("x", 1023) + "\n"
	for range 2 * pendingSize / len(line) {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	l.flush(t.Context(), func(_ context.Context, b []byte) error { got.Write(b); return nil })
	if !strings.HasPrefix(got.String(), "(older lines were dropped)\n") || got.Len() > pendingSize+100 {
		t.Errorf("%d bytes, beginning with %q", got.Len(), got.String()[:30])
	}
	if _, err := l.Write([]byte(strings.Repeat("y", 2*batchSize))); err != nil {
		t.Fatal(err)
	}
	if b := l.batch(); len(b) != batchSize {
		t.Errorf("a line without an end gives a batch of %d bytes", len(b))
	}
}

func TestKernelLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		record, want string
		ok           bool
	}{
		{"3,1023,5140900,-;blk_update_request: I/O error, dev sda\n SUBSYSTEM=block\n", "blk_update_request: I/O error, dev sda", true},
		{"4,1,2,-;warning\n", "warning", true},
		{"6,1,2,-;information\n", "information", false},
		{"12,1,2,-;from user space\n", "from user space", false},
		{"no record", "", false},
		{"x,1;y", "", false},
	} {
		if got, ok := kernelLine(c.record, logLevel); got != c.want || ok != c.ok {
			t.Errorf("%q gives %q, %v", c.record, got, ok)
		}
	}
}

func FuzzKernelLine(f *testing.F) {
	f.Add("6,339,5140900,-;NET: Registered protocol family 10\n")
	f.Add(";")
	f.Fuzz(func(t *testing.T, s string) {
		if text, _ := kernelLine(s, logLevel); strings.Contains(text, "\n") {
			t.Errorf("%q gives two lines", s)
		}
	})
}
