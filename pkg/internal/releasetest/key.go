// Package releasetest is for tests of what fetches and verifies releases: signing keys with sub-keys that expire and rotate, and
// a release server in Flatcar's layout, which is a real nginx.
package releasetest

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Key is a vendor's signing key. Sub-keys are numbered from 0 in the order in which they were added.
type Key struct {
	t      testing.TB
	entity *openpgp.Entity
	subs   []int // in entity.Subkeys
}

// NewKey makes a primary key at that time.
func NewKey(t testing.TB, at time.Time) *Key {
	t.Helper()
	e, err := openpgp.NewEntity("Test Buildbot", "", "buildbot@example.com", config(at, 0))
	if err != nil {
		t.Fatal(err)
	}
	return &Key{t: t, entity: e}
}

func config(at time.Time, life time.Duration) *packet.Config {
	return &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA512, KeyLifetimeSecs: uint32(life / time.Second),
		Time: func() time.Time { return at },
	}
}

// Rotate adds a signing sub-key that is valid from a time on, for that long; 0 means for ever.
func (k *Key) Rotate(from time.Time, life time.Duration) *Key {
	k.t.Helper()
	if err := k.entity.AddSigningSubkey(config(from, life)); err != nil {
		k.t.Fatal(err)
	}
	k.subs = append(k.subs, len(k.entity.Subkeys)-1)
	return k
}

// Revoke revokes a sub-key, as one that was stolen.
func (k *Key) Revoke(sub int, at time.Time) *Key {
	k.t.Helper()
	if err := k.entity.Subkeys[k.subs[sub]].Revoke(packet.KeyCompromised, "stolen", config(at, 0)); err != nil {
		k.t.Fatal(err)
	}
	return k
}

// Fingerprint is that of the primary key, upper-case hex.
func (k *Key) Fingerprint() string {
	return strings.ToUpper(hex.EncodeToString(k.entity.PrimaryKey.Fingerprint))
}

// SubFingerprint is that of a sub-key.
func (k *Key) SubFingerprint(sub int) string {
	return strings.ToUpper(hex.EncodeToString(k.entity.Subkeys[k.subs[sub]].PublicKey.Fingerprint))
}

// Public is the armored key, as a vendor gives it away.
func (k *Key) Public() []byte {
	k.t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		err = k.entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return b.Bytes()
}

// Sign makes a detached signature by a sub-key at that time, also at one at which the key is not valid.
func (k *Key) Sign(sub int, at time.Time, data []byte) []byte {
	k.t.Helper()
	key := k.entity.Subkeys[k.subs[sub]].PrivateKey
	s := &packet.Signature{
		Version: key.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA512, CreationTime: at,
		IssuerKeyId: &key.KeyId, IssuerFingerprint: key.Fingerprint,
	}
	h, err := s.PrepareSign(config(at, 0))
	if err == nil {
		_, err = h.Write(data)
	}
	if err == nil {
		err = s.Sign(h, key, config(at, 0))
	}
	var b bytes.Buffer
	if err == nil {
		err = s.Serialize(&b)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return b.Bytes()
}
