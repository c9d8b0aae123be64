package ignite

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Node is what an installed node's config says.
type Node struct {
	// HostName is one label or a domain name in lower case (RFC 1123), 1 to 64 bytes: the kernel takes no more.
	HostName string
	// SSHKeys are lines of an authorized_keys file for the user core; may be empty.
	SSHKeys []string
	// Names are lines of /etc/hosts for the cluster's nodes; they go into ClusterHosts. May be empty.
	Names string
	// RackKey is racker's own line for the same file; empty without one.
	RackKey string
	// HostKey is the node's own SSH host key (ed25519) as OpenSSH's PEM, without a passphrase. Empty leaves it to the node, whose
	// key nobody can then check.
	HostKey []byte
	// CallbackURL is the node's place at racker, https://HOST:8443/callback/v1/NODE/; the signal's name follows it.
	CallbackURL string
	// CallbackToken is the job's secret; base64url alphabet and ".", at most 512 bytes.
	CallbackToken string
	// CAPEM is racker's CA, one or more certificates in PEM.
	CAPEM []byte
	// InternalMAC is the address of the NIC on the rack-internal network, AA:BB:CC:DD:EE:FF in any case.
	InternalMAC string
}

// hostNameForm, tokenForm and keyForm are compiled tables.
var (
	hostNameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	tokenForm    = regexp.MustCompile(`^[A-Za-z0-9._~=-]{1,512}$`)
	keyForm      = regexp.MustCompile(`^[\t\x20-\x7e\x{80}-\x{10ffff}]+$`)
)

// Validate names every field that is wrong. It never repeats the token.
func (n Node) Validate() error {
	var errs []error
	if len(n.HostName) > 64 || !hostNameForm.MatchString(n.HostName) {
		errs = append(errs, fmt.Errorf("host name %q: want labels of a-z, 0-9 and inner hyphens, 64 bytes at most", n.HostName))
	}
	for i, key := range n.SSHKeys {
		if !keyForm.MatchString(key) || strings.TrimSpace(key) == "" {
			errs = append(errs, fmt.Errorf("SSH key %d: want one line of text", i+1))
		}
	}
	if n.RackKey != "" && !keyForm.MatchString(strings.TrimSpace(n.RackKey)) {
		errs = append(errs, errors.New("racker's SSH key: want one line of text"))
	}
	if len(n.HostKey) > 0 {
		if _, err := publicLine(n.HostKey); err != nil {
			errs = append(errs, err)
		}
	}
	if err := validateCallbackURL(n.CallbackURL); err != nil {
		errs = append(errs, fmt.Errorf("callback URL %q: %w", n.CallbackURL, err))
	}
	if !tokenForm.MatchString(n.CallbackToken) {
		errs = append(errs, errors.New("callback token: want 1 to 512 letters, digits and . _ ~ = -"))
	}
	if err := validateCA(n.CAPEM); err != nil {
		errs = append(errs, fmt.Errorf("CA: %w", err))
	}
	if mac, err := net.ParseMAC(n.InternalMAC); err != nil || len(mac) != 6 {
		errs = append(errs, fmt.Errorf("internal MAC %q: want six bytes in hexadecimal", n.InternalMAC))
	}
	return errors.Join(errs...)
}

// publicLine gives the public half of a host key, in the form of its .pub file. Its error holds nothing of the key.
func publicLine(private []byte) (string, error) {
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil || signer.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return "", errors.New("host key: want an ed25519 key in OpenSSH's PEM, without a passphrase")
	}
	return string(ssh.MarshalAuthorizedKey(signer.PublicKey())), nil
}

func validateCallbackURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.Unwrap(err)
	case u.Scheme != "https" || u.Host == "":
		return errors.New("want https://HOST...: the token must not cross the network in clear")
	case !strings.HasSuffix(u.Path, "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New("want a path that ends with / and nothing after it")
	// curl expands braces and brackets, and a line ends at a line's end.
	case strings.ContainsAny(text, "{}\\ \t\r\n\"'`$"):
		return errors.New("want no blanks, quotes, braces, $ or \\")
	}
	return nil
}

func validateCA(text []byte) error {
	certificates := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("PEM block %q does not belong there", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d: %w", certificates+1, err)
		}
		certificates++
	}
	if certificates == 0 {
		return errors.New("no certificate in PEM")
	}
	return nil
}
