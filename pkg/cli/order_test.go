package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/rack"
)

// The orders of a testRack change its nodes at once. The BMC of node-2 never answers.

// ordered changes the node that word names, and notes the order.
func (r *testRack) ordered(word, text string, change func(*api.NodeView) (api.OrderView, error)) (api.OrderView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.nodes, func(n api.NodeView) bool { return answersTo(&n, word) })
	if i < 0 {
		return api.OrderView{}, fmt.Errorf("%q: %w", word, provision.ErrNoNode)
	}
	r.orders = append(r.orders, text+" "+r.nodes[i].Name)
	v, err := change(&r.nodes[i])
	if err != nil {
		return api.OrderView{}, err
	}
	v.Node = r.nodes[i]
	v.Message = r.nodes[i].Where + ": " + v.Message
	return v, nil
}

func (r *testRack) Power(_ context.Context, word string, o api.PowerOrder) (api.OrderView, error) {
	text := "power " + string(o.Power)
	if o.Hard {
		text += " hard"
	}
	return r.ordered(word, text, func(n *api.NodeView) (api.OrderView, error) {
		if n.Name == "node-2" {
			return api.OrderView{}, fmt.Errorf("%s: %w", n.Where, bmc.ErrUnreachable)
		}
		v := api.OrderView{Changed: n.Power != o.Power, Message: "power is " + string(o.Power) + ", verified"}
		n.Power = o.Power
		return v, nil
	})
}

func (r *testRack) Exclude(_ context.Context, word string) (api.OrderView, error) {
	return r.ordered(word, "exclude", func(n *api.NodeView) (api.OrderView, error) {
		v := api.OrderView{Changed: n.State != stateExcluded, Message: "excluded"}
		n.State = stateExcluded
		if n.Name == "node-2" {
			v.NotFenced, v.Code = "no answer from the BMC", codeSomeNodes
		}
		return v, nil
	})
}

func (r *testRack) Include(_ context.Context, word string) (api.OrderView, error) {
	return r.ordered(word, "include", func(n *api.NodeView) (api.OrderView, error) {
		v := api.OrderView{Changed: n.State == stateExcluded, Message: "included again"}
		n.State = stateKnown
		return v, nil
	})
}

func (r *testRack) Adopt(_ context.Context, word string) (api.OrderView, error) {
	return r.ordered(word, "adopt", func(n *api.NodeView) (api.OrderView, error) {
		if n.Power != api.PowerOn {
			return api.OrderView{}, fmt.Errorf("%s is off: %w", n.Where, provision.ErrNotRunning)
		}
		n.State, n.Adopted = stateReady, true
		return api.OrderView{Changed: true, Message: "taken in as ready"}, nil
	})
}

// Reprovision and Boot give the run of the scenario.
func (r *testRack) Reprovision(_ context.Context, word string, o api.Reprovision) (api.RunView, error) {
	return r.runOrdered(word, fmt.Sprintf("reprovision %q %s %d %d%s", o.Image, o.OnFailure, o.Retries, len(o.SSHKeys), allows(o.Erase, o.Shown)))
}

// allows tells who allows the disks of an order to be erased.
func allows(erase, shown string) string {
	text := ""
	if erase != "" {
		text = " " + erase
	}
	if shown != "" {
		text += " shown:" + shown[:8]
	}
	return text
}

func (r *testRack) Boot(_ context.Context, word string, o api.BootOrder) (api.RunView, error) {
	return r.runOrdered(word, "boot "+o.Target)
}

func (r *testRack) runOrdered(word, text string) (api.RunView, error) {
	_, err := r.ordered(word, text, func(n *api.NodeView) (api.OrderView, error) {
		if n.Run != "" {
			return api.OrderView{}, fmt.Errorf("%w: %s has the order %s", provision.ErrBusy, n.Where, n.Run)
		}
		return api.OrderView{}, nil
	})
	if err != nil {
		return api.RunView{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[0], nil
}

// Answer moves the run on, unless nobody asks.
func (r *testRack) Answer(_ context.Context, id string, a api.Answer) (api.RunView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.runs[0].Questions) == 0 {
		return api.RunView{}, fmt.Errorf("run %s: %w", id, provision.ErrNotAsked)
	}
	r.orders = append(r.orders, "answer "+a.Answer+" "+a.Node)
	r.runs = r.runs[1:]
	return r.runs[0], nil
}

// ConfirmErase moves the run on, when the table is the one.
func (r *testRack) ConfirmErase(_ context.Context, id string, a api.EraseAnswer) (api.RunView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.runs[0].Erase
	if t == nil || t.Digest != a.Digest {
		return api.RunView{}, fmt.Errorf("run %s: %w", id, provision.ErrTable)
	}
	r.orders = append(r.orders, strings.TrimSpace("erase "+strings.Join(a.Exclude, " ")))
	r.runs = r.runs[1:]
	return r.runs[0], nil
}

// PlanErase knows the hardware of all nodes but node-3 and those whose BMC was not reached.
func (r *testRack) PlanErase(_ context.Context, p api.ErasePlan) (api.EraseView, error) {
	v := api.EraseView{Rows: []api.EraseRow{}}
	for i := range r.nodes {
		n := &r.nodes[i]
		switch {
		case !slices.Contains(p.Run.Nodes, n.PrimaryMAC):
		case n.Name == "node-3", !n.BMCReached:
			v.Waiting = append(v.Waiting, n.Where)
		default:
			row := testRow(i, 1)
			row.Node, row.Where = n.PrimaryMAC, n.Where
			if p.Run.WipeOldOS || p.Declared[n.PrimaryMAC].Wipe == api.WipeAll {
				row.Wipes = []api.Disk{{Path: "/dev/vdb", Size: 8e9, Model: "DATA", Serial: "W1", Contents: []string{"ext4 data"}}}
				row.Digest = (&api.DiskResult{Disk: row.Disk, Wipes: row.Wipes}).Digest()
			}
			v.Rows = append(v.Rows, row)
		}
	}
	v.Digest = api.EraseDigest(v.Rows)
	return v, nil
}

func (r *testRack) Replace(_ context.Context, word string, o api.Replace) (api.OrderView, error) {
	return r.ordered(word, fmt.Sprintf("replace %s,%s,%s", o.Primary, o.BMC, o.Secondary), func(n *api.NodeView) (api.OrderView, error) {
		same := (o.Primary == "" || o.Primary == n.PrimaryMAC) && (o.BMC == "" || o.BMC == n.BMCMAC) && (o.Secondary == "" || o.Secondary == n.SecondaryMAC)
		if n.Name == "node-2" {
			return api.OrderView{}, fmt.Errorf("%w: %s has the order run-9", provision.ErrBusy, n.Where)
		}
		return api.OrderView{Changed: !same, Message: "noted"}, nil
	})
}

// Reread takes the MACs of the nodes from nodes.csv, row by row; a row more is a new node. A file with a type "refused" is.
// Tests that have no such file change no rows.
func (r *testRack) Reread(context.Context) (api.ReloadView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.Open(filepath.Join(r.oem, rack.NodesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return api.ReloadView{}, nil
	}
	if err != nil {
		return api.ReloadView{}, err
	}
	defer f.Close()
	rows, err := rack.ReadCSV(f, rack.NodesFile, rack.ReadOptions{SkipLocal: true})
	if err != nil {
		return api.ReloadView{}, err
	}
	if slices.ContainsFunc(rows.Nodes, func(n rack.Node) bool { return n.Type == "refused" }) {
		return api.ReloadView{}, fmt.Errorf("nodes.csv: %w", provision.ErrBusy)
	}
	r.orders = append(r.orders, "reload")
	for i, n := range rows.Nodes {
		if i == len(r.nodes) {
			r.nodes = append(r.nodes, with(testNode(i, stateKnown), func(v *api.NodeView) { v.Power = "" }))
		}
		r.nodes[i].PrimaryMAC, r.nodes[i].BMCMAC, r.nodes[i].SecondaryMAC = n.Primary.String(), n.BMC.String(), n.Secondary.String()
	}
	return api.ReloadView{}, nil
}
