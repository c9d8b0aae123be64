package provision

import (
	"context"
	"net/netip"

	"github.com/racker-project/racker/pkg/rack"
)

// Remote reaches installed nodes over SSH, with racker's own key and the host keys that racker made. Its methods may be called
// concurrently.
type Remote interface {
	// Run has a POSIX shell of the node run script as root, with stdin. The script is no secret, and may be seen in the node's
	// list of processes; stdin may be one. A script that ended with another status than 0 is no error. Stdout and stderr are
	// cut at a size that fits in memory.
	Run(ctx context.Context, n *rack.Node, addr netip.Addr, script string, stdin []byte) (RemoteResult, error)
	// Unreached reports whether err means that nobody answered, or that the connection broke: a later attempt may find the
	// node. A wrong host key, or a key that the node does not take, is another error.
	Unreached(err error) bool
}

// RemoteResult is what a script left.
type RemoteResult struct {
	Stdout, Stderr []byte
	Code           int // exit status of the script
}
