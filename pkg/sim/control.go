package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// controlTimeout bounds one request to the supervisor; a power order waits for QEMU.
const controlTimeout = time.Minute

// control is the supervisor's control socket: HTTP and JSON.
//
//	GET  /status
//	POST /down
//	POST /nodes/NAME/power   {"order": "on" | "off" | "reset" | "soft"}
//	POST /nodes/NAME/faults  Faults, which replace those that were
type control struct {
	rack     Machines
	listener net.Listener
	server   *http.Server
	down     chan struct{}
	once     sync.Once
}

// powerRequest is the body of POST /nodes/NAME/power.
type powerRequest struct {
	Order PowerOrder `json:"order"`
}

// problem is the body of every answer of 400 and above.
type problem struct {
	Message string `json:"message"`
}

// newControl binds the socket.
func newControl(folder Folder, m Machines) (*control, error) {
	c := &control{rack: m, down: make(chan struct{})}
	err := inFolder(string(folder), func(dir string) error {
		var err error
		c.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, controlFile), Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bind control socket: %w", err)
	}
	c.listener.(*net.UnixListener).SetUnlinkOnClose(false) // the folder is cleaned by its owner, by the real name
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.status)
	mux.HandleFunc("POST /down", c.askDown)
	mux.HandleFunc("POST /nodes/{name}/power", c.power)
	mux.HandleFunc("POST /nodes/{name}/faults", c.faults)
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: controlTimeout}
	return c, nil
}

// run serves until ctx is done (nil) or down is asked for (ErrDown).
func (c *control) run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- c.server.Serve(c.listener) }()
	var err error
	select {
	case err = <-served:
		return fmt.Errorf("serve control socket: %w", err)
	case <-c.down:
		err = ErrDown
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if c.server.Shutdown(late) != nil {
		_ = c.server.Close() // a request that takes longer is cut
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve control socket: %w", end))
	}
	return err
}

// close lets go of a socket that was never served.
func (c *control) close() error {
	if err := c.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (c *control) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, c.rack.Status())
}

func (c *control) askDown(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusAccepted, struct{}{})
	c.once.Do(func() { close(c.down) })
}

func (c *control) power(w http.ResponseWriter, r *http.Request) {
	var req powerRequest
	c.change(w, r, &req, func(s Controlled) error { return s.Order(req.Order) })
}

func (c *control) faults(w http.ResponseWriter, r *http.Request) {
	var req Faults
	c.change(w, r, &req, func(s Controlled) error { return s.SetFaults(req) })
}

// change reads a request about one server into req, and does it.
func (c *control) change(w http.ResponseWriter, r *http.Request, req any, do func(Controlled) error) {
	s := c.rack.Find(r.PathValue("name"))
	if s == nil {
		answer(w, http.StatusNotFound, problem{"no server " + r.PathValue("name") + " in this rack"})
		return
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	dec.DisallowUnknownFields()
	if err := dec.Decode(req); err != nil {
		answer(w, http.StatusBadRequest, problem{err.Error()})
		return
	}
	if err := do(s); err != nil {
		answer(w, http.StatusConflict, problem{err.Error()})
		return
	}
	answer(w, http.StatusOK, s.Status())
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone when this fails
}

// dialIn connects to the unix socket called name in a folder.
func dialIn(ctx context.Context, dir, name string) (net.Conn, error) {
	var conn net.Conn
	err := inFolder(dir, func(short string) error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(short, name))
		return err
	})
	return conn, err
}

// inFolder calls fn with a short name of the folder: the address of a unix socket has 107 bytes at most (unix(7)), and the
// folder of a rack may be anywhere.
func inFolder(dir string, fn func(short string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return fn(fmt.Sprintf("/proc/self/fd/%d", d.Fd()))
}
