package hwinfo

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBootFromDisk(t *testing.T) {
	t.Parallel()
	done, refused := []byte{0}, []byte{0xd5}
	for name, tt := range map[string]struct {
		efi   bool
		bmc   scripted
		asked []string
		err   string
	}{
		"BIOS":                   {false, scripted{medium: map[byte][]byte{3: done, 5: done}}, []string{"00 08 031f", "00 08 05c008000000"}, ""},
		"UEFI":                   {true, scripted{medium: map[byte][]byte{3: done, 5: done}}, []string{"00 08 031f", "00 08 05e008000000"}, ""},
		"flags are always kept":  {false, scripted{medium: map[byte][]byte{5: done}}, []string{"00 08 031f", "00 08 05c008000000"}, ""},
		"it refuses":             {false, scripted{medium: map[byte][]byte{3: done, 5: refused}}, []string{"00 08 031f", "00 08 05c008000000"}, "answers d5h"},
		"it does not answer":     {false, scripted{err: os.ErrDeadlineExceeded}, []string{"00 08 031f"}, "IPMI request 08h of function 00h"},
		"it answers with nought": {false, scripted{medium: map[byte][]byte{3: {}}}, []string{"00 08 031f"}, "empty answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := bootFromDisk(t.Context(), &tt.bmc, tt.efi)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if d := cmp.Diff(tt.asked, tt.bmc.asked); d != "" {
				t.Errorf("(-want +asked):\n%s", d)
			}
		})
	}
	tr := newTree(t)
	if err := tr.reader().BootFromDisk(t.Context(), true); !errors.Is(err, ErrNoBMC) {
		t.Errorf("without hardware: %v", err)
	}
}
