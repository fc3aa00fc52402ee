#!/bin/sh
# Runs as root, as a service. Prints a line for each check and powers off.
exec 2>&1
export PATH=/usr/local/bin:/usr/bin:/usr/sbin HOME=/root LC_ALL=C.UTF-8
console=/dev/ttyS0
now() { cut -d' ' -f1 /proc/uptime; }

# check NAME COMMAND...
check() {
    name=$1
    shift
    begin=$(now)
    "$@" >/run/output 2>&1 </dev/null
    code=$?
    [ $code = 0 ] || sed 's/^/@@ | /' /run/output >$console
    echo "@@ cell $name $code $begin $(now)" >$console
}

# A transient service that is waited for.
unit() { systemd-run --quiet --wait --pipe "$@"; }
user="--property=User=plain --setenv=HOME=/home/plain"

delegated_as_user() { unit $user --property=Delegate=yes kennel-check cgroup /system.slice/run-; }
delegated_as_root() { unit --property=Delegate=yes kennel-check cgroup /system.slice/run-; }
plain_as_root() { unit kennel-check cgroup /sys/fs/cgroup/kennel/; }
plain_as_user() { unit $user kennel-check reaper not_delegated; }

# In a login session, whose group is session-N.scope; what PAM does at a login makes it.
session() {
    unit $user --property=PAMName=login sh -ec '
        grep session- /proc/self/cgroup
        kennel-check cgroup app.slice/kennel-
        systemctl --user list-units --all --no-legend "kennel-*" >/tmp/units
        cat /tmp/units
        test ! -s /tmp/units'
}

# The user's systemd runs without a login, and the environment does not say where.
lingering() {
    loginctl enable-linger plain
    for _ in $(seq 100); do systemctl is-active --quiet user@60200 && break; sleep 0.2; done
    unit $user kennel-check cgroup app.slice/kennel-
    code=$?
    loginctl disable-linger plain
    systemctl stop user@60200
    return $code
}

# A service without delegation; the command that `doctor` prints is followed to the letter.
advice() {
    rm -f /tmp/doctor-60200.json
    systemctl start advised || return 1
    grep -q '"backend": "reaper"' /tmp/doctor-60200.json || { echo "it had it already"; return 1; }
    command=$(sed -n 's/^ *"command": "\(.*\)",\{0,1\}$/\1/p' /tmp/doctor-60200.json | head -1)
    command=$(printf '%s' "$command" | sed 's/\\"/"/g; s/\\\\/\\/g')
    echo "advice: $command"
    [ -n "$command" ] || { cat /tmp/doctor-60200.json; return 1; }
    rm -f /tmp/doctor-60200.json
    sh -c "$command" || return 1
    grep -q '"backend": "cgroup"' /tmp/doctor-60200.json || { cat /tmp/doctor-60200.json; return 1; }
}

# The examples of the documentation.
wait_for_stack() {
    for _ in $(seq 300); do
        [ "$(cat "$1"/kennel/*/svc/web.*/cgroup.procs 2>/dev/null | wc -l)" -ge 2 ] && return 0
        sleep 0.2
    done
    find "$1" -name cgroup.procs
    return 1
}
example_unit() {
    systemctl start shop || return 1
    group=/sys/fs/cgroup/system.slice/shop.service
    wait_for_stack $group || { systemctl status shop; return 1; }
    systemctl stop shop || return 1
    systemctl show --property=Result shop | grep -q Result=success || { systemctl status shop; return 1; }
    [ ! -d $group ]
}
example_user_unit() {
    systemctl start user@60200 || return 1
    manage="env XDG_RUNTIME_DIR=/run/user/60200 setpriv --reuid=60200 --regid=60200 --clear-groups systemctl --user"
    $manage start shop || return 1
    group=/sys/fs/cgroup/user.slice/user-60200.slice/user@60200.service/app.slice/shop.service
    wait_for_stack $group || { $manage status shop; return 1; }
    $manage stop shop || return 1
    [ ! -d $group ] || return 1
    systemctl stop user@60200
}

for name in delegated_as_user delegated_as_root plain_as_root plain_as_user session lingering advice example_unit \
    example_user_unit; do
    check $name $name
done
for dir in /sys/fs/cgroup/kennel*; do
    [ -d "$dir" ] && echo "@@ left group $dir" >$console
done
for dir in /proc/[0-9]*; do
    exe=$(readlink "$dir/exe") && [ "${exe##*/}" = kennel ] && echo "@@ left process ${dir#/proc/} $exe" >$console
done
echo "@@ end" >$console
sync
systemctl poweroff --force --force
