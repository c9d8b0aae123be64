package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/racker-project/racker/pkg/provision"
)

func TestUpdates(t *testing.T) {
	t.Parallel()
	u := &updates{dir: t.TempDir()}
	sum := sha256.Sum256([]byte("payload"))
	digest := hex.EncodeToString(sum[:])
	if _, _, err := u.Find(t.Context(), "1.2.3"); !errors.Is(err, provision.ErrRequest) || !strings.Contains(err.Error(), "--payload") {
		t.Errorf("none yet: %v", err)
	}
	for name, try := range map[string]func() error{
		"no version": func() error {
			_, err := u.PutUpdate(t.Context(), "../x", digest, strings.NewReader("payload"))
			return err
		},
		"no digest": func() error {
			_, err := u.PutUpdate(t.Context(), "1.2.3", "", strings.NewReader("payload"))
			return err
		},
		"another": func() error {
			_, err := u.PutUpdate(t.Context(), "1.2.3", digest, strings.NewReader("other"))
			return err
		},
	} {
		if err := try(); !errors.Is(err, provision.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("cable pulled")
	if _, err := u.PutUpdate(t.Context(), "1.2.3", digest, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("broken off: %v", err)
	}
	if left, err := os.ReadDir(u.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for range 2 { // the same once more takes its place
		if v, err := u.PutUpdate(t.Context(), "1.2.3", digest, strings.NewReader("payload")); err != nil || v.Size != 7 {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	path, got, err := u.Find(t.Context(), "1.2.3")
	if err != nil || got != digest || path != "updates/1.2.3/flatcar_production_update.gz" {
		t.Errorf("%s, %s, %v", path, got, err)
	}
	if b, err := os.ReadFile(filepath.Join(u.dir, strings.TrimPrefix(path, "updates/"))); err != nil || string(b) != "payload" {
		t.Errorf("%q, %v", b, err)
	}
	if list, err := u.Updates(t.Context()); err != nil || len(list) != 1 || list[0].SHA256 != digest {
		t.Errorf("%+v, %v", list, err)
	}
}
