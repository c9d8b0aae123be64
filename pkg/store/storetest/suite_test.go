package storetest_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"testing"

	"github.com/racker-project/racker/pkg/store"
	"github.com/racker-project/racker/pkg/store/storetest"
)

// TestFault runs the suite over an engine with the fault that the command line names, as TestSuiteNotices wants it. Without
// one the engine is whole.
func TestFault(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return newMemory(flag.Arg(0)) })
}

// TestSuiteNotices breaks one promise after the other: the suite fails each time, and at the right test.
func TestSuiteNotices(t *testing.T) {
	t.Parallel()
	for fault, test := range map[string]string{
		"an absent key is empty":    "get_and_put",
		"lists by revision":         "list_by_prefix,_sorted",
		"lends its bytes":           "bytes_are_copies",
		"compares nothing":          "compare",
		"a revision per op":         "revisions",
		"writes half":               "all_or_nothing",
		"takes a key twice":         "refused_transactions",
		"reports backwards":         "watch_in_order",
		"keeps deletes quiet":       "watch_in_order_of_writers",
		"watches for ever":          "watch_ends_with_its_context",
		"loses changes of who lags": "watch_drops_who_lags",
		"closes over watchers":      "closed",
		"works after close":         "closed",
		"ignores contexts":          "ended_context",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFault$/^"+test+"$", "-test.timeout=4s", fault)
			out, err := cmd.CombinedOutput()
			var failed *exec.ExitError
			if !errors.As(err, &failed) || !bytes.Contains(out, []byte("--- FAIL: TestFault/"+test)) {
				t.Errorf("the suite passed, or broke off (%v):\n%s", err, out)
			}
		})
	}
}
