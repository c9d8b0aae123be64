package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/racker-project/racker/pkg/api"
)

// ReadFile reads the record at path without a Log, as Log.View does: the newest last entries (0 means 20,000). A record that is not there matches fs.ErrNotExist. A
// last line that is torn is said to break the chain.
func ReadFile(ctx context.Context, path string, last int) (api.AuditView, error) {
	r, err := openRecord(path)
	if err == nil && len(r.files) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return api.AuditView{}, fmt.Errorf("read audit %s: %w", path, err)
	}
	return r.view(ctx, path, last, nil)
}

// view reads the record, and closes it. Head is what the last entry should be, where that is known.
func (r *record) view(ctx context.Context, path string, last int, head *chain) (api.AuditView, error) {
	if last <= 0 {
		last = DefaultLast
	}
	newest := make([]api.AuditEntry, 0, 64) // a ring once it is full
	at := 0
	c, torn, err := r.scan(ctx, func(e api.AuditEntry) {
		if len(newest) < last {
			newest = append(newest, e)
			return
		}
		newest[at] = e
		at = (at + 1) % last
	})
	if err = errors.Join(err, r.close()); err != nil {
		return api.AuditView{}, fmt.Errorf("read audit %s: %w", path, err)
	}
	switch {
	case head != nil && (c.seq != head.seq || c.hash != head.hash):
		c.breaks(fmt.Sprintf("it ends with entry %d, and the last that was written is %d", c.seq, head.seq))
	case len(torn) > 0:
		c.breaks(fmt.Sprintf("the line after entry %d was not written to its end", c.seq))
	}
	return api.AuditView{Entries: append(newest[at:len(newest):len(newest)], newest[:at]...), Broken: c.broken}, nil
}
