package image

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// AddOptions says how Add names and checks an image.
type AddOptions struct {
	// Name is how people call the image; empty means its ID.
	Name string
	// SHA256 is the expected digest of the file as it is given, in hex; empty means not known. A mismatch is ErrDigest.
	SHA256 string
	// Source is kept in the manifest.
	Source string
	// Profile names what kind of image it is; empty lets its partitions tell. Errors match ErrProfile.
	Profile string
	// Arch is the architecture that the image must be for, a GOARCH; empty means any. A mismatch is ErrArch.
	Arch string
	// Version, Channel and Signed are kept in the manifest.
	Version, Channel string
	Signed           *Signed
	// Progress, when not nil, is called with the bytes of the file read so far, from one goroutine at a time.
	Progress func(read int64)
	// Now is the time to note in the manifest; zero means time.Now.
	Now time.Time
}

// Add reads a file to its end and keeps it as an image. The file may be raw or compressed by gzip, bzip2, xz or zstd,
// also as concatenated streams; it is never held in memory or on disk as a whole. On an error nothing is kept. An
// image whose raw bytes the library already has is not kept twice: its manifest is returned as it is.
//
// Errors: ErrDigest; *InputError for a file that is empty, cut off, corrupt or not of whole sectors.
func (l *Library) Add(ctx context.Context, r io.Reader, o AddOptions) (*Manifest, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("add image: %w", err)
	}
	if o.Profile != "" && l.profiles != nil { // before anything is read: that may take minutes
		if _, err := l.profiles().Get(o.Profile); err != nil {
			return nil, fmt.Errorf("add image: %w", err)
		}
	}
	temp, lock, err := l.tempDir()
	if err != nil {
		return nil, fmt.Errorf("add image: %w", err)
	}
	defer lock.Close()
	m, err := l.fill(ctx, temp, r, o)
	if err == nil {
		m, err = l.keep(ctx, temp, m)
	}
	if err := errors.Join(err, os.RemoveAll(temp)); err != nil {
		return nil, fmt.Errorf("add image: %w", err)
	}
	return m, nil
}

func (o *AddOptions) validate() error {
	if o.SHA256 = strings.ToLower(o.SHA256); o.SHA256 != "" && !isHex(o.SHA256, 64) {
		return fmt.Errorf("SHA-256 %q is not 64 hex digits", o.SHA256)
	}
	bad := func(r rune) bool { return !unicode.IsPrint(r) || r == '/' }
	if len(o.Name) > maxNameLength || strings.ContainsFunc(o.Name, bad) || strings.TrimSpace(o.Name) != o.Name {
		return fmt.Errorf("name %q: want at most %d bytes, without control characters, slashes and outer blanks",
			o.Name, maxNameLength)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	return nil
}

// tempDir makes a directory inside the library, so that a rename completes an image, and locks it against sweep.
func (l *Library) tempDir() (string, *os.File, error) {
	temp, err := os.MkdirTemp(l.dir, tempPrefix)
	if err != nil {
		return "", nil, err
	}
	f, err := os.Open(temp)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(temp))
	}
	return temp, f, os.Chmod(temp, 0o755)
}

// fill writes data and manifest into dir.
func (l *Library) fill(ctx context.Context, dir string, r io.Reader, o AddOptions) (*Manifest, error) {
	data, err := os.OpenFile(filepath.Join(dir, DataFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	m, err := convert(ctx, data, r, o)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(data.Sync(), data.Close()); err != nil {
		return nil, err
	}
	if err := l.recognise(dir, m, &o); err != nil {
		return nil, err
	}
	return m, writeManifest(dir, m)
}

func writeManifest(dir string, m *Manifest) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, ManifestFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Sync(), f.Close(), syncDir(dir))
}

// convert decompresses r, writes chunks to data and gives the complete manifest.
func convert(ctx context.Context, data io.Writer, r io.Reader, o AddOptions) (*Manifest, error) {
	in := &input{ctx: ctx, r: r, progress: o.Progress, hash: sha256.New()}
	buffered := bufio.NewReaderSize(in, 1<<20)
	head, err := buffered.Peek(10)
	if len(head) == 0 {
		if errors.Is(err, io.EOF) {
			return nil, &InputError{What: "the file is empty"}
		}
		return nil, err
	}
	name := compression(head)
	raw, free, err := decompress(name, buffered)
	if err != nil {
		return nil, in.explain(name, err)
	}
	defer free()
	m := &Manifest{Format: FormatVersion, Name: o.Name, Added: o.Now.UTC().Round(0), ChunkSize: ChunkSize,
		Source: o.Source, Compression: name, Version: o.Version, Channel: o.Channel, Signed: o.Signed}
	if err := store(ctx, data, raw, m); err != nil {
		return nil, in.explain(name, err)
	}
	if _, err := io.Copy(io.Discard, buffered); err != nil {
		return nil, err
	}
	if m.FileSHA256 = hexDigest(in.hash.Sum(nil)); o.SHA256 != "" && m.FileSHA256 != o.SHA256 {
		return nil, fmt.Errorf("%w: the file has %s, expected %s", ErrDigest, m.FileSHA256, o.SHA256)
	}
	if m.Name == "" {
		m.Name = m.ID
	}
	return m, m.Validate()
}

// input counts and digests a file while it is read, and remembers the error of the file itself, so that it is not
// taken for one of the compression.
type input struct {
	ctx      context.Context
	r        io.Reader
	read     int64
	hash     hash.Hash
	progress func(int64)
	err      error
}

// Read implements io.Reader.
func (in *input) Read(p []byte) (int, error) {
	if in.err = in.ctx.Err(); in.err != nil {
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.read += int64(n)
	in.hash.Write(p[:n])
	if in.progress != nil && n > 0 {
		in.progress(in.read)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return n, err
}

// explain turns what went wrong into an error that names the culprit: the source, the compression, or our own disk.
func (in *input) explain(name string, err error) error {
	var own *storeError
	var bad *InputError
	switch {
	case in.err != nil:
		return in.err
	case errors.As(err, &own):
		return own.Unwrap()
	case errors.As(err, &bad), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return badInput(name, in.read, err)
}

// keep moves a filled directory to its place, unless the image is there.
func (l *Library) keep(ctx context.Context, temp string, m *Manifest) (*Manifest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if old, err := l.read(m.ID); err == nil {
		return old, nil
	}
	if err := os.Rename(temp, l.Dir(m.ID)); err != nil {
		if old, err := l.read(m.ID); err == nil {
			return old, nil
		}
		return nil, err
	}
	return m, syncDir(l.dir)
}
