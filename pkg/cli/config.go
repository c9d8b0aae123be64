package cli

import (
	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

func newConfigCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at the settings",
	}
	cmd.AddCommand(newConfigShowCmd(env))
	return cmd
}

type configShowOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	JSON     bool
}

func newConfigShowCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print each setting, its value and what set it",
		Long: "Print each setting, its value and what set it: the default, a line of the settings file, a RACKER_* variable\n" +
			"or a flag. Wrong settings are printed too, and then named.\n\nExit codes: 0 ok; 2 usage, or a setting is wrong.",
		Example: "  racker config show\n  RACKER_CONSOLE=ttyS0 racker config show --json",
		RunE: func(*cobra.Command, []string) error {
			o := configShowOptions{IO: env.IO, Settings: env.loadSettings, JSON: env.JSON}
			return o.run()
		},
	}
}

func (o *configShowOptions) run() error {
	settings, wrong := o.Settings()
	if err := o.print(settings.Entries()); err != nil {
		return err
	}
	return wrong
}

func (o *configShowOptions) print(entries []config.Entry) error {
	if o.JSON {
		return o.IO.JSON(entries)
	}
	t := o.IO.Table("setting", "value", "source")
	for _, e := range entries {
		t.Row(e.Name, e.Value, e.Source)
	}
	return t.Flush()
}
