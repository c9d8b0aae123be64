package ipxe

import (
	"errors"
	"io/fs"
)

// Programs are the boot programs that can be served; it is the fs.FS that TFTP and HTTP serve.
type Programs struct {
	dir   string
	names []string
}

// File is a program that the settings name, beside those of the payload.
type File struct {
	Name string // under which it is served
	Path string
}

// LoadPrograms copies the programs in src to dst.
func LoadPrograms(src, dst string, extra ...File) (*Programs, error) {
	return nil, errors.ErrUnsupported
}

// Has tells whether a program can be served.
func (p *Programs) Has(name string) bool { return false }

// Open implements fs.FS.
func (p *Programs) Open(name string) (fs.File, error) { return nil, errors.ErrUnsupported }

// GRUBForESP gives the payload's GRUB image with the GUID of the EFI system partition that it is to look for.
func GRUBForESP(image []byte, espGUID string) ([]byte, error) { return nil, errors.ErrUnsupported }
