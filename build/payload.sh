#!/bin/bash
# payload.sh DIR: fills DIR with what servers load before any kernel: the iPXE programs of the Debian package ipxe and a GRUB
# that boots install disks, with their digests in SHA256SUMS. The files appear all at once, or not at all.
set -euo pipefail
dir=${1:?usage: payload.sh DIR}
here=$(dirname "$(readlink -f "$0")")
ipxe=${IPXE_DIR:-/usr/lib/ipxe}
mkdir -p "$(dirname "$dir")"
new=$(mktemp -d "$(dirname "$dir")/.payload.XXXXXX")
trap 'rm -rf "$new" "${work:-}"' EXIT

for program in undionly.kpxe ipxe.efi snponly.efi; do
  # Some are links to elsewhere on the disk.
  cp -L "$ipxe/$program" "$new/$program"
done

# The core of a GRUB understands no loops; the script does once it stands in a memory disk next to module normal.
work=$(mktemp -d)
cp "$here/grub.cfg" "$work/"
tar -C "$work" --sort=name --owner=0 --group=0 --mtime=@0 -cf "$work/memdisk.tar" grub.cfg
# A prefix before -m would be overridden by it.
grub-mkimage -O x86_64-efi -o "$new/grubx64.efi" -m "$work/memdisk.tar" -p '(memdisk)/' \
  memdisk tar normal minicmd test echo regexp probe part_gpt fat chain
[ "$(grep -c RACKERRACKER-ESP "$new/grubx64.efi")" -ge 1 ]

(cd "$new" && sha256sum ipxe.efi grubx64.efi snponly.efi undionly.kpxe >SHA256SUMS)
chmod 0755 "$new"
chmod 0644 "$new"/*
rm -rf "$dir"
mv "$new" "$dir"
echo "payload: $dir"
