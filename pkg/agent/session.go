package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrServer is matched when who answers is not racker's server: no certificate of the pinned CA for this address.
var ErrServer = errors.New("the server's certificate is not that of the pinned CA for this address")

// sessionCertificate makes the key of this boot's session and a certificate for it. The server knows the session by the
// key alone; the certificate is only its envelope.
func sessionCertificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the session's key: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "racker-agent"},
		NotBefore:    time.Unix(0, 0), // whatever the clock says at start
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the session's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

// tlsConfig gives the client side of the agent API: it trusts the CA with that pin, and no other.
func tlsConfig(pin, host string, client tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   host,
		Certificates: []tls.Certificate{client},
		// The standard verifier wants the whole CA certificate and a clock that is right. The agent has the CA's pin and
		// a clock that may be years off, so VerifyConnection, which runs on every handshake, verifies instead.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := verifyServer(cs.PeerCertificates, pin, host); err != nil {
				return fmt.Errorf("%w: %w", ErrServer, err)
			}
			return nil
		},
	}
}

// verifyServer checks that the chain holds the CA with that pin, that this CA signed the leaf, and that the leaf is a
// server certificate for host. Validity dates are not looked at.
func verifyServer(chain []*x509.Certificate, pin, host string) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	var ca *x509.Certificate
	for _, c := range chain[1:] {
		if sum := sha256.Sum256(c.RawSubjectPublicKeyInfo); hex.EncodeToString(sum[:]) == pin {
			ca = c
			break
		}
	}
	if ca == nil {
		return fmt.Errorf("its chain of %d holds no CA with the pin %s", len(chain), pin)
	}
	at := time.Unix(1, 0)
	leaf, root := undated(chain[0], at), undated(ca, at)
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: at})
	return err
}

// undated gives a copy of a certificate that is valid at one instant, for the standard verifier.
func undated(c *x509.Certificate, at time.Time) *x509.Certificate {
	d := *c
	d.NotBefore, d.NotAfter = at, at
	return &d
}
