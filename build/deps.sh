#!/bin/bash
# deps.sh: installs the Debian packages that building and testing need and that are missing. With all of them there it
# only asks dpkg, and needs no root. Services that packages bring are not started.
set -euo pipefail

packages=(
  # Go's race detector
  gcc libc6-dev
  # the payload: iPXE programs, and the GRUB that boots an install disk
  ipxe grub-common grub-efi-amd64-bin
  # servers and their firmware
  qemu-system-x86 qemu-utils ovmf ipxe-qemu
  # BMCs nobody here wrote, and the client that everybody uses
  openipmi ipmitool
  # DHCP, TFTP and HTTP: load, and peers to compare with
  kea-admin dnsmasq-base curl wrk nginx-light lbzip2
  # networks of the tests, and what they look at
  iproute2 procps
  # the test OS: a Debian laid out like Flatcar that really runs Ignition
  debootstrap grub-pc-bin squashfs-tools btrfs-progs dosfstools mtools e2fsprogs fdisk gdisk udev systemd
  cpio kmod xz-utils zstd bzip2 ignition
  # a release server, and what its vendor signs with
  nginx-light gpg gpg-agent
  # a person at a terminal
  expect tmux openssh-client
  # a node to log in to, and who reads what racker writes for others
  openssh-server sudo ansible-core ntpsec-ntpdate tcpdump
)

missing=()
for p in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "deps: missing: ${missing[*]}" >&2
  echo "deps: run: sudo make deps" >&2
  exit 1
fi

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 0755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
quiet() { "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }; }
echo "deps: installing ${#missing[@]} packages"
install=(apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o DPkg::Options::=--force-unsafe-io install "${missing[@]}")
# The package lists may be old or empty.
quiet "${install[@]}" 2>/dev/null || { quiet apt-get -q -o DPkg::Lock::Timeout=300 update && quiet "${install[@]}"; }
rm -f "$log"
