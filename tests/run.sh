#!/bin/sh
# Installs what is missing (Debian), builds with warnings as errors, and runs every test. The environment may set
# BUILD_DIR, CC, CMAKE_ARGS (more configure arguments), CTEST_ARGS (e.g. "-R op/") and JOBS.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${BUILD_DIR:-$root/build-tests}
jobs=${JOBS:-$(nproc)}

. "$root/platforms/debian_packages.sh"
# shellcheck disable=SC2086
need_packages $build_packages pkg-config check

# shellcheck disable=SC2086
cmake -S "$root" -B "$build" -DPOCKETPROP_DEVELOPER=ON -DPOCKETPROP_TESTS=ON ${CMAKE_ARGS:-}
cmake --build "$build" --parallel "$jobs"
cd "$build"
# shellcheck disable=SC2086
ctest --output-on-failure --parallel "$jobs" ${CTEST_ARGS:-}
