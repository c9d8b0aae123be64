package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/racker-project/racker/pkg/rack"
)

// Draft is what a first cluster.yaml is made of.
type Draft struct {
	Image   Image
	SSHKeys []string
	// Static has the addresses of nodes; those that are not in it ask by DHCP.
	Static []Static
	Site   Site
}

// Text writes a commented cluster.yaml that Parse reads. The error is an *Error that names what of Static is no node's.
func (d *Draft) Text(iniName string) ([]byte, error) {
	static := map[rack.MAC]*Static{}
	bad := &findings{file: iniName}
	for i := range d.Static {
		s := &d.Static[i]
		if !slices.ContainsFunc(d.Site.Nodes, func(n SiteNode) bool { return n.Secondary == s.Secondary }) {
			bad.fail(pos{s.line, 1}, "", "%s is the secondary MAC of no server in nodes.csv%s", s.Secondary, d.whose(s.Secondary))
		}
		static[s.Secondary] = s
	}
	if _, err := bad.result(); err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(draftHead)
	b.WriteString("\n# Which image: the name of one that racker holds (racker image list); or channel and version of Flatcar.\nimage: ")
	b.WriteString(d.image() + "\n")
	b.WriteString("\n# Who may log in as the user core: public keys, or files of them.\n")
	if len(d.SSHKeys) == 0 {
		b.WriteString("ssh_keys: []\n")
	} else {
		b.WriteString("ssh_keys:\n")
	}
	for _, key := range d.SSHKeys {
		b.WriteString("  - " + yamlText(key) + "\n")
	}
	b.WriteString("#  - file: ~/.ssh/id_ed25519.pub\n")
	b.WriteString(draftSettings)
	b.WriteString("\nnodes:\n")
	for i := range d.Site.Nodes {
		d.node(&b, &d.Site.Nodes[i], static)
	}
	if len(d.Site.Nodes) == 0 {
		b.WriteString("  {}\n")
	}
	return []byte(b.String()), nil
}

// whose tells where a MAC is that is not where it was looked for.
func (d *Draft) whose(mac rack.MAC) string {
	n := d.Site.owner(mac)
	switch {
	case n == nil:
		return ""
	case n.Primary == mac:
		return "; it is the primary one of " + n.Where
	case n.BMC == mac:
		return "; it is that of the BMC of " + n.Where
	}
	return "; it is one of " + n.Where
}

func (d *Draft) image() string {
	if d.Image.Name != "" {
		return yamlText(d.Image.Name)
	}
	var parts []string
	if d.Image.Channel != "" {
		parts = append(parts, "channel: "+yamlText(d.Image.Channel))
	}
	if d.Image.Version != "" {
		parts = append(parts, "version: "+yamlText(d.Image.Version))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (d *Draft) node(b *strings.Builder, n *SiteNode, static map[rack.MAC]*Static) {
	what := oneLine(n.Where)
	if n.Type != "" {
		what += ", type " + oneLine(n.Type)
	}
	fmt.Fprintf(b, "  # %s\n  %s:\n    mac: %q\n", what, strings.ToLower(n.Name), n.Primary)
	s := static[n.Secondary]
	if n.Secondary.IsZero() || s == nil || len(s.Addresses) == 0 {
		return
	}
	b.WriteString("    network:\n")
	fmt.Fprintf(b, "      addresses: [%s]\n", list(s.Addresses))
	fmt.Fprintf(b, "      gateway: [%s]\n", list(s.Gateways))
	fmt.Fprintf(b, "      dns: [%s]\n", list(s.DNS))
}

func list[T fmt.Stringer](items []T) string {
	var out []string
	for _, i := range items {
		out = append(out, strconv.Quote(i.String()))
	}
	return strings.Join(out, ", ")
}

func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// plainForm is a text that YAML takes for nothing but itself, unless it is one of yamlWords.
var plainForm = regexp.MustCompile(`^[a-z][A-Za-z0-9 +/=@._-]*$`)

// yamlWords are those that YAML 1.1 or 1.2 takes for a boolean or for nothing.
func yamlWords() []string {
	return []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
}

// yamlText quotes a text unless it is plain.
func yamlText(text string) string {
	if plainForm.MatchString(text) && !slices.Contains(yamlWords(), strings.ToLower(text)) {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r < ' ' || r > '~':
			fmt.Fprintf(&b, "\\U%08x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

const draftHead = `# The nodes of this cluster. racker reads this file, and racker apply --dry-run says what a change of it would do.
# Whatever is said at the top is for all nodes, below types: for those with that Node Type in nodes.csv, and below nodes: for
# one. The most specific wins; ssh_keys and snippets add up. Each key is explained in docs/cluster.md; no secret belongs here.
`

const draftSettings = `
# The public network: dhcp on the secondary NIC, none, or addresses, bonds and VLANs.
#network: dhcp

# The install disk (smallest, or wwn, serial, by_path, model, size, rotational), and what is erased: install-disk, all, none.
#disk: smallest
#wipe: install-disk

# Console and kernel arguments; without a console, what the firmware says.
#console: ttyS1,57600n8
#kernel_args: []
#autologin: false

# Updates by Flatcar itself: off, no-reboot or reboot.
#updates: off

#sysctls:
#  net.ipv4.ip_forward: 1
#hosts:
#  registry.example.com: 203.0.113.9

# A command that succeeds on a node that is well; racker apply waits for it.
#health: systemctl is-system-running --wait

# Butane files of this folder, for all nodes. Those of one node go into cl/NAME-custom.yaml.
#snippets: [snippets/common.yaml]

#types:
#  storage:
#    disk: {size: {max: 500G}, rotational: false}
`
