package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// provisioner is what a bootstrap needs of the daemon.
type provisioner interface {
	rowReader
	imageKeeper
	runKeeper
	runLister
	nodeFinder
	configKeeper
	Rack(ctx context.Context) (api.RackView, error)
	SubmitRun(ctx context.Context, req api.RunRequest) (api.RunView, error)
	PlanErase(ctx context.Context, p api.ErasePlan) (api.EraseView, error)
}

type bootstrapOptions struct {
	IO     *stdio.Streams
	Daemon func() (provisioner, error)
	Now    func() time.Time
	Take   func() (<-chan struct{}, func()) // Ctrl-C, for who asks first
	Home   func() (string, error)           // what ~ means
	// SudoUser is who called sudo; Ports and Logs are racker's, for what goes into the cluster's folder.
	SudoUser string
	Ports    config.Ports
	Logs     string
	// Names has this machine know the nodes by name and host key; nil leaves it as it is. folder is the cluster's.
	Names func(ctx context.Context, folder string)
	// Given reports whether a flag was given, for what a run in progress is compared with.
	Given func(flag string) bool

	Provision         string
	Image             string
	OnFailure         string
	Retries           int
	Exclude           string
	SSHKeys           []string
	IPAddrs           string
	Canary, NoCanary  bool
	StopAt            string
	NotAfter          string
	MinReady          int
	PowerCycleRunning bool
	Config            string // the cluster's folder, where it is meant
	Yes, JSON, Detach bool
	DryRun            bool
	WipeOldOS         bool
	WipeForeign       bool
	commandLine       string

	request  api.RunRequest // what the flags say
	relative bool           // NotAfter was a duration
	imageID  string         // once the daemon holds the image
	keys     []string       // the public keys of the files SSHKeys
	cluster  *declaredCluster
}

func newBootstrapCmd(env *Env) *cobra.Command {
	o := &bootstrapOptions{IO: env.IO, Now: time.Now, Take: env.interrupts.take, Daemon: func() (provisioner, error) { return env.client() }}
	o.Names = env.namesAfter
	o.Home = func() (string, error) { return operatorHome(env.sudoUser) }
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Install the servers of the rack and bring them up",
		Long: `bootstrap installs an image on every server of nodes.csv at once: it checks all BMCs, powers the servers off and on, boots
them over the network, writes the image to their install disks, and waits until each has booted from its disk and called
back. What those disks hold is ERASED. Servers that are on are left alone unless --power-cycle-running is given.

It shows the servers and asks before it begins; without a terminal it wants --yes, and --onfailure with anything but ask. The
daemon does the work: Ctrl-C asks whether to leave, a second one leaves, and the run goes on; racker run wait, or bootstrap
with the same flags, follows it again. Progress goes to stderr, the result to stdout.

With --provision flatcar each server gets a config of its own: the folder ~/flatcar-container-linux is written, with
cluster.yaml, which declares the servers, and what racker makes of it. --config names such a folder to start from, or an
empty directory to write it to.

A rack that is as ordered stays as it is: "changed" is then false under --json. A cluster folder that is not empty
stops it, unless --config names it.

Exit codes: 0 all servers are ready, or --min-ready of them, or detached; 1 failed; 2 usage; 3 some servers failed; 4 not
confirmed, or no terminal to ask on; 6 a BMC or server is unreachable; 130 left.`,
		Example: `  racker bootstrap --image flatcar_production_image.bin.bz2
  racker bootstrap --image flatcar --onfailure retry --exclude 'node-7 node-9'
  racker bootstrap --image flatcar --onfailure exclude --yes --detach
  racker bootstrap --provision flatcar --ssh-key key.pub --ip-addrs rack.ini
  racker bootstrap --provision flatcar --config flatcar-container-linux`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON, o.Config, o.commandLine = env.JSON, env.takeConfigFolder(), strings.Join(env.words, " ")
			o.Given, o.SudoUser = cmd.Flags().Changed, env.sudoUser
			s, err := env.Settings()
			if err != nil {
				return err
			}
			o.Ports, o.Logs = s.Ports, filepath.Join(s.StateDir, "logs")
			return o.run(cmd.Context())
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

func (o *bootstrapOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.Provision, "provision", provisionImage, "what to install: flatcar, with the config that a folder declares; or image, as it is")
	f.StringVar(&o.Image, "image", "", "file of a disk image, or name or ID of one that was added before (flatcar: default the newest Flatcar)")
	f.StringVar(&o.IPAddrs, "ip-addrs", "", "public addresses: DHCP, or an INI text or file with a section per secondary MAC (default DHCP)")
	f.StringVar(&o.OnFailure, "onfailure", "", "when a server fails: ask, retry, exclude or cancel (default ask)")
	f.IntVar(&o.Retries, "retries", defaultRetries, "how often a server is tried again, with --onfailure retry or exclude")
	f.StringVar(&o.Exclude, "exclude", "", "servers to leave out, separated by blanks: MACs, or any other name of a node")
	f.StringArrayVar(&o.SSHKeys, "ssh-key", nil, "file of public SSH keys that may log in to the servers (may be repeated)")
	f.BoolVar(&o.Canary, "canary", false, "bring one server per type to ready first (default with more than eight)")
	f.BoolVar(&o.NoCanary, "no-canary", false, "all servers at once")
	f.StringVar(&o.StopAt, "stop-at", "", "hold all servers in the microkernel, before the first write: agent")
	f.StringVar(&o.NotAfter, "not-after", "", "start no server after this time: 22:30, 2h, or as in RFC 3339")
	f.IntVar(&o.MinReady, "min-ready", 0, "so many ready servers are a success (default all)")
	f.BoolVar(&o.PowerCycleRunning, "power-cycle-running", false, "install servers that are on, too")
	f.BoolVar(&o.Detach, "detach", false, "print the run's ID and leave it to the daemon")
	f.BoolVar(&o.Yes, "yes", false, "do not ask, while the rule of each server fits one disk only, and no other is wiped")
	f.BoolVar(&o.DryRun, "dry-run", false, "show the servers and the disks that would be erased, and do nothing")
	f.BoolVar(&o.WipeOldOS, "wipe-old-os", false, "erase the signatures of other disks that hold an older system")
	f.BoolVar(&o.WipeForeign, "wipe-foreign", false, "erase install disks that hold what racker did not put there, too")
}

// takeConfigFolder gives the folder that --config names: on this command that is the cluster's, while a file is the
// settings file as everywhere.
func (e *Env) takeConfigFolder() string {
	info, err := os.Stat(e.configFile)
	if err != nil || !info.IsDir() {
		return ""
	}
	dir := e.configFile
	e.configFile = ""
	return dir
}
