package release

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// sweep removes what nobody came back for.
func (p *Pulls) sweep() error {
	entries, err := os.ReadDir(p.cfg.Dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		name := e.Name()
		part := strings.Contains(name, partEnd)
		if !part && !strings.HasPrefix(name, uploadPrefix) && !strings.HasPrefix(name, ".key-") {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && part && p.cfg.Now().Sub(info.ModTime()) < partLife {
			continue
		}
		errs = append(errs, err, os.Remove(filepath.Join(p.cfg.Dir, name)))
	}
	return errors.Join(errs...)
}

// restore takes the order that was under way when the last daemon ended.
func (p *Pulls) restore() error {
	b, err := os.ReadFile(p.orderPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var was api.PullView
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	var o order
	if err == nil {
		o, err = check(was.Order)
	}
	if err != nil {
		p.log.Warn("the pull that was under way is not understood and dropped", "file", p.orderPath(), "err", err)
		return os.Remove(p.orderPath())
	}
	p.admit(o, was.ID, was.Began)
	return nil
}

func (p *Pulls) orderPath() string { return filepath.Join(p.cfg.Dir, orderFile) }

// note keeps the order over a restart.
func (p *Pulls) note(v api.PullView) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(p.cfg.Dir, ".key-") // swept like one
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), p.orderPath())
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
