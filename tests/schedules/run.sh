#!/bin/sh
# Builds the engine with the locks and atomics of the schedules (src/sys/sync) and runs each program of
# tests/schedules in SCHEDULES orders of its threads (default 200). Fails where one finds the engine wrong, or
# somebody waits for ever; the order is then kept in tests/schedules/target/failed/, and is run again by
#
#   SCHEDULE_FILE=$PWD/tests/schedules/target/failed/scheduleNNN.txt tests/schedules/run.sh 1 TEST
#
#   tests/schedules/run.sh [SCHEDULES [TEST]]
set -eu

cd "$(dirname "$0")"
SCHEDULES=${1:-200}
target=${CARGO_TARGET_DIR:-$PWD/target}
SCHEDULES_DIR=${SCHEDULES_DIR:-$target/failed}
RUSTFLAGS="--cfg siltstone_schedules"
export SCHEDULES SCHEDULES_DIR RUSTFLAGS
mkdir -p "$SCHEDULES_DIR"
# With a target named, build scripts and macros are built without these flags.
host=$(rustc -vV | sed -n 's/^host: //p')
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --locked --target "$host" --target-dir "$target" -- --nocapture ${2:+"$2"} >"$log" 2>&1 || status=$?
grep -vE '^(test .* \.\.\. ok)?$' "$log"
ran=$(sed -n 's/.*schedules: .*: \([0-9]*\) in .*/\1/p' "$log" | paste -sd+ - | bc)
echo "schedules: ${ran:-0} in all"
exit "$status"
