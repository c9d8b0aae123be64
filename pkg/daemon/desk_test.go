package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

var errAbsent = errors.New("no such thing")

const (
	mac1 = "52:54:00:00:00:01" // the primary NIC of every node of the clerk's
	mac2 = "52:54:00:00:00:02"
)

// clerk is an operator, a library and a taker of orders with fixed answers: "x" is absent, "panic" panics, "slow" takes
// until it is told to stop.
type clerk struct{}

func nodeView(name string) api.NodeView {
	at := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	disk := api.Disk{
		Name: "vda", Path: "/dev/vda", ByPath: "pci-0000:00:05.0", Model: "M", Serial: "S", WWN: "W", Transport: "virtio", Size: 1 << 33,
		Rejected: "no", Contents: []string{"gpt"}, Rotational: true, Removable: true,
	}
	return api.NodeView{
		Name: name, Where: name + " (U1)", PrimaryMAC: mac1, BMCMAC: mac2, SecondaryMAC: mac2, Type: "compute", Address: "172.24.213.2",
		BMCAddress: "172.24.213.3", BMCReached: true, BMCError: "none", Power: api.PowerOn, State: "ready", Since: at, Step: "agent",
		Reason: "none", Run: "r", Image: "abc", Progress: &api.Progress{Done: 1, Total: 2, BytesPerSecond: 3}, Disk: &disk,
		OtherOS: []string{"X"}, Identity: &api.Identity{BootMAC: mac1, Firmware: "uefi", Arch: "amd64"},
		Hardware: &api.Hardware{CPUs: 1, MemoryBytes: 2, NICs: []api.NIC{{Name: "eth0", MAC: mac1}}, Disks: []api.Disk{disk}}, Clock: "1970",
		Callback: &api.Callback{HostName: name, HostKeys: []string{"k"}, Units: map[string]string{"a.service": "active"}},
		Evidence: []api.Evidence{{Time: at, Kind: "bmc", Text: "on"}}, Diagnosis: "none", Deadline: 1, Tries: 2, LogTail: "log",
	}
}

func runView(id string) api.RunView {
	at := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	return api.RunView{
		ID: id, State: "running", Changed: true, Request: api.RunRequest{Provision: "image", Image: "os", OnFailure: api.OnFailureAsk}, Began: at,
		Questions: []api.Question{{Node: mac1, Where: "n (U1)", Step: "agent", Reason: "none", Asked: at, Choices: []string{"retry"}}},
		Stages:    []api.Stage{{Name: "OS bring-up", Done: 1, Total: 2, State: "running"}}, Nodes: []api.NodeView{nodeView("n1")},
	}
}

func (clerk) Rack(context.Context) (api.RackView, error) {
	return api.RackView{Network: "172.24.213.0/24", Server: "172.24.213.1", Interface: "eth1", Version: "1", Nodes: 3}, nil
}

func (clerk) Nodes(_ context.Context, refresh bool) ([]api.NodeView, error) {
	return []api.NodeView{nodeView(fmt.Sprintf("refresh-%t", refresh))}, nil
}

func (clerk) Node(ctx context.Context, word string) (api.NodeView, error) {
	switch word {
	case "x":
		return api.NodeView{}, errAbsent
	case "panic":
		panic("a bug")
	case "slow":
		<-ctx.Done()
		return api.NodeView{}, ctx.Err()
	}
	return nodeView(word), nil
}

func (clerk) Submit(_ context.Context, r api.RunRequest) (api.RunView, error) {
	return runView("run-of-" + r.Image), nil
}

func (clerk) Runs() []api.RunView {
	v := runView("r")
	v.Nodes = nil
	return []api.RunView{v}
}

func (clerk) RunView(id string) (api.RunView, error) {
	if id == "x" {
		return api.RunView{}, errAbsent
	}
	return runView(id), nil
}

func (c clerk) Cancel(_ context.Context, id string) (api.RunView, error) { return c.RunView(id) }

func (clerk) Leases(context.Context) ([]api.LeaseView, error) {
	return []api.LeaseView{{Address: "172.24.213.2", MAC: mac1, Role: "server"}}, nil
}

func (clerk) List(context.Context) ([]api.ImageView, error) {
	return []api.ImageView{{ID: "abc", Name: "os", Added: time.Unix(0, 0).UTC()}}, nil
}

func (clerk) Remove(_ context.Context, id string, _ bool) error {
	if id == "x" {
		return &api.Error{Message: "in use", Code: 5}
	}
	return nil
}

func (clerk) AddSigned(_ context.Context, add api.ImageAdd, p api.ImageParts, r io.Reader, progress func(string, int64)) (api.ImageView, error) {
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return api.ImageView{}, err
	}
	progress(api.PullVerifies, n)
	if string(p.Signature) != "signed" {
		return api.ImageView{}, errAbsent
	}
	return api.ImageView{Name: add.Name, RawSize: n, Version: string(p.Version), Channel: p.Channel, Arch: p.Arch}, nil
}

func (clerk) Verify(_ context.Context, id string, progress func(int64)) (api.ImageView, error) {
	if id == "x" {
		return api.ImageView{}, errAbsent
	}
	progress(7)
	return api.ImageView{Name: id}, nil
}

func (clerk) Change(_ context.Context, id string, c api.ImageChange) (api.ImageView, error) {
	if id == "x" {
		return api.ImageView{}, errAbsent
	}
	return api.ImageView{Name: id, Profile: c.Profile}, nil
}

// fetcher takes orders to fetch.
type fetcher struct{}

func pullView(id string) api.PullView {
	return api.PullView{ID: id, What: "flatcar", State: api.PullRunning, Stage: api.PullFetches, Done: 1, Total: 2, Order: api.ImagePull{OS: "flatcar"}}
}

func (fetcher) Order(_ context.Context, o api.ImagePull) (api.PullView, error) {
	if o.OS != "flatcar" {
		return api.PullView{}, errAbsent
	}
	return pullView("p"), nil
}

func (fetcher) List(context.Context) ([]api.PullView, error) {
	return []api.PullView{pullView("p")}, nil
}

func (fetcher) Get(_ context.Context, id string) (api.PullView, error) {
	if id == "x" {
		return api.PullView{}, errAbsent
	}
	return pullView(id), nil
}

func (f fetcher) Cancel(ctx context.Context, id string) (api.PullView, error) { return f.Get(ctx, id) }

func (clerk) Add(_ context.Context, add api.ImageAdd, r io.Reader, progress func(int64)) (api.ImageView, error) {
	n, err := io.Copy(io.Discard, r)
	progress(n)
	if add.Name == "x" {
		return api.ImageView{}, errAbsent
	}
	return api.ImageView{Name: add.Name, RawSize: n}, err
}

func (c clerk) Answer(_ context.Context, run string, _ api.Answer) (api.RunView, error) {
	return c.RunView(run)
}

func (c clerk) ConfirmErase(_ context.Context, run string, _ api.EraseAnswer) (api.RunView, error) {
	return c.RunView(run)
}

func (c clerk) PlanErase(context.Context, api.ErasePlan) (api.EraseView, error) {
	return api.EraseView{Digest: "d", Rows: []api.EraseRow{{Node: mac1, Where: "node-1", Matched: 1, Digest: "e"}}}, nil
}

func (c clerk) Reprovision(ctx context.Context, node string, r api.Reprovision) (api.RunView, error) {
	if _, err := c.Node(ctx, node); err != nil {
		return api.RunView{}, err
	}
	return c.Submit(ctx, api.RunRequest{Image: r.Image, Nodes: []string{node}})
}

func (c clerk) Boot(ctx context.Context, node string, _ api.BootOrder) (api.RunView, error) {
	return c.Reprovision(ctx, node, api.Reprovision{Image: "none"})
}

func (c clerk) done(ctx context.Context, node, what string) (api.OrderView, error) {
	v, err := c.Node(ctx, node)
	return api.OrderView{Node: v, Changed: true, Message: what}, err
}

func (c clerk) Power(ctx context.Context, node string, o api.PowerOrder) (api.OrderView, error) {
	return c.done(ctx, node, "power "+string(o.Power))
}

func (c clerk) Exclude(ctx context.Context, node string) (api.OrderView, error) {
	v, err := c.done(ctx, node, "excluded")
	if node == "unfenced" {
		v.NotFenced, v.Code = "its BMC is silent", 3
	}
	return v, err
}

func (c clerk) Include(ctx context.Context, node string) (api.OrderView, error) {
	return c.done(ctx, node, "included")
}

func (c clerk) Adopt(ctx context.Context, node string) (api.OrderView, error) {
	return c.done(ctx, node, "adopted")
}

func (c clerk) Replace(ctx context.Context, node string, r api.Replace) (api.OrderView, error) {
	return c.done(ctx, node, "primary "+r.Primary)
}

func (c clerk) PutConfig(ctx context.Context, node string, cfg api.NodeConfig) (api.ConfigView, error) {
	if _, err := c.Node(ctx, node); err != nil {
		return api.ConfigView{}, err
	}
	digest, err := cfg.Digest()
	return api.ConfigView{Wanted: &cfg, WantedDigest: digest, Applied: &cfg, AppliedDigest: digest, AppliedAt: time.Unix(0, 0).UTC(), HostKey: "k"}, err
}

func (c clerk) Config(ctx context.Context, node string) (api.ConfigView, error) {
	return c.PutConfig(ctx, node, api.NodeConfig{HostName: node, Butane: []api.ButaneSource{{Name: "cl/a.yaml", Butane: "variant: flatcar"}}})
}

func (clerk) Hosts(context.Context) ([]api.HostView, error) {
	return []api.HostView{{
		Name: "node-1", Names: []string{"node-1", "db.example"}, MAC: mac1, Address: "172.24.213.2", Type: "compute", State: "ready", User: "core", HostKey: "k",
	}}, nil
}

func (clerk) Key(context.Context) (api.KeyView, error) {
	at, left := time.Unix(0, 0).UTC(), []api.KeyLeft{{Node: "node-1", Why: "not reachable"}}
	return api.KeyView{Key: "k racker", Fingerprint: "SHA256:x", Made: at, Next: &api.KeyNext{
		Key: "l racker", Fingerprint: "SHA256:y", Made: at, Running: true, Done: 1, Left: left,
	}}, nil
}

func (c clerk) RotateKey(ctx context.Context) (api.KeyRotation, error) {
	v, err := c.Key(ctx)
	return api.KeyRotation{Key: v, Done: 1, Left: v.Next.Left, Code: 3}, err
}

func (clerk) Reread(context.Context) (api.ReloadView, error) {
	return api.ReloadView{Added: []string{"node-4"}, Removed: []string{}, Replaced: []string{}}, nil
}

func (clerk) Export(_ context.Context, file string) (func(io.Writer) error, error) {
	if file == "x" {
		return nil, errAbsent
	}
	return func(w io.Writer) error {
		_, err := io.WriteString(w, "{\"key\":\"secret\"}\n")
		return err
	}, nil
}

// book is an audit in memory that can be full.
type book struct {
	mu      sync.Mutex
	full    bool
	entries []api.AuditEntry
}

func (b *book) Append(e api.AuditEntry) (api.AuditEntry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return e, errors.New("disk full")
	}
	e.Seq = uint64(len(b.entries)) + 1
	b.entries = append(b.entries, e)
	return e, nil
}

func (b *book) View(context.Context) (api.AuditView, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return api.AuditView{Entries: slices.Clone(b.entries)}, nil
}

func (b *book) fill(full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = full
}

func newAPI(path string, bus Events) *API {
	return &API{
		Path: path, Operator: clerk{}, Images: clerk{}, Pulls: fetcher{}, Orders: clerk{}, Configs: clerk{}, Changes: clerk{}, Updates: clerk{}, Keys: clerk{}, State: clerk{}, Audit: &book{}, Events: bus,
		Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
		Explain: func(err error) *api.Error {
			if errors.Is(err, errAbsent) {
				return &api.Error{Message: err.Error(), Code: 2, Status: http.StatusNotFound}
			}
			return &api.Error{Message: err.Error(), Code: 1}
		},
	}
}

// started runs a until the test is over or stop is called; stop waits and gives Run's error.
func started(t *testing.T, a *API) (stop func() error) {
	t.Helper()
	if err := a.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// dialling gives an HTTP client of a socket.
func dialling(t *testing.T, path string) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConns: -1, DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// serving gives an API on real sockets and an HTTP client of that for orders.
func serving(t *testing.T, bus Events) (*API, *http.Client) {
	t.Helper()
	a := newAPI(filepath.Join(t.TempDir(), "s", "racker.sock"), bus)
	started(t, a)
	return a, dialling(t, a.Path)
}

func ask(t *testing.T, c *http.Client, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://racker"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// published gives a bus with some events, and their IDs.
func published(events ...event.Event) (*event.Bus, []uint64) {
	bus := event.NewBus()
	var ids []uint64
	for _, e := range events {
		ids = append(ids, bus.Publish(e).ID)
	}
	return bus, ids
}
