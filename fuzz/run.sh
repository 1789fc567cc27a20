#!/bin/sh
# Builds every fuzz target on stable Rust and runs each for SECONDS (default 60), as many at a time as there
# are processors. Fails on a crash, a hang of more than 10 s or more than 2 GiB of memory; the input is then
# kept in fuzz/artifacts/. Corpora grow in fuzz/corpus/, which is not under version control.
#
#   fuzz/run.sh [SECONDS [TARGET...]]
set -eu

cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')

# How this script calls itself, once for each target.
if [ "${1:-}" = --one ]; then
    seconds=$2 target=$3
    mkdir -p "corpus/$target" "artifacts/$target"
    seeds=
    [ ! -d "seeds/$target" ] || seeds="seeds/$target"
    status=0
    # shellcheck disable=SC2086 # no seeds, no argument
    "${CARGO_TARGET_DIR:-target}/$host/release/$target" "corpus/$target" $seeds \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
        -print_final_stats=1 -artifact_prefix="artifacts/$target/" 2>"artifacts/$target.log" || status=$?
    said=$(grep -E 'number_of_executed_units|average_exec_per_sec' "artifacts/$target.log") || true
    if [ "$status" -ne 0 ]; then
        said=$(tail -40 "artifacts/$target.log" && echo "fuzz: $target failed")
    fi
    # At once, because others write, too.
    printf 'fuzz: %s, %s s\n%s\n' "$target" "$seconds" "$said" >&2
    exit "$status"
fi

seconds=${1:-60}
[ $# -eq 0 ] || shift

# What cargo-fuzz asks of a nightly compiler, in the flags that stable has.
RUSTFLAGS="-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares \
--cfg fuzzing"
export RUSTFLAGS
# With a target named, build scripts and macros are built without these flags.
cargo build --release --locked --bins --target "$host"

if [ $# -eq 0 ]; then
    for source in fuzz_targets/*.rs; do
        set -- "$@" "$(basename "$source" .rs)"
    done
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 ./run.sh --one "$seconds"
