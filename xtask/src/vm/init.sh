#!/usr/lib/guest/busybox sh
# The guest's first program: mounts, runs the cells of /cells, prints a line for each, powers off.
box=/usr/lib/guest/busybox
$box mount -t proc proc /proc
$box mount -t sysfs sysfs /sys
$box mount -t devtmpfs devtmpfs /dev
$box mkdir -p /dev/pts /dev/shm /run/user
$box mount -t devpts devpts /dev/pts
$box mount -t tmpfs -o mode=1777 tmpfs /dev/shm
# Nothing is mounted on /tmp: what was built there on the host is there in the guest, too.
$box chmod 1777 /tmp
$box mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
# As on a machine that is run by systemd: the controllers reach everybody who is given a part of the tree.
echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
$box ip link set lo up
$box ln -s /proc/self/fd /dev/fd
export PATH=/usr/local/bin:/usr/bin:/usr/sbin:/usr/lib/guest/bin HOME=/root LC_ALL=C.UTF-8
export KENNEL_TEST_NO_SKIP=1 KENNEL_TEST_SLOW=10
ulimit -n 4096

# Where cells of the matrix write what they saw, and the first words of their environment's name.
series=$($box uname -r | $box cut -d. -f1-2)
export KENNEL_MATRIX_OUT=/run/cells.ndjson KENNEL_MATRIX_PLACE="qemu $series"

# Those that do not live of the processor: here each of them would take the time of all others.
export KENNEL_MATRIX_ESCAPES=plain,stubborn,daemonised,stopped,empty-env,lost-leader,forking,sub-cgroups

while read -r limit whose program test; do
    # From the kernel's command line, which gives what it does not know itself to its first program.
    [ "$KENNEL_SHARED" != yes ] || [ "$whose" = every ] || [ "$whose" = "$series" ] || continue
    : >/run/late
    begin=$($box cut -d' ' -f1 /proc/uptime)
    "$program" --exact "$test" --include-ignored --nocapture --test-threads 1 >/run/output 2>&1 </dev/null &
    running=$!
    ($box sleep "$limit" && $box ps -o pid,ppid,stat,args >/run/late && kill -9 $running) &
    watch=$!
    wait $running
    code=$?
    kill $watch
    wait $watch
    # A name that no test has is no success.
    $box grep -q '^running 1 test$' /run/output || code=254
    end=$($box cut -d' ' -f1 /proc/uptime)
    if [ $code != 0 ]; then
        $box cat /run/output /run/late | $box sed 's/^/@@ | /'
        # The next one begins with nobody: all but this one, the first, are killed.
        kill -9 -1
    fi
    echo "@@ cell $test $code $begin $end"
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
