package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// verify compares the machine with its row, before anything is written.
func (a *Agent) verify(w *work) error {
	if err := compare(w.job.Expect, a.identity); err != nil {
		return err
	}
	w.verified = true
	return nil
}

// compare names every difference between a row and a machine, in one sentence.
func compare(want api.Expect, is api.Identity) error {
	var why []string
	if want.PrimaryMAC == "" {
		// without it nothing ties the order to this machine
		why = append(why, "the order names no primary MAC")
	} else if !slices.ContainsFunc(is.MACs, func(m string) bool { return sameMAC(m, want.PrimaryMAC) }) {
		why = append(why, fmt.Sprintf("its row says primary MAC %s, and this machine has %s", want.PrimaryMAC, list(is.MACs)))
	}
	if want.BMCMAC != "" && is.BMCMAC != "" && !sameMAC(want.BMCMAC, is.BMCMAC) {
		why = append(why, fmt.Sprintf("its row says BMC MAC %s, and this machine's BMC has %s", want.BMCMAC, is.BMCMAC))
	}
	if want.Serial != "" && is.Serial != "" && !strings.EqualFold(strings.TrimSpace(want.Serial), strings.TrimSpace(is.Serial)) {
		why = append(why, fmt.Sprintf("its row says serial %s, and this machine has %s", want.Serial, is.Serial))
	}
	if len(why) == 0 {
		return nil
	}
	where := want.Where
	if where == "" {
		where = "the node of the order"
	}
	return errors.New("this machine is not " + where + ": " + strings.Join(why, "; ") + "; nothing was written")
}

// sameMAC compares two MACs as written by different hands.
func sameMAC(a, b string) bool {
	x, errA := rack.ParseMAC(a)
	y, errB := rack.ParseMAC(b)
	return errA == nil && errB == nil && x == y
}

// list joins words for a sentence.
func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
