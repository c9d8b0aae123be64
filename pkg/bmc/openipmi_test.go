package bmc_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bmc"
)

// The BMC of OpenIPMI knows cipher suite 3 and not 17, has no parameter 3, and tells no flags but the device.
func TestOpenIPMI(t *testing.T) {
	t.Parallel()
	sim, ctx := startOpenIPMI(t), testContext(t)
	c := bmc.New(bmc.Config{Poll: 10 * time.Millisecond})

	reading, err := c.Check(ctx, sim.target())
	if err != nil {
		t.Fatal(err)
	}
	want := bmc.Reading{Power: api.PowerOff, ManufacturerID: 0x1291, ProductID: 0xf02, FirmwareRevision: "9.08", IPMIVersion: "2.0", CipherSuite: 3}
	reading.Manufacturer = ""
	if diff := cmp.Diff(want, reading); diff != "" {
		t.Errorf("reading (-want +got):\n%s", diff)
	}
	for _, on := range []bool{false, true, true, false} { // every state also when it is there already
		if err := c.SetPower(ctx, sim.target(), on); err != nil {
			t.Fatalf("power %v: %v", on, err)
		}
		power, err := c.Power(ctx, sim.target())
		if err != nil || (power == api.PowerOn) != on {
			t.Fatalf("power reads %q, %v, want on: %v", power, err, on)
		}
	}
	if diff := cmp.Diff([]string{"power 1", "power 0"}, sim.orders(t)); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	for _, device := range []bmc.BootDevice{bmc.DevicePXE, bmc.DeviceDisk, bmc.DeviceNone, bmc.DeviceCDROM, bmc.DeviceBIOS} {
		if err := c.SetBoot(ctx, sim.target(), bmc.Boot{Device: device, EFI: true}); err != nil {
			t.Fatalf("boot %s: %v", device, err)
		}
		boot, err := c.Boot(ctx, sim.target())
		if diff := cmp.Diff(bmc.Boot{Device: device}, boot); err != nil || diff != "" {
			t.Errorf("boot %s: %v (-want +got):\n%s", device, err, diff)
		}
	}
}

func TestOpenIPMIRefusesUser(t *testing.T) {
	t.Parallel()
	sim, ctx := startOpenIPMI(t), testContext(t)
	for name, spoil := range map[string]func(*bmc.Target){
		"password":       func(t *bmc.Target) { t.Password = "open sesame" },
		"empty password": func(t *bmc.Target) { t.Password = "" },
		"user":           func(t *bmc.Target) { t.User = "root" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := sim.target()
			spoil(&target)
			began := time.Now()
			err := bmc.New(bmc.Config{}).SetPower(ctx, target, true)
			if !errors.Is(err, bmc.ErrAuth) {
				t.Fatalf("error %v, want ErrAuth", err)
			}
			want := `BMC of node-2 (U17) at 127.0.0.1:` // and the port
			if text := err.Error(); !strings.HasPrefix(text, want) || !strings.HasSuffix(text, ` refused user "`+target.User+`": wrong user or password`) {
				t.Errorf("error text %q", text)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Cleanup(func() {
		if orders := sim.orders(t); len(orders) > 0 {
			t.Errorf("orders were carried out: %v", orders)
		}
	})
}
