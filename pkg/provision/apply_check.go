package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/racker-project/racker/pkg/ignite"
)

// checkFunctions find what is not as it should be. All of it is said, not only the first.
const checkFunctions = `bad() { echo "$1" >&2; wrong=1; }
file() { # PATH SHA256 MODE
    if [ "$(sha256sum <"$1" 2>/dev/null | cut -c 1-64)" != "$2" ]; then bad "$1 has other content"
    elif [ "$(stat -c %a "$1")" != "$3" ]; then bad "$1 has mode $(stat -c %a "$1")"; fi
}
keys() { # USER FILE: every line is in, or with a third word not in, what the SSH server reads
    home=$(getent passwd "$1" | cut -d : -f 6)
    while IFS= read -r line; do
        if cat "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys.d/"* 2>/dev/null | grep -qxF -e "$line"; then found=yes; else found=no; fi
        [ "$found" = "$3" ] || bad "an SSH key of $1 is not as it should be"
    done <"$2"
}
`

// checkScript reads back what actions wrote, from the node itself. It fails when anything is not so.
func checkScript(actions []ignite.Action) []byte {
	b := &shell{}
	b.line(checkFunctions)
	b.begin()
	b.line("wrong=''")
	b.step("reading back")
	last := map[string]int{} // a later action on the same thing is the one that counts
	for i, a := range actions {
		last[a.Path] = i
	}
	for i, a := range actions {
		if last[a.Path] == i {
			b.check(a)
		}
	}
	b.line(`[ -z "$wrong" ]`)
	return b.end()
}

func (b *shell) check(a ignite.Action) {
	path := quoteSh(a.Path)
	not := func(test, text string) { b.line(test + " || bad " + quoteSh(a.Path+" "+text)) }
	switch a.Kind {
	case ignite.WriteFile:
		sum := sha256.Sum256(a.Content)
		b.line(fmt.Sprintf("file %s %s %o", path, hex.EncodeToString(sum[:]), a.Mode))
	case ignite.RemoveFile:
		not("[ ! -e "+path+" ] || [ -e /usr/share/flatcar"+path+" ] || [ -e /usr/share/factory"+path+" ]", "is still there")
	case ignite.MakeDir:
		not("[ -d "+path+" ]", "is no directory")
	case ignite.MakeLink:
		if !a.Hard {
			not(`[ "$(readlink `+path+`)" = `+quoteSh(a.Target)+" ]", "points elsewhere")
		}
	case ignite.ChangeKeys:
		b.list("/run/racker/add", a.Add)
		b.line("keys " + path + " /run/racker/add yes")
		b.list("/run/racker/remove", a.Remove)
		b.line("keys " + path + " /run/racker/remove no")
	case ignite.AddGroup:
		not("getent group "+path+" >/dev/null", "is no group")
	case ignite.AddUser:
		not("getent passwd "+path+" >/dev/null", "is no user")
	case ignite.EnableUnit, ignite.ReenableUnit, ignite.StartUnit:
		not("systemctl -q is-enabled "+path, "is not enabled")
		not(`[ "$(systemctl is-active `+path+`)" != failed ]`, "failed")
	case ignite.DisableUnit:
		not("! systemctl -q is-active "+path, "still runs")
	case ignite.MaskUnit:
		not(`[ "$(systemctl is-enabled `+path+` 2>/dev/null)" = masked ]`, "is not masked")
	case ignite.RestartUnit:
		not(`[ "$(systemctl is-active `+path+` 2>/dev/null)" != failed ]`, "failed")
	}
}
