package provision

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/rack"
)

// renewal is a root file system that a node is to make anew.
type renewal struct {
	// Token is the secret of the callback that its system makes.
	Token  string `json:"token"`
	Digest string `json:"digest"` // of the config that it is made from
	// RackKey is the fingerprint of racker's SSH key in that config.
	RackKey string `json:"rack_key,omitempty"`
	// Health is set when a health command is to follow.
	Health bool `json:"health,omitempty"`
}

// renewed notes that the system with the new root called back: the config is on the node, whole.
func (i *Install) renewed() {
	i.Callback, i.Config, i.ConfigAt = i.Renew.Token, i.Renew.Digest, time.Now().UTC()
	i.Spec = spec(i.Image, nil, i.Config)
	i.RackKey = i.Renew.RackKey
	i.Unproved = i.Renew.Health
	i.Renew, i.Attempts = nil, nil
}

// rootPlace is what a node says of its disk.
type rootPlace struct {
	oem   string // where the OEM partition is mounted
	root  string // partition GUID of ROOT, on the same disk
	reset bool   // flatcar-reset is there
}

// placeScript finds the OEM partition by where it is mounted, and ROOT on the same disk: another disk may carry the same labels.
const placeScript = `set -eu
fail() { echo "$1" >&2; exit 1; }
oem=''
for d in /oem /usr/share/oem; do
    ls "$d/." >/dev/null 2>&1 || continue
    source=$(findmnt -n -o SOURCE -t noautofs -M "$d" | tail -n 1)
    if [ -n "$source" ]; then oem=$d; break; fi
done
[ -n "$oem" ] || fail 'no OEM partition is mounted'
ls /boot/. >/dev/null 2>&1 || :
[ -d /boot/flatcar ] || fail '/boot/flatcar is not there: this system knows no first-boot flag'
part=$(readlink -f "${source%%\[*}")
disk=$(readlink -f "/sys/class/block/${part##*/}/..")
root=''
for u in "$disk"/*/uevent; do
    if grep -qx 'PARTNAME=ROOT' "$u"; then root=$(sed -n 's/^DEVNAME=//p' "$u"); fi
done
[ -n "$root" ] || fail "the disk of $part has no partition ROOT"
guid=$(blkid -p -s PART_ENTRY_UUID -o value "/dev/$root")
echo "oem=$oem"
echo "root=$guid"
if command -v flatcar-reset >/dev/null 2>&1; then echo reset=yes; fi
`

// rootOf asks a node where the new Ignition config goes, and what is erased.
func (m *Machine) rootOf(ctx context.Context, n *rack.Node) (rootPlace, error) {
	res, err := m.onNode(ctx, n, "the look at its disk", runStdin, []byte(placeScript), scriptTime)
	if err != nil {
		return rootPlace{}, err
	}
	said := map[string]string{}
	for line := range strings.Lines(string(res.Stdout)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		said[key] = value
	}
	p := rootPlace{oem: said["oem"], root: strings.ToLower(said["root"]), reset: said["reset"] == "yes"}
	if !guid.MatchString(p.root) || p.oem != "/oem" && p.oem != "/usr/share/oem" {
		return p, &applyError{fmt.Sprintf("its OEM partition is at %.40q and its ROOT has the GUID %.40q", p.oem, p.root), codeFailed}
	}
	return p, nil
}

// stageRoot puts the new Ignition config onto the node's OEM partition, and has the next boot be a first boot that erases ROOT.
// The token of its callback is known before it leaves this machine.
func (m *Machine) stageRoot(ctx context.Context, r *runRecord, n *rack.Node) error {
	place, err := m.rootOf(ctx, n)
	if err != nil {
		return err
	}
	if len(r.Apply.Keep) > 0 && !place.reset {
		return &applyError{"the system has no flatcar-reset, which alone can keep paths", codeFailed}
	}
	token := r.Apply.Token
	if token == "" {
		token = secret()
		if err := m.updateRun(ctx, r.ID, func(r *runRecord) { r.Apply.Token = token }); err != nil {
			return err
		}
	}
	own, err := m.keys.own(ctx)
	if err != nil {
		return err
	}
	config, err := m.newRoot(ctx, r, n, place, token)
	if err != nil {
		return err
	}
	renew := &renewal{Token: token, Digest: r.Apply.Digest, RackKey: own.given().fingerprint(), Health: r.Apply.Health != ""}
	if err := m.givesRoot(ctx, r, n, renew, config); err != nil {
		return err
	}
	kernel, err := m.kernelText(ctx, r, n)
	if err != nil {
		return err
	}
	if _, err := m.onNode(ctx, n, "the new Ignition config", runStdin, stageScript(place, config, kernel, r.Apply.Keep), scriptTime); err != nil {
		return err
	}
	m.note(n.Primary, event.Event{Kind: event.RunChange, Run: r.ID, Message: "its new Ignition config is in place; ROOT is erased at its next boot"})
	return nil
}

// givesRoot audits that a config, with its secrets, leaves this machine, and notes the token and the key that are in it.
func (m *Machine) givesRoot(ctx context.Context, r *runRecord, n *rack.Node, renew *renewal, config []byte) error {
	err := m.update(ctx, n.Primary, func(rec *Record) error {
		own, err := m.keys.own(ctx)
		if err != nil {
			return err
		}
		if own.given().fingerprint() != renew.RackKey { // rotated in this moment: the config is rendered again
			return errStale
		}
		rec.Install.Renew = renew
		return nil
	})
	if err != nil || m.needs.Audit == nil {
		return err
	}
	sum := sha256.Sum256(config)
	_, err = m.needs.Audit.Append(api.AuditEntry{
		UID: os.Geteuid(), Plan: hex.EncodeToString(sum[:]), Result: api.AuditOK, Run: r.ID,
		Order: fmt.Sprintf("gave Ignition config to %s (%s) over SSH, for a new root file system", n.Name, n.Primary),
	})
	if err != nil {
		return m.applyTrouble(ctx, fmt.Errorf("its Ignition config is not given out, since the audit cannot be written: %w", err))
	}
	return nil
}

// newRoot renders the config from which the node makes its new root.
func (m *Machine) newRoot(ctx context.Context, r *runRecord, n *rack.Node, place rootPlace, token string) ([]byte, error) {
	declared, err := m.declared(ctx, n.Primary, r.Apply.Digest)
	if err != nil {
		return nil, m.applyTrouble(ctx, err)
	}
	c := *declared
	if len(r.Apply.Keep) == 0 { // flatcar-reset empties ROOT itself
		wipe, err := ignite.WipeRoot(declared, "/dev/disk/by-partuuid/"+place.root)
		if err != nil {
			return nil, m.applyTrouble(ctx, err)
		}
		c.Butane = append(slices.Clone(c.Butane), wipe)
	}
	profile, man, err := m.kindOf(ctx, r.Image)
	if err == nil && !profile.TakesIgnition() {
		err = fmt.Errorf("its image's profile %s takes no Ignition config", profile.Name)
	}
	if err != nil {
		return nil, m.applyTrouble(ctx, err)
	}
	out, err := m.render(ctx, n, &Job{Callback: token}, profile, man, &c)
	if err != nil {
		return nil, m.applyTrouble(ctx, err)
	}
	return out, nil
}

// stageScript writes config.ign as the install did, and the flag of the first boot last: a node that dies in between boots as
// it did. The config has secrets, and comes by standard input with the script.
func stageScript(place rootPlace, config []byte, kernel *kernelFile, keep []string) []byte {
	b := &shell{}
	b.begin()
	b.line("umask 077")
	b.line("oem=" + quoteSh(place.oem))
	b.writable()
	b.step("config.ign")
	b.line(`base64 -d >"$oem/config.ign.new" <<'END'`)
	b.data(config)
	b.line(`chmod 600 "$oem/config.ign.new"; sync "$oem/config.ign.new"; mv -f "$oem/config.ign.new" "$oem/config.ign"; sync "$oem"`)
	if kernel != nil {
		b.kernel(kernel)
	}
	if len(keep) > 0 {
		b.step("flatcar-reset")
		words := make([]string, 0, len(keep))
		for _, p := range keep {
			words = append(words, quoteSh(p))
		}
		b.line("flatcar-reset --keep-machine-id --keep-paths " + strings.Join(words, " "))
	} else {
		b.step("first-boot flag")
		b.line("echo racker >/boot/flatcar/first_boot")
	}
	b.line("sync /boot/flatcar/first_boot")
	b.readOnly()
	return b.end()
}

// unstage takes a first boot back that an earlier apply ordered and that did not happen: no later reboot may erase ROOT.
func (m *Machine) unstage(ctx context.Context, n *rack.Node, rec *Record) error {
	if rec.Install.Renew == nil {
		return nil
	}
	// An earlier script that is still at work would order it again.
	const script = "mkdir -p /run/racker && exec 9>/run/racker/apply.lock && flock -w 120 9 && rm -f /boot/flatcar/first_boot /selective-os-reset &&" +
		" { [ ! -d /boot/flatcar ] || sync /boot/flatcar; }"
	if _, err := m.onNode(ctx, n, "taking an earlier first boot back", script, nil, scriptTime); err != nil {
		return err
	}
	err := m.update(ctx, n.Primary, func(rec *Record) error {
		if rec.State != Ready {
			return errStale
		}
		rec.Install.Renew = nil
		return nil
	})
	if errors.Is(err, errStale) {
		return &applyError{"the node began the first boot that an earlier apply ordered", codeFailed}
	}
	return err
}

// endStage takes the first boot back that a failed apply ordered itself, if the node still runs as it did. When that does not work,
// the reason says so.
func (m *Machine) endStage(ctx context.Context, r *runRecord, why *applyError) (*applyError, error) {
	n, rec := m.node(r.Nodes[0])
	staged := r.Apply.Step == applyStage || r.Apply.Step == applyReboot
	if !staged || n == nil || rec == nil || rec.Run != r.ID || rec.State != Ready || rec.Install == nil || rec.Install.Renew == nil {
		return why, nil
	}
	err := m.unstage(ctx, n, rec)
	var left *applyError
	if !errors.As(err, &left) {
		return why, err
	}
	return &applyError{why.reason + "; its next boot erases ROOT, until another apply takes that back: " + left.reason, why.code}, nil
}

// base64Width is how long the lines of data in a script are.
const base64Width = 76

// data writes bytes as the rest of a here-document that ends with END.
func (b *shell) data(content []byte) {
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > base64Width {
		b.line(text[:base64Width])
		text = text[base64Width:]
	}
	b.line(text)
	b.line("END")
}
