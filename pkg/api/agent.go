package api

import (
	"encoding/json"
	"time"
)

// Paths of the agent API. The agent presents a self-signed client certificate that it makes at start; the SHA-256 of
// its public key is the session's key, so every request is bound to it by TLS itself.
const (
	AgentTimePath    = "/agent/v1/time"    // GET -> Time; needs no session
	AgentCheckInPath = "/agent/v1/checkin" // POST CheckIn -> Assignment; long poll
	AgentLogPath     = "/agent/v1/log"     // POST text/plain lines, appended to the node's log -> 204
	AgentJobsPath    = "/agent/v1/jobs/"   // POST ID/steps/N StepReport -> StepReply; GET ID/blobs/NAME
)

// Names of kernel arguments by which the boot script tells the agent what it must know.
const (
	ArgServer = "racker.server" // https://ADDRESS:8443
	ArgAssets = "racker.assets" // http://ADDRESS:8080/assets/
	ArgToken  = "racker.token"  // the boot token, redeemed once
	ArgPin    = "racker.pin"    // lower-case hex SHA-256 of the SubjectPublicKeyInfo of racker's CA
	ArgMAC    = "racker.mac"    // the MAC of the NIC that booted
)

// Time is the server's clock; the agent sets its own, and the RTC, from it before anything else.
type Time struct {
	Now time.Time `json:"now"`
}

// CheckIn is what the agent says first, and repeats to ask for orders.
type CheckIn struct {
	Token    string    `json:"token"`
	Version  string    `json:"version"`
	Clock    time.Time `json:"clock"` // the node's clock before it was set, for the operator to see
	Identity Identity  `json:"identity"`
	Hardware Hardware  `json:"hardware"`
}

// Identity is who the machine says it is. Empty strings mean that the machine does not tell.
type Identity struct {
	BootMAC  string   `json:"boot_mac"` // the NIC that booted
	MACs     []string `json:"macs"`
	BMCMAC   string   `json:"bmc_mac,omitempty"` // in-band, where a BMC device exists
	Serial   string   `json:"serial,omitempty"`  // SMBIOS type 1
	UUID     string   `json:"uuid,omitempty"`    // SMBIOS type 1, as dmidecode prints it
	Vendor   string   `json:"vendor,omitempty"`
	Product  string   `json:"product,omitempty"`
	Firmware string   `json:"firmware"` // "bios" or "uefi"
	Arch     string   `json:"arch"`     // Go's GOARCH
}

// Hardware is the inventory that the operator sees and the disk rule works on.
type Hardware struct {
	CPUs        int    `json:"cpus"`
	MemoryBytes int64  `json:"memory_bytes"`
	NICs        []NIC  `json:"nics"`
	Disks       []Disk `json:"disks"`
}

// NIC is one network interface.
type NIC struct {
	Name   string `json:"name"`
	MAC    string `json:"mac"`
	Driver string `json:"driver,omitempty"`
	Link   bool   `json:"link"`
}

// Disk is one block device that could be a disk.
type Disk struct {
	Name      string `json:"name"`              // vda
	Path      string `json:"path"`              // /dev/vda
	ByPath    string `json:"by_path,omitempty"` // pci-0000:00:05.0
	Model     string `json:"model,omitempty"`
	Serial    string `json:"serial,omitempty"`
	WWN       string `json:"wwn,omitempty"`
	Transport string `json:"transport"` // nvme, sata, sas, virtio, usb, mmc, iscsi, fc, ...
	Size      int64  `json:"size"`      // bytes
	// SectorSize is the logical block size in bytes, 512 or 4096; 0 when it is not known, which is taken for 512.
	SectorSize int64 `json:"sector_size,omitempty"`
	Rotational bool  `json:"rotational"`
	Removable  bool  `json:"removable,omitempty"`
	// Rejected says why the disk rule never takes it; empty for a candidate.
	Rejected string `json:"rejected,omitempty"`
	// Contents names what is on it: "gpt", "ext4 ROOT", "OS: Flatcar", ...
	Contents []string `json:"contents,omitempty"`
	// OS is the operating system that could boot from it; empty for none.
	OS string `json:"os,omitempty"`
	// Foreign names what is on it and is no part of an OS image's layout: RAID members, volumes, file systems, ...
	Foreign []string `json:"foreign,omitempty"`
}

// Assignment answers a check-in. Job is nil when there is no order: the agent asks again.
type Assignment struct {
	Node string `json:"node"` // the node's name
	Job  *Job   `json:"job,omitempty"`
}

// JobKind is what a job is for.
type JobKind string

// Kinds of jobs. A job that the agent does not know is reported as failed.
const (
	JobInstall   JobKind = "install"
	JobInventory JobKind = "inventory" // the check-in has it; the machine goes on to its disk
	JobReboot    JobKind = "reboot"
)

// StepKind names a step of a job; the agent does them in the order of Job.Steps.
type StepKind string

// Steps of an install.
const (
	StepVerify   StepKind = "verify"   // compare identity with Job.Expect
	StepDisk     StepKind = "disk"     // choose the disk
	StepWrite    StepKind = "write"    // stream the image onto it
	StepIgnition StepKind = "ignition" // config.ign on the OEM partition of that disk
	StepFirmware StepKind = "firmware" // UEFI boot order, where efivars allow
	StepReboot   StepKind = "reboot"   // acknowledged by the server before the agent reboots
)

// Job is an order with its steps. Repeating a step that was acknowledged is not asked for.
type Job struct {
	ID     string     `json:"id"`
	Kind   JobKind    `json:"kind"`
	Steps  []StepKind `json:"steps"`
	Next   int        `json:"next"` // index of the first step that is not acknowledged
	Expect Expect     `json:"expect"`
	Image  *Image     `json:"image,omitempty"`
	Disk   DiskRule   `json:"disk"`
	Erase  EraseRule  `json:"erase,omitzero"`
	// Shown is the DiskResult.Digest of what may be written, once the disk step was acknowledged.
	Shown string `json:"shown,omitempty"`
}

// EraseRule says what an install may erase beside what the operator has confirmed disk by disk. The zero value allows
// least: an install disk that holds nothing of somebody else's, and no older system on another disk.
type EraseRule struct {
	Wipe string `json:"wipe,omitempty"` // one of the Wipe words; empty means WipeInstallDisk
	// WipeOldOS lets the signatures of other disks that hold an older system be erased; without it such a disk stops the job.
	WipeOldOS bool `json:"wipe_old_os,omitempty"`
	// WipeForeign lets an install disk with foreign signatures be erased (Disk.Foreign).
	WipeForeign bool `json:"wipe_foreign,omitempty"`
	// Own is the WWN, serial or by-path name of the disk that racker installed before: its partitions are no foreign ones.
	Own string `json:"own,omitempty"`
}

// Expect is the node's row, which the agent compares before the first write. Empty fields are not compared;
// BMCMAC and Serial are compared only where the machine tells its own.
type Expect struct {
	Where      string `json:"where"` // "node-7 (U17, serial ABC)"
	PrimaryMAC string `json:"primary_mac"`
	BMCMAC     string `json:"bmc_mac,omitempty"`
	Serial     string `json:"serial,omitempty"`
}

// Image says what to write. The manifest comes as blob "manifest" over TLS and carries every digest; the data
// comes from Data, below ArgAssets, by plain HTTP with ranges.
type Image struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Data    string `json:"data"` // path below the assets URL, such as images/ID/data.zst
	RawSize int64  `json:"raw_size"`
	// OEMLabel names the partition, or else the file system, that takes the config and the kernel arguments; empty where the
	// image has none.
	OEMLabel string `json:"oem_label,omitempty"`
	// KernelFile is the file for kernel arguments there, such as grub.cfg; empty where the image has no place for them.
	KernelFile string `json:"kernel_file,omitempty"`
}

// Names of the blobs of an install job.
const (
	BlobManifest = "manifest"
	BlobIgnition = "ignition"
	BlobKernel   = "kernel" // text of Image.KernelFile; empty when there is nothing to say
)

// DiskRule picks the install disk. Name, from nodes.csv, is a WWN, a serial or a by-path name and stands alone. Else the
// disk must have all that is set of Model to Rotational; of several such disks the smallest is taken, ties by path.
//
// Remembered, a WWN, serial or by-path name, is the disk that was used before. It wins while it has what is asked for; with
// nothing asked for, it must be there.
type DiskRule struct {
	Name       string `json:"name,omitempty"`
	Remembered string `json:"remembered,omitempty"`
	// MinSize is what the disk must hold at least, in bytes: the image, and more where the operator says so.
	MinSize int64 `json:"min_size,omitempty"`
	// MaxSize bounds it; 0 for no bound.
	MaxSize int64 `json:"max_size,omitempty"`
	// Model is the whole model name, in any case; * stands for any characters.
	Model      string `json:"model,omitempty"`
	Serial     string `json:"serial,omitempty"`  // in any case
	WWN        string `json:"wwn,omitempty"`     // with or without 0x, naa., eui. or wwn-
	ByPath     string `json:"by_path,omitempty"` // a name below /dev/disk/by-path
	Rotational *bool  `json:"rotational,omitempty"`
	// SectorSize is that of the image's partition table, in bytes; 0 means 512. A disk with other sectors is never taken.
	SectorSize int64 `json:"sector_size,omitempty"`
}

// StepState is where a step stands.
type StepState string

// States of a step. A failed step ends the job.
const (
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
)

// StepReport is what the agent posts for a step: progress at most once a second, then done or failed. It may be
// repeated; the server answers the same.
type StepReport struct {
	State    StepState       `json:"state"`
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"` // VerifyResult, DiskResult, WriteResult, ... by step
	Reason   string          `json:"reason,omitempty"` // of a failure, one sentence
	ExitCode int             `json:"exit_code,omitempty"`
	Stdout   string          `json:"stdout,omitempty"`
	Stderr   string          `json:"stderr,omitempty"`
	LogTail  string          `json:"log_tail,omitempty"`
	// Lasting marks a failure that another attempt would only meet again: somebody has to decide something first.
	Lasting bool `json:"lasting,omitempty"`
}

// Progress of a write, in bytes of the raw image that were written or zeroed.
type Progress struct {
	Done           int64 `json:"done"`
	Total          int64 `json:"total"`
	BytesPerSecond int64 `json:"bytes_per_second"`
}

// DiskResult is the result of StepDisk.
type DiskResult struct {
	Disk Disk `json:"disk"`
	// Matched is how many disks the rule cannot tell apart: 1 when it names exactly this one.
	Matched int `json:"matched,omitempty"`
	// Wipes are the other disks whose signatures are erased, too.
	Wipes []Disk `json:"wipes,omitempty"`
	// Others names operating systems found on other disks.
	Others []string `json:"others,omitempty"`
}

// WriteResult is the result of StepWrite.
type WriteResult struct {
	Bytes int64 `json:"bytes"`
	// ESP is the partition GUID of the EFI system partition on the written disk, lower case; empty when there is none.
	ESP string `json:"esp,omitempty"`
}

// StepReply acknowledges a report.
type StepReply struct {
	// Stop tells the agent to leave the job: it was cancelled, or the step is refused. The agent checks in again.
	Stop bool `json:"stop,omitempty"`
	// Again tells it that the job is not over: the server gives it again when the agent may go on.
	Again  bool   `json:"again,omitempty"`
	Reason string `json:"reason,omitempty"`
}
