package agent

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/image"
)

// testESP is partition 1, blocks 2048 to 10239.
func testESP() image.Partition {
	return image.Partition{Number: 1, GUID: "8dd33ca0-01f1-b242-bfab-c2f8598ad24a", First: 2048, Last: 10239, Sector: 512}
}

// TestLoadOption has the bytes of one entry, spelled out by hand from UEFI 2.10, 3.1.3 and 10.3.
func TestLoadOption(t *testing.T) {
	t.Parallel()
	got, err := loadOption("racker: a", testESP(), `\A`)
	if err != nil {
		t.Fatal(err)
	}
	want := "01000000" + "3800" + // active; 56 bytes of path
		"7200610063006b00650072003a00200061000000" + // description
		"04012a00" + "01000000" + "0008000000000000" + "0020000000000000" + "a03cd38df10142b2bfabc2f8598ad24a" + "0202" +
		"04040a00" + "5c0041000000" + "7fff0400"
	if d := cmp.Diff(want, hex.EncodeToString(got)); d != "" {
		t.Error(d)
	}
	if optionName(got) != "racker: a" {
		t.Errorf("name %q", optionName(got))
	}
	bad := testESP()
	bad.GUID = "8dd33ca0"
	if _, err := loadOption("x", bad, `\A`); err == nil {
		t.Error("a malformed GUID gave an entry")
	}
}

// put writes a variable as efivarfs shows it.
func put(t *testing.T, e efiVars, name string, data []byte) {
	t.Helper()
	b := append(binary.LittleEndian.AppendUint32(nil, varAttributes), data...)
	if err := os.WriteFile(e.file(name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// names lists the boot variables that exist.
func (e efiVars) names(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.dir, "Boot????-"+globalGUID))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = filepath.Base(f)[:8]
	}
	slices.Sort(files)
	return files
}

func TestBootFirst(t *testing.T) {
	t.Parallel()
	option := func(name string) []byte {
		b, err := loadOption(name, testESP(), loader)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name    string
		entries map[uint16]string
		order   []uint16
		want    uint16
		after   []uint16
		left    []string
	}{
		{"new firmware", nil, nil, 0, []uint16{0}, []string{"Boot0000"}},
		{"beside others", map[uint16]string{0: "UiApp", 1: "UEFI PXEv4", 3: "Shell"}, []uint16{1, 0, 3}, 2, []uint16{2, 1, 0, 3},
			[]string{"Boot0000", "Boot0001", "Boot0002", "Boot0003"}},
		{"of an earlier install", map[uint16]string{0: "UiApp", 7: "racker: old"}, []uint16{0, 7}, 7, []uint16{7, 0},
			[]string{"Boot0000", "Boot0007"}},
		{"several of ours", map[uint16]string{2: "racker: a", 5: "racker: b", 9: "racker: a", 1: "UiApp"}, []uint16{9, 1, 5, 2}, 2,
			[]uint16{2, 1}, []string{"Boot0001", "Boot0002"}},
		{"already so", map[uint16]string{4: "racker: node-1"}, []uint16{4}, 4, []uint16{4}, []string{"Boot0004"}},
		{"order names entries that are gone", nil, []uint16{8, 6}, 0, []uint16{0, 8, 6}, []string{"Boot0000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := efiVars{t.TempDir()}
			for n, name := range c.entries {
				put(t, e, bootName(n), option(name))
			}
			if c.order != nil {
				put(t, e, "BootOrder", orderBytes(c.order))
			}
			put(t, e, "Boot00zz", []byte("not an entry"))
			for range 2 { // the second time changes nothing
				n, err := e.bootFirst(option("racker: node-1"))
				if err != nil || n != c.want {
					t.Fatalf("bootFirst = %d, %v, want %d", n, err, c.want)
				}
				order, err := e.read("BootOrder")
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(c.after, bootOrder(order)); d != "" {
					t.Error(d)
				}
				left := slices.DeleteFunc(e.names(t), func(s string) bool { return s == "Boot00zz" })
				if d := cmp.Diff(c.left, left); d != "" {
					t.Error(d)
				}
			}
			if b, err := e.read(bootName(c.want)); err != nil || optionName(b) != "racker: node-1" {
				t.Errorf("entry %q, %v", optionName(b), err)
			}
		})
	}
}

func TestBootFirstFails(t *testing.T) {
	t.Parallel()
	e := efiVars{t.TempDir()}
	if err := os.WriteFile(e.file("Boot0000"), []byte{7}, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := e.bootFirst([]byte("x")); err == nil {
		t.Error("a variable without attributes gave no error")
	}
	if _, err := (efiVars{filepath.Join(e.dir, "missing")}).bootFirst(nil); err == nil {
		t.Error("no variables gave no error")
	}
}

func FuzzOptionName(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 4, 0, 'a', 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 4, 0, 'a', 0xd8})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(optionName(b)); n > 2*len(b) {
			t.Errorf("a name of %d bytes from %d", n, len(b))
		}
	})
}
