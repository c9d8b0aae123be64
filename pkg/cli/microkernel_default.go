package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/initrd"
	"github.com/racker-project/racker/pkg/stdio"
)

// microkernelOneOptions is what the commands about one microkernel have in common.
type microkernelOneOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	ID       string
	JSON     bool
}

// oneMicrokernelCmd finishes a command that finds a microkernel and does something with it; done is the word for that.
func oneMicrokernelCmd(env *Env, cmd *cobra.Command, done string, do func(*microkernelOneOptions, shelf, string) (string, error)) *cobra.Command {
	o := &microkernelOneOptions{IO: env.IO, Settings: env.Settings}
	cmd.Args = oneWord("ID")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		o.JSON, o.ID = env.JSON, args[0]
		return o.run(done, do)
	}
	return cmd
}

func (o *microkernelOneOptions) run(done string, do func(*microkernelOneOptions, shelf, string) (string, error)) error {
	s, err := openShelf(o.Settings)
	if err != nil {
		return err
	}
	m, err := s.find(o.ID)
	if err != nil {
		return err
	}
	text, err := do(o, s, m.ID)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(map[string]string{done: m.ID})
	}
	return o.IO.Outf("%s\n", text)
}

func newMicrokernelDefaultCmd(env *Env) *cobra.Command {
	return oneMicrokernelCmd(env, &cobra.Command{
		Use:   "default ID",
		Short: "Choose the microkernel that servers boot",
		Long: `default makes a microkernel the one that servers boot from now on; the daemon needs no restart. ID may be cut short. The
setting microkernel.default, where there is one, wins.

Exit codes: 0 ok; 1 failed; 2 usage, or no such microkernel.`,
		Example: "  racker microkernel default cc2dbd3b584e",
	}, "default", setDefaultMicrokernel)
}

func setDefaultMicrokernel(o *microkernelOneOptions, s shelf, id string) (string, error) {
	if err := initrd.SetDefault(s.dir, id); err != nil {
		return "", err
	}
	if s.chosen != "" && s.chosen != id {
		fmt.Fprintf(o.IO.Err, "racker: %s the setting microkernel.default wins: servers boot %s\n",
			o.IO.PaintErr(stdio.Warn, "warning:"), s.chosen)
	}
	return "servers boot " + id, nil
}

func newMicrokernelRemoveCmd(env *Env) *cobra.Command {
	return oneMicrokernelCmd(env, &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a microkernel",
		Long: `remove deletes a microkernel that servers do not boot. ID may be cut short.

Exit codes: 0 ok; 1 failed, or servers boot it; 2 usage, or no such microkernel.`,
		Example: "  racker microkernel remove 8b4454b0ee30",
	}, "removed", removeMicrokernel)
}

func removeMicrokernel(_ *microkernelOneOptions, s shelf, id string) (string, error) {
	if s.chosen == id {
		return "", fmt.Errorf("remove microkernel %s: the setting microkernel.default names it", id)
	}
	err := initrd.Remove(s.dir, id)
	if errors.Is(err, initrd.ErrDefault) {
		return "", withHint(err, "racker microkernel default ANOTHER")
	}
	return "removed " + id, err
}
