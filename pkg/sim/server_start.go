package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// powerOn starts QEMU with the boot device that the BMC wants now.
func (s *server) powerOn(ctx context.Context) error {
	first, l := s.hw.Order, launch{}
	if s.bmc != nil {
		first = or(s.bmc.BootFirst(), first)
	}
	l.diskFirst = first == OrderDisk
	if s.skew != 0 {
		l.clock = time.Now().Add(s.skew)
	}
	s.startSkew = s.skew
	q, err := s.launch(ctx, l)
	if err != nil {
		return fmt.Errorf("power on %s: %w", s.node.Name, err)
	}
	s.proc = q
	s.mu.Lock()
	s.on = true
	s.seen.boot()
	boots := s.seen.Boots
	s.mu.Unlock()
	s.log.Info("boot", "step", first, "count", boots)
	if err := s.cable(); err != nil {
		s.log.Warn("cable", "err", err)
	}
	if q.inBand != nil {
		s.serve.Go(func() {
			defer q.inBand.Close()
			if err := s.bmc.ServeInBand(ctx, q.inBand); err != nil && !quiet(err) {
				s.log.Warn("in-band BMC", "err", err)
			}
		})
	}
	return nil
}

// launch makes the cables, starts QEMU and waits for its monitor.
func (s *server) launch(ctx context.Context, l launch) (*qemu, error) {
	var files []*os.File // handed to QEMU as descriptor 3 and up
	give := func(f *os.File) int {
		files = append(files, f)
		return 2 + len(files)
	}
	control, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	l.monitorFD = give(theirs)
	abandon := func(err error) (*qemu, error) {
		control.Close()
		closeAll(files)
		return nil, err
	}
	tap, err := s.net.Tap(s.port+"-int", BridgeInternal)
	if err != nil {
		return abandon(err)
	}
	l.primaryFD = give(tap)
	if !s.node.Secondary.IsZero() {
		if tap, err = s.net.Tap(s.port+"-pub", BridgePublic); err != nil {
			return abandon(err)
		}
		l.secondaryFD = give(tap)
	}
	for i := range s.hw.NICs {
		if tap, err = s.net.Tap(fmt.Sprintf("%s-pub%d", s.port, 2+i), BridgePublic); err != nil {
			return abandon(err)
		}
		l.furtherFDs = append(l.furtherFDs, give(tap))
	}
	l.inBand = s.bmc != nil && !s.hw.NoInBand
	q, err := startQEMU(ctx, s.dir, qemuArgs(s.node, s.hw, l), files)
	files = nil
	if err != nil {
		return abandon(err)
	}
	if q.monitor, err = newMonitor(control); err != nil {
		return abandon(fmt.Errorf("%w: %w", err, q.fail()))
	}
	if l.inBand {
		if q.inBand, err = dialIn(ctx, s.dir, inBandSocket); err != nil {
			q.stop()
			return nil, fmt.Errorf("connect the in-band BMC: %w", err)
		}
	}
	return q, nil
}

// copyNew copies a file unless the target is there.
func copyNew(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, src)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
