package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/initrd"
	"github.com/racker-project/racker/pkg/stdio"
)

type microkernelBuildOptions struct {
	IO         *stdio.Streams
	Settings   func() (config.Settings, error)
	Executable func() (string, error)
	Spec       initrd.Spec
	Default    bool
	JSON       bool
}

func newMicrokernelBuildCmd(env *Env) *cobra.Command {
	o := &microkernelBuildOptions{IO: env.IO, Settings: env.Settings, Executable: os.Executable}
	cmd := &cobra.Command{
		Use:   "build --kernel FILE --modules DIR",
		Short: "Make a microkernel from a kernel and its modules",
		Long: `build puts a Linux kernel, the modules of it that a server's NICs, disks and BMC need, and racker-agent together. DIR is
/lib/modules/RELEASE, or where a kernel package was unpacked (dpkg -x). The first microkernel becomes the one that servers boot,
later ones with --default. The same inputs give the same ID.

Exit codes: 0 ok; 1 failed; 2 usage.`,
		Example: "  racker microkernel build --kernel /boot/vmlinuz-$(uname -r) \\\n" +
			"      --modules /lib/modules/$(uname -r)\n" +
			"  dpkg -x linux-image-6.1.0-56-cloud-amd64_*.deb k\n" +
			"  racker microkernel build --kernel k/boot/vmlinuz-* --modules k",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Spec.Kernel, "kernel", "", "the kernel: a bzImage, or an arm64 Image")
	f.StringVar(&o.Spec.Modules, "modules", "", "its modules")
	f.StringVar(&o.Spec.Agent, "agent", "", "the static agent (default: racker-agent beside this program)")
	f.StringVar(&o.Spec.Firmware, "firmware", "", "take the firmware that the chosen modules ask for from this lib/firmware directory")
	f.BoolVar(&o.Default, "default", false, "let servers boot it from now on")
	return cmd
}

func (o *microkernelBuildOptions) run(ctx context.Context) error {
	if o.Spec.Kernel == "" || o.Spec.Modules == "" {
		return withHint(usageError("racker microkernel build wants --kernel and --modules"), "racker microkernel build --help")
	}
	s, err := openShelf(o.Settings)
	if err != nil {
		return err
	}
	if o.Spec.Agent == "" {
		self, err := o.Executable()
		if err != nil {
			return fmt.Errorf("find racker-agent beside this program: %w", err)
		}
		o.Spec.Agent = filepath.Join(filepath.Dir(self), "racker-agent")
	}
	o.Spec.Out = s.dir
	m, err := initrd.Build(ctx, o.Spec)
	if errors.Is(err, initrd.ErrModules) {
		return withHint(err, "give --modules the directory of that kernel's modules")
	}
	if err != nil {
		return err
	}
	_, err = initrd.Default(s.dir)
	if o.Default || errors.Is(err, initrd.ErrNotFound) {
		err = initrd.SetDefault(s.dir, m.ID)
	}
	if err != nil {
		return err
	}
	return o.print(s, m)
}

func (o *microkernelBuildOptions) print(s shelf, m *initrd.Microkernel) error {
	booted, err := s.defaultID()
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(microkernelView{Microkernel: m, Default: m.ID == booted, Built: m.Built})
	}
	if m.ID != booted {
		fmt.Fprintf(o.IO.Err, "racker: servers boot %s; racker microkernel default %s changes that\n", booted, m.ID)
	}
	_, err = fmt.Fprintf(o.IO.Out, "%s: kernel %s (%s), %s and %s, %d modules\n", m.ID, m.Release, m.Arch,
		bytesText(m.Kernel.Size), bytesText(m.Initrd.Size), len(m.Modules))
	return err
}
