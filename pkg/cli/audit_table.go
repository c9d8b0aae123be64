package cli

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// auditRows joins each order with its result, in the place of the order. A result whose order is not among the entries has a
// row of its own.
func auditRows(entries []api.AuditEntry) []api.AuditEntry {
	rows := make([]api.AuditEntry, 0, len(entries))
	at := map[uint64]int{}
	for _, e := range entries {
		i, known := at[e.Of]
		if e.Of == 0 || !known {
			at[e.Seq] = len(rows)
			rows = append(rows, e)
			continue
		}
		rows[i].Result = e.Result
		if e.Run != "" {
			rows[i].Run = e.Run
		}
	}
	return rows
}

// Widths of the table's columns on a terminal; the order gets the rest.
const (
	auditWhoWidth    = 12
	auditResultWidth = 22
	auditOrderWidth  = 16 // at least
)

func (o *auditOptions) table(rows []api.AuditEntry) error {
	if !o.IO.OutTTY {
		t := o.IO.Table("seq", "time", "uid", "sudo user", "order", "run", "result", "command")
		for _, e := range rows {
			t.Row(fmt.Sprint(e.Seq), moment(o.IO, o.Now(), e.Time), fmt.Sprint(e.UID), dash(e.SudoUser), e.Order, dash(e.Run), e.Result, dash(e.Command))
		}
		return t.Flush()
	}
	names := map[int]string{}
	t := o.IO.Table("when", "who", "order", "result")
	for _, e := range rows {
		when, who, result := moment(o.IO, o.Now(), e.Time), o.who(e, names), e.Result
		if e.Run != "" && result == api.AuditOK {
			result = e.Run
		}
		who, result = short(who, auditWhoWidth), short(result, auditResultWidth)
		room := o.IO.Width() - len("59 min ago") - auditWhoWidth - auditResultWidth - 3*len("  ")
		t.Row(when, who, short(auditWords(e), max(auditOrderWidth, room)), result)
		t.Color(3, auditColor(e.Result))
	}
	return t.Flush()
}

// auditWords is what was ordered: the words of the command line, else method and path.
func auditWords(e api.AuditEntry) string {
	if e.Command != "" {
		return e.Command
	}
	return e.Order
}

func auditColor(result string) stdio.Color {
	switch result {
	case api.AuditOK:
		return stdio.Good
	case api.AuditBegun:
		return stdio.Warn
	}
	return stdio.Bad
}

// who names the person: the caller of sudo, else the user that the kernel saw.
func (o *auditOptions) who(e api.AuditEntry, names map[int]string) string {
	switch {
	case e.SudoUser != "":
		return e.SudoUser
	case e.UID < 0:
		return "unknown"
	}
	name, ok := names[e.UID]
	if !ok {
		name = "uid " + strconv.Itoa(e.UID)
		if u, err := user.LookupId(strconv.Itoa(e.UID)); err == nil {
			name = u.Username
		}
		names[e.UID] = name
	}
	return name
}

// short cuts text to at most width characters.
func short(text string, width int) string {
	text = stdio.Clean(text)
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:width-1]) + "…"
}

// sinceTime reads --since: an age, a date or a time, in local time where it names no zone. An empty word is the beginning of
// all.
func sinceTime(word string, now time.Time) (time.Time, error) {
	if word == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(word, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if age, err := time.ParseDuration(word); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, word, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, withHint(usageError("--since %q is no age and no time", word), "--since 24h, --since 7d, --since 2026-11-21 or --since 2026-11-21T08:00:00Z")
}
