package agent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// Settings is what the boot script told on the kernel's command line.
type Settings struct {
	Server *url.URL // https://ADDRESS:PORT
	Assets *url.URL // http://ADDRESS:PORT/assets/, with a slash at the end
	Token  string
	Pin    string   // lower-case hex SHA-256 of the CA's SubjectPublicKeyInfo
	MAC    rack.MAC // of the NIC that booted; zero when not told
}

// ParseSettings reads a kernel command line. All missing or malformed arguments are named at once.
func ParseSettings(line string) (Settings, error) {
	args := map[string]string{}
	for _, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		args[key] = value // the last one wins, as in the kernel
	}
	var s Settings
	var errs [4]error
	s.Server, errs[0] = baseURL(api.ArgServer, args[api.ArgServer], "https")
	s.Assets, errs[1] = baseURL(api.ArgAssets, args[api.ArgAssets], "http")
	s.Token = args[api.ArgToken]
	s.Pin = args[api.ArgPin]
	if raw, err := hex.DecodeString(s.Pin); err != nil || len(raw) != 32 || s.Pin != strings.ToLower(s.Pin) {
		errs[2] = fmt.Errorf("kernel argument %s=%q: want 64 lower-case hexadecimal digits", api.ArgPin, s.Pin)
	}
	if mac := args[api.ArgMAC]; mac != "" {
		if s.MAC, errs[3] = rack.ParseMAC(mac); errs[3] != nil {
			errs[3] = fmt.Errorf("kernel argument %s: %w", api.ArgMAC, errs[3])
		}
	}
	return s, errors.Join(errs[:]...)
}

// baseURL reads one URL argument.
func baseURL(arg, value, scheme string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != scheme || u.Host == "" {
		return nil, fmt.Errorf("kernel argument %s=%q: want %s://ADDRESS:PORT", arg, value, scheme)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}
