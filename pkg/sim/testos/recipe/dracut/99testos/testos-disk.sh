# Sourced. part LABEL prints the device of that partition on the disk that GRUB booted from (testos.esp=GUID on the command
# line). Labels are not unique: another disk of the machine may hold an older install. Only builtins: each process costs
# the emulated machine 50 ms.

boot_disk() {
    read -r args </proc/cmdline
    esp=${args##*testos.esp=}
    esp=${esp%% *}
    udevadm wait --timeout=90 "/dev/disk/by-partuuid/$esp"
    esp=$(readlink -f "/dev/disk/by-partuuid/$esp")
    cd -P "/sys/class/block/${esp##*/}/.." && disk=$PWD && cd /
}

part() {
    for uevent in "$disk"/*/uevent; do
        name='' label=''
        while IFS='=' read -r key value; do
            case $key in DEVNAME) name=$value ;; PARTNAME) label=$value ;; esac
        done <"$uevent"
        if [ "$label" = "$1" ]; then
            echo "/dev/$name"
            return 0
        fi
    done
    return 1
}
