package provision

import (
	"context"
	"slices"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// Hosts tells how each server is reached once it is installed.
func (m *Machine) Hosts(ctx context.Context) ([]api.HostView, error) {
	r := m.inForce()
	out := make([]api.HostView, 0, len(r.list))
	for _, n := range r.list {
		rec := m.record(n.Primary)
		a, ok := r.byMAC[n.Primary]
		if rec == nil || !ok {
			continue
		}
		v := api.HostView{
			Name: n.Name, Names: []string{n.Name}, MAC: n.Primary.String(), Address: a.Addr.String(), Type: n.Type,
			State: string(rec.State), User: api.SystemUser,
		}
		if err := m.installedAs(ctx, n, rec, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// installedAs adds what racker gave the system that is on a node.
func (m *Machine) installedAs(ctx context.Context, n *rack.Node, rec *Record, v *api.HostView) error {
	if rec.Install == nil || !rec.Install.Complete {
		return nil
	}
	if c, err := m.declared(ctx, n.Primary, rec.Install.Config); err != nil {
		return err
	} else if c != nil && !slices.Contains(v.Names, c.HostName) {
		v.Names = append(v.Names, c.HostName)
	}
	if rec.Install.RackKey == "" { // a racker that gave none, or an image that takes none
		return nil
	}
	key, made, err := m.keys.hostIfMade(ctx, n.Primary)
	if err == nil && made {
		v.HostKey = key.Public
	}
	return err
}

// reachable lists the installed servers that racker has a key on, in the order of nodes.csv.
func (m *Machine) reachable() []*rack.Node {
	var out []*rack.Node
	for _, n := range m.inForce().list {
		rec := m.record(n.Primary)
		if rec == nil {
			continue
		}
		if on, coming := rec.rackKeys(); on != "" || coming != "" {
			out = append(out, n)
		}
	}
	return out
}

// rackKeys gives the fingerprint of racker's key on the node, and of the one that the install under way brings; empty for none.
func (r *Record) rackKeys() (on, coming string) {
	if r.Install != nil && r.Install.Complete && !r.Install.Plain {
		on = r.Install.RackKey
	}
	switch {
	case r.Job != nil:
		coming = r.Job.RackKey
	case r.Install != nil && r.Install.Renew != nil:
		coming = r.Install.Renew.RackKey
	}
	return on, coming
}
