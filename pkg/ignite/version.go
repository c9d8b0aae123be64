package ignite

import (
	"encoding/json"
	"fmt"

	"github.com/coreos/ignition/v2/config/v3_3"
	"github.com/coreos/ignition/v2/config/v3_4"
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

// findVersion returns the default for "".
func findVersion(version string) (specVersion, error) {
	switch version {
	case "", "3.3.0":
		return specVersion{"3.3.0", "flatcar", "1.0.0", mergeAs(v3_3.ParseCompatibleVersion, v3_3.Merge)}, nil
	case "3.4.0":
		return specVersion{"3.4.0", "flatcar", "1.1.0", mergeAs(v3_4.ParseCompatibleVersion, v3_4.Merge)}, nil
	}
	return specVersion{}, fmt.Errorf("spec version %q: want 3.3.0 or 3.4.0", version)
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
