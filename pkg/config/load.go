package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// Sources says where Load looks. The zero value means the process's environment and the default file.
type Sources struct {
	// File is the settings file of --config. Empty means RACKER_CONFIG, then DefaultFile, which need not exist.
	File string
	// LookupEnv reads the environment; nil means the process's own.
	LookupEnv func(string) (string, bool)
	// Flags are settings given as flags, by their name in the file (oem_dir).
	Flags map[string]string
}

// Getenv reads one variable of the process's environment, for packages that need what is no setting of
// racker's (NO_COLOR, SUDO_USER).
func Getenv(name string) string { return os.Getenv(name) }

// Load merges all sources and validates the result. Every error of every source is in the returned error.
func Load(src Sources) (Settings, error) {
	if src.LookupEnv == nil {
		src.LookupEnv = os.LookupEnv
	}
	s := Default()
	s.Origin = map[string]string{}
	loadDefaults(&s, src.LookupEnv)
	err := errors.Join(loadFile(&s, src), loadEnv(&s, src.LookupEnv), loadFlags(&s, src.Flags))
	if err == nil {
		err = s.Validate()
	}
	return s, err
}

// loadDefaults takes what the environment says to every program, such as HTTPS_PROXY. What racker cannot use of it, such as
// an address with a password, is left alone: it was not meant for racker.
func loadDefaults(s *Settings, lookup func(string) (string, bool)) {
	for _, k := range keys() {
		for _, name := range k.also {
			v, ok := lookup(name)
			if v = strings.TrimSpace(v); !ok || v == "" {
				continue
			}
			if k.set(s, []string{v}) == nil {
				s.Origin[k.name] = name
				break
			}
		}
	}
}

func loadFile(s *Settings, src Sources) error {
	name, named := src.File, src.File != ""
	if !named {
		name, named = src.LookupEnv("RACKER_CONFIG")
		named = named && name != ""
	}
	if !named {
		name = DefaultFile
	}
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	case err != nil:
		return fmt.Errorf("read settings: %w", err)
	}
	return parseFile(s, name, data)
}

func loadEnv(s *Settings, lookup func(string) (string, bool)) error {
	var errs []error
	for _, k := range keys() {
		v, ok := lookup(k.env())
		if !ok {
			continue
		}
		words := []string{strings.TrimSpace(v)}
		if k.list {
			words = strings.Fields(v)
		}
		if err := k.set(s, words); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", k.env(), err))
			continue
		}
		s.Origin[k.name] = k.env()
	}
	return errors.Join(errs...)
}

func loadFlags(s *Settings, flags map[string]string) error {
	all := keys()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		i := slices.IndexFunc(all, func(k key) bool { return k.name == name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("no setting %s", name))
			continue
		}
		flag := "--" + strings.NewReplacer("_", "-", ".", "-").Replace(name)
		if err := all[i].set(s, []string{flags[name]}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", flag, err))
			continue
		}
		s.Origin[name] = flag
	}
	return errors.Join(errs...)
}
