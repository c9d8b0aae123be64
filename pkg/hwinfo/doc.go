// Package hwinfo reads what a machine is made of: identity, firmware, processors, memory, network interfaces, the MAC of
// its BMC, and its disks with what is on them. It also picks the disk that an OS is installed on.
//
// It reads sysfs, procfs and device nodes only, so it works in an initramfs with devtmpfs, sysfs and proc and without
// udev. It never writes to a disk.
//
// Names of disks follow what udev would give: by-path names as its path_id builtin makes them, WWNs as lsblk prints them.
package hwinfo
