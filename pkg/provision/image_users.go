package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// namedUsers is how many nodes are named where more use an image.
const namedUsers = 3

// imageUse is what needs one image.
type imageUse struct {
	runs    []string // IDs
	ordered []string // nodes with an order
	wanted  []string // nodes whose declared config names it
	has     []string // nodes that it is installed on
}

// needed reports whether its removal would break what was ordered or declared.
func (u *imageUse) needed() bool { return len(u.runs)+len(u.ordered)+len(u.wanted) > 0 }

// text names the users, one kind of them an entry.
func (u *imageUse) text() []string {
	out := slices.Clone(u.runs)
	for _, k := range []struct {
		what  string
		nodes []string
	}{{"the order for", u.ordered}, {"the config of", u.wanted}, {"installed on", u.has}} {
		if len(k.nodes) == 0 {
			continue
		}
		slices.SortFunc(k.nodes, strings.Compare)
		names := strings.Join(k.nodes[:min(namedUsers, len(k.nodes))], ", ")
		if more := len(k.nodes) - namedUsers; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, k.what+" "+names)
	}
	return out
}

// ImageUsers names what needs each of the images, by their IDs: runs in progress, orders, declared configs, and nodes that have
// one installed.
func (m *Machine) ImageUsers(ctx context.Context, list []*image.Manifest) (map[string][]string, error) {
	uses, err := m.imageUses(ctx, list)
	out := map[string][]string{}
	for id, u := range uses {
		out[id] = u.text()
	}
	return out, err
}

// RemoveImage calls remove unless a run, an order or a declared config needs the image, or, with unused, a node has it installed;
// no run begins meanwhile. Errors match ErrBusy.
func (m *Machine) RemoveImage(ctx context.Context, man *image.Manifest, unused bool, remove func() error) error {
	m.submits.Lock()
	defer m.submits.Unlock()
	uses, err := m.imageUses(ctx, []*image.Manifest{man})
	if err != nil {
		return err
	}
	if u := uses[man.ID]; u != nil && (unused || u.needed()) {
		if !unused {
			u.has = nil
		}
		return fmt.Errorf("image %s is in use: %s: %w", man.Name, strings.Join(u.text(), "; "), ErrBusy)
	}
	return remove()
}

// imageUses looks through runs, records and declared configs.
func (m *Machine) imageUses(ctx context.Context, list []*image.Manifest) (map[string]*imageUse, error) {
	uses := map[string]*imageUse{}
	note := func(word string, change func(u *imageUse)) {
		for _, man := range list {
			if word == "" || man.ID != word && man.Name != word {
				continue
			}
			if uses[man.ID] == nil {
				uses[man.ID] = &imageUse{}
			}
			change(uses[man.ID])
		}
	}
	for _, r := range m.open() {
		for _, man := range list {
			if r.needs(man.ID) {
				note(man.ID, func(u *imageUse) { u.runs = append(u.runs, r.ID) })
			}
		}
	}
	for mac, name := range m.names() {
		if rec := m.record(mac); rec != nil && rec.Job != nil {
			note(rec.Job.Image, func(u *imageUse) { u.ordered = append(u.ordered, name) })
		}
		if rec := m.record(mac); rec != nil && rec.Install != nil {
			note(rec.Install.Image, func(u *imageUse) { u.has = append(u.has, name) })
		}
		word, err := m.wantedImage(ctx, mac)
		if err != nil {
			return nil, err
		}
		note(word, func(u *imageUse) { u.wanted = append(u.wanted, name) })
	}
	return uses, nil
}

// names gives all nodes that there are records of, by what people call them.
func (m *Machine) names() map[rack.MAC]string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make(map[rack.MAC]string, len(m.nodes))
	for mac := range m.nodes {
		out[mac] = mac.String()
		if n := m.rows.servers[mac]; n != nil {
			out[mac] = n.Name
		}
	}
	return out
}

// wantedImage is the image that the config which was sent last for a node names; empty when there is none.
func (m *Machine) wantedImage(ctx context.Context, mac rack.MAC) (string, error) {
	digest, err := m.wantedOf(ctx, mac)
	if err != nil {
		return "", err
	}
	c, err := m.declared(ctx, mac, digest)
	if err != nil && !errors.Is(err, errNoConfig) {
		return "", err
	}
	if c == nil {
		return "", nil
	}
	return c.Image, nil
}
