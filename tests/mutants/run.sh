#!/bin/sh
# Shows that the tests can fail: takes one sync, comparison, order or hold away at a time (table/*.txt) and
# demands that the named test turns red, or stays green for the reason that is given.
#
#   tests/mutants/run.sh [--ci] [NAME...]   runs all, those marked `ci`, or those whose names have NAME in them
#   tests/mutants/run.sh --check            looks whether all have their places in the code; builds none
#   tests/mutants/run.sh --table            prints the tables of RELIABILITY.md
#
# All mutants are built at once, into a copy of the tree under target/mutants/, and switched on one by one with
# the environment variable SILTSTONE_MUTANT. The copy shares the compiled dependencies of the tree.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
CARGO_TARGET_DIR=$target/mutants/runner cargo build --quiet --locked --offline \
    --manifest-path "$root/tests/mutants/Cargo.toml"
exec "$target/mutants/runner/debug/siltstone-mutants" "$root" "$target" "$@"
