#!/bin/bash
# Dracut module of the test OS: finds its own disk, makes the root, hands config.ign to Ignition, brings networkd for Ignition.

check() { return 0; }
depends() { echo bash systemd systemd-udevd; }

install() {
    inst_multiple bash sh cat cp ip ln mkdir journalctl modprobe mount readlink sleep rm sed systemctl udevadm umount blkid mkfs.ext4 mkfs.btrfs
    inst_multiple /lib/systemd/systemd-networkd /lib/systemd/systemd-networkd-wait-online
    inst_simple "$moddir/testos-disk.sh" /usr/lib/testos/disk.sh
    inst_script "$moddir/testos-system.sh" /usr/lib/testos/system
    inst_script "$moddir/testos-failed.sh" /usr/lib/testos/failed
    inst_script "$moddir/testos-root.sh" /usr/lib/testos/root
    inst_script "$moddir/setfiles.sh" /usr/sbin/setfiles
    inst_simple /etc/systemd/system/systemd-udev-trigger.service.d/10-testos.conf
    inst_simple "$moddir/network.conf" /etc/systemd/network/10-initrd.network
    install_units
    grep '^systemd-network:' "$dracutsysrootdir/etc/passwd" >>"$initdir/etc/passwd"
    grep '^systemd-network:' "$dracutsysrootdir/etc/group" >>"$initdir/etc/group"
    slim
}

install_units() {
    local unit etc=$initdir/etc/systemd/system
    for unit in emergency.service testos-system.service testos-root.service testos-network.service sysroot.mount; do
        inst_simple "$moddir/$unit" "/etc/systemd/system/$unit"
    done
    mkdir -p "$etc/initrd-root-fs.target.requires" "$etc/ignition-complete.target.requires" "$etc/ignition-fetch-offline.service.requires"
    ln -s ../sysroot.mount "$etc/initrd-root-fs.target.requires/sysroot.mount"
    ln -s ../testos-network.service "$etc/ignition-complete.target.requires/testos-network.service"
    ln -s ../testos-system.service "$etc/ignition-fetch-offline.service.requires/testos-system.service"
    for unit in systemd-ask-password-console.path systemd-vconsole-setup.service systemd-tmpfiles-clean.timer \
        kmod-static-nodes.service systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service systemd-sysctl.service; do
        ln -sf /dev/null "$etc/$unit"
    done
}

# slim leaves out what costs the emulated machine time: GRUB reads each byte of the initrd through the BIOS. Ignition, which only
# the first boot needs, is run from the system partition.
slim() {
    ln -sf /run/testos/system/usr/lib/dracut/modules.d/30ignition/ignition "$initdir/usr/bin/ignition"
    rm -f "$initdir/usr/lib/udev/hwdb.bin" "$initdir/etc/udev/hwdb.bin"
    find "$initdir/usr/lib/systemd/system-generators" ! -type d ! -name ignition-generator ! -name systemd-fstab-generator -delete
    local rule
    for rule in "$initdir"/usr/lib/udev/rules.d/*.rules; do
        case ${rule##*/} in
            50-udev-default.rules | 60-block.rules | 60-cdrom_id.rules | 60-persistent-storage.rules | 80-drivers.rules | 99-systemd.rules) ;;
            *) rm -f "$rule" ;;
        esac
    done
}
