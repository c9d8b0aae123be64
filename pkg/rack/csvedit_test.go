package rack

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func server(t testing.TB) *Node {
	t.Helper()
	return &Node{Primary: mac(t, "52:54:00:aa:00:09"), BMC: mac(t, "52:54:00:bb:00:09"), Type: "worker", Comment: "row 2, \"left\""}
}

func TestAddRow(t *testing.T) {
	t.Parallel()
	const row = "52:54:00:aa:00:02, 52:54:00:bb:00:02, , worker, \n"
	tests := map[string]struct {
		text string
		node func(*Node)
		want string // what is added
		err  string
	}{
		"blanks as the header": {text: header2021 + row, want: "52:54:00:aa:00:09, 52:54:00:bb:00:09, , worker, \"row 2, \"\"left\"\"\"\n"},
		"none as the header": {text: "Primary MAC,BMC MAC,Secondary MAC,Type,Comments\n# behind\n",
			want: "52:54:00:aa:00:09,52:54:00:bb:00:09,,worker,\"row 2, \"\"left\"\"\"\n"},
		"no last line end": {text: header2021 + strings.TrimSpace(row), node: func(n *Node) { n.Comment = "" },
			want: "\n52:54:00:aa:00:09, 52:54:00:bb:00:09, , worker,\n"},
		"a comment without its line end": {text: header2021 + "# last", node: func(n *Node) { n.Comment = "" },
			want: "\n52:54:00:aa:00:09, 52:54:00:bb:00:09, , worker,\n"},
		"DOS": {text: "\ufeffcomment,bmc mac,primary mac\r\n", node: func(n *Node) { n.Type, n.Comment = "", "# spare" },
			want: "\"# spare\",52:54:00:bb:00:09,52:54:00:aa:00:09\r\n"},
		"old Mac": {text: "primary mac,bmc mac,,type\r", node: func(n *Node) { n.Comment = "" },
			want: "52:54:00:aa:00:09,52:54:00:bb:00:09,,worker\r"},
		"only a header, without its end": {text: "primary mac, bmc address , type", node: func(n *Node) {
			n.Comment, n.BMC, n.BMCAddress = "", MAC{}, netip.MustParseAddr("10.1.0.7")
		}, want: "\n52:54:00:aa:00:09, 10.1.0.7, worker\n"},
		"blanks around values": {text: "primary mac,bmc mac,type\n", node: func(n *Node) { n.Type, n.Comment = " big ", " " },
			want: "52:54:00:aa:00:09,52:54:00:bb:00:09,big\n"},

		"no column": {text: "primary mac,bmc mac,comments\n", err: "f:1:1: the header has no column Node Type"},
		"MAC twice": {text: header2021 + "52:54:00:aa:00:09, 52:54:00:bb:00:02, , worker,\n",
			err: "this row does not fit: f:3:1: MAC address 52:54:00:aa:00:09 is used twice"},
		"bad name":       {text: "primary mac,bmc mac,type,comments,name\n", node: func(n *Node) { n.Name = "a b" }, err: `"a b" is no host name`},
		"unreadable":     {text: "primary mac,bmc mac,type\n", node: func(n *Node) { n.Type, n.Comment = "a\x01b", "" }, err: "control character"},
		"read otherwise": {text: header2021, node: func(n *Node) { n.Comment = "a\rb" }, err: "would not be read as it was given"},
		"wrong before":   {text: header2021 + "52:54:00:aa:00:0", err: "f:2:1: Primary MAC address"},
		"empty":          {err: "f:1:1: no header"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := server(t)
			if tt.node != nil {
				tt.node(n)
			}
			got, err := AddRow([]byte(tt.text), "f", ReadOptions{SkipLocal: true}, n)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || got != nil {
					t.Errorf("got %q, %v; want %q", got, err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.text+tt.want, string(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestReplaceMACs(t *testing.T) {
	t.Parallel()
	all := MACs{mac(t, "52:54:00:aa:00:09"), mac(t, "52:54:00:bb:00:09"), mac(t, "52:54:00:cc:00:09")}
	const before, after = "\ufeff# top\r\nname,primary mac, bmc mac ,secondary mac,comment\r\na,52:54:00:aa:00:01,52:54:00:bb:00:01,,\r\n", "\r\n\r\n# \xff end"
	tests := map[string]struct {
		row  string
		set  MACs
		want string
		err  string
	}{
		"all":           {row: `b , 52-54-00-AA-00-02,"52:54:00:bb:00:02" ,  , "x"`, set: all, want: `b , 52:54:00:aa:00:09,52:54:00:bb:00:09 ,  52:54:00:cc:00:09, "x"`},
		"one":           {row: `,52:54:00:aa:00:02,52:54:00:bb:00:02,52:54:00:cc:00:02 ,x`, set: MACs{BMC: all.BMC}, want: `,52:54:00:aa:00:02,52:54:00:bb:00:09,52:54:00:cc:00:02 ,x`},
		"into nothing":  {row: `,52:54:00:aa:00:02,,,`, set: MACs{BMC: all.BMC}, want: `,52:54:00:aa:00:02,52:54:00:bb:00:09,,`},
		"a short row":   {row: `,52:54:00:aa:00:02`, set: MACs{Secondary: all.Secondary}, want: `,52:54:00:aa:00:02,,52:54:00:cc:00:09`},
		"a shorter row": {row: `,52:54:00:aa:00:02`, set: all, want: `,52:54:00:aa:00:09,52:54:00:bb:00:09,52:54:00:cc:00:09`},
		"wrong before":  {row: `,52:54:00:AA:00:02, x`, err: "f:4:21: BMC MAC address"},
		"the same":      {row: `b,52:54:00:AA:00:02,,52:54:00:cc:00:02`, set: MACs{Secondary: mac(t, "52:54:00:cc:00:02")}, want: `b,52:54:00:AA:00:02,,52:54:00:cc:00:02`},
		"used before":   {row: `,52:54:00:aa:00:02`, set: MACs{BMC: mac(t, "52:54:00:bb:00:01")}, err: "is used twice"},
		"no such row":   {row: ``, set: all, err: "no such row"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ReplaceMACs([]byte(before+tt.row+after), "f", ReadOptions{SkipLocal: true}, mac(t, "52:54:00:aa:00:02"), tt.set)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || got != nil {
					t.Errorf("got %q, %v; want %q", got, err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(before+tt.want+after, string(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if _, err := ReplaceMACs([]byte(header2021), "f", ReadOptions{SkipLocal: true}, all.Primary, all); !errors.Is(err, ErrNoRow) {
		t.Errorf("%v is not ErrNoRow", err)
	}
	if _, err := ReplaceMACs([]byte("primary,bmc address\n52:54:00:aa:00:02,10.1.0.7\n"), "f", ReadOptions{SkipLocal: true},
		mac(t, "52:54:00:aa:00:02"), all); err == nil || !strings.Contains(err.Error(), "no column BMC MAC address") {
		t.Errorf("got %v", err)
	}
}

// FuzzEditCSV: whatever file is right stays right with a row more or other MACs, reads as meant, and changes nowhere else.
func FuzzEditCSV(f *testing.F) {
	f.Add(header2021+"52:54:00:aa:00:01, 52:54:00:bb:00:01, 52:54:00:cc:00:01, mgmt, \"a, \"\"b\"\"\r\nc\"", "note", "big")
	f.Add("\ufeffname,primary mac,bmc address,comment\r\ndb,52-54-00-AA-00-01,10.0.0.7\r# x\n,52-54-00-AA-00-02,::1:7", "#\"", "")
	f.Add("primary,bmc,type\n52:54:00:aa:00:01\n\n#\xff", "", "a,b")
	f.Fuzz(func(t *testing.T, text, comment, kind string) {
		opt := ReadOptions{SkipLocal: true}
		old, err := ReadCSV(strings.NewReader(text), "f", opt)
		n := server(t)
		n.Comment, n.Type = comment, kind
		added, addErr := AddRow([]byte(text), "f", opt, n)
		if err != nil {
			if addErr == nil {
				t.Fatalf("a broken file was edited: %q", added)
			}
			return
		}
		if addErr == nil && !bytes.HasPrefix(added, []byte(text)) {
			t.Errorf("what was there changed: %q", added)
		}
		for i := range old.Nodes {
			fuzzReplace(t, text, old, i)
		}
	})
}

// fuzzReplace changes one row of a right file there and back.
func fuzzReplace(t *testing.T, text string, old *Rack, i int) {
	t.Helper()
	opt := ReadOptions{SkipLocal: true}
	was := old.Nodes[i]
	set := MACs{Primary: mac(t, "02:00:00:00:00:01"), Secondary: mac(t, "02:00:00:00:00:03")}
	out, err := ReplaceMACs([]byte(text), "f", opt, was.Primary, set)
	if err != nil {
		return // no such column, or a MAC that is there
	}
	if was.Secondary.IsZero() {
		set.Secondary = MAC{}
	} else {
		set.Secondary = was.Secondary
	}
	set.Primary, was = was.Primary, Node{Primary: set.Primary}
	back, err := ReplaceMACs(out, "f", opt, was.Primary, set)
	if err != nil {
		t.Fatalf("not back again: %v\n%q", err, out)
	}
	now, err := ReadCSV(bytes.NewReader(back), "f", opt)
	if err != nil {
		t.Fatal(err)
	}
	for j := range old.Nodes {
		a, b := old.Nodes[j], now.Nodes[j]
		if j == i {
			a.Secondary, b.Secondary = MAC{}, MAC{}
		}
		if diff := cmp.Diff(a, b, cmpAddr()); diff != "" {
			t.Errorf("row %d (-before +after):\n%s", j, diff)
		}
	}
	if a, b := strings.Count(text, "\n"), bytes.Count(out, []byte("\n")); a < b {
		t.Errorf("%d lines became %d", a, b)
	}
}
