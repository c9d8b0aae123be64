package ignite

// ActionKind says what an Action does.
type ActionKind string

// Kinds of actions, with the fields that they use beside Kind.
const (
	WriteFile    ActionKind = "write"         // Path, Content, Mode, Owner
	RemoveFile   ActionKind = "remove"        // Path, of a file or a link; what the image has there comes back
	MakeDir      ActionKind = "mkdir"         // Path, Mode or KeepMode, Owner as chown takes it, or none
	RemoveDir    ActionKind = "rmdir"         // Path; kept when anything is in it
	MakeLink     ActionKind = "link"          // Path, Target, Hard, Owner
	ChangeKeys   ActionKind = "ssh-keys"      // Path (the user), Add, Remove
	AddGroup     ActionKind = "group"         // Path (the group), Add (words for groupadd)
	AddUser      ActionKind = "user"          // Path (the user), Add (words for useradd)
	SetPassword  ActionKind = "password"      // Path (the user), Content (the hash; "*" locks it)
	JoinGroups   ActionKind = "groups"        // Path (the user), Add, Remove
	SetShell     ActionKind = "shell"         // Path (the user), Target
	EnableUnit   ActionKind = "enable"        // Path (the unit)
	ReenableUnit ActionKind = "reenable"      // Path: what enabled it before goes, and it is enabled as its files say now
	StartUnit    ActionKind = "start"         // Path
	DisableUnit  ActionKind = "disable"       // Path: stopped and disabled
	ForgetUnit   ActionKind = "forget"        // Path: what Ignition noted for it goes, and the image's own setting holds again
	MaskUnit     ActionKind = "mask"          // Path: stopped and masked
	UnmaskUnit   ActionKind = "unmask"        // Path
	RestartUnit  ActionKind = "restart"       // Path: restarted if it runs
	ReloadUnits  ActionKind = "daemon-reload" // systemd reads the units again
	ApplySysctls ActionKind = "sysctl"
	LoadModules  ActionKind = "modules"
	CheckSSH     ActionKind = "check-ssh" // the SSH server's configuration is one that it takes
	// ReloadNetwork lets networkd read its files again. It configures anew the links whose files changed.
	ReloadNetwork ActionKind = "network"
)

// KeepMode is the mode of a directory that keeps the one it has. A new one gets 0755.
const KeepMode = -1

// Action is one thing to do on a running node. Doing it twice does no harm.
type Action struct {
	Kind    ActionKind
	Path    string
	Content []byte
	Mode    int    // permission bits with setuid, setgid and sticky, as in Ignition; KeepMode
	Owner   string // USER:GROUP by name or number; of a directory also USER, :GROUP, or empty for what it has
	Target  string
	Hard    bool
	Add     []string
	Remove  []string
	// Restarts is set for what a reboot does as well.
	Restarts bool
}
