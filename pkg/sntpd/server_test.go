package sntpd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/sntpd"
)

// rack is a management node with an internal NIC and a node; another one is routed to it, from outside of the network.
func rack(t *testing.T, n *nettest.Net) (node, outside nettest.NS) {
	t.Helper()
	node, outside = n.NS("node"), n.NS("outside")
	n.Veth(nettest.Nic{Name: "int0", Addrs: []string{"10.9.0.1/24"}}, nettest.Nic{NS: node, Name: "eth0", Addrs: []string{"10.9.0.2/24"}})
	n.Veth(nettest.Nic{Name: "pub0", Addrs: []string{"10.8.0.1/24"}}, nettest.Nic{NS: outside, Name: "eth0", Addrs: []string{"10.8.0.2/24"}})
	n.Route(outside, "10.9.0.0/24", "10.8.0.1")
	return node, outside
}

func config() sntpd.Config {
	return sntpd.Config{Interface: "int0", Server: netip.MustParseAddr("10.9.0.1"), Prefix: netip.MustParsePrefix("10.9.0.0/24")}
}

func start(t *testing.T, cfg sntpd.Config) *sntpd.Server {
	t.Helper()
	s, err := sntpd.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestClients asks by a client that nobody here wrote.
func TestClients(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		node, _ := rack(t, n)
		start(t, config())
		var out strings.Builder
		cmd := exec.CommandContext(t.Context(), "ntpdig", "-j", "-t", "5", "10.9.0.1")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := n.In(node, cmd.Start); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), `"stratum":`) || !strings.Contains(out.String(), `"host":"10.9.0.1"`) {
			t.Errorf("%v: %s", err, out.String())
		}
	})
}

// ask sends a packet from a namespace and tells what came back, nil for nothing.
func ask(t *testing.T, n *nettest.Net, from nettest.NS, packet []byte) []byte {
	t.Helper()
	var got []byte
	err := n.In(from, func() error {
		c, err := net.Dial("udp4", "10.9.0.1:123")
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := c.Write(packet); err != nil {
			return err
		}
		buf := make([]byte, 100)
		k, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		got = buf[:k]
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOnlyTheInternalNetworkIsAnswered(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		node, outside := rack(t, n)
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil && !errors.Is(err, syscall.EROFS) { // as in a container
			t.Fatal(err)
		}
		start(t, config())
		question := append([]byte{0x23}, make([]byte, 47)...)
		for name, tt := range map[string]struct {
			from   nettest.NS
			packet []byte
			want   int
		}{
			"node": {node, question, 48}, "outside": {outside, question, 0}, "garbage": {node, []byte("\x23hello"), 0},
			"longer": {node, append(question, make([]byte, 20)...), 48}, "ntpq": {node, []byte{0x16, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 0},
		} {
			if got := ask(t, n, tt.from, tt.packet); len(got) != tt.want {
				t.Errorf("%s: %d bytes, want %d", name, len(got), tt.want)
			}
		}
	})
}

func TestListen(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		rack(t, n)
		first := start(t, config())
		if want := "10.9.0.1:123"; fmt.Sprint(first.Addr()) != want || !first.Serving() {
			t.Errorf("listens on %s, want %s", first.Addr(), want)
		}
		second, err := sntpd.New(config(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Listen(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a port that is taken: %v", err)
		}
		cfg := config()
		cfg.Optional = true
		if start(t, cfg).Serving() {
			t.Error("it serves on a port that is taken")
		}
		for _, bad := range []sntpd.Config{
			{}, {Server: netip.MustParseAddr("10.9.0.1"), Prefix: netip.MustParsePrefix("10.8.0.0/24")},
			{Server: netip.MustParseAddr("::1"), Prefix: netip.MustParsePrefix("::/0")},
			{Server: config().Server, Prefix: config().Prefix, Port: 70000},
		} {
			if _, err := sntpd.New(bad, nil); err == nil {
				t.Errorf("%+v is taken", bad)
			}
		}
	})
}
