#!/usr/bin/env bash
# Starts the incident again and again, ends it in another way each time, and prints what was left.
# Takes some minutes: each line starts 80 processes and more.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --package kennel-cli --package kennel-testkit --bins
echo "| started by       | ended by                     | processes | left | up again                     |"
echo "|------------------|------------------------------|----------:|-----:|------------------------------|"
# One at a time: each wants the machine to itself.
cargo test --quiet --package kennel-cli --test incident -- --nocapture --test-threads=1 2>&1 |
  grep -oE '(\||SKIPPED|incident:).*|.*(FAILED|panicked).*'
