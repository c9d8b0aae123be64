package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHouse(t *testing.T) {
	t.Parallel()
	var l loader
	pkgs := packages(t, &l)
	tests := map[string]func(*testing.T, []listed){
		"imports go down":         testImports,
		"what programs link":      testBans,
		"names with one owner":    testSymbols,
		"files":                   testFiles,
		"package comments":        testComments,
		"linter knows every room": testLinter,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, pkgs)
		})
	}
}

func testImports(t *testing.T, pkgs []listed) {
	for _, p := range pkgs {
		from := room(p.ImportPath)
		if from == "cmd" || from == internalRoom || from == "" || !strings.Contains(p.ImportPath, "/pkg/") {
			continue
		}
		if _, known := layers()[from]; !known {
			t.Errorf("%s has no floor: give it one in layers.go and in .golangci.yml", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if why := refuse(from, imp, false); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
		}
		for _, imp := range append(append([]string{}, p.TestImports...), p.XTestImports...) {
			if why := refuse(from, imp, true); why != "" {
				t.Errorf("the tests of %s import %s: %s", p.ImportPath, imp, why)
			}
		}
	}
}

// refuse says why a room may not import a package; "" means that it may. Tests may also use the helpers of tests and
// rooms of their own floor.
func refuse(from, imp string, test bool) string {
	to := room(imp)
	if to == "" || to == from {
		return ""
	}
	if to == internalRoom {
		if test || from == "store" { // store/storetest is imported by tests only, see below
			return ""
		}
		return "it is for tests only"
	}
	if strings.HasPrefix(imp, module+"/pkg/store/storetest") && !test {
		return "it is for tests only"
	}
	low, known := layers()[to]
	switch {
	case !known && strings.Contains(imp, "/pkg/"):
		return "it has no floor"
	case !known && to == "cmd":
		return "nothing imports a program"
	case !known: // bootstrap, oem-examples: embedded files without imports of their own
		return ""
	}
	high := layers()[from]
	if _, excepted := exceptions()[[2]string{from, to}]; excepted || low < high || (test && low == high) {
		return ""
	}
	return "a package imports lower floors only"
}

func testBans(t *testing.T, pkgs []listed) {
	for _, b := range bans() {
		i := slices.IndexFunc(pkgs, func(p listed) bool { return p.ImportPath == module+"/"+b.who })
		if i < 0 {
			continue // a room that is not built yet
		}
		for _, dep := range pkgs[i].Deps {
			for _, never := range b.never {
				if dep == never || strings.HasPrefix(dep, never+"/") {
					t.Errorf("%s links %s: %s (go mod why, go list -deps)", b.who, dep, b.why)
				}
			}
		}
	}
}

func testLinter(t *testing.T, _ []listed) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	const ruled = 3 // floors above are free to import what they join
	for name, floor := range layers() {
		if floor <= ruled && !strings.Contains(string(rules), `"**/pkg/`+name+`/*.go"`) {
			t.Errorf(".golangci.yml has no depguard rule for pkg/%s", name)
		}
	}
}
