package initrd

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxModule bounds one unpacked module; the largest in Debian is under 8 MiB.
const maxModule = 64 << 20

// module is one kernel module with what its .modinfo section says.
type module struct {
	name     string // with underscores
	rel      string // path below the modules directory, without a compression suffix
	data     []byte // unpacked
	depends  []string
	aliases  []string
	softdeps []string // the values as they stand: "pre: a b post: c"
	firmware []string
	vermagic string
}

// moduleName gives the name by which the kernel knows a module file, and false for any other file.
func moduleName(file string) (string, bool) {
	base := path.Base(trimPacked(file))
	name, ok := strings.CutSuffix(base, ".ko")
	return canonical(name), ok && name != ""
}

// canonical writes a module's name as the kernel does: "-" and "_" are one.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// trimPacked removes the suffix of a compressed module.
func trimPacked(file string) string {
	for _, s := range []string{".xz", ".zst", ".gz"} {
		if t, ok := strings.CutSuffix(file, s); ok {
			return t
		}
	}
	return file
}

// readModule reads, unpacks and parses one module. rel is its path below root.
func readModule(root, rel string) (*module, error) {
	file := path.Join(root, rel)
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	data, err := unpack(rel, raw)
	if err != nil {
		return nil, fmt.Errorf("unpack module %s: %w", file, err)
	}
	m := &module{rel: trimPacked(rel), data: data}
	m.name, _ = moduleName(rel)
	if err := m.parse(); err != nil {
		return nil, fmt.Errorf("read module %s: %w", file, err)
	}
	return m, nil
}

// unpack undoes the compression that a module's file name tells of.
func unpack(name string, raw []byte) ([]byte, error) {
	var r io.Reader
	var err error
	switch path.Ext(name) {
	case ".xz":
		r, err = xz.NewReader(bytes.NewReader(raw))
	case ".gz":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			r = d
		}
	default:
		return raw, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err == nil && len(data) > maxModule {
		err = fmt.Errorf("larger than %d MiB", maxModule>>20)
	}
	return data, err
}

// parse reads the .modinfo section: NUL-terminated "key=value" strings.
func (m *module) parse() error {
	f, err := elf.NewFile(bytes.NewReader(m.data))
	if err != nil {
		return err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return errors.New("no .modinfo section")
	}
	info, err := s.Data()
	if err != nil {
		return fmt.Errorf("section .modinfo: %w", err)
	}
	for _, entry := range strings.Split(string(info), "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		m.take(key, value)
	}
	return nil
}

// take keeps one entry of .modinfo.
func (m *module) take(key, value string) {
	switch key {
	case "depends":
		for _, d := range strings.Split(value, ",") {
			if d != "" {
				m.depends = append(m.depends, canonical(d))
			}
		}
	case "alias":
		m.aliases = append(m.aliases, value)
	case "softdep":
		m.softdeps = append(m.softdeps, value)
	case "firmware":
		m.firmware = append(m.firmware, value)
	case "vermagic":
		m.vermagic = value
	}
}
