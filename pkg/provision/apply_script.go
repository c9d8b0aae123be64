package provision

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/racker-project/racker/pkg/ignite"
)

// runStdin has the node's shell run what comes by standard input, where no list of processes shows it.
const runStdin = "exec sh -s"

// shell is a script for a node. All of it is one function, so that a script which is cut off on its way does nothing.
type shell struct{ text bytes.Buffer }

func (b *shell) line(text string) { b.text.WriteString(text + "\n") }

// step names what is done next, for the error.
func (b *shell) step(name string) { b.line("step=" + quoteSh(name)) }

// begin opens the function; only one such script runs at a time on a node.
func (b *shell) begin() {
	b.line("main() {")
	b.line("set -eu")
	b.line("step='the start'")
	b.line(`trap 'code=$?; [ "$code" -eq 0 ] || echo "$step: exit code $code" >&2' EXIT`)
	b.line("mkdir -p /run/racker && exec 9>/run/racker/apply.lock && flock -w 120 9")
}

func (b *shell) end() []byte {
	b.line("}")
	b.line("main")
	return b.text.Bytes()
}

// quoteSh makes one word of a POSIX shell of any text without NUL.
func quoteSh(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func quoteAll(words []string) string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		out = append(out, quoteSh(w))
	}
	return strings.Join(out, " ")
}

// applyFunctions are what the actions are made of. Each does nothing when all is as it should be.
const applyFunctions = `put() { # PATH MODE OWNER; base64 on standard input
    mkdir -p "${1%/*}"
    new=$(mktemp "${1%/*}/.racker.XXXXXXXX")
    base64 -d >"$new"
    chown "$3" "$new"
    chmod "$2" "$new"
    sync "$new"
    keep_ssh "$1"
    mv -fT "$new" "$1"
    if command -v restorecon >/dev/null 2>&1; then restorecon "$1" || :; fi
}
gone() { # PATH
    keep_ssh "$1"
    rm -f "$1"
    for base in /usr/share/flatcar /usr/share/factory; do
        if [ -e "$base$1" ]; then cp -a "$base$1" "$1"; break; fi
    done
}
dir() { # PATH MODE OWNER; an empty one is kept as it is
    if [ ! -d "$1" ]; then mkdir -p "$1"; chmod 755 "$1"; fi
    if [ -n "$3" ]; then chown "$3" "$1"; fi
    if [ -n "$2" ]; then chmod "$2" "$1"; fi
}
keys() { # USER ADD REMOVE; files of lines
    home=$(getent passwd "$1" | cut -d : -f 6)
    file=$home/.ssh/authorized_keys.d/ignition
    if [ ! -e "$file" ] && [ -e "$home/.ssh/authorized_keys" ]; then file=$home/.ssh/authorized_keys; fi
    for d in "$home/.ssh" "${file%/*}"; do
        if [ ! -d "$d" ]; then mkdir -m 700 "$d"; chown "$1:" "$d"; fi
    done
    new=$(mktemp "${file%/*}/.racker.XXXXXXXX")
    if [ -e "$file" ]; then grep -vxF -f "$3" "$file" >"$new" || [ $? -eq 1 ]; fi
    while IFS= read -r line; do
        grep -qxF -e "$line" "$new" || printf '%s\n' "$line" >>"$new"
    done <"$2"
    chown "$1:" "$new"
    chmod 600 "$new"
    sync "$new"
    mv -fT "$new" "$file"
    if command -v update-ssh-keys >/dev/null 2>&1; then update-ssh-keys -u "$1"; fi
}
known() { systemctl cat "$1" >/dev/null 2>&1; }
disable() { systemctl -q disable --now "$1" || ! known "$1"; }
forget() {
    preset=/etc/systemd/system-preset/20-ignition.preset
    if [ -e "$preset" ]; then grep -vxF -e "enable $1" -e "disable $1" "$preset" >/run/racker/preset || :; cat /run/racker/preset >"$preset"; fi
    if ! known "$1"; then systemctl -q reset-failed "$1" 2>/dev/null || :; return 0; fi
    systemctl -q preset "$1"
    systemctl -q is-enabled "$1" || systemctl stop "$1"
}
restart() { # a unit that is not at work is left alone
    case $(systemctl is-active "$1" || :) in active | activating | reloading | failed) systemctl restart "$1" ;; esac
}
`

// applyScript is the script that carries actions out.
func applyScript(actions []ignite.Action) []byte {
	b := &shell{}
	b.line(applyFunctions + sshFunctions)
	b.begin()
	for _, a := range actions {
		b.step(strings.TrimSpace(string(a.Kind) + " " + a.Path))
		b.action(a)
	}
	b.step("sync")
	b.line("sync")
	return b.end()
}

func (b *shell) action(a ignite.Action) {
	path, mode := quoteSh(a.Path), strconv.FormatInt(int64(a.Mode), 8)
	switch a.Kind {
	case ignite.WriteFile:
		b.line(fmt.Sprintf("put %s %s %s <<'END'", path, mode, quoteSh(a.Owner)))
		b.data(a.Content)
	case ignite.RemoveFile:
		b.line("gone " + path)
	case ignite.MakeDir:
		if a.Mode == ignite.KeepMode {
			mode = "''"
		}
		b.line(fmt.Sprintf("dir %s %s %s", path, mode, quoteSh(a.Owner)))
	case ignite.RemoveDir:
		b.line("[ ! -d " + path + " ] || rmdir " + path + " 2>/dev/null || :")
	case ignite.MakeLink:
		how := "-sfnT"
		if a.Hard {
			how = "-fT"
		}
		b.line("mkdir -p " + quoteSh(parent(a.Path)) + "; keep_ssh " + path)
		b.line(fmt.Sprintf("ln %s %s %s; chown -h %s %s", how, quoteSh(a.Target), path, quoteSh(a.Owner), path))
	case ignite.ChangeKeys:
		b.list("/run/racker/add", a.Add)
		b.list("/run/racker/remove", a.Remove)
		b.line("keys " + path + " /run/racker/add /run/racker/remove")
	default:
		b.account(a)
	}
}

// list writes lines to a file.
func (b *shell) list(file string, lines []string) {
	b.line("base64 -d >" + file + " <<'END'")
	text := strings.Join(lines, "\n")
	if len(lines) > 0 {
		text += "\n"
	}
	b.data([]byte(text))
}

func (b *shell) account(a ignite.Action) {
	name := quoteSh(a.Path)
	switch a.Kind {
	case ignite.AddGroup:
		b.line("getent group " + name + " >/dev/null || groupadd " + quoteAll(a.Add) + " " + name)
	case ignite.AddUser:
		b.line("getent passwd " + name + " >/dev/null || useradd " + quoteAll(a.Add) + " " + name)
	case ignite.SetPassword:
		b.line("base64 -d <<'END' | chpasswd -e")
		b.data([]byte(a.Path + ":" + string(a.Content) + "\n"))
	case ignite.JoinGroups:
		for _, g := range a.Add {
			b.line("usermod -a -G " + quoteSh(g) + " " + name)
		}
		for _, g := range a.Remove {
			b.line("! id -nG " + name + " | tr ' ' '\\n' | grep -qxF -e " + quoteSh(g) + " || gpasswd -d " + name + " " + quoteSh(g) + " >/dev/null")
		}
	case ignite.SetShell:
		b.line("usermod -s " + quoteSh(a.Target) + " " + name)
	default:
		b.line(unitLine(a))
	}
}

// unitLine is the line of an action that is systemd's, or a service's.
func unitLine(a ignite.Action) string {
	unit := quoteSh(a.Path)
	switch a.Kind {
	case ignite.EnableUnit:
		return "systemctl -q enable " + unit
	case ignite.ReenableUnit:
		return "systemctl -q reenable " + unit
	case ignite.StartUnit:
		return "systemctl start " + unit
	case ignite.DisableUnit:
		return "disable " + unit
	case ignite.ForgetUnit:
		return "forget " + unit
	case ignite.MaskUnit:
		return "systemctl -q mask --now " + unit
	case ignite.UnmaskUnit:
		return "systemctl -q unmask " + unit
	case ignite.RestartUnit:
		return "restart " + unit
	case ignite.ReloadUnits:
		return "systemctl daemon-reload"
	case ignite.ApplySysctls:
		return "systemctl restart systemd-sysctl.service"
	case ignite.LoadModules:
		return "systemctl restart systemd-modules-load.service"
	case ignite.CheckSSH:
		return "check_ssh"
	case ignite.ReloadNetwork:
		return "networkctl reload"
	}
	return "echo 'this racker cannot do that' >&2; exit 1"
}

func parent(path string) string {
	if at := strings.LastIndexByte(path, '/'); at > 0 {
		return path[:at]
	}
	return "/"
}
