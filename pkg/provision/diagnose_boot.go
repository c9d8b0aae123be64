package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// notApplied are the words of bmc.ErrNotApplied; errors reach a node's record as text.
const notApplied = "accepted, but not applied"

func queuedToStart(s *sight, _ *trail) string {
	if !s.Queued || s.State == Failed {
		return ""
	}
	return "waits for its turn to be powered on, since servers of a run start one after the other (limits.power_interval)"
}

func bmcRefuses(s *sight, _ *trail) string {
	if !s.Refused {
		return ""
	}
	return fmt.Sprintf("its BMC%s refuses the user or the password (%s): correct ipmi_user and ipmi_password, then racker node reprovision %s; it is not tried again, since BMCs lock accounts",
		s.bmcAt(), clip(s.bmcWords(), 60), s.name())
}

func bmcDoesNothing(s *sight, _ *trail) string {
	if !strings.Contains(s.BMCError, notApplied) && !strings.Contains(s.Reason, notApplied) {
		return ""
	}
	return fmt.Sprintf("its BMC says yes and does nothing (%s): reset the BMC itself, or look at the server's power supply and panel", quoted(s.bmcWords()))
}

func bmcSilent(s *sight, t *trail) string {
	if !s.Silent || !s.over(patiencePower) {
		return ""
	}
	text := fmt.Sprintf("its BMC%s does not answer: ", s.bmcAt())
	switch {
	case t.bmc == nil:
		return text + "it did not ask for an address either, so look at its cable, its power, and the BMC MAC in nodes.csv"
	case t.bmc.Fields[event.KeyReply] == "":
		return text + fmt.Sprintf("it asked for an address %s ago and got none (%s)", s.ago(t.bmc.Time), quoted(t.bmc.Fields[event.KeyIgnored]))
	}
	return text + fmt.Sprintf("it asked for its address %s ago, so it lives; is IPMI over LAN switched on in it?", s.ago(t.bmc.Time))
}

func bmcFails(s *sight, _ *trail) string {
	if s.bmcWords() == "" || !s.over(patiencePower) {
		return ""
	}
	return fmt.Sprintf("its BMC%s does not do as told: %s; look at the BMC", s.bmcAt(), quoted(s.bmcWords()))
}

// bmcWords is what is known of a BMC's failure.
func (s *sight) bmcWords() string {
	if s.State == Failed && s.Reason != "" && !strings.HasPrefix(s.Reason, reasonLate) {
		return s.Reason
	}
	return s.BMCError
}

func (s *sight) bmcAt() string {
	if s.BMC == "" {
		return ""
	}
	return " at " + clip(s.BMC, 40)
}

func noMicrokernel(s *sight, _ *trail) string {
	if s.Microkernel == "" {
		return ""
	}
	return fmt.Sprintf("there is no microkernel for it to boot (%s): racker microkernel build", quoted(s.Microkernel))
}

func noPower(s *sight, _ *trail) string {
	if s.Power != api.PowerOff || !s.overSince(s.PoweredOn, patiencePower) {
		return ""
	}
	return fmt.Sprintf("no power: %s, and its BMC reads off: look at its power supplies and cables, and whether somebody switched it off; then racker node reprovision %s",
		s.sincePower(), s.name())
}

// stuckAt reports whether nothing came after an event for longer than is good.
func (s *sight) stuckAt(e *event.Event) bool { return e != nil && s.overSince(e.Time, patienceStep) }

func agentNeverCame(s *sight, t *trail) string {
	if len(t.gotKernel) < 2 || t.agent != nil || !s.stuckAt(t.kernel) {
		return ""
	}
	return fmt.Sprintf("its agent is silent: kernel and initramfs were fetched %s ago, and no check-in followed%s: look at its console; does the microkernel have its NIC's driver?",
		s.ago(t.kernel.Time), t.alarmText())
}

func kernelStalled(s *sight, t *trail) string {
	if t.kernel == nil || t.agent != nil || len(t.gotKernel) >= 2 || !s.stuckAt(t.kernel) {
		return ""
	}
	return fmt.Sprintf("it fetches the microkernel and does not come to the end: %s of %s, %s ago: look at its link, and at its console",
		part(t.kernel), clip(t.kernel.Fields[event.KeyFile], 60), s.ago(t.kernel.Time))
}

func noKernel(s *sight, t *trail) string {
	if t.answer == nil || t.kernel != nil || !s.stuckAt(t.answer) {
		return ""
	}
	return fmt.Sprintf("iPXE asked for its boot script %s ago, and did not fetch the kernel%s: look at its console for iPXE's error",
		s.ago(t.answer.Time), t.alarmText())
}

func noScript(s *sight, t *trail) string {
	if t.ipxe == nil || t.answer != nil || !s.stuckAt(t.ipxe) {
		return ""
	}
	return fmt.Sprintf("iPXE runs (its DHCP was %s ago), and did not fetch its boot script: is the HTTP port of racker open in this machine's firewall?", s.ago(t.ipxe.Time))
}

func noIPXE(s *sight, t *trail) string {
	if !t.gotProgram || t.ipxe != nil || t.answer != nil || !s.stuckAt(t.program) {
		return ""
	}
	return fmt.Sprintf("it fetched iPXE (%s) %s ago, which is silent: Secure Boot may refuse it, or it may not know the NIC; look at its console",
		clip(t.program.Fields[event.KeyFile], 60), s.ago(t.program.Time))
}

func tftpStalled(s *sight, t *trail) string {
	if t.program == nil || t.gotProgram || !s.stuckAt(t.program) {
		return ""
	}
	how := strings.ToUpper(t.program.Fields[event.KeyBy])
	if how == "" {
		how = "the transfer"
	}
	reason := ""
	if r := t.program.Fields[event.KeyReason]; r != "" {
		reason = ": " + clip(oneLine(r), 60)
	}
	return fmt.Sprintf("%s stalled: it got %s of %s, %s ago%s: look for lost packets between it and racker, a wrong MTU or a bad cable",
		clip(how, 20), part(t.program), clip(t.program.Fields[event.KeyFile], 60), s.ago(t.program.Time), reason)
}

func noTFTP(s *sight, t *trail) string {
	if t.firmware == nil || t.program != nil || t.ipxe != nil || !s.stuckAt(t.firmware) {
		return ""
	}
	f := t.firmware.Fields
	switch {
	case f[event.KeyProblem] != "":
		return fmt.Sprintf("it asks to boot from the network, and cannot: %s", quoted(f[event.KeyProblem]))
	case f[event.KeyReply] == "" && f[event.KeyIgnored] != "":
		return fmt.Sprintf("its DHCP is not answered: %s", quoted(f[event.KeyIgnored]))
	case t.taken == nil:
		return fmt.Sprintf("DHCP but no TFTP: it asked for an address %d times, the last %s ago, and took no offer: another DHCP server answers on this network, or the offers do not reach it",
			t.asked, s.ago(t.firmware.Time))
	}
	return fmt.Sprintf("DHCP but no TFTP: it got its address %s ago, and did not fetch %s: is TFTP (UDP port 69) open in this machine's firewall and on the way?",
		s.ago(t.taken.Time), bootFile(f[event.KeyFile]))
}

func bootFile(name string) string {
	if name == "" {
		return "its boot file"
	}
	return clip(name, 60)
}

func bootsDisk(s *sight, t *trail) string {
	if t.system == nil || t.firmware != nil || t.ipxe != nil || t.agent != nil || !s.stuckAt(t.system) {
		return ""
	}
	return fmt.Sprintf("wrong boot order: it did not boot from the network, but an installed system, which asked for an address %s ago: put its primary NIC first in the firmware's boot order",
		s.ago(t.system.Time))
}

// silent reports whether there is no DHCP of the node at all, for longer than is good.
func (s *sight) silent(t *trail) bool {
	return t.nothing() && s.overSince(s.PoweredOn, patienceNetwork)
}

// fresh reports whether its frames were heard since it was powered on.
func (s *sight) fresh() bool { return !s.Heard.At.IsZero() && !s.Heard.At.Before(s.PoweredOn) }

func wrongVLAN(s *sight, t *trail) string {
	if !s.silent(t) || !s.fresh() || s.Heard.VLAN == 0 {
		return ""
	}
	return fmt.Sprintf("link up but no DHCP: wrong VLAN: its frames come with the tag of VLAN %d (%s, %s ago): make racker's network the untagged VLAN of its switch port",
		s.Heard.VLAN, clip(s.Heard.What, 20), s.ago(s.Heard.At))
}

func noFallback(s *sight, t *trail) string {
	if !s.silent(t) || s.Heard.LACP.IsZero() || s.Heard.LACP.Before(s.PoweredOn) {
		return ""
	}
	return fmt.Sprintf("link up but no DHCP: it speaks LACP (%s ago), so its switch ports wait for a bond: switch LACP fallback on for them, or take the primary NIC out of the bond",
		s.ago(s.Heard.LACP))
}

func wrongNIC(s *sight, t *trail) string {
	if !s.silent(t) || t.secondary == nil {
		return ""
	}
	return fmt.Sprintf("its secondary NIC asks for an address on racker's network (%s ago), and its primary %s does not: are cables, boot order, or the two columns of nodes.csv swapped?",
		s.ago(t.secondary.Time), s.Primary)
}

func strangers(s *sight, t *trail) string {
	if !s.silent(t) || len(s.Unknown) == 0 {
		return ""
	}
	var macs []string
	for _, m := range slices.Backward(s.Unknown) { // the newest first
		if len(macs) == maxNamed {
			break
		}
		macs = append(macs, clip(oneLine(m), 20))
	}
	text := strings.Join(macs, ", ")
	if more := len(s.Unknown) - len(macs); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("powered but no DHCP from its primary MAC %s (%s): unknown machines asked since: is it one of %s? Then racker node replace %s --primary MAC",
		s.Primary, s.sincePower(), text, s.name())
}

func noDHCP(s *sight, t *trail) string {
	switch {
	case !s.silent(t):
		return ""
	case s.fresh():
		return fmt.Sprintf("link up but no DHCP: %s of it was heard %s ago: a system runs that it did not get from the network, so the boot order is wrong; or the switch port waits for LACP without fallback",
			clip(s.Heard.What, 20), s.ago(s.Heard.At))
	case s.BMCError != "":
		return fmt.Sprintf("no power or no network: %s, nothing was heard of it, and its BMC does not answer any more: look at its power and cables", s.sincePower())
	}
	return fmt.Sprintf("powered but no DHCP: %s, and nothing was heard of %s: look at that NIC's cable and switch port, at the MAC in nodes.csv, and whether network boot is on and first in the boot order",
		s.sincePower(), s.Primary)
}

// alarmText adds an alarm to a finding.
func (t *trail) alarmText() string {
	if t.alarm == nil {
		return ""
	}
	return " (alarm: " + clip(oneLine(t.alarm.Message), 90) + ")"
}
