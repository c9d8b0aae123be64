package simcmd

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/sim/fleet"
)

type fleetOptions struct {
	*env
	fleet.Options
	prefix, speed string
	start         background
}

func newFleet(e *env) *cobra.Command {
	o := &fleetOptions{env: e}
	cmd := &cobra.Command{
		Use:   "fleet --dir DIR [--nodes N] [--detach]",
		Short: "Bring up a rack of fake servers: their whole network without machines, up to thousands of them",
		Example: `  racker-sim fleet --nodes 1000 --dir /tmp/fleet --detach
  racker-sim exec --dir /tmp/fleet -- racker serve
  racker-sim fault --dir /tmp/fleet node-7 tftp-stall
  racker-sim status --dir /tmp/fleet --json`,
		Long: `Bring up N fake servers with virtual BMCs, all off, in one process. Each does over the wire what a server does, from its
firmware's DHCP to the installed system's callback, and counts it; what it would write to its disk is checked and thrown away.
DIR/oem gets nodes.csv, the BMCs' credentials, and racker's settings for the fleet's networks, which racker-sim exec makes racker
read. DIR/sim.yaml, if there is one, says more; flags win over it. The fleet runs until Ctrl-C, or until racker-sim down; then
its disks are forgotten.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.Flags()) },
	}
	f := cmd.Flags()
	f.IntVar(&o.Servers, "nodes", 0, "how many servers (default: those of DIR/oem/nodes.csv, else 3)")
	o.start.flags(f, "the fleet")
	f.BoolVar(&o.Address, "address", false, "give the management node's internal NIC its address, which racker does otherwise")
	f.BoolVar(&o.PowerOn, "power-on", false, "switch every server on")
	f.Float64Var(&o.Settings.Scale, "scale", 0, "multiplies all times that servers take by themselves (default 1: about 20 s to ready)")
	f.StringVar(&o.speed, "speed", "", "how fast disks are written, in bytes per second (default 200M)")
	f.StringVar(&o.Settings.Fleet.Firmware, "firmware", "", "bios, uefi or mixed (default mixed)")
	f.StringVar(&o.Settings.BMC, "bmc", "", "leased: BMCs ask for addresses on the internal network; static: they have their own network (default by size)")
	f.StringVar(&o.prefix, "prefix", "", "the internal network (default: 172.24.213.0/24, or a larger one around it)")
	cmd.AddCommand(newFleetImage())
	return e.rackFlag(cmd)
}

// newFleetImage makes what a fleet can install.
func newFleetImage() *cobra.Command {
	var out, size, used string
	cmd := &cobra.Command{
		Use:   "image --out FILE [--size 64M] [--used 16M]",
		Short: "Write a disk image that a fleet can install, and no machine could boot",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return fmt.Errorf("%w: --out is missing: name the file to write", errUsage)
			}
			whole, err := sim.ParseSize(size)
			if err != nil {
				return fmt.Errorf("%w: --size: %w", errUsage, err)
			}
			data, err := sim.ParseSize(used)
			if err != nil {
				return fmt.Errorf("%w: --used: %w", errUsage, err)
			}
			return fleet.WriteImage(out, int64(whole), int64(data))
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "the file (required)")
	f.StringVar(&size, "size", "64M", "of the image")
	f.StringVar(&used, "used", "16M", "how much of it is data that does not compress")
	return cmd
}

func (o *fleetOptions) run(ctx context.Context, flags *pflag.FlagSet) error {
	folder, err := o.folder()
	if err != nil {
		return err
	}
	if o.prefix != "" {
		if o.Settings.Prefix, err = netip.ParsePrefix(o.prefix); err != nil {
			return fmt.Errorf("%w: --prefix: %w", errUsage, err)
		}
	}
	if o.speed != "" {
		if o.Settings.Fleet.Speed, err = sim.ParseSize(o.speed); err != nil {
			return fmt.Errorf("%w: --speed: %w", errUsage, err)
		}
	}
	if o.start.detach {
		return o.start.again(ctx, o.env, folder, "fleet", flags)
	}
	o.Log = slog.New(slog.NewTextHandler(o.streams.Err, nil))
	report := o.start.report()
	f, err := fleet.New(ctx, folder, o.Options)
	if err != nil {
		report(err.Error())
		return err
	}
	return f.Run(ctx, func() {
		o.Log.Info("fleet is up", "file", string(folder), "count", len(f.Status().Nodes), "pid", os.Getpid())
		report(readyLine)
	})
}
