package sntpd

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// question is a packet of a client that says nothing but that it is one.
func question(first byte) []byte {
	in := make([]byte, Size)
	in[0], in[atPoll] = first, 6
	copy(in[atTransmit:], "transmit")
	return in
}

func testClock() Clock {
	return Clock{Stratum: 10, Precision: -20, Dispersion: 1500 * time.Millisecond, RefID: [4]byte{'L', 'O', 'C', 'L'}}
}

func TestReply(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 11, 21, 8, 0, 0, 500_000_000, time.UTC)
	out, err := reply(question(0x23), testClock(), received, received.Add(250*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	want := "240a06ec" + "00000000" + "00018000" + hex.EncodeToString([]byte("LOCL")) +
		"eeabcdff80000000" + hex.EncodeToString([]byte("transmit")) + "eeabce0080000000" + "eeabce00c0000000"
	if diff := cmp.Diff(want, hex.EncodeToString(out)); diff != "" {
		t.Error(diff)
	}
	for first, version := range map[byte]byte{0x0b: 1, 0x13: 2, 0x1b: 3, 0xe3: 4} { // 0xe3: the leap field of a client that has no time
		out, err := reply(question(first), testClock(), received, received)
		if err != nil || out[0] != version<<3|modeServer {
			t.Errorf("first byte %#x: %#x, %v", first, out, err)
		}
	}
	for name, in := range map[string][]byte{
		"empty": {}, "short": question(0x23)[:Size-1], "server": question(0x24), "symmetric": question(0x21), "broadcast": question(0x25),
		"control": question(0x26), "private": question(0x27), "version 0": question(0x03), "version 5": question(0x2b),
	} {
		if out, err := reply(in, testClock(), received, received); !errors.Is(err, errIgnored) || out != nil {
			t.Errorf("%s: %x, %v", name, out, err)
		}
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at   time.Time
		want uint64
	}{
		{time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), fromEpoch << 32},
		{time.Date(2036, 2, 7, 6, 28, 15, 999_999_999, time.UTC), 0xffffffff_fffffffb},
		{time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), 0}, // the second era
		{time.Date(2036, 2, 7, 6, 28, 17, 500_000_000, time.UTC), 1<<32 | 1<<31},
	} {
		if got := stamp(tt.at); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.at, got, tt.want)
		}
	}
	for d, want := range map[time.Duration]uint32{-time.Second: 0, 0: 0, time.Second: 1 << 16, 250 * time.Millisecond: 1 << 14, 1 << 62: 65535 << 16} {
		if got := short(d); got != want {
			t.Errorf("%s: %#x, want %#x", d, got, want)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(question(0x23))
	f.Add(question(0xe3))
	f.Add(append(question(0x1b), make([]byte, 20)...)) // with an authenticator
	f.Add(question(0x26)[:12])                         // ntpq's
	f.Add([]byte{})
	at := time.Date(2036, 2, 7, 6, 28, 15, 0, time.UTC)
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := reply(in, testClock(), at, at.Add(time.Microsecond))
		if err != nil {
			if out != nil || !errors.Is(err, errIgnored) {
				t.Fatalf("%x with %v", out, err)
			}
			return
		}
		switch {
		case len(out) != Size || len(out) > len(in):
			t.Errorf("%d bytes for %d", len(out), len(in))
		case out[0]&7 != modeServer || out[0]>>3&7 != in[0]>>3&7 || out[0]>>6 != 0:
			t.Errorf("first byte %#x for %#x", out[0], in[0])
		case string(out[atOrigin:atReceive]) != string(in[atTransmit:Size]):
			t.Error("the question's time is not in the answer")
		case binary.BigEndian.Uint64(out[atReceive:]) > binary.BigEndian.Uint64(out[atTransmit:]):
			t.Error("the answer left before the question came")
		}
	})
}
