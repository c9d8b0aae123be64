package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// inProgress finds a bootstrap that the daemon is at work on. What was given here must be what was ordered then.
func (o *bootstrapOptions) inProgress(ctx context.Context, d provisioner) (v api.RunView, going bool, err error) {
	runs, err := d.Runs(ctx)
	if err != nil {
		return v, false, err
	}
	i := slices.IndexFunc(runs, func(r api.RunView) bool { return r.State == runRunning && r.Request.Provision == o.Provision })
	if i < 0 {
		return v, false, nil
	}
	if v, err = d.Run(ctx, runs[i].ID); err != nil || v.State != runRunning { // it may have ended just now
		return v, false, err
	}
	nodes, err := d.Nodes(ctx, false)
	if err != nil || !ofTheRack(&v.Request, nodes) {
		return v, false, err
	}
	differ, err := o.differ(ctx, d, &v, nodes)
	if err != nil {
		return v, false, err
	}
	if len(differ) > 0 {
		return v, false, withHint(usageError("run %s is in progress, and this orders it otherwise: %s", v.ID, strings.Join(differ, "; ")),
			fmt.Sprintf("racker run wait %s follows it, racker run cancel %s stops it", v.ID, v.ID))
	}
	return v, true, nil
}

// ofTheRack tells a bootstrap from the order to reprovision a single node of several: that is refused by the daemon, which
// names it, where both want the same node.
func ofTheRack(r *api.RunRequest, nodes []api.NodeView) bool {
	servers := 0
	for i := range nodes {
		if !nodes[i].Management && nodes[i].State != stateExcluded {
			servers++
		}
	}
	return len(r.Nodes) != 1 || servers <= 1
}

// differ lists the flags that were given and that the run in progress has otherwise.
func (o *bootstrapOptions) differ(ctx context.Context, d provisioner, v *api.RunView, nodes []api.NodeView) ([]string, error) {
	var out []string
	there, here := &v.Request, &o.request
	compare := func(flag string, same bool, has any) {
		if o.Given(flag) && !same {
			out = append(out, fmt.Sprintf("its --%s is %v", flag, has))
		}
	}
	compare("onfailure", there.OnFailure == here.OnFailure, there.OnFailure)
	compare("retries", there.Retries == here.Retries, there.Retries)
	compare("canary", there.Canary == here.Canary, canaryText(there.Canary))
	compare("no-canary", there.Canary == here.Canary, canaryText(there.Canary))
	compare("stop-at", there.StopAt == here.StopAt, orNone(there.StopAt))
	compare("not-after", sameLimit(there.NotAfter, here.NotAfter, o.relative), orNone(limitText(there.NotAfter)))
	compare("min-ready", there.MinReady == here.MinReady, there.MinReady)
	compare("power-cycle-running", there.PowerCycleRunning == here.PowerCycleRunning, there.PowerCycleRunning)
	compare("ssh-key", sameWords(there.SSHKeys, here.SSHKeys), "another")
	same, err := o.sameImage(ctx, d, v.Image)
	if err != nil {
		return nil, err
	}
	compare("image", same, v.Image)
	compare("exclude", sameNodes(nodes, there.Exclude, here.Exclude), orNone(strings.Join(there.Exclude, " ")))
	return out, nil
}

// sameImage reports whether the image that was given is the one of the run. A file is not sent for that: where the daemon
// does not know its digest, as that of a compressed file, its name decides.
func (o *bootstrapOptions) sameImage(ctx context.Context, d imageKeeper, id string) (bool, error) {
	if !isFile(o.Image) {
		held, err := o.heldImage(ctx, d)
		return held == id, err
	}
	images, err := d.Images(ctx)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(images, func(img api.ImageView) bool { return img.ID == id && img.Name == imageName(o.Image) }) {
		return true, nil
	}
	s := imageSender{io: o.IO, images: d, line: liveLine{io: o.IO}}
	img, err := s.held(ctx, o.Image)
	return img.ID == id, err
}

func canaryText(canary string) string {
	if canary == api.CanaryAuto {
		return "not given"
	}
	return canary
}

func orNone(s string) string {
	if s == "" {
		return "not given"
	}
	return s
}

func limitText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// sameLimit compares times; a duration said again means the time that it meant first.
func sameLimit(there, here time.Time, relative bool) bool {
	if relative {
		return !there.IsZero()
	}
	return there.Equal(here)
}

func sameWords(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// sameNodes reports whether two lists of words name the same nodes.
func sameNodes(nodes []api.NodeView, a, b []string) bool {
	macs := func(words []string) []string {
		var out []string
		for _, w := range words {
			if i := slices.IndexFunc(nodes, func(n api.NodeView) bool { return answersTo(&n, w) }); i >= 0 {
				w = nodes[i].PrimaryMAC
			}
			out = append(out, w)
		}
		return out
	}
	return sameWords(macs(a), macs(b))
}
