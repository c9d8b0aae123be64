package provision

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/image/profile"
)

// addKind adds an image of that profile and architecture.
func (w *world) addKind(name, kind, arch string) *image.Manifest {
	w.t.Helper()
	man, err := w.library.Add(w.t.Context(), strings.NewReader(strings.Repeat(name, 64*image.SectorSize)),
		image.AddOptions{Name: name, Profile: kind, Arch: arch})
	if err != nil {
		w.t.Fatal(err)
	}
	return man
}

// The profile alone makes a node ready without a callback; the agent is not asked for an Ignition config.
func TestProfileWithoutIgnition(t *testing.T) {
	w := newWorld(t)
	w.addKind("plain", profile.Plain, "")
	w.servers[mac(2)].mute, w.servers[mac(3)].mute = true, true
	w.start(nil)
	req := request()
	req.Image = "plain"
	if v := w.runToEnd(req); v.Code != 0 {
		t.Fatalf("code %d: %v", v.Code, states(v))
	}
	if in := w.at().record(mac(2)).Install; !in.Plain {
		t.Errorf("install: %+v", in)
	}
	if steps := jobSteps(true); slices.Contains(steps, api.StepIgnition) || !slices.Contains(jobSteps(false), api.StepIgnition) {
		t.Errorf("steps: %v", steps)
	}
}

func TestDeclaredConfigNeedsAPlace(t *testing.T) {
	w := newWorld(t)
	w.addKind("plain", profile.Plain, "")
	w.start(nil)
	req := w.send("x")
	req.Image = "plain"
	if _, err := w.at().Submit(t.Context(), req); !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), "node-1") ||
		!strings.Contains(err.Error(), "the image plain takes no config, since its profile is plain") {
		t.Errorf("%v", err)
	}
}

func TestImageOfAProfileThatIsGone(t *testing.T) {
	w := newWorld(t)
	set, err := profile.Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	broken, err := image.Open(w.dir+"/images", image.WithProfiles(func() image.Profiles { return without{set} }))
	if err != nil {
		t.Fatal(err)
	}
	w.library = broken
	w.start(nil)
	if _, err := w.at().Submit(t.Context(), request()); !errors.Is(err, ErrRequest) || !errors.Is(err, image.ErrProfile) {
		t.Errorf("%v", err)
	}
}

// without is a set whose profiles are all gone.
type without struct{ *profile.Set }

func (w without) Get(string) (*image.Profile, error) { return w.Set.Get("gone") }

// The wrong architecture is found before the disk is touched.
func TestForeignArchitecture(t *testing.T) {
	w := newWorld(t)
	w.addKind("arm", profile.TestOS, "arm64")
	w.start(nil)
	req := request()
	req.Image, req.Nodes = "arm", []string{"node-1"} // of two, the first to fail would let go of the other
	v := w.runToEnd(req)
	if v.Code == 0 || v.Nodes[0].Reason != "the image arm is for arm64, and the machine is amd64" {
		t.Errorf("code %d, reason %q", v.Code, v.Nodes[0].Reason)
	}
	for _, s := range w.servers {
		if s.writes != 0 {
			t.Errorf("%s was written", s.primary)
		}
	}
}

func TestImageUsers(t *testing.T) {
	w := newWorld(t)
	wanted, idle := w.addImage("wanted"), w.addImage("idle")
	w.start(nil)
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Fatalf("%v", states(v))
	}
	c := config("node-1", "x")
	c.Image = "wanted"
	if _, err := w.at().PutConfig(t.Context(), mac(2).String(), c); err != nil {
		t.Fatal(err)
	}
	m := w.at()
	got, err := m.ImageUsers(t.Context(), []*image.Manifest{w.image, wanted, idle})
	want := map[string][]string{w.image.ID: {"installed on node-1, node-2"}, wanted.ID: {"the config of node-1"}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	for _, tt := range []struct {
		man    *image.Manifest
		unused bool
		why    string // empty: it goes
	}{
		{w.image, true, "image os is in use: installed on node-1, node-2"},
		{w.image, false, ""},
		{wanted, false, "image wanted is in use: the config of node-1"},
		{idle, true, ""},
	} {
		removed := false
		err := m.RemoveImage(t.Context(), tt.man, tt.unused, func() error { removed = true; return nil })
		if removed != (tt.why == "") || tt.why != "" && (!errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), tt.why)) {
			t.Errorf("%s, unused %v: removed %v, %v", tt.man.Name, tt.unused, removed, err)
		}
	}
	many := imageUse{runs: []string{"run-x"}, has: []string{"e", "d", "c", "b", "a"}}
	if d := cmp.Diff([]string{"run-x", "installed on a, b, c and 2 more"}, many.text()); d != "" {
		t.Error(d)
	}
}

func TestKernelConfigOfAnOrder(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	m := w.at()
	n, _ := m.node(mac(2))
	c := config("node-1", "x")
	c.KernelArgs, c.Console = []string{"flatcar.autologin"}, "ttyS1,57600n8"
	v, err := m.PutConfig(t.Context(), "node-1", c)
	if err != nil {
		t.Fatal(err)
	}
	const want = "# Written by racker.\nset linux_console='console=ttyS1,57600n8'\nset linux_append='flatcar.autologin'\n"
	for digest, want := range map[string]string{v.WantedDigest: want, "": ""} {
		got, err := m.kernelConfig(t.Context(), n, &Job{Config: digest}, w.image)
		if err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}
