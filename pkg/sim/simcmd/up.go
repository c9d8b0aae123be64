package simcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/sim"
)

// readyLine is what a detached supervisor writes to its ready descriptor; anything else is why it did not start.
const readyLine = "ready"

type upOptions struct {
	*env
	nodes   string
	detach  bool
	wait    bool
	address bool
	powerOn bool
	readyFD int
}

func newUp(e *env) *cobra.Command {
	o := &upOptions{env: e}
	cmd := &cobra.Command{
		Use:   "up --dir DIR [--nodes nodes.csv] [--detach]",
		Short: "Bring up a rack: its networks, servers (powered off) and BMCs",
		Long: `Bring up the rack of DIR/oem/nodes.csv: its networks, its servers (powered off) and their BMCs. Without that file and
without --nodes, a rack of a management node and three servers is made there. DIR/sim.yaml, if there is one, says more about
the servers' hardware. The rack runs until Ctrl-C, or until racker-sim down; its disks stay in DIR.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.nodes, "nodes", "", "nodes.csv to copy into the rack; its first row is the management node")
	f.BoolVar(&o.detach, "detach", false, "run in the background, with the log in DIR/sim.log")
	f.BoolVar(&o.wait, "wait", true, "with --detach, return only when the rack is up")
	f.BoolVar(&o.address, "address", false, "give the management node's internal NIC its address, which racker does otherwise")
	f.BoolVar(&o.powerOn, "power-on", false, "switch every server on")
	f.IntVar(&o.readyFD, "ready-fd", 0, "descriptor to report readiness on")
	if err := f.MarkHidden("ready-fd"); err != nil {
		panic(err) // the flag is the line above
	}
	return e.rackFlag(cmd)
}

func (o *upOptions) run(ctx context.Context) error {
	folder, err := o.folder()
	if err != nil {
		return err
	}
	if o.detach {
		return o.background(ctx, folder)
	}
	log := slog.New(slog.NewTextHandler(o.streams.Err, nil))
	report := func(string) {}
	if o.readyFD > 0 {
		pipe := os.NewFile(uintptr(o.readyFD), "ready")
		report = func(line string) {
			_, _ = fmt.Fprintln(pipe, line) // who started this may be gone
			pipe.Close()
		}
	}
	rack, err := sim.New(ctx, folder, sim.Options{Nodes: o.nodes, Address: o.address, PowerOn: o.powerOn, Log: log})
	if err != nil {
		report(err.Error())
		return err
	}
	return rack.Run(ctx, func() {
		log.Info("rack is up", "file", string(folder))
		report(readyLine)
	})
}

// background starts this program again as a session of its own, and returns when that one is up.
func (o *upOptions) background(ctx context.Context, folder sim.Folder) error {
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
	args := []string{"up", "--dir", string(folder), "--ready-fd", "3"}
	if o.nodes != "" {
		args = append(args, "--nodes", o.nodes)
	}
	args = append(args, fmt.Sprintf("--address=%t", o.address), fmt.Sprintf("--power-on=%t", o.powerOn))
	cmd := exec.Command(self, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = o.environ, log, log, []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	if !o.wait {
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
