package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs parses every racker line in a fenced or indented block of the documentation: the command exists, its flags
// do, and the words after it fit.
func TestDocs(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files, err := filepath.Glob(filepath.Join(root, "docs", "commands", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(root, "README.md"), filepath.Join(root, "docs", "scripting.md"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, fenced := 0, false
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			example := fenced || strings.HasPrefix(line, "    ")
			line = strings.TrimSpace(line)
			if !example || !strings.HasPrefix(line, "racker ") {
				continue
			}
			n++
			if err := understood(line); err != nil {
				t.Errorf("%s: %s: %v", file, line, err)
			}
		}
		if n == 0 {
			t.Errorf("%s has no example", file)
		}
	}
}

// understood parses a command line without running it.
func understood(line string) error {
	words := splitWords(line)
	root := testRoot()
	cmd, rest, err := root.Find(doubleDashes(root, words[1:]))
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	args := cmd.Flags().Args()
	if cmd.HasSubCommands() && len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return cmd.ValidateArgs(args)
}

// splitWords splits at blanks outside of single quotes, as far as the documentation needs it.
func splitWords(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
			return true
		}
		return r == ' ' && !quoted
	})
}

// TestEveryCommandHasAPage wants a page in docs/commands for each command of the top level.
func TestEveryCommandHasAPage(t *testing.T) {
	t.Parallel()
	for _, cmd := range testRoot().Commands() {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "version" {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", "docs", "commands", cmd.Name()+".md")); err != nil {
			t.Errorf("%s: %v", cmd.CommandPath(), err)
		}
	}
}

func TestUnderstood(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"racker statsu", "racker status --nonsense", "racker node show", "racker bootstrap --retries many", "racker run show a b",
	} {
		if understood(line) == nil {
			t.Errorf("%q was understood", line)
		}
	}
}
