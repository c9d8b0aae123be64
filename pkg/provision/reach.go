package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/remote"
)

// Reach is racker's own way to installed nodes: over SSH as the user core, by racker's key of the rack, to the host key that
// racker gave the node. It implements Remote. Its methods may be called concurrently.
type Reach struct {
	keys *Keys
	port uint16
}

// NewReach reaches nodes with these keys. Port is their sshd's; 0 means 22.
func NewReach(keys *Keys, port uint16) *Reach { return &Reach{keys: keys, port: port} }

var _ Remote = (*Reach)(nil)

// errNoHostKey is matched for a node that cannot be told from another machine.
var errNoHostKey = errors.New("racker has not made its host key: it was not installed by this racker")

// Run implements Remote.
func (r *Reach) Run(ctx context.Context, n *rack.Node, addr netip.Addr, script string, stdin []byte) (RemoteResult, error) {
	own, err := r.keys.own(ctx)
	if err != nil {
		return RemoteResult{}, err
	}
	c, err := r.dial(ctx, n, addr, own.all()...)
	if err != nil {
		return RemoteResult{}, err
	}
	defer func() { _ = c.Close() }() // what it was for is done, or has failed
	out, err := c.Run(ctx, remote.Script{Text: script, Input: stdin, Root: true})
	return RemoteResult{Stdout: out.Stdout, Stderr: out.Stderr, Code: out.ExitCode}, err
}

// Unreached implements Remote.
func (r *Reach) Unreached(err error) bool { return errors.Is(err, remote.ErrUnreachable) }

// all gives the keys that a node may have, the newest first.
func (r rackKeys) all() []sshKey {
	if r.Next != nil {
		return []sshKey{*r.Next, r.Current}
	}
	return []sshKey{r.Current}
}

// dial logs in to a node with one of the keys.
func (r *Reach) dial(ctx context.Context, n *rack.Node, addr netip.Addr, keys ...sshKey) (*remote.Client, error) {
	to := remote.Target{Name: n.Name, Addr: netip.AddrPortFrom(addr, r.port), User: api.SystemUser}
	for _, k := range keys {
		s, err := k.signer()
		if err != nil {
			return nil, fmt.Errorf("log in to %s: %w", n.Name, err)
		}
		to.Keys = append(to.Keys, s)
	}
	host, made, err := r.keys.hostIfMade(ctx, n.Primary)
	if err == nil && !made {
		err = errNoHostKey
	}
	var pin ssh.PublicKey
	if err == nil {
		pin, err = host.public()
	}
	if err != nil {
		return nil, fmt.Errorf("log in to %s: %w", n.Name, err)
	}
	to.HostKey = pin
	return remote.Dial(ctx, to)
}
