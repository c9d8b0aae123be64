package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/stdio"
)

// TestHelpFits wants the help of every command to fit 80 columns, and to call its exit codes by one name.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	for _, cmd := range tree(testRoot()) {
		path := cmd.CommandPath()
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			streams, _, out, errOut := stdio.Test()
			streams.OutTTY, streams.ErrTTY = true, true
			words := append(strings.Fields(path), "--help")
			if code := run(t.Context(), newEnv(streams), words); code != codeOK {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			text := out.String()
			for line := range strings.Lines(text) {
				if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			if strings.Contains(text, "Exit status") {
				t.Error("says Exit status, elsewhere it is Exit codes")
			}
			if !strings.Contains(text, "\nUsage:\n  "+path) {
				t.Errorf("no usage:\n%s", text)
			}
			if cmd.HasSubCommands() == strings.Contains(text, "Exit codes: 0 ") && cmd.Name() != "help" && cmd.Name() != "version" {
				t.Errorf("exit codes belong to what runs:\n%s", text)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text  string
		width int
		want  string
	}{
		"nothing":         {"", 10, ""},
		"joins and cuts":  {"one two\nthree four", 9, "one two\nthree\nfour"},
		"exactly":         {"one two", 7, "one two"},
		"a long word":     {"a bbbbbbbb c", 4, "a\nbbbbbbbb\nc"},
		"two paragraphs":  {"one\ntwo\n\nthree", 80, "one two\n\nthree"},
		"runes not bytes": {"äöü äöü", 7, "äöü äöü"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, wrap(tt.text, tt.width)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
