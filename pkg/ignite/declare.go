package ignite

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"text/template"

	"github.com/racker-project/racker/bootstrap"
	"github.com/racker-project/racker/pkg/cluster"
)

// Paths on a node that racker's own part and the declared one share.
const (
	// ClusterHosts holds the names of the cluster's other nodes, as lines of /etc/hosts. The daemon writes it: it is no part
	// of what is declared, and a node takes a change of it at once.
	ClusterHosts = "/etc/racker/hosts.cluster"
	// declaredHosts holds localhost and what cluster.yaml adds.
	declaredHosts = "/etc/racker/hosts"
	firewallFile  = "/etc/racker/internal.nft"
	timeFile      = "/etc/systemd/timesyncd.conf.d/10-racker.conf"
	sysctlFile    = "/etc/sysctl.d/90-racker.conf"
	updateFile    = "/etc/flatcar/update.conf"
)

// declaredName is a file of bootstrap.Butane.
const declaredName = "butane/declared.yaml.tmpl"

// declaredValues is what declared.yaml.tmpl may use.
type declaredValues struct {
	SSHKeys []scalar
	Files   []declaredFile
	Masked  []scalar // units
	Enabled []scalar
}

type declaredFile struct {
	Path scalar
	Mode int
	Text block
}

// block is a text that a template prints as a literal block scalar (YAML 1.2, 8.1.2) below a key that is 8 blanks deep; as a
// quoted scalar where a block could not hold it.
type block string

// String returns the block, with its header.
func (b block) String() string {
	text := string(b)
	plain := strings.HasSuffix(text, "\n") && !strings.HasSuffix(text, "\n\n") && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && (r < ' ' || r > '~')
	})
	if !plain || strings.ContainsAny(text[:1], " \t\n") {
		return scalar(text).String()
	}
	var out strings.Builder
	out.WriteString("|")
	for line := range strings.Lines(strings.TrimSuffix(text, "\n")) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			out.WriteString("\n")
			continue
		}
		out.WriteString("\n          " + line)
	}
	return out.String()
}

// Butane writes the Butane config of what is declared of a node, the text of cl/NAME.yaml. It is the same for the same spec,
// holds no secret, and needs spec version 3.3.0 only. Host name, kernel arguments and the disk are no part of it.
func Butane(s *cluster.Spec) ([]byte, error) {
	v := declaredValues{}
	for _, key := range s.SSHKeys {
		v.SSHKeys = append(v.SSHKeys, scalar(key))
	}
	for _, f := range declaredFiles(s) {
		v.Files = append(v.Files, declaredFile{scalar(f.path), f.mode, block(f.text)})
	}
	const engine, reboots = scalar("update-engine.service"), scalar("locksmithd.service")
	switch s.Updates {
	case cluster.UpdatesReboot:
		v.Enabled = []scalar{reboots, engine}
	case cluster.UpdatesNoReboot:
		v.Enabled, v.Masked = []scalar{engine}, []scalar{reboots}
	default:
		v.Masked = []scalar{reboots, engine}
	}
	text, err := fs.ReadFile(bootstrap.Butane, declaredName)
	if err != nil {
		return nil, fmt.Errorf("read the template of declared configs: %w", err)
	}
	tmpl, err := template.New(declaredName).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parse the template of declared configs: %w", err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("fill the template of declared configs: %w", err)
	}
	return out.Bytes(), nil
}

func declaredFiles(s *cluster.Spec) []nodeFile {
	files := networkd(s)
	files = append(files,
		nodeFile{timeFile, 0o644, timeConfig(s)},
		nodeFile{firewallFile, 0o644, firewall(s.Internal)},
		nodeFile{declaredHosts, 0o644, hosts(s.Hosts)},
	)
	if len(s.Sysctls) > 0 {
		var b strings.Builder
		for _, c := range s.Sysctls {
			fmt.Fprintf(&b, "%s = %s\n", c.Name, c.Value)
		}
		files = append(files, nodeFile{sysctlFile, 0o644, b.String()})
	}
	if s.Updates != cluster.UpdatesOff && s.Updates != "" {
		text := "REBOOT_STRATEGY=off\n"
		if s.Updates == cluster.UpdatesReboot {
			text = "REBOOT_STRATEGY=reboot\n"
		}
		if s.Image.Channel != "" {
			text = "GROUP=" + s.Image.Channel + "\n" + text
		}
		files = append(files, nodeFile{updateFile, 0o644, text})
	}
	return files
}

// timeConfig asks the operator's time servers, then racker.
func timeConfig(s *cluster.Spec) string {
	i := &ini{}
	i.section("Time")
	i.set("NTP", strings.Join(append(append([]string{}, s.Network.NTP...), s.Internal.Server.String()), " "))
	return i.b.String()
}

// firewall keeps forwarded traffic off the rack-internal network, and lets the node itself begin connections on it to racker
// only. It goes by addresses, since interfaces have other names on each machine. Answers are free: racker reaches the node.
//
// Source: nft(8).
func firewall(in cluster.Internal) string {
	network := in.Address.Masked()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# The rack-internal network is racker's: it carries network boot and the BMCs.")
	line("table inet racker_internal")
	line("delete table inet racker_internal")
	line("table inet racker_internal {")
	line("	chain forward {")
	line("		type filter hook forward priority filter; policy accept;")
	line("		ip daddr %s drop", network)
	line("		ip saddr %s drop", network)
	line("	}")
	line("	chain output {")
	line("		type filter hook output priority filter; policy accept;")
	line("		ip daddr != %s accept", network)
	line("		meta nfproto ipv6 accept")
	line("		oifname \"lo\" accept")
	line("		ct state established,related accept")
	line("		ip daddr %s udp dport 123 accept", in.Server)
	if len(in.Ports) > 0 {
		line("		ip daddr %s tcp dport { %s } accept", in.Server, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(in.Ports)), ", "), "[]"))
	}
	line("		reject with icmpx admin-prohibited")
	line("	}")
	line("}")
	return b.String()
}

func hosts(list []cluster.Host) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, h := range list {
		b.WriteString(HostLine(h.Addr, h.Names...))
	}
	return b.String()
}

// HostLine is a line of /etc/hosts.
func HostLine(addr netip.Addr, names ...string) string {
	return addr.String() + " " + strings.Join(names, " ") + "\n"
}
