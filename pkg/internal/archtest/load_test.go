package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// listed is a package as go list describes it.
type listed struct {
	ImportPath, Dir, Name                    string
	GoFiles, IgnoredGoFiles                  []string
	TestGoFiles, XTestGoFiles                []string
	Imports, Deps, TestImports, XTestImports []string
}

// loader lists the module once for all tests.
type loader struct {
	once sync.Once
	pkgs []listed
	err  error
}

func (l *loader) load() ([]listed, error) {
	l.once.Do(func() { l.pkgs, l.err = list() })
	return l.pkgs, l.err
}

func list() ([]listed, error) {
	var out, errOut bytes.Buffer
	cmd := exec.Command("go", "list", "-e",
		"-json=ImportPath,Dir,Name,GoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Imports,Deps,TestImports,XTestImports", module+"/...")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(err, errors.New(errOut.String()))
	}
	var pkgs []listed
	for dec := json.NewDecoder(&out); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs, nil
		}
		if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
}

// room gives the directory below pkg that a package of ours belongs to, "cmd" for a program, "" for a foreign one.
func room(path string) string {
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	top, below, _ := strings.Cut(rest, "/")
	if top != "pkg" {
		return top
	}
	name, _, _ := strings.Cut(below, "/")
	return name
}

// files gives every Go file of a package with its path, build tags regardless.
func (p *listed) files(tests bool) []string {
	names := append(append([]string{}, p.GoFiles...), p.IgnoredGoFiles...)
	if tests {
		names = append(append(names, p.TestGoFiles...), p.XTestGoFiles...)
	}
	out := names[:0]
	for _, n := range names {
		if tests || !strings.HasSuffix(n, "_test.go") {
			out = append(out, filepath.Join(p.Dir, n))
		}
	}
	return out
}

func packages(t *testing.T, l *loader) []listed {
	t.Helper()
	pkgs, err := l.load()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list gave %d packages: is this the module's root?", len(pkgs))
	}
	return pkgs
}
