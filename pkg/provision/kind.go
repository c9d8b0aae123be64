package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// plain reports whether the run's image for a node takes no Ignition.
func (r *runRecord) plain(mac rack.MAC) bool { return slices.Contains(r.Plain, r.imageOf(mac)) }

// kind notes in a run that is planned what kind of image one of its images is.
func (m *Machine) kind(ctx context.Context, r *runRecord, man *image.Manifest) error {
	profile, err := m.needs.Images.Profile(ctx, man)
	if err != nil {
		return err
	}
	if !profile.TakesIgnition() && !slices.Contains(r.Plain, man.ID) {
		r.Plain = append(r.Plain, man.ID)
	}
	return nil
}

// suits says why an image cannot be what is declared of a node.
func suits(p *image.Profile, man *image.Manifest, c *api.NodeConfig) error {
	if c == nil {
		return nil
	}
	if !p.TakesIgnition() {
		return fmt.Errorf("the image %s takes no config, since its profile is %s", man.Name, p.Name)
	}
	if _, err := p.KernelConfig(c.Console, c.KernelArgs); err != nil {
		return fmt.Errorf("the image %s: %w", man.Name, err)
	}
	return nil
}

// foreign says why the image of the node's order cannot run on the machine; "" when nothing is known against it.
func (m *Machine) foreign(ctx context.Context, rec *Record, id *api.Identity) string {
	if rec.Job == nil || rec.Job.Kind != api.JobInstall || id.Arch == "" {
		return ""
	}
	man, err := m.needs.Images.Get(ctx, rec.Job.Image)
	if err != nil || man.Arch == "" || man.Arch == id.Arch {
		return "" // what is wrong with the image is said when the job is made
	}
	return fmt.Sprintf("the image %s is for %s, and the machine is %s", man.Name, man.Arch, id.Arch)
}

// kernelConfig is the text of the image's file of kernel arguments, as the node's declared config wants it.
func (m *Machine) kernelConfig(ctx context.Context, n *rack.Node, job *Job, man *image.Manifest) ([]byte, error) {
	profile, err := m.needs.Images.Profile(ctx, man)
	if err != nil {
		return nil, err
	}
	c, err := m.declared(ctx, n.Primary, job.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Where(), err)
	}
	if c == nil {
		c = &api.NodeConfig{}
	}
	return profile.KernelConfig(c.Console, c.KernelArgs)
}
