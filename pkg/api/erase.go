package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Words of RunRequest.Erase: who allows the disks of a run to be erased, once its nodes have shown them.
const (
	EraseAsk = "" // somebody confirms the table of them
	// EraseExact needs nobody while the rule of each node names exactly one disk, and no other disk of it is wiped; else it asks.
	EraseExact = "exact"
)

// EraseRow is one node of a run with the disks that are erased.
type EraseRow struct {
	Node  string `json:"node"`  // primary MAC
	Where string `json:"where"` // name and place
	Disk  Disk   `json:"disk"`  // is written
	// Wipes are the other disks whose signatures are erased.
	Wipes []Disk `json:"wipes,omitempty"`
	// Matched is how many disks the rule cannot tell apart: 1 when it names exactly this one.
	Matched int `json:"matched"`
	// Digest is that of the disks and of what is on them, lower-case hex.
	Digest string `json:"digest"`
	// Refused says, in a plan, why the node would not be installed; Disk may then be empty.
	Refused string `json:"refused,omitempty"`
}

// ErasePlan asks what a run would erase, as far as the hardware of its nodes is known: POST /v1/plan -> EraseView. Nothing
// is changed.
type ErasePlan struct {
	Run RunRequest `json:"run"`
	// Declared are, by primary MAC, configs that were not sent yet; of each only what is about disks counts.
	Declared map[string]NodeConfig `json:"declared,omitempty"`
}

// EraseView is the table of disks that wait to be confirmed before they are erased: part of a RunView, and the answer to an
// ErasePlan.
type EraseView struct {
	// Open tells that an EraseAnswer is waited for: every node that is on its way for the first time is here, or failed, or
	// takes much longer than those that are.
	Open bool `json:"open"`
	// Digest is that of all rows, lower-case hex.
	Digest string     `json:"digest"`
	Rows   []EraseRow `json:"rows"`
	// Waiting names the nodes that are not there yet; in a plan those whose disks are not known.
	Waiting []string `json:"waiting,omitempty"`
}

// Inexact names the nodes of which somebody has to look at the disks: the rule does not name exactly one, or others lose their
// signatures, too.
func (v *EraseView) Inexact() []string {
	var out []string
	for i := range v.Rows {
		if v.Rows[i].Matched != 1 || len(v.Rows[i].Wipes) > 0 {
			out = append(out, v.Rows[i].Where)
		}
	}
	return out
}

// EraseAnswer confirms that the disks of a table are erased: POST /v1/runs/ID/erase -> RunView. The first answer counts. A
// table that is another by now is an error of code 5, and nothing is erased.
type EraseAnswer struct {
	Digest string `json:"digest"` // EraseView.Digest
	// Exclude names nodes of the table that are powered off and left out, by any of their names.
	Exclude []string `json:"exclude,omitempty"`
}

// DiskID names a disk by what stays with it: its WWN or serial, else where it sits, else its path.
func DiskID(d *Disk) string {
	for _, id := range []string{d.WWN, d.Serial, d.ByPath} {
		if id != "" {
			return id
		}
	}
	return d.Path
}

// Digest is that of the disks and of what is on them. The order in which the kernel found them, and thus their path, does
// not count.
func (r *DiskResult) Digest() string {
	sum := sha256.New()
	put := func(role string, d *Disk) {
		b, _ := json.Marshal([]any{role, DiskID(d), d.Model, d.Size, d.Contents, d.Foreign}) // such values always have a JSON form
		_, _ = sum.Write(append(b, '\n'))                                                    // a hash never fails
	}
	put("write", &r.Disk)
	wipes := slices.Clone(r.Wipes)
	slices.SortFunc(wipes, func(a, b Disk) int { return strings.Compare(DiskID(&a), DiskID(&b)) })
	for i := range wipes {
		put("wipe", &wipes[i])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// EraseDigest is that of the rows of a table, in any order.
func EraseDigest(rows []EraseRow) string {
	lines := make([]string, 0, len(rows))
	for i := range rows {
		lines = append(lines, rows[i].Node+" "+rows[i].Digest+"\n")
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}
