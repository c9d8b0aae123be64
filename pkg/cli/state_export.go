package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cli/serve"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
	"github.com/racker-project/racker/pkg/store"
)

// stateSource is a daemon that gives its state away; see api.Client.State.
type stateSource interface {
	State(ctx context.Context, file string) (io.ReadCloser, error)
}

type stateExportOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	Daemon   func() (stateSource, error)
	Now      func() time.Time
	File     string // "-" is stdout
	Replace  bool
	JSON     bool
}

// streamWord names stdin or stdout in the place of a file.
const streamWord = "-"

func newStateExportCmd(env *Env) *cobra.Command {
	o := &stateExportOptions{
		IO: env.IO, Settings: env.Settings, Now: time.Now, Daemon: func() (stateSource, error) { return env.client() },
	}
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the state to a file that another racker can import",
		Long: `export writes every key of the state as JSON lines, with a checksum at the end. It works while the daemon runs, which then
gives a copy of one moment, and without it. Without FILE, or with - for it, the export goes to stdout. The file gets mode 0600: the
state holds secrets, such as the key of racker's CA. Images and logs are not in it.

Exit codes: 0 ok; 1 failed; 2 usage.`,
		Example: "  racker state export racker-state.jsonl\n  racker state export | gpg --encrypt --recipient ops > state.gpg",
		Args:    atMostOneWord("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON = env.JSON
			if len(args) > 0 {
				o.File = args[0]
			}
			return rootHint(stateHint(o.run(cmd.Context())))
		},
	}
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "overwrite FILE when it is there")
	return cmd
}

// stateExported is the answer of state export.
type stateExported struct {
	File   string `json:"file"`
	Keys   int    `json:"keys"`
	Schema int    `json:"schema"`
}

func (o *stateExportOptions) run(ctx context.Context) error {
	if o.File == "" && o.IO.OutTTY {
		return withHint(usageError("FILE is missing: the state holds secrets, which are not for a terminal"),
			"racker state export FILE; - for FILE prints them all the same")
	}
	s, err := o.Settings()
	if err != nil {
		return err
	}
	path, err := filepath.Abs(serve.StatePath(s))
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if o.File == "" || o.File == streamWord {
		_, err := o.export(ctx, path, o.IO.Out)
		return err
	}
	var head store.ExportHeader
	err = writeSecret(o.File, o.Replace, func(w io.Writer) (err error) {
		head, err = o.export(ctx, path, w)
		return err
	})
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(stateExported{File: o.File, Keys: head.Keys, Schema: head.Schema})
	}
	return o.IO.Outf("exported %d keys to %s\n", head.Keys, stdio.Clean(o.File))
}

// export reads the file, which is whole as long as nobody holds it, or asks the daemon that does: its pages change under a
// reader that has no lock.
func (o *stateExportOptions) export(ctx context.Context, path string, w io.Writer) (store.ExportHeader, error) {
	snapshot, err := store.TakeFile(path, store.Options{})
	switch {
	case err == nil:
		head := store.ExportHeader{Keys: len(snapshot.KVs), Schema: snapshot.Schema}
		return head, snapshot.Export(w, o.Now())
	case errors.Is(err, fs.ErrNotExist):
		return store.ExportHeader{}, fmt.Errorf("there is no state at %s", path)
	case !errors.Is(err, store.ErrLocked):
		return store.ExportHeader{}, err
	}
	d, err := o.Daemon()
	if err != nil {
		return store.ExportHeader{}, err
	}
	body, err := d.State(ctx, path)
	if err != nil {
		err = fmt.Errorf("%s is in use: %w", path, err)
		if api.Unreachable(err) {
			err = withHint(err, "--socket of the daemon that holds it, or stop whoever does")
		}
		return store.ExportHeader{}, err
	}
	defer body.Close()
	_, head, err := store.ReadExport(io.TeeReader(body, w))
	if err != nil {
		return head, fmt.Errorf("the daemon's answer: %w", err)
	}
	return head, nil
}
