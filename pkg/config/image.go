package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Image says where OS images come from.
type Image struct {
	// Mirror is the base of a release server in Flatcar's layout; ReleaseChannel in it stands for the channel.
	Mirror string
	// Proxy is the HTTP proxy for downloads; empty for none. HTTPS_PROXY or https_proxy is its default.
	Proxy string
	// NoProxy are the hosts, domains and networks that are reached without it, separated by commas, as in NO_PROXY, which is
	// its default.
	NoProxy string
	// KeyURL is where the vendor gives its signing key; KeyFile, when it is set, is read instead.
	KeyURL  string
	KeyFile string
	// KeyFingerprint is that of the primary key which every release must be signed under: 40 hex digits, upper case.
	KeyFingerprint string
	// Profiles is a directory of the site's own image profiles; it need not exist.
	Profiles string
}

// ReleaseChannel stands for the name of the channel in Image.Mirror.
const ReleaseChannel = "{channel}"

func defaultImage() Image {
	return Image{
		Mirror:         "https://" + ReleaseChannel + ".release.flatcar-linux.net",
		KeyURL:         "https://www.flatcar.org/security/image-signing-key/Flatcar_Image_Signing_Key.asc",
		KeyFingerprint: "F88CFEDEFF29A5B4D9523864E25D9AED0593B34A",
		Profiles:       "/etc/racker/profiles",
	}
}

func imageKeys() []key {
	return []key{
		webAddress("image.mirror", func(s *Settings) *string { return &s.Image.Mirror }),
		also(webAddress("image.proxy", func(s *Settings) *string { return &s.Image.Proxy }), "HTTPS_PROXY", "https_proxy"),
		also(text("image.no_proxy", func(s *Settings) *string { return &s.Image.NoProxy }), "NO_PROXY", "no_proxy"),
		webAddress("image.key_url", func(s *Settings) *string { return &s.Image.KeyURL }),
		text("image.key_file", func(s *Settings) *string { return &s.Image.KeyFile }),
		{name: "image.key_fingerprint", get: func(s *Settings) string { return s.Image.KeyFingerprint }, set: setFingerprint},
		text("image.profiles", func(s *Settings) *string { return &s.Image.Profiles }),
	}
}

// also gives a setting variables of the environment that are not racker's own; they come before the file.
func also(k key, variables ...string) key {
	k.also = variables
	return k
}

// webAddress is the URL of an HTTP server, or nothing.
func webAddress(name string, field func(*Settings) *string) key {
	return key{
		name: name,
		get:  func(s *Settings) string { return *field(s) },
		set: func(s *Settings, v []string) error {
			if v[0] != "" {
				if err := checkWebAddress(v[0]); err != nil {
					return err
				}
			}
			*field(s) = v[0]
			return nil
		},
	}
}

// errPassword is without the address: that holds a secret.
var errPassword = errors.New("a user name or password has no place here, since everybody may read the settings")

func checkWebAddress(text string) error {
	u, err := url.Parse(strings.ReplaceAll(text, ReleaseChannel, "channel"))
	switch {
	case strings.Contains(text, "@"):
		return errPassword
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q: want an address such as http://10.0.0.7:8080/path", text)
	}
	return nil
}

var fingerprintForm = regexp.MustCompile(`^[0-9A-F]{40}$`)

func setFingerprint(s *Settings, v []string) error {
	text := strings.ToUpper(strings.ReplaceAll(v[0], " ", ""))
	if !fingerprintForm.MatchString(text) {
		return fmt.Errorf("%q: want the 40 hexadecimal digits of a primary key's fingerprint", v[0])
	}
	s.Image.KeyFingerprint = text
	return nil
}
