#!/bin/busybox sh
# The kernel's first program: finds the disk, and hands over to it with the code under test in /work.
b=/bin/busybox
$b mount -t devtmpfs none /dev
$b mount -t sysfs none /sys
for module in /modules/*.ko; do $b insmod "$module"; done
tries=0
while :; do
    for disk in /sys/block/vd*; do
        [ "$($b cat "$disk/serial" 2>/dev/null)" = root ] && found=/dev/${disk##*/}
    done
    [ -n "$found" ] && break
    tries=$((tries + 1))
    [ $tries -gt 600 ] && { echo "no root disk"; $b poweroff -f; }
    $b usleep 50000
done
$b mount -t ext4 "$found" /root || $b poweroff -f
$b mount -t tmpfs none /root/work
$b cp -a /work/. /root/work/
$b mount --move /dev /root/dev
$b mount --move /sys /root/sys
exec $b switch_root /root /work/tests/vm/guest/userland.sh
