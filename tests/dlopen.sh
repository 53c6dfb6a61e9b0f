#!/bin/sh
# Builds with OpenCL opened at run time (POCKETPROP_OPENCL_DLOPEN), checks that nothing links it, that device tests pass,
# and that a library which is not there, or is another, is refused by name. The environment may set JOBS and CMAKE_ARGS.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/platforms/debian_packages.sh"
# shellcheck disable=SC2086
need_packages $build_packages pkg-config check
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2086
cmake -S "$root" -B "$work" -DPOCKETPROP_DEVELOPER=ON -DPOCKETPROP_OPENCL_DLOPEN=ON ${CMAKE_ARGS:-} >/dev/null
cmake --build "$work" --parallel "${JOBS:-$(nproc)}" \
    --target pocketprop_cli test_device_device test_device_launch test_exec_session >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
if ldd "$work/pocketprop" | grep -i opencl; then
    echo "FAILED  the command line links OpenCL"
    exit 1
fi
export CK_FORK=no CK_DEFAULT_TIMEOUT=0 POCKETPROP_CACHE_DIR="$work/cache"
for test in test_device_device test_device_launch test_exec_session; do "$work/tests/$test"; done

# refused LIBRARY WORDS: a sentence that has them.
refused() {
    if POCKETPROP_OPENCL_LIBRARY=$1 "$work/pocketprop" devices >"$work/log" 2>&1 || ! grep -F "$2" "$work/log"; then
        cat "$work/log"
        echo "FAILED  '$1' was not refused with '$2'"
        exit 1
    fi
}
refused "$work/nowhere.so" "tried $work/nowhere.so"
refused libz.so.1 "libz.so.1 has no clBuildProgram"
