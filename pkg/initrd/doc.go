// Package initrd makes microkernels: a Linux kernel and one initramfs with racker's static agent as /init and
// the kernel modules that a server's NICs, disks, BMC and OEM file systems need.
//
// The archive is the "newc" cpio of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst,
// compressed with zstd. The same inputs give the same bytes. Module metadata is read from the .modinfo section of
// each module, so that a tree which depmod never saw (a Debian package unpacked by dpkg -x) will do.
//
// A directory of microkernels holds ID/{vmlinuz,initrd.img,manifest.json} and a link "default". The package owns
// no goroutine and talks to no network.
package initrd
