#!/bin/sh
# What the system writes goes to ROOT, which Ignition may have wiped just now.
set -eu
. /run/testos/partitions
if ! mount -t ext4 "$root" /run/testos/state; then
    # Only an empty partition is formatted: a damaged file system is somebody's data.
    [ -z "$(blkid -p -s TYPE -o value "$root")" ]
    mkfs.ext4 -q -L ROOT "$root"
    mount -t ext4 "$root" /run/testos/state
fi
mkdir -p /run/testos/state/upper /run/testos/state/work
