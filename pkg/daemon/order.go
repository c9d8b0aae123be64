package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/racker-project/racker/pkg/api"
)

// maxRequest bounds the body of an order, in bytes; a rack of a /16 named node by node fits.
const maxRequest = 8 << 20

// decode reads the JSON body of an order. What an older daemon does not know must not be ignored in silence.
func decode(w http.ResponseWriter, r *http.Request, to any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return &api.Error{Message: "body of the request: " + err.Error(), Code: 2}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &api.Error{Message: "body of the request: something follows the JSON value", Code: 2}
	}
	return nil
}

// errNoOrders answers an order to a daemon that only observes.
func errNoOrders() error { return &api.Error{Message: "this daemon takes no orders", Code: 1} }

// bodied serves an order whose body is a B, to whatever the path's wildcard names.
func bodied[B, V any](a *API, wildcard string, do func(Orders, context.Context, string, B) (V, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) {
			if a.Orders == nil {
				return nil, errNoOrders()
			}
			var body B
			if err := decode(w, r, &body); err != nil {
				return nil, err
			}
			return do(a.Orders, r.Context(), r.PathValue(wildcard), body)
		})
	}
}

// plain serves an order to a node that needs no body.
func plain(a *API, do func(Orders, context.Context, string) (api.OrderView, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) {
			if a.Orders == nil {
				return nil, errNoOrders()
			}
			return do(a.Orders, r.Context(), r.PathValue("node"))
		})
	}
}

// orders are the routes of Orders.
func (a *API) orders(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/runs/{run}/answer", bodied(a, "run", Orders.Answer))
	mux.HandleFunc("POST /v1/nodes/{node}/reprovision", bodied(a, "node", Orders.Reprovision))
	mux.HandleFunc("POST /v1/nodes/{node}/boot", bodied(a, "node", Orders.Boot))
	mux.HandleFunc("POST /v1/nodes/{node}/power", bodied(a, "node", Orders.Power))
	mux.HandleFunc("POST /v1/nodes/{node}/replace", bodied(a, "node", Orders.Replace))
	mux.HandleFunc("POST /v1/nodes/{node}/exclude", plain(a, Orders.Exclude))
	mux.HandleFunc("POST /v1/nodes/{node}/include", plain(a, Orders.Include))
	mux.HandleFunc("POST /v1/nodes/{node}/adopt", plain(a, Orders.Adopt))
	mux.HandleFunc("POST /v1/rack/reload", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) {
			if a.Orders == nil {
				return nil, errNoOrders()
			}
			return a.Orders.Reread(r.Context())
		})
	})
}
