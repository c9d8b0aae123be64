# The file systems, each made without mounting it (no loop device, no vfat in the kernel). The system's is compressed with lz4:
# the emulated processor unpacks zstd too slowly.

make_partitions() {
  local recipe=$1 work=$2
  trim_rootfs "$work" "$work/root"
  step squashfs
  mksquashfs "$work/root" "$work/usr.img" -comp lz4 -Xhc -noappend -no-progress -quiet -xattrs \
    -wildcards -e 'proc/*' 'sys/*' 'dev/*' 'run/*' 'tmp/*'

  step 'other partitions'
  rm -rf "$work/oem"; mkdir -p "$work/oem"
  truncate -s 128M "$work/oem.img"
  mkfs.btrfs -q -f -L OEM -U 3ec08e7d-3cb4-4d51-8ae1-25c0e7d37a2f --mixed --rootdir "$work/oem" "$work/oem.img" >/dev/null 2>&1

  truncate -s 256M "$work/rootfs.img"
  mkfs.ext4 -q -L ROOT -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -J size=4 "$work/rootfs.img"
  make_esp "$recipe" "$work"
  make_bios "$recipe" "$work"
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
