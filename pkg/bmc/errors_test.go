package bmc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/bougou/go-ipmi/pkg/types"
)

func TestKindOf(t *testing.T) {
	for code, want := range map[types.RmcpStatusCode]error{
		0x01: ErrBusy, 0x04: nil, 0x09: ErrPrivilege, 0x0a: ErrPrivilege, 0x0b: ErrBusy, 0x0d: ErrAuth, 0x0f: ErrAuth, 0x11: nil, 0x12: nil,
	} {
		if got := kindOf(fmt.Errorf("open: %w", types.NewRmcpStatusError(code))); !errors.Is(got, want) {
			t.Errorf("status %#x: %v, want %v", uint8(code), got, want)
		}
	}
	for code, want := range map[types.CompletionCode]error{0xc0: ErrBusy, 0xc3: ErrBusy, 0xd4: ErrPrivilege, 0xc1: nil, 0x80: nil} {
		if got := kindOf(fmt.Errorf("send: %w", types.NewResponseError(code, ""))); !errors.Is(got, want) {
			t.Errorf("completion code %#x: %v, want %v", uint8(code), got, want)
		}
	}
}

// Only an answer about the algorithms opens the way to suite 3.
func TestRefusesSuite(t *testing.T) {
	for code := types.RmcpStatusCode(0); code < 0x20; code++ {
		want := false
		switch code {
		case 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12:
			want = true
		}
		if got := refusesSuite(fmt.Errorf("open: %w", types.NewRmcpStatusError(code))); got != want {
			t.Errorf("status %#x: %v, want %v", uint8(code), got, want)
		}
	}
	if refusesSuite(errors.New("no answer")) {
		t.Error("silence counts as a refusal")
	}
}

func FuzzRefusal(f *testing.F) {
	open := []byte{6, 0, 0xff, 7, 6, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 4}
	f.Add(open)
	f.Add(open[:17])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, packet []byte) {
		if _, code := handshake(packet); code != 0 && byte(code) != packet[17] {
			t.Errorf("status %#x in % x", uint8(code), packet)
		}
	})
}

// packets is a connection that gives one packet at each read, and takes whatever is written.
type packets struct {
	net.Conn
	queue [][]byte
}

func (p *packets) Write(b []byte) (int, error) { return len(b), nil }

func (p *packets) Read(b []byte) (int, error) {
	if len(p.queue) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.queue[0])
	p.queue = p.queue[1:]
	return n, nil
}

// message is a message of the handshake, or an answer to one.
func message(kind types.PayloadType, status types.RmcpStatusCode, tag byte) []byte {
	b := make([]byte, 40)
	b[4], b[5], b[16], b[17] = byte(types.AuthTypeRMCPPlus), byte(kind), tag, byte(status)
	return b
}

// TestAnswersToAnEarlierMessage reads the answers of a BMC that was asked twice, since it was slow.
func TestAnswersToAnEarlierMessage(t *testing.T) {
	t.Parallel()
	const fine, refused = types.RmcpStatusCodeNoErrors, types.RmcpStatusCodeNoCipherSuiteMatch
	open, rakp2, rakp4 := types.PayloadTypeRmcpOpenSessionResponse, types.PayloadTypeRAKPMessage2, types.PayloadTypeRAKPMessage4
	l := &listening{Conn: &packets{queue: [][]byte{
		message(open, refused, 1), message(open, fine, 2),
		message(open, fine, 3), message(rakp2, fine, 4),
		message(open, fine, 5), message(rakp2, fine, 6), message(rakp4, fine, 7),
		{1, 2, 3},
	}}}
	buf := make([]byte, 64)
	for _, step := range []struct {
		send types.PayloadType
		want []byte // tags that are read
	}{
		{types.PayloadTypeRmcpOpenSessionRequest, []byte{1, 2}}, {types.PayloadTypeRAKPMessage1, []byte{4}},
		{types.PayloadTypeRAKPMessage3, []byte{7, 0}},
	} {
		if _, err := l.Write(message(step.send, 0, 0)); err != nil {
			t.Fatal(err)
		}
		for _, want := range step.want {
			n, err := l.Read(buf)
			if err != nil || want > 0 && buf[16] != want || want == 0 && n != 3 {
				t.Errorf("after %#x: tag %d in %d bytes, %v; want %d", step.send, buf[16], n, err, want)
			}
		}
	}
	if l.refused() == nil {
		t.Error("the refusal was not heard")
	}
}
