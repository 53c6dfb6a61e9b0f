#!/bin/sh
# Trains on a few digits under valgrind and fails on any memory that Pocketprop loses. What PoCL and its LLVM lose by
# themselves is suppressed by library. Argument: a build folder. Takes some minutes: valgrind compiles no kernels fast.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${1:-$root/build-tests}

. "$root/platforms/debian_packages.sh"
need_packages valgrind

# Kernels for the processor that valgrind shows, which is not the real one, are kept apart.
POCL_CACHE_DIR=$(mktemp -d)
export POCL_CACHE_DIR POCKETPROP_CACHE=off
trap 'rm -rf "$POCL_CACHE_DIR"' EXIT
for codec in norm:4 avgpool:2; do
    valgrind --leak-check=full --show-leak-kinds=definite,indirect,possible --errors-for-leak-kinds=definite,indirect \
        --suppressions="$root/tests/support/valgrind.supp" --error-exitcode=9 --quiet \
        "$build/pocketprop" train --model resnet8-digits --data digits --epochs 1 --limit 64 --batch 32 \
        --codec "$codec" --json >/dev/null
    echo "ok      train on digits, $codec: nothing lost"
done
