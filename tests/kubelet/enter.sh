# A machine of its own: runs "$@" with changes to /etc and /var kept in "$FOLDER", an empty /run, and addresses of its own.
# It is called in new network, mount and process namespaces, which end with it.
set -eu
ip link set lo up
for address in $ADDRESSES; do ip address add "$address/32" dev lo; done

# /sys shows the network namespace of who mounts it.
mkdir "$FOLDER/cgroup"
mount --rbind /sys/fs/cgroup "$FOLDER/cgroup"
mount -t sysfs sysfs /sys
mount --move "$FOLDER/cgroup" /sys/fs/cgroup

for place in $LAYERED; do
    mkdir -p "$FOLDER/layers/$place" "$FOLDER/work/$place"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$FOLDER/layers/$place,workdir=$FOLDER/work/$place" "/$place"
done
mount -t tmpfs run /run
exec "$@"
