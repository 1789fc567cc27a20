#!/bin/sh
# Shows that the schedules can fail: applies each of breaks/*.patch to a copy of the tree and demands that a
# test finds it. A patch whose head has a line that starts with `Green:` says why none can.
#
#   tests/schedules/breaks.sh [SCHEDULES [PATCH...]]
set -eu

cd "$(dirname "$0")"
schedules=${1:-2000}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- breaks/*.patch
here=$PWD
root=$(git rev-parse --show-toplevel)
copy=$here/target/broken
rm -rf "$copy"
mkdir -p "$copy"
(cd "$root" && git ls-files -z -- ':!testdata' ':!fuzz' | tar -c --null -T - | tar -x -C "$copy")
git -C "$copy" init -q
wrong=0
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    git -C "$copy" apply "$here/breaks/$name.patch"
    expected=red
    ! grep -q '^Green:' "$here/breaks/$name.patch" || expected=green
    started=$(date +%s)
    log=$here/target/$name.log
    # What does not build is neither.
    found=green
    CARGO_TARGET_DIR=$here/target/of-breaks SCHEDULES_DIR=$copy/failed RUST_BACKTRACE=0 \
        "$copy/tests/schedules/run.sh" "$schedules" >"$log" 2>&1 || found=red
    grep -q '^test result:' "$log" || found="not built"
    git -C "$copy" apply -R "$here/breaks/$name.patch"
    tests=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p; s/^    \([a-z_]*::[a-z_]*\)$/\1/p' "$log" | sort -u | paste -sd' ' -)
    echo "breaks: $name: $found, $(($(date +%s) - started)) s${tests:+: $tests}"
    [ "$found" = "$expected" ] || wrong=$((wrong + 1))
done
echo "breaks: $wrong not as they should be"
[ "$wrong" -eq 0 ]
