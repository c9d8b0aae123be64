package serve

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/tftpd"
)

// sent is a file as TFTP or HTTP served it.
type sent struct {
	from        netip.Addr
	by, name    string
	bytes, size int64
	took        time.Duration
	probe       bool // only the size was asked for
	err         error
}

func (w watcher) file(s sent) {
	text := fmt.Sprintf("%s: %s, %d bytes", strings.ToUpper(s.by), s.name, s.bytes)
	fields := map[string]string{
		event.KeyFile: s.name, event.KeyIP: s.from.String(), event.KeyBy: s.by,
		event.KeyBytes: strconv.FormatInt(s.bytes, 10), event.KeySize: strconv.FormatInt(s.size, 10),
		event.KeyDone: strconv.FormatBool(s.err == nil && !s.probe),
	}
	if s.took > 0 {
		text += fmt.Sprintf(" in %s", s.took.Round(time.Millisecond))
	}
	switch {
	case s.err != nil:
		text += ": " + s.err.Error()
		fields[event.KeyReason] = s.err.Error()
	case s.probe:
		text += ": only its size was asked for"
	}
	e := event.Event{Kind: event.FileServed, Message: text, Fields: fields}
	if a, ok := w.machine.AssignedAt(s.from); ok && a.Role == rack.RoleServer {
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
	f.file(sent{
		from: s.IP, by: event.ByTFTP, name: s.Name, bytes: s.Bytes, size: s.Size, took: s.Duration, probe: s.Probe, err: s.Err,
	})
	if s.Err == nil && !s.Probe {
		f.fetched(s.IP)
	}
}

// Asset implements bootd.Observer.
func (f fetches) Asset(_ context.Context, s bootd.Served) {
	f.file(sent{from: s.From, by: event.ByHTTP, name: s.File, bytes: s.Bytes, size: s.Size, err: s.Err})
	if s.Err == nil && strings.HasPrefix(s.File, areaIPXE+"/") {
		f.fetched(s.From)
	}
}

func (f fetches) fetched(by netip.Addr) {
	if f.dhcp != nil {
		f.dhcp.Fetched(by)
	}
}
