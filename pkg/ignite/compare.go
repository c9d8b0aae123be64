package ignite

import (
	"fmt"
	"slices"

	"github.com/racker-project/racker/pkg/api"
)

// Comparison says what takes a node from one config to another.
type Comparison struct {
	// Cost is the highest of the changes' costs, one of the Cost words of api.
	Cost string
	// Changes are in the order in which an operator reads them: what costs most first.
	Changes []Change
	// Actions, in their order, make all changes that cost no more than api.CostReboot. They are idempotent. Those that only
	// make a service see its new files have Restarts set; where the node is rebooted they are not needed.
	Actions []Action
	// Erases names what Ignition erases when it runs again, beside ROOT: file systems and partition tables that the new
	// config wipes. It matters for api.CostWipeRoot and api.CostReinstall.
	Erases []string
}

// Change is one difference between two configs.
type Change struct {
	What string // "file /etc/hosts", "unit foo.service", "SSH keys of core"
	Cost string // one of the Cost words of api
	Why  string // what makes it cost that, or what is done
}

// costs are the words in the order of their price.
func costs() []string {
	return []string{api.CostNothing, api.CostLive, api.CostReboot, api.CostWipeRoot, api.CostReinstall}
}

// Dearer reports whether cost is more than limit. A word that is none of api's Cost words is dearer than all.
func Dearer(cost, limit string) bool {
	at := slices.Index(costs(), cost)
	return at < 0 || at > slices.Index(costs(), limit)
}

// Compare finds the cheapest cost that is sufficient to turn a node with the config from into one that an install with the
// config to would make, and what has to be done. A nil from stands for a node that racker installed without a config: only
// a fresh start makes sure that nothing else is on it. The error is a *ConfigError, of either config.
func Compare(from, to *api.NodeConfig) (Comparison, error) {
	c := &comparer{}
	if from == nil {
		from = &api.NodeConfig{HostName: to.HostName, Image: to.Image, Disk: to.Disk, Labels: to.Labels}
		c.change("everything", api.CostWipeRoot, "the node was installed without a config of its own")
	}
	before, err := declare(from)
	if err != nil {
		return Comparison{}, err
	}
	after, err := declare(to)
	if err != nil {
		return Comparison{}, err
	}
	c.before, c.after = before, after
	c.node(from, to)
	c.storage()
	c.passwd()
	c.directories()
	c.files()
	c.links()
	c.units()
	c.ignition()
	return c.done(), nil
}

// comparer collects what two configs differ in.
type comparer struct {
	before, after *declared
	out           Comparison
	restarts      []string // units, in the order in which they were found
	reloads       []ActionKind
	early         []Action // units that stop before their files go
	late          []Action // units that start once their files are there
}

func (c *comparer) change(what, cost, why string) {
	c.out.Changes = append(c.out.Changes, Change{What: what, Cost: cost, Why: why})
}

func (c *comparer) act(a Action) { c.out.Actions = append(c.out.Actions, a) }

// restart has a unit restarted, once, after everything is in its place.
func (c *comparer) restart(unit string) {
	if !slices.Contains(c.restarts, unit) {
		c.restarts = append(c.restarts, unit)
	}
}

// reload has something read its files again, once.
func (c *comparer) reload(kind ActionKind) {
	if !slices.Contains(c.reloads, kind) {
		c.reloads = append(c.reloads, kind)
	}
}

// done puts the parts into their order.
func (c *comparer) done() Comparison {
	out := c.out
	out.Cost = api.CostNothing
	for _, ch := range out.Changes {
		if Dearer(ch.Cost, out.Cost) {
			out.Cost = ch.Cost
		}
	}
	sortChanges(out.Changes)
	out.Actions = slices.Concat(c.early, out.Actions)
	for _, kind := range []ActionKind{ReloadUnits, ApplySysctls, LoadModules, CheckSSH} {
		if slices.Contains(c.reloads, kind) {
			out.Actions = append(out.Actions, Action{Kind: kind, Restarts: kind != CheckSSH})
		}
	}
	// Before new units start: those that run are restarted, and no other.
	for _, unit := range c.restarts {
		out.Actions = append(out.Actions, Action{Kind: RestartUnit, Path: unit, Restarts: true})
	}
	out.Actions = append(out.Actions, c.late...)
	// The network last: the connection may stand on it.
	if slices.Contains(c.reloads, ReloadNetwork) {
		out.Actions = append(out.Actions, Action{Kind: ReloadNetwork, Restarts: true})
	}
	out.Erases = c.after.erases()
	return out
}

// node compares what is no part of an Ignition config.
func (c *comparer) node(from, to *api.NodeConfig) {
	if from.Image != to.Image && to.Image != "" {
		c.change("image", api.CostReinstall, fmt.Sprintf("from %s to %s", orNone(from.Image), to.Image))
	}
	if !sameDisk(from.Disk, to.Disk) {
		c.change("install disk", api.CostReinstall, "another rule may choose another disk")
	}
	if !slices.Equal(from.KernelArgs, to.KernelArgs) {
		c.change("kernel arguments", api.CostReboot, "the boot loader's file is written, and read at the next boot")
	}
	if from.Console != to.Console {
		c.change("console", api.CostReboot, "the boot loader's file is written, and read at the next boot")
	}
	if from.Wipe != to.Wipe || from.WipeOldOS != to.WipeOldOS {
		c.change("wipe", api.CostNothing, "it counts at the next install")
	}
	for _, name := range keysOf(from.Labels, to.Labels) {
		if from.Labels[name] != to.Labels[name] {
			c.change("label "+name, api.CostNothing, "nothing on the node depends on it")
		}
	}
}

func sortChanges(changes []Change) {
	slices.SortStableFunc(changes, func(a, b Change) int {
		return slices.Index(costs(), b.Cost) - slices.Index(costs(), a.Cost)
	})
}

// Kernel reports whether the kernel's arguments or its console differ: their file is not an Action, since where it is depends
// on the image.
func (c Comparison) Kernel() bool {
	return slices.ContainsFunc(c.Changes, func(ch Change) bool { return ch.What == "kernel arguments" || ch.What == "console" })
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// sameDisk compares disk rules without what the daemon remembers.
func sameDisk(a, b api.DiskRule) bool {
	a.Remembered, b.Remembered = "", ""
	return sameJSON(a, b)
}
