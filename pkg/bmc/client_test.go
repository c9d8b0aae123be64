package bmc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/types"
	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	racker "github.com/racker-project/racker/pkg/bmc"
)

// quick is a configuration for BMCs on the loopback.
func quick() racker.Config {
	return racker.Config{Poll: 5 * time.Millisecond, Settle: 50 * time.Millisecond, SoftSettle: 50 * time.Millisecond}
}

func TestPower(t *testing.T) {
	t.Parallel()
	r, ctx, c := startRig(t, quirks{}), testContext(t), racker.New(quick())
	for _, on := range []bool{false, true, true, false, false} {
		if err := c.SetPower(ctx, r.target(), on); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetPower(ctx, r.target(), true); err != nil {
		t.Fatal(err)
	}
	if err := c.SoftOff(ctx, r.target()); err != nil {
		t.Fatal(err)
	}
	if power, err := c.Power(ctx, r.target()); power != api.PowerOff || err != nil {
		t.Errorf("power reads %q, %v", power, err)
	}
	opens, orders, _ := r.seen()
	if diff := cmp.Diff([]bool{true, false, true, false}, orders); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if want := 8; opens != want {
		t.Errorf("%d sessions, want %d", opens, want)
	}
	if n := r.ipmi.Sessions.Count(); n != 0 {
		t.Errorf("%d sessions were left open", n)
	}
}

func TestSetBoot(t *testing.T) {
	t.Parallel()
	ctx, c := testContext(t), racker.New(quick())
	plain, bare := startRig(t, quirks{}), startRig(t, quirks{noParameters: true})
	for _, r := range []*rig{plain, bare} {
		for _, want := range []racker.Boot{
			{Device: racker.DevicePXE, EFI: true, Valid: true},
			{Device: racker.DeviceDisk, Persistent: true, Valid: true},
			{Device: racker.DeviceCDROM, EFI: true, Persistent: true, Valid: true},
			{Device: racker.DeviceBIOS, Valid: true},
			{Device: racker.DeviceNone},
		} {
			if err := c.SetBoot(ctx, r.target(), want); err != nil {
				t.Fatal(err)
			}
			got, err := c.Boot(ctx, r.target())
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v: %v (-want +got):\n%s", want, err, diff)
			}
		}
	}
	if err := c.SetBoot(ctx, plain.target(), racker.Boot{Device: "floppy"}); err == nil || !strings.Contains(err.Error(), "floppy") {
		t.Errorf("floppy: %v", err)
	}
}

func TestNotApplied(t *testing.T) {
	t.Parallel()
	old := types.BootOptionParam_BootFlags{BootDeviceSelector: types.BootDeviceSelectorForcePXE}
	pxe := racker.Boot{Device: racker.DevicePXE, EFI: true}
	for name, test := range map[string]struct {
		quirks
		change func(context.Context, *racker.Client, racker.Target) error
		reads  string
	}{
		"power on": {quirks{deafPower: true}, func(ctx context.Context, c *racker.Client, t racker.Target) error {
			return c.SetPower(ctx, t, true)
		}, "it reads off after"},
		"power on, and the caller's patience ends": {quirks{deafPower: true}, func(ctx context.Context, _ *racker.Client, t racker.Target) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return racker.New(racker.Config{Poll: 5 * time.Millisecond}).SetPower(ctx, t, true)
		}, "it reads off after"},
		"boot flags ignored": {quirks{deafBoot: true}, func(ctx context.Context, c *racker.Client, t racker.Target) error {
			return c.SetBoot(ctx, t, pxe)
		}, "it reads no override"},
		// The old device looks like the new one, but the flags have run out.
		"boot flags ignored, same device": {quirks{deafBoot: true, flags: old}, func(ctx context.Context, c *racker.Client, t racker.Target) error {
			return c.SetBoot(ctx, t, pxe)
		}, "it reads pxe, BIOS, once, not valid"},
		"EFI bit dropped": {quirks{dropEFI: true}, func(ctx context.Context, c *racker.Client, t racker.Target) error {
			return c.SetBoot(ctx, t, pxe)
		}, "it reads pxe, BIOS, once after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, test.quirks)
			err := test.change(testContext(t), racker.New(quick()), r.target())
			if !errors.Is(err, racker.ErrNotApplied) || !strings.Contains(err.Error(), test.reads) {
				t.Errorf("error %v, want ErrNotApplied with %q", err, test.reads)
			}
			if opens, _, _ := r.seen(); opens != 1 {
				t.Errorf("%d sessions, want 1", opens)
			}
		})
	}
}

// Suite 3 is tried when 17 was refused, and only then; what worked is tried first the next time.
func TestCipherSuites(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		suites []types.CipherSuiteID
		opens  []int // after each Check
		suite  int
	}{
		"both":    {nil, []int{1, 2}, 17},
		"only 17": {[]types.CipherSuiteID{17}, []int{1, 2}, 17},
		"only 3":  {[]types.CipherSuiteID{3}, []int{2, 3}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ctx, c := startRig(t, quirks{suites: test.suites}), testContext(t), racker.New(quick())
			for _, want := range test.opens {
				reading, err := c.Check(ctx, r.target())
				if opens, _, _ := r.seen(); err != nil || reading.CipherSuite != test.suite || opens != want {
					t.Fatalf("suite %d after %d attempts, %v; want %d after %d", reading.CipherSuite, opens, err, test.suite, want)
				}
			}
		})
	}
	t.Run("changed", func(t *testing.T) {
		t.Parallel()
		r, ctx, c := startRig(t, quirks{suites: []types.CipherSuiteID{3}}), testContext(t), racker.New(quick())
		for _, suite := range []types.CipherSuiteID{3, 17, 3} {
			r.ipmi.SetCipherSuites([]types.CipherSuiteID{suite})
			if reading, err := c.Check(ctx, r.target()); err != nil || reading.CipherSuite != int(suite) {
				t.Errorf("suite %d, %v, want %d", reading.CipherSuite, err, suite)
			}
		}
	})
	t.Run("neither", func(t *testing.T) {
		t.Parallel()
		r := startRig(t, quirks{suites: []types.CipherSuiteID{1}})
		_, err := racker.New(quick()).Check(testContext(t), r.target())
		if !errors.Is(err, racker.ErrCipherSuite) || errors.Is(err, racker.ErrAuth) {
			t.Errorf("error %v, want ErrCipherSuite", err)
		}
	})
}

func TestRefusedUser(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		quirks
		spoil func(*racker.Target)
		want  string
		kind  error
	}{
		"password":  {quirks{}, func(t *racker.Target) { t.Password = "wrong" }, `refused user "ADMIN": wrong user or password`, racker.ErrAuth},
		"user":      {quirks{}, func(t *racker.Target) { t.User = "nobody" }, `refused user "nobody": wrong user or password`, racker.ErrAuth},
		"suite 3":   {quirks{suites: []types.CipherSuiteID{3}}, func(t *racker.Target) { t.Password = "wrong" }, `wrong user or password`, racker.ErrAuth},
		"privilege": {quirks{privilege: bmc.PrivilegeLevelUser}, func(*racker.Target) {}, `refused user "ADMIN": the user has no administrator privilege`, racker.ErrPrivilege},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, test.quirks)
			target := r.target()
			test.spoil(&target)
			err := racker.New(quick()).SetPower(testContext(t), target, true)
			if !errors.Is(err, racker.ErrAuth) || !errors.Is(err, test.kind) || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			want := 1
			if len(test.suites) > 0 {
				want = 2 // 17 was refused before any password counted
			}
			opens, orders, _ := r.seen()
			if opens != want || len(orders) > 0 {
				t.Errorf("%d attempts to log in, want %d; orders %v", opens, want, orders)
			}
		})
	}
}

// silent is a UDP socket that never answers.
func silent(t *testing.T) racker.Target {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	return racker.Target{Node: "node-3", Host: "127.0.0.1", Port: udp.LocalAddr().(*net.UDPAddr).Port, User: simUser, Password: simPassword}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	closed := racker.Target{Node: "node-4", Host: "127.0.0.1", Port: freePort(t), User: simUser, Password: simPassword}
	for name, target := range map[string]racker.Target{"silent": silent(t), "closed port": closed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := racker.New(racker.Config{Attempt: 100 * time.Millisecond}).Power(testContext(t), target)
			if !errors.Is(err, racker.ErrUnreachable) || !strings.Contains(err.Error(), "BMC of "+target.Node+" at 127.0.0.1:") || !strings.Contains(err.Error(), "gave no answer within ") {
				t.Errorf("error %v, want ErrUnreachable", err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(testContext(t))
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		_, err := racker.New(racker.Config{}).Power(ctx, silent(t))
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took > time.Second {
			t.Errorf("error %v after %s, want context.Canceled at once", err, took)
		}
	})
	t.Run("lost packets", func(t *testing.T) {
		t.Parallel()
		r := startRig(t, quirks{lose: 1})
		if err := racker.New(racker.Config{Attempt: 200 * time.Millisecond}).SetPower(testContext(t), r.target(), true); err != nil {
			t.Errorf("a second attempt was not made: %v", err)
		}
	})
}

// One session at a time per BMC, and no more than the limit over all.
func TestLimits(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	rigs := []*rig{startRig(t, quirks{}), startRig(t, quirks{}), startRig(t, quirks{})}
	cfg := quick()
	cfg.Sessions = 1
	c := racker.New(cfg)
	var wg sync.WaitGroup
	for range 10 {
		for _, r := range rigs {
			wg.Go(func() {
				if _, err := c.Power(ctx, r.target()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, r := range rigs {
		if opens, _, crowded := r.seen(); crowded || opens != 10 {
			t.Errorf("two sessions at a time: %v; %d sessions", crowded, opens)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	hold := silent(t)
	for range 2 { // one holds the session, one waits for it
		wg.Go(func() {
			if _, err := c.Power(waiting, hold); err == nil || strings.Contains(err.Error(), simPassword) {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
}
