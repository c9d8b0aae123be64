package bootd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says where and what to serve.
type Config struct {
	Addr      netip.Addr // address of the internal interface
	HTTPPort  int        // 0 picks a free one
	HTTPSPort int        // 0 picks a free one
	// Control is put on both sockets before they are bound, for SO_BINDTODEVICE; may be nil.
	Control func(network, address string, c syscall.RawConn) error
	// Certificate gives the TLS certificate, with the CA that signed it in its chain.
	Certificate tls.Certificate
	// Assets maps the first path element below /assets/ to a folder; files outside of it are never reached.
	Assets map[string]fs.FS
	// GRUB is the EFI program that boots an install disk; nil when there is none.
	GRUB func(esp string) ([]byte, error)
	// Drain bounds the wait for requests under way when the server stops.
	Drain time.Duration
}

// Handlers are the parts that decide.
type Handlers struct {
	Boots     Boots
	Agents    Agents
	Callbacks Callbacks
	Observer  Observer
	Strays    Strays // nil: nobody hears of them
}

// Server is the HTTP side of racker that nodes see.
type Server struct {
	cfg   Config
	h     Handlers
	log   *slog.Logger
	plain net.Listener
	tls   net.Listener
}

// New checks the configuration; it opens nothing.
func New(cfg Config, h Handlers, log *slog.Logger) (*Server, error) {
	if !cfg.Addr.IsValid() {
		return nil, errors.New("bootd: no address to serve on")
	}
	if len(cfg.Certificate.Certificate) < 2 {
		return nil, errors.New("bootd: the certificate's chain does not hold the CA that agents pin")
	}
	return &Server{cfg: cfg, h: h, log: log}, nil
}

// Listen binds both ports. The error matches syscall.EADDRINUSE when one is taken.
func (s *Server) Listen(ctx context.Context) error {
	lc := net.ListenConfig{Control: s.cfg.Control}
	plain, err := lc.Listen(ctx, "tcp4", s.addr(s.cfg.HTTPPort))
	if err != nil {
		return fmt.Errorf("serve HTTP on %s: %w", s.addr(s.cfg.HTTPPort), err)
	}
	secure, err := lc.Listen(ctx, "tcp4", s.addr(s.cfg.HTTPSPort))
	if err != nil {
		return errors.Join(fmt.Errorf("serve HTTPS on %s: %w", s.addr(s.cfg.HTTPSPort), err), plain.Close())
	}
	s.plain, s.tls = plain, tls.NewListener(secure, s.tlsConfig())
	return nil
}

func (s *Server) addr(port int) string {
	return net.JoinHostPort(s.cfg.Addr.String(), strconv.Itoa(port))
}

// Ports gives the ports bound by Listen, plain and TLS.
func (s *Server) Ports() (plain, secure int) {
	return listenPort(s.plain), listenPort(s.tls)
}

func listenPort(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{s.cfg.Certificate},
		// An agent's certificate is its session key, made at its start: it proves possession, no authority signed it.
		ClientAuth: tls.RequestClientCert,
		// A ticket would let a second connection skip the proof of the key.
		SessionTicketsDisabled: true,
	}
}

// How long a connection stays open between two requests. Each costs up to 30 KiB, which counts with a thousand nodes at once:
// iPXE asks for its files one after the other, and an agent reports every second while it has something to say.
const (
	plainIdle = 5 * time.Second
	tlsIdle   = 20 * time.Second
)

// Run serves until ctx is done, then lets requests under way end for Config.Drain at most.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range []struct {
		l    net.Listener
		h    http.Handler
		idle time.Duration
	}{{s.plain, s.plainHandler(), plainIdle}, {s.tls, s.secureHandler(), tlsIdle}} {
		srv := &http.Server{
			Handler:           s.guarded(part.h),
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       part.idle,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
			BaseContext:       func(net.Listener) context.Context { return ctx },
		}
		g.Go(func() error {
			if err := srv.Serve(part.l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", part.l.Addr(), err)
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			return s.stop(context.WithoutCancel(ctx), srv)
		})
	}
	return g.Wait()
}

// guarded answers a panic with 500, and logs it where it is seen.
func (s *Server) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.log.ErrorContext(r.Context(), "panic in an answer", "ip", peerAddr(r), "file", r.URL.Path, "err", p,
					"stack", string(debug.Stack()))
				http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

func (s *Server) stop(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Drain)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		// Image streams are cut here; the agent resumes them by Range.
		return srv.Close()
	}
	return nil
}
