package ignite

import (
	"fmt"
	"strings"

	butane "github.com/coreos/butane/config"
	"github.com/coreos/butane/config/common"
	"github.com/coreos/vcontext/report"
)

// Problem is one finding about a Butane or Ignition config.
type Problem struct {
	// Line and Column begin at 1; 0 where the place is not known.
	Line, Column int64
	// Path is the place in the config's structure ("$.storage.files.0.path"); "" for the whole.
	Path    string
	Message string
	// Fatal problems make the config unusable, others are warnings.
	Fatal bool
}

// ConfigError says why a config is not usable; match it with errors.As.
type ConfigError struct {
	// Name is the file, or another name, of the config.
	Name string
	// Problems is never empty and in the config's order; warnings are among them.
	Problems []Problem
}

// Error lists all fatal problems, each with file, line and column, separated by "; ".
func (e *ConfigError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		if p.Fatal {
			lines = append(lines, p.at(e.Name))
		}
	}
	return strings.Join(lines, "; ")
}

func (p Problem) at(name string) string {
	var b strings.Builder
	b.WriteString(name)
	if p.Line > 0 {
		fmt.Fprintf(&b, " line %d column %d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// Translate translates the Butane config source, called name in errors, to an Ignition config of the version that its variant and
// version stand for. Local files and directories cannot be included. Warnings come with the config. The error is a *ConfigError.
func Translate(name string, source []byte) (config []byte, warnings []Problem, err error) {
	config, found, err := butane.TranslateBytes(source, common.TranslateBytesOptions{
		// A config is read by people, too, and is small.
		TranslateOptions: common.TranslateOptions{NoResourceAutoCompression: true},
	})
	problems := problemsOf(found)
	if err != nil || found.IsFatal() {
		if !found.IsFatal() {
			// Broken YAML, an unknown variant: there is no report, or it holds only warnings.
			problems = append(problems, Problem{Message: err.Error(), Fatal: true})
		}
		return nil, nil, &ConfigError{Name: name, Problems: problems}
	}
	return config, problems, nil
}

func problemsOf(r report.Report) []Problem {
	var problems []Problem
	for _, entry := range r.Entries {
		p := Problem{Message: entry.Message, Fatal: entry.Kind.IsFatal()}
		if entry.Marker.StartP != nil {
			p.Line, p.Column = entry.Marker.StartP.Line, entry.Marker.StartP.Column
		}
		if entry.Context.Len() > 0 {
			p.Path = entry.Context.String()
		}
		problems = append(problems, p)
	}
	return problems
}
