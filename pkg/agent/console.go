package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// openConsoles gives a writer to every console that the kernel writes to: a serial line for the BMC's SOL and a screen for
// who stands at the rack. /dev/console alone would be only the last of them.
func openConsoles(sys, dev string) io.Writer {
	names := []string{"console"}
	if b, err := os.ReadFile(filepath.Join(sys, "class/tty/console/active")); err == nil && len(strings.Fields(string(b))) > 0 {
		names = strings.Fields(string(b))
	}
	var out consoles
	for _, n := range names {
		if f, err := os.OpenFile(filepath.Join(dev, n), os.O_WRONLY, 0); err == nil {
			out = append(out, f)
		}
	}
	return out
}

// consoleTime bounds a write: a serial line that is held by flow control must not hold the agent, too.
const consoleTime = time.Second

// consoles writes to each, and never fails.
type consoles []*os.File

// Write implements io.Writer. Lines end as terminals want it, for the console may be in raw mode.
func (c consoles) Write(p []byte) (int, error) {
	line := []byte(strings.ReplaceAll("racker: "+string(p), "\n", "\r\n"))
	for _, f := range c {
		_ = f.SetWriteDeadline(time.Now().Add(consoleTime))
		_, _ = f.Write(line) // nobody may be told where the console does not work
	}
	return len(p), nil
}

// Levels of kernel messages (kernel, Documentation/core-api/printk-basics.rst): the console shows errors, the log takes
// warnings, too.
const (
	consoleLevel = "4\n"
	logLevel     = 4
)

// quietKernel keeps the kernel's information off the console, which is slow.
func quietKernel(proc string) error {
	return os.WriteFile(filepath.Join(proc, "sys/kernel/printk"), []byte(consoleLevel), 0o644)
}

// panicReboot makes a machine whose kernel panics try again instead of standing still.
func panicReboot(proc string) error {
	return os.WriteFile(filepath.Join(proc, "sys/kernel/panic"), []byte("60\n"), 0o644)
}

// followKernel copies the kernel's warnings and errors into the log until ctx is done: a disk that fails tells why there.
func followKernel(ctx context.Context, book *Logbook, dev string) error {
	f, err := os.Open(filepath.Join(dev, "kmsg"))
	if err != nil {
		return fmt.Errorf("open the kernel's log: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })
	defer stop()
	defer f.Close()
	buf := make([]byte, 8192)
	for {
		n, err := f.Read(buf) // one record at a time
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOverrun):
			continue
		case err != nil:
			return fmt.Errorf("read the kernel's log: %w", err)
		}
		if text, ok := kernelLine(string(buf[:n]), logLevel); ok {
			book.note([]byte("kernel: " + text + "\n"))
		}
	}
}

// kernelLine reads one record of /dev/kmsg, "PRIORITY,SEQUENCE,TIME,FLAGS;TEXT" and continuation lines; ok is false for
// what is less important than level.
func kernelLine(record string, level int) (text string, ok bool) {
	head, rest, found := strings.Cut(record, ";")
	prio, _, _ := strings.Cut(head, ",")
	var n int
	if _, err := fmt.Sscanf(prio, "%d", &n); err != nil || !found {
		return "", false
	}
	text, _, _ = strings.Cut(rest, "\n")
	const severity, facility = 7, 3
	return text, n&severity <= level && n>>facility == 0
}
