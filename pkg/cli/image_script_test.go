package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/racker-project/racker/pkg/cli/serve"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/daemon"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/internal/releasetest"
	"github.com/racker-project/racker/pkg/provision"
)

// TestImageScripts runs testdata/image/*.txtar against a real library and a release server (nginx) in a network of its own: the
// channel stable has versions 4593.2.5 and 4593.2.4 for amd64, lts has 4081.3.10 for arm64, and beta has 4757.1.0, which is an
// image for the wrong architecture. $SITE is the server, $USB has a release as on a stick, $OTHER a signature of something else.
//
//	code N racker ARGS...   racker ends with exit code N
//	damage NAME             flips a bit in what is kept of an image
//	used NAME               the node node-7 has the image from now on
func TestImageScripts(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		there := n.NS("server")
		n.Veth(nettest.Nic{Name: "up0", Addrs: []string{"10.9.0.1/24"}}, nettest.Nic{NS: there, Name: "eth0", Addrs: []string{"10.9.0.2/24"}})
		s := newImageStage(t, releasetest.NewSite(t, "10.9.0.2:80"))
		s.site.In = func(f func() error) error { return n.In(there, f) }
		s.site.Start()
		testscript.Run(t, testscript.Params{
			Dir: "testdata/image", RequireExplicitExec: true, RequireUniqueNames: true, Setup: s.setup,
			Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code, "damage": s.damage, "used": s.used},
		})
	})
}

// imageStage is what the scripts play on.
type imageStage struct {
	t    *testing.T
	site *releasetest.Site
	key  *releasetest.Key
	raw  []byte
	made time.Time
}

func newImageStage(t *testing.T, site *releasetest.Site) *imageStage {
	t.Helper()
	made := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	s := &imageStage{t: t, site: site, made: made, raw: releasetest.Image(t, "amd64", 0)}
	s.key = releasetest.NewKey(t, made).Rotate(made, 365*24*time.Hour)
	site.Put("key.asc", s.key.Public())
	site.Release(s.key, 0, made, "stable", "4593.2.4", "amd64", releasetest.Image(t, "amd64", 1))
	site.Release(s.key, 0, made, "stable", "4593.2.5", "amd64", s.raw)
	arm := releasetest.Image(t, "arm64", 0)
	site.Release(s.key, 0, made, "lts", "4081.3.10", "arm64", arm)
	site.Release(s.key, 0, made, "beta", "4757.1.0", "amd64", arm)
	site.Put("disk.bz2", s.raw)
	site.Put("disk.bz2.sig", s.key.Sign(0, made, s.raw))
	return s
}

// setup gives each script a daemon of its own.
func (s *imageStage) setup(env *testscript.Env) error {
	settings := config.Default()
	settings.StateDir = filepath.Join(env.WorkDir, "state")
	settings.Socket = filepath.Join(env.WorkDir, "racker.sock")
	settings.Image.Mirror, settings.Image.KeyURL = s.site.URL("{channel}"), s.site.URL("key.asc")
	settings.Image.KeyFingerprint = s.key.Fingerprint()
	settings.Image.Profiles = filepath.Join(env.WorkDir, "profiles")
	file := filepath.Join(env.WorkDir, ".racker.yaml")
	env.Setenv("RACKER_SOCKET", settings.Socket)
	env.Setenv("RACKER_CONFIG", file)
	env.Setenv("SITE", s.site.URL(""))
	env.Setenv("STATE", settings.StateDir)
	env.Setenv("FINGERPRINT", s.key.Fingerprint())
	env.Setenv("USB", filepath.Join(env.WorkDir, "usb"))
	env.Setenv("OTHER", filepath.Join(env.WorkDir, "other.sig"))
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(settings.Image.Profiles, 0o755), s.stick(env.WorkDir)); err != nil {
		return err
	}
	done, err := s.serve(settings)
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := done(); err != nil {
			s.t.Error(err)
		}
	})
	return nil
}

// stick writes the files of a release to where a USB stick would be.
func (s *imageStage) stick(dir string) error {
	usb := filepath.Join(dir, "usb")
	text := []byte("FLATCAR_VERSION=4593.2.5\n")
	errs := []error{os.Mkdir(usb, 0o755)}
	for name, b := range map[string][]byte{
		"usb/version.txt": text, "usb/version.txt.sig": s.key.Sign(0, s.made, text), "usb/key.asc": s.key.Public(),
		"usb/flatcar_production_image.bin.bz2": s.raw, "usb/flatcar_production_image.bin.bz2.sig": s.key.Sign(0, s.made, s.raw),
		"plain.img": []byte(strings.Repeat("nothing ", image.SectorSize/8)), "other.sig": s.key.Sign(0, s.made, text),
	} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	return errors.Join(errs...)
}

// serve runs the images' part of the daemon behind its real API.
func (s *imageStage) serve(settings config.Settings) (done func() error, err error) {
	log := slog.New(slog.DiscardHandler)
	images, err := serve.OpenImages(serve.Options{Settings: settings, Explain: explain, Log: log}, installedOn{filepath.Join(settings.StateDir, "used")})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &daemon.API{
		Path: settings.Socket, Operator: &testRack{}, Orders: &testRack{}, Images: images, Pulls: images.Pulls, Events: event.NewBus(),
		Explain: explain, Log: log,
	}
	if err := a.Listen(ctx); err != nil {
		cancel()
		return nil, err
	}
	ended := make(chan error, 2)
	go func() { ended <- a.Run(ctx) }()
	go func() { ended <- images.Pulls.Run(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-ended, <-ended)
	}, nil
}

// installedOn is a rack whose node-7 has the images that a file names.
type installedOn struct{ file string }

// ImageUsers implements serve.ImageUsers.
func (r installedOn) ImageUsers(_ context.Context, list []*image.Manifest) (map[string][]string, error) {
	b, _ := os.ReadFile(r.file) // there is none as long as nothing is used
	out := map[string][]string{}
	for _, m := range list {
		if strings.Contains(string(b), m.Name+"\n") {
			out[m.ID] = []string{"installed on node-7"}
		}
	}
	return out, nil
}

// RemoveImage implements serve.ImageUsers.
func (r installedOn) RemoveImage(ctx context.Context, m *image.Manifest, unused bool, remove func() error) error {
	users, err := r.ImageUsers(ctx, []*image.Manifest{m})
	if err != nil {
		return err
	}
	if unused && len(users) > 0 {
		return provision.ErrBusy
	}
	return remove()
}

func (s *imageStage) used(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: used NAME")
	}
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("STATE"), "used"), []byte(args[0]+"\n"), 0o600))
}

func (s *imageStage) damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage NAME")
	}
	library, err := image.Open(filepath.Join(ts.Getenv("STATE"), "images"))
	ts.Check(err)
	m, err := library.Get(context.Background(), args[0])
	ts.Check(err)
	name := filepath.Join(library.Dir(m.ID), image.DataFile)
	b, err := os.ReadFile(name)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(name, b, 0o600))
}
