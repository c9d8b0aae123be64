package serve

import (
	"context"
	"strings"

	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/provision"
)

// render makes a node's Ignition config: racker's own part, and what is declared of the node merged over it, at the spec
// version that the image reads.
func render(ctx context.Context, n provision.NodeConfig) ([]byte, error) {
	spec := ignite.Spec{Version: n.Profile.SpecVersion, Node: ignite.Node{
		HostName: strings.ToLower(n.HostName), SSHKeys: n.SSHKeys, InternalMAC: n.InternalMAC,
		CallbackURL: n.CallbackURL, CallbackToken: n.CallbackToken, CAPEM: n.CAPEM, Names: string(n.Names), HostKey: n.HostKey, RackKey: n.RackKey,
	}}
	if d := n.Declared; d != nil {
		spec.Node.HostName = d.HostName
		for _, s := range d.Butane {
			spec.Custom = append(spec.Custom, ignite.Source{Name: s.Name, Butane: []byte(s.Butane)})
		}
	}
	return ignite.Render(ctx, spec)
}
