package ignite

import (
	"path"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_6/types"

	"github.com/racker-project/racker/pkg/api"
)

const unitDir = "/etc/systemd/system/"

// units compares systemd's units. Their files are written, and systemd does the rest.
func (c *comparer) units() {
	for _, name := range keysOf(c.before.units, c.after.units) {
		from, had := c.before.units[name]
		to, has := c.after.units[name]
		if had && has && sameJSON(from, to) {
			continue
		}
		cost, why := c.unit(name, from, to, had, has)
		c.change("unit "+name, cost, why)
	}
}

// unit has a unit brought from one form to the other; had and has tell which of them there are.
func (c *comparer) unit(name string, from, to types.Unit, had, has bool) (cost, why string) {
	c.reload(ReloadUnits)
	if !has {
		return c.unitGoes(name, from)
	}
	var did []string
	written := c.unitContents(name, from, to)
	if written {
		did = append(did, map[bool]string{true: "changed", false: "new"}[had])
	}
	did = append(did, c.unitMask(name, from, to)...)
	if deref(to.Mask) {
		return api.CostLive, strings.Join(did, ", ")
	}
	did = append(did, c.unitEnabled(name, from, to)...)
	switch {
	case len(did) == 0:
		return api.CostNothing, "says the same in other words"
	case !written || to.Enabled != nil && !*to.Enabled:
	case neverRestarted(name):
		return api.CostReboot, strings.Join(did, ", ") + "; the system does not survive its restart"
	case restartable(name):
		c.restart(name)
		did = append(did, "restarted if it runs")
	}
	return api.CostLive, strings.Join(did, ", ")
}

func (c *comparer) unitMask(name string, from, to types.Unit) []string {
	switch masked, mask := deref(from.Mask), deref(to.Mask); {
	case mask && !masked:
		c.late = append(c.late, Action{Kind: MaskUnit, Path: name})
		return []string{"masked"}
	case masked && !mask:
		c.late = append(c.late, Action{Kind: UnmaskUnit, Path: name})
		return []string{"unmasked"}
	}
	return nil
}

func (c *comparer) unitEnabled(name string, from, to types.Unit) []string {
	switch {
	case to.Enabled == nil && from.Enabled != nil:
		c.late = append(c.late, Action{Kind: ForgetUnit, Path: name})
		return []string{"enabled or not as the image has it"}
	case deref(to.Enabled) && (!deref(from.Enabled) || deref(from.Mask)):
		c.late = append(c.late, Action{Kind: EnableUnit, Path: name}, Action{Kind: StartUnit, Path: name, Restarts: true})
		return []string{"enabled and started"}
	case to.Enabled != nil && !*to.Enabled && (from.Enabled == nil || *from.Enabled):
		c.early = append(c.early, Action{Kind: DisableUnit, Path: name})
		return []string{"stopped and disabled"}
	case deref(to.Enabled) && installs(name, from) != installs(name, to):
		c.late = append(c.late, Action{Kind: ReenableUnit, Path: name})
		return []string{"enabled anew"}
	}
	return nil
}

// installs gives the settings of the [Install] sections of a unit's files: enabling it makes links of them, which stay when
// they change.
func installs(name string, u types.Unit) string {
	var out []string
	files := unitFiles(name, u)
	for _, at := range keysOf(files, nil) {
		section := ""
		for _, line := range wordsOf([]byte(files[at])) {
			if strings.HasPrefix(line, "[") {
				section = line
			} else if section == "[Install]" {
				out = append(out, line)
			}
		}
	}
	return strings.Join(out, "\n")
}

// restartable reports whether restarting a unit means anything.
func restartable(unit string) bool { return path.Ext(unit) != ".target" && path.Ext(unit) != ".slice" }

// unitContents has a unit's file and drop-ins written or removed, and reports whether any differs.
func (c *comparer) unitContents(name string, from, to types.Unit) bool {
	changed := false
	before, after := unitFiles(name, from), unitFiles(name, to)
	for _, at := range keysOf(before, after) {
		old, had := before[at]
		now, has := after[at]
		switch {
		case had && has && old == now:
			continue
		case has:
			c.act(Action{Kind: WriteFile, Path: at, Content: []byte(now), Mode: defaultFileMode, Owner: "0:0"})
		default:
			c.act(Action{Kind: RemoveFile, Path: at})
		}
		changed = true
	}
	return changed
}

// unitFiles gives the files of a unit by their path.
func unitFiles(name string, u types.Unit) map[string]string {
	out := map[string]string{}
	if u.Contents != nil && *u.Contents != "" {
		out[unitDir+name] = *u.Contents
	}
	for _, d := range u.Dropins {
		if d.Contents != nil && *d.Contents != "" {
			out[unitDir+name+".d/"+d.Name] = *d.Contents
		}
	}
	return out
}

// unitGoes has what a config said of a unit taken back.
func (c *comparer) unitGoes(name string, from types.Unit) (cost, why string) {
	_, whole := unitFiles(name, from)[unitDir+name]
	c.unitContents(name, from, types.Unit{Name: name})
	switch {
	case deref(from.Mask):
		c.late = append(c.late, Action{Kind: UnmaskUnit, Path: name}, Action{Kind: ForgetUnit, Path: name})
		return api.CostLive, "no longer masked"
	case whole && neverRestarted(name):
		return api.CostReboot, "removed; the system does not survive its restart"
	case whole:
		c.early = append(c.early, Action{Kind: DisableUnit, Path: name})
		c.late = append(c.late, Action{Kind: ForgetUnit, Path: name})
		return api.CostLive, "stopped and removed"
	}
	if from.Enabled != nil {
		c.late = append(c.late, Action{Kind: ForgetUnit, Path: name})
	}
	if len(from.Dropins) > 0 {
		if neverRestarted(name) {
			return api.CostReboot, "drop-in removed; the system does not survive its restart"
		}
		c.restart(name)
	}
	return api.CostLive, "as the image has it"
}

// unitFile prices a unit's file, or drop-in, that the config writes as a plain file.
func (c *comparer) unitFile(unit string) (cost, why string) {
	c.reload(ReloadUnits)
	if neverRestarted(unit) {
		return api.CostReboot, "the system does not survive the restart of " + unit
	}
	if restartable(unit) {
		c.restart(unit)
	}
	return api.CostLive, "restarts " + unit + " if it runs"
}

// neverRestarted reports whether a running system breaks when a unit is restarted.
func neverRestarted(unit string) bool {
	switch unit {
	case "dbus.service", "dbus-broker.service", "dbus.socket", "systemd-logind.service", "init.scope", "-.mount", "usr.mount":
		return true
	}
	return false
}

// unitNames reports whether a unit's text names a file.
func unitNames(u types.Unit, file string) bool {
	texts := []string{deref(u.Contents)}
	for _, d := range u.Dropins {
		texts = append(texts, deref(d.Contents))
	}
	for _, text := range texts {
		for rest := text; ; {
			_, after, found := strings.Cut(rest, file)
			if !found {
				break
			}
			if after == "" || !strings.ContainsAny(after[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@+") {
				return true
			}
			rest = after
		}
	}
	return false
}
