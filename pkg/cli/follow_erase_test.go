package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// erases is a daemon with one run that waits for the disks of some servers.
func erases(rows ...api.EraseRow) *asker { return &asker{view: waitsForDisks(rows...)} }

func TestFollowShowsDisks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lines []string
		want  []string // answers
		shown []string
	}{
		"yes": {lines: []string{"yes"}, want: []string{"erase"},
			shown: []string{"These disks of 2 servers will be ERASED:", "/dev/vda", "D1", "one of 2 alike; gpt; OS: Flatcar"}},
		"exclude, then yes": {lines: []string{"exclude node-2", "yes"}, want: []string{"erase 02"},
			shown: []string{"This disk of 1 server will be ERASED:"}},
		"exclude by MAC": {lines: []string{"e 52-54-00-00-00-01, node-2", "yes"}, want: []string{"erase 01 02"}, shown: []string{"No server would be left"}},
		"cancel":         {lines: []string{"cancel"}, want: []string{"cancelled"}},
		"nonsense first": {lines: []string{"y", "", "exclude node-9", "YES please", "yes"}, want: []string{"erase"},
			shown: []string{`"y" is no answer`, `"node-9" is in no row`, `"YES please" is no answer`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := erases(testRow(1, 1), testRow(2, 2))
			f, s := terminalFollower(t, a, slices.Repeat([]string{erasePrompt}, len(tt.lines)), tt.lines)
			if _, err := f.follow(t.Context(), a.first()); err != nil {
				t.Fatalf("%v\n%s", err, s)
			}
			if d := cmp.Diff(tt.want, a.answers); d != "" {
				t.Errorf("answers (-want +got):\n%s\n%s", d, s)
			}
			for _, want := range tt.shown {
				if !strings.Contains(strings.Join(strings.Fields(s.String()), " "), want) {
					t.Errorf("%q is not shown:\n%s", want, s)
				}
			}
		})
	}
}

// TestFollowDisksWithoutATerminal has nobody to ask: what the order or a digest does not allow ends with code 4.
func TestFollowDisksWithoutATerminal(t *testing.T) {
	t.Parallel()
	rows := []api.EraseRow{testRow(1, 1), testRow(2, 2)}
	digest := api.EraseDigest(rows)
	tests := map[string]struct {
		erase, given string
		code         int
		text         string
		want         []string
		wipes        bool // of one row, whose rule is exact
	}{
		"asked":         {code: codeNotConfirmed, text: "node-1 (U1, serial S1), node-2 (U2, serial S2)"},
		"not exact":     {erase: api.EraseExact, code: codeNotConfirmed, text: "more than one disk alike: node-2 (U2, serial S2);"},
		"others wiped":  {erase: api.EraseExact, wipes: true, code: codeNotConfirmed, text: "other disks would lose their signatures, which --yes alone does not allow: node-1"},
		"digest":        {given: digest, want: []string{"erase"}},
		"its beginning": {erase: api.EraseExact, given: digest[:shownDigest], want: []string{"erase"}},
		"other digest":  {given: strings.Repeat("0", shownDigest), code: codeNotConfirmed, text: "not those of the table 0000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := erases(rows...)
			if tt.wipes {
				row := testRow(1, 1)
				row.Wipes = []api.Disk{{Path: "/dev/vdb"}}
				a = erases(row)
			}
			a.view.Request.Erase = tt.erase
			streams, _, _, _ := stdio.Test()
			f := testFollower(streams, a)
			f.erase.given = tt.given
			_, err := f.follow(t.Context(), a.first())
			if givenCode(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v, code %d", err, givenCode(err))
			}
			if tt.code == codeNotConfirmed && !strings.Contains(hints(err)[0], "--erase "+a.view.Erase.Digest[:shownDigest]) {
				t.Errorf("hints %q", hints(err))
			}
			if d := cmp.Diff(tt.want, a.answers); d != "" {
				t.Errorf("answers (-want +got):\n%s", d)
			}
		})
	}
}

// TestFollowExactDisks leaves a table that the daemon confirms by itself to it.
func TestFollowExactDisks(t *testing.T) {
	t.Parallel()
	a := erases(testRow(1, 1))
	a.view.Request.Erase = api.EraseExact
	looks := 0
	a.looked = func(a *asker) {
		if looks++; looks == 3 {
			a.view.Erase = nil
		}
	}
	streams, _, _, _ := stdio.Test()
	if _, err := testFollower(streams, a).follow(t.Context(), a.first()); err != nil || len(a.answers) != 0 {
		t.Errorf("%v, answers %q", err, a.answers)
	}
}

// TestFollowOtherDisks has a disk that changes between the question and the answer: what is typed right after that is not
// taken for the new one.
func TestFollowOtherDisks(t *testing.T) {
	t.Parallel()
	a := erases(testRow(1, 1))
	a.erase = func(a *asker) { a.view, a.erase = waitsForDisks(testRow(2, 1)), nil }
	prompts, lines := slices.Repeat([]string{erasePrompt}, 3), []string{"yes", "yes", "yes"}
	f, s := terminalFollower(t, a, prompts, lines)
	at := testTime()
	f.now = func() time.Time {
		if strings.Contains(s.String(), "look again") {
			at = at.Add(eraseLook)
		}
		return at
	}
	if _, err := f.follow(t.Context(), a.first()); err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	if d := cmp.Diff([]string{"erase"}, a.answers); d != "" || !strings.Contains(s.String(), "Not taken: other disks") {
		t.Errorf("answers (-want +got):\n%s\n%s", d, s)
	}
}

func TestGroupOfRunsConfirmsEachTable(t *testing.T) {
	t.Parallel()
	one, two := waitsForDisks(testRow(1, 1)), waitsForDisks(testRow(2, 1))
	two.ID = "run-2"
	d := &fewRuns{views: map[string]api.RunView{"run-1": one, "run-2": two}}
	keeper, v := groupRuns(d, []api.RunView{one, two})
	if v.Erase == nil || len(v.Erase.Rows) != 2 {
		t.Fatalf("%+v", v.Erase)
	}
	if _, err := keeper.ConfirmErase(t.Context(), v.ID, api.EraseAnswer{Digest: one.Erase.Digest}); givenCode(err) != codeLocked && err == nil {
		t.Errorf("the digest of one of two tables: %v", err)
	}
	if _, err := keeper.ConfirmErase(t.Context(), v.ID, api.EraseAnswer{Digest: v.Erase.Digest, Exclude: []string{testRow(2, 1).Node}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"erase run-1 ", "erase run-2 52:54:00:00:00:02"}, d.calls); diff != "" {
		t.Error(diff)
	}
}

// TestDisksFitATerminal has rows as real servers make them.
func TestDisksFitATerminal(t *testing.T) {
	t.Parallel()
	row := testRow(1, 2)
	row.Where = "node-17 (R2 U31, serial CZ3045ABCD)"
	row.Disk = api.Disk{Path: "/dev/nvme0n1", Size: 1920383410176, Model: "SAMSUNG MZQL21T9HCJR-00A07", Serial: "S64GNE0R602345", OS: "Flatcar",
		Contents: []string{"gpt", "vfat EFI-SYSTEM", "partition BIOS-BOOT", "btrfs USR-A", "btrfs OEM", "ext4 ROOT", "OS: Flatcar"}}
	row.Wipes = []api.Disk{{Path: "/dev/sdb", Size: 4000787030016, Model: "WDC WD4003FRYZ-01F0DB0", Serial: "V1GNE0R6", Contents: []string{"gpt", "OS: Windows"}, OS: "Windows"}}
	streams, _, _, _ := stdio.Test()
	streams.ErrTTY = true
	if err := streams.SetColor(stdio.ColorNever); err != nil {
		t.Fatal(err)
	}
	text := eraseText(streams, &api.EraseView{Rows: []api.EraseRow{row}})
	fits(t, text)
	flat := strings.Join(strings.Fields(text), " ")
	for _, want := range []string{"This disk of 1 server", "node-17 ", "/dev/nvme0n1", "S64GNE0R602345", "one of 2 alike; Flatcar;", "signatures only; Windows; gpt"} {
		if !strings.Contains(flat, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
}
