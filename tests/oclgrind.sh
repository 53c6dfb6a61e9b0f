#!/bin/sh
# Runs the device tests under Oclgrind, which checks every access of every kernel, and fails on any invalid access,
# data race or API misuse that it reports. Argument: a build folder of tests/run.sh. JOBS programs at a time.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${1:-$root/build-tests}

. "$root/platforms/debian_packages.sh"
need_packages oclgrind

# The cache on disk would hold another device's programs.
export POCKETPROP_CACHE=off CK_FORK=no CK_DEFAULT_TIMEOUT=0
OCLGRIND_LOGS=$(mktemp -d)
export OCLGRIND_LOGS
trap 'rm -rf "$OCLGRIND_LOGS"' EXIT

# Left out: programs that compare runs of the command line, build every kernel for every profile, measure the device's
# rates, repeat trainings with slower kernels or with OpenCL calls that fail (here some fail within self-tests, which go on
# with slower kernels), or the ways of a convolution that have programs of their own; they launch nothing new. Nor is
# Oclgrind made for two threads.
# shellcheck disable=SC2016
find "$build/tests" -maxdepth 1 -type f \( -name 'test_op_*' -o -name 'test_codec_*' -o -name 'test_exec_*' \
    -o -name 'test_device_*' \) ! -name test_exec_small_device ! -name test_exec_peak ! -name test_exec_fallback \
    ! -name test_exec_bands ! -name test_exec_measure ! -name test_exec_state ! -name test_exec_threads \
    ! -name test_exec_park ! -name test_exec_cl_faults ! -name test_exec_lost_device ! -name test_device_kernels ! -name test_op_conv2d_pass \
    -print | sort |
    xargs -P "${JOBS:-$(nproc)}" -n 1 sh -c '
        log=$OCLGRIND_LOGS/$(basename "$1")
        if oclgrind --data-races --check-api --log "$log" "$1" >"$log.out" 2>&1 && [ ! -s "$log" ]; then
            echo "ok      $(basename "$1")"
        else
            echo "FAILED  $(basename "$1")"
            head -40 "$log" "$log.out"
            exit 1
        fi' sh
