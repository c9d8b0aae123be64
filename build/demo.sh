#!/bin/bash
# demo.sh: the whole way once, on a simulated rack: packages, build, three powered-off servers, `racker bootstrap`, three servers
# ready. Prints where the time went. Root, since it makes network namespaces; it leaves nothing running.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" -ne 0 ]; then
  echo "demo: needs root: sudo make demo" >&2
  exit 1
fi
export RACKER_PAYLOAD_DIR=$PWD/payload RACKER_CONSOLE=ttyS0,115200n8

dir=$(mktemp -d /var/tmp/racker-demo.XXXXXX)
times=()
began=$SECONDS
ok=
finish() {
  code=$?
  if [ -z "$ok" ]; then
    echo "demo: failed; the last lines of the daemon's log:" >&2
    tail -n 20 "$dir/serve.log" >&2 || true
    for log in "$dir"/nodes/*/serial.log; do
      echo "demo: $log ends:" >&2
      tail -c 600 "$log" 2>/dev/null | tr -d '\000\r' >&2 || true
    done
  fi
  [ ! -x bin/racker-sim ] || bin/racker-sim down --dir "$dir" >/dev/null 2>&1 || true
  rm -rf "$dir"
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

step() { # NAME COMMAND...
  local name=$1 at=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@"
  times+=("$(printf '%-34s %4d s' "$name" $((SECONDS - at)))")
}
on_node() { bin/racker-sim exec --dir "$dir" -- "$@"; }

programs() { make --no-print-directory build payload; }
microkernel() {
  local kernel
  kernel=$(build/kernel.sh cloud)
  bin/racker microkernel build --state-dir "$dir/state" --agent bin/racker-agent \
    --kernel "$kernel"/boot/vmlinuz-* --modules "$kernel"
}
rack_up() {
  bin/racker-sim up --dir "$dir" --detach
  on_node bin/racker factory check
  on_node bin/racker serve 2>"$dir/serve.log" &
  local tries=0
  until on_node bin/racker status >/dev/null 2>&1; do
    [ $((tries++)) -lt 100 ] || { echo "demo: racker serve does not answer" >&2; return 1; }
    sleep 0.1
  done
}

step 'Debian packages' make --no-print-directory deps
step 'racker, agent, simulator' programs
step 'test OS (cached)' bin/racker-sim os build --out "$dir/testos.img"
step 'microkernel' microkernel
step 'a rack of three servers' rack_up
step 'bootstrap' on_node bin/racker bootstrap --provision image --image "$dir/testos.img" --onfailure cancel --yes
printf '\n== what each server said when it was up\n'
for node in node-1 node-2 node-3; do
  on_node bin/racker node show "$node" | sed -n '/^  Host name:/,/^  Timeline:/{/^  Timeline:/!p}'
done
printf '\n== where the time went\n'
printf '%s\n' "${times[@]}"
printf '%-34s %4d s\n' 'in all' $((SECONDS - began))
printf '\n== the rack\n'
on_node bin/racker status
ok=yes
