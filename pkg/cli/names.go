package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cluster"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// hostLister tells how installed nodes are reached.
type hostLister interface {
	Hosts(ctx context.Context) ([]api.HostView, error)
}

// knownHostsName is the name of the file of host keys in the cluster's folder.
const knownHostsName = "known_hosts"

// hostForm is what a name of a host looks like in /etc/hosts and known_hosts (RFC 1123); no pattern and no second line.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$`)

// checkHosts refuses what could not be written as one line each.
func checkHosts(hosts []api.HostView) error {
	for _, h := range hosts {
		if _, err := netip.ParseAddr(h.Address); err != nil {
			return fmt.Errorf("%s: address %q: %w", h.Name, h.Address, err)
		}
		for _, name := range h.Names {
			if !hostForm.MatchString(name) {
				return fmt.Errorf("%s: %q is no name of a host", h.Name, name)
			}
		}
		if h.HostKey == "" {
			continue
		}
		if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(h.HostKey)); err != nil || len(rest) > 0 || strings.ContainsAny(h.HostKey, "\r\n") {
			return fmt.Errorf("%s: its host key is none: %w", h.Name, err)
		}
	}
	return nil
}

// hostsText gives the lines of /etc/hosts (hosts(5)).
func hostsText(hosts []api.HostView) []byte {
	var b bytes.Buffer
	for _, h := range hosts {
		fmt.Fprintf(&b, "%s\t%s\n", h.Address, strings.Join(h.Names, " "))
	}
	return b.Bytes()
}

// knownHostsText gives the lines of a known_hosts file (sshd(8)), for the nodes whose host key is known.
func knownHostsText(hosts []api.HostView) []byte {
	var b bytes.Buffer
	for _, h := range hosts {
		if h.HostKey != "" {
			fmt.Fprintf(&b, "%s,%s %s\n", strings.Join(h.Names, ","), h.Address, h.HostKey)
		}
	}
	return b.Bytes()
}

// writeNames brings the names and host keys of all nodes into racker's blocks of /etc/hosts and of SSH's known_hosts. Without a host
// the blocks go, and the files are as if racker had never been there.
func writeNames(s config.Names, hosts []api.HostView) error {
	if err := checkHosts(hosts); err != nil {
		return err
	}
	var errs []error
	change := func(path string, text []byte, made bool) {
		if path == "" {
			return
		}
		if _, err := changeBlock(path, text, made); err != nil {
			errs = append(errs, fmt.Errorf("names of the nodes: %w", err))
		}
	}
	change(s.Hosts, hostsText(hosts), false)
	change(s.KnownHosts, knownHostsText(hosts), true)
	return errors.Join(errs...)
}

// writeKnownHosts writes the host keys into the cluster's folder, where there is one.
func writeKnownHosts(folder, sudoUser string, hosts []api.HostView) error {
	f, err := openCluster(folder, sudoUser)
	if err != nil {
		return err
	}
	defer f.close()
	if f.root == nil {
		return nil
	}
	if _, err := f.root.Lstat(cluster.FileName); err != nil {
		return nil //nolint:nilerr // a folder without it holds no cluster
	}
	if err := f.put(knownHostsName, knownHostsText(hosts)); err != nil {
		return f.unwritable(err)
	}
	return nil
}

// shadowed lists the names that the text of /etc/hosts gives another address outside of racker's block, each with its line. The first
// line with a name counts, and racker's block may come after it.
func shadowed(text []byte, hosts []api.HostView) []string {
	ours := map[string]string{}
	for _, h := range hosts {
		for _, name := range h.Names {
			ours[name] = h.Address
		}
	}
	var out []string
	inside, n := false, 0
	for line := range bytes.Lines(text) {
		n++
		bare := string(bytes.TrimRight(line, "\r\n"))
		inside = bare == blockBegin || bare == blockBeginBare || inside && bare != blockEnd
		words := strings.Fields(strings.SplitN(bare, "#", 2)[0])
		if inside || len(words) < 2 {
			continue
		}
		for _, name := range words[1:] {
			if addr := ours[name]; addr != "" && addr != words[0] {
				out = append(out, fmt.Sprintf("line %d gives %s the address %s, not %s", n, name, words[0], addr))
			}
		}
	}
	return slices.Compact(out)
}

// syncNames is writeNames for a command that is done: what goes wrong is a warning, since the nodes are what was ordered.
// folder is the cluster's; "" means the one in the operator's home.
func (e *Env) syncNames(ctx context.Context, d hostLister, folder string) {
	s, err := e.Settings()
	if err != nil {
		return // the command itself could not have come so far
	}
	e.warn(e.tryNames(ctx, d, s.Names, folder))
}

// namesAfter is syncNames by a client of its own.
func (e *Env) namesAfter(ctx context.Context, folder string) {
	d, err := e.client()
	if err != nil {
		return // the command itself could not have come so far
	}
	e.syncNames(ctx, d, folder)
}

// warn tells of what does not keep a command from its work.
func (e *Env) warn(err error) {
	if err == nil {
		return
	}
	for text := range strings.Lines(err.Error()) {
		e.IO.Errf("racker: %s %s\n", e.IO.PaintErr(stdio.Warn, "warning:"), stdio.Clean(strings.TrimRight(text, "\n")))
	}
}

func (e *Env) tryNames(ctx context.Context, d hostLister, s config.Names, folder string) error {
	if s.Hosts == "" && s.KnownHosts == "" {
		return nil
	}
	hosts, err := d.Hosts(ctx)
	if err != nil {
		return fmt.Errorf("names of the nodes not written: %w", err)
	}
	if err := checkHosts(hosts); err != nil {
		return err
	}
	if home, err := operatorHome(e.sudoUser); folder == "" && err == nil {
		folder = filepath.Join(home, clusterFolders()["image"][0])
	}
	if err := writeKnownHosts(folder, e.sudoUser, hosts); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil // the next command of root's does it
	}
	if err := writeNames(s, hosts); err != nil {
		return err
	}
	text, err := os.ReadFile(s.Hosts)
	if err != nil {
		return nil //nolint:nilerr // it was written a moment ago, or is not wanted
	}
	if lines := shadowed(text, hosts); len(lines) > 0 {
		return fmt.Errorf("%s: %s", s.Hosts, cutList(lines))
	}
	return nil
}
