package bmc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	ipmi "github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"
)

// Errors that callers match with errors.Is. The error itself is one sentence that names the node and the address.
var (
	// ErrAuth: the BMC refuses this user with this password. It is never tried again on its own, since BMCs lock accounts.
	ErrAuth = errors.New("wrong user or password")
	// ErrPrivilege: the user may log in, but not as administrator. It also matches ErrAuth.
	ErrPrivilege = errors.New("the user has no administrator privilege")
	// ErrUnreachable: nothing answers at the address.
	ErrUnreachable = errors.New("no answer")
	// ErrNotApplied: the BMC accepted a change, and what it reads back is something else.
	ErrNotApplied = errors.New("accepted, but not applied")
	// ErrCipherSuite: the BMC refuses cipher suites 17 and 3.
	ErrCipherSuite = errors.New("refuses cipher suites 17 and 3")
	// ErrBusy: the BMC has no session free, or says that it is busy.
	ErrBusy = errors.New("busy")
)

// Error is an error of one BMC: a sentence, with the reason that can be matched and the cause below it.
type Error struct {
	Target string // "BMC of node-2 at 172.24.213.6"
	Text   string // what follows the target
	Kind   error  // one of this package's errors, or nil
	Cause  error  // what go-ipmi or the network said; not part of the text where Kind says it all
}

// Error implements error.
func (e *Error) Error() string { return e.Target + " " + e.Text }

// Unwrap gives the reason and the cause.
func (e *Error) Unwrap() []error {
	var out []error
	if e.Kind != nil {
		out = append(out, e.Kind)
	}
	if errors.Is(e.Kind, ErrPrivilege) {
		out = append(out, ErrAuth)
	}
	if e.Cause != nil {
		out = append(out, e.Cause)
	}
	return out
}

// kindOf is the one place where errors of go-ipmi and of the network become ours. nil means none of them.
func kindOf(err error) error {
	var status *types.RmcpStatusError
	var reply *types.ResponseError
	var network net.Error
	switch {
	case errors.Is(err, ipmi.ErrRAKPAuthentication):
		return ErrAuth
	case errors.As(err, &status):
		return kindOfStatus(status.StatusCode())
	case errors.As(err, &reply):
		return kindOfCode(reply.CompletionCode())
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.As(err, &network):
		return ErrUnreachable
	case isSilence(err):
		return ErrUnreachable
	}
	return nil
}

// isSilence knows the two errors of go-ipmi for "no reply in time" that carry no type (v0.9.1, udpclient.go).
func isSilence(err error) bool {
	text := err.Error()
	return strings.Contains(text, "no datagram matched before deadline") || strings.Contains(text, "result channel closed")
}

// kindOfStatus reads an RMCP+ status code, IPMI 2.0 table 13-15.
func kindOfStatus(code types.RmcpStatusCode) error {
	switch code {
	case types.RmcpStatusCodeUnauthorizedName, types.RmcpStatusCodeInvalidIntegrityCheckValue,
		types.RmcpStatusCodeInvalidNameLength:
		return ErrAuth
	case types.RmcpStatusCodeInvalidRole, types.RmcpStatusCodeUnauthorizedRoleOfPriLevel:
		return ErrPrivilege
	case types.RmcpStatusCodeNoResToCreateSess, types.RmcpStatusCodeNoResToCreateSessAtRole:
		return ErrBusy
	}
	return nil
}

// kindOfCode reads a completion code, IPMI 2.0 table 5-2.
func kindOfCode(code types.CompletionCode) error {
	switch code {
	case types.CodeNodeBusy, types.CodeProcessTimeout, types.CodeOutOfSpace:
		return ErrBusy
	case types.CodeInsufficientPrivilege:
		return ErrPrivilege
	}
	return nil
}

// refusesSuite tells whether an answer to Open Session says that the proposed algorithms are not to be had. Silence is not
// such an answer, and neither is a wrong password.
func refusesSuite(err error) bool {
	var status *types.RmcpStatusError
	if !errors.As(err, &status) {
		return false
	}
	switch status.StatusCode() {
	case types.RmcpStatusCodeInvalidAuthAlg, types.RmcpStatusCodeInvalidIntegrityAlg, types.RmcpStatusCodeInvalidConfidentAlg,
		types.RmcpStatusCodeNoMatchingAuthPayload, types.RmcpStatusCodeNoMatchingIntegrityPayload,
		types.RmcpStatusCodeNoCipherSuiteMatch, types.RmcpStatusCodeIllegalParameter:
		return true
	}
	return false
}

// explain makes the sentence for err. what is the request ("power on"), waited how long it took.
func explain(t Target, what string, waited time.Duration, err error) error {
	var done *Error
	if errors.As(err, &done) {
		return err
	}
	e := &Error{Target: t.String(), Kind: kindOf(err), Cause: err}
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		e.Text = fmt.Sprintf("has no address: %v", name)
	case errors.Is(err, ErrCipherSuite):
		e.Kind, e.Text = ErrCipherSuite, ErrCipherSuite.Error()
	case errors.Is(e.Kind, ErrAuth):
		e.Text = fmt.Sprintf("refused user %q: %v", t.User, ErrAuth)
	case errors.Is(err, ErrPrivilege), errors.Is(e.Kind, ErrPrivilege):
		e.Kind = ErrPrivilege
		e.Text = fmt.Sprintf("refused user %q: %v", t.User, ErrPrivilege)
	case errors.Is(e.Kind, ErrUnreachable):
		e.Text = fmt.Sprintf("gave no answer within %s", waited.Round(100*time.Millisecond))
	default:
		e.Text = fmt.Sprintf("did not %s: %v", what, err)
	}
	return e
}
