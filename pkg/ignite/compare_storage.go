package ignite

import (
	"bytes"
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_6/types"

	"github.com/racker-project/racker/pkg/api"
)

// storage compares what Ignition makes of disks at a first boot. It makes what is new there, and what it is told to wipe; any
// other change it refuses, or leaves as it is, so that only a disk that is written anew comes out as declared.
func (c *comparer) storage() {
	before, after := c.before.config.Storage, c.after.config.Storage
	c.disks(before.Disks, after.Disks)
	compareDevices(c, "RAID ", before.Raid, after.Raid, func(r types.Raid) string { return r.Name }, func(types.Raid) bool { return false })
	compareDevices(c, "LUKS ", before.Luks, after.Luks, func(l types.Luks) string { return l.Name },
		func(l types.Luks) bool { return deref(l.WipeVolume) })
	compareDevices(c, "file system on ", before.Filesystems, after.Filesystems, func(f types.Filesystem) string { return f.Device },
		func(f types.Filesystem) bool { return deref(f.WipeFilesystem) })
}

const (
	whyNew   = "Ignition makes it when it runs again"
	whyWiped = "Ignition wipes it and makes it anew when it runs again"
	whyKept  = "Ignition changes nothing that is there without being told to wipe it"
)

// compareDevices compares lists of what is on disks; wiped reports whether Ignition may replace what is there.
func compareDevices[T any](c *comparer, noun string, from, to []T, key func(T) string, wiped func(T) bool) {
	before, after := byKey(from, key), byKey(to, key)
	for _, name := range keysOf(before, after) {
		old, had := before[name]
		now, has := after[name]
		switch {
		case had && has && sameJSON(old, now):
		case !had:
			c.change(noun+name, api.CostWipeRoot, "new; "+whyNew)
		case has && wiped(now):
			c.change(noun+name, api.CostWipeRoot, "changed; "+whyWiped)
		case has:
			c.change(noun+name, api.CostReinstall, "changed; "+whyKept)
		default:
			c.change(noun+name, api.CostReinstall, "no longer declared; "+whyKept)
		}
	}
}

func (c *comparer) disks(from, to []types.Disk) {
	name := func(d types.Disk) string { return d.Device }
	before, after := byKey(from, name), byKey(to, name)
	for _, device := range keysOf(before, after) {
		old, had := before[device]
		now, has := after[device]
		switch {
		case had && has && sameJSON(old, now):
		case !has:
			c.change("partitions of "+device, api.CostReinstall, "no longer declared; "+whyKept)
		case deref(now.WipeTable):
			c.change("partitions of "+device, api.CostWipeRoot, whyWiped)
		case !had:
			c.change("partitions of "+device, api.CostWipeRoot, "new; "+whyNew)
		default:
			c.partitions(device, old, now)
		}
	}
}

func (c *comparer) partitions(device string, from, to types.Disk) {
	key := func(p types.Partition) string {
		if p.Number != 0 {
			return strconv.Itoa(p.Number)
		}
		return deref(p.Label)
	}
	before, after := byKey(from.Partitions, key), byKey(to.Partitions, key)
	for _, name := range keysOf(before, after) {
		old, had := before[name]
		now, has := after[name]
		what := "partition " + name + " of " + device
		switch {
		case had && has && sameJSON(old, now):
		case !has:
			c.change(what, api.CostReinstall, "no longer declared; "+whyKept)
		case !had:
			c.change(what, api.CostWipeRoot, "new; "+whyNew)
		case deref(now.WipePartitionEntry), now.ShouldExist != nil && !*now.ShouldExist && deref(now.WipePartitionEntry):
			c.change(what, api.CostWipeRoot, "changed; "+whyWiped)
		case deref(now.Resize):
			c.change(what, api.CostWipeRoot, "changed; Ignition resizes it when it runs again")
		default:
			c.change(what, api.CostReinstall, "changed; "+whyKept)
		}
	}
}

// erases names what Ignition erases when it runs.
func (d *declared) erases() []string {
	var out []string
	s := d.config.Storage
	for _, disk := range s.Disks {
		if deref(disk.WipeTable) {
			out = append(out, "all of "+disk.Device)
			continue
		}
		for _, p := range disk.Partitions {
			if deref(p.WipePartitionEntry) {
				out = append(out, "partition "+strconv.Itoa(p.Number)+" "+deref(p.Label)+" of "+disk.Device)
			}
		}
	}
	for _, f := range s.Filesystems {
		if deref(f.WipeFilesystem) {
			out = append(out, "the file system on "+f.Device)
		}
	}
	for _, l := range s.Luks {
		if deref(l.WipeVolume) {
			out = append(out, "the encrypted volume on "+deref(l.Device))
		}
	}
	return out
}

// links compares links. What reads through a link reads as through a file.
func (c *comparer) links() {
	key := func(l types.Link) string { return l.Path }
	before, after := byKey(c.before.config.Storage.Links, key), byKey(c.after.config.Storage.Links, key)
	for _, name := range keysOf(before, after) {
		from, had := before[name]
		to, has := after[name]
		if had && has && deref(from.Target) == deref(to.Target) && deref(from.Hard) == deref(to.Hard) && owner(from.Node) == owner(to.Node) {
			continue
		}
		cost, why := api.CostLive, ""
		if unit := linkedUnit(name); unit != "" {
			c.reload(ReloadUnits)
			why = "systemd reads its units again"
		} else {
			cost, why = c.price(name, &file{}, &file{})
		}
		switch {
		case !has:
			c.change("link "+name, cost, "removed; "+why)
			c.act(Action{Kind: RemoveFile, Path: name})
		default:
			c.change("link "+name, cost, map[bool]string{true: "changed; ", false: "new; "}[had]+why)
			c.act(Action{Kind: MakeLink, Path: name, Target: deref(to.Target), Hard: deref(to.Hard), Owner: owner(to.Node)})
		}
	}
}

// linkedUnit gives the unit that a link below /etc/systemd/system stands for.
func linkedUnit(name string) string {
	rest, ok := strings.CutPrefix(name, unitDir)
	if !ok {
		return ""
	}
	return path.Base(rest)
}

// ignition compares what is left: it counts when Ignition runs, and only then.
func (c *comparer) ignition() {
	from, to := c.before.config, c.after.config
	if !sameJSON(from.KernelArguments, to.KernelArguments) {
		c.change("kernel arguments of Ignition", api.CostWipeRoot, "Ignition sets them when it runs again")
	}
	if !sameJSON(from.Ignition.Config, to.Ignition.Config) {
		c.change("included configs", api.CostWipeRoot, "only Ignition fetches them")
	}
	if !sameJSON(from.Ignition.Proxy, to.Ignition.Proxy) || !sameJSON(from.Ignition.Security, to.Ignition.Security) ||
		!sameJSON(from.Ignition.Timeouts, to.Ignition.Timeouts) {
		c.change("how Ignition fetches", api.CostNothing, "it counts when Ignition runs the next time")
	}
}

// sameJSON compares values of the config by their JSON: unset and empty are one.
func sameJSON(a, b any) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
