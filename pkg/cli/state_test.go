package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cli/serve"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/daemon"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/stdio"
	"github.com/racker-project/racker/pkg/store"
)

// stateDir gives settings with a state of two keys, and the store that holds it.
func stateDir(t *testing.T) (func() (config.Settings, error), store.Store) {
	t.Helper()
	s := config.Default()
	s.StateDir = t.TempDir()
	st, err := store.Open(serve.StatePath(s), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if _, err := st.Txn(t.Context(), nil, store.Put("plan", []byte("{}")), store.Put("secret/authority", []byte("key"))); err != nil {
		t.Fatal(err)
	}
	return func() (config.Settings, error) { return s, nil }, st
}

// stateDaemon is a daemon that holds the state.
func stateDaemon(t *testing.T, settings func() (config.Settings, error), st store.Store) *api.Client {
	t.Helper()
	s, err := settings()
	if err != nil {
		t.Fatal(err)
	}
	r := &testRack{}
	a := &daemon.API{
		Path: filepath.Join(t.TempDir(), "racker.sock"), Operator: r, Orders: r, Images: testImages{r}, Events: event.NewBus(),
		State: serve.State(st, serve.StatePath(s)), Explain: explain, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := a.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return api.NewClient(a.Path)
}

func exportOptions(settings func() (config.Settings, error), c stateSource, file string) (*stateExportOptions, *bytes.Buffer) {
	io, _, out, _ := stdio.Test()
	return &stateExportOptions{IO: io, Settings: settings, Now: testTime, File: file, Daemon: func() (stateSource, error) { return c, nil }}, out
}

// With the daemon and without it the export has the same keys.
func TestExportFromDaemon(t *testing.T) {
	t.Parallel()
	settings, st := stateDir(t)
	c := stateDaemon(t, settings, st)
	file := filepath.Join(t.TempDir(), "export")
	o, out := exportOptions(settings, c, file)
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "exported 2 keys to ") {
		t.Errorf("stdout %q", out)
	}
	o, running := exportOptions(settings, c, "")
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	o, stopped := exportOptions(settings, c, "-")
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	entries := func(export string) string { // without the header, which has the time, and the sum
		lines := strings.SplitAfter(export, "\n")
		return strings.Join(lines[1:len(lines)-2], "")
	}
	if d := cmp.Diff(entries(stopped.String()), entries(running.String())); d != "" {
		t.Errorf("(-without daemon +with):\n%s", d)
	}
	if d := cmp.Diff(entries(stopped.String()), entries(string(b))); d != "" {
		t.Errorf("(-without daemon +file):\n%s", d)
	}
}

// A daemon that holds another state does not pass it off for the one that is meant; no daemon is an error; neither leaves a
// file.
func TestExportLocked(t *testing.T) {
	t.Parallel()
	settings, _ := stateDir(t)
	others, st := stateDir(t)
	file := filepath.Join(t.TempDir(), "export")
	for want, c := range map[string]*api.Client{
		"this daemon's state is not ":   stateDaemon(t, others, st),
		"no racker daemon answers at /": api.NewClient(filepath.Join(t.TempDir(), "racker.sock")),
	} {
		o, _ := exportOptions(settings, c, file)
		if err := o.run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// The state's secrets are not printed on a terminal by accident.
func TestExportOnATerminal(t *testing.T) {
	t.Parallel()
	settings, st := stateDir(t)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	io, out, _ := terminal(t)
	o := stateExportOptions{IO: io, Settings: settings, Now: testTime}
	if err := o.run(t.Context()); givenCode(err) != codeUsage || out.String() != "" {
		t.Errorf("got %v and %q", err, out)
	}
	o.File = "-"
	if err := o.run(t.Context()); err != nil || !strings.Contains(out.String(), `"secret/authority"`) {
		t.Errorf("got %v and %q", err, out)
	}
}

func TestImportConfirmed(t *testing.T) {
	t.Parallel()
	settings, st := stateDir(t)
	var export bytes.Buffer
	if err := (&store.Snapshot{Schema: 1, Racker: "1.0.0", KVs: []store.KV{{Key: "old", Value: []byte("x")}}}).Export(&export, testTime()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(file, export.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(typed string) error {
		io, in, _, _ := stdio.Test()
		io.InTTY, io.ErrTTY = true, true
		in.WriteString(typed)
		o := stateImportOptions{IO: io, Settings: settings, Now: time.Now, File: file, Replace: true}
		return o.run(t.Context())
	}
	if err := try("yes\n"); !errors.Is(err, store.ErrLocked) || exitCode(t.Context(), err) != codeLocked {
		t.Errorf("while the state is held: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := settings()
	keys := func() (out []string) {
		snapshot, err := store.TakeFile(serve.StatePath(s), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range snapshot.KVs {
			out = append(out, kv.Key)
		}
		return out
	}
	for _, typed := range []string{"", "\n", "y\n", "no\n"} {
		if err := try(typed); givenCode(err) != codeNotConfirmed {
			t.Errorf("%q gave %v", typed, err)
		}
	}
	if d := cmp.Diff([]string{"plan", "secret/authority"}, keys()); d != "" {
		t.Errorf("not confirmed (-want +got):\n%s", d)
	}
	if err := try(" yes \n"); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"old"}, keys()); d != "" {
		t.Errorf("confirmed (-want +got):\n%s", d)
	}
	kept, err := filepath.Glob(serve.StatePath(s) + ".before-*")
	if err != nil || len(kept) != 1 {
		t.Errorf("kept: %v, %v", kept, err)
	}
}
