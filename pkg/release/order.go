package release

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
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
	if o.OS != "" {
		return checkRelease(o)
	}
	checked, err := checkURL(o)
	if err != nil {
		return order{}, fmt.Errorf("%w: %w", ErrRelease, err)
	}
	return checked, nil
}

func checkRelease(o api.ImagePull) (order, error) {
	if o.URL != "" || o.SHA256 != "" || o.SignatureURL != "" || o.Signature != "" {
		return order{}, fmt.Errorf("%w of %s: it takes no URL, digest or signature of its own", ErrRelease, o.OS)
	}
	if o.OS != OS {
		return order{}, fmt.Errorf("%w: there are those of %s only, not of %q", ErrRelease, OS, o.OS)
	}
	o.Channel, o.Arch = cmp.Or(o.Channel, Channels()[0]), cmp.Or(o.Arch, Archs()[0])
	r := Release{Channel: o.Channel, Version: o.Version, Arch: o.Arch}
	return order{ImagePull: o, release: r}, r.Validate()
}

func checkURL(o api.ImagePull) (order, error) {
	switch {
	case o.URL == "":
		return order{}, errors.New("neither a system nor a URL is named")
	case o.Channel != "" || o.Version != "":
		return order{}, errors.New("channel and version belong to a release, not to a URL")
	case o.Arch != "" && !slices.Contains(Archs(), o.Arch):
		return order{}, fmt.Errorf("architecture %q: want %s", o.Arch, strings.Join(Archs(), ", "))
	case o.SHA256 == "" && o.SignatureURL == "" && o.Signature == "":
		return order{}, errors.New("a file from elsewhere needs its SHA-256 or a signature")
	case o.SHA256 != "" && !digestForm.MatchString(o.SHA256):
		return order{}, fmt.Errorf("SHA-256 %q is not 64 hex digits in lower case", o.SHA256)
	}
	if err := errors.Join(checkAddress(o.URL), checkAddress(o.SignatureURL)); err != nil {
		return order{}, err
	}
	checked := order{ImagePull: o}
	if o.Signature != "" {
		sig, err := base64.StdEncoding.DecodeString(o.Signature)
		if err != nil || len(sig) > maxSignature {
			return order{}, errors.New("the signature is not base64, or too long")
		}
		checked.signature = sig
	}
	return checked, nil
}

// checkAddress takes none, too. An address with a password is not in its error.
func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if strings.Contains(address, "@") {
		return errors.New("an address with a user name or password is not taken: it would be in the audit")
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q: want an address of http or https", address)
	}
	return nil
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
