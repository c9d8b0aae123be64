package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/initrd"
	"github.com/racker-project/racker/pkg/stdio"
)

func newMicrokernelCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "microkernel",
		Short: "Make and keep the microkernels that servers boot to be installed",
	}
	cmd.AddCommand(newMicrokernelBuildCmd(env), newMicrokernelListCmd(env), newMicrokernelDefaultCmd(env), newMicrokernelRemoveCmd(env))
	return cmd
}

// shelf is the directory of microkernels, and which of them servers boot.
type shelf struct {
	dir string
	// chosen is the setting microkernel.default, which wins over the link; usually empty.
	chosen string
}

func openShelf(settings func() (config.Settings, error)) (shelf, error) {
	s, err := settings()
	if err != nil {
		return shelf{}, err
	}
	return shelf{dir: filepath.Join(s.StateDir, "microkernels"), chosen: s.Microkernel.Default}, nil
}

// defaultID gives the microkernel that servers boot; "" when there is none.
func (s shelf) defaultID() (string, error) {
	if s.chosen != "" {
		return s.chosen, nil
	}
	m, err := initrd.Default(s.dir)
	if errors.Is(err, initrd.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return m.ID, nil
}

// find gives the microkernel whose ID begins with word.
func (s shelf) find(word string) (*initrd.Microkernel, error) {
	all, err := initrd.List(s.dir)
	if err != nil {
		return nil, err
	}
	var found []*initrd.Microkernel
	for _, m := range all {
		if word != "" && strings.HasPrefix(m.ID, word) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, withHint(withCode(codeUsage, fmt.Errorf("microkernel %q: %w", word, initrd.ErrNotFound)), "racker microkernel list")
	}
	return nil, withHint(usageError("%q is the beginning of %d microkernels' IDs", word, len(found)), "racker microkernel list")
}

type microkernelListOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	Now      func() time.Time
	JSON     bool
}

func newMicrokernelListCmd(env *Env) *cobra.Command {
	o := &microkernelListOptions{IO: env.IO, Settings: env.Settings, Now: time.Now}
	return &cobra.Command{
		Use:   "list",
		Short: "List the microkernels",
		Long: `list prints a row per microkernel: its ID, its kernel's release and architecture, the sizes of kernel and initramfs, how many
modules it has, and when it was built. A star marks the one that servers boot.

Exit codes: 0 ok; 1 failed; 2 usage.`,
		Example: "  racker microkernel list\n  racker microkernel list --json",
		RunE: func(*cobra.Command, []string) error {
			o.JSON = env.JSON
			return o.run()
		},
	}
}

// microkernelView is one microkernel in --json.
type microkernelView struct {
	*initrd.Microkernel
	Default bool      `json:"default"`
	Built   time.Time `json:"built"`
}

func (o *microkernelListOptions) run() error {
	s, err := openShelf(o.Settings)
	if err != nil {
		return err
	}
	all, err := initrd.List(s.dir)
	if err != nil {
		return err
	}
	booted, err := s.defaultID()
	if err != nil {
		return err
	}
	views := make([]microkernelView, 0, len(all))
	t := o.IO.Table("id", "default", "kernel", "arch", "vmlinuz", "initrd", "modules", "built").Spare(6, 4, 5)
	for _, m := range all {
		views = append(views, microkernelView{Microkernel: m, Default: m.ID == booted, Built: m.Built})
		star := ""
		if m.ID == booted {
			star = "*"
		}
		t.Row(m.ID, star, m.Release, m.Arch, size(o.IO, m.Kernel.Size), size(o.IO, m.Initrd.Size), fmt.Sprint(len(m.Modules)),
			moment(o.IO, o.Now(), m.Built))
	}
	if o.JSON {
		return o.IO.JSON(views)
	}
	if len(views) == 0 && o.IO.OutTTY {
		o.IO.Errf("There is no microkernel yet: racker microkernel build --help\n")
		return nil
	}
	return t.Flush()
}
