package bmc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bmc-toolbox/bmclib/v2"
	"github.com/bougou/go-ipmi/pkg/types"
	"github.com/jacobweinstock/registrar"
)

// Config holds the limits of a Client; zero values mean the defaults.
type Config struct {
	// Attempt bounds one attempt: opening a session and one request. Default 5 s.
	Attempt time.Duration
	// Attempts bounds how often a request is tried when the BMC is silent or busy. Default 2; a refusal is never tried again.
	Attempts int
	// Settle bounds how long a power change may take until it reads back. Default 30 s.
	Settle time.Duration
	// SoftSettle is the same for a soft power off, which an operating system carries out. Default 2 min.
	SoftSettle time.Duration
	// Poll is the pause between two readings of a change. Default 500 ms.
	Poll time.Duration
	// Sessions bounds the sessions that are open at a time, over all BMCs. Default 64.
	Sessions int
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&c.Attempt, 5*time.Second)
	set(&c.Settle, 30*time.Second)
	set(&c.SoftSettle, 2*time.Minute)
	set(&c.Poll, 500*time.Millisecond)
	if c.Attempts <= 0 {
		c.Attempts = 2
	}
	if c.Sessions <= 0 {
		c.Sessions = 64
	}
	return c
}

// Client talks to any number of BMCs. All methods may be called by any number of goroutines; requests to one BMC wait for
// each other.
type Client struct {
	cfg Config
	all chan struct{} // one element per open session

	mu   sync.Mutex
	bmcs map[string]*state
}

// state is what a Client remembers of one BMC.
type state struct {
	turn  chan struct{}       // holds one element while a session is open
	suite types.CipherSuiteID // that worked last; 0 for none yet
	// bare: its boot flags keep the device and nothing else; found out by probeBare.
	bare bool
}

// New gives a Client.
func New(cfg Config) *Client {
	cfg = cfg.withDefaults()
	return &Client{cfg: cfg, all: make(chan struct{}, cfg.Sessions), bmcs: make(map[string]*state)}
}

// state gives what is remembered of the BMC at address.
func (c *Client) state(address string) *state {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.bmcs[address]
	if s == nil {
		s = &state{turn: make(chan struct{}, 1)}
		c.bmcs[address] = s
	}
	return s
}

// session is an open session, through bmclib and, for what bmclib has no words for, the provider below it.
type session struct {
	lib   *bmclib.Client
	ipm   *provider
	state *state // of the BMC; owned by the session while it is open
}

// failed gives the error of a bmclib call as the provider saw it.
func (s *session) failed(err error) error {
	if err != nil && s.ipm.last != nil {
		return s.ipm.last
	}
	return err
}

// do runs request in a session of its own, once the BMC and the Client have one free. request must be safe to repeat: it
// is tried again when the BMC is silent or busy. what names it in errors.
func (c *Client) do(ctx context.Context, t Target, what string, request func(context.Context, *session) error) error {
	if err := t.validate(); err != nil {
		return err
	}
	st := c.state(t.address())
	for _, gate := range []chan struct{}{st.turn, c.all} {
		select {
		case gate <- struct{}{}:
			defer func() { <-gate }()
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: waiting for a session: %w", t, what, ctx.Err())
		}
	}
	began := time.Now()
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, t, st, request)
		if err == nil {
			return nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("%s: %s: %w", t, what, context.Canceled)
		}
		err = explain(t, what, time.Since(began), err)
		again := errors.Is(err, ErrUnreachable) || errors.Is(err, ErrBusy)
		if !again || attempt >= c.cfg.Attempts || pause(ctx, backoff(attempt)) != nil {
			return err
		}
	}
}

// once opens a session, runs request in it, and closes it.
func (c *Client) once(ctx context.Context, t Target, st *state, request func(context.Context, *session) error) error {
	s, err := c.open(ctx, t, st)
	if err != nil {
		return err
	}
	// The session is closed even when ctx is done, but not for longer than a request may take.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resendAfter)
		defer cancel()
		_ = s.lib.Close(ctx) // the BMC ends a session that it did not hear being closed after a minute
	}()
	return request(ctx, s)
}

// open opens a session with the suite that worked last, else with 17, and with 3 only when the BMC refuses 17.
func (c *Client) open(ctx context.Context, t Target, st *state) (*session, error) {
	suites := []types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3}
	if st.suite == types.CipherSuiteID3 {
		suites = []types.CipherSuiteID{types.CipherSuiteID3, types.CipherSuiteID17}
	}
	var err error
	for _, suite := range suites {
		var s *session
		if s, err = c.openWith(ctx, t, suite); err == nil {
			st.suite, s.state = suite, st
			return s, nil
		}
		if !refusesSuite(err) {
			return nil, err
		}
	}
	st.suite = 0
	return nil, errors.Join(ErrCipherSuite, err)
}

// openWith opens a session with one suite.
func (c *Client) openWith(ctx context.Context, t Target, suite types.CipherSuiteID) (*session, error) {
	p := &provider{target: t, suite: suite}
	reg := registrar.NewRegistry()
	reg.Register(providerName, providerProtocol, features(), nil, p)
	s := &session{ipm: p, lib: bmclib.NewClient(t.Host, t.User, t.Password.Reveal(), bmclib.WithRegistry(reg), bmclib.WithPerProviderTimeout(c.cfg.Attempt))}
	octx, cancel := context.WithTimeout(ctx, c.cfg.Attempt)
	defer cancel()
	if err := s.failed(s.lib.Open(octx)); err != nil {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resendAfter)
		defer cancel()
		_ = p.Close(cctx) // a half-open session; the error that counts is the first
		return nil, err
	}
	return s, nil
}

// backoff is the pause before attempt+1: half a second, doubled each time, with a jitter of half of it.
func backoff(attempt int) time.Duration {
	d := 500 * time.Millisecond << min(attempt-1, 4)
	return d/2 + rand.N(d)
}

// pause waits for d, or for ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
