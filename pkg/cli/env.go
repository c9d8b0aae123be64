package cli

import (
	"sync"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// Env is what every command gets: streams, settings and the global flags. Its fields are valid once flags are
// parsed, so a command's constructor must not read them.
type Env struct {
	IO *stdio.Streams
	// Settings loads the settings at the first call; later calls give the same. Commands that need none
	// (--help, version) never call it and so work beside a broken settings file.
	Settings func() (config.Settings, error)
	// JSON is --json: the answer on stdout is JSON, errors on stderr are too.
	JSON bool

	words      []string    // the command line as it was typed, for the audit
	sudoUser   string      // who called sudo
	interrupts *interrupts // Ctrl-C, for who asks first

	configFile                 string
	oemDir, stateDir, socket   string
	managementMAC, colorChoice string
}

func newEnv(streams *stdio.Streams) *Env {
	env := &Env{IO: streams, interrupts: &interrupts{}}
	env.Settings = sync.OnceValues(func() (config.Settings, error) {
		s, err := env.loadSettings()
		return s, withHint(err, "racker config show")
	})
	return env
}

// loadSettings is Settings without its hint, and without memory.
func (e *Env) loadSettings() (config.Settings, error) {
	s, err := config.Load(config.Sources{File: e.configFile, Flags: e.settingFlags()})
	return s, withCode(codeUsage, err)
}

// globalFlags are the flags of every command.
func (e *Env) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&e.configFile, "config", "", "settings file (default "+config.DefaultFile+")")
	f.StringVar(&e.oemDir, "oem-dir", "", "directory of nodes.csv, ipmi_user and ipmi_password")
	f.StringVar(&e.stateDir, "state-dir", "", "directory of state, images and run logs")
	f.StringVar(&e.socket, "socket", "", "unix socket of the operator API")
	f.BoolVar(&e.JSON, "json", false, "print the answer, and errors, as JSON")
	f.BoolVar(&e.IO.NoInput, "no-input", false, "never ask; fail where a question would be needed")
	f.StringVar(&e.colorChoice, "color", string(stdio.ColorAuto), "colour: auto, always or never")
}

// settingFlags gives the settings among the flags that were used, by their names in the settings file. An empty
// value counts as not given.
func (e *Env) settingFlags() map[string]string {
	set := map[string]string{}
	for name, value := range map[string]string{
		"oem_dir": e.oemDir, "state_dir": e.stateDir, "socket": e.socket, "management_mac": e.managementMAC,
	} {
		if value != "" {
			set[name] = value
		}
	}
	return set
}
