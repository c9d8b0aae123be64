package initrd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ErrKernel is matched when a file is no kernel that a server boots.
var ErrKernel = errors.New("not a bootable Linux kernel")

// Offsets of the x86 setup header (Documentation/arch/x86/boot.rst) and of the arm64 image header
// (Documentation/arch/arm64/booting.rst).
const (
	x86MagicAt   = 0x202 // "HdrS"
	x86VersionAt = 0x20e // offset of the version string, less 0x200
	armMagicAt   = 0x38  // "ARM\x64"
	maxRelease   = 256
)

// kernelRelease gives the release (what uname -r prints) and Go's name of the architecture of a kernel image.
func kernelRelease(image []byte) (release, arch string, err error) {
	switch {
	case len(image) > x86VersionAt+2 && string(image[x86MagicAt:x86MagicAt+4]) == "HdrS":
		at := int(binary.LittleEndian.Uint16(image[x86VersionAt:])) + 0x200
		if at <= 0x200 || at >= len(image) {
			return "", "", fmt.Errorf("%w: the bzImage header names no version", ErrKernel)
		}
		release, arch = firstWord(image[at:]), "amd64"
	case len(image) > armMagicAt+4 && string(image[armMagicAt:armMagicAt+4]) == "ARMd":
		const banner = "Linux version "
		at := bytes.Index(image, []byte(banner))
		if at < 0 {
			return "", "", fmt.Errorf("%w: the arm64 image names no version", ErrKernel)
		}
		release, arch = firstWord(image[at+len(banner):]), "arm64"
	default:
		return "", "", fmt.Errorf("%w: neither a bzImage nor an arm64 Image", ErrKernel)
	}
	if release == "" || strings.ContainsAny(release, "/\\") || strings.HasPrefix(release, ".") {
		return "", "", fmt.Errorf("%w: its release is %q", ErrKernel, release)
	}
	return release, arch, nil
}

// firstWord gives the printable characters before the first blank or NUL.
func firstWord(b []byte) string {
	b = b[:min(len(b), maxRelease)]
	end := bytes.IndexFunc(b, func(r rune) bool { return r <= ' ' || r > '~' })
	if end < 0 {
		return ""
	}
	return string(b[:end])
}
