package daemon

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/racker-project/racker/pkg/api"
)

// maxClients is how many requests each socket serves at once: those who may only look cannot keep orders out.
const maxClients = 512

// handler joins the routes. Orders end when life does.
func (a *API) handler(life context.Context, m *meter) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range a.routes(m) {
		serve := rt.serve
		if rt.order() {
			guarded := rt
			guarded.serve = a.guarded(rt.serve) // what a panic did is audited
			serve = a.ordered(life, guarded)
		}
		mux.HandleFunc(rt.method+" "+rt.path, m.counted(rt, a.guarded(serve)))
	}
	lost := a.ordered(life, route{serve: a.lost(mux)})
	return a.seated(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, pattern := mux.Handler(r); {
		case pattern != "":
			mux.ServeHTTP(w, r)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			a.lost(mux)(w, r)
		default:
			lost(w, r)
		}
	}))
}

// lost answers a request that no route fits. The mux knows whether another method would.
func (a *API) lost(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		said := &silent{header: w.Header()}
		mux.ServeHTTP(said, r)
		e := &api.Error{Message: "there is nothing at " + r.URL.Path, Code: 2, Status: http.StatusNotFound, Hint: "GET /v1/openapi.json"}
		if said.status == http.StatusMethodNotAllowed {
			e.Message, e.Status = r.URL.Path+" does not take "+r.Method, said.status
		}
		a.fail(w, r, e)
	}
}

// silent takes the headers and the status of an answer, but not its text.
type silent struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (s *silent) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *silent) WriteHeader(status int) { s.status = status }

// Write implements http.ResponseWriter.
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }

// guarded answers a panic with an error, and logs it where it is seen.
func (a *API) guarded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				a.Log.ErrorContext(r.Context(), "panic in the API", "file", r.URL.Path, "err", p, "stack", string(debug.Stack()))
				a.fail(w, r, fmt.Errorf("internal error at %s %s; the daemon's log says more", r.Method, r.URL.Path))
			}
		}()
		h(w, r)
	}
}

// seated bounds the requests under way, for each socket by itself.
func (a *API) seated(h http.Handler) http.Handler {
	seats := map[bool]chan struct{}{true: make(chan struct{}, maxClients), false: make(chan struct{}, maxClients)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seat := seats[callerOf(r.Context()).looks]
		select {
		case seat <- struct{}{}:
		default:
			a.fail(w, r, &api.Error{
				Message: fmt.Sprintf("%d requests are under way, which is the most", maxClients), Hint: "ask again", Code: 1,
				Status: http.StatusServiceUnavailable,
			})
			return
		}
		defer func() { <-seat }()
		h.ServeHTTP(w, r)
	})
}

// flag reads a switch of the query: "?refresh=1", or the name alone.
func flag(r *http.Request, name string) (bool, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return false, nil
	}
	text := q.Get(name)
	if text == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, &api.Error{Message: fmt.Sprintf("%s: %q is neither 1 nor 0", name, text), Code: 2}
	}
	return on, nil
}
