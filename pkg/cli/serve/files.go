package serve

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/tftpd"
)

func (w watcher) file(from netip.Addr, by, name string, bytes int64, took time.Duration, err error) {
	text := fmt.Sprintf("%s: %s, %d bytes", by, name, bytes)
	if took > 0 {
		text += fmt.Sprintf(" in %s", took.Round(time.Millisecond))
	}
	if err != nil {
		text += ": " + err.Error()
	}
	e := event.Event{Kind: event.FileServed, Message: text, Fields: map[string]string{"file": name, "ip": from.String()}}
	if a, ok := w.machine.AssignedAt(from); ok && a.Role == rack.RoleServer {
		w.machine.Note(a.MAC, e)
		return
	}
	w.events.Publish(e)
}

// fetches hears what TFTP and HTTP served: evidence, and for the DHCP server the sign that a boot program was taken.
type fetches struct {
	watcher
	dhcp *dhcpd.Server
}

// File implements tftpd.Observer.
func (f fetches) File(_ context.Context, s tftpd.Served) {
	f.file(s.IP, "TFTP", s.Name, s.Bytes, s.Duration, s.Err)
	if s.Err == nil && !s.Probe {
		f.fetched(s.IP)
	}
}

// Asset implements bootd.Observer.
func (f fetches) Asset(_ context.Context, s bootd.Served) {
	f.file(s.From, "HTTP", s.File, s.Bytes, 0, s.Err)
	if s.Err == nil && strings.HasPrefix(s.File, areaIPXE+"/") {
		f.fetched(s.From)
	}
}

func (f fetches) fetched(by netip.Addr) {
	if f.dhcp != nil {
		f.dhcp.Fetched(by)
	}
}
