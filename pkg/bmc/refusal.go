package bmc

import (
	"net"
	"sync/atomic"

	"github.com/bougou/go-ipmi/pkg/types"
)

// listening is the socket of a session; it hears the RMCP+ status codes that pass. go-ipmi reads a refusal only when it is as
// long as an acceptance; OpenIPMI's BMC, for one, sends just tag and status (seen with ipmi_sim 2.0.33, 2026-11-21).
//
// It drops answers of the handshake that answer another message than the last one sent: a BMC that answers slowly answers
// each repetition of a request, and go-ipmi would read the second answer to one message as that to the next (seen under
// load, 2026-11-21).
type listening struct {
	net.Conn
	status atomic.Uint32
	asked  atomic.Uint32 // payload type of the last message of the handshake that was sent
}

// Write implements net.Conn.
func (l *listening) Write(p []byte) (int, error) {
	switch kind := payload(p); kind {
	case types.PayloadTypeRmcpOpenSessionRequest, types.PayloadTypeRAKPMessage1, types.PayloadTypeRAKPMessage3:
		l.asked.Store(uint32(kind))
	}
	return l.Conn.Write(p)
}

// Read implements net.Conn.
func (l *listening) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		kind, status := handshake(p[:n])
		switch {
		case kind == 0:
		case uint32(kind) != l.asked.Load()+1 && err == nil: // an answer's type is its message's, plus one
			continue
		case status != types.RmcpStatusCodeNoErrors:
			l.status.Store(uint32(status))
		}
		return n, err
	}
}

// refused gives the status code that ended the handshake, as an error, or nil.
func (l *listening) refused() error {
	if status := types.RmcpStatusCode(l.status.Load()); status != types.RmcpStatusCodeNoErrors {
		return types.NewRmcpStatusError(status)
	}
	return nil
}

// Places in an RMCP+ packet, IPMI 2.0 table 13-8.
const (
	atAuthType = 4 // after the RMCP header
	atPayload  = 5
	atStatus   = 17 // after session ID, sequence number, length and message tag
)

// payload is the type of an RMCP+ packet's payload; 0, which is IPMI's own, for anything else.
func payload(packet []byte) types.PayloadType {
	if len(packet) <= atPayload || types.AuthType(packet[atAuthType]) != types.AuthTypeRMCPPlus {
		return 0
	}
	return types.PayloadType(packet[atPayload] & 0x3f)
}

// handshake finds the kind of an answer of the handshake and its status code, IPMI 2.0 tables 13-10, 13-12, 13-13; 0 for
// anything else.
func handshake(packet []byte) (types.PayloadType, types.RmcpStatusCode) {
	switch kind := payload(packet); kind {
	case types.PayloadTypeRmcpOpenSessionResponse, types.PayloadTypeRAKPMessage2, types.PayloadTypeRAKPMessage4:
		if len(packet) > atStatus {
			return kind, types.RmcpStatusCode(packet[atStatus])
		}
	}
	return 0, types.RmcpStatusCodeNoErrors
}
