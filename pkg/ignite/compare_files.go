package ignite

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// files compares plain files. The cheapest way to make a change count depends on who reads the file.
func (c *comparer) files() {
	for _, name := range keysOf(c.before.files, c.after.files) {
		from, to := c.before.files[name], c.after.files[name]
		what := "file " + name
		switch {
		case from != nil && to != nil && sameFile(from, to):
		case from.kept(), to.kept():
			c.change(what, api.CostWipeRoot, "it has no contents in the config: only Ignition knows whether it is there, and leaves it then")
		case from != nil && from.elsewhere, to != nil && to.elsewhere:
			c.change(what, api.CostWipeRoot, "its content is not in the config: only Ignition puts it together")
		default:
			cost, why := c.price(name, from, to)
			c.change(what, cost, verb(from, to)+"; "+why)
			c.put(name, to)
		}
	}
}

func verb(from, to *file) string {
	switch {
	case from == nil:
		return "new"
	case to == nil:
		return "removed"
	case bytes.Equal(from.content, to.content):
		return "mode or owner changed"
	}
	return "changed"
}

// put has a file written, or removed when to is nil.
func (c *comparer) put(name string, to *file) {
	if to == nil {
		c.act(Action{Kind: RemoveFile, Path: name})
		return
	}
	c.act(Action{Kind: WriteFile, Path: name, Content: to.content, Mode: to.mode(), Owner: owner(to.Node)})
}

// kept reports whether a config declares a file without saying what is in it.
func (f *file) kept() bool {
	return f != nil && deref(f.Contents.Source) == "" && len(f.Append) == 0 && f.content == nil
}

func sameFile(a, b *file) bool {
	if a.elsewhere || b.elsewhere { // what is left open may be as the image has it
		return sameJSON(a.FileEmbedded1, b.FileEmbedded1) && declaredOwner(a.Node) == declaredOwner(b.Node)
	}
	if a.mode() != b.mode() || owner(a.Node) != owner(b.Node) {
		return false
	}
	return bytes.Equal(a.content, b.content)
}

// reader says who reads the files below a path, and so what makes a change of one count.
type reader struct {
	prefix string // a directory ends in a slash; anything else is one file
	cost   string
	why    string
	reload ActionKind
	units  []string // restarted if they run
}

const readEachTime = "it is read at each use"

// readers is searched from its beginning; the first that fits decides.
func readers() []reader {
	timesyncd, resolved := []string{"systemd-timesyncd.service"}, []string{"systemd-resolved.service"}
	updates := []string{"update-engine.service", "locksmithd.service"}
	chrony := []string{"chronyd.service", "chrony.service"}
	sshd := []string{"ssh.service", "sshd.service"}
	return []reader{
		{prefix: "/etc/hosts", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/resolv.conf", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/motd", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/motd.d/", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/issue", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/issue.d/", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/profile.d/", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/sudoers.d/", cost: api.CostLive, why: readEachTime},
		{prefix: "/home/", cost: api.CostLive, why: readEachTime},
		{prefix: "/root/", cost: api.CostLive, why: readEachTime},
		{prefix: "/opt/", cost: api.CostLive, why: readEachTime},
		{prefix: "/etc/systemd/timesyncd.conf", cost: api.CostLive, why: "time service restarted", units: timesyncd},
		{prefix: "/etc/systemd/timesyncd.conf.d/", cost: api.CostLive, why: "time service restarted", units: timesyncd},
		{prefix: "/etc/chrony.conf", cost: api.CostLive, why: "time service restarted", units: chrony},
		{prefix: "/etc/chrony/", cost: api.CostLive, why: "time service restarted", units: chrony},
		{prefix: "/etc/ntp.conf", cost: api.CostLive, why: "time service restarted", units: []string{"ntpd.service"}},
		{prefix: "/etc/systemd/resolved.conf", cost: api.CostLive, why: "resolver restarted", units: resolved},
		{prefix: "/etc/systemd/resolved.conf.d/", cost: api.CostLive, why: "resolver restarted", units: resolved},
		{prefix: "/etc/systemd/journald.conf", cost: api.CostLive, why: "journal restarted", units: []string{"systemd-journald.service"}},
		{prefix: "/etc/systemd/journald.conf.d/", cost: api.CostLive, why: "journal restarted", units: []string{"systemd-journald.service"}},
		{prefix: "/etc/flatcar/update.conf", cost: api.CostLive, why: "update services restarted", units: updates},
		{prefix: "/etc/coreos/update.conf", cost: api.CostLive, why: "update services restarted", units: updates},
		{prefix: "/etc/ssh/sshd_config", cost: api.CostLive, why: "checked, and the SSH server restarted", reload: CheckSSH, units: sshd},
		{prefix: "/etc/ssh/sshd_config.d/", cost: api.CostLive, why: "checked, and the SSH server restarted", reload: CheckSSH, units: sshd},
		{prefix: "/etc/sysctl.conf", cost: api.CostLive, why: "settings applied", reload: ApplySysctls},
		{prefix: "/etc/sysctl.d/", cost: api.CostLive, why: "settings applied", reload: ApplySysctls},
		{prefix: "/etc/modules-load.d/", cost: api.CostLive, why: "modules loaded", reload: LoadModules},
		{prefix: "/etc/hostname", cost: api.CostReboot, why: "programs read the host name when they start"},
		{prefix: "/etc/machine-id", cost: api.CostWipeRoot, why: "a running system cannot change who it is"},
		{prefix: "/boot/", cost: api.CostReboot, why: "it is read at the next boot"},
		{prefix: "/oem/", cost: api.CostReboot, why: "it is read at the next boot"},
		{prefix: "/usr/share/oem/", cost: api.CostReboot, why: "it is read at the next boot"},
	}
}

// price tells what a change of a file costs, and has whoever reads the file told.
func (c *comparer) price(name string, from, to *file) (cost, why string) {
	if ownLogin(name) {
		return api.CostWipeRoot, whyOwnLogin
	}
	if unit := unitOf(name); unit != "" {
		return c.unitFile(unit)
	}
	if strings.HasPrefix(name, "/etc/systemd/network/") {
		return c.networkFile(name, from, to)
	}
	for _, r := range readers() {
		if below := strings.HasSuffix(r.prefix, "/") && strings.HasPrefix(name, r.prefix); name != r.prefix && !below {
			continue
		}
		if kept := keptAlive(r.reload, from, to); kept != "" {
			return api.CostReboot, kept
		}
		if r.reload != "" {
			c.reload(r.reload)
		}
		for _, unit := range r.units {
			c.restart(unit)
		}
		if named := c.restartNaming(name); named != "" {
			return r.cost, r.why + "; restarts " + named
		}
		return r.cost, r.why
	}
	if named := c.restartNaming(name); named != "" {
		return api.CostLive, "restarts " + named + ", which names it"
	}
	if unit := c.namedBefore(name); unit != "" {
		return api.CostLive, "it was for " + unit + ", which changes or goes, too"
	}
	return api.CostReboot, "no unit of the config names it: whatever reads it does so at its start"
}

const whyOwnLogin = "racker logs in with what is there, and would not get in to undo it"

// ownLogin reports whether a path is what racker's own logins stand on.
func ownLogin(name string) bool {
	const dir = "/home/" + api.SystemUser + "/.ssh"
	return name == dir || strings.HasPrefix(name, dir+"/")
}

// namedBefore gives the unit that named a file and does so no more: it is stopped or restarted for that alone.
func (c *comparer) namedBefore(name string) string {
	for _, unit := range keysOf(c.before.units, nil) {
		if unitNames(c.before.units[unit], name) && !neverRestarted(unit) {
			return unit
		}
	}
	return ""
}

// restartNaming has the units of the config that name a file restarted, and lists them.
func (c *comparer) restartNaming(name string) string {
	var named []string
	for _, unit := range keysOf(c.after.units, nil) {
		if !unitNames(c.after.units[unit], name) || deref(c.after.units[unit].Mask) {
			continue
		}
		if neverRestarted(unit) {
			continue
		}
		c.restart(unit)
		named = append(named, unit)
	}
	return strings.Join(named, ", ")
}

// keptAlive says what a running kernel keeps although the file that set it says so no more; "" for nothing.
func keptAlive(reload ActionKind, from, to *file) string {
	var gone []string
	switch {
	case from == nil:
		return ""
	case reload == ApplySysctls:
		gone = missing(sysctlKeys(from.content), to, sysctlKeys)
	case reload == LoadModules:
		gone = missing(wordsOf(from.content), to, wordsOf)
	}
	if len(gone) == 0 {
		return ""
	}
	return fmt.Sprintf("the kernel keeps %s until then", strings.Join(gone, ", "))
}

// missing gives the words that a file has no more.
func missing(words []string, to *file, parse func([]byte) []string) []string {
	var now []string
	if to != nil {
		now = parse(to.content)
	}
	return slices.DeleteFunc(words, func(w string) bool { return slices.Contains(now, w) })
}

// sysctlKeys gives the settings of a sysctl.d file, with the separators as in /proc/sys.
func sysctlKeys(content []byte) []string {
	var out []string
	for _, line := range wordsOf(content) {
		key, _, _ := strings.Cut(line, "=")
		out = append(out, strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(key), "-"), ".", "/"))
	}
	return out
}

// wordsOf gives the lines that are neither empty nor comments.
func wordsOf(content []byte) []string {
	var out []string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != ';' {
			out = append(out, line)
		}
	}
	return out
}

// unitOf gives the unit whose file or drop-in a plain file is; "" for any other file.
func unitOf(name string) string {
	rest, ok := strings.CutPrefix(name, "/etc/systemd/system/")
	if !ok {
		return ""
	}
	unit, inside, nested := strings.Cut(rest, "/")
	switch {
	case !nested && strings.Contains(unit, "."):
		return unit
	case nested && strings.HasSuffix(unit, ".d") && path.Ext(inside) == ".conf" && strings.Count(unit, ".") > 1:
		return strings.TrimSuffix(unit, ".d")
	}
	return ""
}
