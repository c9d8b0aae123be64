package release

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Errors that a caller can match.
var (
	// ErrKey says that a file of keys does not hold the pinned one.
	ErrKey = errors.New("signing key")
	// ErrSignature says that a file is not signed as it must be.
	ErrSignature = errors.New("signature")
)

const (
	// maxKey and maxSignature bound what is read of a key and of a signature, in bytes.
	maxKey       = 1 << 20
	maxSignature = 64 << 10
	// clockSlack is how far a signature may be ahead of this machine's clock.
	clockSlack = 10 * time.Minute
)

// Key is a vendor's signing key: one primary key, which is pinned, with the sub-keys that it vouches for. It never changes.
type Key struct {
	entity *openpgp.Entity
	// Fingerprint is that of the primary key, upper-case hex.
	Fingerprint string
	// Source says where it came from, for people.
	Source string
}

// ParseKey finds the key with that fingerprint, of its primary key, in a file of keys, armored or not. Other keys in the file
// are left alone. Errors match ErrKey.
func ParseKey(data []byte, fingerprint, source string) (*Key, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w in %s: %w", ErrKey, source, fmt.Errorf(format, args...))
	}
	if len(data) > maxKey {
		return nil, bad("it has more than %d bytes", maxKey)
	}
	raw, err := unarmor(data, openpgp.PublicKeyType)
	if err != nil {
		return nil, bad("it is not an OpenPGP key: %w", err)
	}
	list, err := openpgp.ReadKeyRing(bytes.NewReader(raw))
	if err != nil {
		return nil, bad("it is not an OpenPGP key: %w", err)
	}
	var others []string
	for _, e := range list {
		found := strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
		if found == fingerprint {
			return &Key{entity: e, Fingerprint: found, Source: source}, nil
		}
		others = append(others, found)
	}
	return nil, bad("it holds %s, and not the pinned %s", strings.Join(others, ", "), fingerprint)
}

// unarmor gives the binary form; what is not armored stays as it is.
func unarmor(data []byte, kind string) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN ")) {
		return data, nil
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if block.Type != kind {
		return nil, fmt.Errorf("it is a %s", block.Type)
	}
	return io.ReadAll(block.Body)
}

// Signature is one that was verified.
type Signature struct {
	At      time.Time
	Key     string // fingerprint of the key or sub-key that made it, upper-case hex
	Primary string // fingerprint of its primary key
}

// Verify reads signed to its end and checks that the detached signature, armored or not, is one of the key, or of a sub-key of
// it, that was valid when the signature was made: created before, neither expired nor revoked. What has expired since does not
// matter. now is the time by which nothing may be from the future. Errors match ErrSignature, or are those of signed.
func (k *Key) Verify(ctx context.Context, signed io.Reader, signature []byte, now time.Time) (Signature, error) {
	raw, err := unarmor(signature, openpgp.SignatureType)
	if err != nil {
		return Signature{}, fmt.Errorf("%w: it is not an OpenPGP signature: %w", ErrSignature, err)
	}
	config := &packet.Config{Time: func() time.Time { return now.Add(clockSlack) }}
	md, err := openpgp.VerifyDetachedSignatureReader(openpgp.EntityList{k.entity}, &watched{ctx: ctx, r: signed}, bytes.NewReader(raw), config)
	if errors.Is(err, pgperrors.ErrUnknownIssuer) {
		return Signature{}, fmt.Errorf("%w: there is none in the file", ErrSignature)
	}
	if err != nil {
		return Signature{}, fmt.Errorf("%w: it is not an OpenPGP signature: %w", ErrSignature, err)
	}
	if _, err := io.Copy(io.Discard, md.UnverifiedBody); err != nil {
		return Signature{}, err // of the file: verification has its own place
	}
	if md.SignatureError != nil {
		return Signature{}, fmt.Errorf("%w: %w", ErrSignature, k.explain(md, now))
	}
	return Signature{
		At: md.Signature.CreationTime.UTC(), Key: strings.ToUpper(hex.EncodeToString(md.SignedBy.PublicKey.Fingerprint)), Primary: k.Fingerprint,
	}, nil
}

// explain says in an operator's words what is wrong with a signature.
func (k *Key) explain(md *openpgp.MessageDetails, now time.Time) error {
	var at time.Time
	id := "an unknown key"
	if c := md.SelectedCandidate; c != nil && c.CorrespondingSig != nil {
		at, id = c.CorrespondingSig.CreationTime.UTC(), fmt.Sprintf("the key %016X", c.IssuerKeyId)
	}
	made := at.Format(time.DateOnly)
	switch err := md.SignatureError; {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return fmt.Errorf("it was made by %s, which is not the pinned key %s and no sub-key of it", id, k.Fingerprint)
	case at.After(now.Add(clockSlack)):
		return fmt.Errorf("it was made at %s, and the clock of this machine says %s", at.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return fmt.Errorf("it was made on %s by %s, which had expired by then", made, id)
	case errors.Is(err, pgperrors.ErrKeyRevoked), k.revoked(md, at):
		return fmt.Errorf("it was made by %s, which was revoked", id)
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return fmt.Errorf("it was made on %s and has expired", made)
	case errors.As(err, new(pgperrors.SignatureError)):
		return fmt.Errorf("the file is not the one that was signed by %s on %s: %w", id, made, err)
	default:
		return fmt.Errorf("it was made on %s by %s: %w", made, id, err)
	}
}

// revoked reports whether the sub-key that a signature names was revoked.
func (k *Key) revoked(md *openpgp.MessageDetails, at time.Time) bool {
	if md.SelectedCandidate == nil {
		return false
	}
	for i := range k.entity.Subkeys {
		if sub := &k.entity.Subkeys[i]; sub.PublicKey.KeyId == md.SelectedCandidate.IssuerKeyId {
			return sub.Revoked(nil, at)
		}
	}
	return false
}

// watched is a reader that ends with its context.
type watched struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}
