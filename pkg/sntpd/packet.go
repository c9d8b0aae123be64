package sntpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Size is the size of an NTP packet without extension fields and authenticator, in bytes (RFC 5905 7.3).
const Size = 48

// Modes (RFC 5905 figure 10), and bounds of the version.
const (
	modeClient = 3
	modeServer = 4
	minVersion = 1
	maxVersion = 4
)

// Offsets of fields (RFC 5905 figure 8).
const (
	atStratum   = 1
	atPoll      = 2
	atPrecision = 3
	atDelay     = 4
	atDisp      = 8
	atRefID     = 12
	atReference = 16
	atOrigin    = 24
	atReceive   = 32
	atTransmit  = 40
)

// Clock is what a server says of its own clock.
type Clock struct {
	// Stratum is 1 to 15; less is better.
	Stratum uint8
	// Precision is the clock's resolution, as a power of 2 in seconds.
	Precision int8
	// Dispersion is how far off the clock may be; 0 to 65535 s.
	Dispersion time.Duration
	// RefID names the source of the time: four characters, or an IPv4 address.
	RefID [4]byte
}

var errIgnored = errors.New("no answer")

// reply makes the answer to a packet that came at a time, which leaves at another. An error matches errIgnored and says why
// there is none. It is a pure function; its answer has Size bytes.
func reply(in []byte, c Clock, received, leaves time.Time) ([]byte, error) {
	if len(in) < Size {
		return nil, fmt.Errorf("%d bytes, want %d: %w", len(in), Size, errIgnored)
	}
	version, mode := in[0]>>3&7, in[0]&7
	if version < minVersion || version > maxVersion {
		return nil, fmt.Errorf("version %d: %w", version, errIgnored)
	}
	if mode != modeClient {
		return nil, fmt.Errorf("mode %d: %w", mode, errIgnored)
	}
	out := make([]byte, Size)
	out[0] = version<<3 | modeServer // no leap second: the kernel tells of none in time
	out[atStratum] = c.Stratum
	out[atPoll] = in[atPoll]
	out[atPrecision] = byte(c.Precision)
	binary.BigEndian.PutUint32(out[atDisp:], short(c.Dispersion))
	copy(out[atRefID:], c.RefID[:])
	// When the clock was set last is not known. Clients want it to be a little earlier than the answer, and not long ago.
	binary.BigEndian.PutUint64(out[atReference:], stamp(received.Add(-time.Second)))
	copy(out[atOrigin:], in[atTransmit:atTransmit+8])
	binary.BigEndian.PutUint64(out[atReceive:], stamp(received))
	binary.BigEndian.PutUint64(out[atTransmit:], stamp(leaves))
	return out, nil
}

// fromEpoch is the time from NTP's epoch, 1900, to that of Unix, in seconds (RFC 5905 6).
const fromEpoch = 2208988800

// stamp gives a time in NTP's format: seconds since the last epoch, of which one begins in 2036, and a fraction of 32 bits.
func stamp(t time.Time) uint64 {
	seconds := uint64(t.Unix()+fromEpoch) & 0xffffffff
	fraction := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return seconds<<32 | fraction
}

// short gives a duration in NTP's short format: 16 bits of seconds, 16 of fraction.
func short(d time.Duration) uint32 {
	const most = 65535 * time.Second
	d = min(max(d, 0), most)
	return uint32(d/time.Second)<<16 | uint32(d%time.Second<<16/time.Second)
}
