package profile

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/racker-project/racker/pkg/image"
)

var (
	nameForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	labelForm    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,36}$`) // of a partition: 36 characters, UEFI 2.10 table 5.6
	fileForm     = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`) // GRUB manual 6.2
	argForm      = regexp.MustCompile(`^[!-&(-~]{1,256}$`)             // printable, without blanks and single quotes
	guidForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// check finds what one field alone does not tell.
func (f *file) check(top *yaml.Node, p *image.Profile) {
	f.form(top, "name", p.Name, nameForm, true, "lower-case letters, digits and dashes")
	for _, arch := range p.Archs {
		if arch != "amd64" && arch != "arm64" {
			f.fail(f.lines["arch"], "arch: %q: want amd64, arm64", arch)
		}
	}
	switch p.Ignition {
	case image.IgnitionNone:
		f.unwanted("spec_version", "config_arg")
	case image.IgnitionOEMFile, image.IgnitionKernelArg:
		f.wanted(top, "spec_version", "oem_label")
	case "":
		f.fail(top, "ignition is missing: want oem-file, kernel-arg, none")
	}
	if p.Ignition == image.IgnitionKernelArg {
		f.form(top, "config_arg", p.ConfigArg, argForm, true, "one kernel argument, such as ignition.config.url=oem:///config.ign")
		f.wanted(top, "kernel_file")
	} else {
		f.unwanted("config_arg")
	}
	f.form(top, "oem_label", p.OEMLabel, labelForm, false, "the name of a partition")
	if f.lines["kernel_file"] != nil {
		f.wanted(f.lines["kernel_file"], "oem_label")
		f.form(f.lines["kernel_file"], "kernel_file.name", p.Kernel.Name, fileForm, true, "the name of a file, without a directory")
		f.form(f.lines["kernel_file"], "kernel_file.append", p.Kernel.Append, variableForm, true, "the name of a GRUB variable")
		f.form(f.lines["kernel_file"], "kernel_file.console", p.Kernel.Console, variableForm, false, "the name of a GRUB variable")
	}
	for _, label := range p.Partitions {
		f.form(f.lines["match.partitions"], "match.partitions", label, labelForm, true, "names of partitions")
	}
	for _, id := range p.PartitionGUIDs {
		f.form(f.lines["match.partition_guids"], "match.partition_guids", id, guidForm, true, "GUIDs in lower case")
	}
}

// form checks a text against a form; at is where it should be.
func (f *file) form(at *yaml.Node, name, text string, want *regexp.Regexp, needed bool, words string) {
	n := f.lines[name]
	switch {
	case n == nil && needed:
		f.fail(at, "%s is missing: want %s", name, words)
	case n != nil && !want.MatchString(text):
		f.fail(n, "%s: %q: want %s", name, text, words)
	}
}

func (f *file) wanted(at *yaml.Node, names ...string) {
	for _, name := range names {
		if f.lines[name] == nil {
			f.fail(at, "%s is missing", name)
		}
	}
}

func (f *file) unwanted(names ...string) {
	for _, name := range names {
		if n := f.lines[name]; n != nil {
			f.fail(n, "%s has no meaning with this ignition", name)
		}
	}
}

// parseSize reads "10 GB", "8GiB" or a number of bytes.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BGTMKi ")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit := map[string]int64{
		"": 1, "B": 1, "MB": 1e6, "GB": 1e9, "TB": 1e12, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[strings.TrimSpace(s[len(digits):])]
	if err != nil || n <= 0 || unit == 0 || n > math.MaxInt64/4/unit {
		return 0, fmt.Errorf("%q: want a size such as 10 GB or 8 GiB", s)
	}
	return n * unit, nil
}
