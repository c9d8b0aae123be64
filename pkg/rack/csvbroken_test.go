package rack

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// thisMachine has the MACs of the management node in the test files.
func thisMachine() []Interface {
	return []Interface{
		{Name: "lo"},
		{Name: "eth0", MAC: MAC{0x52, 0x54, 0, 0xaa, 0, 1}},
		{Name: "eth1", MAC: MAC{0x52, 0x54, 0, 0xcc, 0, 1}},
		{Name: "eth2", MAC: MAC{0x52, 0x54, 0, 0xdd, 0, 1}},
	}
}

// TestBroken reads each broken file of testdata and wants exactly the mistakes below.
func TestBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"bad-name.csv": `
f:2:84: Name: "-mgmt" is no host name: letters, digits and hyphens, at most 63
f:3:69: Name: "10.0.0.1" is no host name: letters, digits and hyphens, at most 63
f:4:69: Name: "a_b" is no host name: letters, digits and hyphens, at most 63`,
		"bmc-address.csv": `
f:3:69: BMC Address: "10.0.0.300" is no address of a host, want one such as 10.1.0.7
f:4:69: BMC Address: "127.0.0.1" is no address of a host, want one such as 10.1.0.7
f:6:24: BMC address 10.0.0.7 is used twice: on line 5 (BMC Address) and on line 6 (BMC Address)`,
		"bom-crlf.csv": `
f:5:20: BMC MAC address: "nope": not a MAC address, want six bytes such as 52:54:00:12:34:56`,
		"column-twice.csv": `
f:1:83: column "Node Type" is there twice`,
		"comments-only.csv": `
f:1:1: no header: the file is empty`,
		"empty-header-column.csv": `
f:3:67: "x" is in no column of the header`,
		"empty.csv": `
f:1:1: no header: the file is empty`,
		"mac-in-header.csv": `
f:1:73: the header holds the MAC address 52:54:00:aa:00:09`,
		"mac-twice-across.csv": `
f:4:20: MAC address 52:54:00:cc:00:02 is used twice: on line 3 (Secondary MAC address) and on line 4 (BMC MAC address)
f:4:39: MAC address 52:54:00:aa:00:03 is used twice: on line 4 (Primary MAC address) and on line 4 (Secondary MAC address)`,
		"mac-twice.csv": `
f:4:1: MAC address 52:54:00:aa:00:02 is used twice: on line 3 (Primary MAC address) and on line 4 (Primary MAC address)`,
		"malformed-mac.csv": `
f:3:1: Primary MAC address: "52:54:00:aa:00:0g": not a MAC address, want six bytes such as 52:54:00:12:34:56
f:3:20: BMC MAC address: "52:54:00:bb:00": not a MAC address, want six bytes such as 52:54:00:12:34:56
f:3:36: Secondary MAC address: "52-54:00:cc:00:02": not a MAC address, want six bytes such as 52:54:00:12:34:56`,
		"multicast-mac.csv": `
f:3:1: Primary MAC address: "01:00:5e:00:00:01": not a MAC address of a NIC: it is a multicast address`,
		"name-twice.csv": `
f:4:1: name db is used twice: on line 3 (Name) and on line 4 (Name)`,
		"newline-lines.csv": `
f:5:1: Primary MAC address: "bad": not a MAC address, want six bytes such as 52:54:00:12:34:56`,
		"no-bmc-column.csv": `
f:1:1: no column BMC MAC address`,
		"no-bmc.csv": `
f:3:20: a server needs a BMC MAC address or a BMC Address, else it cannot be powered
f:4:18: a server needs a BMC MAC address or a BMC Address, else it cannot be powered`,
		"no-header.csv": `
f:1:1: no header: the first line holds the MAC address 52:54:00:aa:00:01`,
		"no-known-column.csv": `
f:1:1: no header: the first line names no known column`,
		"no-local.csv": `
f:1:1: no row holds a MAC address of this machine, so none is the management node's`,
		"no-primary-column.csv": `
f:1:1: no column Primary MAC address`,
		"no-primary.csv": `
f:3:1: no primary MAC address`,
		"no-secondary.csv": `
f:2:39: the management node has no secondary MAC address`,
		"not-utf8.csv": `
f:3:41: "caf\xe9" holds a control character or is not UTF-8
f:4:1: Primary MAC address: "é": not a MAC address, want six bytes such as 52:54:00:12:34:56
f:4:25: "a\ab" holds a control character or is not UTF-8`,
		"quote-behind.csv": `
f:3:54: text behind a closing quote`,
		"quote-open.csv": `
f:3:50: this quote is never closed
f:4:1: Primary MAC address: "52:54:00:aa:00:zz": not a MAC address, want six bytes such as 52:54:00:12:34:56`,
		"secondary-elsewhere.csv": `
f:2:39: the management node's secondary MAC address 52:54:00:cc:00:0f is on no interface: there is eth0 52:54:00:aa:00:01, eth1 52:54:00:cc:00:01, eth2 52:54:00:dd:00:01`,
		"secondary-malformed.csv": `
f:2:39: Secondary MAC address: "52:54:00:cc:00": not a MAC address, want six bytes such as 52:54:00:12:34:56`,
		"semicolons.csv": `
f:1:1: no header: the values are separated by semicolons`,
		"serial-twice.csv": `
f:4:69: serial b2 is used twice: on line 3 (Serial) and on line 4 (Serial)`,
		"several.csv": `
f:3:1: Primary MAC address: "zz": not a MAC address, want six bytes such as 52:54:00:12:34:56
f:4:1: this row and the one on line 2 both hold a MAC of this machine: which is the management node?
f:4:20: MAC address 52:54:00:bb:00:02 is used twice: on line 3 (BMC MAC address) and on line 4 (BMC MAC address)
f:4:39: MAC address 52:54:00:aa:00:01 is used twice: on line 2 (Primary MAC address) and on line 4 (Secondary MAC address)
f:4:58: the node type is the MAC address 52:54:00:ff:00:01`,
		"too-many-values.csv": `
f:3:74: "see ticket" is in no column of the header`,
		"two-local.csv": `
f:3:1: this row and the one on line 2 both hold a MAC of this machine: which is the management node?`,
		"type-is-mac.csv": `
f:3:58: the node type is the MAC address 52:54:00:dd:00:02`,
		"unknown-column.csv": `
f:1:83: unknown column "Sreial", the nearest known one is "Serial"
f:1:91: unknown column "BMC Addr", the nearest known one is "BMC Address"`,
		"utf16.csv": `
f:1:1: the file is UTF-16`,
		"zero-mac.csv": `
f:4:20: BMC MAC address: "00:00:00:00:00:00": not a MAC address of a NIC: it is all zero`,
	}
	files, err := filepath.Glob("testdata/*.csv")
	if err != nil || len(files) != len(tests) {
		t.Errorf("%d files in testdata, %d tests, error %v", len(files), len(tests), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			rack, err := ReadCSV(f, "f", ReadOptions{Local: thisMachine()})
			if rack != nil || err == nil {
				t.Fatalf("rack %v, error %v", rack, err)
			}
			want := strings.TrimSpace(tests[filepath.Base(file)])
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if _, ok := errors.AsType[*CSVError](err); !ok {
				t.Errorf("error is no *CSVError: %T", err)
			}
		})
	}
}
