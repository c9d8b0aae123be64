package initrd

import (
	"fmt"
	"slices"
	"strings"
)

// metadata renders modules.dep, modules.alias and modules.softdep for the chosen modules, in the format of
// modules.dep(5), which the agent reads.
func (c *chosen) metadata() map[string]string {
	var dep, soft strings.Builder
	var aliases []string
	for _, name := range c.names() {
		m := c.mods[name]
		fmt.Fprintf(&dep, "%s:", m.rel)
		for _, d := range c.order(name) {
			fmt.Fprintf(&dep, " %s", c.mods[d].rel)
		}
		dep.WriteByte('\n')
		for _, a := range m.aliases {
			aliases = append(aliases, fmt.Sprintf("alias %s %s\n", a, name))
		}
		for _, s := range m.softdeps {
			fmt.Fprintf(&soft, "softdep %s %s\n", name, s)
		}
	}
	slices.Sort(aliases)
	return map[string]string{
		"modules.dep":     dep.String(),
		"modules.alias":   strings.Join(slices.Compact(aliases), ""),
		"modules.softdep": soft.String(),
	}
}
