package api

import "time"

// Answers to a Question, and the failure policies of a run. A run with the policy "ask" waits for an answer at each node
// that failed; the others answer by themselves.
const (
	OnFailureAsk     = "ask"
	OnFailureRetry   = "retry"   // try again at once; more than RunRequest.Retries failures cancel
	OnFailureExclude = "exclude" // power it off, verified, and leave it out of this and later runs
	OnFailureCancel  = "cancel"  // stop: nodes whose write has not begun are let go
)

// Values of RunRequest.Canary.
const (
	CanaryAuto = ""    // when the run has more than eight nodes
	CanaryOn   = "on"  // one node per type goes to ready first; when one fails, the others are not touched
	CanaryOff  = "off" // all nodes at once
)

// StopAtAgent is the value of RunRequest.StopAt that holds every node in the microkernel before its first write.
const StopAtAgent = "agent"

// Question is what a run with the policy "ask" waits for: one per node that failed.
type Question struct {
	Node   string    `json:"node"`  // primary MAC
	Where  string    `json:"where"` // name and place
	Step   string    `json:"step"`  // the state in which it failed
	Reason string    `json:"reason"`
	Asked  time.Time `json:"asked"`
	// Choices are the answers that it takes, in the order to offer them.
	Choices []string `json:"choices"`
}

// Answer answers a Question: POST /v1/runs/ID/answer -> RunView. An empty Node answers all questions that are open. The
// first answer counts; an answer to a node that is not asked about any more is an error of code 5.
type Answer struct {
	Node   string `json:"node,omitempty"` // any name of the node
	Answer string `json:"answer"`         // retry, exclude or cancel
}

// Reprovision orders a fresh install of one node: POST /v1/nodes/ID/reprovision -> RunView. Its disk is ERASED.
type Reprovision struct {
	// Image is the ID or name of an image; empty means that of the node's last install.
	Image     string   `json:"image,omitempty"`
	OnFailure string   `json:"on_failure"`
	Retries   int      `json:"retries"`
	SSHKeys   []string `json:"ssh_keys,omitempty"`
	// Erase, WipeOldOS and WipeForeign are those of a RunRequest.
	Erase       string `json:"erase,omitempty"`
	WipeOldOS   bool   `json:"wipe_old_os,omitempty"`
	WipeForeign bool   `json:"wipe_foreign,omitempty"`
	// Shown is the EraseRow.Digest of the disks that the operator saw and confirmed; empty for none.
	Shown string `json:"shown,omitempty"`
}

// BootOrder boots a node that no run is at work on: POST /v1/nodes/ID/boot -> RunView.
type BootOrder struct {
	// Target is BootDisk or BootInventory.
	Target string `json:"target"`
}

// Targets of a BootOrder.
const (
	BootDisk      = "disk"      // power cycle into the installed system; a ready node is shut down softly first
	BootInventory = "inventory" // once into the microkernel, which reports the hardware and goes on to the disk
)

// PowerOrder switches a node that no run is at work on: POST /v1/nodes/ID/power -> OrderView. It is idempotent and
// verified.
type PowerOrder struct {
	Power Power `json:"power"` // on or off
	// Hard switches off at once; else a ready node's system is shut down first, for two minutes at most.
	Hard bool `json:"hard,omitempty"`
}

// Replace gives a row new hardware: POST /v1/nodes/ID/replace -> OrderView. Name, address and role stay. Empty fields
// stay as they are. The daemon notes the change, and takes it when nodes.csv has the new MACs; the command line writes
// that file between this order and POST /v1/rack/reload.
type Replace struct {
	Primary   string `json:"primary,omitempty"`
	BMC       string `json:"bmc,omitempty"`
	Secondary string `json:"secondary,omitempty"`
}

// Adopt takes running nodes in as ready, without touching them: POST /v1/nodes/ID/adopt -> OrderView.
// Exclude (POST /v1/nodes/ID/exclude -> OrderView) powers a node off and leaves it out of all runs; Include
// (POST /v1/nodes/ID/include -> OrderView) takes it back. None of them has a body.

// OrderView is the answer to an order that is done at once.
type OrderView struct {
	Node NodeView `json:"node"`
	// Changed is false when all was as ordered before.
	Changed bool `json:"changed"`
	// NotFenced says why a node that was excluded may still be on; empty when it is off for sure. Code is then 3.
	NotFenced string `json:"not_fenced,omitempty"`
	Message   string `json:"message"`
	// Code is the exit code that the order deserves: 0 or 3.
	Code int `json:"code"`
}

// ReloadView is the answer to POST /v1/rack/reload, which reads nodes.csv again. A file that is wrong is an error, and
// the rows in force stay.
type ReloadView struct {
	Added    []string `json:"added"`    // where the new rows' nodes are
	Removed  []string `json:"removed"`  // names whose rows went; they keep their address
	Replaced []string `json:"replaced"` // where the replaced nodes are
}

// Headers by which the command line tells the daemon, for the audit, who asks and with which words. The peer's uid
// comes from the socket.
const (
	CommandHeader  = "Racker-Command"   // the command line, percent-encoded
	SudoUserHeader = "Racker-Sudo-User" // SUDO_USER of the caller, percent-encoded
)

// Results of an AuditEntry that are no error.
const (
	AuditBegun = "begun" // the intent, written before the order is carried out; another entry has the result
	AuditOK    = "ok"
)

// AuditEntry is one line of the audit: GET /v1/audit. Each has the hash of the one before. An order makes two: one with
// the result AuditBegun, and one whose Of names that; where the second is missing, the daemon died in between. An order
// that is refused for who gave it, or for where it was sent, makes one. UID is what the kernel says, -1 when it does not;
// SudoUser and Command are what the client says.
type AuditEntry struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	UID      int       `json:"uid"`
	SudoUser string    `json:"sudo_user,omitempty"`
	Command  string    `json:"command,omitempty"` // the command line; empty for another client
	Order    string    `json:"order"`             // method and path
	// Plan is the SHA-256 of the request's body, lower-case hex; for a run it names the whole plan. That of an image is
	// known when it has been read, so only the result has it.
	Plan   string `json:"plan,omitempty"`
	Result string `json:"result"`       // AuditBegun, AuditOK, or the error
	Of     uint64 `json:"of,omitempty"` // Seq of the intent that this entry is the result of
	Run    string `json:"run,omitempty"`
	Prev   string `json:"prev"` // Hash of the entry before; empty for the first
	Hash   string `json:"hash"` // SHA-256 over this entry without Hash, as JSON
}

// AuditView is the answer to GET /v1/audit.
type AuditView struct {
	Entries []AuditEntry `json:"entries"` // oldest first
	// Broken says where the chain does not hold; empty when it does.
	Broken string `json:"broken,omitempty"`
}
