package provision

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

var errGone = errors.New("no route to host")

// remoteWorld is the SSH of a world: it hears what would be run on a node, and does to the node what the scripts would. That
// the scripts do so is for apply_script_test.go.
type remoteWorld struct {
	w *world

	mu    sync.Mutex
	life  *life
	nodes map[rack.MAC]*sshNode
}

// sshNode is an installed system.
type sshNode struct {
	boots   int // since it was installed
	roots   int // how often ROOT was made anew
	staged  string
	gone    int // how many times it does not answer
	lost    bool
	refuses string // what its script says before it fails
	deaf    bool   // it does not reboot
	version string // of its OS
	update  string // beside it
	// rollsBack lets its new OS fail to start.
	rollsBack bool
	sick      bool // its health command fails
	// noBootID lets it not tell which boot it is in; readOnly lets no first boot be taken back.
	noBootID, readOnly bool
	scripts            []string
}

func (r *remoteWorld) lives(l *life) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = l
}

func (r *remoteWorld) node(mac rack.MAC) *sshNode {
	if r.nodes[mac] == nil {
		r.nodes[mac] = &sshNode{version: "1.0.0"}
	}
	return r.nodes[mac]
}

// at changes, or looks at, a node.
func (r *remoteWorld) at(mac rack.MAC, fn func(*sshNode)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(r.node(mac))
}

func (s *sshNode) bootID() string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", s.boots) }

// Run implements Remote.
func (r *remoteWorld) Run(_ context.Context, n *rack.Node, addr netip.Addr, script string, stdin []byte) (RemoteResult, error) {
	r.mu.Lock()
	life := r.life
	r.mu.Unlock()
	what := "script"
	if strings.Contains(script, "systemctl reboot") {
		what = "look at the boot"
	}
	if life != nil && !life.pass("before "+what) {
		return RemoteResult{}, errDead
	}
	res, err := r.run(n, addr, script, string(stdin))
	if life != nil && !life.pass("after "+what) {
		return RemoteResult{}, errDead
	}
	return res, err
}

// Unreached implements Remote.
func (r *remoteWorld) Unreached(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, errDead)
}

var stagedConfig = regexp.MustCompile(`(?s)config\.ign\.new" <<'END'\n(.*?)\nEND\n`)

func (r *remoteWorld) run(n *rack.Node, addr netip.Addr, script, stdin string) (RemoteResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.node(n.Primary)
	if want := r.w.addr(n.Primary[5]); addr != want {
		return RemoteResult{}, fmt.Errorf("%s is not at %s", n.Name, addr)
	}
	if s.gone > 0 || s.lost {
		s.gone--
		return RemoteResult{}, errGone
	}
	text := script + "\n" + stdin
	out := ""
	switch {
	case strings.Contains(script, "systemctl reboot"):
		out = s.bootID()
		if strings.Contains(script, quoteSh(out)) && !s.deaf {
			r.reboot(n, s)
		}
	case strings.Contains(script, "boot_id") && s.noBootID:
		out = "none"
	case strings.Contains(script, "boot_id"):
		out = s.bootID()
	case strings.Contains(text, "no OEM partition"):
		out = "oem=/oem\nroot=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n"
	case strings.Contains(script, "rm -f /boot/flatcar/first_boot") && s.readOnly:
		return RemoteResult{Stderr: []byte("read-only file system\n"), Code: 1}, nil
	case strings.Contains(script, "rm -f /boot/flatcar/first_boot"):
		s.staged = ""
	case strings.Contains(script, "PRETTY_NAME"):
		out = s.version + "\nTest OS " + s.version
	case s.sick && strings.Contains(stdin, "is-healthy"):
		return RemoteResult{Stderr: []byte("sick\n"), Code: 1}, nil
	case s.refuses != "":
		return RemoteResult{Stderr: []byte(s.refuses + "\n"), Code: 1}, nil
	case stagedConfig.MatchString(stdin):
		raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(stagedConfig.FindStringSubmatch(stdin)[1], "\n", ""))
		if err != nil {
			return RemoteResult{}, err
		}
		s.staged = string(raw)
	case strings.Contains(stdin, "flatcar-update --to-version"):
		s.update = regexp.MustCompile(`version='([^']*)'`).FindStringSubmatch(stdin)[1]
		if s.update == s.version {
			out = "running\n"
		}
	}
	s.scripts = append(s.scripts, text)
	return RemoteResult{Stdout: []byte(out)}, nil
}

// reboot brings a node up again: with a new root if one was staged, and its callback then.
func (r *remoteWorld) reboot(n *rack.Node, s *sshNode) {
	s.boots++
	config := s.staged
	if config != "" {
		s.roots++
		s.staged = ""
	}
	if s.update != "" && !s.rollsBack {
		s.version, s.update = s.update, ""
	}
	server := r.w.server(n)
	mac, from := n.Primary, r.w.addr(n.Primary[5])
	r.w.running.Go(func() {
		ctx := r.w.t.Context()
		server.again(ctx, func(m *Machine) error { return m.SystemBoot(ctx, mac) })
		if config == "" || server.mute {
			return
		}
		words := strings.Fields(config)
		server.again(ctx, func(m *Machine) error {
			return m.Callback(ctx, from, n.Name, api.SignalReady, words[2], api.Callback{HostName: n.Name, OS: "new root"})
		})
	})
}

// Find implements Updates.
func (r *remoteWorld) Find(_ context.Context, version string) (path, sum string, err error) {
	if version == "9.9.9" {
		return "", "", errors.New("no such update")
	}
	digest := sha256.Sum256([]byte(version))
	return "updates/" + version + "/x.gz", hex.EncodeToString(digest[:]), nil
}

// declaring is a config with Butane that means something.
func declaring(butane string) api.NodeConfig {
	return config("node-1", "variant: flatcar\nversion: 1.0.0\n"+butane)
}

// The changes of the tests, by what they cost.
func changes() map[string]api.NodeConfig {
	reboot := declaring(hosts("a"))
	reboot.KernelArgs = []string{"quiet"}
	reinstall := declaring(hosts("a"))
	reinstall.Disk.Serial = "other"
	label := declaring(hosts("a"))
	label.Labels = map[string]string{"version": "2.0.0"}
	return map[string]api.NodeConfig{
		api.CostNothing: label, api.CostLive: declaring(hosts("b")), api.CostReboot: reboot,
		api.CostWipeRoot:  declaring(hosts("a") + "  filesystems: [{device: /dev/vdb, format: ext4}]\n"),
		api.CostReinstall: reinstall,
	}
}

func hosts(text string) string {
	return "storage:\n  files: [{path: /etc/hosts, contents: {inline: " + text + "}}]\n"
}

// declared has node-1 installed with a config, and gives the digest of the next one.
func (w *world) installDeclared(next api.NodeConfig) string {
	w.t.Helper()
	first := w.put(declaring(hosts("a")))
	req := api.RunRequest{Provision: "flatcar", Image: "os", OnFailure: "cancel", Nodes: []string{mac(2).String()}, PowerCycleRunning: true,
		Configs: map[string]string{mac(2).String(): first}, Erase: api.EraseExact}
	if v := w.runToEnd(req); v.Code != 0 {
		w.t.Fatalf("install: %+v", v)
	}
	return w.put(next)
}

func (w *world) put(c api.NodeConfig) string {
	w.t.Helper()
	v, err := w.at().PutConfig(w.t.Context(), mac(2).String(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.WantedDigest
}

// apply orders an apply of what was sent last, and waits for its end.
func (w *world) apply(o api.ApplyOrder) api.RunView {
	w.t.Helper()
	v, err := w.at().Apply(w.t.Context(), mac(2).String(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.wait(v.ID)
}

// applyScenarios are applies of which the daemon is killed at every point.
func applyScenarios() map[string]scenario {
	out := map[string]scenario{}
	for cost, want := range map[string]sshNode{
		api.CostLive: {}, api.CostReboot: {boots: 1}, api.CostWipeRoot: {boots: 1, roots: 1},
	} {
		next := changes()[cost]
		digest, err := next.Digest()
		out["apply: "+cost] = scenario{
			prepare: func(w *world) {
				w.start(nil)
				w.installDeclared(next)
				w.kill()
				for _, s := range w.servers {
					s.writes, s.cut = 0, 0
				}
			},
			order: func(ctx context.Context, m *Machine) (api.RunView, error) {
				if err != nil {
					return api.RunView{}, err
				}
				return m.Apply(ctx, mac(2).String(), api.ApplyOrder{Digest: digest, Cost: cost, Wipe: true})
			},
			want:  map[rack.MAC]State{mac(2): Ready},
			after: func(w *world) error { return w.appliedOnce(digest, want) },
		}
	}
	out["OS update"] = scenario{
		prepare: out["apply: "+api.CostLive].prepare,
		order: func(ctx context.Context, m *Machine) (api.RunView, error) {
			return m.UpgradeOS(ctx, mac(2).String(), api.OSUpgrade{Version: "2.0.0"})
		},
		want: map[rack.MAC]State{mac(2): Ready},
		after: func(w *world) (err error) {
			w.remote.at(mac(2), func(s *sshNode) {
				if s.boots != 1 || s.version != "2.0.0" {
					err = fmt.Errorf("%d boots into %s", s.boots, s.version)
				}
			})
			return err
		},
	}
	return out
}

// appliedOnce finds what is not as one apply leaves it.
func (w *world) appliedOnce(digest string, want sshNode) (err error) {
	w.remote.at(mac(2), func(s *sshNode) {
		if s.boots != want.boots || s.roots != want.roots || s.staged != "" {
			err = fmt.Errorf("%d boots and %d new roots, want %d and %d; staged %q", s.boots, s.roots, want.boots, want.roots, s.staged)
		}
	})
	rec := w.at().record(mac(2))
	if i := rec.Install; i.Config != digest || len(i.Attempts) > 0 || i.Renew != nil || rec.Awaited {
		err = errors.Join(err, fmt.Errorf("install %+v, awaited %t", i, rec.Awaited))
	}
	return err
}

func TestWorldsChangesCostWhatTheySay(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.installDeclared(declaring(hosts("a")))
	for cost, c := range changes() {
		got, err := w.at().compare(t.Context(), w.at().record(mac(2)), w.put(c))
		if err != nil || got.Cost != cost {
			t.Errorf("%s: %s, %v", cost, got.Cost, err)
		}
	}
}
