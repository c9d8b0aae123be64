package release

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// order is an order that was checked, with its defaults filled in.
type order struct {
	api.ImagePull
	release   Release // when OS is set
	signature []byte  // when it came with the order
}

// check fills in the defaults. Errors match ErrRelease.
func check(o api.ImagePull) (order, error) {
	bad := func(format string, args ...any) (order, error) {
		return order{}, fmt.Errorf("%w: %w", ErrRelease, fmt.Errorf(format, args...))
	}
	if o.OS != "" {
		if o.URL != "" || o.SHA256 != "" || o.SignatureURL != "" || o.Signature != "" {
			return bad("a release of %s takes no URL, digest or signature of its own", o.OS)
		}
		if o.OS != OS {
			return bad("there are releases of %s only, not of %q", OS, o.OS)
		}
		if o.Channel == "" {
			o.Channel = Channels()[0]
		}
		if o.Arch == "" {
			o.Arch = Archs()[0]
		}
		r := Release{Channel: o.Channel, Version: o.Version, Arch: o.Arch}
		return order{ImagePull: o, release: r}, r.Validate()
	}
	switch {
	case o.URL == "":
		return bad("neither a system nor a URL is named")
	case o.Channel != "" || o.Version != "":
		return bad("channel and version belong to a release, not to a URL")
	case o.Arch != "" && o.Arch != "amd64" && o.Arch != "arm64":
		return bad("architecture %q: want %s", o.Arch, strings.Join(Archs(), ", "))
	case o.SHA256 == "" && o.SignatureURL == "" && o.Signature == "":
		return bad("a file from elsewhere needs its SHA-256 or a signature")
	case o.SHA256 != "" && !digestForm.MatchString(o.SHA256):
		return bad("SHA-256 %q is not 64 hex digits in lower case", o.SHA256)
	}
	for _, address := range []string{o.URL, o.SignatureURL} {
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return bad("%q: want an address of http or https", address)
		}
		if u.User != nil {
			return bad("an address with a user name or password is not taken: it would be in the audit")
		}
	}
	checked := order{ImagePull: o}
	if o.Signature != "" {
		sig, err := base64.StdEncoding.DecodeString(o.Signature)
		if err != nil || len(sig) > maxSignature {
			return bad("the signature is not base64, or too long")
		}
		checked.signature = sig
	}
	return checked, nil
}

// what names the order for people.
func (o *order) what() string {
	if o.OS != "" {
		return o.release.String()
	}
	return o.URL
}

// name is what the image is called.
func (o *order) name() string {
	if o.Name != "" {
		return o.Name
	}
	if o.OS != "" {
		return o.release.Name()
	}
	name := "image"
	if u, err := url.Parse(o.URL); err == nil {
		if last := path.Base(u.Path); last != "." && last != "/" {
			name = last
		}
	}
	for _, end := range []string{".gz", ".bz2", ".xz", ".zst", ".img", ".bin", ".raw"} {
		name = strings.TrimSuffix(name, end)
	}
	if name == "" {
		return "image"
	}
	return name
}
