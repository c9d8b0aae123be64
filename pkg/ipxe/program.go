// Package ipxe makes iPXE scripts, and knows which iPXE program suits which firmware.
//
// A script cannot be injected into: what is no plain word is refused before it gets into a line. Programs are copied,
// checked, from where the payload has them. The package owns no goroutine.
package ipxe

import "github.com/racker-project/racker/pkg/pxe"

// Names of the programs, as Debian's package ipxe and boot.ipxe.org have them.
const (
	Undionly = "undionly.kpxe"
	IPXEEFI  = "ipxe.efi"
	SNPOnly  = "snponly.efi"
	SNPARM64 = "snp-arm64.efi"
)

// Program gives the iPXE program for an architecture; ok is false when there is none. With chain it is one that keeps to
// the network driver of the program that loads it: for a machine that is in an iPXE already, or whose NIC iPXE has no
// driver for. Whether the program can be served is the caller's to ask (Programs.Has).
func Program(arch pxe.Arch, chain bool) (name string, ok bool) {
	switch {
	case arch == pxe.BIOS:
		return Undionly, true
	case arch.X64() && chain:
		return SNPOnly, true
	case arch.X64():
		return IPXEEFI, true
	case arch.ARM64():
		return SNPARM64, true
	}
	return "", false
}
