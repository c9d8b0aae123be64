package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// sshSource is what a login needs of the daemon.
type sshSource interface {
	hostLister
	nodeGetter
}

type sshOptions struct {
	IO     *stdio.Streams
	Daemon func() (sshSource, error)
	Take   func() (<-chan struct{}, func()) // Ctrl-C, which is the remote program's
	Home   string                           // of who called sudo, whose keys are used; "" for the caller's own

	Word    string
	Command []string
	User    string
	Key     string // file of a private key; "" for those that ssh finds
	TTY     bool
	Port    int
}

func newSSHCmd(env *Env) *cobra.Command {
	o := &sshOptions{IO: env.IO, Take: env.interrupts.take, Daemon: func() (sshSource, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "ssh NODE [CMD]",
		Short: "Log in to an installed node, or run a command on it",
		Long: `ssh runs this machine's ssh with your own keys, and accepts no host key but the one that racker gave the node when it
installed it: nobody is trusted on first use. The words of CMD go to the node's shell as ssh sends them. Under sudo the keys of who called
it are used. racker's own key never leaves the daemon, not for root either.

Exit codes: 0 ok, else that of CMD; 255 when ssh itself failed, as with ssh; 1 failed; 2 usage, or no such node; 6 nobody answers
on the node.`,
		Example: "  racker ssh node-3\n  racker ssh node-3 systemctl --failed\n  racker ssh --user root node-3 'uptime; id'",
		Args:    someWords("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Word, o.Command = args[0], args[1:]
			if len(o.Command) > 0 && o.Command[0] == "--" { // as ssh takes it
				o.Command = o.Command[1:]
			}
			if env.sudoUser != "" && os.Geteuid() == 0 {
				home, err := operatorHome(env.sudoUser)
				if err != nil {
					return err
				}
				o.Home = home
			}
			return o.run(cmd.Context())
		},
	}
	passWords(cmd)
	f := cmd.Flags()
	f.StringVar(&o.User, "user", "", "whom to log in as (default core)")
	f.StringVarP(&o.Key, "identity", "i", "", "file of your private key (default those that ssh finds)")
	f.BoolVarP(&o.TTY, "tty", "t", false, "give CMD a terminal")
	f.IntVar(&o.Port, "port", sshPort, "where the node's sshd listens")
	return cmd
}

const (
	sshPort = 22
	// sshAnswers is how long a node may take to answer at all.
	sshAnswers = 10 * time.Second
)

func (o *sshOptions) run(ctx context.Context) error {
	if o.Port < 1 || o.Port > 65535 {
		return usageError("--port %d: want 1 to 65535", o.Port)
	}
	host, err := o.host(ctx)
	if err != nil {
		return err
	}
	at := net.JoinHostPort(host.Address, strconv.Itoa(o.Port))
	conn, err := (&net.Dialer{Timeout: sshAnswers}).DialContext(ctx, "tcp", at)
	if err != nil {
		return withHint(withCode(codeUnreachable, fmt.Errorf("%s does not answer at %s: %w", host.Name, at, err)), "racker node show "+host.Name)
	}
	_ = conn.Close()
	dir, err := os.MkdirTemp("", "racker-ssh-")
	if err != nil {
		return fmt.Errorf("log in to %s: %w", host.Name, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // it holds a public key
	known := filepath.Join(dir, knownHostsName)
	if err := os.WriteFile(known, []byte(host.Name+" "+host.HostKey+"\n"), 0o600); err != nil {
		return fmt.Errorf("log in to %s: %w", host.Name, err)
	}
	return o.login(ctx, host, known)
}

// host finds how the node is reached.
func (o *sshOptions) host(ctx context.Context) (*api.HostView, error) {
	d, err := o.Daemon()
	if err != nil {
		return nil, err
	}
	n, err := d.Node(ctx, o.Word)
	if err != nil {
		return nil, err
	}
	if n.Management {
		return nil, usageError("%s is the management node, which is this machine", n.Name)
	}
	hosts, err := d.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(hosts, func(h api.HostView) bool { return h.MAC == n.PrimaryMAC })
	if i < 0 {
		return nil, fmt.Errorf("%s has no address", n.Name)
	}
	h := &hosts[i]
	if err := checkHosts(hosts[i : i+1]); err != nil {
		return nil, err
	}
	if h.HostKey == "" {
		return nil, withHint(fmt.Errorf("the host key of %s is not known: no system is on it that racker gave one", h.Name),
			"racker node show "+h.Name+"; racker node reprovision "+h.Name+" installs it anew")
	}
	return h, nil
}

// login runs ssh. Ctrl-C is left to it, and a SIGTERM handed on.
func (o *sshOptions) login(ctx context.Context, h *api.HostView, known string) error {
	_, release := o.Take()
	defer release()
	cmd := exec.CommandContext(ctx, "ssh", o.args(h, known)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.IO.In, o.IO.Out, o.IO.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return withHint(errors.New("this machine has no ssh"), "apt install openssh-client, or what your system has")
	case errors.As(err, &exit):
		code := exit.ExitCode()
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			code = 128 + int(s.Signal())
		}
		return withCode(code, errSilent)
	case err != nil:
		return fmt.Errorf("log in to %s: %w", h.Name, err)
	}
	return nil
}

// args are ssh's. What is given here wins over the operator's ssh_config; all else of that holds.
func (o *sshOptions) args(h *api.HostView, known string) []string {
	user := o.User
	if user == "" {
		user = h.User
	}
	var args []string
	for _, option := range []string{
		"UserKnownHostsFile=" + known, "GlobalKnownHostsFile=/dev/null", "IgnoreUnknown=KnownHostsCommand", "KnownHostsCommand=none",
		"StrictHostKeyChecking=yes", "VerifyHostKeyDNS=no", "UpdateHostKeys=no", "CheckHostIP=no", "NoHostAuthenticationForLocalhost=no",
		"HostKeyAlias=" + h.Name, "HostKeyAlgorithms=ssh-ed25519", "PasswordAuthentication=no", "KbdInteractiveAuthentication=no",
		"ConnectTimeout=15",
	} {
		args = append(args, "-o", option)
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		file := filepath.Join(o.Home, ".ssh", name)
		if _, err := os.Stat(file); o.Home != "" && err == nil {
			args = append(args, "-i", file)
		}
	}
	if o.Key != "" {
		args = append(args, "-i", o.Key, "-o", "IdentitiesOnly=yes")
	}
	if o.TTY {
		args = append(args, "-t")
	}
	args = append(args, "-p", strconv.Itoa(o.Port), "-l", user, "--", h.Address)
	return append(args, o.Command...)
}
