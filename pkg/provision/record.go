package provision

import (
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// Record is what is known of a node and kept in the store; the boot answer is a pure function of it.
type Record struct {
	MAC    rack.MAC  `json:"mac"`
	State  State     `json:"state"`
	Since  time.Time `json:"since"`
	Step   string    `json:"step,omitempty"`   // the state in which it failed
	Reason string    `json:"reason,omitempty"` // one sentence
	Run    string    `json:"run,omitempty"`
	// Tries counts the attempts of the run at this node, from 1.
	Tries int `json:"tries,omitempty"`
	// Unreached marks a failure that was a BMC's: refused or silent.
	Unreached bool `json:"unreached,omitempty"`
	// Refused marks one that no further attempt may follow: the BMC refused the credentials, and may lock the account.
	Refused bool `json:"refused,omitempty"`
	// Job is the armed order; nil when the node has none and boots from its disk.
	Job *Job `json:"job,omitempty"`
	// Session is the agent that is on the node now, if any. It outlives a job that failed, so that the agent stays
	// reachable for orders.
	Session *Session `json:"session,omitempty"`
	// Install is the last install that ended well, or the one under way from its first write on.
	Install *Install `json:"install,omitempty"`

	Identity *api.Identity `json:"identity,omitempty"`
	Hardware *api.Hardware `json:"hardware,omitempty"`
	Clock    string        `json:"clock,omitempty"`
	Callback *api.Callback `json:"callback,omitempty"`
}

// Job is one order for one node.
type Job struct {
	ID   string      `json:"id"`
	Kind api.JobKind `json:"kind"`
	// Image is the ID of the image to install.
	Image string `json:"image"`
	// Next is the index of the first step that was not acknowledged.
	Next    int            `json:"next"`
	Token   Token          `json:"token"`
	Disk    *api.Disk      `json:"disk,omitempty"`
	Others  []string       `json:"others,omitempty"`
	SSHKeys []string       `json:"ssh_keys,omitempty"`
	Began   bool           `json:"began,omitempty"` // the write began
	Plain   bool           `json:"plain,omitempty"` // the image took no Ignition
	Steps   []api.StepKind `json:"steps"`
	// Callback is the secret of the ready and fail signals of this install.
	Callback string `json:"callback,omitempty"`
}

// Token is the boot token of a network boot. A new DHCP boot makes a new one; the one that was given before stays good until
// the new one is given, since a DHCP packet that came twice is not a boot.
type Token struct {
	Next  string `json:"next,omitempty"`  // made, and not given yet
	Given string `json:"given,omitempty"` // handed out by /ipxe, and not redeemed yet
}

// Session binds a redeemed token to the key of the agent that redeemed it.
type Session struct {
	Key   string `json:"key"` // hex SHA-256 of the public key
	Token string `json:"token"`
}

// Install is what is on a node's disk by racker's hand.
type Install struct {
	Image string `json:"image"`
	// Disk is the WWN or serial of the install disk, else its by-path name.
	Disk     string    `json:"disk"`
	ESP      string    `json:"esp,omitempty"` // partition GUID of its EFI system partition, lower case
	Complete bool      `json:"complete"`
	At       time.Time `json:"at"`
	// Plain marks an image that took no Ignition: it is ready at booted.
	Plain    bool     `json:"plain,omitempty"`
	Callback string   `json:"callback,omitempty"`
	Others   []string `json:"others,omitempty"` // operating systems on other disks
	// Job is the job that made, or makes, it: the report of its last step may come again, when the reply was lost.
	Job string `json:"job,omitempty"`
}

// clone copies the record so deep that a change of the copy never shows in the original's maps and pointers that this
// package changes in place.
func (r *Record) clone() *Record {
	c := *r
	if r.Job != nil {
		j := *r.Job
		c.Job = &j
	}
	if r.Session != nil {
		s := *r.Session
		c.Session = &s
	}
	if r.Install != nil {
		i := *r.Install
		c.Install = &i
	}
	return &c
}

// disarm takes the order back, so that the node boots from its disk, unless that is half written.
func (r *Record) disarm() {
	if r.Job != nil && !r.Job.Began {
		r.Job = nil
	}
}

// up reports whether the node's last install came up.
func (r *Record) up() bool {
	return r.Install != nil && r.Install.Complete && (r.Install.Plain || r.Callback != nil)
}

// diskName is how a disk is remembered: by what moves with it, else by where it sits.
func diskName(d *api.Disk) string {
	switch {
	case d.WWN != "":
		return d.WWN
	case d.Serial != "":
		return d.Serial
	}
	return d.ByPath
}

// uefi reports whether the node is known, or must be taken, to boot by UEFI.
func (r *Record) uefi() bool { return r.Identity == nil || r.Identity.Firmware != "bios" }
