package ignite

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"text/template"

	"github.com/racker-project/racker/bootstrap"
)

// Source is a Butane config of the operator.
type Source struct {
	Name   string // file name, for errors
	Butane []byte
}

// Spec says what Render renders.
type Spec struct {
	Node Node
	// Version is the Ignition spec version that the image reads, "3.3.0" (the default, ""; every Ignition since 2.13) to "3.6.0".
	Version string
	// Custom configs are merged over the node's in order; what they set wins. Each must be of Version or older.
	Custom []Source
}

// templateName and scriptName are files of bootstrap.Butane.
const (
	templateName = "butane/node.yaml.tmpl"
	scriptName   = "butane/callback.sh"
)

// scalar is a string that a template prints as a double-quoted YAML scalar, whatever is in it. No template can forget the
// quoting, since there is no other way to print one.
type scalar string

// String returns the quoted form (YAML 1.2, 5.7), in ASCII: YAML knows line breaks that JSON does not. A byte that is not UTF-8
// becomes U+FFFD.
func (s scalar) String() string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range string(s) {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\U%08x", r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// values is what node.yaml.tmpl may use.
type values struct {
	Variant, Version                           scalar
	SSHKeys                                    []scalar
	HostNameFile, InternalNetwork              scalar
	CA                                         scalar
	CallbackURL, CallbackToken, CallbackScript scalar
	HostKey, HostKeyPublic                     scalar // empty without one
	Names                                      block  // empty without any
}

// Render returns the Ignition config of a node. What is wrong with a custom config is a *ConfigError with file and line; an
// invalid node or spec version is a plain error that names the fields.
func Render(ctx context.Context, spec Spec) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	version, err := findVersion(spec.Version)
	if err != nil {
		return nil, err
	}
	if err := spec.Node.Validate(); err != nil {
		return nil, fmt.Errorf("node config: %w", err)
	}
	source, err := fillTemplate(spec.Node, version)
	if err != nil {
		return nil, err
	}
	config, _, err := Translate("bootstrap/"+templateName, source)
	if err != nil {
		return nil, err
	}
	customs := make([]namedConfig, 0, len(spec.Custom))
	for _, custom := range spec.Custom {
		translated, _, err := Translate(custom.Name, custom.Butane)
		if err != nil {
			return nil, err
		}
		customs = append(customs, namedConfig{custom.Name, translated})
	}
	return version.merge(namedConfig{"bootstrap/" + templateName, config}, customs)
}

func fillTemplate(node Node, version specVersion) ([]byte, error) {
	text, err := fs.ReadFile(bootstrap.Butane, templateName)
	if err != nil {
		return nil, fmt.Errorf("read the node's template: %w", err)
	}
	script, err := fs.ReadFile(bootstrap.Butane, scriptName)
	if err != nil {
		return nil, fmt.Errorf("read the callback script: %w", err)
	}
	tmpl, err := template.New(templateName).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parse the node's template: %w", err)
	}
	v := values{
		Variant:         scalar(version.variant),
		Version:         scalar(version.butane),
		HostNameFile:    scalar(node.HostName + "\n"),
		InternalNetwork: scalar(internalNetwork(node.InternalMAC)),
		CA:              scalar(node.CAPEM),
		CallbackURL:     scalar(node.CallbackURL + "\n"),
		CallbackToken:   scalar(node.CallbackToken + "\n"),
		CallbackScript:  scalar(script),
	}
	v.Names = block(node.Names)
	if len(node.HostKey) > 0 {
		public, err := publicLine(node.HostKey)
		if err != nil {
			return nil, err
		}
		v.HostKey, v.HostKeyPublic = scalar(node.HostKey), scalar(public)
	}
	if node.RackKey != "" {
		v.SSHKeys = append(v.SSHKeys, scalar(strings.TrimSpace(node.RackKey)))
	}
	for _, key := range node.SSHKeys {
		v.SSHKeys = append(v.SSHKeys, scalar(strings.TrimSpace(key)))
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("fill the node's template: %w", err)
	}
	return out.Bytes(), nil
}

// internalNetwork is the systemd.network file of the rack-internal NIC: DHCP, but neither the default route nor the resolver,
// which belong to the public network, and no reason to hold up network-online.target. VLANs, bonds and bridges share the NIC's
// MAC; Kind= leaves them alone.
func internalNetwork(mac string) string {
	return `[Match]
MACAddress=` + strings.ToLower(strings.ReplaceAll(mac, "-", ":")) + `
Type=ether
Kind=!*

[Link]
RequiredForOnline=no

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
UseGateway=no
UseRoutes=no
UseDNS=no
UseHostname=no
UseNTP=no
`
}
