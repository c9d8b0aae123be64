package cli

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/store"
)

func newStateCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Take the daemon's state out, or put it back",
	}
	cmd.AddCommand(newStateExportCmd(env), newStateImportCmd(env))
	return cmd
}

// stateHint adds what to do about a state that cannot be used; nil stays nil.
func stateHint(err error) error {
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return withHint(err, "racker state import EXPORT --replace puts the last export in its place; the damaged file is kept")
	case errors.Is(err, store.ErrSchema):
		return withHint(err, "use that racker, or an export that this one knows: racker state import EXPORT --replace")
	case errors.Is(err, store.ErrNoSpace):
		return withHint(err, "make room on its disk; nothing is lost")
	}
	return err
}

// rootHint is for files that are root's; nil stays nil.
func rootHint(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return withHint(err, "run it as root")
	}
	return err
}
