# The disk: a GPT with Flatcar's numbers and labels, filled by dd, and GRUB's boot code in the MBR.

make_disk() {
  local recipe=$1 work=$2 out=$3 usr_mib
  step disk
  usr_mib=$(( ($(stat -c %s "$work/usr.img") + 1048575) / 1048576 ))
  local total=$((1 + 96 + 2 + usr_mib + 128 + 256 + 1))
  rm -f "$out"
  truncate -s "${total}M" "$out"
  sgdisk --clear --set-alignment=2048 \
    --new=1:0:+96M  --typecode=1:ef00 --change-name=1:EFI-SYSTEM \
    --new=2:0:+2M   --typecode=2:ef02 --change-name=2:BIOS-BOOT \
    --new=3:0:+${usr_mib}M --typecode=3:8300 --change-name=3:USR-A \
    --new=6:0:+128M --typecode=6:8300 --change-name=6:OEM \
    --new=9:0:+256M --typecode=9:8300 --change-name=9:ROOT "$out" >/dev/null
  write_partition 1 "$work/esp.img" "$out"
  write_partition 2 "$work/core.img" "$out"
  write_partition 3 "$work/usr.img" "$out"
  write_partition 6 "$work/oem.img" "$out"
  write_partition 9 "$work/rootfs.img" "$out"
  install_boot_code "$out"
  echo "testos: image $(stat -c %s "$out") bytes, $(du -B1 "$out" | cut -f1) used"
}

first_sector() { sgdisk --info="$1" "$2" | sed -n 's/^First sector: \([0-9]*\).*/\1/p'; }

write_partition() {
  local start
  start=$(first_sector "$1" "$3")
  dd if="$2" of="$3" bs=1M seek=$((start * 512)) oflag=seek_bytes conv=notrunc,sparse status=none
}

# le64 prints a number as eight little-endian bytes.
le64() {
  local n=$1 i
  for i in 1 2 3 4 5 6 7 8; do printf "\\x$(printf %02x $((n & 255)))"; n=$((n >> 8)); done
}

# install_boot_code does what grub-bios-setup does to an image with a BIOS boot partition: boot.img learns the first sector of
# core.img (8 bytes at 0x5c) and skips its floppy check (0x66); core.img's first sector learns where the rest lies (12 bytes
# before its end). The partition table's bytes of the MBR (from 0x1b8) stay.
install_boot_code() {
  local out=$1 start
  start=$(first_sector 2 "$out")
  dd if=/usr/lib/grub/i386-pc/boot.img of="$out" bs=1 count=440 conv=notrunc status=none
  le64 "$start" | dd of="$out" bs=1 seek=$((0x5c)) conv=notrunc status=none
  printf '\x90\x90' | dd of="$out" bs=1 seek=$((0x66)) conv=notrunc status=none
  le64 $((start + 1)) | dd of="$out" bs=1 seek=$((start * 512 + 512 - 12)) conv=notrunc status=none
}
