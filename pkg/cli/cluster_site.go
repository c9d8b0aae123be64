package cli

import (
	"cmp"
	"context"
	"net/netip"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cluster"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
)

// siteSource is what a cluster's site is made of.
type siteSource interface {
	nodeFinder
	Rack(ctx context.Context) (api.RackView, error)
}

// clusterSite asks the daemon for the rows of the rack, and for its network.
func clusterSite(ctx context.Context, d siteSource, ports config.Ports) (cluster.Site, error) {
	r, err := d.Rack(ctx)
	if err != nil {
		return cluster.Site{}, err
	}
	nodes, err := d.Nodes(ctx, false)
	if err != nil {
		return cluster.Site{}, err
	}
	site := cluster.Site{Ports: []int{ports.HTTP, ports.HTTPS}}
	if site.Network, err = netip.ParsePrefix(r.Network); err != nil {
		return site, err
	}
	if site.Server, err = netip.ParseAddr(r.Server); err != nil {
		return site, err
	}
	for i := range nodes {
		row := siteNode(&nodes[i])
		if nodes[i].Management {
			site.Management = &row
			continue
		}
		site.Nodes = append(site.Nodes, row)
	}
	return site, nil
}

func siteNode(n *api.NodeView) cluster.SiteNode {
	row := cluster.SiteNode{Name: n.Name, Type: n.Type, Where: cmp.Or(n.Where, n.Name, n.PrimaryMAC)}
	// The daemon's own words: what does not parse is not there.
	row.Primary, _ = rack.ParseMAC(n.PrimaryMAC)
	row.Secondary, _ = rack.ParseMAC(n.SecondaryMAC)
	row.BMC, _ = rack.ParseMAC(n.BMCMAC)
	row.Address, _ = netip.ParseAddr(n.Address)
	if n.Hardware == nil {
		return row
	}
	for _, nic := range n.Hardware.NICs {
		if mac, err := rack.ParseMAC(nic.MAC); err == nil {
			row.NICs = append(row.NICs, mac)
		}
	}
	return row
}

// withInventories gives the site with the NICs that racker has seen, which lists of nodes do not have.
func withInventories(ctx context.Context, d siteSource, site cluster.Site) (cluster.Site, error) {
	out := site
	out.Nodes = make([]cluster.SiteNode, len(site.Nodes))
	for i := range site.Nodes {
		n, err := d.Node(ctx, site.Nodes[i].Primary.String())
		if err != nil {
			return out, err
		}
		out.Nodes[i] = siteNode(&n)
	}
	return out, nil
}
