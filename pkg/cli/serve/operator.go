package serve

import (
	"context"
	"fmt"
	"slices"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/netif"
	"github.com/racker-project/racker/pkg/provision"
)

// operator answers the operator API from the state machine and the DHCP server.
type operator struct {
	*provision.Machine
	metadata *metadata
	profiles *profiles
	rack     api.RackView
	dhcp     *dhcpd.Server
	micro    func() (provision.Microkernel, error)
}

// Rack implements daemon.Operator.
func (o operator) Rack(context.Context) (api.RackView, error) {
	v := o.rack
	v.Nodes = len(o.Machine.Rack().Nodes)
	if k, err := o.micro(); err == nil {
		v.Microkernel = k.ID
	} else {
		v.Warnings = append(slices.Clone(v.Warnings), err.Error())
	}
	for _, why := range []string{o.Trouble(), o.metadata.trouble(), o.profiles.trouble()} {
		if why != "" {
			v.Warnings = append(slices.Clone(v.Warnings), why)
		}
	}
	v.Warnings = append(slices.Clone(v.Warnings), o.Alarms()...)
	if limit, err := netif.NeighbourLimit(); err == nil && limit < 2*v.Nodes {
		v.Warnings = append(slices.Clone(v.Warnings), fmt.Sprintf(
			"the kernel's neighbour table holds %d entries, for %d servers and as many BMCs: sysctl net.ipv4.neigh.default.gc_thresh3=%d",
			limit, v.Nodes, 4*v.Nodes))
	}
	for _, run := range o.Runs() {
		// Orders that only boot a node provision nothing.
		if what := run.Request.Provision; run.State != "running" && (what == "image" || what == "flatcar") {
			v.Provision = what
			break
		}
	}
	return v, nil
}

// Leases implements daemon.Operator.
func (o operator) Leases(context.Context) ([]api.LeaseView, error) {
	out := []api.LeaseView{}
	if o.dhcp == nil {
		return out, nil
	}
	plan := o.Plan()
	for _, l := range o.dhcp.CurrentLeases() {
		v := api.LeaseView{Address: l.IP.String(), MAC: l.MAC.String(), Role: "pool", Expires: l.Expires}
		if a, ok := plan.ByMAC(l.MAC); ok && l.Reserved {
			v.Role = a.Role
			if n := o.Machine.Rack().Find(l.MAC.String()); n != nil {
				v.Node = n.Name
			}
		}
		out = append(out, v)
	}
	return out, nil
}
