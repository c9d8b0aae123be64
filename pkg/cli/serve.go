package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/cli/serve"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/initrd"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/release"
	"github.com/racker-project/racker/pkg/store"
)

type serveOptions struct {
	env *Env
	run func(context.Context, serve.Options) error
}

func newServeCmd(env *Env) *cobra.Command {
	o := &serveOptions{env: env, run: serve.Run}
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: DHCP, TFTP, HTTP, the API and the runs",
		Long: `serve is the one daemon of racker. It owns the state, answers the servers of the internal network, and drives the runs
that other commands submit. It stops on SIGINT or SIGTERM, within two seconds when no server is being fed.

Exit codes: 0 stopped in order; 1 failed; 2 usage; 5 the state is held by another racker.`,
		Example: "  racker serve\n  racker serve --oem-dir ./oem --state-dir ./state --socket ./racker.sock",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.serve(cmd.Context()) },
	}
}

func (o *serveOptions) serve(ctx context.Context) error {
	s, err := o.env.Settings()
	if err != nil {
		return err
	}
	err = o.run(ctx, serve.Options{Settings: s, Explain: explain, Log: o.logger(s.Log)})
	if errors.Is(err, store.ErrLocked) {
		return withHint(err, "racker status")
	}
	return stateHint(err)
}

// logger writes to stderr: text on a terminal, else JSON, unless the settings say otherwise.
func (o *serveOptions) logger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // settings are checked before; this is for none
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == config.LogText || c.Format == config.LogAuto && o.env.IO.ErrTTY {
		return slog.New(slog.NewTextHandler(o.env.IO.Err, opts))
	}
	return slog.New(slog.NewJSONHandler(o.env.IO.Err, opts))
}

// explain gives an error of the daemon the exit code and hint that the command line shows for it, and its HTTP status.
func explain(err error) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	e = &api.Error{Message: fmt.Sprint(err), Code: codeFailed}
	switch {
	case explainImage(e, err):
	case errors.Is(err, provision.ErrNoNode):
		e.Code, e.Status, e.Hint = codeUsage, http.StatusNotFound, "racker node list"
	case errors.Is(err, provision.ErrNoRun):
		e.Code, e.Status, e.Hint = codeUsage, http.StatusNotFound, "racker run list"
	case errors.Is(err, initrd.ErrNotFound):
		e.Hint = "racker microkernel build"
	case errors.Is(err, provision.ErrWipe):
		e.Code = codeNotConfirmed
	case errors.Is(err, provision.ErrRequest):
		e.Code = codeUsage
	case errors.Is(err, store.ErrNoSpace):
		e.Hint = "make room on the disk of the state directory; nothing is lost"
	case errors.Is(err, provision.ErrNotAsked), errors.Is(err, provision.ErrTable):
		e.Code = codeLocked // another terminal holds the answer
	case errors.Is(err, provision.ErrNotRunning):
		e.Status, e.Hint = http.StatusConflict, "racker node power NODE on, or racker bootstrap"
	case errors.Is(err, provision.ErrBusy):
		e.Status, e.Hint = http.StatusConflict, "racker run list"
	case errors.Is(err, bmc.ErrAuth), errors.Is(err, bmc.ErrUnreachable):
		e.Code = codeUnreachable
	}
	return e
}

// explainImage does so for errors about images, and reports whether err is one.
func explainImage(e *api.Error, err error) bool {
	switch {
	case errors.Is(err, image.ErrNotFound):
		e.Code, e.Status, e.Hint = codeUsage, http.StatusNotFound, "racker image list"
	case errors.Is(err, image.ErrAmbiguous), errors.Is(err, image.ErrProfile), errors.Is(err, release.ErrRelease):
		e.Code = codeUsage
	case errors.Is(err, release.ErrNoPull):
		e.Code, e.Status, e.Hint = codeUsage, http.StatusNotFound, "racker image pull --show"
	case errors.Is(err, release.ErrBusy):
		e.Status, e.Hint = http.StatusConflict, "wait for it: racker image pull --show; or end it: racker image pull --cancel"
	case errors.Is(err, release.ErrSpace):
		e.Hint = "make room on the disk of the state directory, and pull again: racker image gc"
	case errors.Is(err, release.ErrGone):
		e.Hint = "look at the version and the channel, and at image.mirror in racker.yaml"
	case errors.Is(err, release.ErrKey):
		e.Hint = "image.key_file in racker.yaml may name a file with the vendor's key"
	default:
		return false
	}
	return true
}
