package provision

import "github.com/racker-project/racker/pkg/api"

// sshFunctions change the SSH server's configuration only to one that it takes, and by which racker still gets in: with its key,
// from where it comes now. The server itself tells what holds for that login (sshd -T). Host parts of AllowUsers that name a
// network are taken to fit.
const sshFunctions = `keep_ssh() { # PATH: the SSH server's files as they were, until the server has said that it takes the new ones
    case $1 in /etc/ssh/sshd_config | /etc/ssh/sshd_config.d/*) ;; *) return 0 ;; esac
    mkdir -p /run/racker/ssh
    at=/run/racker/ssh/$(echo "$1" | tr / _)
    echo "$1" >"$at.path"
    rm -f "$at.file"
    if [ -e "$1" ] || [ -L "$1" ]; then cp -a "$1" "$at.file"; fi
}
from_where() { # the address that this login comes from; sudo leaves it out, so that the processes above are asked
    pid=$$
    while [ "${pid:-0}" -gt 1 ]; do
        addr=$(tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=\([^ ]*\) .*/\1/p')
        if [ -n "$addr" ]; then echo "$addr"; return 0; fi
        pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
    done
    echo 127.0.0.1
}
settings() { printf '%s\n' "$said" | sed -n "s/^$1 //p"; } # WORD: what the server says of it
fits() { # allow|deny WORD...: does a pattern fit one of the words
    how=$1; shift
    while IFS= read -r pattern; do
        for word in "$@"; do
            case $pattern in
                *@*/*) [ "$how" = allow ] || continue ;;
                *@*) case $addr in ${pattern##*@}) ;; *) continue ;; esac ;;
            esac
            case $word in ${pattern%@*}) return 0 ;; esac
        done
    done
    return 1
}
lets_in() { # says why racker would not get in
    addr=$(from_where)
    said=$("$server" -T -C "user=$user,host=$addr,addr=$addr") || { echo 'the server does not say what holds for racker'; return 1; }
    groups=$(id -nG "$user")
    why=''
    case $(settings pubkeyauthentication) in no) why='PubkeyAuthentication is off' ;; esac
    if settings denyusers | fits deny "$user"; then why="DenyUsers names $user"; fi
    if settings denygroups | fits deny $groups; then why="DenyGroups names a group of $user"; fi
    if [ -n "$(settings allowusers)" ] && ! settings allowusers | fits allow "$user"; then why="AllowUsers does not name $user"; fi
    if [ -n "$(settings allowgroups)" ] && ! settings allowgroups | fits allow $groups; then why="AllowGroups names no group of $user"; fi
    case " $(settings authenticationmethods) " in '  ' | *' any '* | *' publickey '*) ;; *) why='AuthenticationMethods wants more than a key' ;; esac
    case " $(settings authorizedkeysfile)" in ' ' | *.ssh/authorized_keys*) ;; *) why='AuthorizedKeysFile is another file' ;; esac
    [ -z "$why" ] || { echo "$why"; return 1; }
}
check_ssh() {
    server=$(command -v sshd || echo /usr/sbin/sshd)
    user=` + api.SystemUser + `
    set -f
    if ! "$server" -t; then why='the SSH server does not take its new configuration'
    elif why=$(lets_in); then set +f; rm -rf /run/racker/ssh; return 0
    else why="racker would not get in by the SSH server's new configuration: $why"; fi
    set +f
    for at in /run/racker/ssh/*.path; do
        [ -e "$at" ] || continue
        file=$(cat "$at")
        rm -f "$file"
        if [ -e "${at%.path}.file" ] || [ -L "${at%.path}.file" ]; then cp -a "${at%.path}.file" "$file"; fi
    done
    rm -rf /run/racker/ssh
    echo "$why; the old one is back" >&2
    return 1
}
`
