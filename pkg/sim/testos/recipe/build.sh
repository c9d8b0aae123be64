#!/bin/bash
# Builds the test OS: build.sh RECIPE-DIR WORK-DIR OUTPUT [MIRROR]. Root only; keeps its mounts in a mount namespace of its own.
set -euo pipefail
recipe=$1 work=$2 out=$3
mirror=${4:-http://deb.debian.org/debian}

if [ -z "${TESTOS_NAMESPACE:-}" ]; then
  TESTOS_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$@"
fi
export LC_ALL=C DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH=1735689600

step() { printf 'testos: %s (%ds)\n' "$1" "$SECONDS"; }

. "$recipe/rootfs.sh"
. "$recipe/trim.sh"
. "$recipe/partitions.sh"
. "$recipe/disk.sh"

make_rootfs "$recipe" "$work" "$mirror"
make_initrd "$recipe" "$work"
make_partitions "$recipe" "$work"
make_disk "$recipe" "$work" "$out"
step 'done'
