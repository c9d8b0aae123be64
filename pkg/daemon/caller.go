package daemon

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/api"
)

// caller is who is at the other end of a connection.
type caller struct {
	uid   int  // -1 when the kernel does not tell
	looks bool // came by the socket for looking only
}

type callerKey struct{}

// callerOf gives the caller of a request.
func callerOf(ctx context.Context) caller {
	if c, ok := ctx.Value(callerKey{}).(caller); ok {
		return c
	}
	return caller{uid: -1, looks: true}
}

// greet tells by the socket what its callers may do.
func (a *API) greet(ctx context.Context, l net.Listener) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{uid: -1, looks: l != net.Listener(a.give)})
}

// identify asks the kernel who connected: SO_PEERCRED, unix(7).
func identify(ctx context.Context, conn net.Conn) context.Context {
	c := callerOf(ctx)
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil || err != nil {
		return ctx
	}
	c.uid = int(cred.Uid)
	return context.WithValue(ctx, callerKey{}, c)
}

// maxWord bounds each text of the audit that a client brings, in bytes.
const maxWord = 4 << 10

// said gives a header that the client encoded; what is not encoded is taken as it is.
func said(r *http.Request, header string) string {
	text := r.Header.Get(header)
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return cut(text)
}

// entry begins the audit entry of an order.
func entry(r *http.Request) api.AuditEntry {
	return api.AuditEntry{
		UID: callerOf(r.Context()).uid, SudoUser: said(r, api.SudoUserHeader), Command: said(r, api.CommandHeader),
		Order: cut(r.Method + " " + r.URL.RequestURI()), Run: r.PathValue("run"),
	}
}
