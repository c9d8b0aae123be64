package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrProfile is matched by errors about image profiles: one that does not exist, or that an image does not fit.
var ErrProfile = errors.New("image profile")

// IgnitionPlace says how the installed system's first boot comes by its Ignition config.
type IgnitionPlace string

// Places of an Ignition config. The config always travels over TLS to the agent, which puts it onto the written disk: a URL
// in a kernel argument would give it to whoever asks.
const (
	// IgnitionOEMFile is the file config.ign on the OEM partition.
	IgnitionOEMFile IgnitionPlace = "oem-file"
	// IgnitionKernelArg is that file too, named to the system by a kernel argument in the kernel-argument file.
	IgnitionKernelArg IgnitionPlace = "kernel-arg"
	// IgnitionNone is an image that takes no config.
	IgnitionNone IgnitionPlace = "none"
)

// Profile says what an image is and how a server is installed with it. It is never changed once it was read.
type Profile struct {
	// Name is lower-case letters, digits and dashes.
	Name        string
	Description string
	// File is where it was read from; empty for one that ships with racker.
	File string
	// Archs are the architectures, as GOARCH names them, that images of this kind exist for; empty means any.
	Archs []string
	// Ignition is where the config goes; the rest of the fields about it mean nothing when it is IgnitionNone.
	Ignition IgnitionPlace
	// SpecVersion is the version of the Ignition spec that the image reads: "3.3.0", "3.4.0".
	SpecVersion string
	// OEMLabel is the name of the partition, or else the label of the file system, that holds the config and the
	// kernel-argument file; empty where the image has none.
	OEMLabel string
	// ConfigArg is the kernel argument that names the config, for IgnitionKernelArg.
	ConfigArg string
	// Kernel is the file for further kernel arguments; its zero value means that the image has no place for them.
	Kernel KernelFile
	// MinDisk is the size in bytes of the smallest disk that the system works on; 0 leaves it to the image's own size.
	MinDisk int64
	// Partitions are the names of partitions by which an image of this kind is recognised, all of them; an image that is
	// recognised by several profiles has the one that names most. Empty means never.
	Partitions []string
	// PartitionGUIDs are GUIDs of partitions, lower case, that must be there too.
	PartitionGUIDs []string
}

// KernelFile is a file of GRUB settings on the OEM partition, which the image's own GRUB config reads.
type KernelFile struct {
	// Name is that of the file, without a directory: grub.cfg.
	Name string
	// Append is the variable that takes further words; Console the one that takes console= words.
	Append, Console string
}

// TakesIgnition reports whether the image reads an Ignition config.
func (p *Profile) TakesIgnition() bool { return p.Ignition != IgnitionNone }

// TakesKernelArgs reports whether the image has a place for kernel arguments.
func (p *Profile) TakesKernelArgs() bool { return p.Kernel.Name != "" }

// Runs reports whether images of this kind exist for that architecture, a GOARCH.
func (p *Profile) Runs(arch string) bool { return len(p.Archs) == 0 || slices.Contains(p.Archs, arch) }

// KernelConfig is the text of the kernel-argument file: console is as ttyS1,57600n8, empty leaves the image's own choice, and
// args are further words. It is nil when nothing is to be said. Errors match ErrProfile: a profile without a place for what is
// asked for, or a word that GRUB would not take as one.
func (p *Profile) KernelConfig(console string, args []string) ([]byte, error) {
	if p.Ignition == IgnitionKernelArg {
		args = append([]string{p.ConfigArg}, args...)
	}
	if console == "" && len(args) == 0 {
		return nil, nil
	}
	if !p.TakesKernelArgs() {
		return nil, fmt.Errorf("%w %s: it has no place for kernel arguments", ErrProfile, p.Name)
	}
	var b strings.Builder
	b.WriteString("# Written by racker.\n")
	if console != "" {
		if p.Kernel.Console == "" {
			return nil, fmt.Errorf("%w %s: it has no place for a console", ErrProfile, p.Name)
		}
		if err := grubSet(&b, p.Kernel.Console, "console="+console); err != nil {
			return nil, fmt.Errorf("%w %s: %w", ErrProfile, p.Name, err)
		}
	}
	if len(args) > 0 {
		if err := grubSet(&b, p.Kernel.Append, args...); err != nil {
			return nil, fmt.Errorf("%w %s: %w", ErrProfile, p.Name, err)
		}
	}
	return []byte(b.String()), nil
}

// grubSet writes a GRUB assignment of words. GRUB expands nothing between single quotes (GRUB manual 6.2).
func grubSet(b *strings.Builder, variable string, words ...string) error {
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, notInWord) {
			return fmt.Errorf("kernel argument %q: blanks, quotes and control characters have no place in one", w)
		}
	}
	fmt.Fprintf(b, "set %s='%s'\n", variable, strings.Join(words, " "))
	return nil
}

func notInWord(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\'' }

// fits gives how many partitions speak for the profile; 0 when it is not this kind.
func (p *Profile) fits(parts []Partition) int {
	for _, name := range p.Partitions {
		if !slices.ContainsFunc(parts, func(q Partition) bool { return q.Name == name }) {
			return 0
		}
	}
	for _, id := range p.PartitionGUIDs {
		if !slices.ContainsFunc(parts, func(q Partition) bool { return q.GUID == id }) {
			return 0
		}
	}
	return len(p.Partitions) + len(p.PartitionGUIDs)
}

// Guess gives the profile that the partitions of an image speak for, the first of those that name as many; nil when none
// does.
func Guess(profiles []*Profile, parts []Partition) *Profile {
	var found *Profile
	most := 0
	for _, p := range profiles {
		if n := p.fits(parts); n > most {
			found, most = p, n
		}
	}
	return found
}
