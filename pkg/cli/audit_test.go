package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

// oneView gives the same answer always.
type oneView api.AuditView

func (v oneView) Audit(context.Context) (api.AuditView, error) { return api.AuditView(v), nil }

func auditEntries() []api.AuditEntry {
	at := func(seq uint64, ago time.Duration, e api.AuditEntry) api.AuditEntry {
		e.Seq, e.Time = seq, testTime().Add(-ago)
		return e
	}
	return []api.AuditEntry{
		at(41, 72*time.Hour, api.AuditEntry{UID: 0, Order: "POST /v1/runs", Result: api.AuditOK, Of: 40, Run: "run-abc12345"}),
		at(42, 59*time.Minute, api.AuditEntry{UID: 0, SudoUser: "a-very-long-user-name", Order: "POST /v1/runs",
			Command: "racker bootstrap --image flatcar_production_image.bin.bz2 --exclude '52:54:00:00:00:01 52:54:00:00:00:02'", Result: api.AuditBegun}),
		at(43, 58*time.Minute, api.AuditEntry{Of: 42, Run: "run-def67890", Result: api.AuditOK, Order: "POST /v1/runs"}),
		at(44, time.Minute, api.AuditEntry{UID: -1, Order: "POST /v1/nodes/n\x1b[31m1/exclude", Result: "a node is called \"n1\" by nobody,\nand nothing was done"}),
		at(45, time.Second, api.AuditEntry{UID: 3_999_999, Order: "POST /v1/rack/reload", Result: api.AuditBegun}),
	}
}

func TestAuditOnATerminal(t *testing.T) {
	t.Parallel()
	io, out, errOut := terminal(t)
	o := auditOptions{IO: io, Now: testTime, Source: func() (auditSource, error) { return oneView{Entries: auditEntries()}, nil }}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	fits(t, out.String())
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.TrimRight(line, " \n"))
	}
	want := []string{
		"WHEN        WHO           ORDER                           RESULT",
		"3 days ago  root          POST /v1/runs                   run-abc12345",
		"59 min ago  a-very-long…  racker bootstrap --image flat…  run-def67890",
		"1 min ago   unknown       POST /v1/nodes/n [31m1/exclude  a node is called \"n1\"…",
		"1 s ago     uid 3999999   POST /v1/rack/reload            begun",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if want := "The entries before number 41 are in the files audit.jsonl.* of the state directory.\n"; errOut.String() != want {
		t.Errorf("stderr %q, want %q", errOut, want)
	}
}

func TestAuditNothing(t *testing.T) {
	t.Parallel()
	for since, want := range map[string]string{"": "There was no order yet.\n", "1s": "There was no order yet since then.\n"} {
		io, out, errOut := terminal(t)
		view := oneView{}
		if since != "" {
			view.Entries = auditEntries()[:3]
		}
		o := auditOptions{IO: io, Now: testTime, Since: since, Source: func() (auditSource, error) { return view, nil }}
		if err := o.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out.String() != "" || errOut.String() != want {
			t.Errorf("stdout %q, stderr %q", out, errOut)
		}
	}
}

func TestSinceTime(t *testing.T) {
	t.Parallel()
	now := testTime()
	for word, want := range map[string]time.Time{
		"": {}, "90m": now.Add(-90 * time.Minute), "0s": now, "7d": now.AddDate(0, 0, -7),
		"2026-11-20":           time.Date(2026, 11, 20, 0, 0, 0, 0, time.Local),
		"2026-11-20 10:30":     time.Date(2026, 11, 20, 10, 30, 0, 0, time.Local),
		"2026-11-20T10:30:05":  time.Date(2026, 11, 20, 10, 30, 5, 0, time.Local),
		"2026-11-20T10:30:05Z": time.Date(2026, 11, 20, 10, 30, 5, 0, time.UTC),
	} {
		if got, err := sinceTime(word, now); err != nil || !got.Equal(want) {
			t.Errorf("%q gave %v and %v, want %v", word, got, err, want)
		}
	}
	for _, word := range []string{"-1h", "-7d", "d", "99999999d", "yesterday", "2026-13-01", "10:30", " "} {
		if got, err := sinceTime(word, now); givenCode(err) != codeUsage {
			t.Errorf("%q gave %v and %v", word, got, err)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abc…", "äöüß": "äöüß", "äöüßé": "äöü…", "a\tb": "a b"} {
		if got := short(text, 4); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// A result that is not next to its order still finds it.
func TestAuditRows(t *testing.T) {
	t.Parallel()
	rows := auditRows([]api.AuditEntry{
		{Seq: 1, Order: "a", Result: api.AuditBegun}, {Seq: 2, Order: "b", Result: api.AuditBegun},
		{Seq: 3, Of: 2, Order: "b", Result: "broken"}, {Seq: 4, Order: "c", Result: "refused"}, {Seq: 5, Of: 1, Order: "a", Result: api.AuditOK, Run: "r"},
	})
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r.Seq, r.Order, " ", r.Result, " ", r.Run))
	}
	if d := cmp.Diff([]string{"1a ok r", "2b broken ", "4c refused "}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
