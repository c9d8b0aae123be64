// Package testos builds the test OS: a small Debian system on a raw GPT disk image laid out like Flatcar Container Linux, which
// really runs Ignition from the OEM partition's config.ign at its first boot. GRUB starts it from BIOS and from UEFI.
//
// Partitions, with Flatcar's numbers and labels: 1 EFI-SYSTEM (vfat: GRUB, kernel, initrd, /flatcar/first_boot), 2 BIOS-BOOT,
// 3 USR-A (the whole system, squashfs, read-only), 6 OEM (btrfs), 9 ROOT (ext4: the upper layer of the root file system; the
// system comes up again when it was wiped). The system finds its partitions on the disk that it booted from, by the partition
// GUID of EFI-SYSTEM that GRUB hands over: other disks may carry the same labels.
//
// The package starts no goroutines. Building needs root, debootstrap, grub-pc-bin, grub-efi-amd64-bin, mtools, gdisk,
// squashfs-tools, btrfs-progs, zstd and a Debian mirror; it mounts no file system of the image and uses no loop device.
package testos
