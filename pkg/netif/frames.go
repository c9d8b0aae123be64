package netif

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	// framesAgain is the pause before a socket that failed is opened again: the interface may come back.
	framesAgain = 5 * time.Second
	// maxHeard bounds how many machines are remembered.
	maxHeard = 8192
)

// FrameKind says what a frame was, in a word for people.
type FrameKind string

// Kinds of frames.
const (
	FrameARP   FrameKind = "ARP"
	FrameDHCP  FrameKind = "DHCP" // of a client
	FrameIPv6  FrameKind = "IPv6"
	FrameLLDP  FrameKind = "LLDP"
	FrameLACP  FrameKind = "LACP"
	FrameOther FrameKind = "other"
)

// Heard is the last frame of a machine.
type Heard struct {
	At   time.Time
	Kind FrameKind
	// VLAN is the tag's VLAN identifier, 1 to 4094; 0 for a frame without one (IEEE 802.1Q 9.6). Of two tags it is the outer.
	VLAN int
	// LACP is when the machine last spoke LACP, which the side of a bond does; zero for never.
	LACP time.Time
}

// String is "IPv6" or "DHCP, VLAN 20".
func (h Heard) String() string {
	if h.VLAN != 0 {
		return fmt.Sprintf("%s, VLAN %d", h.Kind, h.VLAN)
	}
	return string(h.Kind)
}

// Frames listens on an interface to what machines say to everybody, and remembers for each MAC what came last: evidence
// that a link is up although nothing else is heard. It sees broadcast and multicast frames, and all that have a VLAN tag;
// in promiscuous mode, since NICs drop tags that nobody asked for. It sends nothing. The network can make it forget, by
// frames from many invented MACs, and cannot make it grow.
type Frames struct {
	iface string
	again time.Duration // the pause before a socket that failed is opened again
	log   *slog.Logger

	mu    sync.Mutex
	heard map[rack.MAC]Heard
}

// NewFrames makes a listener; it opens nothing.
func NewFrames(iface string, log *slog.Logger) *Frames {
	return &Frames{iface: iface, again: framesAgain, log: log, heard: map[rack.MAC]Heard{}}
}

// Seen gives what was heard of a MAC last. It may be called concurrently.
func (f *Frames) Seen(mac rack.MAC) (Heard, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, ok := f.heard[mac]
	return h, ok
}

// Run listens until ctx is done and gives nil. It needs CAP_NET_RAW; without it, or without the interface, it warns once
// and tries again every few seconds.
func (f *Frames) Run(ctx context.Context) error {
	warned := false
	for ctx.Err() == nil {
		err := f.listen(ctx, func() { warned = false })
		if ctx.Err() != nil {
			break
		}
		if !warned {
			f.log.WarnContext(ctx, "frames of the internal network are not heard", "iface", f.iface, "err", err)
			warned = true
		}
		t := time.NewTimer(f.again)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// listen reads one socket until it fails or ctx is done.
func (f *Frames) listen(ctx context.Context, works func()) error {
	s, err := openFrames(f.iface)
	if err != nil {
		return err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = s.SetReadDeadline(time.Now()) // wakes the reader
	})
	defer stop()
	rc, err := s.SyscallConn()
	if err != nil {
		return fmt.Errorf("interface %s: packet socket: %w", f.iface, err)
	}
	frame, control := make([]byte, frameSnap), make([]byte, 256)
	for {
		var n, c int
		var rerr error
		err := rc.Read(func(fd uintptr) bool {
			n, c, _, _, rerr = unix.Recvmsg(int(fd), frame, control, 0)
			return !errors.Is(rerr, unix.EAGAIN) && !errors.Is(rerr, unix.EINTR)
		})
		if err := errors.Join(err, rerr); err != nil {
			return fmt.Errorf("interface %s: read frames: %w", f.iface, err)
		}
		works()
		f.take(frame[:n], strippedVLAN(control[:c]), time.Now())
	}
}

// take remembers a frame. vlan is that of a tag which the kernel took off it.
func (f *Frames) take(frame []byte, vlan int, at time.Time) {
	mac, kind, inline, ok := parseFrame(frame)
	if !ok {
		return
	}
	if vlan == 0 {
		vlan = inline
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h, known := f.heard[mac]
	if !known && len(f.heard) >= maxHeard {
		for some := range f.heard { // whichever the map gives
			delete(f.heard, some)
			break
		}
	}
	h.At, h.Kind, h.VLAN = at, kind, vlan
	if kind == FrameLACP {
		h.LACP = at
	}
	f.heard[mac] = h
}

// openFrames opens a packet socket (packet(7)) with its filter. The filter is there before the first frame can be.
func openFrames(iface string) (*os.File, error) {
	ifc, err := ByName(iface)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("interface %s: packet socket: %w", iface, err)
	}
	s := os.NewFile(uintptr(fd), "frames of "+iface)
	filter, err := frameFilter(ifc.MAC)
	if err == nil {
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
	}
	if err == nil {
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(ifc.Index), Type: unix.PACKET_MR_PROMISC})
	}
	if err == nil {
		// The protocol is in network byte order.
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8, Ifindex: ifc.Index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("interface %s: packet socket: %w", iface, err), s.Close())
	}
	return s, nil
}
