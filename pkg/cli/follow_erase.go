package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// erasing is what a follower knows of the table of disks that its run waits to erase.
type erasing struct {
	// given is the digest, or its beginning, that --erase confirms; empty asks on the terminal.
	given   string
	told    string    // digest of the table that was shown last
	changed time.Time // when it took the place of another
	settled string    // digest that was confirmed from here
	out     []string  // primary MACs of servers that are left out
}

// tellErase shows the disks that wait to be confirmed, and asks.
func (f *follower) tellErase() {
	t := f.disksAsked()
	if t == nil || f.leaving || len(f.ask.open) > 0 {
		return
	}
	fresh := t.Digest != f.erase.told
	if fresh {
		if f.erase.told != "" {
			f.erase.changed = f.now()
		}
		f.erase.told, f.erase.out = t.Digest, nil
		f.line.tell(eraseText(f.io, t))
	}
	switch {
	case f.erase.given != "" && strings.HasPrefix(t.Digest, f.erase.given):
		f.confirm(t)
	case f.canAsk():
		f.prompt(erasePrompt)
	}
}

// disksAsked is the table that waits for an answer from here; nil when there is none.
func (f *follower) disksAsked() *api.EraseView {
	t := f.view.Erase
	if t == nil || !t.Open || f.view.State != runRunning || t.Digest == f.erase.settled {
		return nil
	}
	if f.view.Request.Erase == api.EraseExact && len(t.Inexact()) == 0 {
		return nil // the daemon is about to confirm it
	}
	return t
}

const erasePrompt = "Type yes to ERASE them, exclude NAMES to leave servers out, or cancel: "

// eraseAnswered takes what was typed at the prompt of the disks.
func (f *follower) eraseAnswered(line string) {
	t, words := f.disksAsked(), strings.Fields(line)
	if t == nil || len(words) == 0 {
		f.show()
		return
	}
	switch word := strings.ToLower(words[0]); {
	case f.now().Sub(f.erase.changed) < eraseLook:
		f.line.tell("The table has just changed: look again.")
	case word == "yes" && len(words) == 1:
		f.confirm(t)
	case (word == "c" || word == "cancel") && len(words) == 1:
		f.cancelRun()
	case (word == "e" || word == "exclude") && len(words) > 1:
		f.leaveOut(t, words[1:])
	default:
		f.line.tell(fmt.Sprintf("%q is no answer", strings.TrimSpace(line)))
	}
	f.show()
}

// eraseLook is how long a table that took the place of another must have been there: what is typed before is an answer to
// the other.
const eraseLook = 2 * time.Second

// leaveOut notes servers to be excluded with the answer, and shows what is left.
func (f *follower) leaveOut(t *api.EraseView, words []string) {
	var out []string
	for _, w := range words {
		w = strings.Trim(w, ",")
		i := slices.IndexFunc(t.Rows, func(r api.EraseRow) bool {
			return f.means(&api.Question{Node: r.Node, Where: r.Where}, w)
		})
		if i < 0 {
			f.line.tell(fmt.Sprintf("%q is in no row of the table", w))
			return
		}
		out = append(out, t.Rows[i].Node)
	}
	f.erase.out = append(f.erase.out, out...)
	left := *t
	left.Rows = slices.DeleteFunc(slices.Clone(t.Rows), func(r api.EraseRow) bool { return slices.Contains(f.erase.out, r.Node) })
	if len(left.Rows) == 0 {
		f.line.tell("No server would be left: yes then excludes all of them, cancel ends the run.")
		return
	}
	f.line.tell(eraseText(f.io, &left))
}

// confirm sends the confirmation of a table.
func (f *follower) confirm(t *api.EraseView) {
	id, a := f.view.ID, api.EraseAnswer{Digest: t.Digest, Exclude: f.erase.out}
	f.erase.settled = t.Digest
	f.line.ask("")
	f.do(func(ctx context.Context) func() error {
		next, err := f.runs.ConfirmErase(ctx, id, a)
		return func() error {
			var refused *api.Error
			switch {
			case err == nil:
				f.replace(next)
			case errors.As(err, &refused) && refused.Code == codeLocked:
				f.line.tell(foldedErr(f.io, "Not taken: "+err.Error(), 0))
			default:
				f.erase.settled = "" // asked again
				f.line.tell(foldedErr(f.io, "The answer did not arrive: "+err.Error(), 0))
			}
			return nil
		}
	})
}

// nobody is the end of following where disks wait to be confirmed and there is nobody to ask.
func (f *follower) nobody() error {
	t := f.disksAsked()
	if t == nil || f.canAsk() && f.erase.given == "" {
		return nil
	}
	rows := make([]string, 0, len(t.Rows))
	for i := range t.Rows {
		rows = append(rows, t.Rows[i].Where)
	}
	why := "the disks of these servers wait to be confirmed, and there is no terminal to ask on"
	switch inexact := t.Inexact(); {
	case f.erase.given != "":
		why = fmt.Sprintf("the disks are not those of the table %s", f.erase.given)
	case f.view.Request.Erase == api.EraseExact && len(inexact) > 0:
		why, rows = inexactText(t), inexact
	}
	err := fmt.Errorf("%s: %s; nothing was erased there, and the servers stay in the microkernel", why, strings.Join(rows, ", "))
	return withHint(withCode(codeNotConfirmed, err),
		fmt.Sprintf("racker run wait %s on a terminal, or with --erase %s", runWord(f.view.ID), t.Digest[:min(len(t.Digest), shownDigest)]))
}

// inexactText says why --yes alone does not confirm a table.
func inexactText(t *api.EraseView) string {
	var why []string
	if slices.ContainsFunc(t.Rows, func(r api.EraseRow) bool { return r.Matched != 1 }) {
		why = append(why, "the rule for the install disk fits more than one disk alike")
	}
	if slices.ContainsFunc(t.Rows, func(r api.EraseRow) bool { return len(r.Wipes) > 0 }) {
		why = append(why, "other disks would lose their signatures, which --yes alone does not allow")
	}
	return strings.Join(why, ", or ")
}

// shownDigest is how much of a digest is shown and must be given.
const shownDigest = 16

// eraseText is the table of disks. On a terminal each row is one line of it, which says of the contents what fits, the most
// telling first; a pipe, and racker run show --json, have all.
func eraseText(io *stdio.Streams, t *api.EraseView) string {
	var b strings.Builder
	servers, disks := fmt.Sprintf("%d servers", len(t.Rows)), "These disks"
	if len(t.Rows) == 1 {
		servers, disks = "1 server", "This disk"
	}
	sub := *io
	sub.Out, sub.OutTTY = &b, io.ErrTTY
	table := sub.Table("server", "disk", "size", "model", "serial", "holds").Spare(3)
	for i := range t.Rows {
		r := &t.Rows[i]
		where := r.Where
		if io.ErrTTY {
			where = nodeName(&api.Question{Node: r.Node, Where: r.Where})
		}
		table.Row(eraseCells(where, &r.Disk, alike(r.Matched))...)
		for j := range r.Wipes {
			table.Row(eraseCells("", &r.Wipes[j], "signatures only")...)
		}
	}
	if err := table.Flush(); err != nil { // a strings.Builder takes everything
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for i := range lines {
		if io.ErrTTY {
			lines[i] = clip(lines[i], io.Width())
		}
	}
	return fmt.Sprintf("%s of %s will be %s:\n%s", disks, servers, io.PaintErr(stdio.Bad, "ERASED"), strings.Join(lines, "\n"))
}

// alike says that the rule fits other disks just as well.
func alike(matched int) string {
	if matched == 1 {
		return ""
	}
	return fmt.Sprintf("one of %d alike", matched)
}

func eraseCells(where string, d *api.Disk, note string) []string {
	return []string{
		stdio.Clean(where), d.Path, bytesText(d.Size), dash(stdio.Clean(d.Model)), dash(stdio.Clean(cmp.Or(d.Serial, d.WWN))),
		stdio.Clean(strings.Join(diskHolds(d, note), "; ")),
	}
}

// diskHolds says what is on a disk, what is worth most to somebody first: what is foreign, the system, and then the rest.
func diskHolds(d *api.Disk, note string) []string {
	out := nonEmpty(note)
	for _, f := range d.Foreign {
		out = append(out, "foreign: "+f)
	}
	if d.OS != "" {
		out = append(out, d.OS)
	}
	out = append(out, slices.DeleteFunc(slices.Clone(d.Contents), func(c string) bool { return d.OS != "" && strings.HasSuffix(c, d.OS) })...)
	if len(d.Contents) == 0 {
		out = append(out, "nothing known")
	}
	return out
}
