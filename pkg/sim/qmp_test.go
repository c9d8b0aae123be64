package sim

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// bareQEMU starts a QEMU without a machine, for its monitor.
func bareQEMU(t *testing.T) *qemu {
	t.Helper()
	if _, err := exec.LookPath(qemuProgram); err != nil {
		t.Fatalf("the tests need QEMU (make deps): %v", err)
	}
	conn, theirs, err := socketPair()
	must(t, err)
	q, err := startQEMU(context.Background(), t.TempDir(), []string{
		"-machine", "none", "-nodefaults", "-display", "none", "-action", "shutdown=pause",
		"-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control",
	}, []*os.File{theirs})
	must(t, err)
	if q.monitor, err = newMonitor(conn); err != nil {
		t.Fatalf("%v: %v", err, q.fail())
	}
	return q
}

func TestMonitor(t *testing.T) {
	q := bareQEMU(t)
	defer q.stop()
	var version struct {
		QEMU struct{ Major int }
	}
	if err := q.monitor.command("query-version", nil, &version); err != nil || version.QEMU.Major == 0 {
		t.Errorf("query-version gives %+v, %v", version, err)
	}
	if err := q.monitor.command("query-nonsense", nil, nil); err == nil || !strings.Contains(err.Error(), "query-nonsense") {
		t.Errorf("an unknown command gives %v", err)
	}
	if n, err := q.monitor.written(); n != 0 || err != nil {
		t.Errorf("no disk has taken %d bytes, %v", n, err)
	}
	// The window's close button: a shutdown that the guest did not ask for.
	must(t, q.monitor.command("quit", nil, nil))
	select {
	case ev := <-q.monitor.events:
		if ev.Name != "SHUTDOWN" || ev.Data.Reason != "host-qmp-quit" {
			t.Errorf("quit gives event %+v", ev)
		}
	case <-time.After(time.Minute):
		t.Error("quit gives no event")
	}
}

func TestMonitorOfKilledQEMU(t *testing.T) {
	q := bareQEMU(t)
	q.kill()
	<-q.exited
	for range q.monitor.events {
		t.Error("an event of a QEMU that was killed")
	}
	if err := q.monitor.command("query-version", nil, nil); !errors.Is(err, errMonitorClosed) {
		t.Errorf("a command to a dead QEMU gives %v", err)
	}
	q.stop()
}

func TestQEMUSaysWhyItEnds(t *testing.T) {
	conn, theirs, err := socketPair()
	must(t, err)
	q, err := startQEMU(context.Background(), t.TempDir(), []string{"-machine", "abacus"}, []*os.File{theirs})
	must(t, err)
	_, err = newMonitor(conn)
	if !errors.Is(err, errMonitorClosed) {
		t.Errorf("the monitor of a QEMU that refuses its command line gives %v", err)
	}
	if err := q.fail(); !strings.Contains(err.Error(), "unsupported machine type") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("it says %v", err)
	}
}

func TestStartQEMUFails(t *testing.T) {
	before := openFiles(t)
	conn, theirs, err := socketPair()
	must(t, err)
	conn.Close()
	if _, err := startQEMU(context.Background(), "/nowhere", nil, []*os.File{theirs}); err == nil {
		t.Error("QEMU was started in a folder that is not there")
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files were open, and now %d", before, after)
	}
}
