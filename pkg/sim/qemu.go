package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// qemu is one running QEMU.
type qemu struct {
	monitor *monitor
	// inBand is the other end of the server's own interface to its BMC; nil for a server without one.
	inBand net.Conn
	// exited is closed when the process has been waited for.
	exited chan struct{}
	// ended is how it exited.
	ended error

	kill context.CancelFunc
	log  *os.File
	from int64 // where this process's part of the log begins
}

// startQEMU starts QEMU in the folder dir with the given command line. files become its descriptors 3 and up, and are
// closed here in any case. The process dies with this one, and when ctx is done.
func startQEMU(ctx context.Context, dir string, args []string, files []*os.File) (*qemu, error) {
	defer closeAll(files)
	q := &qemu{exited: make(chan struct{})}
	var err error
	if q.log, err = os.OpenFile(filepath.Join(dir, qemuLog), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	if q.from, err = q.log.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(fmt.Errorf("start QEMU: %w", err), q.log.Close())
	}
	ctx, q.kill = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, qemuProgram, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = dir, q.log, q.log, files
	// A group of its own, so that Ctrl-C on a terminal reaches only the supervisor.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread ends that made the process, so that thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("start QEMU: %w", err)
			return
		}
		started <- nil
		q.ended = cmd.Wait()
		close(q.exited)
	}()
	if err := <-started; err != nil {
		q.kill()
		return nil, errors.Join(err, q.log.Close())
	}
	return q, nil
}

// stop kills QEMU and waits for it. A disk's contents are safe: they are in the host's page cache.
func (q *qemu) stop() {
	q.kill()
	<-q.exited
	if q.monitor != nil {
		q.monitor.Close()
	}
	q.log.Close()
}

// fail stops a QEMU that ended, or misbehaved, by itself and gives what it said on its standard error.
func (q *qemu) fail() error {
	select {
	case <-q.exited:
	case <-time.After(time.Second): // its last words come after its monitor has closed
		q.kill()
		<-q.exited
	}
	b, err := io.ReadAll(io.NewSectionReader(q.log, q.from, 4096))
	text := strings.Join(strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' }), "; ")
	if err != nil || text == "" {
		text = "no message"
	}
	q.stop()
	return fmt.Errorf("QEMU ended (%s): %s", status(q.ended), text)
}

// status says how a process ended.
func status(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// socketPair makes two connected stream sockets: one for this process, one to hand to another.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "socketpair")
	theirs := os.NewFile(uintptr(fds[1]), "socketpair")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make socket pair: %w", err), theirs.Close())
	}
	return conn, theirs, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
