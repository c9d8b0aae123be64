#!/bin/sh
# Tells racker that this node is up: who it is, its SSH host keys, what runs. Needs curl and a POSIX shell. The token reaches
# curl through a pipe: arguments are public. Exits 77 when racker refuses the token.
set -eu
dir=${RACKER_DIR:-/etc/racker}

# string prints its argument as a JSON string.
string() {
    printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037\177' | sed 's/[\\"]/\\&/g')"
}

host_keys() {
    comma=''
    for key in /etc/ssh/ssh_host_*_key.pub; do
        [ -s "$key" ] || continue
        printf '%s' "$comma"
        string "$(ssh-keygen -l -f "$key")"
        comma=','
    done
}

# units prints the state of the units that racker looks at, by their real names, and of every failed one.
units() {
    id='' load='' active=''
    {
        {
            systemctl show -p Id -p LoadState -p ActiveState systemd-networkd.service ssh.service sshd.service ssh.socket \
                sshd.socket racker-callback.service || true
            echo
        } | while IFS='=' read -r key value; do
            case $key in
                Id) id=$value ;;
                LoadState) load=$value ;;
                ActiveState) active=$value ;;
                *) [ "$load" != loaded ] || printf '%s %s\n' "$id" "$active"; continue ;;
            esac
        done
        systemctl list-units --state=failed --plain --no-legend --no-pager | while read -r id rest; do
            printf '%s failed\n' "$id"
        done
    } | sort -u -k 1,1 | {
        comma=''
        while read -r id active; do
            printf '%s' "$comma"
            string "$id"
            printf ':'
            string "$active"
            comma=','
        done
    }
}

body() {
    read -r name </proc/sys/kernel/hostname
    printf '{"host_name":%s,"os":%s,"host_keys":[%s],"units":{%s}}' \
        "$(string "$name")" "$(. /etc/os-release && string "${PRETTY_NAME:-$ID}")" "$(host_keys)" "$(units)"
}

# post prints the HTTP status, 000 without an answer.
post() {
    printf 'header = "Racker-Token: %s"\n' "$token" | curl --config - --silent --show-error --output /dev/null \
        --write-out '%{http_code}' --connect-timeout 10 --max-time 30 --cacert "$dir/ca.pem" \
        --header 'Content-Type: application/json' --data-binary "$json" "${url}ready" || true
}

# say tells the journal and the console, where there is one.
say() {
    echo "racker: $1"
    echo "racker: $1" 2>/dev/null >/dev/console || true
}

read -r token <"$dir/callback-token"
read -r url <"$dir/callback-url"
delay=1
while :; do
    json=$(body)
    status=$(post)
    case $status in
        2??)
            rm -f "$dir/callback-token"
            say 'callback ready accepted'
            exit 0
            ;;
        408 | 425 | 429) ;;
        4??)
            say "callback ready refused: HTTP status $status"
            exit 77
            ;;
    esac
    echo "racker: callback ready: HTTP status $status; next try in $delay s"
    sleep "$delay"
    delay=$((delay * 2))
    [ "$delay" -le 30 ] || delay=30
done
