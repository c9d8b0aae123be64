package cluster

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// disk reads a rule: "smallest", the name of a disk, or what the disk must be like.
func (r *reader) disk(n *yaml.Node, path string) *DiskRule {
	rule := &DiskRule{}
	if real(n).Kind != yaml.MappingNode {
		text, ok := r.text(n, path)
		if ok && text != "smallest" {
			rule.Name = r.diskName(n, path, text)
		}
		return rule
	}
	name := func(into *string) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			if text, ok := r.text(n, path); ok {
				*into = r.diskName(n, path, text)
			}
		}
	}
	r.mapping(n, path, []key{
		{"wwn", name(&rule.WWN)}, {"serial", name(&rule.Serial)}, {"by_path", name(&rule.ByPath)},
		{"model", func(n *yaml.Node, path string) { rule.Model, _ = r.text(n, path) }},
		{"size", func(n *yaml.Node, path string) {
			r.mapping(n, path, []key{
				{"min", func(n *yaml.Node, path string) { rule.MinSize = r.size(n, path) }},
				{"max", func(n *yaml.Node, path string) { rule.MaxSize = r.size(n, path) }},
			})
			if rule.MaxSize > 0 && rule.MinSize > rule.MaxSize {
				r.fail(at(n), path, "min is more than max")
			}
		}},
		{"rotational", func(n *yaml.Node, path string) { rule.Rotational = r.flag(n, path) }},
	})
	return rule
}

// diskName takes the names that change at every boot for what they are.
func (r *reader) diskName(n *yaml.Node, path, text string) string {
	name := strings.TrimPrefix(text, "/dev/disk/by-path/")
	if name == "" || strings.HasPrefix(name, "/dev/") || strings.ContainsAny(name, "/ \t") {
		r.fail(at(n), path, "%q: want a WWN, a serial or a name below /dev/disk/by-path; other names below /dev change with every boot", text)
	}
	return name
}

// size reads bytes, with a unit: 500G and 500GB are decimal, as disks are sold; 465GiB is binary.
func (r *reader) size(n *yaml.Node, path string) int64 {
	text, ok := r.text(n, path)
	if !ok {
		return 0
	}
	bytes, err := parseSize(text)
	if err != nil {
		r.fail(at(n), path, "%v", err)
	}
	return bytes
}

func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BKMGTPibkmgtp ")
	unit := strings.ToLower(strings.TrimSpace(text[len(digits):]))
	base := 1000.0
	if strings.HasSuffix(unit, "ib") {
		base = 1024
	}
	power := strings.Index("kmgtp", strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")) + 1
	switch unit {
	case "", "b":
		power = 0
	default:
		if power == 0 || len(unit) > 3 || len(unit) == 2 && unit[1] != 'b' {
			return 0, fmt.Errorf("%q: want a size such as 500G, 2TB or 465GiB", text)
		}
	}
	v, err := strconv.ParseFloat(digits, 64)
	v *= math.Pow(base, float64(power))
	if err != nil || !(v >= 0) || v >= math.MaxInt64 {
		return 0, fmt.Errorf("%q: want a size such as 500G, 2TB or 465GiB", text)
	}
	return int64(v), nil
}
