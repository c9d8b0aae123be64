package e2e

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/sim"
)

// capture has tcpdump write down everything that passes the management node's internal NIC, until stop is called.
func (s *site) capture() (file string, stop func()) {
	s.t.Helper()
	file = filepath.Join(string(s.Folder), "internal.pcap")
	log, err := os.Create(filepath.Join(string(s.Folder), "tcpdump.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("tcpdump", "-i", sim.InternalInterface, "-s", "0", "-U", "-B", "65536", "-Z", "root", "-w", file) //nolint:noctx // stop ends it
	cmd.Stdout, cmd.Stderr = log, log
	s.Start(cmd)
	s.WaitFile(20*time.Second, log.Name(), "listening on")
	return file, func() {
		s.t.Helper()
		time.Sleep(100 * time.Millisecond) // what the kernel still holds for tcpdump
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			s.t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("tcpdump: %v\n%s", err, s.tail(log.Name()))
		}
		if text := s.tail(log.Name()); !strings.Contains(text, "0 packets dropped by kernel") {
			s.t.Errorf("the capture is not whole:\n%s", text)
		}
		_ = log.Close()
	}
}

// flow is one direction of a TCP connection.
type flow struct {
	from, to netip.AddrPort
}

// segment is a piece of a flow.
type segment struct {
	seq  uint32
	data []byte
}

// flows puts the TCP payloads of a capture (pcap, Ethernet, IPv4) together. In the rack of a test nothing is fragmented.
func flows(t testing.TB, raw []byte) map[flow][]byte {
	t.Helper()
	const head, record = 24, 16
	if len(raw) < head || binary.LittleEndian.Uint32(raw) != 0xa1b2c3d4 || binary.LittleEndian.Uint32(raw[20:]) != 1 {
		t.Fatal("that is no capture of Ethernet frames")
	}
	segments := map[flow][]segment{}
	for raw = raw[head:]; len(raw) >= record; {
		n := int(binary.LittleEndian.Uint32(raw[8:]))
		if len(raw) < record+n {
			break
		}
		if f, s, ok := tcpOf(raw[record : record+n]); ok {
			segments[f] = append(segments[f], s)
		}
		raw = raw[record+n:]
	}
	out := map[flow][]byte{}
	for f, list := range segments {
		out[f] = joinedSegments(list)
	}
	return out
}

func tcpOf(frame []byte) (f flow, s segment, ok bool) {
	if len(frame) < 34 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		return f, s, false
	}
	ip := frame[14:]
	size := int(ip[0]&15) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if ip[9] != syscall.IPPROTO_TCP || len(ip) < size+20 {
		return f, s, false
	}
	if total == 0 || total > len(ip) { // a frame that is larger than the wire's
		total = len(ip)
	}
	tcp := ip[size:total]
	if len(tcp) < 20 || len(tcp) < int(tcp[12]>>4)*4 {
		return f, s, false
	}
	f.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(tcp))
	f.to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), binary.BigEndian.Uint16(tcp[2:]))
	return f, segment{binary.BigEndian.Uint32(tcp[4:]), tcp[int(tcp[12]>>4)*4:]}, true
}

// joinedSegments sorts segments and leaves out what came twice.
func joinedSegments(list []segment) []byte {
	if len(list) == 0 {
		return nil
	}
	first := list[0].seq
	slices.SortStableFunc(list, func(a, b segment) int { return cmp.Compare(int32(a.seq-first), int32(b.seq-first)) })
	var out []byte
	next := list[0].seq
	for _, s := range list {
		over := int32(next - s.seq)
		if len(s.data) == 0 || int(over) >= len(s.data) {
			continue
		}
		if over > 0 {
			s.data = s.data[over:]
		}
		out = append(out, s.data...)
		next = s.seq + uint32(max(over, 0)) + uint32(len(s.data))
	}
	return out
}

// secret is something that nobody on the network may see.
type secret struct {
	what string
	text string
}

// forms are the ways in which a secret can be in clear: as it is, and in base64 at any place of a longer text.
func (s secret) forms() [][]byte {
	out := [][]byte{[]byte(s.text)}
	for shift := range 3 {
		enc := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), s.text...))
		lead := (shift*8 + 5) / 6
		out = append(out, []byte(enc[lead:len(enc)-3]))
	}
	return out
}

// leaks names the secrets that are in a text.
func leaks(text []byte, secrets []secret) []string {
	var out []string
	for _, s := range secrets {
		for _, form := range s.forms() {
			if bytes.Contains(text, form) {
				out = append(out, fmt.Sprintf("%s (%.12s...)", s.what, form))
				break
			}
		}
	}
	return out
}

// TestLeaksAreFound is the proof that the search finds what it looks for.
func TestLeaksAreFound(t *testing.T) {
	s := []secret{{"token", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}
	for _, prefix := range []string{"", "x", "xy", "xyz"} {
		text := base64.StdEncoding.EncodeToString([]byte(prefix + s[0].text + "!!"))
		if len(leaks([]byte("data:;base64,"+text), s)) != 1 {
			t.Errorf("not found in %s", text)
		}
	}
	if len(leaks([]byte("x"+s[0].text), s)) != 1 || len(leaks([]byte("BCDEF"), s)) != 0 {
		t.Error("not found in clear, or found where it is not")
	}
}
