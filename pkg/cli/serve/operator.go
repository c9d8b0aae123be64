package serve

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/image"
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

// images shows the library as the API does.
type images struct {
	library  *image.Library
	profiles *profiles
	// remove calls the function unless something needs the image.
	remove func(id string, do func() error) error
}

// List implements daemon.Images.
func (i images) List(ctx context.Context) ([]api.ImageView, error) {
	list, err := i.library.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.ImageView{}
	for _, m := range list {
		out = append(out, imageView(m))
	}
	return out, nil
}

// Add implements daemon.Images.
func (i images) Add(ctx context.Context, add api.ImageAdd, r io.Reader, progress func(int64)) (api.ImageView, error) {
	i.profiles.reread(ctx)
	m, err := i.library.Add(ctx, r, image.AddOptions{Name: add.Name, SHA256: add.SHA256, Profile: add.Profile, Progress: progress})
	if err != nil {
		return api.ImageView{}, err
	}
	return imageView(m), nil
}

// Remove implements daemon.Images. An image that a running order needs stays.
func (i images) Remove(ctx context.Context, id string) error {
	m, err := i.library.Get(ctx, id)
	if err != nil {
		return err
	}
	return i.remove(m.ID, func() error { return i.library.Remove(ctx, m.ID) })
}

func imageView(m *image.Manifest) api.ImageView {
	v := api.ImageView{
		ID: m.ID, Name: m.Name, RawSize: m.RawSize, UsedSize: m.UsedSize(), StoredSize: m.StoredSize(), SHA256: m.RawSHA256, Added: m.Added,
		FileSHA256: m.FileSHA256, Profile: m.Profile, Arch: m.Arch, Version: m.Version, Channel: m.Channel, Source: m.Source,
		Warnings: m.Warnings,
	}
	if s := m.Signed; s != nil {
		v.Signed = &api.ImageSigned{At: s.At, Key: s.Key, Primary: s.Primary}
	}
	return v
}
