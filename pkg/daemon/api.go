package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
)

// API serves the operator API on a unix socket. Only root and the socket's group may connect.
type API struct {
	Path     string
	Operator Operator
	Images   Images
	Events   Events
	Orders   Orders  // nil: orders to nodes, and answers, are refused
	Audit    Auditor // nil: nothing is kept
	// Explain gives an error its exit code and hint.
	Explain func(error) *api.Error
	Log     *slog.Logger

	listener net.Listener
}

// Listen binds the socket. A socket that a dead racker left is replaced; one that answers is not.
func (a *API) Listen(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(a.Path), 0o755); err != nil {
		return fmt.Errorf("folder of the API socket: %w", err)
	}
	var d net.Dialer
	if c, err := d.DialContext(ctx, "unix", a.Path); err == nil {
		return errors.Join(fmt.Errorf("API socket %s: another racker answers there", a.Path), c.Close())
	}
	info, err := os.Lstat(a.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("API socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("API socket %s: there is something else at this path", a.Path)
	default:
		if err := os.Remove(a.Path); err != nil {
			return fmt.Errorf("remove the stale API socket: %w", err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", a.Path)
	if err != nil {
		return fmt.Errorf("API socket: %w", err)
	}
	if err := os.Chmod(a.Path, 0o660); err != nil {
		return errors.Join(fmt.Errorf("API socket: %w", err), l.Close())
	}
	a.listener = l
	return nil
}

// Run serves until ctx is done; requests under way see their context end, and are waited for.
func (a *API) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           a.guarded(a.handler()),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
	var g errgroup.Group
	g.Go(func() error {
		if err := srv.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the API: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := srv.Shutdown(sctx); err != nil {
			return srv.Close()
		}
		return nil
	})
	return g.Wait()
}

// guarded answers a panic with an error, and logs it where it is seen.
func (a *API) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				a.Log.ErrorContext(r.Context(), "panic in the API", "file", r.URL.Path, "err", p, "stack", string(debug.Stack()))
				a.fail(w, fmt.Errorf("internal error at %s %s; the daemon's log says more", r.Method, r.URL.Path))
			}
		}()
		h.ServeHTTP(w, r)
	})
}

func (a *API) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/rack", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Operator.Rack(r.Context()) })
	})
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Operator.Nodes(r.Context(), r.URL.Query().Has("refresh")) })
	})
	mux.HandleFunc("GET /v1/nodes/{node}", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Operator.Node(r.Context(), r.PathValue("node")) })
	})
	mux.HandleFunc("POST /v1/runs", a.submit)
	mux.HandleFunc("GET /v1/runs", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Operator.Runs(), nil })
	})
	mux.HandleFunc("GET /v1/runs/{run}", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Operator.RunView(r.PathValue("run")) })
	})
	mux.HandleFunc("POST /v1/runs/{run}/cancel", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Operator.Cancel(r.Context(), r.PathValue("run")) })
	})
	mux.HandleFunc("GET /v1/leases", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Operator.Leases(r.Context()) })
	})
	mux.HandleFunc("GET /v1/images", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return a.Images.List(r.Context()) })
	})
	mux.HandleFunc("POST /v1/images", a.addImage)
	mux.HandleFunc("DELETE /v1/images/{image}", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) { return struct{}{}, a.Images.Remove(r.Context(), r.PathValue("image")) })
	})
	mux.HandleFunc("GET /v1/events", a.events)
	mux.HandleFunc("GET /v1/audit", func(w http.ResponseWriter, r *http.Request) {
		reply(a, w, r, func() (any, error) {
			if a.Audit == nil {
				return api.AuditView{Entries: []api.AuditEntry{}}, nil
			}
			return a.Audit.View(r.Context())
		})
	})
	a.orders(mux)
	return mux
}

func reply(a *API, w http.ResponseWriter, _ *http.Request, get func() (any, error)) {
	v, err := get()
	if err != nil {
		a.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller has gone
}

// status gives the HTTP status that fits an exit code.
func status(code int) int {
	switch code {
	case 2:
		return http.StatusBadRequest
	case 4, 5:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func (a *API) fail(w http.ResponseWriter, err error) {
	e := a.Explain(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status(e.Code))
	_ = json.NewEncoder(w).Encode(e) // the caller has gone
}

func (a *API) submit(w http.ResponseWriter, r *http.Request) {
	var req api.RunRequest
	if err := decode(w, r, &req); err != nil {
		a.fail(w, err)
		return
	}
	reply(a, w, r, func() (any, error) { return a.Operator.Submit(r.Context(), req) })
}

// addImage answers with JSON lines: progress at most four times a second, then the image or the error.
func (a *API) addImage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ctl := http.NewResponseController(w)
	if err := ctl.EnableFullDuplex(); err != nil {
		a.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	var last time.Time
	img, err := a.Images.Add(r.Context(), q.Get("name"), q.Get("sha256"), r.Body, func(read int64) {
		if time.Since(last) < 250*time.Millisecond {
			return
		}
		last = time.Now()
		if enc.Encode(api.ImageAddLine{Read: read}) == nil {
			_ = ctl.Flush() // a caller that went away shows in the body's next read
		}
	})
	line := api.ImageAddLine{Image: &img}
	if err != nil {
		line = api.ImageAddLine{Error: a.Explain(err)}
	}
	_ = enc.Encode(line) // the caller has gone
}

// events streams JSON lines. With follow it goes on until the caller leaves.
func (a *API) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, err := strconv.ParseUint("0"+q.Get("after"), 10, 64)
	if err != nil {
		a.fail(w, &api.Error{Message: "after: " + err.Error(), Code: 2})
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	ctl := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	if err := ctl.Flush(); err != nil {
		return
	}
	run := q.Get("run")
	if !q.Has("follow") {
		for e := range a.Events.Replay(after) {
			if (run == "" || e.Run == run) && enc.Encode(e) != nil {
				return
			}
		}
		return
	}
	for e := range a.Events.Subscribe(ctx, after) {
		if (run == "" || e.Run == run) && (enc.Encode(e) != nil || ctl.Flush() != nil) {
			return
		}
	}
}
