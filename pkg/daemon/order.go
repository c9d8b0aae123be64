package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"

	"github.com/racker-project/racker/pkg/api"
)

// desk gives who carries an order out.
type desk[D any] func() (D, error)

func (a *API) takesOrders() (Orders, error) {
	if a.Orders == nil {
		return nil, &api.Error{Message: "this daemon takes no orders", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Orders, nil
}

func (a *API) configs() (Configs, error) {
	if a.Configs == nil {
		return nil, &api.Error{Message: "this daemon keeps no configs", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Configs, nil
}

func (a *API) operator() (Operator, error) { return a.Operator, nil }

func (a *API) keys() (Keys, error) {
	if a.Keys == nil {
		return nil, &api.Error{Message: "this daemon knows no host and no key", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Keys, nil
}

func (a *API) library() (Images, error) { return a.Images, nil }

func (a *API) pulls() (Pulls, error) {
	if a.Pulls == nil {
		return nil, &api.Error{Message: "this daemon fetches no images", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Pulls, nil
}

// bodied serves an order with the JSON of a B as its body, to whom the wildcard of the path names.
func bodied[D, B, V any](a *API, to desk[D], wildcard string, do func(D, context.Context, string, B) (V, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) {
			var body B
			if err := decode(r, &body); err != nil {
				return nil, err
			}
			d, err := to()
			if err != nil {
				return nil, err
			}
			return do(d, r.Context(), r.PathValue(wildcard), body)
		})
	}
}

// plain serves an order that needs no body; one is not looked at, but its digest is audited.
func plain[D, V any](a *API, to desk[D], wildcard string, do func(D, context.Context, string) (V, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) {
			d, err := to()
			if err != nil {
				return nil, err
			}
			return do(d, r.Context(), r.PathValue(wildcard))
		})
	}
}

// ordered lets an order through: from those who may give orders, audited, and with a context that ends with life, the
// daemon's, and not with the client's patience.
func (a *API) ordered(life context.Context, rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		book := &ledger{audit: a.Audit, log: a.Log, entry: entry(r)}
		r = r.WithContext(context.WithValue(ctx, ledgerKey{}, book))
		if err := a.admitted(w, r, rt, book); err != nil {
			a.fail(w, r, err)
			return
		}
		rt.serve(w, r)
	}
}

// admitted is nil when an order may be carried out: then its intent is audited.
func (a *API) admitted(w http.ResponseWriter, r *http.Request, rt route, book *ledger) error {
	who := callerOf(r.Context())
	if rt.secret {
		if err := errSecret(who); err != nil {
			return err
		}
	}
	if who.looks {
		return errOnlyLooks()
	}
	if rt.streams {
		book.sum = sha256.New()
		r.Body = hashed{ReadCloser: r.Body, sum: book.sum}
		return book.open()
	}
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		sum := sha256.Sum256(b)
		book.entry.Plan = hex.EncodeToString(sum[:])
	}
	return book.open()
}

// errOnlyLooks refuses an order to those who may not give any.
func errOnlyLooks() error {
	return &api.Error{
		Message: "this socket is for looking only: it takes no orders", Code: 1, Status: http.StatusForbidden,
		Hint: "run it as root, or let root add you to the group " + api.GroupOrder,
	}
}

// hashed is a body whose digest is known when it has been read.
type hashed struct {
	io.ReadCloser
	sum hash.Hash
}

// Read implements io.Reader.
func (h hashed) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	_, _ = h.sum.Write(p[:n]) // a hash never fails
	return n, err
}
