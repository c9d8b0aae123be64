package release

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Source says where releases come from and whose they must be.
type Source struct {
	// Mirror is the base of the server; "{channel}" in it stands for the channel, which else is a directory below it.
	Mirror string
	// KeyURL gives the signing key; KeyFile, when it is not empty, is read instead.
	KeyURL, KeyFile string
	// Fingerprint is that of the pinned primary key, 40 hex digits, upper case.
	Fingerprint string
}

// vendor gets small files and keys from a source, and keeps the key in dir.
type vendor struct {
	Source
	web *Web
	dir string
	log *slog.Logger
}

func (v *vendor) keptKey() string { return filepath.Join(v.dir, "key-"+v.Fingerprint+".asc") }

// key gives the signing key: that of the file, or else the vendor's newest, which has its newest sub-keys and revocations, or
// else the one that was kept. Errors match ErrKey, or are those of the network.
func (v *vendor) key(ctx context.Context) (*Key, error) {
	if v.KeyFile != "" {
		b, err := os.ReadFile(v.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return ParseKey(b, v.Fingerprint, v.KeyFile)
	}
	kept, keptErr := v.kept()
	if v.KeyURL == "" {
		return kept, keptErr
	}
	web := *v.web
	if kept != nil {
		web.Retries = -1 // there is another way
	}
	b, err := web.small(ctx, v.KeyURL, maxKey)
	if err == nil {
		var k *Key
		if k, err = ParseKey(b, v.Fingerprint, v.KeyURL); err == nil {
			return k, v.keep(b)
		}
	}
	if kept != nil && ctx.Err() == nil {
		v.log.WarnContext(ctx, "signing key not refreshed, the kept one is used", "file", kept.Source, "err", err)
		return kept, nil
	}
	return nil, err
}

// kept gives the key of an earlier time.
func (v *vendor) kept() (*Key, error) {
	b, err := os.ReadFile(v.keptKey())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return ParseKey(b, v.Fingerprint, v.keptKey())
}

// keep stores a key whose fingerprint is the pinned one.
func (v *vendor) keep(b []byte) error {
	if old, err := os.ReadFile(v.keptKey()); err == nil && string(old) == string(b) {
		return nil
	}
	f, err := os.CreateTemp(v.dir, ".key-")
	if err != nil {
		return fmt.Errorf("keep the signing key: %w", full(err))
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), v.keptKey())
	}
	if err != nil {
		return fmt.Errorf("keep the signing key: %w", errors.Join(full(err), os.Remove(f.Name())))
	}
	return nil
}
