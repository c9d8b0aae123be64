package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test program be racker when a script runs it by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"racker": func() { os.Exit(Main(os.Args)) },
	})
}

// namesNowhere keeps commands away from this machine's own /etc/hosts; a script that wants one names it.
const namesNowhere = "names: {hosts: \"\", known_hosts: \"\"}\n"

// TestScripts runs testdata/script/*.txtar. Besides testscript's own commands they have
//
//	code N racker ARGS...   racker ends with exit code N
//
// and the variables RACK_TESTDATA (the broken files of package rack) and OEM_EXAMPLES. No setting of this machine
// reaches them.
func TestScripts(t *testing.T) {
	t.Parallel()
	absolute := func(path string) string {
		p, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	rackData, examples := absolute("../rack/testdata"), absolute("../../oem-examples")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("RACK_TESTDATA", rackData)
			env.Setenv("OEM_EXAMPLES", examples)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // each racker would wait a second at its end
			settings := filepath.Join(env.WorkDir, ".racker.yaml")
			env.Setenv("RACKER_CONFIG", settings)
			return os.WriteFile(settings, []byte(namesNowhere), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
	})
}

func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
