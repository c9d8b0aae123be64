package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// testBootstrap is a bootstrap at a terminal where answer is typed.
func testBootstrap(t *testing.T, r *testRack, answer string) (o *bootstrapOptions, out, errOut interface{ String() string }) {
	t.Helper()
	streams, in, stdout, stderr := stdio.Test()
	in.WriteString(answer)
	streams.InTTY, streams.OutTTY, streams.ErrTTY = true, true, true
	r.images = []api.ImageView{{ID: "abc", Name: "flatcar"}}
	c := testClient(t, r)
	return &bootstrapOptions{
		IO: streams, Now: testTime, Daemon: func() (provisioner, error) { return c, nil },
		Provision: "image", Image: "flatcar", OnFailure: "cancel", Take: noInterrupts,
		Given: func(string) bool { return false }, Home: func() (string, error) { return "/nowhere", nil },
	}, stdout, stderr
}

func TestBootstrapAsks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer string
		yes    bool
		code   int
	}{
		"yes":            {answer: "yes\n"},
		"yes and blanks": {answer: " yes \r\n"},
		"no":             {answer: "no\n", code: codeNotConfirmed},
		"y":              {answer: "y\n", code: codeNotConfirmed},
		"nothing typed":  {answer: "\n", code: codeNotConfirmed},
		"end of input":   {answer: "", code: codeNotConfirmed},
		"not asked":      {answer: "no\n", yes: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := scenarios()["success"]
			o, out, errOut := testBootstrap(t, r, tt.answer)
			o.Yes = tt.yes
			err := o.run(t.Context())
			if givenCode(err) != tt.code {
				t.Fatalf("got %v with code %d, want code %d", err, givenCode(err), tt.code)
			}
			if asked := strings.Contains(errOut.String(), "Type yes to go on: "); asked == tt.yes {
				t.Errorf("asked: %v, with --yes: %v", asked, tt.yes)
			}
			if !strings.Contains(errOut.String(), "their install disks are \x1b[31mERASED\x1b[0m") {
				t.Errorf("the plan is not shown:\n%s", errOut)
			}
			if (len(r.submitted) == 1) != (tt.code == 0) {
				t.Errorf("%d runs were submitted", len(r.submitted))
			}
			if tt.code == 0 && !strings.Contains(out.String(), "NAME") {
				t.Errorf("no result on stdout: %q", out)
			}
		})
	}
}

// What was shown is what is ordered, also when nodes.csv changes meanwhile.
func TestBootstrapIsBoundToThePlan(t *testing.T) {
	t.Parallel()
	r := scenarios()["success"]
	o, _, _ := testBootstrap(t, r, "yes\n")
	typed := strings.NewReader("yes\n")
	o.IO.In = readerFunc(func(p []byte) (int, error) { // while the operator reads
		r.mu.Lock()
		defer r.mu.Unlock()
		r.nodes = append(r.nodes, testNode(9, "known"))
		return typed.Read(p)
	})
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"}
	if d := cmp.Diff(want, r.submitted[0].Nodes); d != "" {
		t.Errorf("nodes (-want +got):\n%s", d)
	}
}

func TestBootstrapInterrupted(t *testing.T) {
	t.Parallel()
	r := scenarios()["success"]
	o, _, _ := testBootstrap(t, r, "")
	ctx, cancel := context.WithCancel(t.Context())
	typed, w := io.Pipe()
	defer w.Close()
	o.IO.In = readerFunc(func(p []byte) (int, error) {
		cancel() // Ctrl-C while the question stands
		return typed.Read(p)
	})
	if err := o.run(ctx); givenCode(err) != codeInterrupted || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want code 130", err)
	}
	if len(r.submitted) > 0 {
		t.Error("a run was submitted")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestReadLineError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := readLine(t.Context(), readerFunc(func([]byte) (int, error) { return 0, broken }))
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestAnswersTo(t *testing.T) {
	t.Parallel()
	n := fullNode()
	for _, word := range []string{"node-1", "NODE-1", "52:54:00:00:00:01", "52-54-00-00-01-01", "52:54:00:00:02:01", "172.24.213.2",
		"172.24.213.11", "S1", "0F3C1C5E-1111-4222-8333-ABCDEFABCDEF"} {
		if !answersTo(&n, word) {
			t.Errorf("%q does not name the node", word)
		}
	}
	bare := api.NodeView{Name: "x", PrimaryMAC: "52:54:00:00:00:01"}
	for _, word := range []string{"", "node", "52:54:00:00:00", "1"} {
		if answersTo(&n, word) || answersTo(&bare, word) {
			t.Errorf("%q names a node", word)
		}
	}
}
