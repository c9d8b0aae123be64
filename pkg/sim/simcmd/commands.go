package simcmd

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/sim"
)

func newExec(e *env) *cobra.Command {
	return e.rackFlag(&cobra.Command{
		Use:   "exec --dir DIR -- COMMAND [ARG...]",
		Short: "Run a command on the management node",
		Long: `Run a command on the management node: in its network namespace, and with RACKER_OEM_DIR, RACKER_STATE_DIR and
RACKER_SOCKET pointing into DIR unless they are set. racker-sim becomes the command: its exit code and signals are its own.`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			folder, err := e.folder()
			if err != nil {
				return err
			}
			return folder.Exec(args, e.environ)
		},
	})
}

func newStatus(e *env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "status --dir DIR [--json]",
		Short: "Show what each server is doing, as seen from outside",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := e.folder()
			if err != nil {
				return err
			}
			st, err := sim.NewClient(folder).Status(cmd.Context())
			if err != nil {
				return err
			}
			if json {
				return e.streams.JSON(st)
			}
			return e.table(st)
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return e.rackFlag(cmd)
}

func (e *env) table(st *sim.Status) error {
	t := e.streams.Table("Node", "MAC", "Firmware", "Power", "Boots", "Installs", "State", "BMC")
	for _, n := range st.Nodes {
		t.Row(n.Name, n.MAC, n.Firmware, n.Power, strconv.Itoa(n.Boots), strconv.Itoa(n.Installs), string(n.State), n.BMCAddress)
	}
	return t.Flush()
}

func newDown(e *env) *cobra.Command {
	return e.rackFlag(&cobra.Command{
		Use:   "down --dir DIR",
		Short: "Take a rack down, with every program on its management node",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := e.folder()
			if err != nil {
				return err
			}
			return sim.NewClient(folder).Down(cmd.Context())
		},
	})
}

func newPower(e *env) *cobra.Command {
	return e.rackFlag(&cobra.Command{
		Use:   "power --dir DIR NODE on|off|reset|soft",
		Short: "Press a server's buttons, past its BMC",
		Args:  usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := e.folder()
			if err != nil {
				return err
			}
			return sim.NewClient(folder).Power(cmd.Context(), args[0], sim.PowerOrder(args[1]))
		},
	})
}

func newConsole(e *env) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "console --dir DIR [--follow] NODE",
		Short: "Show what a server has printed on its serial console",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := e.folder()
			if err != nil {
				return err
			}
			return e.console(cmd.Context(), folder, args[0], follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until Ctrl-C")
	return e.rackFlag(cmd)
}

func (e *env) console(ctx context.Context, folder sim.Folder, node string, follow bool) error {
	st, err := sim.NewClient(folder).Status(ctx)
	if err != nil {
		return err
	}
	n := st.Find(node)
	if n == nil {
		return fmt.Errorf("no server %s in this rack", node)
	}
	return folder.CopyConsole(ctx, e.streams.Out, n.Name, follow)
}
