// Package bootd serves the nodes over HTTP: iPXE scripts, the GRUB that boots an install disk, and assets with
// ranges on the plain port; the agent API and the callbacks on the TLS port.
//
// It holds no state of nodes and decides nothing about them: every answer comes from the small interfaces below, which
// package provision implements. Run owns all goroutines and waits for them.
package bootd

import (
	"context"
	"errors"
	"net/netip"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// Errors by which the interfaces below say how a request is answered.
var (
	// ErrUnknown is answered with 404: the machine or thing is not known here.
	ErrUnknown = errors.New("not known here")
	// ErrRefused is answered with 403: known, but not now or not to this address.
	ErrRefused = errors.New("refused")
	// ErrSession is answered with 401: no, a wrong or an old token or session.
	ErrSession = errors.New("wrong or old token")
)

// BootQuery is what iPXE says of the machine it runs on, and where the request came from.
type BootQuery struct {
	From     netip.Addr
	MAC      rack.MAC
	UUID     string
	Platform string // iPXE's ${platform}: "efi" or "pcbios"
	Arch     string // iPXE's ${buildarch}: "i386", "x86_64", "arm64"
}

// Boots answers a network boot with a whole iPXE script. ErrUnknown gives the machine silence (404).
type Boots interface {
	BootScript(ctx context.Context, q BootQuery) (string, error)
}

// Peer is who speaks the agent API: its address and the SHA-256 of its client certificate's public key.
type Peer struct {
	Addr netip.Addr
	Key  [32]byte // zero without a certificate; such a peer has no session
}

// Agents answers the agent API.
type Agents interface {
	// CheckIn may hold the request for a while when there is no job.
	CheckIn(ctx context.Context, p Peer, in api.CheckIn) (api.Assignment, error)
	Report(ctx context.Context, p Peer, job string, step int, r api.StepReport) (api.StepReply, error)
	Blob(ctx context.Context, p Peer, job, name string) ([]byte, error)
	Log(ctx context.Context, p Peer, lines []byte) error
}

// Strays hears of requests for secrets in clear, which are refused.
type Strays interface {
	Stray(ctx context.Context, from netip.Addr, path string)
}

// Callbacks takes the word of installed systems.
type Callbacks interface {
	Callback(ctx context.Context, from netip.Addr, node, signal, token string, body api.Callback) error
}

// Served is one file that was sent, or tried to be.
type Served struct {
	From  netip.Addr
	File  string
	Bytes int64 // sent; the request may have asked for a part
	Size  int64 // of the whole file
	Err   error
}

// Observer hears of every asset served. It must not block.
type Observer interface {
	Asset(ctx context.Context, s Served)
}
