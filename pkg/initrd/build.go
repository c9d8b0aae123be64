package initrd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ErrAgent is matched when the agent is no static program for the kernel's architecture.
var ErrAgent = errors.New("unusable agent")

// Names of the files of a microkernel.
const (
	KernelFile   = "vmlinuz"
	InitrdFile   = "initrd.img"
	ManifestFile = "manifest.json"
)

// Spec says what a microkernel is made of.
type Spec struct {
	Kernel   string // a bzImage or an arm64 Image
	Modules  string // lib/modules/RELEASE, or a directory that has it below lib/modules
	Agent    string // the static racker-agent
	Firmware string // a lib/firmware directory whose files for the chosen modules are taken along; empty for none
	Out      string // the directory of microkernels
}

// Build makes a microkernel and gives its manifest. The directory Out/ID appears at once or not at all; building the
// same again replaces nothing and gives the same ID. Errors match ErrKernel, ErrModules or ErrAgent where an input does
// not fit.
func Build(ctx context.Context, spec Spec) (*Microkernel, error) {
	kernel, err := os.ReadFile(spec.Kernel)
	if err != nil {
		return nil, fmt.Errorf("read kernel: %w", err)
	}
	release, arch, err := kernelRelease(kernel)
	if err != nil {
		return nil, fmt.Errorf("read kernel %s: %w", spec.Kernel, err)
	}
	agent, err := readAgent(spec.Agent, arch)
	if err != nil {
		return nil, err
	}
	t, err := openTree(spec.Modules, release)
	if err != nil {
		return nil, err
	}
	c, err := choose(ctx, t, release)
	if err != nil {
		return nil, err
	}
	firmware, err := readFirmware(spec.Firmware, c)
	if err != nil {
		return nil, err
	}
	var img bytes.Buffer
	if err := pack(&img, records(agent, release, c, firmware)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := &Microkernel{
		Release: release, Arch: arch,
		Kernel: fileOf(KernelFile, kernel), Initrd: fileOf(InitrdFile, img.Bytes()), Agent: fileOf("racker-agent", agent),
		Modules: c.names(), Classes: c.classes,
	}
	for name := range firmware {
		m.Firmware = append(m.Firmware, name)
	}
	slices.Sort(m.Firmware)
	sum := sha256.Sum256([]byte(m.Kernel.SHA256 + m.Initrd.SHA256))
	m.ID = hex.EncodeToString(sum[:])[:idLength]
	return m, save(spec.Out, m, kernel, img.Bytes())
}

// fileOf describes the content of one file.
func fileOf(name string, data []byte) File {
	sum := sha256.Sum256(data)
	return File{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

// readAgent reads the agent and checks that the kernel can start it without any other file.
func readAgent(file, arch string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read agent: %w", err)
	}
	e, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no ELF program", ErrAgent, file)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%w: %s is linked dynamically, want a static program", ErrAgent, file)
		}
	}
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	if e.Machine != want {
		return nil, fmt.Errorf("%w: %s is for %v, but the kernel is for %s", ErrAgent, file, e.Machine, arch)
	}
	return data, nil
}

// save puts the files into dir/ID by way of a temporary directory.
func save(dir string, m *Microkernel, kernel, img []byte) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory of microkernels: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return fmt.Errorf("make microkernel: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("make microkernel: %w", err)
	}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	for name, data := range map[string][]byte{KernelFile: kernel, InitrdFile: img, ManifestFile: append(manifest, '\n')} {
		if err := writeSynced(filepath.Join(tmp, name), data); err != nil {
			return fmt.Errorf("write microkernel: %w", err)
		}
	}
	err = os.Rename(tmp, filepath.Join(dir, m.ID))
	if errors.Is(err, os.ErrExist) {
		return nil // the name comes from the digests: what is there is the same
	}
	if err != nil {
		return fmt.Errorf("keep microkernel: %w", err)
	}
	return syncDir(dir)
}

// writeSynced writes a file and waits until it is on the disk.
func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
