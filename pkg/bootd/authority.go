package bootd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// lifetime of the CA and its leaves. Agents ignore the dates, since their clocks may be years off.
const lifetime = 30 * 365 * 24 * time.Hour

// Authority is racker's own CA. Its key never leaves the state; agents pin its public key.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes a CA for the rack.
func NewAuthority(now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "racker CA"},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.Add(lifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the CA's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the CA's certificate back: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// authorityFile is the stored form: DER in JSON.
type authorityFile struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// Marshal gives the CA with its private key, for the state only.
func (a *Authority) Marshal() ([]byte, error) {
	key, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("marshal the CA's key: %w", err)
	}
	return json.Marshal(authorityFile{Certificate: a.cert.Raw, Key: key})
}

// ParseAuthority reads what Marshal gave.
func ParseAuthority(b []byte) (*Authority, error) {
	var f authorityFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("stored CA: %w", err)
	}
	cert, err := x509.ParseCertificate(f.Certificate)
	if err != nil {
		return nil, fmt.Errorf("stored CA's certificate: %w", err)
	}
	key, err := x509.ParseECPrivateKey(f.Key)
	if err != nil {
		return nil, fmt.Errorf("stored CA's key: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// Pin is the lower-case hex SHA-256 of the CA's SubjectPublicKeyInfo (RFC 7469 2.4 takes the same digest).
func (a *Authority) Pin() string {
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// PEM gives the CA's certificate, for clients such as an installed system's curl.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Leaf makes a server certificate for addr, with the CA in its chain. It is made anew at each start and lives in memory.
func (a *Authority) Leaf(addr netip.Addr, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server's key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server certificate's serial: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "racker"},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{addr.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
}
