package simcmd

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/racker-project/racker/pkg/sim"
)

type upOptions struct {
	*env
	nodes   string
	address bool
	powerOn bool
	start   background
}

func newUp(e *env) *cobra.Command {
	o := &upOptions{env: e}
	cmd := &cobra.Command{
		Use:   "up --dir DIR [--nodes nodes.csv] [--detach]",
		Short: "Bring up a rack: its networks, servers (powered off) and BMCs",
		Long: `Bring up the rack of DIR/oem/nodes.csv: its networks, its servers (powered off) and their BMCs. Without that file and
without --nodes, a rack of a management node and three servers is made there. DIR/sim.yaml, if there is one, says more about
the servers' hardware. The rack runs until Ctrl-C, or until racker-sim down; its disks stay in DIR.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.Flags()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.nodes, "nodes", "", "nodes.csv to copy into the rack; its first row is the management node")
	o.start.flags(f, "the rack")
	f.BoolVar(&o.address, "address", false, "give the management node's internal NIC its address, which racker does otherwise")
	f.BoolVar(&o.powerOn, "power-on", false, "switch every server on")
	return e.rackFlag(cmd)
}

func (o *upOptions) run(ctx context.Context, flags *pflag.FlagSet) error {
	folder, err := o.folder()
	if err != nil {
		return err
	}
	if o.start.detach {
		return o.start.again(ctx, o.env, folder, "up", flags)
	}
	log := slog.New(slog.NewTextHandler(o.streams.Err, nil))
	report := o.start.report()
	rack, err := sim.New(ctx, folder, sim.Options{Nodes: o.nodes, Address: o.address, PowerOn: o.powerOn, Log: log})
	if err != nil {
		report(err.Error())
		return err
	}
	return rack.Run(ctx, func() {
		log.Info("rack is up", "file", string(folder))
		report(readyLine)
	})
}
