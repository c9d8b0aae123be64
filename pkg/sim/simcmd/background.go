package simcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/racker-project/racker/pkg/sim"
)

// readyLine is what a detached supervisor writes to its ready descriptor; anything else is why it did not start.
const readyLine = "ready"

// Flags that are the starting program's own.
const (
	flagDetach = "detach"
	flagWait   = "wait"
	flagReady  = "ready-fd"
)

// background is how a supervisor is started: in front, or as a session of its own.
type background struct {
	detach  bool
	wait    bool
	readyFD int
}

func (b *background) flags(f *pflag.FlagSet, what string) {
	f.BoolVar(&b.detach, flagDetach, false, "run in the background, with the log in DIR/sim.log")
	f.BoolVar(&b.wait, flagWait, true, "with --detach, return only when "+what+" is up")
	f.IntVar(&b.readyFD, flagReady, 0, "descriptor to report readiness on")
	if err := f.MarkHidden(flagReady); err != nil {
		panic(err) // the flag is the line above
	}
}

// report gives a function that tells who started this program how it went, once.
func (b *background) report() func(line string) {
	if b.readyFD <= 0 {
		return func(string) {}
	}
	pipe := os.NewFile(uintptr(b.readyFD), "ready")
	return func(line string) {
		_, _ = fmt.Fprintln(pipe, line) // who started this may be gone
		pipe.Close()
	}
}

// again starts this program again as a session of its own, with the same flags, and returns when that one is up.
func (b *background) again(ctx context.Context, e *env, folder sim.Folder, command string, flags *pflag.FlagSet) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	if err := folder.Make(); err != nil {
		return err
	}
	log, err := os.OpenFile(folder.Log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	defer log.Close()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	defer ready.Close()
	defer context.AfterFunc(ctx, func() { ready.Close() })()
	args := []string{command, "--" + flagReady, "3"}
	flags.Visit(func(f *pflag.Flag) {
		if f.Name != flagDetach && f.Name != flagWait {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	cmd := exec.Command(self, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = e.environ, log, log, []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	if !b.wait {
		return cmd.Process.Release()
	}
	line, err := bufio.NewReader(ready).ReadString('\n')
	switch line = strings.TrimSpace(line); {
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), cmd.Process.Signal(syscall.SIGTERM), ignoreExit(cmd.Wait()))
	case line == readyLine:
		return cmd.Process.Release()
	case line != "":
		return errors.Join(errors.New(line), ignoreExit(cmd.Wait()))
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the rack ended while it started: see %s", folder.Log())
	}
	return fmt.Errorf("start in the background: %w", err)
}

// ignoreExit drops the error of a process that said itself why it failed.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
