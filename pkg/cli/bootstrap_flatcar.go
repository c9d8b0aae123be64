package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cluster"
)

// What --provision takes.
const (
	provisionImage   = "image"
	provisionFlatcar = "flatcar"
)

// declared is the cluster of a bootstrap: its folder, and what that says of the nodes.
type declaredCluster struct {
	folder *clusterFolder
	nodes  []declaredNode
	// warnings are shown with the plan.
	warnings []string
	fresh    bool   // there was no cluster.yaml
	held     string // the name by which racker holds the image that is a file
}

// sends reports whether the image is a file that is sent first.
func (c *declaredCluster) sends(image string) bool { return c.fresh && c.held == "" && isFile(image) }

// provisionFlags finds what is wrong with the flags that depend on what is provisioned.
func (o *bootstrapOptions) provisionFlags() error {
	switch {
	case o.Provision != provisionImage && o.Provision != provisionFlatcar:
		return usageError("--provision %q: want flatcar or image", o.Provision)
	case o.Provision != provisionFlatcar && o.Given("ip-addrs"):
		return usageError("--ip-addrs goes with --provision %s", provisionFlatcar)
	case o.Provision != provisionFlatcar && o.Image == "":
		return withHint(usageError("--image is missing: a file, or the name of an image"), "racker image list")
	}
	return nil
}

// openFolder reads the cluster that is to be installed: the one in the folder that --config names, else a new one in the
// operator's home, as the flags say. Nothing is written.
func (o *bootstrapOptions) openFolder(ctx context.Context, d provisioner) error {
	dir := o.Config
	if dir == "" {
		home, err := o.Home()
		if err != nil {
			return err
		}
		dir = filepath.Join(home, clusterFolders()[provisionFlatcar][0])
	}
	folder, err := openCluster(dir, o.SudoUser)
	if err != nil {
		return err
	}
	o.cluster = &declaredCluster{folder: folder}
	switch err = folder.read(); {
	case errors.Is(err, errNoCluster):
		err = o.draft(ctx, d)
	case err == nil:
		err = o.notInFile()
	}
	if err != nil {
		return err
	}
	c := o.cluster
	c.nodes, c.warnings, err = folder.declare(ctx, d, o.Ports)
	return err
}

// notInFile refuses flags that a cluster.yaml has an answer for: which of the two would count?
func (o *bootstrapOptions) notInFile() error {
	for _, flag := range []string{"image", "ssh-key", "ip-addrs"} {
		if o.Given(flag) {
			return usageError("--%s: %s says that already", flag, o.cluster.folder.path(cluster.FileName))
		}
	}
	return nil
}

// draft makes a cluster.yaml of the flags.
func (o *bootstrapOptions) draft(ctx context.Context, d provisioner) error {
	if empty, err := emptyFolder(o.cluster.folder.dir); err != nil || !empty {
		return errors.Join(err, usageError("%s is not empty, and has no %s", o.cluster.folder.dir, cluster.FileName))
	}
	o.cluster.fresh = true
	site, err := clusterSite(ctx, d, o.Ports)
	if err != nil {
		return err
	}
	draft := cluster.Draft{SSHKeys: o.keys, Site: site}
	if draft.Image, err = o.draftImage(ctx, d); err != nil {
		return err
	}
	name, text, err := o.addresses()
	if err != nil {
		return err
	}
	if text != "" {
		if draft.Static, err = cluster.ParseINI(name, text); err != nil {
			return withCode(codeUsage, err)
		}
	}
	yaml, err := draft.Text(name)
	if err != nil {
		return withCode(codeUsage, err)
	}
	return o.cluster.folder.take(yaml)
}

// draftImage is what a new cluster.yaml says of the image: what --image says, else the newest Flatcar that racker holds.
// A file that racker holds already may have another name there.
func (o *bootstrapOptions) draftImage(ctx context.Context, d imageKeeper) (cluster.Image, error) {
	switch {
	case isFile(o.Image):
		s := imageSender{io: o.IO, images: d, line: liveLine{io: o.IO}}
		img, err := s.held(ctx, o.Image)
		if err != nil {
			return cluster.Image{}, err
		}
		if o.cluster.held = img.Name; img.ID != "" {
			return cluster.Image{Name: img.Name}, nil
		}
		return cluster.Image{Name: imageName(o.Image)}, nil
	case o.Image != "":
		return cluster.Image{Name: o.Image}, nil
	}
	images, err := d.Images(ctx)
	if err != nil {
		return cluster.Image{}, err
	}
	return newestFlatcar(images)
}

// addresses gives the INI text of --ip-addrs, which is a text, a file of it, or DHCP.
func (o *bootstrapOptions) addresses() (name, text string, err error) {
	switch {
	case o.IPAddrs == "" || strings.EqualFold(strings.TrimSpace(o.IPAddrs), "dhcp"):
		return "", "", nil
	case strings.Contains(o.IPAddrs, "["):
		return "--ip-addrs", o.IPAddrs, nil
	}
	b, err := readAtMost(os.Open(o.IPAddrs))
	if err != nil {
		return "", "", usageError("--ip-addrs: neither DHCP, nor a text with [SECONDARY_MAC] sections, nor a file: %w", err)
	}
	return o.IPAddrs, string(b), nil
}

// folderImages looks for the images of all nodes, before anything is asked, written or sent. One that comes from a file is
// there only once it was sent.
func (o *bootstrapOptions) folderImages(ctx context.Context, d imageLister) error {
	images, err := d.Images(ctx)
	if err != nil {
		return err
	}
	for i := range o.cluster.nodes {
		n := &o.cluster.nodes[i]
		if o.cluster.sends(o.Image) {
			n.Config.Image = imageName(o.Image)
			continue
		}
		if n.Config.Image, err = imageFor(images, n.Spec.Image); err != nil {
			return fmt.Errorf("%s: %w", n.Where, err)
		}
	}
	return nil
}

// sendConfigs writes the folder and sends the daemon what is declared of the servers. It gives their digests by MAC.
func (o *bootstrapOptions) sendConfigs(ctx context.Context, d provisioner, macs []string) (map[string]string, error) {
	c := o.cluster
	notes, err := c.folder.write(c.nodes, o.Logs)
	if err != nil {
		return nil, err
	}
	for _, note := range notes {
		o.IO.Errf("racker: warning: %s\n", note)
	}
	if c.fresh {
		fmt.Fprintf(o.IO.Err, "The cluster is declared in %s\n", c.folder.dir)
	}
	return putConfigs(ctx, d, c.nodes, macs)
}

// configKeeper is where configs go.
type configKeeper interface {
	PutConfig(ctx context.Context, node string, cfg api.NodeConfig) (api.ConfigView, error)
	Config(ctx context.Context, node string) (api.ConfigView, error)
}

// putConfigs sends the configs of the servers with these MACs, and gives the digests that the daemon named them by.
func putConfigs(ctx context.Context, d configKeeper, nodes []declaredNode, macs []string) (map[string]string, error) {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	digests := make([]string, len(macs))
	for i, mac := range macs {
		n := nodeOf(nodes, mac)
		if n == nil {
			return nil, fmt.Errorf("%s: its row came to nodes.csv just now: run the command again", mac)
		}
		g.Go(func() error {
			v, err := d.PutConfig(gctx, mac, n.Config)
			digests[i] = v.WantedDigest
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(macs))
	for i, mac := range macs {
		out[mac] = digests[i]
	}
	return out, nil
}

func nodeOf(nodes []declaredNode, mac string) *declaredNode {
	for i := range nodes {
		if nodes[i].MAC() == mac {
			return &nodes[i]
		}
	}
	return nil
}

// sameConfigs reports whether every server is on what the folder declares.
func (o *bootstrapOptions) sameConfigs(ctx context.Context, d configKeeper, views []api.NodeView) bool {
	for i := range views {
		n := nodeOf(o.cluster.nodes, views[i].PrimaryMAC)
		if n == nil {
			return false
		}
		want, err := n.Config.Digest()
		if err != nil {
			return false
		}
		if v, err := d.Config(ctx, views[i].PrimaryMAC); err != nil || v.AppliedDigest != want {
			return false
		}
	}
	return true
}

// declaredImage names what the plan says is installed.
func (o *bootstrapOptions) declaredImage() string {
	if o.cluster == nil {
		return filepath.Base(o.Image)
	}
	var names []string
	seen := map[string]bool{}
	for i := range o.cluster.nodes {
		if name := o.cluster.nodes[i].Config.Image; !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return cutList(names)
}

// folderWarnings are shown with the plan.
func (o *bootstrapOptions) folderWarnings() []string {
	if o.cluster == nil {
		return nil
	}
	out := append([]string{}, o.cluster.warnings...)
	locked := len(o.cluster.nodes) > 0
	for i := range o.cluster.nodes {
		n := &o.cluster.nodes[i]
		locked = locked && len(n.Spec.SSHKeys) == 0
		for _, w := range n.Warnings {
			out = append(out, n.Where+": "+w)
		}
	}
	if locked {
		out = append(out, "no SSH key is declared: nobody but racker may log in to the servers (ssh_keys)")
	}
	return out
}
