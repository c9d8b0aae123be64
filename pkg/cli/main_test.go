package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/stdio"
)

func TestExecute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		run    func(ctx context.Context) error
		code   int
		stderr string
	}{
		{"nothing wrong", func(context.Context) error { return nil }, 0, ""},
		{"interrupted", func(ctx context.Context) error { return fmt.Errorf("wait: %w", ctx.Err()) }, 130, "racker: error: interrupted"},
		{"interrupted, by its cause", func(ctx context.Context) error { return fmt.Errorf("wait: %w", context.Cause(ctx)) }, 130,
			"racker: error: interrupted"},
		{"a server that was told to stop", func(ctx context.Context) error { <-ctx.Done(); return nil }, 0, ""},
		{"panic", func(context.Context) error { panic("index out of order") }, 1, "racker: internal error: index out of order\ngoroutine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(errors.New("interrupt signal received"))
			streams, _, out, errOut := stdio.Test()
			root := &cobra.Command{Use: "racker", SilenceErrors: true, SilenceUsage: true,
				RunE: func(cmd *cobra.Command, _ []string) error { return tt.run(cmd.Context()) }}
			code := execute(ctx, newEnv(streams), root, nil)
			if code != tt.code || !strings.HasPrefix(errOut.String(), tt.stderr) || (tt.stderr == "") != (errOut.Len() == 0) {
				t.Errorf("code %d, stderr %s", code, errOut)
			}
			if out.Len() > 0 {
				t.Errorf("stdout %s", out)
			}
		})
	}
}
