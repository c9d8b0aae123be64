package pxe

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Arch is a processor architecture type: option 93, RFC 4578 2.1, as IANA lists them under "Processor Architecture
// Types". The zero value is BIOS, which is also what a client without option 93 is.
type Arch uint16

// Architectures that servers have. RFC 4578 has 7 and 9 the other way round than firmware sends them; its erratum
// and IANA's list say 7 is x86-64 and 9 EFI byte code, and machines of both kinds are x86-64.
const (
	BIOS           Arch = 0
	EFIIA32        Arch = 6
	EFIX64         Arch = 7
	EFIBC          Arch = 9
	EFIARM32       Arch = 10
	EFIARM64       Arch = 11
	EFIIA32HTTP    Arch = 15
	EFIX64HTTP     Arch = 16
	EFIBCHTTP      Arch = 17
	EFIARM32HTTP   Arch = 18
	EFIARM64HTTP   Arch = 19
	BIOSHTTP       Arch = 20
	EFIRISCV64     Arch = 27
	EFIRISCV64HTTP Arch = 28
)

// String names the architecture for a person: "BIOS", "UEFI x86-64", "UEFI arm64 HTTP".
func (a Arch) String() string {
	switch a {
	case BIOS:
		return "BIOS"
	case EFIIA32:
		return "UEFI ia32"
	case EFIX64, EFIBC:
		return "UEFI x86-64"
	case EFIARM32:
		return "UEFI arm32"
	case EFIARM64:
		return "UEFI arm64"
	case EFIIA32HTTP:
		return "UEFI ia32 HTTP"
	case EFIX64HTTP, EFIBCHTTP:
		return "UEFI x86-64 HTTP"
	case EFIARM32HTTP:
		return "UEFI arm32 HTTP"
	case EFIARM64HTTP:
		return "UEFI arm64 HTTP"
	case BIOSHTTP:
		return "BIOS HTTP"
	case EFIRISCV64:
		return "UEFI riscv64"
	case EFIRISCV64HTTP:
		return "UEFI riscv64 HTTP"
	}
	return "architecture " + strconv.Itoa(int(a))
}

// X64 tells that the machine runs UEFI programs for x86-64.
func (a Arch) X64() bool { return a == EFIX64 || a == EFIBC || a == EFIX64HTTP || a == EFIBCHTTP }

// ARM64 tells that the machine runs UEFI programs for arm64.
func (a Arch) ARM64() bool { return a == EFIARM64 || a == EFIARM64HTTP }

// UEFI tells that the machine's firmware is UEFI, as far as servers are concerned.
func (a Arch) UEFI() bool {
	switch a {
	case EFIIA32, EFIARM32, EFIIA32HTTP, EFIARM32HTTP, EFIRISCV64, EFIRISCV64HTTP:
		return true
	}
	return a.X64() || a.ARM64()
}

// arch reads option 93, a list of 16-bit numbers; some clients list several, best first. Clients without it may still
// name one in option 60: "PXEClient:Arch:00007:UNDI:003016" (PXE 2.1 2.2.1).
func arch(opt []byte, class string) (Arch, bool) {
	if len(opt) >= 2 && len(opt)%2 == 0 {
		return Arch(binary.BigEndian.Uint16(opt)), true
	}
	_, rest, ok := strings.Cut(class, ":Arch:")
	if !ok || len(rest) < 5 {
		return BIOS, false
	}
	n, err := strconv.ParseUint(rest[:5], 10, 16)
	if err != nil {
		return BIOS, false
	}
	return Arch(n), true
}

// Option60 makes the class identifier that a client of this architecture sends, e.g.
// "PXEClient:Arch:00007:UNDI:003016"; class is ClassPXE or ClassHTTP.
func (a Arch) Option60(class string) string {
	return fmt.Sprintf("%s:Arch:%05d:UNDI:003016", class, uint16(a))
}
