package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// send puts the payload into the daemon's cache, unless it is there.
func (o *osUpgradeOptions) send(ctx context.Context, d upgrader) error {
	held, err := d.Updates(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(held, func(u api.UpdateView) bool { return u.Version == o.Version })
	if o.Payload == "" {
		if at < 0 {
			return withHint(usageError("racker has no update to version %s", o.Version),
				"--payload FILE sends it: flatcar_production_update.gz of that version")
		}
		return nil
	}
	f, err := os.Open(o.Payload)
	if err != nil {
		return withCode(codeUsage, fmt.Errorf("--payload: %w", err))
	}
	defer f.Close()
	sum, err := payloadDigest(f)
	if err != nil {
		return err
	}
	if at >= 0 && held[at].SHA256 == sum {
		return nil
	}
	fmt.Fprintf(o.IO.Err, "Sending %s\n", o.Payload)
	_, err = d.PutUpdate(ctx, o.Version, sum, f)
	return err
}

// payloadDigest reads a payload, and compares it with the digest that the vendor put beside it, where there is one.
func payloadDigest(f *os.File) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("--payload: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("--payload: %w", err)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	beside := f.Name() + ".sha256"
	text, err := os.ReadFile(beside)
	if errors.Is(err, fs.ErrNotExist) {
		return sum, nil
	}
	if err != nil {
		return "", fmt.Errorf("--payload: %w", err)
	}
	if words := strings.Fields(string(text)); len(words) == 0 || !strings.EqualFold(words[0], sum) {
		return "", usageError("%s has the SHA-256 %s, and %s says another: it is damaged, or not of this version", f.Name(), sum, beside)
	}
	return sum, nil
}
