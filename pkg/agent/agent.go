package agent

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/version"
)

// Agent is the job loop: it checks in, does what it is told, and reports. Run is called once.
type Agent struct {
	cfg     Settings
	machine Machine
	book    *Logbook
	log     *slog.Logger
	client  *client
	data    *http.Client // for image data, plain HTTP

	retry  pace          // of requests that were not answered
	denied pace          // after a refused session, and after a job that did not end in a reboot
	tick   time.Duration // between two reports of progress

	joined   chan struct{} // closed at the first check-in
	offset   time.Duration // of the machine's clock before it was set, against the server's
	identity api.Identity
	hardware api.Hardware
	work     *work // what is known of the job under way; kept while the server gives the same job again
}

// New makes an agent with a new session key. It opens nothing.
func New(cfg Settings, m Machine, book *Logbook) (*Agent, error) {
	c, err := newClient(cfg, m)
	if err != nil {
		return nil, err
	}
	return &Agent{
		cfg: cfg, machine: m, book: book, log: book.Logger(), client: c,
		data:   &http.Client{Transport: &http.Transport{DialContext: m.Dial, ResponseHeaderTimeout: askTimeout, IdleConnTimeout: 5 * time.Second}},
		retry:  pace{First: 500 * time.Millisecond, Most: 15 * time.Second},
		denied: pace{First: 2 * time.Second, Most: time.Minute},
		tick:   time.Second,
		joined: make(chan struct{}),
	}, nil
}

// Run works until ctx is done, or until the machine reboots. It returns ctx's error, or nil after a reboot was asked of a
// Machine whose Reboot returns.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var logs sync.WaitGroup
	logs.Go(func() {
		select {
		case <-ctx.Done():
		case <-a.joined: // before it the server takes no lines
			a.book.ship(ctx, a.tick, a.client.sendLog)
		}
	})
	defer func() {
		cancel()
		logs.Wait()
		a.client.close()
		a.data.CloseIdleConnections()
	}()
	if err := a.takeTime(ctx); err != nil {
		return err
	}
	if err := a.survey(ctx); err != nil {
		return err
	}
	return a.serve(ctx)
}

// serve checks in for ever, and does the jobs that it gets.
func (a *Agent) serve(ctx context.Context) error {
	node, idling := "", 0
	for {
		began := time.Now()
		got, err := a.checkIn(ctx)
		if err != nil {
			return err
		}
		if got.Node != node {
			if node == "" {
				close(a.joined)
			}
			node = got.Node
			a.log.Info("checked in", "node", node)
		}
		if got.Job == nil {
			// a server that answers at once instead of holding the request is not asked in a tight loop
			if time.Since(began) < time.Second {
				if err := a.denied.wait(ctx, 0); err != nil {
					return err
				}
			}
			continue
		}
		switch a.do(ctx, got.Node, got.Job) {
		case reboot:
			return a.reboot(ctx)
		case wait:
			if err := a.retry.wait(ctx, 0); err != nil {
				return err
			}
			continue
		}
		if err := a.denied.wait(ctx, idling); err != nil {
			return err
		}
		idling = min(idling+1, 4)
		if err := a.survey(ctx); err != nil {
			return err
		}
	}
}

// takeTime sets the machine's clock from the server's, before anything else looks at it.
func (a *Agent) takeTime(ctx context.Context) error {
	for try := 0; ; try++ {
		t, err := a.client.now(ctx)
		if err == nil {
			a.offset = a.machine.Now().Sub(t.Now)
			if err := a.machine.SetClock(t.Now); err != nil {
				a.log.Warn("set the clock", "err", err)
			} else {
				a.log.Info("clock set from the server", "was_off", a.offset.Round(time.Second).String())
			}
			return nil
		}
		a.log.Warn("the server does not tell the time, trying again", "err", err)
		if err := a.retry.wait(ctx, try); err != nil {
			return err
		}
	}
}

// survey takes the inventory; what cannot be read is logged and left out.
func (a *Agent) survey(ctx context.Context) error {
	id, hw, err := a.machine.Survey(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		a.log.Warn("inventory is not complete", "err", err)
	}
	a.identity, a.hardware = id, hw
	return nil
}

// checkIn repeats a check-in until it is answered. A refused session is asked for again, slowly: an operator may yet
// arm the node.
func (a *Agent) checkIn(ctx context.Context) (api.Assignment, error) {
	for try := 0; ; try++ {
		got, err := a.client.checkIn(ctx, api.CheckIn{
			Token: a.cfg.Token, Version: version.String(), Identity: a.identity, Hardware: a.hardware,
			// what the clock would say now, had nobody set it
			Clock: time.Now().Add(a.offset),
		})
		if err == nil {
			return got, nil
		}
		if ctx.Err() != nil {
			return api.Assignment{}, ctx.Err()
		}
		p := a.retry
		if refused(err) {
			p = a.denied
			a.log.Warn("the server refuses this boot's session, trying again", "err", err)
		} else {
			a.log.Warn("check-in was not answered, trying again", "err", err)
		}
		if err := p.wait(ctx, try); err != nil {
			return api.Assignment{}, err
		}
	}
}
