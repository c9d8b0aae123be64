package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/cli/serve"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/stdio"
)

type factoryCheckOptions struct {
	IO         *stdio.Streams
	Settings   func() (config.Settings, error)
	Interfaces func() ([]rack.Interface, error)
	JSON       bool
}

func newFactoryCheckCmd(env *Env) *cobra.Command {
	o := &factoryCheckOptions{IO: env.IO, Settings: env.Settings, Interfaces: serve.LocalInterfaces}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check nodes.csv and the BMC credentials",
		Long: "Check nodes.csv, ipmi_user and ipmi_password: every mistake is printed with its line and column. Then the\n" +
			"nodes of each type are counted. Away from the rack, --management-mac names the management node's row, and\n" +
			"this machine's interfaces are not looked at.\n\n" +
			"Exit codes: 0 nothing is wrong; 1 something is; 2 usage.",
		Example: "  racker factory check\n" +
			"  racker factory check --oem-dir oem-examples \\\n      --management-mac 52:54:00:aa:00:01",
		RunE: func(*cobra.Command, []string) error {
			o.JSON = env.JSON
			return o.run()
		},
	}
	cmd.Flags().StringVar(&env.managementMAC, "management-mac", "", "primary or secondary MAC of the management node's row")
	return cmd
}

// factoryReport is the answer of factory check.
type factoryReport struct {
	OK       bool             `json:"ok"`
	OEMDir   string           `json:"oem_dir"`
	Nodes    int              `json:"nodes"` // management node included
	Types    []typeCount      `json:"types,omitempty"`
	Internal string           `json:"internal_interface,omitempty"`
	Network  string           `json:"network,omitempty"`
	Errors   []*rack.CSVError `json:"errors,omitempty"`
	Warnings []string         `json:"warnings,omitempty"`
}

// typeCount is how many nodes have a type; the empty type is "".
type typeCount struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}

func (o *factoryCheckOptions) run() error {
	settings, err := o.Settings()
	if err != nil {
		return err
	}
	report, err := o.check(&settings)
	if err != nil {
		return err
	}
	if err := o.print(report); err != nil {
		return err
	}
	if n := len(report.Errors); n == 1 {
		return withHint(fmt.Errorf("1 mistake in %s", settings.OEMDir), "correct it and run racker factory check again")
	} else if n > 1 {
		return withHint(fmt.Errorf("%d mistakes in %s", n, settings.OEMDir), "correct them and run racker factory check again")
	}
	return nil
}

// check collects everything that is wrong, so that one run shows all of it.
func (o *factoryCheckOptions) check(settings *config.Settings) (*factoryReport, error) {
	report := &factoryReport{OEMDir: settings.OEMDir}
	var local []rack.Interface
	if settings.ManagementMAC.IsZero() {
		var err error
		if local, err = o.Interfaces(); err != nil {
			return nil, err
		}
	}
	found, err := serve.ReadRack(settings, local)
	report.add(settings.OEMDir, err)
	credentials, err := rack.ReadCredentials(settings.OEMDir)
	report.add(settings.OEMDir, err)
	report.Warnings = credentials.Warnings
	if found != nil {
		report.rack(settings, found, local, credentials)
	}
	report.OK = len(report.Errors) == 0
	return report, nil
}

// rack checks what is beyond the file: the internal interface, the address plan, credentials of single nodes.
func (r *factoryReport) rack(settings *config.Settings, found *rack.Rack, local []rack.Interface, common rack.Credentials) {
	nodesCSV := filepath.Join(settings.OEMDir, rack.NodesFile)
	r.Nodes = len(found.Nodes)
	r.Types = countTypes(found)
	if settings.ManagementMAC.IsZero() {
		name, err := serve.InternalInterface(settings, found, local)
		r.add(nodesCSV, err)
		r.Internal = name
	}
	r.Network = settings.Internal.Prefix.String()
	_, err := rack.MakePlan(settings.Internal.Prefix, found, nil)
	r.add(nodesCSV, err)
	for _, n := range found.Servers() {
		c, err := common.For(n, settings.OEMDir)
		if err != nil {
			r.Errors = append(r.Errors, &rack.CSVError{File: nodesCSV, Line: n.Line, Msg: err.Error()})
		}
		for _, w := range c.Warnings {
			if !slices.Contains(r.Warnings, w) {
				r.Warnings = append(r.Warnings, w)
			}
		}
	}
}

// add takes every error in err; one that names no place gets the file that was looked at.
func (r *factoryReport) add(file string, err error) {
	switch e := err.(type) { //nolint:errorlint // joined errors are taken apart one by one
	case nil:
		return
	case *rack.CSVError:
		r.Errors = append(r.Errors, e)
		return
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			r.add(file, one)
		}
		return
	}
	wrong := &rack.CSVError{File: file, Msg: err.Error()}
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		wrong.File, wrong.Msg = in.Path, in.Err.Error()
	}
	if errors.Is(err, fs.ErrPermission) {
		wrong.Hint = "run it as root"
	}
	r.Errors = append(r.Errors, wrong)
}

func (o *factoryCheckOptions) print(r *factoryReport) error {
	if o.JSON {
		return o.IO.JSON(r)
	}
	for _, e := range r.Errors {
		line := stdio.Clean(e.Error())
		if e.Hint != "" {
			line += " (" + stdio.Clean(e.Hint) + ")"
		}
		if err := o.IO.Outf("%s\n", line); err != nil {
			return err
		}
	}
	for _, w := range r.Warnings {
		o.IO.Errf("racker: %s %s\n", o.IO.PaintErr(stdio.Warn, "warning:"), stdio.Clean(w))
	}
	if !r.OK {
		return nil
	}
	if o.IO.OutTTY {
		on := ""
		if r.Internal != "" {
			on = " on " + r.Internal
		}
		o.IO.Errf("%s: nothing is wrong; the internal network is %s%s.\n\n", stdio.Clean(r.OEMDir), r.Network, on)
	}
	t := o.IO.Table("node type", "nodes")
	for _, c := range r.Types {
		name := c.Type
		if name == "" {
			name = "(no type)"
		}
		t.Row(name, fmt.Sprint(c.Count))
	}
	return t.Flush()
}

// countTypes counts the servers of each type, in the order of the names. The management node is no server.
func countTypes(r *rack.Rack) []typeCount {
	var out []typeCount
	for _, n := range r.Servers() {
		i := slices.IndexFunc(out, func(c typeCount) bool { return c.Type == n.Type })
		if i < 0 {
			i = len(out)
			out = append(out, typeCount{Type: n.Type})
		}
		out[i].Count++
	}
	slices.SortFunc(out, func(a, b typeCount) int { return strings.Compare(a.Type, b.Type) })
	return out
}
