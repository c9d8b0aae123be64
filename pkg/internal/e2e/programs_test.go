package e2e

import (
	"debug/elf"
	"path/filepath"
	"testing"
)

// TestProgramsAreStatic finds neither an interpreter nor a shared library in the three programs.
func TestProgramsAreStatic(t *testing.T) {
	root := repository(t)
	for _, name := range []string{"racker", "racker-agent", "racker-sim"} {
		f, err := elf.Open(filepath.Join(root, "bin", name))
		if err != nil {
			t.Fatal(err)
		}
		libs, err := f.ImportedLibraries()
		if err != nil || len(libs) > 0 {
			t.Errorf("%s needs %v, %v", name, libs, err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s needs a dynamic loader", name)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
