package serve

import (
	"github.com/racker-project/racker/pkg/netif"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/rack"
)

// frames gives the state machine what the listener on the internal network heard.
type frames struct{ listener *netif.Frames }

// Heard implements provision.Frames.
func (f frames) Heard(mac rack.MAC) provision.Heard {
	h, ok := f.listener.Seen(mac)
	if !ok {
		return provision.Heard{}
	}
	return provision.Heard{At: h.At, What: string(h.Kind), VLAN: h.VLAN, LACP: h.LACP}
}
