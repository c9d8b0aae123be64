package cli

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// terminal gives the streams of a terminal of 80 columns without colour.
func terminal(t *testing.T) (io *stdio.Streams, out, errOut interface{ String() string }) {
	t.Helper()
	io, _, stdout, stderr := stdio.Test()
	io.InTTY, io.OutTTY, io.ErrTTY = true, true, true
	if err := io.SetColor(stdio.ColorNever); err != nil {
		t.Fatal(err)
	}
	return io, stdout, stderr
}

func fits(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// The longest states and names that there are still leave a table that no terminal breaks, with the reasons below it.
func TestNodeListOnATerminal(t *testing.T) {
	t.Parallel()
	io, out, _ := terminal(t)
	r := scenarios()["mixed"]
	r.nodes[2].Step, r.nodes[2].Reason = "checking-bmc", strings.Repeat("no answer, ", 4)
	c := testClient(t, r)
	o := nodeListOptions{IO: io, Now: testTime, Nodes: func() (nodeLister, error) { return c, nil }}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	table, below, _ := strings.Cut(out.String(), "\nFailing:\n")
	fits(t, table)
	if !strings.Contains(table, "failed (checking-bmc)") || !strings.Contains(below, "no answer") || !strings.Contains(below, "racker node show node-2") {
		t.Errorf("what failed is missing:\n%s", out)
	}
}

// The plan names each server once, by where it stands, with the disk that is erased.
func TestPlanOnATerminal(t *testing.T) {
	t.Parallel()
	r := scenarios()["success"]
	r.nodes = append(r.nodes[:1:1], fullNode(), with(testNode(2, "known"), func(n *api.NodeView) { n.BMCReached, n.Power = false, "" }))
	r.nodes[1].Power = api.PowerOff
	o, _, errOut := testBootstrap(t, r, "no\n")
	if err := o.IO.SetColor(stdio.ColorNever); err != nil {
		t.Fatal(err)
	}
	if err := o.run(t.Context()); givenCode(err) != codeNotConfirmed {
		t.Fatal(err)
	}
	_, plan, _ := strings.Cut(errOut.String(), "Install flatcar")
	fits(t, plan)
	for _, want := range []string{"SERVER ", "INSTALL DISK", "node-1 (U1, serial S1)", "/dev/vda, 3.7 GiB, D1", "not seen yet"} {
		if strings.Count(plan, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, plan)
		}
	}
}

func TestNothingYetOnATerminal(t *testing.T) {
	t.Parallel()
	c := testClient(t, &testRack{})
	settings := func() (config.Settings, error) {
		s := config.Default()
		s.StateDir = t.TempDir()
		return s, nil
	}
	for want, list := range map[string]func(context.Context, *stdio.Streams) error{
		"racker bootstrap": func(ctx context.Context, io *stdio.Streams) error {
			o := runListOptions{IO: io, Now: testTime, Runs: func() (runLister, error) { return c, nil }}
			return o.run(ctx)
		},
		"racker image add FILE": func(ctx context.Context, io *stdio.Streams) error {
			o := imageListOptions{IO: io, Now: testTime, Images: func() (imageLister, error) { return c, nil }}
			return o.run(ctx)
		},
		"racker microkernel build": func(_ context.Context, io *stdio.Streams) error {
			o := microkernelListOptions{IO: io, Now: testTime, Settings: settings}
			return o.run()
		},
	} {
		io, out, errOut := terminal(t)
		if err := list(t.Context(), io); err != nil {
			t.Fatal(err)
		}
		if out.String() != "" || !strings.Contains(errOut.String(), want) {
			t.Errorf("stdout %q, stderr %q; want %q", out, errOut, want)
		}
	}
}

func TestFactoryCheckOnATerminal(t *testing.T) {
	t.Parallel()
	io, out, errOut := terminal(t)
	dir := oemDir(t, []byte("Primary MAC, BMC MAC, Secondary MAC, Type\n52:54:00:aa:00:01, , 52:54:00:cc:00:01, management\n"+
		"52:54:00:aa:00:02, 52:54:00:bb:00:02, , compute\n"))
	o := checkOptions(io, dir)
	if err := o.run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := dir + ": nothing is wrong; the internal network is 172.24.213.0/24 on eth1.\n"; !strings.Contains(errOut.String(), want) {
		t.Errorf("stderr %q, want %q", errOut, want)
	}
	if want := "NODE TYPE  NODES\ncompute    1\n"; out.String() != want {
		t.Errorf("stdout %q, want %q", out, want)
	}
}
