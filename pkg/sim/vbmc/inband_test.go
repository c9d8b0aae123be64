package vbmc_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/vmproto"
	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// inBand gives one end of the system interface of a BMC that serves the other.
func inBand(t *testing.T, b *vbmc.BMC) net.Conn {
	t.Helper()
	guest, served := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.ServeInBand(ctx, served) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeInBand: %v", err)
		}
		if _, err := guest.Write([]byte{0xa0}); err == nil {
			t.Error("the connection is still open")
		}
		guest.Close()
	})
	return guest
}

// What Linux's ipmi_si asks at probe, and what the agent asks then.
func TestInBand(t *testing.T) {
	t.Parallel()
	host := &machine{on: true}
	b, _ := run(t, config(t), host)
	conn := inBand(t, b)
	// QEMU's greeting: protocol version 1, and that the guest can be switched off.
	if _, err := conn.Write([]byte{0xff, 0x01, 0xa1, 0x08, 0x3f, 0xa1}); err != nil {
		t.Fatal(err)
	}
	guest := vmproto.NewClient(conn, 5*time.Second)
	const chassis, app, storage, transport = 0x00, 0x06, 0x0a, 0x0c
	for _, step := range []struct {
		name       string
		netFn, cmd byte
		data       []byte
		code       byte
		want       []byte
	}{
		{"Get Device ID", app, 0x01, nil, 0, []byte{0x20, 0x01, 0x01, 0x00, 0x02, 0x80, 0, 0, 0, 0, 0}},
		{"Get BMC Global Enables", app, 0x2f, nil, 0, []byte{0x08}},
		{"Set BMC Global Enables", app, 0x2e, []byte{0x08}, 0, []byte{}},
		{"Set BMC Global Enables, interrupts", app, 0x2e, []byte{0x09}, 0xcc, []byte{}},
		{"Clear Message Flags", app, 0x30, []byte{0x03}, 0, []byte{}},
		{"Get Message Flags", app, 0x31, nil, 0, []byte{0}},
		{"Get Channel Info, this one", app, 0x42, []byte{0x0e}, 0, []byte{0x0f, 0x0c, 0x05, 0, 0xf2, 0x1b, 0, 0xff, 0xff}},
		{"Get Channel Info, LAN", app, 0x42, []byte{0x01}, 0, []byte{0x01, 0x04, 0x01, 0x80, 0xf2, 0x1b, 0, 0, 0}},
		{"Get LAN Configuration, MAC", transport, 0x02, []byte{1, 5, 0, 0}, 0, []byte{0x11, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56}},
		{"Get SDR", storage, 0x23, []byte{0, 0, 0, 0, 0, 0xff}, 0xd5, []byte{}},
		{"Get Chassis Status", chassis, 0x01, nil, 0, []byte{0x01, 0, 0x40, 0}},
		{"Set Boot Options", chassis, 0x08, []byte{5, 0xa0, 0x04, 0, 0, 0}, 0, []byte{}},
		{"Get Boot Options", chassis, 0x09, []byte{5, 0, 0}, 0, []byte{1, 5, 0xa0, 0x04, 0, 0, 0}},
		// A0h, A1h and AAh in the data must be escaped both ways.
		{"Set Boot Options, framing bytes", chassis, 0x08, []byte{5, 0xa0, 0xa1, 0xaa, 0xb0, 0xba}, 0, []byte{}},
		{"Get Boot Options, framing bytes", chassis, 0x09, []byte{5, 0, 0}, 0, []byte{1, 5, 0xa0, 0xa1, 0xaa, 0xb0, 0xba}},
		{"Set Boot Options, short", chassis, 0x08, []byte{5, 0xa0}, 0xc7, []byte{}},
		{"Set Boot Options, empty", chassis, 0x08, nil, 0xc7, []byte{}},
		{"Get Boot Options, empty", chassis, 0x09, nil, 0xc7, []byte{}},
		{"Get Boot Options, unknown", chassis, 0x09, []byte{7, 0, 0}, 0x80, []byte{}},
		{"no such command", 0x2e, 0x77, nil, 0xc1, []byte{}},
		{"Chassis Control, off", chassis, 0x02, []byte{0}, 0, []byte{}},
		{"Cold Reset of the BMC", app, 0x02, nil, 0, []byte{}},
	} {
		code, data, err := guest.Command(step.netFn, step.cmd, step.data...)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, data); code != step.code || diff != "" {
			t.Errorf("%s: code %#x, want %#x (-want +got):\n%s", step.name, code, step.code, diff)
		}
	}
	for ctx := testContext(t); host.PowerState(); {
		select {
		case <-ctx.Done():
			t.Fatal("the machine did not turn itself off")
		case <-time.After(time.Millisecond):
		}
	}
	if code, _, err := guest.Command(chassis, 0x02, 3); code != 0xd5 || err != nil {
		t.Errorf("reset while off: code %#x, %v", code, err)
	}
}

// Whatever a guest or QEMU sends, the BMC lives and answers the next good request.
func FuzzInBand(f *testing.F) {
	f.Add([]byte{0x01, 0x18, 0x01, 0xe6, 0xa0})
	f.Add([]byte{0xff, 0x01, 0xa1, 0x08, 0x3f, 0xa1})
	f.Add([]byte{0x02, 0x00, 0x08, 0x05, 0xaa, 0xb0, 0x04, 0x00, 0x00, 0x00, 0x4d, 0xa0})
	f.Add([]byte{0xaa, 0xaa, 0xa0, 0xa0, 0xa1, 0xaa})
	f.Fuzz(func(t *testing.T, input []byte) {
		b, err := vbmc.New(config(t), &machine{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		conn := inBand(t, b)
		// What is one message to the decoder gets the right checksum, so that the commands behind it are reached too.
		framed := append(frame(input), input...)
		read := make(chan struct{})
		replies, probe := io.Pipe()
		go func() { _, _ = io.Copy(probe, conn); probe.Close(); close(read) }()
		go func() { _, _ = conn.Write(append(framed, 0xa0, 0x77, 0x18, 0x01, 0x70, 0xa0)) }()
		defer func() { conn.Close(); replies.Close(); <-read }()
		for last := []byte(nil); ; {
			one := make([]byte, 1)
			if _, err := replies.Read(one); err != nil {
				t.Fatalf("no answer to Get Device ID after % x", input)
			}
			if last = append(last, one[0]); one[0] != 0xa0 {
				continue
			}
			if len(last) > 2 && last[0] == 0x77 && last[1] == 0x1c && last[2] == 0x01 {
				return
			}
			last = nil
		}
	})
}

// frame makes a message of data as QEMU would: checksum, escapes, end.
func frame(data []byte) []byte {
	var sum byte
	for _, b := range data {
		sum += b
	}
	var out []byte
	for _, b := range append(data[:len(data):len(data)], -sum) {
		if b == 0xa0 || b == 0xa1 || b == 0xaa {
			out = append(out, 0xaa, b|0x10)
			continue
		}
		out = append(out, b)
	}
	return append(out, 0xa0)
}
