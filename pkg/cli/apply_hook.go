package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// Names of the executable files in a cluster's folder that are run around the change of a node.
const (
	hookDrain   = "drain"   // before a node is rebooted or erased: an exit code other than 0 stops the apply
	hookUndrain = "undrain" // after it is well again
)

// hook runs one of the folder's hooks for a node that does not stay up. It runs as the operator, also when racker is root: the
// folder is theirs.
func (o *applyOptions) hook(ctx context.Context, p *applyPlan, n *applyNode, name string) error {
	if n.Cost == api.CostNothing || n.Cost == api.CostLive || n.Action == applyInstall {
		return nil
	}
	path := filepath.Join(p.folder.dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s hook: %w", name, err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return withHint(fmt.Errorf("%s hook: %s is not executable", name, path), "chmod +x "+path+", or remove it")
	case info.Mode()&0o002 != 0:
		return withHint(fmt.Errorf("%s hook: everybody may write %s", name, path), "chmod o-w "+path)
	}
	fmt.Fprintf(o.IO.Err, "%s: %s\n", stdio.Clean(n.where()), name)
	cmd := exec.CommandContext(ctx, path, n.Node)
	cmd.Dir = p.folder.dir
	cmd.Stdout, cmd.Stderr = o.IO.Err, o.IO.Err
	cmd.Env = []string{"HOME=" + p.folder.home, "RACKER_NODE=" + n.Node, "RACKER_NODE_MAC=" + n.MAC, "RACKER_NODE_ADDRESS=" + n.view.Address,
		"RACKER_COST=" + n.Cost, "RACKER_FOLDER=" + p.folder.dir}
	for _, passed := range []string{"PATH", "LANG", "TERM", "KUBECONFIG", "SSH_AUTH_SOCK"} {
		if value := config.Getenv(passed); value != "" {
			cmd.Env = append(cmd.Env, passed+"="+value)
		}
	}
	if owner := p.folder.owner; owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(owner.uid), Gid: uint32(owner.gid)}}
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return withCode(codeInterrupted, fmt.Errorf("%s hook for %s: %w", name, n.Node, context.Cause(ctx)))
		}
		return fmt.Errorf("%s hook for %s: %w", name, n.Node, err)
	}
	return nil
}
