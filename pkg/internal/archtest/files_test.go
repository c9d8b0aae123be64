package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	maxFile = 600 // lines
	maxMain = 35  // lines of a program's main.go
)

// testFiles checks sizes and names: a file is named for the thing in it.
func testFiles(t *testing.T, pkgs []listed) {
	vague := []string{"util", "utils", "helper", "helpers", "types", "common", "misc"}
	for _, p := range pkgs {
		// go test caches a result until a file or directory that the test looked at changes.
		if _, err := os.Stat(p.Dir); err != nil {
			t.Error(err)
		}
		if slices.Contains(vague, p.Name) {
			t.Errorf("package %s says nothing by its name", p.ImportPath)
		}
		for _, file := range p.files(true) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".go"), "_test")
			if slices.Contains(vague, base) {
				t.Errorf("%s says nothing by its name", file)
			}
			n := strings.Count(string(b), "\n")
			if n > maxFile && !strings.HasPrefix(string(b), "// Code generated ") {
				t.Errorf("%s has %d lines, of %d at most: split it by noun", file, n, maxFile)
			}
			if room(p.ImportPath) == "cmd" && base == "main" && n > maxMain {
				t.Errorf("%s has %d lines, of %d at most: a program's work belongs to a package", file, n, maxMain)
			}
		}
	}
}

// testComments wants one package comment in each package, in one file.
func testComments(t *testing.T, pkgs []listed) {
	for _, p := range pkgs {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		var with []string
		for _, file := range p.files(false) {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if f.Doc != nil && !strings.HasPrefix(f.Doc.Text(), "Code generated ") {
				with = append(with, filepath.Base(file))
			}
		}
		if len(with) != 1 {
			t.Errorf("%s has its package comment in %v, want it in exactly one file", p.ImportPath, with)
		}
	}
}

// testSymbols finds names of the standard library where they have no business.
func testSymbols(t *testing.T, pkgs []listed) {
	for _, p := range pkgs {
		here := room(p.ImportPath)
		if here == internalRoom || strings.HasSuffix(p.ImportPath, "/storetest") {
			continue
		}
		for _, file := range p.files(false) {
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			for _, s := range symbols() {
				if slices.Contains(s.rooms, here) {
					continue
				}
				for _, at := range uses(f, s) {
					t.Errorf("%s: %s is for %v only: %s", set.Position(at), s.pkg+strings.Join(append([]string{""}, s.names...), " "), s.rooms, s.why)
				}
			}
			if at := initAt(f); at != token.NoPos {
				t.Errorf("%s: init() runs before anybody asked for anything", set.Position(at))
			}
		}
	}
}

// uses gives where a file imports the symbol's package, or uses its names.
func uses(f *ast.File, s symbol) []token.Pos {
	name := ""
	for _, imp := range f.Imports {
		if p, err := strconv.Unquote(imp.Path.Value); err != nil || p != s.pkg {
			continue
		}
		if len(s.names) == 0 {
			return []token.Pos{imp.Pos()}
		}
		name = path.Base(s.pkg)
		if imp.Name != nil {
			name = imp.Name.Name
		}
	}
	if name == "" {
		return nil
	}
	var found []token.Pos
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && slices.Contains(s.names, sel.Sel.Name) {
			found = append(found, sel.Pos())
		}
		return true
	})
	return found
}

func initAt(f *ast.File) token.Pos {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			return fn.Pos()
		}
	}
	return token.NoPos
}
