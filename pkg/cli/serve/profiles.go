package serve

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/image/profile"
)

// profiles are the kinds of images, as the directory said when it was read last.
type profiles struct {
	dir  string
	log  *slog.Logger
	set  atomic.Pointer[profile.Set]
	said atomic.Pointer[string] // what was wrong with it; "" for nothing
}

// openProfiles reads the site's own profiles. A file that is not understood keeps nothing down: it is in trouble.
func openProfiles(dir string, log *slog.Logger) (*profiles, error) {
	p := &profiles{dir: dir, log: log}
	if p.reread(context.Background()); p.set.Load() == nil {
		_, err := profile.Builtin()
		return nil, err
	}
	return p, nil
}

// reread takes what the directory says now.
func (p *profiles) reread(ctx context.Context) {
	set, err := profile.Load(p.dir)
	if set != nil {
		p.set.Store(set)
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if old := p.said.Swap(&text); err != nil && (old == nil || *old != text) {
		p.log.WarnContext(ctx, "image profiles not understood", "file", p.dir, "err", err)
	}
}

// current gives the profiles to the library.
func (p *profiles) current() image.Profiles { return p.set.Load() }

// trouble says what is wrong with the site's own profiles; "" for nothing.
func (p *profiles) trouble() string {
	if said := p.said.Load(); said != nil {
		return *said
	}
	return ""
}
