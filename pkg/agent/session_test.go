package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net"
	"testing"
	"time"
)

// signer is a certificate with its key.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue signs a certificate by parent, or by itself when parent is nil.
func issue(t *testing.T, parent *signer, edit func(*x509.Certificate)) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
	}
	edit(tmpl)
	by, byKey := tmpl, key
	if parent != nil {
		by, byKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by, &key.PublicKey, byKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{cert, key}
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

func asServer(c *x509.Certificate) {
	c.IPAddresses = []net.IP{net.ParseIP("172.24.213.1")}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

func TestVerifyServer(t *testing.T) {
	t.Parallel()
	pin := func(s *signer) string {
		sum := sha256.Sum256(s.cert.RawSubjectPublicKeyInfo)
		return hex.EncodeToString(sum[:])
	}
	ca := issue(t, nil, asCA)
	other := issue(t, nil, asCA)
	plain := issue(t, nil, func(*x509.Certificate) {})
	leaf := issue(t, ca, asServer)
	middle := issue(t, ca, asCA)
	past := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		chain []*signer
		pin   string
		host  string
		ok    bool
	}{
		{"its own", []*signer{leaf, ca}, pin(ca), "172.24.213.1", true},
		{"expired long ago", []*signer{issue(t, ca, func(c *x509.Certificate) {
			asServer(c)
			c.NotBefore, c.NotAfter = past, past.Add(time.Hour)
		}), ca}, pin(ca), "172.24.213.1", true},
		{"not yet valid", []*signer{issue(t, ca, func(c *x509.Certificate) {
			asServer(c)
			c.NotBefore, c.NotAfter = time.Now().AddDate(10, 0, 0), time.Now().AddDate(11, 0, 0)
		}), ca}, pin(ca), "172.24.213.1", true},
		{"another address", []*signer{leaf, ca}, pin(ca), "172.24.213.2", false},
		{"another pin", []*signer{leaf, ca}, pin(other), "172.24.213.1", false},
		{"CA not sent", []*signer{leaf}, pin(ca), "172.24.213.1", false},
		{"nothing sent", nil, pin(ca), "172.24.213.1", false},
		{"the CA shown beside a leaf of another", []*signer{issue(t, other, asServer), ca}, pin(ca), "172.24.213.1", false},
		{"the CA shown, leaf signed by itself", []*signer{issue(t, nil, asServer), ca}, pin(ca), "172.24.213.1", false},
		{"pinned, but no CA", []*signer{issue(t, plain, asServer), plain}, pin(plain), "172.24.213.1", false},
		{"leaf by way of another CA", []*signer{issue(t, middle, asServer), middle, ca}, pin(ca), "172.24.213.1", false},
		{"an agent's certificate", []*signer{issue(t, ca, func(c *x509.Certificate) {
			asServer(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), ca}, pin(ca), "172.24.213.1", false},
	} {
		var chain []*x509.Certificate
		for _, s := range c.chain {
			chain = append(chain, s.cert)
		}
		if err := verifyServer(chain, c.pin, c.host); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %v", c.name, err, c.ok)
		}
	}
}
