package serve

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// TestStartWithBrokenRows starts over a nodes.csv that was right before and is wrong now.
func TestStartWithBrokenRows(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(filepath.Join(dir, "racker.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	settings := config.Default()
	settings.OEMDir, settings.Internal.Prefix = dir, netip.MustParsePrefix("172.24.213.0/24")
	settings.ManagementMAC = rack.MAC{0x52, 0x54, 0, 0, 0, 1}
	file := filepath.Join(dir, rack.NodesFile)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const right = "Primary MAC address,BMC MAC address,Secondary MAC address,Node Type,Comments\n" +
		"52:54:00:00:00:01,52:54:00:00:01:01,52:54:00:00:02:01,,\n52:54:00:00:00:02,52:54:00:00:01:02,,,\n"
	fresh := func() *metadata { return &metadata{settings: settings, store: st, log: slog.New(slog.DiscardHandler)} }
	write("nonsense\n")
	if _, _, err := fresh().Load(t.Context(), nil); err == nil {
		t.Error("a first start with a broken file")
	}
	write(right)
	if _, _, err := fresh().Load(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	write("nonsense\n")
	m := fresh()
	r, plan, err := m.Load(t.Context(), nil)
	if err != nil || len(r.Servers()) != 1 || !strings.Contains(m.trouble(), rack.NodesFile) {
		t.Fatalf("%+v, %v, %q", r, err, m.trouble())
	}
	if a, ok := plan.ByMAC(rack.MAC{0x52, 0x54, 0, 0, 0, 2}); !ok || a.Addr.String() != "172.24.213.2" {
		t.Errorf("the server's address is %v", a)
	}
	m.start()
	if _, _, err := m.Load(t.Context(), nil); err == nil {
		t.Error("an order was taken while the file is wrong")
	}
	write(right)
	if _, _, err := m.Load(t.Context(), nil); err != nil || m.trouble() != "" {
		t.Errorf("once it is right again: %v, %q", err, m.trouble())
	}
	write("nonsense\n")
	if _, _, err := m.Load(t.Context(), nil); err == nil {
		t.Error("an order over a broken file was taken")
	}
}
