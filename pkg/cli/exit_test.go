package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/stdio"
	"github.com/racker-project/racker/pkg/store"
)

func TestReport(t *testing.T) {
	t.Parallel()
	plain := errors.New("disk gone")
	apiErr := &api.Error{Message: "BMC of node-7 is silent", Hint: "racker bmc check node-7", Code: 6}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		name  string
		ctx   context.Context
		err   error
		code  int
		lines string
	}{
		{"plain", nil, plain, 1, "racker: error: disk gone\n"},
		{"code and hint, wrapped", nil, fmt.Errorf("open: %w", withHint(withCode(4, plain), "use --yes")), 4,
			"racker: error: open: disk gone\nracker: hint: use --yes\n"},
		{"the outermost code wins", nil, withCode(3, fmt.Errorf("node-1: %w", apiErr)), 3,
			"racker: error: node-1: BMC of node-7 is silent\nracker: hint: racker bmc check node-7\n"},
		{"answer of the API", nil, fmt.Errorf("power on: %w", apiErr), 6,
			"racker: error: power on: BMC of node-7 is silent\nracker: hint: racker bmc check node-7\n"},
		{"answer of the API without a code", nil, &api.Error{Message: "no"}, 1, "racker: error: no\n"},
		{"locked", nil, fmt.Errorf("open state: %w", store.ErrLocked), 5,
			"racker: error: open state: state is held by another racker\n"},
		{"joined, hints once", nil, errors.Join(&rack.CSVError{File: "n", Line: 1, Column: 2, Msg: "a", Hint: "h"},
			&rack.CSVError{File: "n", Line: 2, Column: 1, Msg: "b", Hint: "h"}), 1,
			"racker: error: n:1:2: a\nracker: error: n:2:1: b\nracker: hint: h\n"},
		{"a code within a join", nil, errors.Join(plain, withCode(6, plain)), 6, "racker: error: disk gone\nracker: error: disk gone\n"},
		{"interrupted", cancelled, fmt.Errorf("follow run: %w", context.Canceled), 130, "racker: error: interrupted\n"},
		{"cancelled by nobody's signal", nil, fmt.Errorf("follow run: %w", context.Canceled), 1,
			"racker: error: follow run: context canceled\n"},
		{"control characters", nil, errors.New("node says \x1b[31mboo"), 1, "racker: error: node says  [31mboo\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := tt.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			streams, _, out, errOut := stdio.Test()
			code := newEnv(streams).report(ctx, tt.err, nil)
			if code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.lines, errOut.String()); diff != "" || out.Len() > 0 {
				t.Errorf("stdout %q, stderr (-want +got):\n%s", out, diff)
			}
		})
	}
}

func TestReportJSON(t *testing.T) {
	t.Parallel()
	err := withHint(withCode(codeNotConfirmed, errors.New("wipe <node-7>: not confirmed")), "use --yes")
	want := `{"type":"error","code":4,"message":"wipe <node-7>: not confirmed","hint":"use --yes"}` + "\n"
	for _, words := range [][]string{{"nonsense", "--json"}, {"--json=true"}} {
		streams, _, _, errOut := stdio.Test()
		if code := newEnv(streams).report(context.Background(), err, words); code != 4 || errOut.String() != want {
			t.Errorf("%q: code %d, stderr %s", words, code, errOut)
		}
	}
	streams, _, _, errOut := stdio.Test()
	newEnv(streams).report(context.Background(), err, []string{"ssh", "--", "--json"})
	if bytes.Contains(errOut.Bytes(), []byte("{")) {
		t.Errorf("a word behind -- asked for JSON: %s", errOut)
	}
}

func TestNilErrors(t *testing.T) {
	t.Parallel()
	if withCode(3, nil) != nil || withHint(nil, "x") != nil {
		t.Error("no error became one")
	}
}
