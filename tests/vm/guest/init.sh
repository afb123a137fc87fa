#!/bin/bash
# The virtual machine's first process: makes the machine ready, runs one command, hands out what came of it, switches off.
#
# Written into the root disk by tests/vm/image.py. Its words on the kernel's console are the boot's log; the command's
# output goes through a virtio port of its own, so that nothing mixes with it. Disks: vda root, vdb Python packages,
# vdc a tar with `breakroom/` (the checkout) and `command` (what to run) - or, with `breakroom.prepare`, a base image's tar.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb

word() { # the value of NAME=VALUE on the kernel's command line
    tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"
}

port() { # the device file of the virtio port of that name
    local place
    for place in /sys/class/virtio-ports/*; do
        [ "$(cat "$place/name")" = "$1" ] && echo "/dev/${place##*/}" && return
    done
}

switch_off() {
    sync
    mount -o remount,ro / 2>/dev/null
    echo o >/proc/sysrq-trigger
    sleep 60
}

say() { echo "breakroom-init: $(cut -d' ' -f1 /proc/uptime) s: $*"; }

mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sys /sys
mount -o remount,rw /
mountpoint -q /run || mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn /proc/self/fd /dev/fd
date -s "@$(word breakroom.now)" >/dev/null
modprobe virtio_console

# The network: an interface named as the course has it, whose other end is a machine of its own, the neighbour's. Nothing
# leads further. Not in 10.0.0.0/24, which is Swarm's ingress network: its answers would not come back. A resolver that refuses at once, since a daemon that waits for one delays the start of every task.
hostname breakroom-vm
printf '127.0.0.1 localhost\n192.168.77.2 breakroom-vm\n' >/etc/hosts
echo "nameserver 127.0.0.1" >/etc/resolv.conf
ip link set lo up
ip netns add neighbour
ip link add eth0 type veth peer name eth0 netns neighbour
ip address add 192.168.77.2/24 dev eth0
ip link set eth0 up
ip -n neighbour link set lo up
ip -n neighbour address add 192.168.77.3/24 dev eth0
ip -n neighbour link set eth0 up
ip route add default via 192.168.77.3
sysctl -q -w net.ipv4.ip_forward=1

say "starting dockerd"
dockerd >/var/log/dockerd.log 2>&1 &
answers() { curl -sf --unix-socket /var/run/docker.sock http://docker/_ping >/dev/null 2>&1; } # lighter than `docker info`
for _ in $(seq 600); do
    [ -S /var/run/docker.sock ] && answers && break
    sleep 0.2
done
answers || { tail -n 40 /var/log/dockerd.log; echo 125 >"$(port result)"; switch_off; }
say "dockerd answers"

if [ -n "$(word breakroom.prepare)" ]; then
    docker import --change 'CMD ["python3"]' /dev/vdc breakroom-test-base:latest &&
        docker tag breakroom-test-base:latest python:3.12-slim
    code=$?
    say "base image imported: $code"
    kill %1
    wait %1
    rm -f /var/log/dockerd.log
    echo "$code" >"$(port result)"
    switch_off
fi

mount -o ro,noatime /dev/vdb /venv
tar -C / -xf /dev/vdc
mkdir -p /out
export BREAKROOM_VENV=/venv
say "running the command"
cd /breakroom && setsid bash /command </dev/null >"$(port output)" 2>&1
code=$?
say "the command ended with $code"
cp /var/log/dockerd.log /out/
tar -C /out -cf "$(port files)" .
echo "$code" >"$(port result)"
switch_off
