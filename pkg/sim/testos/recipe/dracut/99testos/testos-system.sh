#!/bin/sh
# Mounts the system partition and, at a first boot, hands config.ign of the OEM partition to Ignition, which reads it before
# any other source. The running system finds the partitions' names in /run/testos/partitions.
set -eu
. /usr/lib/testos/disk.sh
boot_disk
system=$(part USR-A) root=$(part ROOT) oem=$(part OEM) boot=$(part EFI-SYSTEM)
mkdir -p /run/testos/system /run/testos/state /run/testos/oem
printf 'root=%s oem=%s boot=%s\n' "$root" "$oem" "$boot" >/run/testos/partitions
mount -t squashfs -o ro "$system" /run/testos/system

case $args in *ignition.firstboot*) ;; *) exit 0 ;; esac
mount -t btrfs -o ro "$oem" /run/testos/oem
if [ -e /run/testos/oem/config.ign ]; then
    mkdir -p /usr/lib/ignition
    cp /run/testos/oem/config.ign /usr/lib/ignition/user.ign
    echo "config.ign of $oem is used"
fi
umount /run/testos/oem
