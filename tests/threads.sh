#!/bin/sh
# Builds with the thread sanitizer (clang) and trains with two engines on two threads at once, and with a loader's
# threads, under it. Fails on any report. Nothing is suppressed: drivers are not instrumented, but the sanitizer sees
# their locks. (Helgrind is of no use here: it takes PoCL's atomic operations for races.)
# BUILD_DIR and JOBS as in run.sh; BUILD_DIR must be another than that of other builds.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=${BUILD_DIR:-$work/build}

. "$root/platforms/debian_packages.sh"
# shellcheck disable=SC2086
need_packages $build_packages pkg-config check clang libclang-rt-dev

programs="test_exec_threads test_data_loader"
CC=clang cmake -S "$root" -B "$build" -DPOCKETPROP_DEVELOPER=ON -DPOCKETPROP_TESTS=ON -DPOCKETPROP_CLBLAST=OFF \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS=-fsanitize=thread
# shellcheck disable=SC2086
cmake --build "$build" --parallel "${JOBS:-$(nproc)}" --target $programs

# Kernels are compiled anew, by both threads at once.
export CK_FORK=no CK_DEFAULT_TIMEOUT=0 POCL_CACHE_DIR="$work/pocl" POCKETPROP_CACHE_DIR="$work/cache"
for program in $programs; do
    TSAN_OPTIONS="exitcode=66 halt_on_error=0" "$build/tests/$program"
    echo "ok      $program: nothing reported"
done
