// Package cli is racker's command line: one file per command, built by root.go into one tree, with one place that
// turns errors into text and exit codes.
//
// Commands return errors and never print them. A command gets what it needs from its Env; nothing is global.
package cli

import (
	"context"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// Main runs the command line args, its first word being the program's name, and gives the exit code. SIGINT and
// SIGTERM end it in order; a second one ends it at once. A command that follows a run asks at SIGINT first.
func Main(args []string) int {
	taken := &interrupts{}
	ctx, stop := taken.watch(context.Background())
	defer stop()
	env := newEnv(stdio.System(config.Getenv))
	env.words, env.sudoUser, env.interrupts = args, config.Getenv("SUDO_USER"), taken
	return run(ctx, env, args)
}

// run is Main in a given environment.
func run(ctx context.Context, env *Env, args []string) int {
	words := []string{}
	if len(args) > 1 {
		words = args[1:]
	}
	return execute(ctx, env, newRootCmd(env), words)
}

// execute runs the command of a tree that words name. A panic is a mistake of ours, and ends with a trace to report.
func execute(ctx context.Context, env *Env, root *cobra.Command, words []string) (code int) {
	defer func() {
		if v := recover(); v != nil {
			env.IO.Errf("racker: internal error: %v\n%s", v, debug.Stack())
			code = codeFailed
		}
	}()
	words = doubleDashes(root, words)
	root.SetArgs(words)
	if err := root.ExecuteContext(ctx); err != nil {
		return env.report(ctx, err, words)
	}
	return codeOK
}
