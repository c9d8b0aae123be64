package cluster

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
)

// settings is what may be said for all nodes, for a type and for one node. Nil and "" mean that nothing is said.
type settings struct {
	image         *Image
	keys          []sshKey
	network       *network
	disk          *DiskRule
	wipe          string
	wipeOldOS     *bool
	wipeForeign   *bool
	console       *string
	kernelArgs    []string
	autologin     *bool
	updates       string
	sysctls       map[string]string
	hosts         map[string][]netip.Addr // by name
	health        *string
	snippets      []fileName
	ignoreChanges *bool
}

// sshKey is a line of authorized_keys, or a file of such lines.
type sshKey struct {
	line string
	file fileName
}

// fileName is a file that the folder names.
type fileName struct {
	name string
	path string // in cluster.yaml
	at   pos
}

// settingKeys are the names that every level has.
func (r *reader) settingKeys(s *settings) []key {
	return []key{
		{"image", func(n *yaml.Node, path string) { s.image = r.image(n, path) }},
		{"ssh_keys", func(n *yaml.Node, path string) { s.keys = r.sshKeys(n, path) }},
		{"network", func(n *yaml.Node, path string) { s.network = r.network(n, path) }},
		{"disk", func(n *yaml.Node, path string) { s.disk = r.disk(n, path) }},
		{"wipe", func(n *yaml.Node, path string) { s.wipe, _ = r.word(n, path, WipeInstallDisk, WipeAll, WipeNone) }},
		{"wipe_old_os", func(n *yaml.Node, path string) { s.wipeOldOS = r.flag(n, path) }},
		{"wipe_foreign", func(n *yaml.Node, path string) { s.wipeForeign = r.flag(n, path) }},
		{"console", func(n *yaml.Node, path string) { s.console = r.console(n, path) }},
		{"kernel_args", func(n *yaml.Node, path string) { s.kernelArgs = r.kernelArgs(n, path) }},
		{"autologin", func(n *yaml.Node, path string) { s.autologin = r.flag(n, path) }},
		{"updates", func(n *yaml.Node, path string) { s.updates = r.updates(n, path) }},
		{"sysctls", func(n *yaml.Node, path string) { s.sysctls = r.sysctls(n, path) }},
		{"hosts", func(n *yaml.Node, path string) { s.hosts = r.hosts(n, path) }},
		{"health", func(n *yaml.Node, path string) {
			if text, ok := r.text(n, path); ok {
				s.health = &text
			}
		}},
		{"snippets", func(n *yaml.Node, path string) { s.snippets = r.snippets(n, path) }},
		{"ignore_changes", func(n *yaml.Node, path string) { s.ignoreChanges = r.flag(n, path) }},
	}
}

func (r *reader) flag(n *yaml.Node, path string) *bool {
	on, ok := r.boolean(n, path)
	if !ok {
		return nil
	}
	return &on
}

// image is a name, or a mapping.
func (r *reader) image(n *yaml.Node, path string) *Image {
	img := &Image{}
	if real(n).Kind != yaml.MappingNode {
		img.Name, _ = r.text(n, path)
		return img
	}
	into := func(s *string) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			text, ok := r.text(n, path)
			if ok && !wordForm.MatchString(text) {
				r.fail(at(n), path, "%q: want letters, digits and . _ : + -", text)
			}
			*s = text
		}
	}
	r.mapping(n, path, []key{
		{"name", into(&img.Name)},
		{"channel", func(n *yaml.Node, path string) { img.Channel, _ = r.word(n, path, "stable", "beta", "alpha", "lts") }},
		{"version", into(&img.Version)},
	})
	return img
}

// wordForm, sysctlForm, hostForm and argForm are compiled tables.
var (
	wordForm   = regexp.MustCompile(`^[A-Za-z0-9._:+-]{1,128}$`)
	sysctlForm = regexp.MustCompile(`^[a-z0-9_]+([./][A-Za-z0-9_:@-]+)+$`)
	hostForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	argForm    = regexp.MustCompile(`^[!-~]+$`)
)

// sshKeys reads lines of authorized_keys, and files of those.
func (r *reader) sshKeys(n *yaml.Node, path string) []sshKey {
	keys := []sshKey{}
	r.list(n, path, func(n *yaml.Node, path string) {
		if real(n).Kind == yaml.MappingNode {
			r.mapping(n, path, []key{{"file", func(n *yaml.Node, path string) {
				if name, ok := r.text(n, path); ok {
					keys = append(keys, sshKey{file: fileName{name, path, at(n)}})
				}
			}}})
			return
		}
		line, ok := r.text(n, path)
		if !ok {
			return
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
			r.fail(at(n), path, "is not a public SSH key; that of a file is \"- file: NAME\"")
			return
		}
		keys = append(keys, sshKey{line: strings.TrimSpace(line)})
	})
	return keys
}

func (r *reader) console(n *yaml.Node, path string) *string {
	text, ok := r.text(n, path)
	if !ok || text != "" && !r.kernelWord(n, path, text) {
		return nil
	}
	text = strings.TrimPrefix(text, "console=")
	return &text
}

func (r *reader) kernelArgs(n *yaml.Node, path string) []string {
	args := []string{}
	r.list(n, path, func(n *yaml.Node, path string) {
		if text, ok := r.text(n, path); ok && r.kernelWord(n, path, text) {
			args = append(args, text)
		}
	})
	return args
}

// kernelWord refuses what GRUB or the kernel would take for more than one word.
func (r *reader) kernelWord(n *yaml.Node, path, text string) bool {
	if !argForm.MatchString(text) || strings.ContainsAny(text, "\"'$`\\") {
		r.fail(at(n), path, "%q: want one word without blanks, quotes, $ or \\", text)
		return false
	}
	return true
}

// updates are off, which YAML takes for a boolean, or a word.
func (r *reader) updates(n *yaml.Node, path string) string {
	if text, ok := r.text(n, path); ok && text == "false" {
		return UpdatesOff
	}
	word, _ := r.word(n, path, UpdatesOff, UpdatesNoReboot, UpdatesReboot)
	return word
}

func (r *reader) sysctls(n *yaml.Node, path string) map[string]string {
	out := map[string]string{}
	r.each(n, path, func(name, value *yaml.Node, path string) {
		text, ok := r.text(value, path)
		if !sysctlForm.MatchString(name.Value) {
			r.fail(at(name), path, "is no name of a sysctl, such as net.ipv4.ip_forward")
			return
		}
		if ok {
			out[strings.ReplaceAll(name.Value, "/", ".")] = strings.TrimSpace(text)
		}
	})
	return out
}

// hosts reads names with their addresses.
func (r *reader) hosts(n *yaml.Node, path string) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	r.each(n, path, func(name, value *yaml.Node, path string) {
		host := strings.ToLower(name.Value)
		if !hostForm.MatchString(host) {
			r.fail(at(name), path, "is no host name")
			return
		}
		r.list(value, path, func(n *yaml.Node, path string) {
			if a, ok := r.addr(n, path); ok {
				out[host] = append(out[host], a)
			}
		})
	})
	return out
}

func (r *reader) snippets(n *yaml.Node, path string) []fileName {
	out := []fileName{}
	r.list(n, path, func(n *yaml.Node, path string) {
		if name, ok := r.text(n, path); ok {
			out = append(out, fileName{name, path, at(n)})
		}
	})
	return out
}

// over gives the settings with those of a more specific level laid over them.
func (s settings) over(more *settings) settings {
	if more == nil {
		return s
	}
	out := s
	out.image = s.image.over(more.image)
	out.keys = slices.Concat(s.keys, more.keys)
	out.snippets = slices.Concat(s.snippets, more.snippets)
	out.network = s.network.over(more.network)
	out.disk = first(more.disk, s.disk)
	out.wipeOldOS = first(more.wipeOldOS, s.wipeOldOS)
	out.wipeForeign = first(more.wipeForeign, s.wipeForeign)
	out.console = first(more.console, s.console)
	out.autologin = first(more.autologin, s.autologin)
	out.health = first(more.health, s.health)
	out.ignoreChanges = first(more.ignoreChanges, s.ignoreChanges)
	if more.wipe != "" {
		out.wipe = more.wipe
	}
	if more.updates != "" {
		out.updates = more.updates
	}
	if more.kernelArgs != nil {
		out.kernelArgs = more.kernelArgs
	}
	out.sysctls = joined(s.sysctls, more.sysctls)
	out.hosts = joined(s.hosts, more.hosts)
	return out
}

// first gives the first that is there.
func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func joined[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	if out == nil {
		return b
	}
	maps.Copy(out, b)
	return out
}

// over lays what is set of another image over this one. A name of its own has nothing to do with the channel above it.
func (i *Image) over(more *Image) *Image {
	if i == nil || more == nil || more.Name != "" {
		return first(more, i)
	}
	out := *i
	if more.Channel != "" {
		out.Channel = more.Channel
	}
	if more.Version != "" {
		out.Version = more.Version
	}
	return &out
}
