// Package simcmd is the command line of racker-sim: a simulated rack for trying racker on.
//
// Commands return errors and never print them; Main turns an error into one line on standard error and an exit code:
// 0 ok, 1 failed, 2 usage, 130 interrupted. `exec` has the exit code of its command.
package simcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/stdio"
)

// Exit codes.
const (
	codeOK          = 0
	codeFailed      = 1
	codeUsage       = 2
	codeInterrupted = 130
)

// errUsage is matched by errors of a command line that cannot be understood.
var errUsage = errors.New("usage")

// env is what every command gets.
type env struct {
	streams *stdio.Streams
	// environ is the environment for commands on the management node.
	environ []string
	dir     string
}

// Main runs the command line args, its first word being the program's name, in the environment environ, and gives the
// exit code.
func Main(args, environ []string, streams *stdio.Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the context is done the default handlers are back, so that a second Ctrl-C kills.
	defer context.AfterFunc(ctx, stop)()
	e := &env{streams: streams, environ: environ}
	root := newRoot(e)
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return codeOK
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return codeInterrupted
	}
	_, _ = fmt.Fprintf(streams.Err, "racker-sim: error: %v\n%s", err, hint(err)) // nobody left to tell
	if errors.Is(err, errUsage) {
		return codeUsage
	}
	return codeFailed
}

// hint names the command that helps, if there is one.
func hint(err error) string {
	switch {
	case errors.Is(err, sim.ErrNotRunning):
		return "racker-sim: hint: racker-sim up --dir DIR --detach\n"
	case errors.Is(err, sim.ErrRunning):
		return "racker-sim: hint: racker-sim down --dir DIR\n"
	default:
		return ""
	}
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "racker-sim",
		Short: "A simulated rack: QEMU servers, or a fleet of fake ones, with virtual BMCs in network namespaces",
		Example: `  racker-sim up --dir /tmp/rack --detach
  racker-sim exec --dir /tmp/rack -- racker serve
  racker-sim status --dir /tmp/rack
  racker-sim down --dir /tmp/rack`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.streams.In)
	root.SetOut(e.streams.Out)
	root.SetErr(e.streams.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newUp(e), newFleet(e), newExec(e), newStatus(e), newDown(e), newConsole(e), newPower(e), newFault(e), newOS(e))
	return root
}

// rackFlag adds --dir to a command that works on a rack.
func (e *env) rackFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&e.dir, "dir", "", "folder of the rack (required)")
	return cmd
}

// folder is the rack's folder as --dir names it.
func (e *env) folder() (sim.Folder, error) {
	if e.dir == "" {
		return "", fmt.Errorf("%w: --dir is missing: name the folder of the rack", errUsage)
	}
	return sim.OpenFolder(e.dir)
}

// usageArgs marks the errors of an argument check as errors of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %s: %w", errUsage, cmd.CommandPath(), err)
		}
		return nil
	}
}
