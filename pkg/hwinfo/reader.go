package hwinfo

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Reader says where the kernel's file systems are mounted; empty fields mean /sys, /dev and /proc. Its methods may be
// called concurrently.
type Reader struct {
	Sys, Dev, Proc string
}

func (r Reader) sys(parts ...string) string  { return under(cmp.Or(r.Sys, "/sys"), parts) }
func (r Reader) dev(parts ...string) string  { return under(cmp.Or(r.Dev, "/dev"), parts) }
func (r Reader) proc(parts ...string) string { return under(cmp.Or(r.Proc, "/proc"), parts) }

func under(root string, parts []string) string {
	return filepath.Join(append([]string{root}, parts...)...)
}

// attr gives one attribute of sysfs, trimmed; an attribute that is missing or cannot be read is "", as the kernel leaves
// out what a device does not tell.
func attr(parts ...string) string {
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		return ""
	}
	return clean(string(b))
}

// clean drops outer blanks, and what does not print: firmware puts all sorts of bytes into its strings.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, " ")))
}

func attrInt(parts ...string) int64 {
	n, err := strconv.ParseInt(attr(parts...), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// link gives the last element of a symbolic link, "" when there is none.
func link(parts ...string) string {
	target, err := os.Readlink(filepath.Join(parts...))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}
