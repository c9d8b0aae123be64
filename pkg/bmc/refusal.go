package bmc

import (
	"net"
	"sync/atomic"

	"github.com/bougou/go-ipmi/pkg/types"
)

// listening is the socket of a session; it hears the RMCP+ status codes that pass. go-ipmi reads a refusal only when it is as
// long as an acceptance; OpenIPMI's BMC, for one, sends just tag and status (seen with ipmi_sim 2.0.33, 2026-11-21).
type listening struct {
	net.Conn
	status atomic.Uint32
}

// Read implements net.Conn.
func (l *listening) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if status := refusal(p[:n]); status != types.RmcpStatusCodeNoErrors {
		l.status.Store(uint32(status))
	}
	return n, err
}

// refused gives the status code that ended the handshake, as an error, or nil.
func (l *listening) refused() error {
	if status := types.RmcpStatusCode(l.status.Load()); status != types.RmcpStatusCodeNoErrors {
		return types.NewRmcpStatusError(status)
	}
	return nil
}

// refusal finds the status code in an answer of the handshake, IPMI 2.0 tables 13-8, 13-10, 13-13; 0 in anything else.
func refusal(packet []byte) types.RmcpStatusCode {
	const (
		authType = 4 // after the RMCP header
		payload  = 5
		data     = 16 // after session ID, sequence number and length
		status   = data + 1
	)
	if len(packet) <= status || types.AuthType(packet[authType]) != types.AuthTypeRMCPPlus {
		return types.RmcpStatusCodeNoErrors
	}
	switch types.PayloadType(packet[payload] & 0x3f) {
	case types.PayloadTypeRmcpOpenSessionResponse, types.PayloadTypeRAKPMessage2, types.PayloadTypeRAKPMessage4:
		return types.RmcpStatusCode(packet[status])
	}
	return types.RmcpStatusCodeNoErrors
}
