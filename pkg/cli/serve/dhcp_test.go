package serve

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

func TestPoolLeasesAreKept(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), "racker.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	p := pool{st}
	want := []dhcpd.Lease{
		{MAC: rack.MAC{2, 0, 0, 0, 0, 1}, IP: netip.MustParseAddr("172.24.213.130"), Expires: time.Unix(1000, 0).UTC()},
		{MAC: rack.MAC{2, 0, 0, 0, 0, 2}, IP: netip.MustParseAddr("172.24.213.131"), Expires: time.Unix(2000, 0).UTC()},
	}
	for range 2 { // a renewal writes the same key again
		if err := p.Save(t.Context(), want...); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.Load(t.Context())
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := st.Txn(t.Context(), nil, store.Put(poolKeys+"172.24.213.132", []byte("{"))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Load(t.Context()); err == nil {
		t.Error("a broken lease was taken")
	}
}
