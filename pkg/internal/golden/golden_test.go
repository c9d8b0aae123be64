package golden_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/internal/golden"
)

// recorder is a test that may fail without failing the one that looks at it.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

func check(t *testing.T, name, got string) (said string) {
	t.Helper()
	r := &recorder{TB: t}
	defer func() {
		if v := recover(); v != nil && v != any(r) {
			panic(v)
		}
		said = r.said
	}()
	golden.Check(r, name, []byte(got))
	return r.said
}

func TestCheck(t *testing.T) {
	t.Setenv("RACKER_UPDATE_GOLDEN", "")
	t.Chdir(t.TempDir())
	if said := check(t, "dir/a.txt", "one\n"); !strings.Contains(said, "RACKER_UPDATE_GOLDEN=1") {
		t.Errorf("a missing file said %q", said)
	}
	t.Setenv("RACKER_UPDATE_GOLDEN", "1")
	if said := check(t, "dir/a.txt", "one\n"); said != "" {
		t.Errorf("writing said %q", said)
	}
	t.Setenv("RACKER_UPDATE_GOLDEN", "")
	if said := check(t, "dir/a.txt", "one\n"); said != "" {
		t.Errorf("the same said %q", said)
	}
	if said := check(t, "dir/a.txt", "two\n"); !strings.Contains(said, "one") || !strings.Contains(said, "two") {
		t.Errorf("a difference said %q", said)
	}
}
