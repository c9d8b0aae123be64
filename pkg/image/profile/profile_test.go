package profile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/image/profile"
)

func TestBuiltin(t *testing.T) {
	t.Parallel()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range set.All() {
		got[p.Name] = string(p.Ignition) + " " + p.SpecVersion + " " + p.OEMLabel + " " + p.Kernel.Name
	}
	want := map[string]string{
		profile.Flatcar: "oem-file 3.4.0 OEM grub.cfg", profile.TestOS: "oem-file 3.3.0 OEM grub.cfg", profile.Plain: "none   ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func parts(names ...string) []image.Partition {
	var out []image.Partition
	for _, n := range names {
		out = append(out, image.Partition{Name: n})
	}
	return out
}

func TestGuess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "mine.yaml", "name: mine\nignition: none\nmatch: {partitions: [OEM, MINE]}\n")
	set, err := profile.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		parts []image.Partition
		want  string
	}{
		{nil, profile.Plain},
		{parts("EFI-SYSTEM", "root"), profile.Plain},
		{parts("EFI-SYSTEM", "OEM", "ROOT"), profile.TestOS},
		{parts("EFI-SYSTEM", "BIOS-BOOT", "USR-A", "OEM", "ROOT"), profile.TestOS},
		{parts("EFI-SYSTEM", "BIOS-BOOT", "USR-A", "USR-B", "OEM", "OEM-CONFIG", "ROOT"), profile.Flatcar},
		{parts("EFI-SYSTEM", "OEM", "MINE"), "mine"},
	} {
		if got := set.Guess(tt.parts); got == nil || got.Name != tt.want {
			t.Errorf("%v: %v, want %s", tt.parts, got, tt.want)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file that is not understood hides neither the others nor that it is there.
func TestLoadBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "good.yaml", "name: good\nignition: none\n")
	write(t, dir, "bad.yaml", "name: bad\nignition: maybe\ncolour: red\n")
	write(t, dir, "other.yaml", "name: another\nignition: none\n")
	write(t, dir, "notes.txt", "nothing")
	write(t, dir, "flatcar.yaml", "name: flatcar\nignition: none\n")
	set, err := profile.Load(dir)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		filepath.Join(dir, "bad.yaml") + `:2:11: ignition: "maybe": want oem-file, kernel-arg, none`,
		filepath.Join(dir, "bad.yaml") + `:3:1: a profile has no "colour", only arch`,
		filepath.Join(dir, "other.yaml") + `: its name is "another": want "other"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if p, err := set.Get("good"); err != nil || p.File != filepath.Join(dir, "good.yaml") {
		t.Errorf("good: %v, %v", p, err)
	}
	if p, err := set.Get(profile.Flatcar); err != nil || p.TakesIgnition() {
		t.Errorf("the site's own flatcar does not win: %v, %v", p, err)
	}
	if _, err := set.Get("bad"); !errors.Is(err, image.ErrProfile) || !strings.Contains(err.Error(), "bad.yaml:2") {
		t.Errorf("bad: %v", err)
	}
	if _, err := set.Get("nothing"); !errors.Is(err, image.ErrProfile) || !strings.Contains(err.Error(), "flatcar, good, plain, testos") {
		t.Errorf("nothing: %v", err)
	}
}

func TestLoadWithoutDirectory(t *testing.T) {
	t.Parallel()
	set, err := profile.Load(filepath.Join(t.TempDir(), "absent"))
	if err != nil || len(set.All()) != 3 {
		t.Errorf("%v, %v", set, err)
	}
}

const whole = `name: own
description: An own system
arch: arm64
ignition: kernel-arg
spec_version: 3.3.0
oem_label: CONFIG
config_arg: ignition.config.url=oem:///config.ign
kernel_file: {name: grub.cfg, append: extra, console: serial}
min_disk: 8 GiB
match:
  partitions: [CONFIG, SYSTEM]
  partition_guids: [7130c94a-213a-4e5a-8e26-6cce9662f132]
`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := profile.Parse("own.yaml", []byte(whole))
	want := &image.Profile{
		Name: "own", Description: "An own system", Archs: []string{"arm64"}, Ignition: image.IgnitionKernelArg, SpecVersion: "3.3.0",
		OEMLabel: "CONFIG", ConfigArg: "ignition.config.url=oem:///config.ign",
		Kernel:  image.KernelFile{Name: "grub.cfg", Append: "extra", Console: "serial"},
		MinDisk: 8 << 30, Partitions: []string{"CONFIG", "SYSTEM"}, PartitionGUIDs: []string{"7130c94a-213a-4e5a-8e26-6cce9662f132"},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"empty":    {"", []string{"f: it is empty"}},
		"no YAML":  {"name: [", []string{"f: yaml: line 1"}},
		"two":      {"name: a\n---\nname: b\n", []string{"f: more than one YAML document"}},
		"a list":   {"- a\n", []string{"f:1:1: want names and values"}},
		"nothing":  {"description: x\n", []string{"f:1:1: name is missing", "f:1:1: ignition is missing"}},
		"null":     {"name:\nignition: none\n", []string{"f:1:6: name: want one value"}},
		"bad name": {"name: Flat Car\nignition: none\n", []string{`f:1:7: name: "Flat Car": want lower-case`}},
		"twice":    {"name: a\nignition: none\nname: b\n", []string{"f:3:1: name is there twice, first on line 1"}},
		"all at once": {"name: a\nignition: oem-file\narch: [amd64, s390x]\nspec_version: 9.9.9\nmin_disk: -3\n", []string{
			`f:4:15: spec_version: "9.9.9": want 3.3.0, 3.4.0`, `f:5:11: min_disk: "-3": want a size`,
			`f:3:7: arch: "s390x": want amd64, arm64`, "f:1:1: oem_label is missing",
		}},
		"no place":     {"name: a\nignition: none\nspec_version: 3.4.0\n", []string{"f:3:15: spec_version has no meaning with this ignition"}},
		"a path":       {"name: a\nignition: none\noem_label: OEM\nkernel_file: {name: ../x, append: a}\n", []string{`f:4:21: kernel_file.name: "../x": want the name of a file`}},
		"an injection": {"name: a\nignition: none\noem_label: OEM\nkernel_file: {name: x, append: a b}\n", []string{`kernel_file.append: "a b": want the name of a GRUB variable`}},
		"below":        {"name: a\nignition: none\nmatch: {labels: [a]}\n", []string{`f:3:9: a profile has no "labels" below match, only partition_guids, partitions`}},
		"no list":      {"name: a\nignition: none\nmatch: {partitions: [[a]]}\n", []string{"f:3:22: match.partitions: want a list of words"}},
		"no argument":  {"name: a\nignition: kernel-arg\nspec_version: 3.4.0\noem_label: OEM\n", []string{"config_arg is missing", "kernel_file is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := profile.Parse("f", []byte(tt.text))
			if err == nil {
				t.Fatalf("no error: %+v", p)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %s", err, want)
				}
			}
		})
	}
}

func TestKernelConfig(t *testing.T) {
	t.Parallel()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	flatcar, err := set.Get(profile.Flatcar)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := set.Get(profile.Plain)
	if err != nil {
		t.Fatal(err)
	}
	own, err := profile.Parse("own.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		p       *image.Profile
		console string
		args    []string
		want    string
		bad     string
	}{
		{flatcar, "", nil, "", ""},
		{flatcar, "ttyS1,57600n8", nil, "# Written by racker.\nset linux_console='console=ttyS1,57600n8'\n", ""},
		{flatcar, "", []string{"flatcar.autologin", "a=$b"}, "# Written by racker.\nset linux_append='flatcar.autologin a=$b'\n", ""},
		{own, "tty0", []string{"quiet"}, "# Written by racker.\nset serial='console=tty0'\nset extra='ignition.config.url=oem:///config.ign quiet'\n", ""},
		{own, "", nil, "# Written by racker.\nset extra='ignition.config.url=oem:///config.ign'\n", ""},
		{plain, "", nil, "", ""},
		{plain, "tty0", nil, "", "it has no place for kernel arguments"},
		{flatcar, "", []string{"a b"}, "", `"a b"`},
		{flatcar, "", []string{"a'; halt; '"}, "", "have no place in one"},
		{flatcar, "tty0\nhalt", nil, "", "have no place in one"},
		{flatcar, "", []string{""}, "", `""`},
	} {
		got, err := tt.p.KernelConfig(tt.console, tt.args)
		if string(got) != tt.want || (tt.bad == "") != (err == nil) {
			t.Errorf("%s %q %q: %q, %v; want %q", tt.p.Name, tt.console, tt.args, got, err, tt.want)
		}
		if err != nil && (!errors.Is(err, image.ErrProfile) || !strings.Contains(err.Error(), tt.bad)) {
			t.Errorf("%v lacks %q", err, tt.bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("name: a\nignition: none\nmin_disk: 9223372036854775807 TiB\n"))
	f.Add([]byte("&a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := profile.Parse("f", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if p != nil && (p.Name == "" || p.MinDisk < 0 || p.TakesIgnition() != (p.SpecVersion != "")) {
			t.Errorf("%+v", p)
		}
	})
}
