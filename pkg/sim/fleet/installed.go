package fleet

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/vincent-petithory/dataurl"
)

// installed is what the installed system takes from its Ignition config.
type installed struct {
	host     string
	callback *url.URL // ends in a slash, the signal's name follows; nil without a callback
	token    string
	ca       *x509.CertPool
}

// ignition is the part of an Ignition config (spec 3.x) that matters here.
type ignition struct {
	Ignition struct {
		Version string `json:"version"`
	} `json:"ignition"`
	Storage struct {
		Files []struct {
			Path     string `json:"path"`
			Contents struct {
				Source      *string `json:"source"`
				Compression *string `json:"compression"`
			} `json:"contents"`
		} `json:"files"`
	} `json:"storage"`
}

// Files of racker's configs.
const (
	fileHost  = "/etc/hostname"
	fileCA    = "/etc/racker/ca.pem"
	fileURL   = "/etc/racker/callback-url"
	fileToken = "/etc/racker/callback-token"
)

// maxConfigFile bounds a file of a config.
const maxConfigFile = 1 << 20

var errConfig = errors.New("unusable Ignition config")

// parseConfig reads an Ignition config as Ignition would; errors match errConfig.
func parseConfig(raw []byte) (*installed, error) {
	var in ignition
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	if !strings.HasPrefix(in.Ignition.Version, "3.") {
		return nil, fmt.Errorf("%w: version %q", errConfig, in.Ignition.Version)
	}
	files := map[string]string{}
	for _, f := range in.Storage.Files {
		switch f.Path {
		case fileHost, fileCA, fileURL, fileToken:
		default:
			continue
		}
		if f.Contents.Source == nil {
			continue
		}
		text, err := contents(*f.Contents.Source, f.Contents.Compression)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errConfig, f.Path, err)
		}
		files[f.Path] = text
	}
	return systemConfig(files)
}

// contents reads a data URL (RFC 2397).
func contents(source string, compression *string) (string, error) {
	u, err := dataurl.DecodeString(source)
	if err != nil {
		return "", err
	}
	if compression == nil || *compression == "" {
		return string(u.Data), nil
	}
	if *compression != "gzip" {
		return "", fmt.Errorf("compression %q", *compression)
	}
	z, err := gzip.NewReader(bytes.NewReader(u.Data))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(z, maxConfigFile))
	return string(b), err
}

// systemConfig makes sense of the files.
func systemConfig(files map[string]string) (*installed, error) {
	c := &installed{host: strings.TrimSpace(files[fileHost]), token: strings.TrimSpace(files[fileToken])}
	if files[fileURL] == "" {
		return c, nil
	}
	var err error
	if c.callback, err = url.Parse(strings.TrimSpace(files[fileURL])); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errConfig, fileURL, err)
	}
	c.ca = x509.NewCertPool()
	if !c.ca.AppendCertsFromPEM([]byte(files[fileCA])) {
		return nil, fmt.Errorf("%w: %s holds no certificate", errConfig, fileCA)
	}
	return c, nil
}
