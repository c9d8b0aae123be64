package provision

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/netip"
	"regexp"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
)

// again repeats a call until it succeeds on a machine that lives, as agents and firmware do.
func (s *server) again(ctx context.Context, call func(*Machine) error) bool {
	for ctx.Err() == nil {
		if m := s.w.at(); m != nil && call(m) == nil {
			return true
		}
		if !pause(ctx, time.Millisecond) {
			return false
		}
	}
	return false
}

// connected gives a context that ends with the machine, too: a daemon that dies takes its connections along.
func (w *world) connected(ctx context.Context) (context.Context, func()) {
	w.mu.Lock()
	life := w.life
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(life, cancel)
	return ctx, func() { stop(); cancel() }
}

var tokenArg = regexp.MustCompile(api.ArgToken + `=(\S+)`)

// life is one boot after the other until the server's installed system called back.
func (s *server) life(ctx context.Context) {
	from := s.w.addr(s.primary[5])
	s.w.mu.Lock()
	absent := s.absent
	s.w.mu.Unlock()
	if absent {
		return
	}
	for ctx.Err() == nil {
		var script string
		ok := s.again(ctx, func(m *Machine) (err error) {
			if err := m.NetworkBoot(ctx, s.primary); err != nil {
				return err
			}
			script, err = m.BootScript(ctx, bootd.BootQuery{From: from, MAC: s.primary, Platform: "efi"})
			return err
		})
		if !ok {
			return
		}
		if token := tokenArg.FindStringSubmatch(script); token != nil {
			s.w.mu.Lock()
			s.microkernels++
			s.w.mu.Unlock()
			s.install(ctx, from, token[1])
			continue
		}
		if s.silentBoot {
			return
		}
		s.again(ctx, func(m *Machine) error { return m.SystemBoot(ctx, s.primary) })
		s.callBack(ctx, from)
		return
	}
}

func (s *server) peer(from netip.Addr, token string) bootd.Peer {
	return bootd.Peer{Addr: from, Key: sha256.Sum256([]byte(token))}
}

func (s *server) checkIn(token string) api.CheckIn {
	return api.CheckIn{Token: token, Clock: s.clock, Identity: api.Identity{
		BootMAC: s.primary.String(), BMCMAC: s.bmc, Firmware: "uefi", Arch: "amd64",
	}}
}

// install does the agent's work once; it returns when the machine reboots.
func (s *server) install(ctx context.Context, from netip.Addr, token string) {
	p := s.peer(from, token)
	var job *api.Job
	for ctx.Err() == nil {
		var a api.Assignment
		var old bool
		ok := s.again(ctx, func(m *Machine) (err error) {
			ctx, end := s.w.connected(ctx)
			defer end()
			a, err = m.CheckIn(ctx, p, s.checkIn(token))
			old = errors.Is(err, bootd.ErrSession)
			if old {
				return nil
			}
			return err
		})
		if !ok {
			return
		}
		if old && !pause(ctx, 5*time.Millisecond) {
			return
		}
		if job = a.Job; job != nil && s.steps(ctx, p, job) {
			return
		}
	}
}

// steps reports whether the machine reboots.
func (s *server) steps(ctx context.Context, p bootd.Peer, job *api.Job) bool {
	for i := job.Next; i < len(job.Steps); i++ {
		r := api.StepReport{State: api.StepDone}
		switch job.Steps[i] {
		case api.StepDisk:
			r.Result = marshal(s.finds())
		case api.StepWrite:
			if !s.report(ctx, p, job, i, api.StepReport{State: api.StepRunning, Progress: &api.Progress{Done: 1, Total: 2}}) {
				return false
			}
			if s.write() {
				r = api.StepReport{State: api.StepFailed, Reason: "chunk 1: wrong SHA-256", LogTail: "tail"}
			} else {
				r.Result = marshal(api.WriteResult{Bytes: 1, ESP: "11111111-2222-3333-4444-555555555555"})
			}
		case api.StepIgnition:
			if !s.plain && !s.ignition(ctx, p, job) {
				return false
			}
			r.Result = marshal(map[string]bool{"skipped": s.plain})
		}
		if !s.report(ctx, p, job, i, r) || r.State == api.StepFailed {
			return false
		}
	}
	return ctx.Err() == nil
}

// ignition fetches the config as the agent does, and tells whether the job goes on.
func (s *server) ignition(ctx context.Context, p bootd.Peer, job *api.Job) bool {
	gone := false
	ok := s.again(ctx, func(m *Machine) error {
		_, err := m.Blob(ctx, p, job.ID, api.BlobIgnition)
		if gone = errors.Is(err, bootd.ErrSession); gone {
			return nil
		}
		return err
	})
	return ok && !gone
}

// finds is what the agent finds to erase now.
func (s *server) finds() api.DiskResult {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	res := api.DiskResult{Disk: api.Disk{Path: "/dev/vda", Serial: "D" + s.primary.String(), Size: 1 << 30}, Matched: 1}
	if s.writes > 0 {
		res.Disk.Contents = []string{"half of it"}
	}
	if s.found != nil {
		s.found(&res)
	}
	return res
}

// write counts a write of the disk, and reports whether it fails.
func (s *server) write() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.writes++
	if s.w.onWrite != nil {
		s.w.onWrite()
	}
	s.failWrite--
	return s.failWrite >= 0
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// report repeats a report until it is answered, and tells whether the job goes on.
func (s *server) report(ctx context.Context, p bootd.Peer, job *api.Job, step int, r api.StepReport) bool {
	var reply api.StepReply
	var gone bool
	ok := s.again(ctx, func(m *Machine) (err error) {
		reply, err = m.Report(ctx, p, job.ID, step, r)
		if gone = errors.Is(err, bootd.ErrSession); gone {
			return nil
		}
		return err
	})
	return ok && !gone && !reply.Stop
}

func (s *server) callBack(ctx context.Context, from netip.Addr) {
	if s.mute || s.plain {
		return
	}
	s.again(ctx, func(m *Machine) error {
		_, rec := m.node(s.primary)
		if rec.Install == nil {
			return errors.New("no install")
		}
		n, _ := m.node(s.primary)
		return m.Callback(ctx, from, n.Name, api.SignalReady, rec.Install.Callback, api.Callback{HostName: n.Name, HostKeys: []string{"256 SHA256:x"}})
	})
}
