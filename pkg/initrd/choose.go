package initrd

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// chosen is a set of modules, closed under their dependencies.
type chosen struct {
	mods    map[string]*module
	classes map[string][]string // class -> its modules in the tree, built-in ones not counted
}

// choose takes from the tree what the classes list, with all dependencies.
func choose(ctx context.Context, t *tree, release string) (*chosen, error) {
	c := &chosen{mods: map[string]*module{}, classes: map[string][]string{}}
	for _, k := range classes() {
		built := false
		for _, name := range k.mods {
			name = canonical(name)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if t.builtin[name] {
				built = true
				continue
			}
			if t.files[name] == "" {
				continue
			}
			if err := c.add(t, release, name, ""); err != nil {
				return nil, err
			}
			c.classes[k.name] = append(c.classes[k.name], name)
		}
		if k.need && !built && len(c.classes[k.name]) == 0 {
			return nil, fmt.Errorf("%w: %s has no %s driver", ErrModules, t.root, strings.ToUpper(k.name))
		}
	}
	return c, nil
}

// add takes one module and what it depends on; by names who asked, "" for the classes.
func (c *chosen) add(t *tree, release, name, by string) error {
	if c.mods[name] != nil || t.builtin[name] {
		return nil
	}
	rel := t.files[name]
	if rel == "" {
		return fmt.Errorf("%w: %s has no %s, which %s depends on", ErrModules, t.root, name, by)
	}
	m, err := readModule(t.root, rel)
	if err != nil {
		return err
	}
	if of, _, _ := strings.Cut(m.vermagic, " "); of != release {
		return fmt.Errorf("%w: %s in %s is of kernel %q, but the kernel is %q", ErrModules, name, t.root, of, release)
	}
	c.mods[name] = m
	for _, d := range m.depends {
		if err := c.add(t, release, d, name); err != nil {
			return err
		}
	}
	// soft dependencies are wishes: those that the tree has come along
	for _, d := range m.soft() {
		if t.files[d] != "" {
			if err := c.add(t, release, d, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// soft gives the module names in the soft dependencies.
func (m *module) soft() []string {
	var out []string
	for _, s := range m.softdeps {
		for _, w := range strings.Fields(s) {
			if !strings.HasSuffix(w, ":") {
				out = append(out, canonical(w))
			}
		}
	}
	return out
}

// names gives the chosen modules, sorted.
func (c *chosen) names() []string {
	out := make([]string, 0, len(c.mods))
	for n := range c.mods {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// order gives all modules that name needs, nearest first, as modules.dep lists them: loaded from the last to the first.
func (c *chosen) order(name string) []string {
	var out []string
	seen := map[string]bool{name: true}
	var visit func(string)
	visit = func(n string) {
		m := c.mods[n]
		if m == nil {
			return // built in
		}
		for _, d := range m.depends {
			if !seen[d] {
				seen[d] = true
				visit(d)
			}
		}
		out = append(out, n)
	}
	visit(name)
	slices.Reverse(out)
	return out[1:]
}
