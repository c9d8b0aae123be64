package release

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Release names one release of Flatcar Container Linux.
type Release struct {
	Channel string // one of Channels
	Version string // 4593.2.5; empty means the channel's current one
	Arch    string // amd64 or arm64
}

// OS is the only system whose releases this package knows.
const OS = "flatcar"

// Channels are those of Flatcar.
func Channels() []string { return []string{"stable", "beta", "alpha", "lts"} }

// Archs are the architectures that Flatcar is released for, as GOARCH names them.
func Archs() []string { return []string{"amd64", "arm64"} }

var versionForm = regexp.MustCompile(`^[0-9]{1,6}\.[0-9]{1,4}\.[0-9]{1,4}([-+][0-9A-Za-z.-]{1,32})?$`)

// ErrRelease says that there is no such release, or that one is named in a way that none has.
var ErrRelease = errors.New("release")

// Validate checks the words. Errors match ErrRelease.
func (r Release) Validate() error {
	switch {
	case !slices.Contains(Channels(), r.Channel):
		return fmt.Errorf("%w: channel %q: want %s", ErrRelease, r.Channel, strings.Join(Channels(), ", "))
	case !slices.Contains(Archs(), r.Arch):
		return fmt.Errorf("%w: architecture %q: want %s", ErrRelease, r.Arch, strings.Join(Archs(), ", "))
	case r.Version != "" && !versionForm.MatchString(r.Version):
		return fmt.Errorf("%w: version %q: want one such as 4593.2.5", ErrRelease, r.Version)
	}
	return nil
}

// String gives "flatcar stable 4593.2.5 amd64".
func (r Release) String() string {
	version := r.Version
	if version == "" {
		version = "current"
	}
	return strings.Join([]string{OS, r.Channel, version, r.Arch}, " ")
}

// Name is what the release's image is called unless somebody says otherwise: flatcar-4593.2.5, flatcar-4593.2.5-arm64.
func (r Release) Name() string {
	name := OS + "-" + r.Version
	if r.Arch != "amd64" {
		name += "-" + r.Arch
	}
	return name
}

// Files of a release.
const (
	VersionFile   = "version.txt"
	ImageFile     = "flatcar_production_image.bin.bz2"
	SignatureEnd  = ".sig"
	channelMarker = "{channel}"
)

// channelOf gives the channel of a version: Flatcar numbers its branches by their second number.
func channelOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	channel := map[string]string{"0": "alpha", "1": "beta", "2": "stable", "3": "lts"}[parts[min(1, len(parts)-1)]]
	if channel == "" {
		return Channels()[0]
	}
	return channel
}

// dir is the release's directory below the base of a server; the current one while the version is not known.
func (r Release) dir(base string) string {
	base = strings.TrimRight(base, "/")
	if strings.Contains(base, channelMarker) {
		base = strings.ReplaceAll(base, channelMarker, r.Channel)
	} else {
		base += "/" + r.Channel
	}
	version := r.Version
	if version == "" {
		version = "current"
	}
	return base + "/" + r.Arch + "-usr/" + version + "/"
}

// maxVersionFile bounds version.txt, in bytes.
const maxVersionFile = 64 << 10

// parseVersion finds the version in the text of version.txt, which has lines like FLATCAR_VERSION=4593.2.5.
func parseVersion(text []byte) (version, board string, err error) {
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		name, value, _ := strings.Cut(strings.TrimSpace(sc.Text()), "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "FLATCAR_VERSION":
			version = value
		case "FLATCAR_BOARD":
			board = value
		}
	}
	if !versionForm.MatchString(version) {
		return "", "", fmt.Errorf("%w: %s has no version of Flatcar", ErrRelease, VersionFile)
	}
	return version, board, nil
}

// fill checks what version.txt says against what was asked for, and gives the release with its version.
func (r Release) fill(text []byte) (Release, error) {
	version, board, err := parseVersion(text)
	switch {
	case err != nil:
		return r, err
	case r.Version != "" && r.Version != version:
		return r, fmt.Errorf("%w: %s is of version %s, expected %s", ErrRelease, VersionFile, version, r.Version)
	case board != "" && board != r.Arch+"-usr":
		return r, fmt.Errorf("%w: %s is of board %s, expected %s-usr", ErrRelease, VersionFile, board, r.Arch)
	}
	r.Version = version
	return r, nil
}
