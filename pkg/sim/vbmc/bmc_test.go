package vbmc_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim/vbmc"
)

const (
	user     = "ADMIN"
	password = "swordfish"
)

// machine is a server that knows power and nothing else.
type machine struct {
	mu     sync.Mutex
	on     bool
	events []string
	err    error
}

func (m *machine) note(event string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.events = append(m.events, event)
	}
	return m.err
}

func (m *machine) PowerState() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on
}

func (m *machine) SetPower(on bool) error {
	what := "off"
	if on {
		what = "on"
	}
	err := m.note(what)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = on && err == nil
	return err
}

func (m *machine) Reset() error { return m.note("reset") }

func (m *machine) SoftOff() {
	_ = m.note("soft")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = false
}

// fail makes every order fail from now on.
func (m *machine) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *machine) seen() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// clock is a clock that moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// mac is the BMC's.
func mac(t *testing.T) rack.MAC {
	t.Helper()
	m, err := rack.ParseMAC("52:54:00:12:34:56")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// config is a BMC on a free port of the loopback.
func config(t *testing.T) vbmc.Config {
	return vbmc.Config{Name: "node-1-bmc", MAC: mac(t), User: user, Password: password, Listen: netip.MustParseAddrPort("127.0.0.1:0")}
}

// run runs a BMC for the length of the test and gives the way in.
func run(t *testing.T, cfg vbmc.Config, host vbmc.Host) (*vbmc.BMC, bmc.Target) {
	t.Helper()
	b, err := vbmc.New(cfg, host, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if addr := b.Addr(); addr.IsValid() {
			t.Errorf("address %s after Run", addr)
		}
	})
	addr, err := b.WaitAddr(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return b, bmc.At("node-1", addr, user, password)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// client is racker's own.
func client() *bmc.Client {
	return bmc.New(bmc.Config{Poll: 5 * time.Millisecond, Settle: 50 * time.Millisecond, Attempt: 300 * time.Millisecond})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, suite := range []int{17, 3} {
		cfg := config(t)
		cfg.Suites = []int{suite}
		_, target := run(t, cfg, &machine{on: true})
		got, err := client().Check(testContext(t), target)
		want := bmc.Reading{Power: api.PowerOn, FirmwareRevision: "1.00", IPMIVersion: "2.0", CipherSuite: suite, MAC: mac(t)}
		got.Manufacturer = ""
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestPower(t *testing.T) {
	t.Parallel()
	host := &machine{}
	b, target := run(t, config(t), host)
	ctx, c := testContext(t), client()
	for _, on := range []bool{true, false, true} {
		if err := c.SetPower(ctx, target, on); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SoftOff(ctx, target); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"on", "off", "on", "soft"}, host.seen()); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	host.fail(errors.New("no such program"))
	if err := c.SetPower(ctx, target, true); err == nil || errors.Is(err, bmc.ErrNotApplied) {
		t.Errorf("a host that cannot start: %v", err)
	}
	b.SetFaults(vbmc.Faults{DeafPower: true})
	if err := c.SetPower(ctx, target, true); !errors.Is(err, bmc.ErrNotApplied) {
		t.Errorf("deaf: %v, want ErrNotApplied", err)
	}
	b.SetFaults(vbmc.Faults{Mute: true})
	if _, err := c.Power(ctx, target); !errors.Is(err, bmc.ErrUnreachable) {
		t.Errorf("mute: %v, want ErrUnreachable", err)
	}
	b.SetFaults(vbmc.Faults{})
	if _, err := c.Power(ctx, target); err != nil {
		t.Errorf("no longer mute: %v", err)
	}
}

func TestRefusedUser(t *testing.T) {
	t.Parallel()
	_, target := run(t, config(t), &machine{})
	for name, spoil := range map[string]func(*bmc.Target){
		"password":  func(t *bmc.Target) { t.Password = "guess" },
		"user":      func(t *bmc.Target) { t.User = "root" },
		"anonymous": func(t *bmc.Target) { t.User, t.Password = "", "" },
	} {
		wrong := target
		spoil(&wrong)
		if _, err := client().Power(testContext(t), wrong); !errors.Is(err, bmc.ErrAuth) {
			t.Errorf("%s: %v, want ErrAuth", name, err)
		}
	}
}

// A choice for one boot is used up by the firmware's reading it; a persistent one stays.
func TestBootDevice(t *testing.T) {
	t.Parallel()
	b, target := run(t, config(t), &machine{})
	ctx, c := testContext(t), client()
	for _, test := range []struct {
		set  bmc.Boot
		want vbmc.Boot
		then vbmc.Boot
	}{
		{bmc.Boot{Device: bmc.DevicePXE, EFI: true}, vbmc.Boot{Device: "pxe", EFI: true, Valid: true}, vbmc.Boot{}},
		{bmc.Boot{Device: bmc.DeviceDisk}, vbmc.Boot{Device: "disk", Valid: true}, vbmc.Boot{}},
		{bmc.Boot{Device: bmc.DevicePXE, Persistent: true}, vbmc.Boot{Device: "pxe", Persistent: true, Valid: true}, vbmc.Boot{Device: "pxe", Persistent: true, Valid: true}},
		{bmc.Boot{Device: bmc.DeviceNone}, vbmc.Boot{}, vbmc.Boot{}},
	} {
		if err := c.SetBoot(ctx, target, test.set); err != nil {
			t.Fatal(err)
		}
		got := []vbmc.Boot{b.Boot(), b.StartBoot(), b.StartBoot()}
		if diff := cmp.Diff([]vbmc.Boot{test.want, test.want, test.then}, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.set, diff)
		}
	}
	b.SetFaults(vbmc.Faults{DeafBoot: true})
	if err := c.SetBoot(ctx, target, bmc.Boot{Device: bmc.DevicePXE}); !errors.Is(err, bmc.ErrNotApplied) {
		t.Errorf("deaf: %v, want ErrNotApplied", err)
	}
}

// Boot flags run out after 60 s without a power order, unless the client has cancelled that, as racker's does.
func TestBootTimeout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		faults vbmc.Faults
		order  bool
		valid  bool
	}{
		"cancelled":              {valid: true},
		"cannot be cancelled":    {faults: vbmc.Faults{NoTimeout: true}},
		"restarted by the power": {faults: vbmc.Faults{NoTimeout: true}, order: true, valid: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hands, cfg, ctx, c := &clock{now: time.Unix(1e9, 0)}, config(t), testContext(t), client()
			cfg.Now = hands.Now
			b, target := run(t, cfg, &machine{})
			b.SetFaults(test.faults)
			want := bmc.Boot{Device: bmc.DevicePXE, EFI: true, Valid: true}
			if err := c.SetBoot(ctx, target, want); err != nil {
				t.Fatal(err)
			}
			hands.pass(59 * time.Second)
			if got, err := c.Boot(ctx, target); err != nil || got != want {
				t.Fatalf("after 59 s: %v, %v", got, err)
			}
			if test.order {
				if err := c.SetPower(ctx, target, true); err != nil {
					t.Fatal(err)
				}
			}
			hands.pass(time.Second)
			want.Valid = test.valid
			if got, err := c.Boot(ctx, target); err != nil || got != want {
				t.Errorf("after 60 s: %v, %v, want %v", got, err, want)
			}
			if got := b.StartBoot(); got.Valid != test.valid {
				t.Errorf("the firmware reads %v", got)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*vbmc.Config){
		"suite":    func(c *vbmc.Config) { c.Suites = []int{99} },
		"user":     func(c *vbmc.Config) { c.User = "" },
		"password": func(c *vbmc.Config) { c.Password = "more than twenty bytes" },
	} {
		cfg := config(t)
		spoil(&cfg)
		if _, err := vbmc.New(cfg, &machine{}, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A thousand BMCs are one process's work.
func BenchmarkThousand(b *testing.B) {
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		for range 1000 {
			cfg := vbmc.Config{Name: "x", User: user, Password: password, Listen: netip.MustParseAddrPort("127.0.0.1:0")}
			v, err := vbmc.New(cfg, &machine{}, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			wg.Go(func() { _ = v.Run(ctx) })
			if _, err := v.WaitAddr(ctx); err != nil {
				b.Fatal(err)
			}
		}
		cancel()
		wg.Wait()
	}
}
