#!/bin/sh
# Runs the operators' and codecs' device tests under Oclgrind, which checks every access of every kernel, and fails on
# any invalid access, data race or API misuse that it reports. Argument: a build folder of tests/run.sh.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${1:-$root/build-tests}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

. "$root/platforms/debian_packages.sh"
need_packages oclgrind

# The cache would hold another device's binaries; a group of one work-item has no races to find, so the small
# device's groups are used.
export POCKETPROP_CACHE=off CK_FORK=no CK_DEFAULT_TIMEOUT=0 POCKETPROP_TEST_QUICK=1
failed=0
for program in "$build"/tests/test_op_* "$build"/tests/test_codec_*; do
    [ -x "$program" ] || continue
    if oclgrind --data-races --check-api --log "$log" "$program" >"$log.out" 2>&1 && [ ! -s "$log" ]; then
        echo "ok      $(basename "$program")"
    else
        echo "FAILED  $(basename "$program")"
        cat "$log" "$log.out" | head -40
        failed=1
    fi
    : >"$log"
done
rm -f "$log.out"
exit $failed
