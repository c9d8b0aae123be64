package cli

import (
	"testing"

	"github.com/racker-project/racker/pkg/internal/golden"
	"github.com/racker-project/racker/pkg/stdio"
)

func TestStatusOnATerminal(t *testing.T) {
	t.Parallel()
	io, _, out, errOut := stdio.Test()
	io.OutTTY, io.ErrTTY = true, true
	c := testClient(t, scenarios()["mixed"])
	o := statusOptions{IO: io, Now: testTime, Source: func() (statusSource, error) { return c, nil }, Full: true}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "golden/status_full.txt", out.Bytes())
	if errOut.Len() > 0 {
		t.Errorf("stderr: %q", errOut)
	}
}
