package api

import "time"

// Power is the state of a server as its BMC reads it.
type Power string

// Power states.
const (
	PowerUnknown Power = ""
	PowerOn      Power = "on"
	PowerOff     Power = "off"
)

// NodeView is one node as the operator sees it: GET /v1/nodes and /v1/nodes/ID.
type NodeView struct {
	Name         string     `json:"name"`
	Where        string     `json:"where"`
	PrimaryMAC   string     `json:"primary_mac"`
	BMCMAC       string     `json:"bmc_mac,omitempty"`
	SecondaryMAC string     `json:"secondary_mac,omitempty"`
	Type         string     `json:"type,omitempty"`
	Management   bool       `json:"management,omitempty"`
	Address      string     `json:"address,omitempty"`
	BMCAddress   string     `json:"bmc_address,omitempty"` // where the BMC is reached now; empty when unknown
	BMCReached   bool       `json:"bmc_reached"`
	BMCError     string     `json:"bmc_error,omitempty"` // why it was not reached when it was asked last
	Power        Power      `json:"power,omitempty"`
	State        string     `json:"state"` // of the state machine: known, ..., ready, failed, excluded
	Since        time.Time  `json:"since,omitzero"`
	Step         string     `json:"step,omitempty"`   // where it failed
	Reason       string     `json:"reason,omitempty"` // why it failed
	Run          string     `json:"run,omitempty"`
	Image        string     `json:"image,omitempty"`
	Progress     *Progress  `json:"progress,omitempty"`
	Disk         *Disk      `json:"disk,omitempty"`
	OtherOS      []string   `json:"other_os,omitempty"`
	Identity     *Identity  `json:"identity,omitempty"`
	Hardware     *Hardware  `json:"hardware,omitempty"`
	Clock        string     `json:"clock,omitempty"` // what the node's clock said at check-in, when it was wrong
	Callback     *Callback  `json:"callback,omitempty"`
	Evidence     []Evidence `json:"evidence,omitempty"` // newest last
	// Diagnosis says in one sentence why a node that should go on does not; empty when nothing is wrong.
	Diagnosis string `json:"diagnosis,omitempty"`
	// Deadline is how long the node may still stay in its state without news, in seconds; 0 when nothing is waited for.
	Deadline int  `json:"deadline,omitempty"`
	Tries    int  `json:"tries,omitempty"`   // attempts of the run at this node
	Held     bool `json:"held,omitempty"`    // waits in the microkernel, as its run was told
	Adopted  bool `json:"adopted,omitempty"` // racker did not install it
	// OS is the system that runs, as it named itself last. OSVersion is its version where racker brought it there, and WantedOS
	// the one that it is to run.
	OS        string `json:"os,omitempty"`
	OSVersion string `json:"os_version,omitempty"`
	WantedOS  string `json:"wanted_os,omitempty"`
	LogTail   string `json:"log_tail,omitempty"`
}

// Evidence is one fact of a node's timeline.
type Evidence struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

// RunRequest submits a run: POST /v1/runs -> RunView.
type RunRequest struct {
	Provision string `json:"provision"` // "image", or "flatcar", which wants a config for each node
	Image     string `json:"image"`     // ID or name of an image
	// Nodes names the servers; empty means all.
	Nodes             []string `json:"nodes,omitempty"`
	Exclude           []string `json:"exclude,omitempty"`
	OnFailure         string   `json:"on_failure"` // one of the OnFailure words
	Retries           int      `json:"retries"`
	PowerCycleRunning bool     `json:"power_cycle_running,omitempty"`
	Canary            string   `json:"canary,omitempty"`  // one of the Canary words
	StopAt            string   `json:"stop_at,omitempty"` // "" or StopAtAgent
	// NotAfter is when the last node may start; zero means any time.
	NotAfter time.Time `json:"not_after,omitzero"`
	// MinReady is how many ready nodes make the run a success; 0 means all.
	MinReady int      `json:"min_ready,omitempty"`
	SSHKeys  []string `json:"ssh_keys,omitempty"` // for the core user
	// Configs gives by primary MAC the digest of the NodeConfig, sent before, that the node is installed with. A node that is
	// not in it gets racker's own part and SSHKeys only.
	Configs             map[string]string `json:"configs,omitempty"`
	CommandLineForAudit string            `json:"command_line,omitempty"`
	// Erase is one of the Erase words.
	Erase string `json:"erase,omitempty"`
	// Shown gives by primary MAC the EraseRow.Digest of disks that the operator saw and confirmed with the plan: a node that
	// reports just that is not asked about again.
	Shown map[string]string `json:"shown,omitempty"`
	// WipeOldOS and WipeForeign allow what the node's config allows by the same names.
	WipeOldOS   bool `json:"wipe_old_os,omitempty"`
	WipeForeign bool `json:"wipe_foreign,omitempty"`
}

// RunView is a run as the operator sees it.
type RunView struct {
	ID    string `json:"id"`
	State string `json:"state"` // running, done, failed, cancelled
	// Changed is false when the request asked for what is already so: then nothing was done.
	Changed bool `json:"changed"`
	// Questions are open: the run waits for an Answer at these nodes, while the others go on.
	Questions []Question `json:"questions,omitempty"`
	// Erase is what the run waits for before it writes; nil when no disk waits to be confirmed.
	Erase   *EraseView `json:"erase,omitempty"`
	Request RunRequest `json:"request"`
	Image   string     `json:"image"`
	Began   time.Time  `json:"began"`
	Ended   time.Time  `json:"ended,omitzero"`
	Stages  []Stage    `json:"stages"`
	Nodes   []NodeView `json:"nodes"`
	Reason  string     `json:"reason,omitempty"`
	Skipped []string   `json:"skipped,omitempty"` // servers left out, each with its reason
	// Code is the exit code that the run deserves: 0, 1, 3 or 6.
	Code int `json:"code"`
}

// Stage is one line of the bootstrap's progress.
type Stage struct {
	Name  string `json:"name"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
	State string `json:"state"` // waiting, running, done, failed
}

// RackView is GET /v1/rack.
type RackView struct {
	Network     string   `json:"network"`
	Server      string   `json:"server"`
	Interface   string   `json:"interface"`
	Version     string   `json:"version"`
	Provision   string   `json:"provision,omitempty"` // what was provisioned last
	Nodes       int      `json:"nodes"`
	Microkernel string   `json:"microkernel,omitempty"` // ID of the default microkernel
	Warnings    []string `json:"warnings,omitempty"`
}

// LeaseView is one lease: GET /v1/leases.
type LeaseView struct {
	Address string    `json:"address"`
	MAC     string    `json:"mac"`
	Node    string    `json:"node,omitempty"`
	Role    string    `json:"role"` // server, bmc, pool
	Expires time.Time `json:"expires,omitzero"`
}

// Error is the body of every answer of 400 and above.
type Error struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Code is the exit code that the command line gives for it.
	Code int `json:"code"`
	// Status is the HTTP status that it goes, or came, with; 0 leaves it to the code.
	Status int `json:"-"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }
