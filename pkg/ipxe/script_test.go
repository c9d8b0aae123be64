package ipxe

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const server = "http://172.24.213.1:8080"

func TestScript(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		s    *Script
		want string
	}{
		{"empty", new(Script), "#!ipxe\n"},
		{"microkernel", new(Script).Comment("node-1: install").Echo("racker: node-1 (U17, serial ABC)").
			Kernel(server+"/assets/k/vmlinuz", "initrd=initrd.img", "console=ttyS0,115200n8", `dyndbg="file a.c +p"`, "racker.token=0123abcd").
			Initrd(server+"/assets/k/initrd.img", "initrd.img").Boot(), `#!ipxe
# node-1: install
echo racker: node-1 (U17, serial ABC)
kernel http://172.24.213.1:8080/assets/k/vmlinuz initrd=initrd.img console=ttyS0,115200n8 dyndbg="file a.c +p" racker.token=0123abcd
initrd --name initrd.img http://172.24.213.1:8080/assets/k/initrd.img
boot
`},
		{"disk", new(Script).Chain(server + "/grub.efi").OrGoOn().Sanboot(0x80).OrGoto("end").Label("end").Sleep(2).Exit(1), `#!ipxe
chain http://172.24.213.1:8080/grub.efi ||
sanboot --no-describe --drive 0x80 || goto end
:end
sleep 2
exit 1
`},
		{"who am I", new(Script).Set("x", MAC).ChainReplace(server + "/ipxe?mac=" + MAC + "&serial=" + Serial).OrExit(1).Goto("x"), `#!ipxe
set x ${netX/mac:hexhyp}
chain --replace http://172.24.213.1:8080/ipxe?mac=${netX/mac:hexhyp}&serial=${serial:uristring} || exit 1
goto x
`},
	} {
		got, err := c.s.Render()
		if d := cmp.Diff(c.want, got); d != "" || err != nil || c.s.String() != got {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, d)
		}
	}
}

func TestScriptRefuses(t *testing.T) {
	t.Parallel()
	url := server + "/k"
	for name, s := range map[string]*Script{
		"newline in echo":         new(Script).Echo("a\nshell"),
		"carriage return":         new(Script).Echo("a\rshell"),
		"escape":                  new(Script).Echo("\x1b[2J"),
		"broken UTF-8":            new(Script).Echo("a\xff"),
		"setting in echo":         new(Script).Echo("${net0/password}"),
		"setting split by one":    new(Script).Echo("${" + MAC + "}"),
		"or in echo":              new(Script).Echo("a || shell"),
		"and in echo":             new(Script).Echo("a && shell"),
		"semicolon in echo":       new(Script).Echo("a ; shell"),
		"comment in echo":         new(Script).Echo("a #b"),
		"option in echo":          new(Script).Echo("-n a"),
		"backslash at the end":    new(Script).Comment(`a\`),
		"newline in comment":      new(Script).Comment("a\nshell"),
		"blank in URL":            new(Script).Kernel(server + "/a b"),
		"relative URL":            new(Script).Kernel("/k"),
		"file URL":                new(Script).Kernel("file:/k"),
		"user in URL":             new(Script).Kernel("http://u:p@h/k"),
		"setting in URL":          new(Script).Chain(server + "/${x}"),
		"option for URL":          new(Script).Chain("--replace"),
		"blank in argument":       new(Script).Kernel(url, "a b"),
		"tab in quotes":           new(Script).Kernel(url, "a=\"b\tc\""),
		"two blanks in quotes":    new(Script).Kernel(url, `a="b  c"`),
		"blank after quotes":      new(Script).Kernel(url, `a="b" c`),
		"quotes that do not end":  new(Script).Kernel(url, `a="b c`),
		"or in quotes":            new(Script).Kernel(url, `a="b || shell"`),
		"comment in quotes":       new(Script).Kernel(url, `a="b #c"`),
		"separator as argument":   new(Script).Kernel(url, ";"),
		"empty argument":          new(Script).Kernel(url, ""),
		"setting in argument":     new(Script).Kernel(url, "a=${b}"),
		"no-break space":          new(Script).Kernel(url, "a\u00a0b"),
		"image name with blank":   new(Script).Initrd(url, "a b"),
		"image name as option":    new(Script).Initrd(url, "--x"),
		"hidden image name":       new(Script).Initrd(url, ".."),
		"setting name":            new(Script).Set("a b", "c"),
		"value of two words":      new(Script).Set("a", "b c"),
		"label":                   new(Script).Label("a b"),
		"goto":                    new(Script).Goto(""),
		"or goto":                 new(Script).Boot().OrGoto("a b"),
		"refused before the last": new(Script).Echo("a\nb").Echo("c"),
	} {
		out, err := s.Render()
		if !errors.Is(err, ErrUnsafe) || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
		if got := s.String(); !strings.HasSuffix(got, "exit 1\n") || strings.Count(got, "\n") != 3 {
			t.Errorf("%s: String = %q", name, got)
		}
	}
	for name, s := range map[string]*Script{
		"status":             new(Script).Exit(256),
		"sleep":              new(Script).Sleep(0),
		"or without a line":  new(Script).OrExit(1),
		"or after a label":   new(Script).Label("a").OrExit(1),
		"or after a comment": new(Script).Comment("a").OrGoOn(),
		"or exit status":     new(Script).Boot().OrExit(-1),
	} {
		if out, err := s.Render(); err == nil {
			t.Errorf("%s: %q", name, out)
		}
	}
}

// FuzzScript: whatever values there are, a script has the lines and the commands that were called for, and no more.
func FuzzScript(f *testing.F) {
	f.Add("node-1 (U17)", "console=ttyS0", server+"/k", "initrd.img")
	f.Add("a || shell", `a="b c"`, server+"/${net0/x}", "x\ny")
	f.Add("a\\", "\u2028", "http://h/\\", "a;b")
	f.Fuzz(func(t *testing.T, echo, arg, url, image string) {
		out, err := new(Script).Comment(echo).Echo(echo).Kernel(url, arg).Initrd(url, image).Set(image, arg).Boot().Render()
		if err != nil {
			return
		}
		lines := strings.Split(out, "\n")
		want := []string{"#!ipxe", "# ", "echo", "kernel ", "initrd --name ", "set ", "boot", ""}
		if len(lines) != len(want) {
			t.Fatalf("%d lines:\n%s", len(lines), out)
		}
		for i, l := range lines {
			if !strings.HasPrefix(l, want[i]) || strings.HasSuffix(l, `\`) {
				t.Errorf("line %d is %q", i, l)
			}
			if i > 1 && strings.Contains(withoutVariables(l, ""), "${") {
				t.Errorf("line %d expands a setting: %q", i, l)
			}
			for _, w := range strings.Fields(l)[min(1, len(strings.Fields(l))):] {
				if i > 1 && (w == "||" || w == "&&" || w == ";" || w[0] == '#') {
					t.Errorf("line %d has the word %q: %q", i, w, l)
				}
			}
		}
	})
}
