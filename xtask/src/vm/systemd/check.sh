#!/bin/sh
# kennel-check BACKEND WORD...: a stack comes up and goes down; `kennel doctor` names the back end and says each word.
set -e
backend=$1
shift
cat /proc/self/cgroup
cd "$(mktemp -d)"
cat >kennel.yaml <<'STACK'
services:
  web:
    command: [sh, -c, "setsid sleep 1000 & echo up; exec sleep 1000"]
    readiness: { log_line: "^up$" }
    stop_grace_period: 500ms
STACK
kennel up -d
kennel doctor --json >doctor.json || :
cp doctor.json "/tmp/doctor-$(id -u).json"
kennel down
cat doctor.json
grep -q "\"backend\": \"$backend\"" doctor.json
for word in "$@"; do
    grep -qF -- "$word" doctor.json || { echo "not said: $word"; exit 1; }
done
