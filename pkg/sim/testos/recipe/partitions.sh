# The file systems, each made without mounting it (no loop device, no vfat in the kernel).

make_partitions() {
  local recipe=$1 work=$2
  trim_rootfs "$work" "$work/root"
  step squashfs
  mksquashfs "$work/root" "$work/usr.img" -comp zstd -Xcompression-level 6 -noappend -no-progress -quiet -xattrs \
    -wildcards -e 'proc/*' 'sys/*' 'dev/*' 'run/*' 'tmp/*'

  step 'other partitions'
  rm -rf "$work/oem"; mkdir -p "$work/oem"
  truncate -s 128M "$work/oem.img"
  mkfs.btrfs -q -f -L OEM -U 3ec08e7d-3cb4-4d51-8ae1-25c0e7d37a2f --mixed --rootdir "$work/oem" "$work/oem.img" 2>/dev/null

  truncate -s 256M "$work/rootfs.img"
  mkfs.ext4 -q -L ROOT -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -J size=4 "$work/rootfs.img"
  make_esp "$recipe" "$work"
  make_bios "$recipe" "$work"
}

trim_rootfs() {
  local work=$1 root=$2
  umount -R "$root/dev" "$root/proc" "$root/run"
  ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
  rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,bug,bash-completion,i18n,pixmaps,perl5,gcc} \
    "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/boot/* "$root"/usr/local/share/ca-certificates \
    "$root"/usr/lib/udev/{hwdb.d,hwdb.bin} "$root"/etc/apt/apt.conf.d/* "$root"/tmp/*
  rm -rf "$root"/lib/modules/*/kernel/drivers/{comedi,infiniband,hid,target,gpu,media,input,platform,thermal,cpufreq,powercap,usb,ata,cdrom} \
    "$root"/lib/modules/*/kernel/arch/x86/{kvm,crypto,events}
  find "$root"/usr/lib/dracut -type f ! -path '*/30ignition/ignition' -delete
  rm -f "$root"/usr/lib/systemd/system/{,*.wants/}dracut-*
  # Systemd does this at its first boot, to enable what Ignition enables, and one bad unit would spoil it.
  systemctl --root="$root" preset-all --preset-mode=enable-only >"$work/last.log" 2>&1
  if [ -s "$work/last.log" ]; then cat "$work/last.log"; return 1; fi
  depmod -b "$root" "$(cat "$work/kernel-version")"
  # Rules for devices that no server test has; the btrfs rule would load a module that only /oem needs.
  rm -f "$root"/usr/lib/udev/rules.d/{60-persistent-alsa,60-persistent-v4l,60-drm,60-evdev,60-input-id,60-persistent-input,60-sensor,60-fido-id,64-btrfs,70-joystick,70-mouse,70-touchpad,70-uaccess,71-seat,73-seat-late,75-probe_mtd,78-sound-card}.rules
  mkdir -p "$root/oem"
  # Nothing is out of date: keep ConditionNeedsUpdate= units asleep.
  touch "$root/etc/.updated" "$root/var/.updated"
}

make_esp() {
  local recipe=$1 work=$2
  grub-mkimage -O x86_64-efi -o "$work/BOOTX64.EFI" -p /grub $grub_modules efi_gop chain
  truncate -s 96M "$work/esp.img"
  mformat -i "$work/esp.img" -F -v EFI-SYSTEM -N 52414345 ::
  mmd -i "$work/esp.img" ::/EFI ::/EFI/BOOT ::/grub ::/flatcar
  mcopy -i "$work/esp.img" "$work/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i "$work/esp.img" "$recipe/grub.cfg" ::/grub/grub.cfg
  mcopy -i "$work/esp.img" "$work/vmlinuz" ::/flatcar/vmlinuz-a
  mcopy -i "$work/esp.img" "$work/initrd.img" ::/flatcar/initrd-a
  echo first >"$work/first_boot"
  mcopy -i "$work/esp.img" "$work/first_boot" ::/flatcar/first_boot
}

grub_modules='part_gpt fat ext2 btrfs zstd normal linux echo test probe regexp search search_label configfile serial terminal
  minicmd all_video boot reboot halt sleep gzio'

# The prefix's empty device means the disk that the firmware booted.
make_bios() {
  local work=$2
  grub-mkimage -O i386-pc -o "$work/core.img" -p '(,gpt1)/grub' $grub_modules biosdisk
}
