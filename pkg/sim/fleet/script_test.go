package fleet

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/ipxe"
)

// paper is a machine that keeps a record of what a script does to it.
type paper struct {
	files map[string]string // by path with query; others fail
	did   []string
}

var errMissing = errors.New("404")

func (p *paper) do(what string) { p.did = append(p.did, what) }

func (p *paper) fetch(_ context.Context, from *url.URL) ([]byte, error) {
	p.do("fetch " + from.RequestURI())
	text, ok := p.files[from.RequestURI()]
	if !ok {
		return nil, errMissing
	}
	return []byte(text), nil
}

func (p *paper) load(_ context.Context, from *url.URL, kernel bool) error {
	word := "initrd "
	if kernel {
		word = "kernel "
	}
	p.do(word + from.String())
	if strings.HasSuffix(from.Path, "missing") {
		return errMissing
	}
	return nil
}

func (p *paper) dhcp(context.Context) error {
	p.do("dhcp")
	return nil
}

func (p *paper) program(_ context.Context, image []byte) error {
	p.do("program " + string(image))
	if string(image) == "bad" {
		return errMissing
	}
	return nil
}

func (p *paper) echo(text string) { p.do("echo " + text) }

// asking is racker's script for every machine (package bootd), without the pause between two tries.
const asking = `#!ipxe
set tries:int32 0
:ask
echo racker: asking for orders as ${mac} (${platform} ${buildarch})
chain --replace --autofree ipxe?mac=${mac:hexhyp}&uuid=${uuid}&platform=${platform}&arch=${buildarch} ||
inc tries
iseq ${tries} 3 && goto leave ||
echo racker: no orders yet, trying again
dhcp || goto ask
goto ask
:leave
echo racker: no orders, leaving the machine to its firmware
exit 1
`

func TestScripts(t *testing.T) {
	t.Parallel()
	const order = "/ipxe?mac=52-54-00-00-00-01&uuid=u&platform=efi&arch=x86_64"
	var disk ipxe.Script
	disk.Chain("http://10.0.0.1:8080/grub/esp/grubx64.efi").OrGoOn().Exit(1)
	tests := []struct {
		name  string
		text  string
		files map[string]string
		want  ending
		did   []string
		err   string
	}{
		{name: "kernel", text: asking, files: map[string]string{
			order: "#!ipxe\nkernel http://10.0.0.1:8080/assets/k initrd=initrd.img a=b\ninitrd --name initrd.img /assets/i\nboot\n",
		}, want: ending{kernel: []string{"initrd=initrd.img", "a=b"}}, did: []string{
			"echo racker: asking for orders as 52:54:00:00:00:01 (efi x86_64)", "fetch " + order,
			"kernel http://10.0.0.1:8080/assets/k", "initrd http://10.0.0.1:8080/assets/i",
		}},
		{name: "unknown here", text: asking, want: ending{status: 1}, did: []string{
			"echo racker: asking for orders as 52:54:00:00:00:01 (efi x86_64)", "fetch " + order, "echo racker: no orders yet, trying again", "dhcp",
			"echo racker: asking for orders as 52:54:00:00:00:01 (efi x86_64)", "fetch " + order, "echo racker: no orders yet, trying again", "dhcp",
			"echo racker: asking for orders as 52:54:00:00:00:01 (efi x86_64)", "fetch " + order,
			"echo racker: no orders, leaving the machine to its firmware",
		}},
		{name: "disk by GRUB", text: disk.String(), files: map[string]string{"/grub/esp/grubx64.efi": "grub"},
			want: ending{left: true}, did: []string{"fetch /grub/esp/grubx64.efi", "program grub"}},
		{name: "disk, and GRUB finds nothing", text: disk.String(), files: map[string]string{"/grub/esp/grubx64.efi": "bad"},
			want: ending{status: 1}, did: []string{"fetch /grub/esp/grubx64.efi", "program bad"}},
		{name: "an order that fails is not asked for again", text: asking, files: map[string]string{order: "#!ipxe\nkernel /missing\nboot\n"},
			want: ending{status: 1}, did: []string{
				"echo racker: asking for orders as 52:54:00:00:00:01 (efi x86_64)", "fetch " + order, "kernel http://10.0.0.1:8080/missing",
			}},
		{name: "a chain without replace goes on", text: "#!ipxe\nchain other\necho back\n",
			files: map[string]string{"/other": "#!ipxe\necho other\nexit 0\n"}, did: []string{"fetch /other", "echo other", "echo back"}},
		{name: "a comment, a continued line, quotes of settings", text: "#!ipxe\n# nothing\necho a \\\nb # c\necho ${serial:uristring} ${net0/mac:hexraw} ${none}.\n",
			did: []string{"echo a b", "echo A%20B 525400000001 ."}},
		{name: "a failure ends the script", text: "#!ipxe\nkernel /missing\necho not here\n", err: "404", did: []string{"kernel http://10.0.0.1:8080/missing"}},
		{name: "unknown command", text: "#!ipxe\nfrobnicate\n", err: "command not known"},
		{name: "unknown label", text: "#!ipxe\ngoto nowhere\n", err: "no such label"},
		{name: "endless", text: "#!ipxe\n:a\ngoto a\n", err: "does not end"},
		{name: "calls itself", text: "#!ipxe\nchain boot.ipxe\n", files: map[string]string{"/boot.ipxe": "#!ipxe\nchain boot.ipxe\n"}, err: "does not end"},
		{name: "no script", text: "MZ", err: "not an iPXE script"},
		{name: "boot without a kernel", text: "#!ipxe\nboot || echo no\n", did: []string{"echo no"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &paper{files: test.files}
			i := &interpreter{on: p, set: settings{"mac": "52:54:00:00:00:01", "uuid": "u", "platform": "efi", "buildarch": "x86_64", "serial": "A B"}}
			end, err := i.run(t.Context(), []byte(test.text), &url.URL{Scheme: "http", Host: "10.0.0.1:8080", Path: "/boot.ipxe"})
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) || test.err == "" && err != nil {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, end, cmp.AllowUnexported(ending{})); diff != "" {
				t.Errorf("ending (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.did, p.did); diff != "" && test.name != "calls itself" {
				t.Errorf("what it did (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzScript(f *testing.F) {
	f.Add(asking)
	f.Add("#!ipxe\nset a:int32 ${b}\ninc a ${a}\niseq ${a} 2 || goto x\n:x\nexit 300\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "sleep") || len(text) > 1<<12 {
			return
		}
		i := &interpreter{on: &paper{}, set: settings{}}
		end, err := i.run(t.Context(), []byte(text), &url.URL{Scheme: "http", Host: "h", Path: "/"})
		if err != nil && end.kernel != nil {
			t.Errorf("both a kernel and %v", err)
		}
	})
}
