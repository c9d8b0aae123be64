package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

const (
	sha256Size = sha256.Size
	// progressPause is how often a line about a file is written anew: on a terminal, and elsewhere.
	progressPause      = 200 * time.Millisecond
	progressPausePlain = 10 * time.Second
)

// imageKeeper is where images go.
type imageKeeper interface {
	imageLister
	AddImage(ctx context.Context, add api.ImageAdd, body io.Reader, progress func(read int64)) (api.ImageView, error)
}

// imageSender hands a file to the daemon with progress on stderr, unless the daemon has it.
type imageSender struct {
	io     *stdio.Streams
	images imageKeeper
	// profile names the kind of image; empty lets the daemon tell.
	profile string
	line    liveLine
	shown   time.Time
}

// send gives the image that the daemon holds for the file at path. The daemon checks want, the SHA-256 of the file,
// and when it is empty, the one that was just read here: what arrives is what is on this disk.
func (s *imageSender) send(ctx context.Context, path, name, want string) (api.ImageView, error) {
	defer s.line.clear()
	f, size, err := openImage(path)
	if err != nil {
		return api.ImageView{}, err
	}
	defer f.Close()
	img, sum, err := s.find(ctx, f, size)
	if err != nil {
		return api.ImageView{}, err
	}
	if want != "" && want != sum {
		return api.ImageView{}, fmt.Errorf("image %s: its SHA-256 is %s, want %s", path, sum, want)
	}
	if img.ID != "" {
		s.line.end(fmt.Sprintf("%s is held already, as %s", filepath.Base(path), img.Name))
		return img, nil
	}
	if name == "" {
		name = imageName(path)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return api.ImageView{}, fmt.Errorf("image: %w", err)
	}
	img, err = s.images.AddImage(ctx, api.ImageAdd{Name: name, SHA256: sum, Profile: s.profile}, f, func(read int64) {
		s.progress("Adding", filepath.Base(path), read, size)
	})
	if err != nil {
		return api.ImageView{}, fmt.Errorf("image %s: %w", path, err)
	}
	s.line.end(fmt.Sprintf("Added %s: %s, %s used, %s stored", img.Name,
		bytesText(img.RawSize), bytesText(img.UsedSize), bytesText(img.StoredSize)))
	return img, nil
}

// held gives the image that the daemon holds of the file at path, the zero one when it holds none. Nothing is sent.
func (s *imageSender) held(ctx context.Context, path string) (api.ImageView, error) {
	defer s.line.clear()
	f, size, err := openImage(path)
	if err != nil {
		return api.ImageView{}, err
	}
	defer f.Close()
	img, _, err := s.find(ctx, f, size)
	return img, err
}

// openImage opens a file and gives its size.
func openImage(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("image: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = usageError("image %s: it is a directory", path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// find reads the file and looks for it among what the daemon holds; the zero image means that it is not there.
func (s *imageSender) find(ctx context.Context, f *os.File, size int64) (img api.ImageView, sum string, err error) {
	s.shown = time.Now() // what is over at once needs no line on the way
	held, err := s.images.Images(ctx)
	if err != nil {
		return img, "", err
	}
	if sum, err = s.digest(ctx, f, filepath.Base(f.Name()), size); err != nil {
		return img, "", fmt.Errorf("image %s: %w", f.Name(), err)
	}
	if i := slices.IndexFunc(held, func(img api.ImageView) bool { return img.SHA256 == sum || img.FileSHA256 == sum }); i >= 0 {
		img = held[i]
	}
	return img, sum, nil
}

// hold compares a file with the digest that it should have, and goes back to its beginning.
func (s *imageSender) hold(ctx context.Context, f *os.File, want string, size int64) error {
	defer s.line.clear()
	sum, err := s.digest(ctx, f, filepath.Base(f.Name()), size)
	if err == nil && sum != want {
		err = fmt.Errorf("its SHA-256 is %s, want %s", sum, want)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("image %s: %w", f.Name(), err)
	}
	return nil
}

// digest reads the file once; it is the SHA-256 of the image itself where that is not compressed.
func (s *imageSender) digest(ctx context.Context, f io.Reader, name string, total int64) (string, error) {
	sum := sha256.New()
	buf := make([]byte, 1<<20)
	for read := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Read(buf)
		_, _ = sum.Write(buf[:n]) // a hash never fails
		read += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return hex.EncodeToString(sum.Sum(nil)), nil
		case err != nil:
			return "", err
		}
		s.progress("Reading", name, read, total)
	}
}

func (s *imageSender) progress(what, name string, read, total int64) {
	pause := progressPausePlain
	if s.io.ErrTTY {
		pause = progressPause
	}
	now := time.Now()
	if now.Sub(s.shown) < pause {
		return
	}
	s.shown = now
	of := ""
	if total > 0 {
		of = fmt.Sprintf(" of %s (%d%%)", bytesText(total), read*100/total)
	}
	s.line.show(fmt.Sprintf("%s %s: %s%s", what, name, bytesText(read), of), "")
}

// imageName makes a name of a file's: without what tells of its format.
func imageName(path string) string {
	name := filepath.Base(path)
	for _, end := range []string{".gz", ".bz2", ".xz", ".zst", ".img", ".bin", ".raw"} {
		name = strings.TrimSuffix(name, end)
	}
	if name == "" || name == "." {
		return "image"
	}
	return name
}
