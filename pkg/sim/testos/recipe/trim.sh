# What a test machine has no use for, and what its emulated processor would pay for with time.

trim_rootfs() {
  local work=$1 root=$2
  ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
  rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,bug,bash-completion,i18n,pixmaps,perl5,gcc} \
    "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/boot/* "$root"/usr/local/share/ca-certificates \
    "$root"/usr/lib/udev/{hwdb.d,hwdb.bin} "$root"/etc/apt/apt.conf.d/* "$root"/tmp/*
  trim_modules "$root" "$(cat "$work/kernel-version")"
  trim_units "$root"
  mkdir -p "$root/oem"
  # Systemd does this at its first boot, to enable what Ignition enables, and one bad unit would spoil it.
  # In the chroot: the machine that builds may have no systemd.
  chroot "$root" systemctl preset-all --preset-mode=enable-only >"$work/last.log" 2>&1 || { cat "$work/last.log" >&2; return 1; }
  if [ -s "$work/last.log" ]; then cat "$work/last.log" >&2; return 1; fi
  umount -R "$root/dev" "$root/proc" "$root/run"
  # Nothing is out of date: keep ConditionNeedsUpdate= units asleep.
  touch "$root/etc/.updated" "$root/var/.updated"
}

# Some modules would be loaded for the devices and processor features that QEMU shows, and bring nothing.
trim_modules() {
  local root=$1 kver=$2
  rm -rf "$root/lib/modules/$kver/kernel/drivers/"{comedi,infiniband,hid,target,gpu,media,platform,thermal,cpufreq,powercap,usb,ata,cdrom} \
    "$root/lib/modules/$kver/kernel/arch/x86/"{kvm,crypto,events}
  # Not evdev: the power button is an input device.
  find "$root/lib/modules/$kver/kernel/drivers/input" -type f ! -name evdev.ko -delete
  depmod -b "$root" "$kver"
  # The btrfs rule would load a module that only /oem needs.
  rm -f "$root"/usr/lib/udev/rules.d/{60-persistent-alsa,60-persistent-v4l,60-drm,60-evdev,60-persistent-input,60-sensor,60-fido-id,64-btrfs,70-joystick,70-mouse,70-touchpad,70-uaccess,71-seat,73-seat-late,75-probe_mtd,78-sound-card}.rules
}

# trim_units keeps the units of the list. The first boot's presets take time that grows with the square of the number of units.
# Masks instead would make the presets fail.
trim_units() {
  local root=$1 dir=$1/usr/lib/systemd/system path name
  local keep=' basic.target console-getty.service dbus.service dbus.socket dbus-org.freedesktop.hostname1.service
    dbus-org.freedesktop.login1.service default.target emergency.service emergency.target final.target first-boot-complete.target
    getty-pre.target getty.target graphical.target halt.target kmod-static-nodes.service local-fs-pre.target local-fs.target
    multi-user.target network-online.target network-pre.target network.target nss-lookup.target nss-user-lookup.target paths.target
    poweroff.target reboot.target remote-fs-pre.target remote-fs.target rescue.service rescue.target shutdown.target slices.target
    sockets.target ssh.service ssh.socket sshd-keygen.service swap.target sysinit.target systemd-halt.service
    systemd-hostnamed.service systemd-journald-dev-log.socket systemd-journald.service systemd-journald.socket systemd-logind.service
    systemd-machine-id-commit.service systemd-network-generator.service systemd-networkd-wait-online.service
    systemd-networkd-wait-online@.service systemd-networkd.service systemd-networkd.socket systemd-poweroff.service
    systemd-random-seed.service systemd-reboot.service systemd-resolved.service systemd-sysctl.service systemd-timesyncd.service
    systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup.service systemd-udev-settle.service systemd-udev-trigger.service
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service systemd-user-sessions.service
    testos-first-boot.service time-set.target time-sync.target timers.target umount.target user.slice '
  keep=$(echo "$keep" | tr '\n' ' ')
  for path in "$dir"/*.*; do
    name=${path##*/}
    case $name in *.wants | *.d | *.requires) continue ;; esac
    case $keep in *" $name "*) ;; *) rm -f "$path" ;; esac
  done
  find "$dir" -xtype l ! -lname '/*' -delete
  rm -f "$root"/etc/systemd/system/timers.target.wants/* "$root"/etc/systemd/system/getty.target.wants/getty@* \
    "$root/etc/systemd/system/sysinit.target.wants/systemd-pstore.service" "$root"/etc/systemd/system/*/{e2scrub_reap.service,remote-fs.target,systemd-network-generator.service}
  find "$root/usr/lib/systemd/system-generators" -type f ! -name testos-generator -delete
  find "$root/usr/lib/systemd/system-generators" -type l -delete
  find "$root/usr/lib/dracut" -type f ! -path '*/30ignition/ignition' -delete
  # The rest of the system need not wait for name resolution.
  sed -i '/^Before=/s/sysinit.target //' "$dir/systemd-resolved.service"
}
