package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/racker-project/racker/pkg/rack"
)

// Names in the OEM folder; credentials of the default rack's BMCs.
const (
	nodesFile    = "nodes.csv"
	userFile     = "ipmi_user"
	passwordFile = "ipmi_password"

	defaultUser     = "USER"
	defaultPassword = "PASS"
)

// DefaultNodes is the nodes.csv of the rack that is made when none is given: a management node and three servers.
const DefaultNodes = `Primary MAC address, BMC MAC address, Secondary MAC address, Node Type, Comments
52:54:00:00:00:01, 52:54:00:00:01:01, 52:54:00:00:02:01, mgmt, management node
52:54:00:00:00:11, 52:54:00:00:01:11, 52:54:00:00:02:11, compute, BIOS
52:54:00:00:00:12, 52:54:00:00:01:12, 52:54:00:00:02:12, compute, UEFI
52:54:00:00:00:13, 52:54:00:00:01:13, 52:54:00:00:02:13, compute, both disks hold something
`

// WriteOEM puts nodes.csv and the credentials into the folder where there are none. nodes is the file to copy, which wins over
// one that is there; empty means the default rack.
func (f Folder) WriteOEM(nodes string) error {
	if err := os.MkdirAll(f.OEM(), 0o755); err != nil {
		return fmt.Errorf("make OEM folder: %w", err)
	}
	if nodes != "" {
		b, err := os.ReadFile(nodes)
		if err == nil {
			err = os.WriteFile(filepath.Join(f.OEM(), nodesFile), b, 0o644)
		}
		if err != nil {
			return fmt.Errorf("copy nodes.csv: %w", err)
		}
	}
	for name, text := range map[string]string{nodesFile: DefaultNodes, userFile: defaultUser + "\n", passwordFile: defaultPassword + "\n"} {
		if err := writeNew(filepath.Join(f.OEM(), name), text); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func writeNew(name, text string) error {
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = w.WriteString(text)
	return errors.Join(err, w.Close())
}

// Credentials reads what the BMCs of the rack accept.
func (f Folder) Credentials() (user, password string, err error) {
	for name, into := range map[string]*string{userFile: &user, passwordFile: &password} {
		b, err := os.ReadFile(filepath.Join(f.OEM(), name))
		if err != nil {
			return "", "", fmt.Errorf("read BMC credentials: %w", err)
		}
		if *into = strings.TrimRight(string(b), "\r\n"); *into == "" {
			return "", "", fmt.Errorf("read BMC credentials: %s is empty", name)
		}
	}
	return user, password, nil
}

// checkNames makes sure that every server has a name of its own that can be a folder's.
func checkNames(r *rack.Rack) error {
	seen := map[string]bool{}
	for _, n := range r.Servers() {
		if n.Name == "" || n.Name != filepath.Base(n.Name) || strings.HasPrefix(n.Name, ".") || seen[n.Name] {
			return fmt.Errorf("nodes.csv line %d: %q cannot be the name of a simulated server", n.Line, n.Name)
		}
		seen[n.Name] = true
	}
	return nil
}
