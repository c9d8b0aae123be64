package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
)

const (
	// headerTime is how long a client may take to send the head of a request.
	headerTime = 10 * time.Second
	// bodyTime is how long a client may take to send the body of an order; of an image, to send any more of it.
	bodyTime = 30 * time.Second
	// writeTime is how long a client may take to read a piece of an answer, or a few events.
	writeTime = 30 * time.Second
	// idleTime is how long a connection may stay open between two requests.
	idleTime = 2 * time.Minute
	// stopTime is how long requests under way may take to end after a stop, which ends their contexts.
	stopTime = 500 * time.Millisecond
	// maxHeader bounds the head of a request, in bytes.
	maxHeader = 64 << 10
)

// API serves the operator API on two unix sockets: Path, for those who may order, and api.ReadSocket(Path), for those
// who may only look. Who may connect is a matter of the sockets' owner, group and mode alone.
type API struct {
	Path string
	// Group may connect to Path, ReadGroup to the other one. A group that is empty or does not exist means root only.
	Group     string
	ReadGroup string
	Version   string // for the metrics

	Operator Operator
	Images   Images
	Pulls    Pulls // nil: nothing is fetched
	Events   Events
	Orders   Orders  // nil: orders to nodes, and answers, are refused
	Configs  Configs // nil: none is taken or given
	Changes  Changes // nil: running systems are left alone
	Updates  Updates // nil: no OS updates are kept
	Keys     Keys    // nil: no host and no key is known
	Audit    Auditor // nil: nothing is kept
	State    State   // nil: it is not given away
	// Explain gives an error its exit code and hint, and its HTTP status where the code does not tell.
	Explain func(error) *api.Error
	Log     *slog.Logger

	give, look *socket // for orders, and for looking only
}

// Listen binds both sockets. A socket that a dead racker left is replaced; one that answers is not. Nobody can connect
// before a socket has its group and mode.
func (a *API) Listen(ctx context.Context) error {
	give, err := a.bind(ctx, a.Path, a.Group)
	if err != nil {
		return err
	}
	look, err := a.bind(ctx, api.ReadSocket(a.Path), a.ReadGroup)
	if err != nil {
		return errors.Join(err, give.Close())
	}
	a.give, a.look = give, look
	return nil
}

// Run serves until ctx is done; requests under way see their context end, and are waited for. An order goes on when
// its client goes away.
func (a *API) Run(ctx context.Context) error {
	var busy sync.WaitGroup
	m := newMeter(a)
	srv := a.server(ctx, m, &busy)
	var g errgroup.Group
	for _, s := range []*socket{a.give, a.look} {
		g.Go(func() error {
			if err := srv.Serve(s); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve the API: %w", err)
			}
			return nil
		})
	}
	g.Go(func() error {
		m.count(ctx, a.Events)
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if err := srv.Shutdown(sctx); err != nil {
			return srv.Close() // a client that neither reads nor goes is cut off
		}
		return nil
	})
	err := g.Wait()
	busy.Wait()
	return err
}

func (a *API) server(ctx context.Context, m *meter, busy *sync.WaitGroup) *http.Server {
	return &http.Server{
		Handler:           waited(busy, a.handler(ctx, m)),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(l net.Listener) context.Context { return a.greet(ctx, l) },
		ConnContext:       identify,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
}

// waited counts the requests under way, since http.Server.Close does not wait for them, and gives them their deadlines.
func waited(busy *sync.WaitGroup, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		busy.Add(1)
		defer busy.Done()
		ctl := http.NewResponseController(w)
		if r.ContentLength != 0 {
			_ = ctl.SetReadDeadline(time.Now().Add(bodyTime)) // for whoever sends a body to what takes none
		}
		h.ServeHTTP(&timely{ResponseWriter: w, ctl: ctl}, r)
	})
}
