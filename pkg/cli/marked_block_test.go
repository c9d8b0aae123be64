package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBlockLeavesNoTrace puts a block in, changes it and takes it away: what was there before is there again.
func TestBlockLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "lines": "127.0.0.1 localhost\n::1 localhost\n", "no end": "127.0.0.1 localhost", "crlf": "127.0.0.1 localhost\r\n",
		"only a line end": "\n", "not text": "\x00\xff\n# BEGIN\n# END\n", "blank end": "a\n\n\n",
	} {
		with, err := withBlock([]byte(text), []byte("10.0.0.1 node-1\n"))
		if err != nil || !strings.HasPrefix(string(with), text) {
			t.Fatalf("%s: %q, %v", name, with, err)
		}
		again, err := withBlock(with, []byte("10.0.0.1 node-1"))
		if err != nil || string(again) != string(with) {
			t.Errorf("%s: the same again gives %q, %v", name, again, err)
		}
		after := string(with) + "10.9.9.9 mine\n" // an operator's line below it
		other, err := withBlock([]byte(after), []byte("10.0.0.2 node-2\n"))
		if err != nil || strings.Contains(string(other), "node-1") || !strings.HasSuffix(string(other), blockEnd+"\n10.9.9.9 mine\n") {
			t.Errorf("%s: changed to %q, %v", name, other, err)
		}
		gone, err := withBlock(with, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(text, string(gone)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestBlockThatSomebodyEdited(t *testing.T) {
	t.Parallel()
	for text, line := range map[string]int{
		"a\n" + blockBegin + "\nb\n":                                                         2,
		"a\nb\n" + blockEnd + "\n":                                                           3,
		blockBegin + "\n" + blockBegin + "\n" + blockEnd + "\n":                              2,
		blockBegin + "\n" + blockEnd + "\n" + blockBegin + "\n" + blockEnd + "\n":            3,
		blockBegin + "\n" + blockEnd + "\n" + blockEnd + "\n":                                3,
		blockBeginBare + "\n" + blockEnd + "\n\n" + blockBegin + "\n10.0.0.1 x\n" + blockEnd: 4,
	} {
		_, err := withBlock([]byte(text), []byte("x\n"))
		var bad *blockError
		if !errors.As(err, &bad) || bad.line != line {
			t.Errorf("%q: %v, want line %d", text, err, line)
		}
	}
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost\n"), []byte("10.0.0.1 node-1\n"))
	f.Add([]byte("a\r\n"+blockBegin+"\nold\n"+blockEnd+"\nb"), []byte("x"))
	f.Add([]byte(blockBeginBare+"\n"+blockEnd), []byte{})
	f.Fuzz(func(t *testing.T, text, body []byte) {
		if strings.Contains(string(body), "racker") { // only racker writes bodies
			return
		}
		_, _, was, _, err := splitBlock(text)
		if err != nil {
			return
		}
		with, err := withBlock(text, body)
		if err != nil {
			t.Fatalf("%v", err)
		}
		again, err := withBlock(with, body)
		if err != nil || string(again) != string(with) {
			t.Errorf("%q became %q, then %q, %v", text, with, again, err)
		}
		if gone, err := withBlock(with, nil); !was && (err != nil || string(gone) != string(text)) {
			t.Errorf("%q came back as %q, %v", text, gone, err)
		}
	})
}

func TestChangeBlock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "hosts"), filepath.Join(dir, "link")
	if err := os.Symlink("hosts", link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("127.0.0.1 localhost\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	check := func(body string, made, want bool) {
		t.Helper()
		if changed, err := changeBlock(link, []byte(body), made); err != nil || changed != want {
			t.Errorf("%q: changed %v, %v", body, changed, err)
		}
	}
	check("10.0.0.1 node-1\n", false, true)
	check("10.0.0.1 node-1\n", false, false)
	if info, err := os.Lstat(link); err != nil || info.Mode().IsRegular() {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	check("", false, true)
	if b, err := os.ReadFile(path); err != nil || string(b) != "127.0.0.1 localhost\n" {
		t.Errorf("left %q, %v", b, err)
	}
	fresh := filepath.Join(dir, "ssh_known_hosts")
	for _, body := range []string{"", "node-1 k\n", ""} {
		if _, err := changeBlock(fresh, []byte(body), true); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a file that racker made is left, empty")
	}
	if _, err := changeBlock(filepath.Join(dir, "none", "x"), []byte("a\n"), true); err == nil {
		t.Error("a file in no folder was written")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left over: %v, %v", left, err)
	}
}
