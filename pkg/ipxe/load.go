package ipxe

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// sumsFile lists the digests of a payload directory, in the form of sha256sum(1).
	sumsFile = "SHA256SUMS"
	// maxProgram bounds a program; the largest of iPXE's are about 2 MiB.
	maxProgram = 64 << 20
)

// ErrDigest is matched when a file is not the one that SHA256SUMS lists.
var ErrDigest = errors.New("SHA-256 differs from SHA256SUMS")

// Programs are the boot programs that can be served; it is the fs.FS that TFTP and HTTP serve. It may be used
// concurrently. The zero value has none.
type Programs struct {
	dir   string
	names []string // sorted
}

// File is a program that the settings name, beside those of the payload: iPXE for arm64, or a newer one than the
// distribution's.
type File struct {
	Name string // under which it is served
	Path string
}

// LoadPrograms copies boot programs from src to dst, links resolved, each atomically, and gives what can be served
// from dst. With a file SHA256SUMS in src everything that it lists must be there and match (the error names the file
// and matches ErrDigest or fs.ErrNotExist), and all of it is copied; else the programs with names of this package are.
// Extra files take precedence. It is an error to end without undionly.kpxe or ipxe.efi.
func LoadPrograms(src, dst string, extra ...File) (*Programs, error) {
	sums, err := readSums(src)
	if err != nil {
		return nil, fmt.Errorf("boot programs: %w", err)
	}
	files := map[string]string{}
	for _, n := range []string{Undionly, IPXEEFI, SNPOnly, SNPARM64} {
		if _, err := os.Stat(filepath.Join(src, n)); err == nil {
			files[n] = filepath.Join(src, n)
		}
	}
	for n := range sums {
		files[n] = filepath.Join(src, n)
	}
	for _, f := range extra {
		if err := name(f.Name); err != nil {
			return nil, fmt.Errorf("boot programs: %w", err)
		}
		files[f.Name] = f.Path
		delete(sums, f.Name)
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return nil, fmt.Errorf("boot programs: %w", err)
	}
	p := &Programs{dir: dst}
	for n, path := range files {
		if err := install(path, filepath.Join(dst, n), sums[n]); err != nil {
			return nil, fmt.Errorf("boot program %s: %w", n, err)
		}
		p.names = append(p.names, n)
	}
	slices.Sort(p.names)
	for _, n := range []string{Undionly, IPXEEFI} {
		if !p.Has(n) {
			return nil, fmt.Errorf("boot program %s: %w", filepath.Join(src, n), fs.ErrNotExist)
		}
	}
	return p, nil
}

// readSums gives the digests of SHA256SUMS by name; none if there is no such file.
func readSums(dir string) (map[string]string, error) {
	path := filepath.Join(dir, sumsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for i, line := range strings.Split(string(b), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		digest, file, ok := strings.Cut(line, " ")
		file = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(file, " "), "*"), "./")
		raw, err := hex.DecodeString(digest)
		if !ok || err != nil || len(raw) != sha256.Size || name(file) != nil {
			return nil, fmt.Errorf("%s line %d: want a SHA-256 and a plain file name", path, i+1)
		}
		sums[file] = strings.ToLower(digest)
	}
	return sums, nil
}

// install writes src to dst unless dst is the same already; an interrupted copy never has the name of a program.
func install(src, dst, digest string) error {
	if info, err := os.Stat(src); err != nil {
		return err
	} else if !info.Mode().IsRegular() || info.Size() > maxProgram {
		return fmt.Errorf("%s: not a file of at most %d bytes", src, maxProgram)
	}
	b, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); digest != "" && got != digest {
		return fmt.Errorf("%s: %w: %s, want %s", src, ErrDigest, got, digest)
	}
	if old, err := os.ReadFile(dst); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return writeAtomic(dst, b)
}

func writeAtomic(dst string, b []byte) (err error) {
	dir, base := filepath.Split(dst)
	f, err := os.CreateTemp(dir, "."+base+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b)
	err = cmp.Or(err, f.Chmod(0o644), f.Sync())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), dst); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Has tells whether a program can be served.
func (p *Programs) Has(name string) bool {
	_, ok := slices.BinarySearch(p.names, name)
	return ok
}

// Names lists what can be served, sorted.
func (p *Programs) Names() []string { return slices.Clone(p.names) }

// Open implements fs.FS; whatever is not among Names does not exist.
func (p *Programs) Open(name string) (fs.File, error) {
	if !p.Has(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return os.Open(filepath.Join(p.dir, name))
}
