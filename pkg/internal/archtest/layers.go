package archtest

// module is the path that all our packages begin with.
const module = "github.com/racker-project/racker"

// internalRoom holds what only tests import.
const internalRoom = "internal"

// layers gives the floor of each room, which is a directory below pkg. Its subdirectories belong to it. A package
// imports rooms of lower floors only. The command line joins everything and so has the top floor alone.
func layers() map[string]int {
	return map[string]int{
		"rack": 0, "event": 0, "config": 0, "stdio": 0, "version": 0, "cluster": 0,
		"ipxe": 1, "pxe": 1, "lldp": 1, "api": 1,
		"dhcpd": 2, "tftpd": 2, "bootd": 2, "bmc": 2, "image": 2, "release": 2, "initrd": 2, "ignite": 2, "hwinfo": 2, "systemd": 2,
		"netif": 2, "store": 2, "audit": 2, "timeline": 2, "update": 2, "kube": 2,
		"remote": 2, "sntpd": 2,
		"daemon": 3, "provision": 3, "agent": 3, "sim": 3,
		"tui": 4,
		"cli": 5,
	}
}

// exceptions are imports within one floor, with their reasons.
func exceptions() map[[2]string]string {
	return map[[2]string]string{
		{"config", "rack"}:  "settings are MACs and networks, and rack is the ground that everything stands on",
		{"cluster", "rack"}: "a cluster is declared for the rows of a rack, which is the ground that everything stands on",
		{"ipxe", "pxe"}:     "the map from architecture to program is keyed by what option 93 means",
		{"sim", "agent"}:    "a fake server does what the agent does by the agent's own job loop",
	}
}

// ban keeps packages out of what is linked, however many imports lie between.
type ban struct {
	who   string   // below the module's path
	never []string // prefixes of import paths
	why   string
}

func bans() []ban {
	return []ban{
		{"cmd/racker-agent", []string{module + "/pkg/cli", module + "/pkg/tui", "github.com/spf13/cobra", "github.com/charmbracelet"},
			"the agent is PID 1 in RAM: it has no command line and no person in front of it"},
		{"cmd/racker-agent", []string{module + "/pkg/store", "go.etcd.io"},
			"the agent keeps no state: the server does"},
		{"cmd/racker-agent", []string{"github.com/bmc-toolbox", "github.com/bougou/go-ipmi", "github.com/stmcginnis/gofish"},
			"BMCs are driven from the management node; their credentials never reach a server"},
		{"cmd/racker-agent", []string{"github.com/coreos/butane"},
			"Ignition configs come rendered; the initramfs has a budget"},
		{"pkg/tui", []string{module + "/pkg/dhcpd", module + "/pkg/bmc", module + "/pkg/store"},
			"the terminal sees the rack through the API only, as every client does"},
		{"cmd/racker", []string{module + "/pkg/agent", module + "/pkg/sim"},
			"the agent and the simulator are programs of their own"},
		{"cmd/racker-sim", []string{module + "/pkg/cli", module + "/pkg/provision", module + "/pkg/daemon"},
			"the simulated rack knows nothing of what is tried on it"},
	}
}

// symbol is a name of the standard library that only some rooms may use.
type symbol struct {
	pkg   string   // import path
	names []string // none means the import itself
	rooms []string // below pkg; "cmd" for the programs
	why   string
}

func symbols() []symbol {
	return []symbol{
		{"os", []string{"Exit"}, []string{"cmd", "cli"}, "whoever else ends the process skips what others must still do"},
		{"os", []string{"Stdin", "Stdout", "Stderr"}, []string{"cmd", "stdio"}, "output is tested, and coloured, through stdio.Streams"},
		{"os", []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, []string{"cmd", "config"}, "config tells the operator where a setting came from"},
		{"os/exec", nil, []string{"systemd", "bmc", "sim", "agent", "cli"}, "a program that is started is an interface without types; each has one owner"},
		{"log", nil, nil, "logs are structured: log/slog"},
		{"fmt", []string{"Print", "Printf", "Println"}, nil, "output goes through stdio.Streams"},
	}
}
