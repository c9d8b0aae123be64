package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// Formats of node list besides its table.
const (
	formatTable   = "table"
	formatAnsible = "ansible"
	formatHosts   = "hosts"
	formatKnown   = "known-hosts"
)

func listFormats() []string { return []string{formatTable, formatAnsible, formatHosts, formatKnown} }

// export prints how the nodes are reached, for another program.
func (o *nodeListOptions) export(ctx context.Context) error {
	d, err := o.Hosts()
	if err != nil {
		return err
	}
	hosts, err := d.Hosts(ctx)
	if err != nil {
		return err
	}
	if err := checkHosts(hosts); err != nil {
		return err
	}
	text := hostsText(hosts)
	switch o.Format {
	case formatKnown:
		text = knownHostsText(hosts)
	case formatAnsible:
		if text, err = inventory(hosts); err != nil {
			return err
		}
	}
	return o.IO.Outf("%s", text)
}

// inventory gives an Ansible inventory in YAML (its plugin ansible.builtin.yaml), with JSON's quoting: every installed node, by state
// and by type. Ansible then checks the host keys that racker wrote.
func inventory(hosts []api.HostView) ([]byte, error) {
	groups := map[string][]string{}
	var out bytes.Buffer
	out.WriteString("# The rack's installed nodes; racker node list --format ansible. Host keys are in /etc/ssh/ssh_known_hosts.\nall:\n")
	fmt.Fprintf(&out, "  vars:\n    ansible_ssh_common_args: %s\n", word("-o StrictHostKeyChecking=yes -o HostKeyAlgorithms=ssh-ed25519"))
	var listed []api.HostView
	for _, h := range hosts {
		if h.HostKey != "" {
			listed = append(listed, h)
			groups["state_"+groupForm(h.State)] = append(groups["state_"+groupForm(h.State)], h.Name)
			if h.Type != "" {
				groups["type_"+groupForm(h.Type)] = append(groups["type_"+groupForm(h.Type)], h.Name)
			}
		}
	}
	if len(listed) == 0 {
		out.WriteString("  hosts: {}\n")
		return out.Bytes(), nil
	}
	out.WriteString("  hosts:\n")
	for _, h := range listed {
		fmt.Fprintf(&out, "    %s:\n      ansible_host: %s\n      ansible_user: %s\n      racker_mac: %s\n", word(h.Name), word(h.Address), word(h.User), word(h.MAC))
	}
	out.WriteString("  children:\n")
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		fmt.Fprintf(&out, "    %s:\n      hosts:\n", name)
		for _, h := range groups[name] {
			fmt.Fprintf(&out, "        %s: {}\n", word(h))
		}
	}
	return out.Bytes(), nil
}

// word quotes a text so that YAML reads it as it is (YAML 1.2, 5.7: what JSON quotes, it reads).
func word(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // no string fails
	}
	return string(b)
}

// notInGroup is what the name of a group of Ansible's may not have.
var notInGroup = regexp.MustCompile(`[^a-z0-9_]+`)

func groupForm(text string) string { return notInGroup.ReplaceAllString(strings.ToLower(text), "_") }
