package cli

import (
	"context"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// rowReader has nodes.csv read again.
type rowReader interface {
	Reload(ctx context.Context) (api.ReloadView, error)
}

// freshRows has the daemon read nodes.csv before a plan is made of it: who edits the file, and then orders what it says, means
// the file as it is now. What came and went is said.
func freshRows(ctx context.Context, d rowReader, io *stdio.Streams) error {
	v, err := d.Reload(ctx)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		what  string
		nodes []string
	}{{"New in nodes.csv: ", v.Added}, {"No longer in nodes.csv: ", v.Removed}, {"New hardware in nodes.csv: ", v.Replaced}} {
		if len(part.nodes) > 0 {
			fmt.Fprintln(io.Err, foldedErr(io, part.what+cutList(part.nodes), 2))
		}
	}
	return nil
}
