package agent

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/racker-project/racker/pkg/image"
)

// Parts of EFI_LOAD_OPTION (UEFI 2.10, 3.1.3) and of device paths (10.3).
const (
	loadOptionActive = 0x1
	mediaPath        = 4
	hardDriveNode    = 1
	filePathNode     = 4
	signatureGUID    = 2
	formatGPT        = 2
)

// loader is the removable-media path, at which every installed system that we know has a loader.
const loader = `\EFI\BOOT\BOOTX64.EFI`

// loaderARM is the same for arm64.
const loaderARM = `\EFI\BOOT\BOOTAA64.EFI`

// loadOption makes a boot entry for a file on an EFI system partition.
func loadOption(description string, esp image.Partition, file string) ([]byte, error) {
	sig, err := guidBytes(esp.GUID)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	var drive []byte // UEFI 2.10, 10.3.5.1
	drive = le.AppendUint32(drive, uint32(esp.Number))
	drive = le.AppendUint64(drive, uint64(esp.First))
	drive = le.AppendUint64(drive, uint64(esp.Last-esp.First+1))
	drive = append(drive, sig...)
	drive = append(drive, formatGPT, signatureGUID)

	var path []byte
	path = appendNode(path, mediaPath, hardDriveNode, drive)
	path = appendNode(path, mediaPath, filePathNode, utf16z(file))
	path = append(path, 0x7f, 0xff, 4, 0) // end of the device path

	out := le.AppendUint32(nil, loadOptionActive)
	out = le.AppendUint16(out, uint16(len(path)))
	out = append(out, utf16z(description)...)
	return append(out, path...), nil
}

// appendNode appends one device path node: type, subtype, length with this header, data.
func appendNode(b []byte, kind, sub byte, data []byte) []byte {
	b = append(b, kind, sub)
	b = binary.LittleEndian.AppendUint16(b, uint16(4+len(data)))
	return append(b, data...)
}

// utf16z encodes a text as UEFI does, with its terminator.
func utf16z(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// optionName reads the description of a boot entry; "" when it is malformed.
func optionName(option []byte) string {
	if len(option) < 6 {
		return ""
	}
	var u []uint16
	for b := option[6:]; len(b) >= 2; b = b[2:] {
		c := binary.LittleEndian.Uint16(b)
		if c == 0 {
			return string(utf16.Decode(u))
		}
		u = append(u, c)
	}
	return ""
}

// guidBytes gives a GUID as it lies on disks and in variables: the first three fields little-endian (UEFI 2.10,
// appendix A).
func guidBytes(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 || len(s) != 36 {
		return nil, fmt.Errorf("%q: %w", s, errGUID)
	}
	for _, f := range [][]byte{b[0:4], b[4:6], b[6:8]} {
		for i, j := 0, len(f)-1; i < j; i, j = i+1, j-1 {
			f[i], f[j] = f[j], f[i]
		}
	}
	return b, nil
}

var errGUID = errors.New("not a GUID")

// bootOrder reads the list of entry numbers in BootOrder.
func bootOrder(data []byte) []uint16 {
	var out []uint16
	for ; len(data) >= 2; data = data[2:] {
		out = append(out, binary.LittleEndian.Uint16(data))
	}
	return out
}

// orderBytes is the inverse of bootOrder.
func orderBytes(order []uint16) []byte {
	var b bytes.Buffer
	for _, n := range order {
		b.Write(binary.LittleEndian.AppendUint16(nil, n))
	}
	return b.Bytes()
}
