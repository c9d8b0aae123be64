package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// wantedKeys and a MAC make the key of the digest of the config that was sent last.
const wantedKeys = configKeys + "wanted/"

// keptConfigs is how many configs of a node that nothing needs any more are kept, the newest.
const keptConfigs = 4

// maxConfig bounds a config as JSON, in bytes: a value of the store is below 1 MiB.
const maxConfig = 900 << 10

// wanted is the value below wantedKeys. What other nodes know this one by is beside the config, so that all names are had
// without reading all configs.
type wanted struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	Name   nodeName  `json:"name"`
}

func configKey(mac rack.MAC, name string) string { return configKeys + mac.String() + "/" + name }

// PutConfig keeps what the cluster's folder declares of a node. Nothing happens to the node: a run, or an apply, names the
// digest that the answer has. Errors match ErrRequest or ErrNoNode.
func (m *Machine) PutConfig(ctx context.Context, word string, c api.NodeConfig) (api.ConfigView, error) {
	n, err := m.server(word)
	if err != nil {
		return api.ConfigView{}, err
	}
	c.Disk.Remembered = ""
	if err := saneConfig(&c); err != nil {
		return api.ConfigView{}, fmt.Errorf("config of %s: %w: %w", n.Where(), err, ErrRequest)
	}
	digest, err := c.Digest()
	if err != nil {
		return api.ConfigView{}, err
	}
	m.submits.Lock() // a run that names an older one is stored before that is forgotten, or not at all
	defer m.submits.Unlock()
	had, err := m.wantedOf(ctx, n.Primary)
	if err != nil {
		return api.ConfigView{}, err
	}
	op, err := put(configKey(n.Primary, digest), c)
	if err != nil {
		return api.ConfigView{}, err
	}
	forget, err := m.unneeded(ctx, n.Primary, digest)
	if err != nil {
		return api.ConfigView{}, err
	}
	if err := m.save(ctx, wantedKeys+n.Primary.String(), wanted{digest, time.Now().UTC(), nameOf(&c)}, append(forget, op)...); err != nil {
		return api.ConfigView{}, fmt.Errorf("store the config of %s: %w", n.Where(), err)
	}
	if version := c.Labels[labelVersion]; version != "" {
		if err := m.wantOS(ctx, n.Primary, version); err != nil {
			return api.ConfigView{}, err
		}
	}
	m.hostNames.set(n.Primary, nameOf(&c))
	if had != digest {
		m.note(n.Primary, event.Event{Kind: event.RunChange, Message: "its config was sent: " + digest[:12]})
	}
	return m.configView(ctx, n)
}

// saneConfig finds what no node could have. Whether Ignition takes it is seen when a run names it, since that has the image.
func saneConfig(c *api.NodeConfig) error {
	var errs []error
	if c.HostName == "" || strings.ContainsAny(c.HostName, " \t\r\n/") {
		errs = append(errs, fmt.Errorf("host name %q", c.HostName))
	}
	if wipes := []string{"", api.WipeInstallDisk, api.WipeAll, api.WipeNone}; !slices.Contains(wipes, c.Wipe) {
		errs = append(errs, fmt.Errorf("wipe %q: want %s", c.Wipe, strings.Join(wipes[1:], ", ")))
	}
	for _, arg := range append(slices.Clone(c.KernelArgs), c.Console) {
		if strings.ContainsFunc(arg, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'$`\\", r) }) {
			errs = append(errs, fmt.Errorf("kernel argument %q: want no blanks, quotes, $ or \\", arg))
		}
	}
	for i, s := range c.Butane {
		if s.Name == "" {
			errs = append(errs, fmt.Errorf("config %d of its Butane has no name", i+1))
		}
	}
	if b, err := json.Marshal(c); err != nil || len(b) > maxConfig {
		errs = append(errs, fmt.Errorf("it has %d bytes, of %d at most", len(b), maxConfig))
	}
	return errors.Join(errs...)
}

// Config gives what is declared of a node, and what of that is on it. Errors match ErrRequest or ErrNoNode.
func (m *Machine) Config(ctx context.Context, word string) (api.ConfigView, error) {
	n, err := m.server(word)
	if err != nil {
		return api.ConfigView{}, err
	}
	return m.configView(ctx, n)
}

func (m *Machine) configView(ctx context.Context, n *rack.Node) (api.ConfigView, error) {
	var v api.ConfigView
	var err error
	if v.WantedDigest, err = m.wantedOf(ctx, n.Primary); err != nil {
		return v, err
	}
	if v.Wanted, err = m.declared(ctx, n.Primary, v.WantedDigest); err != nil {
		return v, err
	}
	key, made, err := m.keys.hostIfMade(ctx, n.Primary)
	if err != nil {
		return v, err
	}
	if made {
		v.HostKey = key.Public
	}
	rec := m.record(n.Primary)
	if rec == nil || rec.Install == nil || !rec.Install.Complete {
		return v, nil
	}
	if rec.Install.Renew != nil {
		v.Staged = rec.Install.Renew.Digest
	}
	v.Unproved = rec.Install.Unproved
	if rec.Install.Config == "" {
		return v, nil
	}
	v.AppliedDigest, v.AppliedAt = rec.Install.Config, rec.Install.At
	if !rec.Install.ConfigAt.IsZero() {
		v.AppliedAt = rec.Install.ConfigAt
	}
	for _, digest := range rec.Install.Attempts {
		c, err := m.declared(ctx, n.Primary, digest)
		if err != nil {
			return v, err
		}
		v.Attempted = append(v.Attempted, *c)
	}
	v.Applied, err = m.declared(ctx, n.Primary, v.AppliedDigest)
	return v, err
}

// wantedOf gives the digest of the config that was sent last; empty when none was.
func (m *Machine) wantedOf(ctx context.Context, mac rack.MAC) (string, error) {
	kv, err := m.store.Get(ctx, wantedKeys+mac.String())
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	var w wanted
	if err == nil {
		err = json.Unmarshal(kv.Value, &w)
	}
	if err != nil {
		return "", fmt.Errorf("load the wanted config of %s: %w", mac, err)
	}
	return w.Digest, nil
}

// errNoConfig is matched when a digest names no config of the node.
var errNoConfig = errors.New("no such config was sent for it")

// declared loads a node's config; nil for the empty digest. The error matches errNoConfig for one that is not there.
func (m *Machine) declared(ctx context.Context, mac rack.MAC, digest string) (*api.NodeConfig, error) {
	if digest == "" {
		return nil, nil
	}
	kv, err := m.store.Get(ctx, configKey(mac, digest))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%.12s: %w", digest, errNoConfig)
	}
	c := &api.NodeConfig{}
	if err == nil {
		err = json.Unmarshal(kv.Value, c)
	}
	if err != nil {
		return nil, fmt.Errorf("load the config of %s: %w", mac, err)
	}
	return c, nil
}

// unneeded gives the deletes of the node's configs that nothing needs, but for the newest few: what is on the node, armed,
// or named by a run in progress stays. The caller holds the lock of submits.
func (m *Machine) unneeded(ctx context.Context, mac rack.MAC, wanted string) ([]store.Op, error) {
	kvs, err := m.store.List(ctx, configKey(mac, ""))
	if err != nil {
		return nil, fmt.Errorf("list the configs of %s: %w", mac, err)
	}
	needed := map[string]bool{wanted: true}
	if rec := m.record(mac); rec != nil {
		if rec.Install != nil {
			needed[rec.Install.Config] = true
			for _, digest := range rec.Install.Attempts {
				needed[digest] = true
			}
			if rec.Install.Renew != nil {
				needed[rec.Install.Renew.Digest] = true
			}
		}
		if rec.Job != nil {
			needed[rec.Job.Config] = true
		}
	}
	for _, r := range m.open() {
		needed[r.Configs[mac]] = true
	}
	kvs = slices.DeleteFunc(kvs, func(kv store.KV) bool { return needed[strings.TrimPrefix(kv.Key, configKey(mac, ""))] })
	slices.SortFunc(kvs, func(a, b store.KV) int { return cmp.Compare(b.Rev, a.Rev) })
	var ops []store.Op
	for _, kv := range kvs[min(keptConfigs, len(kvs)):] {
		ops = append(ops, store.Delete(kv.Key))
	}
	return ops, nil
}

// moveConfigs gives the writes that take a node's configs over to its new primary MAC.
func (m *Machine) moveConfigs(ctx context.Context, from, to rack.MAC) ([]store.Op, error) {
	kvs, err := m.store.List(ctx, configKey(from, ""))
	if err != nil {
		return nil, fmt.Errorf("list the configs of %s: %w", from, err)
	}
	var ops []store.Op
	for _, kv := range kvs {
		ops = append(ops, store.Delete(kv.Key), store.Put(configKey(to, strings.TrimPrefix(kv.Key, configKey(from, ""))), kv.Value))
	}
	kv, err := m.store.Get(ctx, wantedKeys+from.String())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ops, nil
	case err != nil:
		return nil, fmt.Errorf("load the wanted config of %s: %w", from, err)
	}
	return append(ops, store.Delete(kv.Key), store.Put(wantedKeys+to.String(), kv.Value)), nil
}
