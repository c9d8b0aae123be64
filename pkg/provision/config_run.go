package provision

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// installs reports whether a run of this kind writes disks.
func installs(provision string) bool {
	return provision == provisionImage || provision == provisionFlatcar
}

// imageOf gives the ID of the image that the run installs on a node.
func (r *runRecord) imageOf(mac rack.MAC) string {
	if id := r.Images[mac]; id != "" {
		return id
	}
	return r.Image
}

// specOf is the digest of what the run makes of a node.
func (r *runRecord) specOf(mac rack.MAC) string {
	return spec(r.imageOf(mac), r.Request.SSHKeys, r.Configs[mac])
}

// needs reports whether the run installs an image.
func (r *runRecord) needs(image string) bool {
	for _, id := range r.Images {
		if id == image {
			return true
		}
	}
	return r.Image == image
}

// configure binds a run that is planned to the declared configs which its request names. Each is rendered once, with a token
// that opens nothing, so that a config which no node could boot with stops the run before anything is touched.
func (m *Machine) configure(ctx context.Context, r *runRecord) error {
	if !installs(r.Request.Provision) {
		return nil
	}
	digests, err := parseConfigs(r.Request.Configs)
	if err != nil {
		return err
	}
	r.Configs, r.Images = map[rack.MAC]string{}, map[rack.MAC]string{}
	var errs []error
	for _, mac := range r.Nodes {
		n, _ := m.node(mac)
		if n == nil {
			continue // its row went this moment; the run says so
		}
		digest := digests[mac]
		if digest == "" && r.Request.Provision == provisionFlatcar {
			errs = append(errs, fmt.Errorf("%s: no config was named for it", n.Where()))
			continue
		}
		if digest == "" {
			continue
		}
		r.Configs[mac] = digest
		if err := m.imageFor(ctx, r, n, digest); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.Where(), err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", err, ErrRequest)
	}
	return m.tryRender(ctx, r)
}

// saneConfigs finds configs where none can be.
func saneConfigs(req api.RunRequest) error {
	switch {
	case len(req.Configs) > 0 && !installs(req.Provision):
		return fmt.Errorf("configs: nothing is installed with provision %q", req.Provision)
	case len(req.SSHKeys) > 0 && req.Provision == provisionFlatcar:
		return errors.New("ssh_keys: those of a flatcar run are in its configs")
	}
	return nil
}

func parseConfigs(configs map[string]string) (map[rack.MAC]string, error) {
	out := make(map[rack.MAC]string, len(configs))
	for text, digest := range configs {
		mac, err := rack.ParseMAC(text)
		if err != nil {
			return nil, fmt.Errorf("configs: %w: %w", err, ErrRequest)
		}
		out[mac] = digest
	}
	return out, nil
}

// imageFor takes the image that a node's config wants, where it wants another than the run's.
func (m *Machine) imageFor(ctx context.Context, r *runRecord, n *rack.Node, digest string) error {
	c, err := m.declared(ctx, n.Primary, digest)
	if err != nil || c.Image == "" {
		return err
	}
	man, err := m.needs.Images.Get(ctx, c.Image)
	if err != nil {
		return err
	}
	if man.ID != r.Image {
		r.Images[n.Primary] = man.ID
	}
	return m.kind(ctx, r, man)
}

// tryRender renders all declared configs of a run, and names every one that cannot be.
func (m *Machine) tryRender(ctx context.Context, r *runRecord) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	errs := make([]error, len(r.Nodes))
	for i, mac := range r.Nodes {
		n, _ := m.node(mac)
		if n == nil || r.Configs[mac] == "" {
			continue
		}
		g.Go(func() error {
			man, err := m.needs.Images.Get(ctx, r.imageOf(mac))
			if err == nil {
				_, err = m.ignition(ctx, n, &Job{Config: r.Configs[mac], SSHKeys: r.Request.SSHKeys, Callback: "none"}, man)
			}
			if err != nil {
				errs[i] = fmt.Errorf("config of %s: %w: %w", n.Where(), err, ErrRequest)
			}
			return nil
		})
	}
	_ = g.Wait() // each has its own place
	return errors.Join(errs...)
}

// ignition renders the config that the node's agent places.
func (m *Machine) ignition(ctx context.Context, n *rack.Node, job *Job, man *image.Manifest) ([]byte, error) {
	profile, err := m.needs.Images.Profile(ctx, man)
	if err != nil {
		return nil, err
	}
	c, err := m.declared(ctx, n.Primary, job.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Where(), err)
	}
	return m.render(ctx, n, job, profile, man, c)
}

// render makes the Ignition config of a node from what is declared of it.
func (m *Machine) render(
	ctx context.Context, n *rack.Node, job *Job, profile *image.Profile, man *image.Manifest, c *api.NodeConfig,
) ([]byte, error) {
	if err := suits(profile, man, c); err != nil {
		return nil, err
	}
	host, err := m.keys.host(ctx, n.Primary)
	if err != nil {
		return nil, err
	}
	own, err := m.keys.own(ctx)
	if err != nil {
		return nil, err
	}
	var names []byte
	if c != nil {
		names, _ = m.clusterHosts()
	}
	return m.needs.Render(ctx, NodeConfig{
		Names:   names,
		HostKey: []byte(host.PEM), RackKey: own.given().line(),
		HostName: n.Name, SSHKeys: job.SSHKeys, InternalMAC: n.Primary.String(), CAPEM: m.cfg.CAPEM,
		CallbackURL: m.callbackURL(n), CallbackToken: job.Callback, Profile: profile, Declared: c,
	})
}

// configAgain names the config that a node gets when it is installed once more: what is on it, else what was sent last.
func (m *Machine) configAgain(ctx context.Context, mac rack.MAC) (map[string]string, error) {
	digest := ""
	if rec := m.record(mac); rec != nil && rec.Install != nil {
		digest = rec.Install.Config
	}
	if digest == "" {
		var err error
		if digest, err = m.wantedOf(ctx, mac); err != nil || digest == "" {
			return nil, err
		}
	}
	return map[string]string{mac.String(): digest}, nil
}

// applied notes that a declared config is on the node by an apply, so that a later reinstall gives the same node.
func (m *Machine) applied(ctx context.Context, mac rack.MAC, digest string) error {
	if _, err := m.declared(ctx, mac, digest); err != nil {
		return fmt.Errorf("%s: %w", mac, err)
	}
	return m.update(ctx, mac, func(r *Record) error {
		if r.Install == nil || !r.Install.Complete || r.Job != nil {
			return errStale
		}
		r.Install.Config, r.Install.ConfigAt = digest, time.Now().UTC()
		r.Install.Spec = spec(r.Install.Image, nil, digest)
		return nil
	})
}
