package provision

import (
	"bytes"
	"strings"
)

// keyFiles are the words by which both scripts begin. Keys of core are in authorized_keys, and where the system keeps fragments
// (Ignition's own on some) in authorized_keys.d as well. A file is replaced as a whole, by one of the same mode. The
// lock is that of the scripts of an apply, which are root's and change the same files.
const keyFiles = `set -eu
sudo -n sh -c 'umask 022; mkdir -p /run/racker && : >>/run/racker/apply.lock && chmod 644 /run/racker/apply.lock'
exec 9</run/racker/apply.lock
flock -w 30 9 || { echo 'another change of this node is under way' >&2; exit 1; }
umask 077
mkdir -p ~/.ssh
cd ~/.ssh
new=$(mktemp .racker.XXXXXXXX)
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
put() {
    [ ! -e "$1" ] || chmod --reference="$1" "$new"
    sync "$new"
    mv -f "$new" "$1"
    : >"$new"
}
`

// addKey is the script that adds a key wherever the old one is. Public keys are no secrets.
func addKey(old, next sshKey) string {
	return keyFiles + "old=" + shellWord(body(old)) + "\nnext=" + shellWord(body(next)) + "\nline=" + shellWord(next.line()) + `
found=
for f in authorized_keys authorized_keys.d/*; do
    [ -f "$f" ] || continue
    if grep -qF -- "$next" "$f"; then
        found=yes
    elif grep -qF -- "$old" "$f"; then
        found=yes
        cat "$f" >"$new"
        [ -z "$(tail -c 1 "$f")" ] || echo >>"$new"
        printf '%s\n' "$line" >>"$new"
        put "$f"
    fi
done
if [ -z "$found" ]; then
    f=authorized_keys
    [ ! -e "$f" ] || cat "$f" >"$new"
    printf '%s\n' "$line" >>"$new"
    put "$f"
fi
`
}

// removeKey is the script that removes a key wherever it is.
func removeKey(old sshKey) string {
	return keyFiles + "old=" + shellWord(body(old)) + `
for f in authorized_keys authorized_keys.d/*; do
    [ -f "$f" ] && grep -qF -- "$old" "$f" || continue
    grep -vF -- "$old" "$f" >"$new" || [ $? -eq 1 ]
    put "$f"
done
`
}

// body is the part of a key's line that is the key itself.
func body(k sshKey) string {
	_, b, _ := strings.Cut(k.Public, " ")
	return b
}

// shellWord gives a word of a POSIX shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// lastLine is what a script said last.
func lastLine(b []byte) string {
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}
