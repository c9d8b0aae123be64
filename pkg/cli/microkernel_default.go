package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/initrd"
	"github.com/racker-project/racker/pkg/stdio"
)

type microkernelOneOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	ID       string
	JSON     bool
}

func newMicrokernelDefaultCmd(env *Env) *cobra.Command {
	o := &microkernelOneOptions{IO: env.IO, Settings: env.Settings}
	return &cobra.Command{
		Use:   "default ID",
		Short: "Choose the microkernel that servers boot",
		Long: `default makes a microkernel the one that servers boot from now on; the daemon needs no restart. ID may be cut short. The
setting microkernel.default, where there is one, wins.

Exit codes: 0 ok; 1 failed; 2 usage, or no such microkernel.`,
		Example: "  racker microkernel default cc2dbd3b584e",
		Args:    oneWord("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			o.JSON, o.ID = env.JSON, args[0]
			return o.setDefault()
		},
	}
}

func (o *microkernelOneOptions) setDefault() error {
	s, err := openShelf(o.Settings)
	if err != nil {
		return err
	}
	m, err := s.find(o.ID)
	if err != nil {
		return err
	}
	if err := initrd.SetDefault(s.dir, m.ID); err != nil {
		return err
	}
	if s.chosen != "" && s.chosen != m.ID {
		fmt.Fprintf(o.IO.Err, "racker: %s the setting microkernel.default wins: servers boot %s\n",
			o.IO.PaintErr(stdio.Warn, "warning:"), s.chosen)
	}
	if o.JSON {
		return o.IO.JSON(map[string]string{"default": m.ID})
	}
	_, err = fmt.Fprintln(o.IO.Out, "servers boot "+m.ID)
	return err
}

func newMicrokernelRemoveCmd(env *Env) *cobra.Command {
	o := &microkernelOneOptions{IO: env.IO, Settings: env.Settings}
	return &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a microkernel",
		Long: `remove deletes a microkernel that servers do not boot. ID may be cut short.

Exit codes: 0 ok; 1 failed, or servers boot it; 2 usage, or no such microkernel.`,
		Example: "  racker microkernel remove 8b4454b0ee30",
		Args:    oneWord("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			o.JSON, o.ID = env.JSON, args[0]
			return o.remove()
		},
	}
}

func (o *microkernelOneOptions) remove() error {
	s, err := openShelf(o.Settings)
	if err != nil {
		return err
	}
	m, err := s.find(o.ID)
	if err != nil {
		return err
	}
	if s.chosen == m.ID {
		return fmt.Errorf("remove microkernel %s: the setting microkernel.default names it", m.ID)
	}
	err = initrd.Remove(s.dir, m.ID)
	if errors.Is(err, initrd.ErrDefault) {
		return withHint(err, "racker microkernel default ANOTHER")
	}
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(map[string]string{"removed": m.ID})
	}
	_, err = fmt.Fprintln(o.IO.Out, "removed "+m.ID)
	return err
}
