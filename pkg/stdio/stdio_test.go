package stdio

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	t.Parallel()
	fill := func(s *Streams) error {
		return s.Table("node", "state").
			Row("node-1", "ready").Color(1, Good).
			Row("knöten-10", "failed\x1b[2J").Color(1, Bad).Color(7, Bad).
			Row("x").Flush()
	}
	tests := []struct {
		name  string
		tty   bool
		color ColorMode
		want  string
	}{
		{"pipe", false, ColorAuto, "node-1\tready\nknöten-10\tfailed [2J\nx\n"},
		{"terminal", true, ColorNever, "NODE       STATE\nnode-1     ready\nknöten-10  failed [2J\nx\n"},
		{"terminal with colour", true, ColorAuto,
			"NODE       STATE\nnode-1     \x1b[32mready\x1b[0m\nknöten-10  \x1b[31mfailed [2J\x1b[0m\nx\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _, out, _ := Test()
			s.OutTTY = tt.tty
			if err := s.SetColor(tt.color); err != nil {
				t.Fatal(err)
			}
			if err := fill(s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmptyTable(t *testing.T) {
	t.Parallel()
	for tty, want := range map[bool]string{true: "NODE\n", false: ""} {
		s, _, out, _ := Test()
		s.OutTTY = tty
		if err := s.Table("node").Color(0, Bad).Flush(); err != nil || out.String() != want {
			t.Errorf("terminal %v: %q, %v; want %q", tty, out, err, want)
		}
	}
}

func TestTableSpare(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", defaultWidth)
	tests := []struct {
		name  string
		tty   bool
		cells []string
		spare []int
		want  string
	}{
		{"fits", true, []string{"a", "b", "c"}, []int{2, 1}, "A  B  C\na  b  c\n"},
		{"the first is enough", true, []string{"a", "b", long}, []int{2, 1}, "A  B\na  b\n"},
		{"both", true, []string{"a", long, long}, []int{2, 1}, "A\na\n"},
		{"nothing to spare", true, []string{"a", "b", long}, []int{9}, "A  B  C\na  b  " + long + "\n"},
		{"pipe", false, []string{"a", "b", long}, []int{2, 1}, "a\tb\t" + long + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _, out, _ := Test()
			s.OutTTY = tt.tty
			if err := s.Table("a", "b", "c").Spare(tt.spare...).Row(tt.cells...).Flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for tty, want := range map[bool]string{
		false: "{\"name\":\"<a>\"}\n",
		true:  "{\n  \"name\": \"<a>\"\n}\n",
	} {
		s, _, out, _ := Test()
		s.OutTTY = tty
		if err := s.JSON(map[string]string{"name": "<a>"}); err != nil || out.String() != want {
			t.Errorf("terminal %v: %q, %v; want %q", tty, out, err, want)
		}
	}
	s, _, _, _ := Test()
	if _, ok := errors.AsType[*json.UnsupportedValueError](s.JSON(math.NaN())); !ok {
		t.Error("no error for what JSON cannot hold")
	}
}

func TestColor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		env      map[string]string
		tty      bool
		mode     ColorMode
		out, err bool
	}{
		{"a pipe", nil, false, ColorAuto, false, false},
		{"a terminal", nil, true, ColorAuto, true, true},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1"}, true, ColorAuto, false, false},
		{"TERM=dumb", map[string]string{"TERM": "dumb"}, true, ColorAuto, false, false},
		{"TERM=xterm", map[string]string{"TERM": "xterm"}, true, ColorAuto, true, true},
		{"CI", map[string]string{"CI": "true"}, true, ColorAuto, false, false},
		{"always wins", map[string]string{"NO_COLOR": "1"}, false, ColorAlways, true, true},
		{"never", nil, true, ColorNever, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := System(func(name string) string { return tt.env[name] })
			s.OutTTY, s.ErrTTY = tt.tty, tt.tty
			if err := s.SetColor(tt.mode); err != nil {
				t.Fatal(err)
			}
			if s.ColorOut() != tt.out || s.ColorErr() != tt.err {
				t.Errorf("colour on out %v, on err %v; want %v, %v", s.ColorOut(), s.ColorErr(), tt.out, tt.err)
			}
			if colored := strings.Contains(s.Paint(Good, "x")+s.PaintErr(Bad, "x"), "\x1b["); colored != tt.out {
				t.Errorf("painted %v, want %v", colored, tt.out)
			}
		})
	}
	s, _, _, _ := Test()
	if err := s.SetColor("purple"); err == nil || !strings.Contains(err.Error(), "auto, always or never") {
		t.Errorf("error %v", err)
	}
}

func TestCanPrompt(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, err, noInput, want bool }{
		{true, true, false, true}, {false, true, false, false}, {true, false, false, false}, {true, true, true, false},
	}
	for _, tt := range tests {
		s, _, _, _ := Test()
		s.InTTY, s.ErrTTY, s.NoInput = tt.in, tt.err, tt.noInput
		if got := s.CanPrompt(); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
}

func TestWidth(t *testing.T) {
	t.Parallel()
	s, _, _, _ := Test()
	if s.Width() != defaultWidth {
		t.Errorf("width %d", s.Width())
	}
	if w := System(func(string) string { return "" }).Width(); w < 1 {
		t.Errorf("width of the system's streams %d", w)
	}
}

func TestOutfErrf(t *testing.T) {
	t.Parallel()
	s, _, out, errOut := Test()
	if err := s.Outf("%d nodes\n", 3); err != nil {
		t.Fatal(err)
	}
	s.Errf("%s\n", "hm")
	if out.String() != "3 nodes\n" || errOut.String() != "hm\n" {
		t.Errorf("out %q, err %q", out, errOut)
	}
	broken := errors.New("pipe is closed")
	s.Out, s.Err = failing{broken}, failing{broken}
	s.Errf("lost")
	for name, err := range map[string]error{
		"Outf": s.Outf("x"), "Table": s.Table("a").Row("b").Flush(), "JSON": s.JSON(1),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

// failing is a stream whose other end is gone.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
