package image

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow is the largest zstd window that is taken, as much as the zstd program takes by default: 128 MiB.
const maxWindow = 128 << 20

// InputError says what is wrong with a file that was to become an image, and what to do about it.
type InputError struct {
	What string
	Hint string // may be empty
	Err  error  // the cause; may be nil
}

// Error implements error.
func (e *InputError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *InputError) Unwrap() error { return e.Err }

// compression names how a file is compressed by its first bytes; "raw" when no magic fits.
func compression(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}): // RFC 1952 2.3.1
		return "gzip"
	case len(head) >= 10 && bytes.HasPrefix(head, []byte("BZh")) && isBzip2Block(head[4:10]):
		return "bzip2"
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "xz"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), // RFC 8878 3.1.1
		// a skippable frame, with which pzstd begins; RFC 8878 3.1.2
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return "zstd"
	}
	return "raw"
}

// isBzip2Block knows the marks of a block (pi) and of the end of an empty stream (square root of pi).
func isBzip2Block(b []byte) bool {
	return bytes.Equal(b, []byte{0x31, 0x41, 0x59, 0x26, 0x53, 0x59}) ||
		bytes.Equal(b, []byte{0x17, 0x72, 0x45, 0x38, 0x50, 0x90})
}

// decompress gives the raw bytes of a file of the named compression; concatenated streams are one. The returned
// function frees what the reader holds.
func decompress(name string, r *bufio.Reader) (io.Reader, func(), error) {
	switch name {
	case "gzip":
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case "bzip2":
		return bzip2.NewReader(r), func() {}, nil
	case "xz":
		z, err := xz.ReaderConfig{}.NewReader(r)
		return z, func() {}, err
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// badInput describes an error of a decompressor after read bytes of the file.
func badInput(name string, read int64, err error) error {
	what := fmt.Sprintf("the %s data is corrupt near byte %d of the file", name, read)
	hint := "fetch the file again and compare its checksum"
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		what = fmt.Sprintf("the %s data is cut off after %d bytes of the file", name, read)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		what = "the zstd data needs a window of more than 128 MiB"
		hint = "compress it again without --long"
	}
	return &InputError{What: what, Hint: hint, Err: err}
}

// wrongKind gives a warning when the first bytes of the raw image are not those of a disk; "" when they are.
func wrongKind(head []byte) string {
	at := func(off int, s string) bool {
		return len(head) >= off+len(s) && string(head[off:off+len(s)]) == s
	}
	switch {
	case at(0, "QFI\xfb"):
		return "this is a qcow2 file, not a raw disk: convert it with qemu-img convert -O raw"
	case at(0, "KDMV"), at(0, "# Disk DescriptorFile"):
		return "this is a VMDK file, not a raw disk: convert it with qemu-img convert -O raw"
	case at(0, "vhdxfile"), at(0, "conectix"):
		return "this is a VHD file, not a raw disk: convert it with qemu-img convert -O raw"
	case at(0, "PK\x03\x04"), at(257, "ustar"):
		return "this is an archive, not a disk: unpack it first"
	case at(510, "\x55\xaa"), at(512, "EFI PART"), at(4096, "EFI PART"):
		return ""
	}
	return "no partition table was found: a machine will hardly boot from it"
}
