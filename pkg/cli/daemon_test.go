package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/audit"
	"github.com/racker-project/racker/pkg/daemon"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/provision"
)

// testRack is a rack behind the real API: its state is a list that each look at a run moves on.
type testRack struct {
	mu        sync.Mutex
	nodes     []api.NodeView
	runs      []api.RunView // what becomes of the run; the last stays
	images    []api.ImageView
	submitted []api.RunRequest
	cancelled bool
	going     bool     // the run was there before anything was submitted
	orders    []string // to single nodes, as they came
	oem       string   // directory of the nodes.csv that a reload reads

	configs map[string]api.ConfigView // by primary MAC

	applies       applies
	noMicrokernel bool
	rotating      bool
}

// testTime is when everything in the test rack happened.
func testTime() time.Time { return time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC) }

func (r *testRack) Rack(context.Context) (api.RackView, error) {
	return api.RackView{
		Network: "172.24.213.0/24", Server: "172.24.213.1", Interface: "eth1", Version: "1.2.3", Provision: "image", Microkernel: r.microkernel(),
		Nodes: len(r.nodes), Warnings: []string{"no iPXE for arm64"},
	}, nil
}

func (r *testRack) microkernel() string {
	if r.noMicrokernel {
		return ""
	}
	return "8b4454b0ee30"
}

func (r *testRack) Nodes(_ context.Context, refresh bool) ([]api.NodeView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.nodes)
	for i := range out {
		out[i].Evidence, out[i].LogTail, out[i].Callback, out[i].Identity = nil, "", nil, nil
		if !refresh { // nobody asked the BMCs yet
			out[i].Power, out[i].BMCReached = "", false
		}
	}
	return out, nil
}

func (r *testRack) Node(_ context.Context, word string) (api.NodeView, error) {
	for i := range r.nodes {
		if answersTo(&r.nodes[i], word) {
			return r.nodes[i], nil
		}
	}
	return api.NodeView{}, fmt.Errorf("%q: %w", word, provision.ErrNoNode)
}

func (r *testRack) Submit(_ context.Context, req api.RunRequest) (api.RunView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.submitted = append(r.submitted, req)
	for mac := range req.Configs { // the run succeeds, or nobody asks what came of it
		v := r.configs[mac]
		v.Applied, v.AppliedDigest = v.Wanted, v.WantedDigest
		r.configs[mac] = v
	}
	if v := r.runs[0]; v.State != runRunning { // as the real one does for what is so already
		v.Changed, v.Request = false, req
		return v, nil
	}
	r.runs[0].Request = req
	return r.runs[0], nil
}

func (r *testRack) PutConfig(ctx context.Context, word string, c api.NodeConfig) (api.ConfigView, error) {
	n, err := r.Node(ctx, word)
	if err != nil {
		return api.ConfigView{}, err
	}
	digest, err := c.Digest()
	if err != nil {
		return api.ConfigView{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.configs == nil {
		r.configs = map[string]api.ConfigView{}
	}
	v := r.configs[n.PrimaryMAC]
	v.Wanted, v.WantedDigest = &c, digest
	r.configs[n.PrimaryMAC] = v
	return v, nil
}

func (r *testRack) Config(ctx context.Context, word string) (api.ConfigView, error) {
	n, err := r.Node(ctx, word)
	if err != nil {
		return api.ConfigView{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.configs[n.PrimaryMAC], nil
}

func (r *testRack) Runs() []api.RunView {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.going && len(r.submitted) == 0 {
		return nil
	}
	return r.runs[:min(1, len(r.runs))]
}

func (r *testRack) RunView(id string) (api.RunView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.applies.runs[id]; ok {
		return v, nil
	}
	if len(r.runs) == 0 || r.runs[0].ID != id {
		return api.RunView{}, fmt.Errorf("%q: %w", id, provision.ErrNoRun)
	}
	if len(r.runs) > 1 && len(r.runs[0].Questions) == 0 && r.runs[0].Erase == nil { // a question waits for its answer
		r.runs = r.runs[1:]
	}
	return r.runs[0], nil
}

func (r *testRack) Cancel(_ context.Context, id string) (api.RunView, error) {
	v, err := r.RunView(id)
	if err == nil {
		r.cancelled, v.State = true, runCancelled
	}
	return v, err
}

func (r *testRack) Leases(context.Context) ([]api.LeaseView, error) {
	return []api.LeaseView{
		{Address: "172.24.213.2", MAC: "52:54:00:00:00:01", Node: "node-1", Role: "server", Expires: testTime().Add(24 * time.Hour)},
		{Address: "172.24.213.130", MAC: "52:54:00:00:00:99", Role: "pool", Expires: testTime().Add(2 * time.Minute)},
	}, nil
}

// testImages is the library of a testRack; an image is the file as it comes.
type testImages struct{ *testRack }

func (r testImages) List(context.Context) ([]api.ImageView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.images), nil
}

func (r testImages) Add(_ context.Context, add api.ImageAdd, in io.Reader, progress func(int64)) (api.ImageView, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err != nil {
		return api.ImageView{}, err
	}
	progress(n)
	got := hex.EncodeToString(sum.Sum(nil))
	if got != add.SHA256 {
		return api.ImageView{}, fmt.Errorf("add image: it has %s, want %s: %w", got, add.SHA256, image.ErrDigest)
	}
	if add.Name == "refused" {
		return api.ImageView{}, &image.InputError{What: "it is empty"}
	}
	img := api.ImageView{ID: got, Name: add.Name, Profile: add.Profile, RawSize: n, UsedSize: n / 2, StoredSize: n / 4, SHA256: got, Added: testTime()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images = append(r.images, img)
	return img, nil
}

// AddSigned, Verify and Change are tried on a real library, by TestImageScripts.
func (r testImages) AddSigned(context.Context, api.ImageAdd, api.ImageParts, io.Reader, func(string, int64)) (api.ImageView, error) {
	return api.ImageView{}, errors.ErrUnsupported
}

func (r testImages) Verify(context.Context, string, func(int64)) (api.ImageView, error) {
	return api.ImageView{}, errors.ErrUnsupported
}

func (r testImages) Change(context.Context, string, api.ImageChange) (api.ImageView, error) {
	return api.ImageView{}, errors.ErrUnsupported
}

func (r testImages) Remove(_ context.Context, id string, _ bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.images, func(img api.ImageView) bool { return img.ID == id || img.Name == id })
	if i < 0 {
		return fmt.Errorf("image %q: %w", id, image.ErrNotFound)
	}
	r.images = slices.Delete(r.images, i, i+1)
	return nil
}

// startDaemon serves the rack on a socket in dir until done is called.
func startDaemon(dir string, r *testRack, bus *event.Bus) (socket string, done func() error, err error) {
	socket = filepath.Join(dir, "racker.sock")
	ctx, cancel := context.WithCancel(context.Background())
	record, err := audit.Open(ctx, filepath.Join(dir, "audit.jsonl"), audit.Options{})
	if err != nil {
		cancel()
		return "", nil, err
	}
	a := &daemon.API{
		Path: socket, Operator: r, Orders: r, Keys: r, Configs: r, Changes: r, Updates: r, Images: testImages{r}, Events: bus, Audit: record, Explain: explain, Log: slog.New(slog.DiscardHandler),
	}
	if err := a.Listen(ctx); err != nil {
		cancel()
		return "", nil, errors.Join(err, record.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return socket, func() error {
		cancel()
		return errors.Join(<-ended, record.Close())
	}, nil
}

// testClient is the command line's own client of a daemon that serves r.
func testClient(t *testing.T, r *testRack) *api.Client {
	t.Helper()
	socket, done, err := startDaemon(t.TempDir(), r, event.NewBus())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	})
	return api.NewClient(socket)
}
