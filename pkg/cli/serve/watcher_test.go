package serve

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
	"github.com/racker-project/racker/pkg/tftpd"
)

const twoRows = `Primary MAC address, BMC MAC address, Secondary MAC address, Node Type, Comments
52:54:00:00:00:01, 52:54:00:00:01:01, 52:54:00:00:02:01, mgmt, the management node
52:54:00:00:00:02, 52:54:00:00:01:02, 52:54:00:00:02:02, red, a server
`

// rows reads nodes.csv from a string.
type rows string

// Load implements provision.Metadata.
func (r rows) Load(context.Context, map[rack.MAC]rack.MAC) (*rack.Rack, *rack.Plan, error) {
	got, err := rack.ReadCSV(strings.NewReader(string(r)), "nodes.csv", rack.ReadOptions{ManagementMAC: rack.MAC{0x52, 0x54, 0, 0, 2, 1}})
	if err != nil {
		return nil, nil, err
	}
	p, err := rack.MakePlan(netip.MustParsePrefix("172.24.213.0/24"), got, nil)
	return got, p, err
}

func watching(t *testing.T) (watcher, *event.Bus) {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "racker.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	bus, log := event.NewBus(), slog.New(slog.DiscardHandler)
	m, err := provision.New(t.Context(), provision.Config{LogDir: t.TempDir()}, st, provision.Needs{Events: bus, Metadata: rows(twoRows)}, log)
	if err != nil {
		t.Fatal(err)
	}
	return watcher{machine: m, events: bus, unknown: newSeldom(), log: log}, bus
}

// without forgets what differs from call to call.
func without(events []event.Event) []event.Event {
	for i := range events {
		events[i].ID, events[i].Time = 0, time.Time{}
	}
	return events
}

func TestPacketsBelongToTheirNode(t *testing.T) {
	w, bus := watching(t)
	const server = "52:54:00:00:00:02"
	for last, want := range map[byte]event.Event{
		2: {Kind: event.DHCPSeen, Node: server, Message: "DHCP DISCOVER of PXE firmware, answered OFFER 172.24.213.9, boot file ipxe.efi; odd",
			Fields: map[string]string{"role": "server"}},
		0x12: {Kind: event.DHCPSeen, Node: server, Fields: map[string]string{"role": "bmc"},
			Message: "its BMC: DHCP DISCOVER of PXE firmware, answered OFFER 172.24.213.9, boot file ipxe.efi; odd"},
		0x22: {Kind: event.DHCPSeen, Node: server, Fields: map[string]string{"role": "secondary"},
			Message: "its secondary NIC 52:54:00:00:02:02: DHCP DISCOVER of PXE firmware, answered OFFER 172.24.213.9, boot file ipxe.efi; odd"},
		0x77: {Kind: event.Unknown, Fields: map[string]string{},
			Message: "unknown machine 52:54:00:00:07:07: DHCP DISCOVER of PXE firmware, answered OFFER 172.24.213.9, boot file ipxe.efi; odd"},
	} {
		mac := rack.MAC{0x52, 0x54, 0, 0, last >> 4, last & 15}
		for k, v := range map[string]string{
			"mac": mac.String(), "xid": "1a2b", "type": "DISCOVER", "reply": "OFFER", "client": "pxe", "ip": "172.24.213.9",
			"file": "ipxe.efi", "problem": "odd",
		} {
			want.Fields[k] = v
		}
		from := bus.Last()
		for range 3 { // of an unknown machine once a minute
			w.Packet(t.Context(), dhcpd.Seen{
				MAC: mac, XID: "1a2b", Type: dhcpv4.MessageTypeDiscover, Reply: dhcpv4.MessageTypeOffer, Client: pxe.Client{PXE: true},
				IP: netip.MustParseAddr("172.24.213.9"), File: "ipxe.efi", Problem: "odd",
			})
		}
		got := without(bus.Since(from))
		if want.Kind != event.Unknown && len(got) != 3 || want.Kind == event.Unknown && len(got) != 1 {
			t.Fatalf("%s: %d events", mac, len(got))
		}
		if d := cmp.Diff(want, got[0]); d != "" {
			t.Errorf("%s (-want +got):\n%s", mac, d)
		}
	}
}

func TestSeldom(t *testing.T) {
	s := newSeldom()
	at := time.Unix(1000, 0)
	mac := func(i int) rack.MAC { return rack.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)} }
	for i, want := range []bool{true, false, false} {
		if got := s.due(mac(1), at.Add(time.Duration(i)*20*time.Second)); got != want {
			t.Errorf("question %d: %v", i, got)
		}
	}
	if !s.due(mac(1), at.Add(seldomEvery)) {
		t.Error("a minute later it is still silent")
	}
	for i := range 3 * seldomMACs {
		s.due(mac(i), at.Add(seldomEvery))
	}
	if len(s.last) > seldomMACs || s.due(mac(3*seldomMACs), at.Add(seldomEvery)) {
		t.Errorf("%d MACs are remembered", len(s.last))
	}
	if !s.due(mac(3*seldomMACs), at.Add(3*seldomEvery)) {
		t.Error("the flood is over, and nobody is heard")
	}
}

func TestFilesServed(t *testing.T) {
	w, bus := watching(t)
	f := fetches{watcher: w}
	server, ok := w.machine.Assigned(rack.MAC{0x52, 0x54, 0, 0, 0, 2})
	if !ok {
		t.Fatal("no address")
	}
	other := netip.MustParseAddr("172.24.213.200")
	f.File(t.Context(), tftpd.Served{Name: "ipxe.efi", IP: server.Addr, Bytes: 512, Size: 2048, Duration: time.Second, Err: errors.New("timeout")})
	f.File(t.Context(), tftpd.Served{Name: "ipxe.efi", IP: server.Addr, Size: 2048, Probe: true})
	f.Asset(t.Context(), bootd.Served{From: server.Addr, File: "microkernels/1/vmlinuz", Bytes: 7, Size: 7})
	f.Asset(t.Context(), bootd.Served{From: other, File: "images/x", Bytes: 3, Size: 7})
	fields := func(from netip.Addr, by, file, bytes, size, done, reason string) map[string]string {
		m := map[string]string{"ip": from.String(), "by": by, "file": file, "bytes": bytes, "size": size, "done": done}
		if reason != "" {
			m["reason"] = reason
		}
		return m
	}
	node := server.MAC.String()
	want := []event.Event{
		{Kind: event.FileServed, Node: node, Message: "TFTP: ipxe.efi, 512 bytes in 1s: timeout",
			Fields: fields(server.Addr, "tftp", "ipxe.efi", "512", "2048", "false", "timeout")},
		{Kind: event.FileServed, Node: node, Message: "TFTP: ipxe.efi, 0 bytes: only its size was asked for",
			Fields: fields(server.Addr, "tftp", "ipxe.efi", "0", "2048", "false", "")},
		{Kind: event.FileServed, Node: node, Message: "HTTP: microkernels/1/vmlinuz, 7 bytes",
			Fields: fields(server.Addr, "http", "microkernels/1/vmlinuz", "7", "7", "true", "")},
		{Kind: event.FileServed, Message: "HTTP: images/x, 3 bytes",
			Fields: fields(other, "http", "images/x", "3", "7", "true", "")},
	}
	if d := cmp.Diff(want, without(bus.Since(0))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
