package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/cli/serve"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/stdio"
	"github.com/racker-project/racker/pkg/store"
)

type stateImportOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	Now      func() time.Time
	File     string // "-" is stdin
	Replace  bool
	Yes      bool
	JSON     bool
}

func newStateImportCmd(env *Env) *cobra.Command {
	o := &stateImportOptions{IO: env.IO, Settings: env.Settings, Now: time.Now}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put an exported state in the place of the daemon's",
		Long: `import reads an export, checks it whole, and makes it the state that the next racker serve begins with. The daemon must be
stopped. A state that has anything in it is replaced only with --replace and a confirmation, and is kept beside the new one. After a
crash at any point the old state or the new one is there. With - for FILE the export comes from stdin.

Runs that were under way when the state was exported do not go on: they are cancelled, and their nodes fail without being
touched. An export of an older racker is migrated; one of a newer racker is refused.

Exit codes: 0 ok; 1 failed, or not a whole export; 2 usage; 4 not confirmed; 5 the daemon, or another racker, holds the state.`,
		Example: "  racker state import racker-state.jsonl\n  racker state import racker-state.jsonl --replace --yes",
		Args:    oneWord("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.File = env.JSON, args[0]
			return rootHint(stateHint(o.run(cmd.Context())))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Replace, "replace", false, "replace a state that is not empty; it is kept as a file beside it")
	f.BoolVar(&o.Yes, "yes", false, "do not ask")
	return cmd
}

// stateImported is the answer of state import.
type stateImported struct {
	State string   `json:"state"` // the file
	Keys  int      `json:"keys"`
	Kept  string   `json:"kept,omitempty"` // the state before
	Ended []string `json:"ended"`          // runs and nodes that were under way
}

func (o *stateImportOptions) run(ctx context.Context) (err error) {
	s, err := o.Settings()
	if err != nil {
		return err
	}
	snapshot, head, err := o.read()
	if err != nil {
		return err
	}
	answer := stateImported{State: serve.StatePath(s), Keys: len(snapshot.KVs)}
	if snapshot.KVs, answer.Ended, err = provision.Settle(snapshot.KVs, o.Now()); err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	held, err := store.Hold(answer.State, store.Options{})
	if errors.Is(err, store.ErrLocked) {
		return withHint(err, "stop the daemon first: systemctl stop racker, or end racker serve")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	if err := o.confirm(ctx, held, head); err != nil {
		return err
	}
	if answer.Kept, err = held.Replace(ctx, snapshot, o.Now()); err != nil {
		return err
	}
	return o.report(answer)
}

func (o *stateImportOptions) read() (*store.Snapshot, store.ExportHeader, error) {
	in := o.IO.In
	if o.File != streamWord {
		f, err := os.Open(o.File)
		if err != nil {
			return nil, store.ExportHeader{}, err
		}
		defer f.Close()
		in = f
	}
	snapshot, head, err := store.ReadExport(in)
	if err != nil {
		err = fmt.Errorf("%s: %w", o.File, err)
	}
	return snapshot, head, err
}

// confirm asks before a state with anything in it is replaced.
func (o *stateImportOptions) confirm(ctx context.Context, held *store.Held, head store.ExportHeader) error {
	var has string
	switch {
	case held.Damaged != nil:
		has = fmt.Sprintf("The state %s cannot be read: %v.", held.Path, held.Damaged)
	case held.Keys > 0:
		has = fmt.Sprintf("The state %s has %d keys.", held.Path, held.Keys)
	default:
		return nil
	}
	switch {
	case !o.Replace:
		return withHint(withCode(codeNotConfirmed, errors.New(has+" It was not replaced")), "racker state import "+o.File+" --replace")
	case o.Yes:
		return nil
	case !o.IO.CanPrompt() || o.File == streamWord:
		return withHint(withCode(codeNotConfirmed, errors.New(has+" There is no terminal to ask on")), "add --yes")
	}
	o.IO.Errf("%s\nThe export of %s has %d keys.\nReplace the state? Type yes: ", stdio.Clean(has),
		head.Time.Local().Format(time.DateTime), head.Keys)
	answer, err := readLine(ctx, o.IO.In)
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return withCode(codeNotConfirmed, errors.New("not confirmed; the state was not touched"))
	}
	return nil
}

func (o *stateImportOptions) report(a stateImported) error {
	for i, key := range a.Ended {
		noun, name, _ := strings.Cut(key, "/")
		a.Ended[i] = noun + " " + name
	}
	if o.JSON {
		a.Ended = append([]string{}, a.Ended...)
		return o.IO.JSON(a)
	}
	if err := o.IO.Outf("imported %d keys into %s\n", a.Keys, a.State); err != nil {
		return err
	}
	if a.Kept != "" {
		o.IO.Errf("The state before it is kept as %s; it holds secrets too.\n", a.Kept)
	}
	if len(a.Ended) > 0 {
		o.IO.Errf("Under way when the state was exported, and ended now: %s.\n", stdio.Clean(strings.Join(a.Ended, ", ")))
	}
	return nil
}
