package provision

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/rack"
)

const (
	// namesAtOnce is how many nodes are told of new names at a time.
	namesAtOnce = 8
	// namesPause is how long names may lag behind on a node that did not answer, or that came up since.
	namesPause = time.Minute
	// namesSettle is waited for after a change: several configs are sent at once.
	namesSettle = 2 * time.Second
)

// namesScript takes the names from its input; the node's own unit does the rest.
const namesScript = `set -eu
umask 022
cat >` + ignite.ClusterHosts + `.new
mv -f ` + ignite.ClusterHosts + `.new ` + ignite.ClusterHosts

// keepNames brings the names of the cluster's nodes to the installed ones, whenever they change, until ctx is done. A node
// that does not answer is told later.
func (m *Machine) keepNames(ctx context.Context) error {
	if m.needs.Remote == nil {
		return nil
	}
	for {
		changed := m.hostNames.changed.next()
		m.tellNames(ctx)
		wait := time.NewTimer(namesPause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		case <-changed:
			wait.Stop()
			if !pause(ctx, namesSettle) {
				return nil
			}
		}
	}
}

// tellNames tells all nodes that do not know the names of now.
func (m *Machine) tellNames(ctx context.Context) {
	text, digest := m.clusterHosts()
	var g errgroup.Group
	g.SetLimit(namesAtOnce)
	for _, n := range m.inForce().list {
		if ctx.Err() != nil || !m.lacksNames(n.Primary, digest) {
			continue
		}
		g.Go(func() error {
			if err := m.tell(ctx, n, text, digest); err != nil && !errors.Is(err, errStale) && ctx.Err() == nil {
				m.log.InfoContext(ctx, "names not told", "node", n.Where(), "err", err)
			}
			return nil
		})
	}
	_ = g.Wait() // each says its own error
}

// lacksNames reports whether a node runs a declared config, and other names than those of digest. Nodes that an order is at
// work on are told after it.
func (m *Machine) lacksNames(mac rack.MAC, digest string) bool {
	rec := m.record(mac)
	return rec != nil && rec.State == Ready && rec.Job == nil && rec.Install != nil && rec.Install.Complete && rec.Install.Config != "" &&
		rec.Install.RackKey != "" && rec.Install.Names != digest
}

func (m *Machine) tell(ctx context.Context, n *rack.Node, text []byte, digest string) error {
	a, ok := m.Assigned(n.Primary)
	if !ok {
		return nil
	}
	rctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	res, err := m.needs.Remote.Run(rctx, n, a.Addr, namesScript, text)
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return errors.New(lastWords(res))
	}
	return m.update(ctx, n.Primary, func(r *Record) error {
		if r.Install == nil || r.Job != nil {
			return errStale
		}
		r.Install.Names = digest
		return nil
	})
}
