package dhcpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	// workers is how many packets are worked on at a time. A pool lease waits for the disk, so that one is too few.
	workers = 8
	// queued is how many packets wait for a worker; beyond it they wait in the socket's buffer.
	queued = 64
	// errorPause is the pause after a failed read, so that a broken interface does not cost a processor.
	errorPause = 200 * time.Millisecond
)

// Server answers DHCP clients. Its methods may be called concurrently; Listen and Run once each.
type Server struct {
	cfg      Config
	dir      Directory
	store    PoolStore
	observer Observer
	programs Programs
	log      *slog.Logger

	pool     *pool
	reserved reserved
	fetched  fetches
	sock     *socket
	solicits *solicits // nil without IPv6
}

// New checks the configuration; it opens nothing. The error lists all that is wrong with cfg.
func New(cfg Config, dir Directory, store PoolStore, observer Observer, programs Programs, log *slog.Logger) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("dhcp: %w", err)
	}
	return &Server{
		cfg: cfg, dir: dir, store: store, observer: observer, programs: programs, log: log,
		pool:     newPool(&cfg),
		reserved: reserved{mac: map[rack.MAC]LeaseInfo{}},
		fetched:  fetches{at: map[netip.Addr]time.Time{}},
	}, nil
}

// Listen loads the pool's leases and binds the socket, or takes the one of the configuration. An error matches
// syscall.EADDRINUSE when somebody else has the port, and os.ErrPermission without the right to bind it.
func (s *Server) Listen(ctx context.Context) error {
	leases, err := s.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("dhcp: load pool leases: %w", err)
	}
	s.pool.restore(leases)
	if s.sock, err = openSocket(ctx, &s.cfg); err != nil {
		return fmt.Errorf("dhcp: listen on %s port %d: %w", s.cfg.Interface, s.cfg.Port, err)
	}
	if s.sock.raw < 0 {
		s.log.Warn("no raw socket, replies to clients without an address are broadcast", "iface", s.cfg.Interface, "err", s.sock.rawErr)
	}
	if s.solicits, err = openSolicits(s.cfg.Interface); err != nil {
		s.log.Warn("no answer to IPv6 router solicitations, each start of iPXE takes 16 s longer", "iface", s.cfg.Interface, "err", err)
	}
	return nil
}

// Fetched notes that the machine at ip was sent a boot program. With ChainAlways its next iPXE is then sent to the
// script.
func (s *Server) Fetched(ip netip.Addr) {
	if s.cfg.ChainAlways {
		s.fetched.note(ip, time.Now())
	}
}

// Run answers packets until ctx is done, then waits for the workers and gives nil. It calls Listen if nobody did.
func (s *Server) Run(ctx context.Context) error {
	if s.sock == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	defer s.sock.close()
	stop := context.AfterFunc(ctx, s.sock.wake)
	defer stop()

	// What was read is still answered after the stop.
	handling := context.WithoutCancel(ctx)
	work, free := make(chan *packet, queued), make(chan *packet, queued)
	for range queued {
		free <- new(packet)
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for p := range work {
				s.handle(handling, p)
				free <- p
			}
		})
	}
	if s.solicits != nil {
		defer s.solicits.close()
		wg.Go(func() { s.answerSolicits(ctx) })
	}
	s.receive(ctx, work, free)
	close(work)
	wg.Wait()
	return nil
}

// receive reads packets into free buffers until ctx is done. Read errors come and go with the interface; they end
// nothing.
func (s *Server) receive(ctx context.Context, work chan<- *packet, free <-chan *packet) {
	for {
		var p *packet
		select {
		case <-ctx.Done():
			return
		case p = <-free:
		}
		for {
			err := s.sock.read(p)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				break
			}
			s.log.Warn("reading dhcp packets", "iface", s.cfg.Interface, "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(errorPause):
			}
		}
		work <- p // has room: there are as many buffers as places
	}
}

// handle works on one packet from bytes to bytes.
func (s *Server) handle(ctx context.Context, p *packet) {
	in, err := dhcpv4.FromBytes(p.buf[:p.n])
	if err != nil {
		s.log.Debug("dhcp packet ignored", "ip", p.from, "bytes", p.n, "err", err)
		return
	}
	x := s.reply(in, meta{at: time.Now()})
	if len(x.save) > 0 {
		if err := s.store.Save(ctx, x.save...); err != nil {
			s.log.Error("saving pool leases", "mac", x.mac, "err", err)
			x.seen.Reply = dhcpv4.MessageTypeNone
			x.ignore("the lease could not be saved")
		}
	}
	if x.out != nil {
		if err := s.sock.send(x, p.iface); err != nil {
			s.log.Warn("sending dhcp reply", "mac", x.mac, "ip", x.seen.IP, "xid", x.seen.XID, "err", err)
			x.seen.Reply = dhcpv4.MessageTypeNone
			x.ignore("the reply could not be sent")
		}
	}
	s.logSeen(&x.seen)
	s.observer.Packet(ctx, x.seen)
}

func (s *Server) logSeen(seen *Seen) {
	attrs := []any{"mac", seen.MAC, "xid", seen.XID, "type", seen.Type, "ip", seen.IP, "client", seen.Client}
	switch {
	case seen.Problem != "":
		s.log.Warn("dhcp problem", append(attrs, "reason", seen.Problem)...)
	case seen.Ignored != "":
		s.log.Debug("dhcp packet ignored", append(attrs, "reason", seen.Ignored)...)
	default:
		s.log.Debug("dhcp", append(attrs, "reply", seen.Reply, "file", seen.File)...)
	}
}

// errNoRaw tells that there is no raw socket.
var errNoRaw = errors.New("no raw socket")
