package vbmc_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// ipmitool calls the program of that name, with the password in a file.
func ipmitool(ctx context.Context, t *testing.T, suite int, target bmc.Target, words ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("ipmitool")
	if err != nil {
		t.Fatalf("ipmitool of the Debian package of that name is needed: run make deps (%v)", err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(target.Password.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-I", "lanplus", "-C", strconv.Itoa(suite), "-H", target.Host, "-p", strconv.Itoa(target.Port), "-U", target.User, "-f", file, "-N", "1", "-R", "2"}
	out, err := exec.CommandContext(ctx, program, append(args, words...)...).CombinedOutput()
	return string(out), err
}

// The virtual BMC is one to a client that nobody here wrote.
func TestIPMITool(t *testing.T) {
	t.Parallel()
	host := &machine{}
	b, target := run(t, config(t), host)
	ctx := testContext(t)
	for _, suite := range []int{17, 3} {
		for _, step := range []struct{ words, want string }{
			{"chassis power status", "Chassis Power is off"},
			{"chassis power on", "Chassis Power Control: Up/On"},
			{"chassis power status", "Chassis Power is on"},
			{"chassis bootdev pxe options=efiboot", "Set Boot Device to pxe"},
			{"chassis bootparam get 5", "Boot Device Selector : Force PXE"},
			{"chassis bootparam get 5", "BIOS EFI boot"},
			{"chassis bootparam get 5", "Boot Flag Valid"},
			{"chassis bootdev disk options=persistent", "Set Boot Device to disk"},
			{"chassis bootparam get 5", "Options apply to all future boots"},
			{"chassis bootdev none", "Set Boot Device to none"},
			{"chassis bootdev bios clear-cmos=no", "Set Boot Device to bios"},
			{"chassis power reset", "Chassis Power Control: Reset"},
			{"chassis power cycle", "Chassis Power Control: Cycle"},
			{"chassis power soft", "Chassis Power Control: Soft"},
			{"chassis status", "System Power         : off"},
			{"mc info", "IPMI Version              : 2.0"},
			{"mc guid", "System GUID"},
			{"lan print 1", "MAC Address             : 52:54:00:12:34:56"},
			{"channel info 1", "802.3 LAN"},
		} {
			out, err := ipmitool(ctx, t, suite, target, strings.Fields(step.words)...)
			// lan print and mc guid end with an error for the parts that are not there.
			if !strings.Contains(out, step.want) || err != nil && !strings.HasPrefix(step.words, "lan ") {
				t.Errorf("suite %d: ipmitool %s: %v, no %q in:\n%s", suite, step.words, err, step.want, out)
			}
		}
	}
	once := []string{"on", "reset", "off", "on", "soft"}
	if diff := cmp.Diff(append(once, once...), host.seen()); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(vbmc.Boot{Device: vbmc.DeviceBIOS, Valid: true}, b.Boot()); diff != "" {
		t.Errorf("boot (-want +got):\n%s", diff)
	}
	target.Password = "wrong"
	if out, err := ipmitool(ctx, t, 17, target, "power", "status"); err == nil {
		t.Errorf("a wrong password got in: %s", out)
	}
}
