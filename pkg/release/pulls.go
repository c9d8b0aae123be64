package release

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// Errors about pulls that a caller can match.
var (
	// ErrBusy says that another pull is under way; the error names it.
	ErrBusy = errors.New("one pull at a time")
	// ErrNoPull says that there is no such pull.
	ErrNoPull = errors.New("no such pull")
)

const (
	// remembered is how many pulls that are over are remembered.
	remembered = 20
	// partLife is how long the data of a pull that failed is kept for the next one.
	partLife = 7 * 24 * time.Hour

	orderFile = "order.json"
	partEnd   = ".part"
)

// Keeper is where verified files go.
type Keeper interface {
	// Held gives the image that was kept of a release, verified under that primary key; nil when there is none.
	Held(ctx context.Context, r Release, primary string) (*api.ImageView, error)
	// Keep reads a file to its end and keeps it as an image, once its digest is the one that was verified.
	Keep(ctx context.Context, r io.Reader, f File) (api.ImageView, error)
}

// File is what is known of a verified file.
type File struct {
	Name    string
	Profile string // empty: its partitions tell
	Source  string
	SHA256  string
	// Arch is what it must be for, a GOARCH; empty means anything.
	Arch             string
	Version, Channel string
	Signed           *Signature // nil when it was verified by a digest that the operator gave
	// Progress takes the bytes read so far.
	Progress func(read int64)
}

// Config of Pulls.
type Config struct {
	// Dir holds what is on its way, the order that is under way, and the key; made when it is missing.
	Dir    string
	Source Source
	Web    Web
	// Room gives the free space of a directory in bytes; nil means FreeSpace.
	Room func(dir string) (int64, error)
	// Explain gives an error its words for the API.
	Explain func(error) *api.Error
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Pulls takes orders to fetch images and carries them out, one at a time. Its methods may be called concurrently.
type Pulls struct {
	cfg    Config
	keeper Keeper
	log    *slog.Logger
	vendor *vendor
	wake   chan struct{}

	mu   sync.Mutex // guards what follows
	list []*pull    // oldest first
	busy *pull      // the one that is under way
}

// pull is one order. What changes of it is guarded by Pulls.mu.
type pull struct {
	order  order
	view   api.PullView
	cancel context.CancelFunc // nil until it is begun
	// gone is set when it is to be cancelled.
	gone bool
	// tell, when not nil, hears of progress.
	tell func(stage string, done int64)
}

// NewPulls makes the directory and removes what is too old in it. An order that the end of the last daemon cut short goes on with
// Run.
func NewPulls(cfg Config, keeper Keeper, log *slog.Logger) (*Pulls, error) {
	if cfg.Room == nil {
		cfg.Room = FreeSpace
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("downloads: %w", err)
	}
	p := &Pulls{cfg: cfg, keeper: keeper, log: log, wake: make(chan struct{}, 1)}
	p.vendor = &vendor{Source: cfg.Source, web: &p.cfg.Web, dir: cfg.Dir, log: log}
	if err := p.sweep(); err != nil {
		return nil, fmt.Errorf("downloads: %w", err)
	}
	return p, p.restore()
}

// Order takes an order; Run carries it out. The same order as the one under way joins it. Errors match ErrRelease, or ErrBusy
// when another one is under way.
func (p *Pulls) Order(_ context.Context, in api.ImagePull) (api.PullView, error) {
	o, err := check(in)
	if err != nil {
		return api.PullView{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.busy; b != nil {
		if b.view.Order != o.ImagePull {
			return api.PullView{}, busyWith(b)
		}
		v := b.view
		v.Joined = true
		return v, nil
	}
	id := newID()
	at := p.cfg.Now().UTC()
	if err := p.note(api.PullView{ID: id, Order: o.ImagePull, Began: at}); err != nil {
		return api.PullView{}, fmt.Errorf("order a pull: %w", full(err))
	}
	return p.admit(o, id, at).view, nil
}

func newID() string { return "pull-" + strings.ToLower(rand.Text()[:8]) }

func busyWith(b *pull) error {
	return fmt.Errorf("%w: %s (%s) is under way", ErrBusy, b.view.ID, b.view.What)
}

// admit makes an order the one that is under way; the caller holds the lock, or is alone.
func (p *Pulls) admit(o order, id string, at time.Time) *pull {
	n := &pull{order: o, view: api.PullView{
		ID: id, What: o.what(), State: api.PullRunning, Stage: api.PullAsks, Began: at, Order: o.ImagePull,
	}}
	p.remember(n)
	p.busy = n
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return n
}

func (p *Pulls) remember(n *pull) {
	p.list = append(p.list, n)
	if over := len(p.list) - remembered; over > 0 {
		p.list = slices.Delete(p.list, 0, over)
	}
}

// List gives the pulls, newest first.
func (p *Pulls) List(context.Context) ([]api.PullView, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []api.PullView{}
	for _, n := range slices.Backward(p.list) {
		out = append(out, n.view)
	}
	return out, nil
}

// Get gives one pull. Errors match ErrNoPull.
func (p *Pulls) Get(_ context.Context, id string) (api.PullView, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(id); n != nil {
		return n.view, nil
	}
	return api.PullView{}, fmt.Errorf("%q: %w", id, ErrNoPull)
}

func (p *Pulls) find(id string) *pull {
	if i := slices.IndexFunc(p.list, func(n *pull) bool { return n.view.ID == id }); i >= 0 {
		return p.list[i]
	}
	return nil
}

// Cancel ends a pull; what was fetched stays for the next one, for a week. One that is over stays as it is. Errors match
// ErrNoPull.
func (p *Pulls) Cancel(_ context.Context, id string) (api.PullView, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(id)
	if n == nil {
		return api.PullView{}, fmt.Errorf("%q: %w", id, ErrNoPull)
	}
	if n == p.busy {
		n.gone = true
		if n.cancel != nil {
			n.cancel()
		}
	}
	return n.view, nil
}

// Run carries orders out until ctx is done. An order that this cuts short goes on with the next daemon.
func (p *Pulls) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		if n, own := p.begin(ctx); n != nil {
			img, err := p.carry(own, n)
			n.cancel()
			if ctx.Err() != nil && !p.toGo(n) {
				return nil // not over: the order stays where it is
			}
			p.end(n, img, err)
		}
	}
}

// begin gives the order that is under way its own context.
func (p *Pulls) begin(ctx context.Context) (*pull, context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.busy
	if n == nil || n.cancel != nil {
		return nil, nil
	}
	own, cancel := context.WithCancel(ctx)
	n.cancel = cancel
	if n.gone {
		cancel()
	}
	return n, own
}

func (p *Pulls) toGo(n *pull) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return n.gone
}

// end notes how a pull ended.
func (p *Pulls) end(n *pull, img api.ImageView, err error) {
	if rerr := os.Remove(p.orderPath()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		p.log.Warn("an order that is over stays noted", "file", p.orderPath(), "err", rerr)
	}
	if serr := p.sweep(); serr != nil {
		p.log.Warn("old downloads stay", "file", p.cfg.Dir, "err", serr)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v := &n.view
	v.Ended, v.Trouble = p.cfg.Now().UTC(), ""
	switch {
	case err == nil:
		v.State, v.Image = api.PullDone, &img
		p.log.Info("image pulled", "file", img.Name, "state", v.State)
	case n.gone && errors.Is(err, context.Canceled):
		v.State = api.PullCancelled
	default:
		v.State, v.Error = api.PullFailed, p.cfg.Explain(err)
		p.log.Warn("image not pulled", "file", v.What, "err", err)
	}
	if p.busy == n {
		p.busy = nil
	}
}

// set changes what is shown of a pull.
func (p *Pulls) set(n *pull, change func(v *api.PullView)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&n.view)
}

// stage begins a stage of which total bytes are to be done; 0 or less when that is not known.
func (p *Pulls) stage(n *pull, stage string, total int64) {
	p.set(n, func(v *api.PullView) { v.Stage, v.Done, v.Total, v.Trouble = stage, 0, max(total, 0), "" })
	p.moves(n)(0)
}

// moves gives the function that takes progress of a stage.
func (p *Pulls) moves(n *pull) func(done int64) {
	return func(done int64) {
		stage := ""
		p.set(n, func(v *api.PullView) { v.Done, stage = done, v.Stage })
		if n.tell != nil {
			n.tell(stage, done)
		}
	}
}
