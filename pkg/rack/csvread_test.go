package rack

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var prefix24 = netip.MustParsePrefix("172.24.213.0/24")

const header2021 = "Primary MAC address, BMC MAC address, Secondary MAC address, Node Type, Comments\n"

func mac(t testing.TB, s string) MAC {
	t.Helper()
	m, err := ParseMAC(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func cmpAddr() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

func TestReadCSV(t *testing.T) {
	t.Parallel()
	management := Node{
		Primary: mac(t, "52:54:00:aa:00:01"), BMC: mac(t, "52:54:00:bb:00:01"), Secondary: mac(t, "52:54:00:cc:00:01"),
		Type: "mgmt", Comment: "here", Line: 2, Management: true,
	}
	server := Node{Primary: mac(t, "52:54:00:aa:00:02"), BMC: mac(t, "52:54:00:bb:00:02"), Line: 3}
	full := server
	full.Name, full.Type, full.Comment, full.Serial, full.Disk = "db", "storage", "a, \"b\"\nc", "S1", "wwn-1"
	full.Location, full.Asset, full.BMCUser, full.BMCPasswordFile = "U1", "A1", "root", "pw"
	full.BMCAddress = netip.MustParseAddr("10.1.0.7")
	at := func(n Node, line int) Node { n.Line = line; return n }
	first := "52:54:00:aa:00:01, 52:54:00:bb:00:01, 52:54:00:cc:00:01, mgmt, here\n"

	tests := []struct {
		name, text string
		want       []Node
	}{
		{"2021", header2021 + first + "52:54:00:aa:00:02, 52:54:00:bb:00:02, , ,\n", []Node{management, server}},
		{"missing trailing columns, no last newline", header2021 + first + "52:54:00:aa:00:02,52:54:00:bb:00:02", []Node{management, server}},
		{"hyphens, capitals, tabs", header2021 + first + "52-54-00-AA-00-02\t,\t 52-54-00-Bb-00-02", []Node{management, server}},
		{"BOM, CRLF, comments, empty rows", "\ufeff# rack 7\r\n\r\n" + strings.ReplaceAll(header2021+first, "\n", "\r\n") +
			" # gone: \"x\r\n,,,,\r\n \t\r\n52:54:00:aa:00:02,52:54:00:bb:00:02,,,\r\n", []Node{at(management, 4), at(server, 8)}},
		{"old Mac line ends", strings.ReplaceAll(header2021+first, "\n", "\r"), []Node{management}},
		{"other order, case and words", "COMMENTS,secondary  mac,bmc_mac,Type,PRIMARY\nhere,52:54:00:cc:00:01,52:54:00:bb:00:01,mgmt,52:54:00:aa:00:01\n",
			[]Node{management}},
		{"all columns", strings.TrimSpace(header2021) + ",Name,BMC IP,Serial number,Disk,Location,Asset tag,BMC User,BMC Password File\n" + first +
			`52:54:00:aa:00:02,52:54:00:bb:00:02,,storage,"a, ""b""` + "\r\n" + `c" , db,10.1.0.7,S1,wwn-1,U1,A1,root,pw`,
			[]Node{management, full}},
		{"a quote inside a bare value", header2021 + strings.Replace(first, "here", `5" disk`, 1),
			[]Node{func() Node { n := management; n.Comment = `5" disk`; return n }()}},
		{"only a BMC address", "Primary MAC, Secondary MAC, Type, Comments, BMC Address\n52:54:00:aa:00:01,52:54:00:cc:00:01,mgmt,here\n" +
			"52:54:00:aa:00:02,,,,10.1.0.7\n", []Node{
			func() Node { n := management; n.BMC = MAC{}; return n }(),
			func() Node { n := server; n.BMC = MAC{}; n.BMCAddress = netip.MustParseAddr("10.1.0.7"); return n }(),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadCSV(iotest.OneByteReader(strings.NewReader(tt.text)), "nodes.csv", ReadOptions{Local: thisMachine()})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Nodes, cmpAddr()); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadCSVManagement(t *testing.T) {
	t.Parallel()
	text := header2021 + "52:54:00:aa:00:01,,52:54:00:cc:00:0f\n52:54:00:aa:00:02,52:54:00:bb:00:02\n"
	tests := []struct {
		name string
		opt  ReadOptions
		line int    // of the management node
		err  string // part of the error
	}{
		{"nobody is local", ReadOptions{}, 0, "f:1:1: no row holds a MAC address of this machine"},
		{"left open", ReadOptions{SkipLocal: true}, 0, ""},
		{"by primary MAC", ReadOptions{ManagementMAC: mac(t, "52:54:00:aa:00:01")}, 2, ""},
		{"by secondary MAC", ReadOptions{ManagementMAC: mac(t, "52:54:00:cc:00:0f")}, 2, ""},
		{"by MAC wins over interfaces", ReadOptions{ManagementMAC: mac(t, "52:54:00:aa:00:01"), Local: thisMachine()}, 2, ""},
		{"by a MAC of no row", ReadOptions{ManagementMAC: mac(t, "52:54:00:aa:00:77")}, 0, "no row has the MAC address 52:54:00:aa:00:77"},
		{"a server as management node", ReadOptions{ManagementMAC: mac(t, "52:54:00:aa:00:02")}, 0, "f:3:36: the management node has no secondary"},
		{"secondary on no interface", ReadOptions{Local: thisMachine()}, 0, "f:2:20: the management node's secondary MAC address 52:54:00:cc:00:0f is on no"},
		{"internal.interface makes up for it", ReadOptions{Local: thisMachine(), InternalInterface: "eth2"}, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadCSV(strings.NewReader(text), "f", tt.opt)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			line := 0
			if m := got.Management(); m != nil {
				line = m.Line
			}
			if line != tt.line {
				t.Errorf("management node on line %d, want %d", line, tt.line)
			}
		})
	}
}

func TestReadCSVReaderError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk gone")
	_, err := ReadCSV(iotest.ErrReader(broken), "nodes.csv", ReadOptions{})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "nodes.csv") {
		t.Errorf("error %v", err)
	}
}

func TestInternalInterface(t *testing.T) {
	t.Parallel()
	rack := &Rack{Nodes: []Node{{Management: true, Secondary: mac(t, "52:54:00:cc:00:01")}}}
	vlan := Interface{Name: "eth1.7", MAC: mac(t, "52:54:00:cc:00:01")}
	tests := []struct {
		name  string
		rack  *Rack
		local []Interface
		want  string
		err   string
	}{
		{"one", rack, thisMachine(), "eth1", ""},
		{"a VLAN shares it", rack, append(thisMachine(), vlan), "", "eth1, eth1.7 all have the MAC address 52:54:00:cc:00:01: set internal.interface"},
		{"none", rack, nil, "", "is on no interface: there is none"},
		{"no management node", &Rack{}, thisMachine(), "", "no management node"},
		{"no secondary MAC", &Rack{Nodes: []Node{{Management: true}}}, thisMachine(), "", "is on no interface"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := InternalInterface(tt.rack, tt.local)
			if got != tt.want || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestWriteCSV(t *testing.T) {
	t.Parallel()
	rack := &Rack{Nodes: []Node{
		{Primary: mac(t, "52:54:00:aa:00:01"), Comment: "a, \"b\"\nc"},
		{Primary: mac(t, "52:54:00:aa:00:02"), BMCAddress: netip.MustParseAddr("10.1.0.7"), Location: "U1"},
	}}
	var b bytes.Buffer
	if err := WriteCSV(&b, rack); err != nil {
		t.Fatal(err)
	}
	want := "Primary MAC address,BMC MAC address,Secondary MAC address,Node Type,Comments,BMC Address,Location\n" +
		"52:54:00:aa:00:01,,,,\"a, \"\"b\"\"\nc\",,\n" +
		"52:54:00:aa:00:02,,,,,10.1.0.7,U1\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	b.Reset()
	if err := WriteCSV(&b, &Rack{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(header2021, ", ", ","), b.String()); diff != "" {
		t.Errorf("empty file (-want +got):\n%s", diff)
	}
}

// FuzzReadCSV: no input panics; errors have a place and are sorted; what is read, written and read again is equal.
func FuzzReadCSV(f *testing.F) {
	f.Add(header2021 + "52:54:00:aa:00:01, 52:54:00:bb:00:01, 52:54:00:cc:00:01, mgmt, \"a, \"\"b\"\"\r\nc\"")
	f.Add("\ufeffname,primary mac,bmc address\r\ndb,52-54-00-AA-00-01,10.0.0.7\r# x\n,52-54-00-AA-00-02,::1:7")
	f.Add("primary,\"type\" x,\"\n,\"")
	f.Add("Primary MAC,Comments,Serial\n52:54:00:aa:00:01,#,\\.\n52:54:00:aa:00:02, \" \ufeff\" ,\"'\"")
	f.Add("52:54:00:aa:00:01;x\n\xff,\x00")
	f.Fuzz(func(t *testing.T, text string) {
		opt := ReadOptions{SkipLocal: true}
		rack, err := ReadCSV(strings.NewReader(text), "f", opt)
		if err != nil {
			checkErrors(t, text, err)
			return
		}
		var b bytes.Buffer
		if err := WriteCSV(&b, rack); err != nil {
			t.Fatal(err)
		}
		again, err := ReadCSV(bytes.NewReader(b.Bytes()), "f", opt)
		if err != nil {
			t.Fatalf("read again: %v\n%q", err, b.String())
		}
		if diff := cmp.Diff(rack.Nodes, again.Nodes, cmpAddr(), cmpopts.IgnoreFields(Node{}, "Line")); diff != "" {
			t.Errorf("read again (-first +second):\n%s\n%q", diff, b.String())
		}
		if plan, err := MakePlan(prefix24, rack, nil); err == nil {
			checkPlan(t, plan, rack)
		}
	})
}

func checkErrors(t *testing.T, text string, err error) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error is not joined: %v", err)
	}
	lines := 1 + strings.Count(text, "\n") + strings.Count(text, "\r")
	var places []position
	for _, one := range joined.Unwrap() {
		e, ok := errors.AsType[*CSVError](one)
		if !ok || e.Line < 1 || e.Column < 1 || e.Line > lines || e.Msg == "" {
			t.Fatalf("error without a place in the file of %d lines: %v", lines, one)
		}
		places = append(places, position{e.Line, e.Column})
	}
	if !slices.IsSortedFunc(places, func(a, b position) int { return (a.line-b.line)*1e6 + a.col - b.col }) {
		t.Errorf("errors are not sorted: %v", err)
	}
}
