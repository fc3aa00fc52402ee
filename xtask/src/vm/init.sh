#!/usr/lib/guest/busybox sh
# The guest's first program: mounts, runs the cells of /cells, prints a line for each, powers off.
box=/usr/lib/guest/busybox
$box mount -t proc proc /proc
$box mount -t sysfs sysfs /sys
$box mount -t devtmpfs devtmpfs /dev
$box mkdir -p /dev/pts /dev/shm /run/user
$box mount -t devpts devpts /dev/pts
$box mount -t tmpfs -o mode=1777 tmpfs /dev/shm
$box mount -t tmpfs -o mode=1777,size=60% tmpfs /tmp
$box mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
# As on a machine that is run by systemd: the controllers reach everybody who is given a part of the tree.
echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
$box ip link set lo up
$box ln -s /proc/self/fd /dev/fd
export PATH=/usr/local/bin:/usr/bin:/usr/sbin:/usr/lib/guest/bin HOME=/root LC_ALL=C.UTF-8
export KENNEL_TEST_NO_SKIP=1 KENNEL_TEST_SLOW=10 KENNEL_MATRIX_RESULTS=/run/cells.ndjson
ulimit -n 4096

echo "@@ kernel $($box uname -r)"
while read -r environment limit program test; do
    case $environment in '' | '#'*) continue ;; esac
    begin=$($box cut -d' ' -f1 /proc/uptime)
    $box timeout -s KILL "$limit" "$program" --exact "$test" --nocapture --test-threads 1 >/run/output 2>&1 </dev/null
    code=$?
    # A name that no test has is no success.
    $box grep -q '^running 1 test$' /run/output || code=254
    end=$($box cut -d' ' -f1 /proc/uptime)
    [ $code = 0 ] || $box sed 's/^/@@ | /' /run/output
    echo "@@ cell $environment $test $code $begin $end"
done </cells
[ ! -f /run/cells.ndjson ] || $box sed 's/^/@@ json /' /run/cells.ndjson
# Nothing of anybody's may be left: no process but this one and the kernel's, no group.
for dir in /proc/[0-9]*; do
    [ -r "$dir/exe" ] && exe=$($box readlink "$dir/exe") && [ -n "$exe" ] && [ "$exe" != "$box" ] && echo "@@ left process ${dir#/proc/} $exe"
done
for dir in /sys/fs/cgroup/*/; do
    [ -d "$dir" ] && echo "@@ left group $dir"
done
echo "@@ end"
$box sync
$box poweroff -f
