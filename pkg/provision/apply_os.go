package provision

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// Updates gives the payloads by which a running system updates itself.
type Updates interface {
	// Find gives the payload of a version; path is below /assets/, and sha256 that of the file, lower-case hex.
	Find(ctx context.Context, version string) (path, sha256 string, err error)
}

// osVersion is a version of the OS: it becomes a word of a script.
var osVersion = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9}){1,3}([+-][0-9A-Za-z.-]{1,32})?$`)

// UpgradeOS updates the OS of one ready node beside its running system, and reboots into it. The payload must be in the cache. A
// node that runs the version is left alone: its view has Changed false. Errors match ErrRequest, ErrBusy or ErrNoNode.
func (m *Machine) UpgradeOS(ctx context.Context, word string, o api.OSUpgrade) (api.RunView, error) {
	n, err := m.server(word)
	if err != nil {
		return api.RunView{}, err
	}
	if !osVersion.MatchString(o.Version) {
		return api.RunView{}, fmt.Errorf("version %q: want one like 4593.2.5: %w", o.Version, ErrRequest)
	}
	rec := m.record(n.Primary)
	if err := m.appliesTo(n, rec); err != nil {
		return api.RunView{}, err
	}
	a := &applying{Version: o.Version, Cost: api.CostReboot, Step: applyBegin, Health: o.Health}
	if err := m.wantOS(ctx, n.Primary, o.Version); err != nil {
		return api.RunView{}, err
	}
	if rec.OSVersion == o.Version {
		return m.unchanged(m.applyRun(n, a)), nil
	}
	if m.needs.Updates == nil {
		return api.RunView{}, fmt.Errorf("this daemon has no cache of updates: %w", ErrRequest)
	}
	if _, _, err := m.needs.Updates.Find(ctx, o.Version); err != nil {
		return api.RunView{}, fmt.Errorf("%w: %w", err, ErrRequest)
	}
	return m.admitApply(ctx, n, a)
}

// labelVersion is the label of a config that names the OS version which is wanted.
const labelVersion = "version"

// wantOS keeps which version of the OS a node is to run.
func (m *Machine) wantOS(ctx context.Context, mac rack.MAC, version string) error {
	if rec := m.record(mac); rec == nil || rec.WantedOS == version {
		return nil
	}
	return m.update(ctx, mac, func(rec *Record) error {
		rec.WantedOS = version
		return nil
	})
}

// updateScript fetches the payload over the internal network, compares its digest with the one that came over SSH, and gives it to
// flatcar-update, whose update-engine checks the payload's own signature. What an earlier try put in place counts. An
// update-engine that is masked, as updates are off, is masked again.
const updateScript = `fail() { echo "$1" >&2; exit 1; }
running() { . /etc/os-release; echo "${VERSION_ID:-}"; }
status() { update_engine_client -status 2>/dev/null || :; }
update() {
    if [ "$(running)" = "$version" ]; then echo running; return 0; fi
    command -v flatcar-update >/dev/null || fail 'this system has no flatcar-update'
    if status | grep -qx 'CURRENT_OP=UPDATE_STATUS_UPDATED_NEED_REBOOT'; then
        if status | grep -qx "NEW_VERSION=$version"; then return 0; fi
        step='giving up another update'
        update_engine_client -reset_status
    fi
    step='the download'
    mkdir -p /var/tmp/racker
    file=/var/tmp/racker/flatcar_production_update.gz
    matches() { [ -e "$file" ] && [ "$(sha256sum <"$file" | cut -c 1-64)" = "$sha256" ]; }
    if ! matches; then
        rm -f "$file"
        curl --fail --silent --show-error --retry 5 --retry-connrefused --connect-timeout 10 --output "$file" "$url"
        matches || { rm -f "$file"; fail 'the payload that came is not the one in the cache'; }
    fi
    masked=$(systemctl is-enabled update-engine.service 2>/dev/null || :)
    step='flatcar-update'
    code=0
    flatcar-update --to-version "$version" --to-payload "$file" </dev/null || code=$?
    if [ "$masked" = masked ]; then systemctl -q mask --now update-engine.service; fi
    [ "$code" -eq 0 ] || exit "$code"
    rm -f "$file"
}
`

// updateOS has the new version put onto the partition that the node does not run from. A node that runs it needs no reboot.
func (m *Machine) updateOS(ctx context.Context, r *runRecord, n *rack.Node, rec *Record) (next string, err error) {
	if err := m.unstage(ctx, n, rec); err != nil { // its reboot would erase ROOT
		return "", err
	}
	path, sum, err := m.needs.Updates.Find(ctx, r.Apply.Version)
	if err != nil {
		return "", m.applyTrouble(ctx, err)
	}
	b := &shell{}
	b.line(updateScript)
	b.begin()
	b.line("version=" + quoteSh(r.Apply.Version) + " sha256=" + quoteSh(sum))
	b.line("url=" + quoteSh(m.site().plain("/assets/"+path)))
	b.line("update")
	res, err := m.onNode(ctx, n, "the update", runStdin, b.end(), updateTime)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(string(res.Stdout)) == "running" {
		return applyVerify, nil
	}
	m.note(n.Primary, event.Event{Kind: event.RunChange, Run: r.ID, Message: "version " + r.Apply.Version + " is beside the running system"})
	return applyReboot, nil
}

// verifyOS asks which version runs, and keeps it.
func (m *Machine) verifyOS(ctx context.Context, r *runRecord, n *rack.Node) error {
	const script = `. /etc/os-release; echo "${VERSION_ID:-}"; echo "${PRETTY_NAME:-${ID:-}}"`
	res, err := m.onNode(ctx, n, "asking for its version", script, nil, lookTime)
	if err != nil {
		return err
	}
	version, name, _ := strings.Cut(strings.TrimSpace(string(res.Stdout)), "\n")
	const longest = 200
	err = m.update(ctx, n.Primary, func(rec *Record) error {
		rec.OSVersion = version[:min(len(version), longest)]
		if rec.Callback != nil {
			c := *rec.Callback
			c.OS = name[:min(len(name), longest)]
			rec.Callback = &c
		}
		return nil
	})
	if err == nil && version != r.Apply.Version {
		return &applyError{fmt.Sprintf("it runs version %.40q after its reboot, not %s: the new system may have failed to start", version, r.Apply.Version), codeFailed}
	}
	return err
}
