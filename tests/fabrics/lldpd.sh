#!/bin/sh
# Two switches and a host, each a network namespace with Debian's lldpd; prints what the host heard.
# lldpd.sh DIRECTORY [COMMAND...]: with a command, runs that on the host instead, and ends the second switch once it has
# written both.json. Runs in namespaces of its own (`unshare -mnu`), as root.
set -eu
work=$1
shift
cli=$(command -v lldpcli)
for file in passwd group; do
    cp "/etc/$file" "$work/$file"
    case $file in
    passwd) line="_lldpd:x:9999:9999::/run/lldpd:/usr/sbin/nologin" ;;
    group) line="_lldpd:x:9999:" ;;
    esac
    grep -q '^_lldpd:' "$work/$file" || echo "$line" >>"$work/$file"
    mount --bind "$work/$file" "/etc/$file"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/lldpd /run/netns
daemons=""
trap 'for one in $daemons; do kill "$one" 2>/dev/null || true; done; wait' EXIT

start() { # SOCKET SYSTEM COMMAND...: lldpd with that name of its system
    socket=$1
    name=$2
    shift 2
    "$@" unshare -u sh -c "hostname $name; exec lldpd -d -L $cli -O /dev/null -u /run/lldpd/$socket.sock" \
        >"$work/$socket.log" 2>&1 &
    daemons="$daemons $!"
}

for at in 0 1; do
    ip netns add "sw$at"
    ip link add "eth$at" type veth peer name swp7 netns "sw$at"
    ip link set "eth$at" up
    ip -n "sw$at" link set lo up
    ip -n "sw$at" link set swp7 up
    ip netns exec "sw$at" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    start "sw$at" "leaf-r$at" ip netns exec "sw$at"
done
start host gpu07 env
for socket in sw0 sw1 host; do
    tries=0
    until [ -S "/run/lldpd/$socket.sock" ] && lldpcli -u "/run/lldpd/$socket.sock" show chassis >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || exit 1
        sleep 0.05
    done
done
for at in 0 1; do
    lldpcli -u "/run/lldpd/sw$at.sock" configure lldp portidsubtype ifname >/dev/null
    lldpcli -u "/run/lldpd/sw$at.sock" update >/dev/null
done
if [ $# -gt 0 ]; then
    for at in 0 1; do
        lldpcli -u "/run/lldpd/sw$at.sock" configure lldp tx-interval 1 >/dev/null
    done
    "$@" &
    heard=$!
    tries=0
    until [ -s "$work/both.json" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 400 ] || exit 1
        sleep 0.05
    done
    # shellcheck disable=SC2086  # the second of a list
    set -- $daemons
    kill "$2"
    wait "$heard"
    exit
fi
tries=0
until [ "$(lldpcli -u /run/lldpd/host.sock -f json show neighbors | grep -c '"swp7"')" -ge 4 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || exit 1
    sleep 0.05
done
for form in json json0; do
    lldpcli -u /run/lldpd/host.sock -f "$form" show neighbors >"$work/gpu07.$form"
done
lldpcli -u /run/lldpd/sw0.sock -f json show neighbors >"$work/leaf.json"
