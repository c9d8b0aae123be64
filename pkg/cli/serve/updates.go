package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/provision"
)

// areaUpdates is the area of OS updates below /assets/. They are no secret, and a node compares each with a digest that it got
// over SSH.
const areaUpdates = "updates"

// Names in the directory of a version.
const (
	updatePayload = "flatcar_production_update.gz"
	updateNote    = "update.json"
)

// updates are the payloads in a directory, one directory per version. Its methods may be called concurrently.
type updates struct {
	dir string
}

func (s *site) updates() *updates {
	return &updates{dir: filepath.Join(s.Settings.StateDir, areaUpdates)}
}

// updateVersion is what may be the name of a directory.
var updateVersion = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9}){1,3}([+-][0-9A-Za-z-]{1,32})?$`)

// Find implements provision.Updates.
func (u *updates) Find(_ context.Context, version string) (path, sum string, err error) {
	v, err := u.get(version)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("there is no update to version %s: racker os upgrade --payload FILE sends it: %w", version, provision.ErrRequest)
	}
	return areaUpdates + "/" + version + "/" + updatePayload, v.SHA256, err
}

func (u *updates) get(version string) (v api.UpdateView, err error) {
	if !updateVersion.MatchString(version) {
		return v, fmt.Errorf("version %q: want one like 4593.2.5: %w", version, provision.ErrRequest)
	}
	b, err := os.ReadFile(filepath.Join(u.dir, version, updateNote))
	if err != nil {
		return v, fmt.Errorf("update %s: %w", version, err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("update %s: %w", version, err)
	}
	return v, nil
}

// Updates implements daemon.Updates.
func (u *updates) Updates(context.Context) ([]api.UpdateView, error) {
	out := []api.UpdateView{}
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return out, fmt.Errorf("list the updates: %w", err)
	}
	for _, e := range entries {
		v, err := u.get(e.Name())
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, provision.ErrRequest): // one on its way
		case err != nil:
			return out, err
		default:
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b api.UpdateView) int { return b.Added.Compare(a.Added) })
	return out, nil
}

// PutUpdate implements daemon.Updates. The payload is whole and verified before it has its name.
func (u *updates) PutUpdate(ctx context.Context, version, sum string, r io.Reader) (v api.UpdateView, err error) {
	if !updateVersion.MatchString(version) {
		return v, fmt.Errorf("version %q: want one like 4593.2.5: %w", version, provision.ErrRequest)
	}
	if len(sum) != hex.EncodedLen(sha256.Size) || strings.Trim(sum, "0123456789abcdef") != "" {
		return v, fmt.Errorf("sha256 %q: want 64 digits of lower-case hexadecimal: %w", sum, provision.ErrRequest)
	}
	temp, err := os.MkdirTemp(u.dir, ".new-")
	if err != nil {
		return v, fmt.Errorf("add an update: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	v = api.UpdateView{Version: version, SHA256: sum, Added: time.Now().UTC()}
	if v.Size, err = receive(ctx, filepath.Join(temp, updatePayload), sum, r); err != nil {
		return v, fmt.Errorf("add the update to %s: %w", version, err)
	}
	note, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(filepath.Join(temp, updateNote), note, 0o600)
	}
	if err == nil {
		err = os.Chmod(temp, 0o750) //nolint:gosec // as the directories of images are
	}
	if err != nil {
		return v, fmt.Errorf("add the update to %s: %w", version, err)
	}
	at := filepath.Join(u.dir, version)
	if err := os.RemoveAll(at); err != nil {
		return v, fmt.Errorf("add the update to %s: %w", version, err)
	}
	if err := os.Rename(temp, at); err != nil {
		return v, fmt.Errorf("add the update to %s: %w", version, err)
	}
	return v, nil
}

// receive writes a file that must have a digest.
func receive(ctx context.Context, path, sum string, r io.Reader) (int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640) //nolint:gosec // the group may read it, as it may images
	if err != nil {
		return 0, err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close(), ctx.Err()); err != nil {
		return n, err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return n, fmt.Errorf("it has the SHA-256 %s, want %s: %w", got, sum, provision.ErrRequest)
	}
	return n, nil
}
