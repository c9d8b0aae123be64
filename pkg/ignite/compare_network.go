package ignite

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// networkFile prices a file of systemd-networkd. A reload creates what is new and configures anew what changed, but takes no
// bond or VLAN away, and may cut the connection that it is ordered over, with nobody there to undo it; a boot makes the network
// that the files declare. Resolvers and time servers alone are safe to reload.
func (c *comparer) networkFile(name string, from, to *file) (cost, why string) {
	if path.Ext(name) == ".network" && from != nil && to != nil && resolversOnly(from.content, to.content) {
		c.reload(ReloadNetwork)
		return api.CostLive, "only resolvers or time servers differ: network configuration reloaded"
	}
	return api.CostReboot, "a running network keeps what is no longer declared, and the connection may stand on it"
}

// resolversOnly reports whether two .network files differ in nothing but name and time servers.
func resolversOnly(a, b []byte) bool {
	before, after := networkLines(a), networkLines(b)
	return slices.Equal(before, after)
}

// networkLines gives the settings of a .network file, each with its section, without comments and without the servers.
func networkLines(content []byte) []string {
	free := map[string]bool{"[Network]DNS": true, "[Network]Domains": true, "[Network]NTP": true, "[Network]FallbackNTP": true, "[Network]FallbackDNS": true}
	section := ""
	var out []string
	for _, line := range wordsOf(content) {
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key = section + strings.TrimSpace(key)
		if !free[key] {
			out = append(out, key+"="+strings.TrimSpace(value))
		}
	}
	return out
}

// NetworkProblems says what in a config is likely to leave the node without the network that racker, and its operators, reach
// it by. It is a warning: the config may know better.
func NetworkProblems(sources []Source, internalMAC string) ([]string, error) {
	d, err := declareSources("", sources)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if why := breaksNetwork(name, d.files[name], internalMAC); why != "" {
			out = append(out, name+": "+why)
		}
	}
	for _, unit := range []string{"systemd-networkd.service", "systemd-resolved.service", "sshd.service", "sshd.socket", "ssh.service"} {
		u := d.units[unit]
		if deref(u.Mask) || u.Enabled != nil && !*u.Enabled {
			out = append(out, "unit "+unit+": without it nobody reaches the node over the network")
		}
	}
	return out, nil
}

// racker's own network file for the internal NIC; files that sort before it win over it.
const internalFile = "10-racker-internal.network"

func breaksNetwork(name string, f *file, internalMAC string) string {
	if path.Dir(name) != "/etc/systemd/network" || f.elsewhere {
		return ""
	}
	base := path.Base(name)
	switch {
	case base == internalFile:
		return "it replaces racker's own file for the internal NIC"
	case len(f.content) == 0 && strings.HasSuffix(base, ".network"):
		return "an empty file matches every NIC, and configures none"
	case path.Ext(base) != ".network" || base > internalFile:
		return ""
	case matchesInternal(f.content, internalMAC):
		return "it comes before racker's own file and fits the internal NIC"
	}
	return ""
}

// matchesInternal reports whether the [Match] section of a .network file fits a physical NIC with the MAC, or any.
func matchesInternal(content []byte, mac string) bool {
	var keys []string
	for _, line := range networkLines(content) {
		if text, ok := strings.CutPrefix(line, "[Match]"); ok {
			keys = append(keys, text)
		}
	}
	for _, key := range keys {
		name, value, _ := strings.Cut(key, "=")
		switch name {
		case "MACAddress", "PermanentMACAddress":
			if !strings.Contains(strings.ToLower(strings.ReplaceAll(value, "-", ":")), strings.ToLower(mac)) {
				return false
			}
		case "Kind", "Type":
			if value != "ether" && !strings.HasPrefix(value, "!") && value != "*" {
				return false
			}
		case "Name":
			return strings.ContainsAny(value, "*?") // a name alone: nobody knows whose
		}
	}
	return true
}
