package serve

import (
	"context"
	"strings"

	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/provision"
)

// render makes a node's Ignition config, at the spec version that every Ignition since 2.13 reads.
func render(ctx context.Context, n provision.NodeConfig) ([]byte, error) {
	return ignite.Render(ctx, ignite.Spec{Node: ignite.Node{
		HostName: strings.ToLower(n.HostName), SSHKeys: n.SSHKeys, InternalMAC: n.InternalMAC,
		CallbackURL: n.CallbackURL, CallbackToken: n.CallbackToken, CAPEM: n.CAPEM,
	}})
}
