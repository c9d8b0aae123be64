package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// readSSHKeys gives the public keys of files in the form of authorized_keys, each checked.
func readSSHKeys(paths []string) ([]string, error) {
	var keys []string
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--ssh-key: %w", err)
		}
		if bytes.Contains(b, []byte("PRIVATE KEY-----")) {
			return nil, withHint(usageError("--ssh-key %s: that is a private key", path), "--ssh-key "+path+".pub")
		}
		before := len(keys)
		n := 0
		for line := range strings.Lines(string(b)) {
			n++
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
				return nil, usageError("--ssh-key %s line %d: not a public SSH key: %w", path, n, err)
			}
			keys = append(keys, line)
		}
		if len(keys) == before {
			return nil, usageError("--ssh-key %s: there is no key in it", path)
		}
	}
	return keys, nil
}
