package provision

import (
	"net/netip"
	"strings"
	"testing"
)

type addrT = netip.Addr

func TestAnswerIsByTheJobAlone(t *testing.T) {
	for _, s := range []State{Known, CheckingBMC, Powering, Netbooting, Agent, Installing, Installed, Booted, Ready, Failed, Excluded} {
		if got := answer(&Record{State: s}); got != bootDisk {
			t.Errorf("%s without a job: %s", s, got)
		}
		if got := answer(&Record{State: s, Job: &Job{}}); got != bootMicrokernel {
			t.Errorf("%s with a job: %s", s, got)
		}
	}
}

func TestDiskScripts(t *testing.T) {
	s := site{server: netip.MustParseAddr("172.24.213.1"), httpPort: 8080}
	for _, c := range []struct{ platform, esp, want, not string }{
		{"pcbios", "", "exit 0", "chain"},
		{"pcbios", "11111111-2222-3333-4444-555555555555", "exit 0", "chain"},
		{"efi", "", "exit 1", "chain"},
		{"efi", "11111111-2222-3333-4444-555555555555", "chain http://172.24.213.1:8080/grub/11111111-2222-3333-4444-555555555555/grubx64.efi ||", "exit 0"},
	} {
		got, err := s.diskScript(c.platform, c.esp)
		if err != nil || !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("%s %s: %v\n%s", c.platform, c.esp, err, got)
		}
	}
}

func TestStateMachine(t *testing.T) {
	for _, c := range []struct {
		from, to State
		want     bool
	}{
		{Known, CheckingBMC, true}, {Known, Powering, false}, {Known, Installing, false}, {Ready, Failed, false},
		{Installed, Installing, false}, {Booted, Installing, false}, {Ready, Installing, false}, {Failed, CheckingBMC, true},
		{Installing, Failed, true}, {Installing, Powering, false}, {Ready, Ready, false}, {Excluded, CheckingBMC, false},
	} {
		if got := may(c.from, c.to); got != c.want {
			t.Errorf("%s -> %s: %v", c.from, c.to, got)
		}
	}
}
