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
	// Served is the last run that brought the node where it wanted it.
	Served string `json:"served,omitempty"`
	// Tries counts the attempts of the run at this node, from 1.
	Tries int `json:"tries,omitempty"`
	// Unreached marks a failure that was a BMC's: refused or silent.
	Unreached bool `json:"unreached,omitempty"`
	// Refused marks one that no further attempt may follow: the BMC refused the credentials, and may lock the account.
	Refused bool `json:"refused,omitempty"`
	// Lasting marks one that another attempt would only meet again: somebody has to decide something first.
	Lasting bool `json:"lasting,omitempty"`
	// Fence is what became of the power-off of a node that was excluded: fenceDue until it was tried, "" when it is off for
	// sure, else why that is not known.
	Fence string `json:"fence,omitempty"`
	// Awaited marks a node that an apply rebooted and that is not known to be back: an address that it asks for is not enough.
	Awaited bool `json:"awaited,omitempty"`
	// Adopted marks a node that was taken in as it ran; racker did not install it.
	Adopted bool `json:"adopted,omitempty"`
	// Job is the armed order; nil when the node has none and boots from its disk.
	Job *Job `json:"job,omitempty"`
	// Done is the last job that ended well: the report of its last step may come again, when the reply was lost.
	Done string `json:"done,omitempty"`
	// Session is the agent that is on the node now, if any. It outlives a job that failed, so that the agent stays
	// reachable for orders.
	Session *Session `json:"session,omitempty"`
	// Install is the last install that ended well, or the one under way from its first write on.
	Install *Install `json:"install,omitempty"`

	// WantedOS is the version of the OS that the node is to run; empty when nobody said. OSVersion is the one that it runs, as
	// far as racker brought it there; empty for that of the install.
	WantedOS  string `json:"wanted_os,omitempty"`
	OSVersion string `json:"os_version,omitempty"`

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
	Next  int   `json:"next"`
	Token Token `json:"token"`
	// Disk is the install disk, once it may be erased; Row is the api.DiskResult.Digest of what was shown last.
	Disk    *api.Disk `json:"disk,omitempty"`
	Row     string    `json:"row,omitempty"`
	Others  []string  `json:"others,omitempty"`
	SSHKeys []string  `json:"ssh_keys,omitempty"`
	// Shown is what the agent would erase, while that waits to be confirmed, or for an image stream.
	Shown *api.DiskResult `json:"shown,omitempty"`
	// ShownAt is when it was shown first, or last changed.
	ShownAt time.Time      `json:"shown_at,omitzero"`
	Began   bool           `json:"began,omitempty"` // the write began
	Plain   bool           `json:"plain,omitempty"` // the image took no Ignition
	Steps   []api.StepKind `json:"steps"`
	// Config is the digest of the node's declared config; empty without one. It goes over to the Install.
	Config string `json:"config,omitempty"`
	// Names tells which names of other nodes its Ignition config has.
	Names string `json:"names,omitempty"`
	// Callback is the secret of the ready and fail signals of this install.
	Callback string `json:"callback,omitempty"`
	// RackKey is the fingerprint of racker's SSH key in the Ignition config that was given out; empty before that.
	RackKey string `json:"rack_key,omitempty"`
	// Hold keeps the node in the microkernel: the agent gets no step.
	Hold bool `json:"hold,omitempty"`
	// Spec is the digest of what was ordered; it goes over to the Install.
	Spec string `json:"spec,omitempty"`
}

// fenceDue is the Fence of a node whose power-off is still to be tried.
const fenceDue = "its power-off was not tried yet"

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
	// Spec is the digest of what was ordered.
	Spec string `json:"spec,omitempty"`
	// RackKey is the fingerprint of racker's SSH key on the node, which then has its own host key, too; empty without one.
	RackKey string `json:"rack_key,omitempty"`
	// Config is the digest of the declared config that is on the node, by the install or by a later apply; empty without one.
	Config string `json:"config,omitempty"`
	// Names tells which names of other nodes the node knows.
	Names string `json:"names,omitempty"`
	// ConfigAt is when a later apply put it there; zero when the install did.
	ConfigAt time.Time `json:"config_at,omitzero"`
	// Attempts are digests of configs that an apply began to put there, and did not finish. Never changed in place.
	Attempts []string `json:"attempts,omitempty"`
	// Unproved is set while the health command did not succeed that was ordered with the last apply.
	Unproved bool `json:"unproved,omitempty"`
	// Renew is set while a new root file system is ordered and did not call back yet. Never changed in place.
	Renew *renewal `json:"renew,omitempty"`
}

// clone copies the record so deep that a writer can change the copy; identity, hardware and callback are replaced, never
// changed.
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

// up reports whether there is a system on the node that came up before.
func (r *Record) up() bool {
	if r.Adopted || r.Install == nil {
		return r.Adopted
	}
	return r.Install.Complete && (r.Install.Plain || r.Callback != nil)
}

// served notes that the node's run did what it was for.
func served(r *Record) error {
	r.Served = r.Run
	return nil
}

// rest is the state of a node that no run is at work on.
func (r *Record) rest() State {
	if r.up() {
		return Ready
	}
	return Known
}

// held reports whether the node waits in the microkernel as its run was told.
func (r *Record) held() bool { return r.State == Agent && r.Job != nil && r.Job.Hold }

// streaming reports whether the node reads, or is about to read, an image.
func (r *Record) streaming() bool {
	return r.State == Installing && r.Job != nil && r.Job.Kind == api.JobInstall
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
