package dhcpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
)

// Server answers DHCP clients. Its methods may be called concurrently; Listen and Run once each.
type Server struct {
	cfg      Config
	dir      Directory
	store    PoolStore
	observer Observer
	programs Programs
	log      *slog.Logger
}

// New checks the configuration; it opens nothing. The error lists all that is wrong with cfg.
func New(cfg Config, dir Directory, store PoolStore, observer Observer, programs Programs, log *slog.Logger) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("dhcp: %w", err)
	}
	return &Server{cfg: cfg, dir: dir, store: store, observer: observer, programs: programs, log: log}, nil
}

// Listen loads the pool's leases and binds the socket, or takes the one of the configuration. An error matches
// syscall.EADDRINUSE when somebody else has the port, and os.ErrPermission without the right to bind it.
func (s *Server) Listen(ctx context.Context) error {
	return errors.ErrUnsupported
}

// Run answers packets until ctx is done, then waits for the workers and gives nil. It calls Listen if nobody did.
func (s *Server) Run(ctx context.Context) error {
	return errors.ErrUnsupported
}

// Fetched notes that the machine at ip was sent a boot program by TFTP. With ChainAlways its next iPXE is then sent
// to the script.
func (s *Server) Fetched(ip netip.Addr) {}

// CurrentLeases gives the leases that have not run out, by address. Leases of reservations are known since the start
// of the process only.
func (s *Server) CurrentLeases() []LeaseInfo { return nil }
