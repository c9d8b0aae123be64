package sim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// step is one thing that happens to a server in a test.
type step func(*observer)

func boots() step { return func(o *observer) { o.boot() } }
func off() step   { return func(o *observer) { o.off() } }

func prints(text string) step { return func(o *observer) { o.console([]byte(text)) } }

// wrote is what the disks' counters say, in MiB since the last boot.
func wrote(n int64) step { return func(o *observer) { o.written(n * mib) } }

const (
	agentKernel = "[    0.0] Kernel command line: console=ttyS0 racker.server=https://172.24.213.1:8443 racker.mac=x\n"
	osKernel    = "[    0.0] Kernel command line: root=LABEL=ROOT console=ttyS0\n"
	writeBegins = `time=2026-11-21T00:00:00Z level=INFO msg="step begins" step=write` + "\n"
	writeDone   = `time=2026-11-21T00:00:00Z level=INFO msg="step done" step=write` + "\n"
)

func TestObserver(t *testing.T) {
	type want struct {
		State           State
		Boots, Installs int
	}
	tests := []struct {
		name  string
		steps []step
		want  want
	}{
		{"nothing", nil, want{State: StateOff}},
		{"power on", []step{boots()}, want{StateFirmware, 1, 0}},
		{"power off", []step{boots(), off(), prints("iPXE initialising devices...ok\n")}, want{StateOff, 1, 0}},
		{"BIOS network boot", []step{boots(), prints("SeaBIOS\niPXE (http://ipxe.org) 00:02.0\n"), prints("iPXE init"), prints("ialising devices...")}, want{StateNetboot, 1, 0}},
		{"iPXE in the option ROM is firmware", []step{boots(), prints("SeaBIOS\niPXE (http://ipxe.org) 00:02.0 C000\n")}, want{StateFirmware, 1, 0}},
		{"UEFI network boot, line not ended", []step{boots(), prints("\r\n>>Start PXE over IPv4.")}, want{StateNetboot, 1, 0}},
		{"UEFI HTTP boot", []step{boots(), prints(">>Start HTTP Boot over IPv4")}, want{StateNetboot, 1, 0}},
		{"agent", []step{boots(), prints(">>Start PXE over IPv4.\n" + agentKernel)}, want{StateAgent, 1, 0}},
		{"agent begins to write", []step{boots(), prints(agentKernel + writeBegins)}, want{StateWriting, 1, 0}},
		{"agent writes", []step{boots(), prints(agentKernel + writeBegins), wrote(50)}, want{StateWriting, 1, 1}},
		{"agent has written", []step{boots(), prints(agentKernel + writeBegins), wrote(50), wrote(90), prints(writeDone)}, want{StateAgent, 1, 1}},
		{"counters come after the end", []step{boots(), prints(agentKernel + writeBegins + writeDone), wrote(50)}, want{StateAgent, 1, 1}},
		{"agent that says nothing writes", []step{boots(), prints(agentKernel), wrote(50)}, want{StateWriting, 1, 1}},
		{"agent changes a little", []step{boots(), prints(agentKernel), wrote(0)}, want{StateAgent, 1, 0}},
		{"agent writes twice", []step{
			boots(), prints(agentKernel + writeBegins), wrote(50), prints(writeDone + writeBegins), wrote(51), wrote(99),
		}, want{StateWriting, 1, 2}},
		{"agent announces twice, writes once", []step{
			boots(), prints(agentKernel + writeBegins), wrote(50), prints(writeDone + writeBegins), wrote(50),
		}, want{StateWriting, 1, 1}},
		{"agent reboots in mid-write and writes again", []step{
			boots(), prints(agentKernel + writeBegins), wrote(50), boots(), prints(agentKernel + writeBegins), wrote(90),
		}, want{StateWriting, 2, 2}},
		{"installed system writes", []step{boots(), prints(osKernel + "systemd[1]: hello\n"), wrote(500)}, want{StateBooted, 1, 0}},
		{"installed system's prompt", []step{boots(), prints(osKernel), prints("node-1 login: ")}, want{StateBooted, 1, 0}},
		{"ready", []step{boots(), prints("systemd[1]: hello\nracker: callback ready accepted\nnode-1 login: ")}, want{StateReady, 1, 0}},
		{"ready, then a reset", []step{boots(), prints("racker: callback ready accepted\n"), boots()}, want{StateFirmware, 2, 0}},
		{"installed system talks of the agent", []step{boots(), prints("systemd[1]: x\nfound racker-agent.service\n")}, want{StateBooted, 1, 0}},
		{"endless line", []step{boots(), prints(string(make([]byte, 3*maxLine)) + "\n" + agentKernel)}, want{StateAgent, 1, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := &observer{}
			o.off()
			for _, s := range test.steps {
				s(o)
			}
			if diff := cmp.Diff(test.want, want{o.State, o.Boots, o.Installs}); diff != "" {
				t.Errorf("observer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestObserverAddsUpWrites(t *testing.T) {
	o := &observer{}
	for _, s := range []step{boots(), wrote(3), wrote(5), boots(), wrote(2)} {
		s(o)
	}
	if o.Writes != 7*mib {
		t.Errorf("5 MiB and then 2 MiB were written, but Writes is %d", o.Writes)
	}
}

// The console is whatever a guest sends: no piece of it may break the observer or make it grow.
func FuzzObserver(f *testing.F) {
	f.Add([]byte(agentKernel+writeBegins), 7)
	f.Add([]byte("racker: callback ready accepted\r\n\x1b[2J\x00"), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		o := &observer{}
		o.boot()
		size = max(1, size&0xff)
		for len(b) > 0 {
			n := min(size, len(b))
			o.console(b[:n])
			b = b[n:]
			if len(o.rest) > maxLine {
				t.Fatalf("%d bytes of an unfinished line are kept", len(o.rest))
			}
		}
		if o.Boots != 1 || o.Installs != 0 {
			t.Fatalf("the console alone made it %d boots and %d installs", o.Boots, o.Installs)
		}
	})
}
