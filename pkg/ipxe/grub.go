package ipxe

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ESPPlaceholder is what the payload's GRUB has in its embedded configuration where the GUID of the EFI system partition
// belongs. It is as long as a GUID, so that it can be replaced in the finished program.
const ESPPlaceholder = "RACKERRACKER-ESP-PARTITION-GUID-HERE"

var (
	// ErrGUID is matched for what is no GUID.
	ErrGUID = errors.New("not a GUID")
	// ErrPlaceholder is matched when a GRUB program does not hold the placeholder exactly once.
	ErrPlaceholder = errors.New("not racker's GRUB")
)

// GRUBForESP gives a copy of the payload's GRUB that starts the loader of the EFI system partition with a GUID, as GPT
// has it for the partition (not its type), in any case. The program is not signed, so that the change costs nothing;
// under Secure Boot it could not be used.
func GRUBForESP(image []byte, espGUID string) ([]byte, error) {
	guid := strings.ToLower(espGUID)
	if !isGUID(guid) {
		return nil, fmt.Errorf("EFI system partition %q: %w", espGUID, ErrGUID)
	}
	if n := bytes.Count(image, []byte(ESPPlaceholder)); n != 1 {
		return nil, fmt.Errorf("GRUB of %d bytes: %w: the placeholder is there %d times", len(image), ErrPlaceholder, n)
	}
	return bytes.Replace(image, []byte(ESPPlaceholder), []byte(guid), 1), nil
}

// isGUID checks the form 8-4-4-4-12 in lower-case hexadecimal.
func isGUID(s string) bool {
	if len(s) != len(ESPPlaceholder) {
		return false
	}
	for i, r := range s {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		digit := (r >= '0' && r <= '9') || (r >= 'a' && r <= 'f')
		if dash != (r == '-') || !dash && !digit {
			return false
		}
	}
	return true
}
