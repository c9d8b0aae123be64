package agent

import (
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/api"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	row := api.Expect{Where: "node-7 (U17, serial ABC)", PrimaryMAC: "52:54:00:00:00:07", BMCMAC: "52:54:00:01:00:07", Serial: "ABC"}
	is := api.Identity{MACs: []string{"52:54:00:00:00:99", "52-54-00-00-00-07"}, BMCMAC: "52:54:00:01:00:07", Serial: "abc "}
	for _, c := range []struct {
		name string
		edit func(*api.Expect, *api.Identity)
		says []string // nil when it fits
	}{
		{"fits, in other spelling", func(*api.Expect, *api.Identity) {}, nil},
		{"tells neither BMC nor serial", func(_ *api.Expect, i *api.Identity) { i.BMCMAC, i.Serial = "", "" }, nil},
		{"row names neither", func(e *api.Expect, _ *api.Identity) { e.BMCMAC, e.Serial = "", "" }, nil},
		{"BMC of another row", func(_ *api.Expect, i *api.Identity) { i.BMCMAC = "52:54:00:01:00:08" },
			[]string{"node-7 (U17, serial ABC)", "52:54:00:01:00:07", "52:54:00:01:00:08", "nothing was written"}},
		{"another serial", func(_ *api.Expect, i *api.Identity) { i.Serial = "XYZ" }, []string{"ABC", "XYZ"}},
		{"another machine altogether", func(_ *api.Expect, i *api.Identity) {
			*i = api.Identity{MACs: []string{"52:54:00:00:00:08"}, BMCMAC: "52:54:00:01:00:08", Serial: "XYZ"}
		}, []string{"primary MAC", "BMC MAC", "serial ABC", "XYZ"}},
		{"no NIC", func(_ *api.Expect, i *api.Identity) { i.MACs = nil }, []string{"none"}},
	} {
		e, i := row, is
		c.edit(&e, &i)
		err := compare(e, i)
		if (err == nil) != (c.says == nil) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, w := range c.says {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not name %q", c.name, err, w)
			}
		}
	}
}
