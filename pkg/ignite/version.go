package ignite

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_3"
	"github.com/coreos/ignition/v2/config/v3_4"
	"github.com/coreos/ignition/v2/config/v3_5"
	"github.com/coreos/ignition/v2/config/v3_6"
	"github.com/coreos/vcontext/report"
)

// specVersion is an Ignition spec version with the Butane header that gives it.
type specVersion struct {
	ignition, variant, butane string
	merge                     func(base namedConfig, over []namedConfig) ([]byte, error)
}

type namedConfig struct {
	name   string
	config []byte
}

// versions are those that can be rendered, oldest first. Butane has a stable variant for Flatcar up to 3.4.0; racker's own part
// is the same in all, and a later parser lifts it.
func versions() []specVersion {
	return []specVersion{
		{"3.3.0", "flatcar", "1.0.0", mergeAs(v3_3.ParseCompatibleVersion, v3_3.Merge)},
		{"3.4.0", "flatcar", "1.1.0", mergeAs(v3_4.ParseCompatibleVersion, v3_4.Merge)},
		{"3.5.0", "flatcar", "1.1.0", mergeAs(v3_5.ParseCompatibleVersion, v3_5.Merge)},
		{"3.6.0", "flatcar", "1.1.0", mergeAs(v3_6.ParseCompatibleVersion, v3_6.Merge)},
	}
}

// findVersion returns the oldest for "".
func findVersion(version string) (specVersion, error) {
	known := versions()
	if version == "" {
		return known[0], nil
	}
	var names []string
	for _, v := range known {
		if v.ignition == version {
			return v, nil
		}
		names = append(names, v.ignition)
	}
	return specVersion{}, fmt.Errorf("spec version %q: want one of %s", version, strings.Join(names, ", "))
}

// mergeAs makes the merge of one version of the spec. It parses each config as Ignition will, and the outcome once more.
func mergeAs[C any](
	parse func([]byte) (C, report.Report, error), merge func(parent, child C) C,
) func(namedConfig, []namedConfig) ([]byte, error) {
	check := func(c namedConfig) (C, error) {
		parsed, found, err := parse(c.config)
		if err != nil || found.IsFatal() {
			problems := problemsOf(found)
			if !found.IsFatal() {
				problems = append(problems, Problem{Message: err.Error(), Fatal: true})
			}
			return parsed, &ConfigError{Name: c.name, Problems: problems}
		}
		return parsed, nil
	}
	return func(base namedConfig, over []namedConfig) ([]byte, error) {
		merged, err := check(base)
		if err != nil {
			return nil, err
		}
		for _, c := range over {
			child, err := check(c)
			if err != nil {
				return nil, err
			}
			merged = merge(merged, child)
		}
		out, err := json.Marshal(merged)
		if err != nil {
			return nil, fmt.Errorf("encode the Ignition config: %w", err)
		}
		_, err = check(namedConfig{"merged Ignition config", out})
		return out, err
	}
}
