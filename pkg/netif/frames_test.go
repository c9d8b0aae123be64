package netif

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/rack"
)

var (
	everybody = rack.MAC{255, 255, 255, 255, 255, 255}
	slowGroup = rack.MAC{1, 0x80, 0xc2, 0, 0, 2}
)

// frame makes an Ethernet frame; rest begins with the EtherType, or a tag.
func frame(to, from rack.MAC, rest ...byte) []byte {
	b := append(append(append([]byte{}, to[:]...), from[:]...), rest...)
	return append(b, make([]byte, max(0, 60-len(b)))...)
}

// discover is the beginning of a DHCP packet of a client, after the EtherType.
func discover() []byte {
	ip := make([]byte, 28)
	ip[0], ip[9] = 0x45, unix.IPPROTO_UDP
	ip[21], ip[23] = 68, 67
	return ip
}

func TestParseFrame(t *testing.T) {
	t.Parallel()
	from := rack.MAC{2, 0, 0, 0, 0, 9}
	fragment, long, short := discover(), append([]byte{0x46}, discover()[1:]...), discover()[:22]
	fragment[7] = 1
	long = append(long[:20], append(make([]byte, 4), long[20:]...)...)
	tests := map[string]struct {
		rest []byte
		kind FrameKind
		vlan int
	}{
		"ARP":                 {[]byte{8, 6}, FrameARP, 0},
		"IPv6":                {[]byte{0x86, 0xdd}, FrameIPv6, 0},
		"LLDP":                {[]byte{0x88, 0xcc}, FrameLLDP, 0},
		"LACP":                {[]byte{0x88, 9, 1}, FrameLACP, 0},
		"marker, slow too":    {[]byte{0x88, 9, 2}, FrameOther, 0},
		"DHCP":                {append([]byte{8, 0}, discover()...), FrameDHCP, 0},
		"DHCP, IP options":    {append([]byte{8, 0}, long...), FrameDHCP, 0},
		"a fragment":          {append([]byte{8, 0}, fragment...), FrameOther, 0},
		"cut short":           {append([]byte{8, 0}, short...), FrameOther, 0},
		"IPv4, no header":     {[]byte{8, 0}, FrameOther, 0},
		"something else":      {[]byte{0x12, 0x34}, FrameOther, 0},
		"tag":                 {append([]byte{0x81, 0, 0x60, 20, 8, 0}, discover()...), FrameDHCP, 20},
		"tag of priority":     {[]byte{0x81, 0, 0xe0, 0, 8, 6}, FrameARP, 0},
		"two tags, the outer": {[]byte{0x88, 0xa8, 0, 100, 0x81, 0, 0, 20, 8, 6}, FrameARP, 100},
	}
	for name, tt := range tests {
		b := frame(everybody, from, tt.rest...)
		if strings.Contains(name, "short") {
			b = b[:14+len(short)]
		}
		mac, kind, vlan, ok := parseFrame(b)
		if !ok || mac != from || kind != tt.kind || vlan != tt.vlan {
			t.Errorf("%s: %s %q VLAN %d %v", name, mac, kind, vlan, ok)
		}
	}
	for name, b := range map[string][]byte{
		"short": make([]byte, 13), "no sender": frame(everybody, rack.MAC{}, 8, 6), "a group as sender": frame(everybody, slowGroup, 8, 6),
	} {
		if mac, _, _, ok := parseFrame(b); ok {
			t.Errorf("%s: %s", name, mac)
		}
	}
	if _, kind, vlan, ok := parseFrame(frame(everybody, from, 0x81, 0)[:15]); kind != FrameOther || vlan != 0 || !ok {
		t.Errorf("a torn tag: %q %d %v", kind, vlan, ok)
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(frame(everybody, macPeer, append([]byte{0x81, 0, 0, 5, 8, 0}, discover()...)...), []byte{})
	f.Add(frame(slowGroup, macPeer, 0x88, 9, 1), make([]byte, 36))
	f.Add([]byte{}, []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b, control []byte) {
		l := NewFrames("x", slog.New(slog.DiscardHandler))
		l.take(b, strippedVLAN(control), time.Unix(1, 0))
		for mac, h := range l.heard {
			if mac.IsZero() || h.VLAN < 0 || h.VLAN > vlanBits || h.Kind == "" {
				t.Errorf("%s: %+v", mac, h)
			}
		}
	})
}

func TestFramesAreBounded(t *testing.T) {
	t.Parallel()
	l := NewFrames("x", slog.New(slog.DiscardHandler))
	at := time.Unix(1000, 0)
	for i := range 2 * maxHeard {
		l.take(frame(everybody, rack.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, 8, 6), 0, at)
	}
	if len(l.heard) > maxHeard {
		t.Errorf("%d machines are remembered", len(l.heard))
	}
	l.take(frame(slowGroup, macPeer, 0x88, 9, 1), 0, at)
	l.take(frame(everybody, macPeer, 0x86, 0xdd), 7, at.Add(time.Minute))
	got, ok := l.Seen(macPeer)
	if d := cmp.Diff(Heard{At: at.Add(time.Minute), Kind: FrameIPv6, VLAN: 7, LACP: at}, got); d != "" || !ok || got.String() != "IPv6, VLAN 7" {
		t.Errorf("%v %s\n%s", ok, got, d)
	}
	if h := (Heard{Kind: FrameARP}).String(); h != "ARP" {
		t.Error(h)
	}
}

// listening runs a listener on int0 until the test ends. What it logs is in the record.
type listening struct {
	*Frames
	log lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func listen(t *testing.T) *listening {
	t.Helper()
	l := new(listening)
	l.Frames = NewFrames("int0", slog.New(slog.NewTextHandler(&l.log, nil)))
	l.again = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run goes on after the end of its context")
		}
	})
	return l
}

// send puts frames on a wire, from a namespace.
func send(t *testing.T, n *nettest.Net, ns nettest.NS, iface string, frames ...[]byte) {
	t.Helper()
	err := n.In(ns, func() error {
		ifc, err := ByName(iface)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		for _, b := range frames {
			if err := unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: ifc.Index}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hear sends a frame until it is heard.
func hear(t *testing.T, n *nettest.Net, ns nettest.NS, l *listening, mac rack.MAC, b []byte) Heard {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); time.Sleep(2 * time.Millisecond) {
		send(t, n, ns, "eth0", b)
		if h, ok := l.Seen(mac); ok {
			return h
		}
	}
	t.Fatalf("%s was not heard; the log says %s", mac, &l.log)
	return Heard{}
}

func TestFrames(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		peer := cable(n)
		l := listen(t)
		mac := func(last byte) rack.MAC { return rack.MAC{2, 0, 0, 0, 0, last} }
		hear(t, n, peer, l, mac(1), frame(everybody, mac(1), 8, 6))
		began := time.Now()

		// These must not be heard: a frame to us, our own address forged, and our own frame. What is sent after them is
		// heard after them.
		send(t, n, peer, "eth0", frame(macOurs, mac(2), 8, 6), frame(everybody, macOurs, 8, 6))
		send(t, n, nettest.NS{}, "int0", frame(everybody, mac(3), 8, 6))

		for last, want := range map[byte]struct {
			frame []byte
			heard Heard
		}{
			4: {frame(slowGroup, mac(4), 0x88, 9, 1), Heard{Kind: FrameLACP}},
			5: {frame(rack.MAC{1, 0x80, 0xc2, 0, 0, 14}, mac(5), 0x88, 0xcc), Heard{Kind: FrameLLDP}},
			6: {frame(rack.MAC{0x33, 0x33, 0, 0, 0, 1}, mac(6), 0x86, 0xdd), Heard{Kind: FrameIPv6}},
			// The kernel takes the tag off; then it is in the control data.
			7: {frame(everybody, mac(7), append([]byte{0x81, 0, 0x60, 20, 8, 0}, discover()...)...), Heard{Kind: FrameDHCP, VLAN: 20}},
			8: {frame(rack.MAC{2, 0, 0, 0, 0, 0x99}, mac(8), 0x81, 0, 0, 21, 0x12, 0x34), Heard{Kind: FrameOther, VLAN: 21}},
			9: {frame(everybody, mac(9), 0x88, 0xa8, 0, 22, 0x81, 0, 0, 23, 8, 6), Heard{Kind: FrameARP, VLAN: 22}},
		} {
			got := hear(t, n, peer, l, mac(last), want.frame)
			if got.At.Before(began.Add(-time.Second)) || (got.Kind == FrameLACP) == got.LACP.IsZero() {
				t.Errorf("times: %+v", got)
			}
			got.At, got.LACP = time.Time{}, time.Time{}
			if d := cmp.Diff(want.heard, got); d != "" {
				t.Errorf("%d (-want +got):\n%s", last, d)
			}
		}
		for _, m := range []rack.MAC{mac(2), mac(3), macOurs} {
			if h, ok := l.Seen(m); ok {
				t.Errorf("%s was heard: %s", m, h)
			}
		}
		if s := l.log.String(); s != "" {
			t.Errorf("the log says %s", s)
		}
	})
}

// TestFramesOfAnInterfaceThatComesBack takes the interface away and makes it anew.
func TestFramesOfAnInterfaceThatComesBack(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := listen(t) // there is none yet
		mac := rack.MAC{2, 0, 0, 0, 0, 1}
		for range 2 {
			peer := cable(n)
			hear(t, n, peer, l, mac, frame(everybody, mac, 8, 6))
			link, err := netlink.LinkByName("int0")
			if err != nil {
				t.Fatal(err)
			}
			if err := netlink.LinkDel(link); err != nil {
				t.Fatal(err)
			}
			l.mu.Lock()
			clear(l.heard)
			l.mu.Unlock()
		}
		if s := l.log.String(); strings.Count(s, "not heard") > 3 {
			t.Errorf("it warns again and again:\n%s", s)
		}
	})
}
