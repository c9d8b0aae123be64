package cluster

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// autologinArg is Flatcar's word for a console that asks for no password.
const autologinArg = "flatcar.autologin"

// Resolve gives what the file says of every row, in the order of site.Nodes. Warnings come with the specs; the error is an *Error
// with everything that is wrong.
func (f *File) Resolve(site Site) ([]Spec, []Problem, error) {
	c := &checker{findings: findings{file: f.Name}, file: f, site: &site}
	entries := c.match()
	specs := make([]Spec, 0, len(site.Nodes))
	for i := range site.Nodes {
		row := &site.Nodes[i]
		specs = append(specs, c.spec(row, entries[i]))
	}
	c.types()
	c.names(specs)
	c.together(specs)
	warnings, err := c.result()
	if err != nil {
		return nil, warnings, err
	}
	return specs, warnings, nil
}

// checker resolves a file and collects what is wrong with it.
type checker struct {
	findings
	file  *File
	site  *Site
	addrs []taken
	bare  []string // nodes without a NIC for a public network
}

// spec joins what is said for all, for the node's type and for itself. e is nil for a row without an entry.
func (c *checker) spec(row *SiteNode, e *named[entry]) Spec {
	s := c.file.all
	for i := range c.file.types {
		if strings.EqualFold(c.file.types[i].name.v, row.Type) {
			s = s.over(&c.file.types[i].v)
		}
	}
	out := Spec{Name: strings.ToLower(row.Name), MAC: row.Primary, Type: row.Type}
	place := placed[string]{path: "nodes." + row.Name}
	if e != nil {
		s = s.over(&e.v.settings)
		out.Name, out.Line = e.name.v, e.name.at.line
		place = e.name
	}
	out.Image = value(s.image)
	out.Disk = value(s.disk)
	out.Wipe, out.Updates = word(s.wipe, WipeInstallDisk), word(s.updates, UpdatesOff)
	out.WipeOldOS, out.WipeForeign, out.IgnoreChanges = value(s.wipeOldOS), value(s.wipeForeign), value(s.ignoreChanges)
	out.Console, out.Health = value(s.console), value(s.health)
	out.KernelArgs = slices.Clone(s.kernelArgs)
	if value(s.autologin) && !slices.Contains(out.KernelArgs, autologinArg) {
		out.KernelArgs = append(out.KernelArgs, autologinArg)
	}
	for _, name := range slices.Sorted(maps.Keys(s.sysctls)) {
		out.Sysctls = append(out.Sysctls, Sysctl{name, s.sysctls[name]})
	}
	out.Hosts = hostLines(s.hosts)
	for _, f := range s.snippets {
		if !slices.Contains(out.Snippets, f.name) {
			out.Snippets = append(out.Snippets, f.name)
		}
	}
	out.SSHKeys = c.keys(s.keys)
	out.Internal = Internal{
		Address: netip.PrefixFrom(row.Address, c.site.Network.Bits()), Server: c.site.Server, Ports: slices.Clone(c.site.Ports),
	}
	out.Network = c.network(row, place, s.network)
	return out
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func word(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// hostLines sorts names to the addresses that they have.
func hostLines(hosts map[string][]netip.Addr) []Host {
	names := map[netip.Addr][]string{}
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		for _, a := range hosts[name] {
			names[a] = append(names[a], name)
		}
	}
	var out []Host
	for _, a := range slices.SortedFunc(maps.Keys(names), netip.Addr.Compare) {
		out = append(out, Host{a, slices.Compact(names[a])})
	}
	return out
}

// keys gives the lines of all keys, each once. Files were read, and found good, by LoadKeys.
func (c *checker) keys(keys []sshKey) []string {
	var out []string
	add := func(line string) {
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	for _, k := range keys {
		if k.line != "" {
			add(k.line)
			continue
		}
		for line := range strings.Lines(c.file.text[k.file.name]) {
			add(strings.TrimSpace(line))
		}
	}
	return out
}

// match finds for each row its entry: the one with its primary MAC, else the one with its name.
func (c *checker) match() []*named[entry] {
	out := make([]*named[entry], len(c.site.Nodes))
	for i := range c.file.nodes {
		e := &c.file.nodes[i]
		at := slices.IndexFunc(c.site.Nodes, func(n SiteNode) bool {
			if e.v.mac != nil {
				return n.Primary == e.v.mac.v
			}
			return strings.EqualFold(n.Name, e.name.v)
		})
		switch {
		case at >= 0 && out[at] != nil:
			c.fail(e.name.at, e.name.path, "is %s, as %s on line %d is", c.site.Nodes[at].Where, out[at].name.v, out[at].name.at.line)
		case at >= 0:
			out[at] = e
		}
	}
	for i := range c.file.nodes {
		if e := &c.file.nodes[i]; !slices.Contains(out, e) {
			c.unknown(e, out)
		}
	}
	return out
}

// unknown says which row an entry without one may mean.
func (c *checker) unknown(e *named[entry], taken []*named[entry]) {
	if m := c.site.Management; m != nil && (e.v.mac == nil && strings.EqualFold(m.Name, e.name.v) || e.v.mac != nil && e.v.mac.v == m.Primary) {
		c.fail(e.name.at, e.name.path, "is the management node, which racker does not install")
		return
	}
	var free []*SiteNode
	var names []string
	for i := range c.site.Nodes {
		if row := &c.site.Nodes[i]; taken[i] == nil {
			free = append(free, row)
			names = append(names, row.Name)
		}
	}
	what := "nodes.csv has no node of this name"
	at, path := e.name.at, e.name.path
	if e.v.mac != nil {
		what = fmt.Sprintf("nodes.csv has no row with the primary MAC %s", e.v.mac.v)
		at, path = e.v.mac.at, e.v.mac.path
		for i := range c.site.Nodes {
			if row := &c.site.Nodes[i]; strings.EqualFold(row.Name, e.name.v) {
				c.fail(at, path, "%s; %s has %s", what, row.Where, row.Primary)
				return
			}
		}
	}
	switch best := nearest(e.name.v, names); {
	case len(free) == 1:
		what += fmt.Sprintf("; if it is %s under a new name, write mac: %q below it", free[0].Where, free[0].Primary)
	case best != "":
		i := slices.Index(names, best)
		what += fmt.Sprintf("; did you mean %s, or is it that one under a new name: mac: %q?", free[i].Where, free[i].Primary)
	case len(free) > 1:
		what += "; rows without an entry are " + strings.Join(names, ", ") + "; one that was renamed is found by mac: PRIMARY_MAC below its new name"
	}
	c.fail(at, path, "%s", what)
}

// types warns of types that no row has: a word that is misspelt would be said to nobody.
func (c *checker) types() {
	var known []string
	for i := range c.site.Nodes {
		known = append(known, c.site.Nodes[i].Type)
	}
	for _, t := range c.file.types {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, t.name.v) }) {
			c.warn(t.name.at, t.name.path, "no row of nodes.csv has this type%s", suggest(t.name.v, known))
		}
	}
}

// names refuses two nodes of one name: a renamed node may take that of a row without an entry.
func (c *checker) names(specs []Spec) {
	seen := map[string]int{}
	for i := range specs {
		name := specs[i].Name
		if j, twice := seen[name]; twice {
			at := pos{max(specs[i].Line, specs[j].Line), 1}
			c.fail(at, "nodes."+name, "is the name of %s and of %s", c.site.Nodes[j].Where, c.site.Nodes[i].Where)
		}
		seen[name] = i
	}
}
