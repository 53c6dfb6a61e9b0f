#!/bin/sh
# Runs the device tests under Oclgrind, which checks every access of every kernel, and fails on any invalid access,
# data race or API misuse that it reports. Argument: a build folder of tests/run.sh.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${1:-$root/build-tests}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

. "$root/platforms/debian_packages.sh"
need_packages oclgrind

# The cache on disk would hold another device's programs.
export POCKETPROP_CACHE=off CK_FORK=no CK_DEFAULT_TIMEOUT=0
failed=0
for program in "$build"/tests/test_op_* "$build"/tests/test_codec_* "$build"/tests/test_exec_* \
    "$build"/tests/test_device_*; do
    case $program in
        # They compare runs of the command line, or build every kernel for every profile, and launch nothing new.
        */test_exec_small_device | */test_device_kernels) continue ;;
    esac
    if oclgrind --data-races --check-api --log "$log" "$program" >"$log.out" 2>&1 && [ ! -s "$log" ]; then
        echo "ok      $(basename "$program")"
    else
        echo "FAILED  $(basename "$program")"
        head -40 "$log" "$log.out"
        failed=1
    fi
    : >"$log"
done
rm -f "$log.out"
exit $failed
