package provision

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/event"
)

func TestDiagnoseBMC(t *testing.T) {
	t.Parallel()
	checking := netbooting().in(CheckingBMC, func(s *sight) { s.BMCError = "BMC of node-3 no answer" })
	silent := func(s sight, more ...event.Event) sight {
		s.Silent, s.Events = true, more
		return s
	}
	role := []string{"role", "bmc"}
	checkDiagnoses(t, map[string]diagnosisTest{
		"all is well":           {netbooting().in(CheckingBMC, nil), nil},
		"silent, no DHCP":       {silent(checking), []string{"BMC at 172.24.213.30 does not answer", "did not ask for an address", "BMC MAC in nodes.csv"}},
		"silent, only a moment": {silent(checking).in(CheckingBMC, func(s *sight) { s.Since, s.Moved = before(time.Second), before(time.Second) }), nil},
		"silent, leased": {silent(checking, seenDHCP(3*time.Hour, "dhcp", "REQUEST", "ACK", role...)),
			[]string{"asked for its address 3h ago", "IPMI over LAN"}},
		"silent, refused an address": {silent(checking, seenDHCP(time.Minute, "dhcp", "DISCOVER", "", append(role, "ignored", "pool full")...)),
			[]string{"asked for an address 1m0s ago and got none", "pool full"}},
		"silent, failed": {silent(checking).in(Failed, func(s *sight) { s.Step, s.Reason = CheckingBMC, "BMC of node-3 at 172.24.213.30: no answer" }),
			[]string{"does not answer"}},
		"refused": {checking.in(Failed, func(s *sight) { s.Step, s.Refused, s.Reason = CheckingBMC, true, "wrong user or password" }),
			[]string{"refuses the user or the password", "ipmi_password", "lock accounts"}},
		"refused while powering": {checking.in(Powering, func(s *sight) { s.Refused = true }), []string{"refuses", "racker node reprovision node-3"}},
		"yes and nothing": {checking.in(Powering, func(s *sight) { s.BMCError = "was told on: accepted, but not applied: it reads off" }),
			[]string{"says yes and does nothing", "reads off", "reset the BMC"}},
		"yes and nothing, failed": {checking.in(Failed, func(s *sight) {
			s.Step, s.Reason, s.BMCError = Powering, "BMC of node-3 was told pxe: accepted, but not applied: it reads disk", ""
		}), []string{"says yes and does nothing", "it reads disk"}},
		"another error":         {checking, []string{"does not do as told", "no answer"}},
		"another error, failed": {checking.in(Failed, func(s *sight) { s.Step, s.Reason = Powering, "no session free" }), []string{"no session free"}},
		"its turn":              {checking.in(CheckingBMC, func(s *sight) { s.Queued = true }), []string{"waits for its turn"}},
		"its turn, powering":    {netbooting().in(Powering, func(s *sight) { s.Queued = true }), []string{"limits.power_interval"}},
	})
	if bmc.ErrNotApplied.Error() != notApplied {
		t.Errorf("bmc says %q", bmc.ErrNotApplied)
	}
}

func TestDiagnosePower(t *testing.T) {
	t.Parallel()
	off := func(s *sight) { s.Power = api.PowerOff }
	checkDiagnoses(t, map[string]diagnosisTest{
		"off":            {netbooting().in(Netbooting, off), []string{"no power: powered on 10m ago", "BMC reads off", "racker node reprovision node-3"}},
		"off after DHCP": {netbooting(upTo(stepAcked)...).in(Netbooting, off), []string{"no power"}},
		"off, failed":    {netbooting().in(Netbooting, off).late(Netbooting), []string{"no power"}},
		"just now": {netbooting().in(Netbooting, off).in(Netbooting, func(s *sight) {
			s.Since, s.PoweredOn, s.Moved = before(5*time.Second), before(5*time.Second), before(5*time.Second)
		}), nil},
		"off when installed":  {netbooting().in(Installed, off), []string{"no power"}},
		"off while writing":   {netbooting().in(Installing, func(s *sight) { off(s); s.AgentHeard = before(time.Minute) }), []string{"lost its power", "1m0s ago"}},
		"off with its agent":  {netbooting().in(Agent, func(s *sight) { off(s); s.AgentHeard = before(9 * time.Minute) }), []string{"lost its power"}},
		"off, ready":          {netbooting().in(Ready, off), nil},
		"no microkernel":      {netbooting().in(Netbooting, func(s *sight) { s.Microkernel = "nothing to boot" }), []string{"racker microkernel build"}},
		"no microkernel, too": {netbooting(upTo(stepIPXE)...).in(Netbooting, func(s *sight) { s.Microkernel = "gone" }), []string{"no microkernel", "gone"}},
	})
}

func TestDiagnoseNoDHCP(t *testing.T) {
	t.Parallel()
	heard := func(h Heard) func(*sight) { return func(s *sight) { s.Heard = h } }
	unknown := func(macs ...string) func(*sight) { return func(s *sight) { s.Unknown = macs } }
	secondary := seenDHCP(time.Minute, "pxe", "DISCOVER", "OFFER", "role", "secondary")
	checkDiagnoses(t, map[string]diagnosisTest{
		"nothing": {netbooting(), []string{"powered but no DHCP: powered on 10m ago", "52:54:00:00:00:03", "cable", "boot order"}},
		"nothing yet": {netbooting().in(Netbooting, func(s *sight) {
			s.Since, s.PoweredOn, s.Moved = before(time.Minute), before(time.Minute), before(time.Minute)
		}), nil},
		"nothing, short deadline": {netbooting().in(Netbooting, func(s *sight) {
			s.Since, s.PoweredOn, s.Moved, s.Rest = before(10*time.Second), before(10*time.Second), before(10*time.Second), 10*time.Second
		}), []string{"powered but no DHCP"}},
		"nothing, failed":         {netbooting().late(Netbooting), []string{"powered but no DHCP"}},
		"nothing, daemon anew":    {netbooting().in(Netbooting, func(s *sight) { s.PoweredOn = time.Time{} }), []string{"powered on, and nothing"}},
		"nothing, nor of the BMC": {netbooting().in(Netbooting, func(s *sight) { s.BMCError = "x" }), []string{"no power or no network"}},
		"events of before":        {netbooting(seenDHCP(time.Hour, "pxe", "DISCOVER", "OFFER")), []string{"powered but no DHCP"}},
		"the BMC's DHCP alone":    {netbooting(seenDHCP(time.Minute, "dhcp", "REQUEST", "ACK", "role", "bmc")), []string{"powered but no DHCP"}},
		"one stranger": {netbooting().in(Netbooting, unknown("02:00:00:00:00:01")),
			[]string{"powered but no DHCP from its primary MAC 52:54:00:00:00:03", "is it one of 02:00:00:00:00:01?", "racker node replace node-3 --primary MAC"}},
		"many strangers": {netbooting().in(Netbooting, unknown("a", "b", "c", "d", "e")), []string{"one of e, d, c and 2 more?"}},
		"wrong VLAN": {netbooting().in(Netbooting, heard(Heard{At: before(time.Minute), What: "DHCP", VLAN: 20})),
			[]string{"link up but no DHCP: wrong VLAN", "VLAN 20 (DHCP, 1m0s ago)"}},
		"wrong VLAN, failed":       {netbooting().in(Netbooting, heard(Heard{At: before(time.Minute), VLAN: 7})).late(Netbooting), []string{"VLAN 7"}},
		"VLAN of before power-on":  {netbooting().in(Netbooting, heard(Heard{At: before(time.Hour), VLAN: 20})), []string{"powered but no DHCP"}},
		"LACP":                     {netbooting().in(Netbooting, heard(Heard{At: before(time.Second), What: "IPv6", LACP: before(time.Minute)})), []string{"link up but no DHCP: it speaks LACP (1m0s ago)", "fallback"}},
		"LACP, strangers":          {netbooting().in(Netbooting, heard(Heard{At: before(time.Second), LACP: before(time.Second)})).in(Netbooting, unknown("a")), []string{"LACP"}},
		"link up":                  {netbooting().in(Netbooting, heard(Heard{At: before(time.Minute), What: "ARP"})), []string{"link up but no DHCP: ARP of it was heard 1m0s ago", "boot order is wrong"}},
		"link up, failed":          {netbooting().in(Netbooting, heard(Heard{At: before(time.Minute), What: "IPv6"})).late(Netbooting), []string{"IPv6"}},
		"secondary NIC":            {netbooting(secondary), []string{"its secondary NIC asks", "1m0s ago", "swapped"}},
		"secondary NIC, strangers": {netbooting(secondary).in(Netbooting, unknown("a")), []string{"its secondary NIC asks"}},
		"boots its disk":           {netbooting(seenDHCP(2*time.Minute, "dhcp", "REQUEST", "ACK")), []string{"wrong boot order", "2m ago", "primary NIC first"}},
		"boots its disk, failed":   {netbooting(seenDHCP(9*time.Minute, "dhcp", "REQUEST", "ACK")).late(Netbooting), []string{"wrong boot order"}},
	})
}

func TestDiagnoseNetworkBoot(t *testing.T) {
	t.Parallel()
	offered := seenDHCP(2*time.Minute, "pxe", "DISCOVER", "OFFER")
	alarm := seen(6*time.Minute, event.Alarm)
	with := func(step int, more ...event.Event) sight { return netbooting(append(upTo(step), more...)...) }
	checkDiagnoses(t, map[string]diagnosisTest{
		"DHCP but no TFTP":         {with(stepAcked), []string{"DHCP but no TFTP", "8m ago", "ipxe.efi", "port 69"}},
		"DHCP but no TFTP, failed": {with(stepAcked).late(Netbooting), []string{"DHCP but no TFTP"}},
		"DHCP a moment ago":        {netbooting(seenDHCP(time.Second, "pxe", "REQUEST", "ACK")), nil},
		"offers not taken":         {netbooting(offered, offered, offered), []string{"DHCP but no TFTP: it asked for an address 3 times, the last 2m ago", "another DHCP server"}},
		"no boot program":          {netbooting(seenDHCP(2*time.Minute, "http", "DISCOVER", "OFFER", "problem", "no program for arm64")), []string{"no program for arm64"}},
		"DHCP ignored":             {netbooting(seenDHCP(2*time.Minute, "pxe", "DISCOVER", "", "ignored", "another server")), []string{"not answered: another server"}},
		"TFTP stalled": {with(stepAcked, seenFile(2*time.Minute, "tftp", "ipxe.efi", "512000", "2000000", "false", "reason", "timeout")),
			[]string{"TFTP stalled: it got 512.0 kB of 2.0 MB of ipxe.efi, 2m ago: timeout"}},
		"TFTP never began":    {with(stepAcked + 1), []string{"TFTP stalled: it got 0 bytes of 2.0 MB"}},
		"TFTP again, stalled": {with(stepAcked, seenFile(9*time.Minute, "tftp", "x", "1", "", "false"), seenFile(2*time.Minute, "tftp", "x", "7", "", "false")), []string{"it got 7 bytes of x"}},
		"HTTP boot stalled":   {with(stepAcked, seenFile(2*time.Minute, "http", "ipxe/ipxe.efi", "1", "2", "false")), []string{"HTTP stalled: it got 1 byte of 2 bytes"}},
		"iPXE is silent":      {with(stepProgram), []string{"it fetched iPXE (ipxe.efi) 7m ago", "Secure Boot"}},
		"iPXE is silent, too": {with(stepProgram).late(Netbooting), []string{"silent", "console"}},
		"no script":           {with(stepIPXE), []string{"iPXE runs (its DHCP was 7m ago)", "boot script", "firewall"}},
		"no script, failed":   {with(stepIPXE).late(Netbooting), []string{"did not fetch its boot script"}},
		"no kernel":           {with(stepScript), []string{"iPXE asked for its boot script 7m ago, and did not fetch the kernel:"}},
		"no kernel, alarm":    {with(stepScript, alarm), []string{"did not fetch the kernel (alarm: something)"}},
		"kernel stalled": {with(stepScript, seenFile(3*time.Minute, "http", "microkernels/1/vmlinuz", "4500000", "9000000", "false")),
			[]string{"does not come to the end: 4.5 MB of 9.0 MB of microkernels/1/vmlinuz, 3m ago"}},
		"no initramfs":         {with(stepKernel), []string{"does not come to the end", "9.0 MB of 9.0 MB"}},
		"agent silent":         {with(stepInitrd), []string{"its agent is silent: kernel and initramfs were fetched 7m ago", "driver"}},
		"agent silent, failed": {with(stepInitrd + 1).late(Netbooting), []string{"its agent is silent"}},
		"agent just loaded": {netbooting(seenFile(9*time.Second, "http", "microkernels/1/a", "1", "1", "true"),
			seenFile(8*time.Second, "http", "microkernels/1/b", "1", "1", "true")), nil},
	})
}

func TestDiagnoseAgent(t *testing.T) {
	t.Parallel()
	agent := func(heard time.Duration, step int) sight {
		return netbooting(upTo(step)...).in(Agent, func(s *sight) {
			s.Since, s.Moved, s.AgentHeard = before(400*time.Second), before(390*time.Second), before(heard)
		})
	}
	writing := func(heard, moved time.Duration, p *api.Progress) sight {
		return agent(heard, stepVerify).in(Installing, func(s *sight) { s.Moved, s.Progress = before(moved), p })
	}
	half := &api.Progress{Done: 5e9, Total: 10e9, BytesPerSecond: 10e6}
	crawl := &api.Progress{Done: 5e9, Total: 10e9, BytesPerSecond: 1e5}
	checkDiagnoses(t, map[string]diagnosisTest{
		"silent after check-in": {agent(5*time.Minute, stepAgent), []string{"agent is silent for 5m, after its check-in"}},
		"silent after a step":   {agent(5*time.Minute, stepVerify), []string{"after the step verify", "console"}},
		"silent, failed": {agent(5*time.Minute, stepVerify).late(Agent).in(Failed, func(s *sight) { s.AgentHeard = before(5 * time.Minute) }),
			[]string{"agent is silent for 5m"}},
		"does not go on":         {agent(time.Second, stepVerify), []string{"does not go on", "something", "racker node show node-3"}},
		"does not go on, failed": {agent(time.Minute, stepVerify).late(Agent), []string{"does not go on"}},
		"held":                   {agent(time.Second, stepAgent).in(Agent, func(s *sight) { s.Held = true }), []string{"--stop-at agent"}},
		"held, and silent long":  {agent(time.Hour, stepAgent).in(Agent, func(s *sight) { s.Held = true }), []string{"held in the microkernel"}},
		"disks asked":            {agent(time.Hour, stepAgent).in(Agent, func(s *sight) { s.Asks, s.Queued, s.Run = true, true, "run-1" }), []string{"racker run wait run-1"}},
		"queue":                  {agent(time.Second, stepAgent).in(Agent, func(s *sight) { s.Queued = true }), []string{"waits for an image stream"}},
		"queue, installing":      {writing(time.Second, time.Minute, nil).in(Installing, func(s *sight) { s.Queued = true }), []string{"limits.image_streams"}},

		"writes":               {writing(time.Second, time.Second, half), nil},
		"writes as the others": {writing(time.Second, time.Second, half).in(Installing, func(s *sight) { s.Peers = 12e6 }), nil},
		"slow":                 {writing(time.Second, time.Second, half).in(Installing, func(s *sight) { s.Peers = 90e6 }), []string{"write is slow: 10.0 MB per second against 90.0 MB of the others, 8m left"}},
		"slow, alone":          {writing(time.Second, time.Second, crawl), []string{"write is slow: 100.0 kB per second, 13h left for 5.0 GB"}},
		"silent while writing": {writing(time.Minute, time.Minute, half), []string{"agent is silent for 1m0s, in the middle of the write (5.0 GB of 10.0 GB)"}},
		"stands":               {writing(time.Second, time.Minute, half), []string{"stands still at 5.0 GB of 10.0 GB for 1m0s"}},
		"did not begin":        {writing(time.Second, time.Minute, nil), []string{"the write did not begin"}},
		"stood":                {writing(time.Minute, time.Minute, nil).late(Installing), []string{"stood still until its time was up"}},
		"failing": {writing(time.Second, time.Second, half).in(Failed, func(s *sight) { s.Step, s.Reason = Installing, "write at 7: input/output error" }),
			[]string{"its write failed: write at 7: input/output error", "racker node reprovision node-3"}},
		"failing, asks": {writing(time.Second, time.Second, half).in(Failed, func(s *sight) {
			s.Step, s.Reason, s.Asked = Installing, strings.Repeat("bad ", 200), before(5*time.Minute)
		}), []string{"its write failed: bad", "; run run-abc waits for an answer for 5m: retry, exclude or cancel"}},
		"another machine": {agent(time.Second, stepAgent).in(Failed, func(s *sight) {
			s.Step, s.Reason, s.Asked = Agent, "this is not the machine of its row", before(time.Second)
		}), []string{"failed in agent: this is not the machine of its row; run run-abc waits"}},
	})
}

func TestDiagnoseInstalled(t *testing.T) {
	t.Parallel()
	installed := func(more ...event.Event) sight {
		return netbooting(append(upTo(stepVerify), more...)...).in(Installed, func(s *sight) {
			s.Since, s.Moved, s.Rest = before(6*time.Minute), before(6*time.Minute), 14*time.Minute
		})
	}
	answer := func(ago time.Duration) event.Event { return seen(ago, event.BootAnswer) }
	system := func(ago time.Duration) event.Event { return seenDHCP(ago, "dhcp", "REQUEST", "ACK") }
	entered := seen(6*time.Minute, event.Transition, "state", "installed")
	checkDiagnoses(t, map[string]diagnosisTest{
		"reboots":             {installed().in(Installed, func(s *sight) { s.Since, s.Moved = before(time.Minute), before(time.Minute) }), nil},
		"never back":          {installed(), []string{"installed but no callback: it rebooted 6m ago", "does its disk boot"}},
		"never back, failed":  {installed(entered).late(Installed), []string{"installed but no callback"}},
		"no callback":         {installed(system(330*time.Second)).in(Booted, nil), []string{"installed but no callback: its system asked for an address 5m ago", "Ignition"}},
		"no callback, failed": {installed(entered, system(5*time.Minute)).late(Booted), []string{"did not call back"}},
		"boots":               {installed(system(time.Minute)).in(Booted, func(s *sight) { s.Since, s.Moved = before(time.Minute), before(time.Minute) }), nil},
		"disk does not boot":  {installed(answer(330 * time.Second)), []string{"booted from the network 5m ago", "does its disk boot?"}},
		"disk does not boot, failed": {installed(entered, answer(5*time.Minute)).late(Installed),
			[]string{"was told to boot its disk, and nothing followed"}},
		"network boot for ever":         {installed(answer(4*time.Minute), answer(2*time.Minute), answer(time.Minute)), []string{"wrong boot order", "3 times, the last 1m0s ago"}},
		"network boot for ever, failed": {installed(entered, answer(4*time.Minute), answer(2*time.Minute)).late(Installed), []string{"again and again (2 times"}},
		"network boot without a script": {installed(
			seenDHCP(5*time.Minute, "pxe", "REQUEST", "ACK"), seenDHCP(4*time.Minute, "pxe", "REQUEST", "ACK"),
			seenDHCP(3*time.Minute, "pxe", "REQUEST", "ACK"), seenDHCP(2*time.Minute, "pxe", "REQUEST", "ACK")), []string{"again and again (4 times, the last 2m ago)"}},
		"came up at last": {installed(answer(4*time.Minute), answer(3*time.Minute), system(time.Minute)).in(Booted, nil), nil},
		"excluded":        {installed().in(Excluded, nil), nil},
		"not fenced":      {installed().in(Excluded, func(s *sight) { s.NotFenced = "no answer" }), []string{"may still be on (no answer)", "racker node exclude node-3"}},
		"known":           {installed().in(Known, nil), nil},
		"ready":           {installed().in(Ready, nil), nil},
		"failed, no word": {sight{State: Failed}, nil},
		"nothing known":   {sight{}, nil},
	})
}

// FuzzDiagnose gives it any facts: it is one line under 300 bytes, and says the same for the same.
func FuzzDiagnose(f *testing.F) {
	for i := range 12 {
		f.Add(uint8(i), "node-3", "write: error\nline two\x1b[31m", strings.Repeat("é", 200), int64(i)*int64(time.Minute), int64(90), uint16(i*777))
	}
	f.Add(uint8(9), "\xff\xfe", accident(), "", int64(-1)<<63, int64(-5), uint16(0xffff))
	states := []State{Known, CheckingBMC, Powering, Netbooting, Agent, Installing, Installed, Booted, Ready, Failed, Excluded, "?"}
	f.Fuzz(func(t *testing.T, state uint8, name, reason, word string, ago, n int64, bits uint16) {
		bit := func(i int) bool { return bits>>i&1 != 0 }
		s := sight{
			Name: name, Primary: word, State: states[int(state)%len(states)], Step: states[int(bits)%len(states)], Reason: reason, Run: word,
			Refused: bit(0), Silent: bit(1), Queued: bit(2), Held: bit(3), Asks: bit(5), BMC: word, BMCError: reason, Now: noon, Since: noon.Add(time.Duration(n)),
			PoweredOn: noon.Add(-time.Duration(ago / 2)), AgentHeard: noon.Add(time.Duration(ago)), Moved: noon.Add(-time.Duration(n)), Rest: time.Duration(n),
			Peers: ago, Unknown: []string{name, reason, word, word}, Heard: Heard{What: word, VLAN: int(n), At: noon, LACP: noon.Add(time.Duration(n))},
		}
		if bit(4) {
			s.Progress = &api.Progress{Done: n, Total: ago, BytesPerSecond: n}
		}
		if bit(5) {
			s.Power = api.PowerOff
		}
		if bit(6) {
			s.Reason = reasonLate + reason
		}
		if bit(7) {
			s.Asked = noon
		}
		if bit(8) {
			s.Microkernel, s.NotFenced = word, word
		}
		for i, e := range upTo(int(bits>>9) % (stepVerify + 1)) {
			if i%3 == 0 {
				e.Fields = map[string]string{"client": word, "file": name, "by": reason, "bytes": fmt.Sprint(n), "size": word, "role": reason, "problem": word}
				e.Message = reason
			}
			s.Events = append(s.Events, e)
		}
		got := diagnose(s)
		if len(got) >= 300 || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%d bytes: %q", len(got), got)
		}
		if again := diagnose(s); again != got {
			t.Errorf("%q, then %q", got, again)
		}
	})
}

// accident is a reason as a machine may give it.
func accident() string { return notApplied + strings.Repeat("\x00\u2028", 300) }
