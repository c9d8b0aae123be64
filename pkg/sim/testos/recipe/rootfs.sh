# The system: Debian bookworm minbase with what Ignition, networkd and sshd need, and the cloud kernel.

# The kernel package is unpacked, not installed: its hooks would run dracut a second time.
make_rootfs() {
  local recipe=$1 work=$2 mirror=$3 root=$2/root
  step debootstrap
  debootstrap --variant=minbase --include=dbus,udev,systemd,systemd-sysv,kmod,sudo \
    bookworm "$root" "$mirror" >"$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log"; return 1; }

  use_host_resolver "$root"
  cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
  cp -r "$recipe/root/etc/apt/." "$root/etc/apt/"
  for d in /etc/ssl/certs /usr/local/share/ca-certificates; do
    [ ! -d $d ] || { mkdir -p "$root$d" && cp -r $d/. "$root$d/"; }
  done
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/run"

  step packages
  in_root apt-get -q update
  in_root apt-get -q -y -o DPkg::Options::=--force-unsafe-io install \
    dracut-core ignition openssh-server systemd-resolved systemd-timesyncd libnss-resolve iproute2 iputils-ping curl nftables \
    gdisk dosfstools e2fsprogs btrfs-progs zstd
  use_host_resolver "$root"
  local kernel
  kernel=$(chroot "$root" apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p' | head -1)
  [ -n "$kernel" ] || { echo 'no cloud kernel in the package lists'; return 1; }
  # Not over /: the package's ./lib would replace the link to usr/lib.
  in_root sh -c "mkdir /tmp/kernel && cd /tmp/kernel && apt-get -q download $kernel && dpkg -x $kernel*.deb ."
  mkdir -p "$root/usr/lib/modules"
  mv "$root"/tmp/kernel/lib/modules/* "$root/usr/lib/modules/"
  mv "$root/tmp/kernel/boot/vmlinuz-"* "$work/vmlinuz"
  rm -rf "$root/tmp/kernel"
  in_root depmod "${kernel#linux-image-}"
  echo "${kernel#linux-image-}" >"$work/kernel-version"
  configure_rootfs "$recipe" "$root"
}

# in_root runs a command in the new system; what it prints is shown only when it fails.
in_root() { chroot "$work/root" "$@" >"$work/last.log" 2>&1 || { tail -30 "$work/last.log" >&2; return 1; }; }

# systemd-resolved's installation replaces resolv.conf by a link to a service that does not run here.
use_host_resolver() {
  rm -f "$1/etc/resolv.conf"
  cp /etc/resolv.conf /etc/hosts "$1/etc/"
}

configure_rootfs() {
  local recipe=$1 root=$2
  cp -r "$recipe/root/." "$root/"
  chmod 0440 "$root/etc/sudoers.d/core"
  chmod 0755 "$root/usr/lib/systemd/system-generators/testos-generator"
  # As on Flatcar, the user core is in the image and has no password.
  chroot "$root" useradd --create-home --shell /bin/bash --groups sudo core
  chroot "$root" passwd -l root >/dev/null
  # Missing, not empty: only then does systemd apply presets, which is how Ignition enables units.
  rm -f "$root/etc/machine-id" "$root/etc/hostname" "$root/etc/ssh/"ssh_host_* "$root/var/lib/dbus/machine-id"
  # Ignition 2.14 of Debian always relabels: give it a policy without contents.
  mkdir -p "$root/etc/selinux/targeted/contexts/files"
  : >"$root/etc/selinux/targeted/contexts/files/file_contexts"
  printf 'SELINUX=disabled\nSELINUXTYPE=targeted\n' >"$root/etc/selinux/config"

  chroot "$root" systemctl -q enable systemd-networkd.service systemd-resolved.service ssh.service sshd-keygen.service \
    testos-first-boot.service console-getty.service
  chroot "$root" systemctl -q set-default multi-user.target
}

# make_initrd uses Debian's dracut and its Ignition module. The module's network and qemu dependencies are dropped: our own
# module brings networkd, which runs only when Ignition says that it needs the network.
make_initrd() {
  local recipe=$1 work=$2 root=$2/root kver
  kver=$(cat "$work/kernel-version")
  step initrd
  cp -r "$recipe/dracut/99testos" "$root/usr/lib/dracut/modules.d/"
  chmod 0755 "$root/usr/lib/dracut/modules.d/99testos/"*.sh
  sed -i 's/^\( *echo\) qemu systemd url-lib network$/\1 systemd/' "$root/usr/lib/dracut/modules.d/30ignition/module-setup.sh"
  in_root dracut --no-hostonly --no-hostonly-cmdline --force --kver "$kver" --zstd --no-early-microcode --reproducible \
    --modules 'base bash systemd systemd-initrd systemd-udevd udev-rules ignition testos' \
    --drivers 'virtio_pci virtio_blk virtio_scsi virtio_net sd_mod nvme squashfs overlay btrfs vfat nls_cp437 nls_ascii nls_utf8 failover net_failover' \
    /tmp/initrd.img
  mv "$root/tmp/initrd.img" "$work/initrd.img"
}
