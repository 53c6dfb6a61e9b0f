#!/bin/sh
# What the library takes on a small device: bytes of code and constants (flash), of static data (RAM), and the largest
# stack frames, of a program that trains conv, batch-norm, ReLU and dense layers with 4-bit codes (footprint.c). Once
# with the whole library and once with everything else left out, built for size; prints a table. Fails where a part
# that is left out is not refused by name, or where what is left does not train.
# The environment may set CC, JOBS and CMAKE_ARGS.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
. "$root/platforms/debian_packages.sh"
# shellcheck disable=SC2086
need_packages $build_packages binutils
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=${JOBS:-$(nproc)}
export POCKETPROP_CACHE=off
# Link-time collection of sections is what makes parts of an archive cost nothing; -Os is what small devices take.
flags="-Os -ffunction-sections -fdata-sections -fstack-usage"
everything_else="dropout;mse;maxpool;avgpool;global_avgpool;shortcut;group;btc;bitmap;conv2d_depthwise;conv2d_tiled"
everything_else="$everything_else;winograd;tune;jpeg;png"

# build NAME PARTS: everything, so that all commands of the command line link whatever is left out.
build() {
    # shellcheck disable=SC2086
    cmake -S "$root" -B "$work/$1" -DCMAKE_BUILD_TYPE=None "-DCMAKE_C_FLAGS=$flags" -DPOCKETPROP_TESTS=OFF \
        -DPOCKETPROP_EXAMPLES=OFF -DPOCKETPROP_INSTALL=OFF -DPOCKETPROP_CLBLAST=OFF "-DPOCKETPROP_WITHOUT=$2" ${CMAKE_ARGS:-} >"$work/log"
    cmake --build "$work/$1" --parallel "$jobs" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$work/$1/CMakeCache.txt")
    "$cc" -std=c11 -Os -I"$root/include" -Wl,--gc-sections -o "$work/$1/program" "$root/tests/bench/footprint.c" \
        "$work/$1/libpocketprop.a" -lOpenCL -lm -lpthread
    # shellcheck disable=SC2046
    set -- "$1" $(size "$work/$1/program" | tail -1)
    echo "| $1 | $2 | $3 | $4 |"
}

echo "| library | code and constants | initialised data | zeroed data |"
echo "|---|---|---|---|"
build full ''
build small "$everything_else"
echo
echo "embedded kernels and profiles: full $(size "$work/full/CMakeFiles/pocketprop.dir/embedded.c.o" |
    awk 'NR == 2 { print $1 }'), small $(size "$work/small/CMakeFiles/pocketprop.dir/embedded.c.o" |
    awk 'NR == 2 { print $1 }') bytes"
echo
find "$work/full/CMakeFiles/pocketprop.dir" "$work/full/CMakeFiles/pocketprop_data.dir" -name '*.su' -exec cat {} + \
    >"$work/frames"
if grep 'dynamic$' "$work/frames"; then
    echo "FAILED  the frames above have no bound"
    exit 1
fi
echo "largest stack frames, bytes:"
<"$work/frames" awk -F'\t' '{
    n = split($1, at, "/"); split(at[n], part, ":"); print $2, part[1] ": " part[4], $3 }' | sort -rn | head -8

for argument in norm:4 maxpool btc:4 tune; do "$work/full/program" $argument; done
"$work/small/program"

# refused SENTENCE COMMAND: with the name of the option.
refused() {
    sentence=$1
    shift
    if "$@" >"$work/refusal" 2>&1 || ! grep "$sentence.*POCKETPROP_WITHOUT" "$work/refusal"; then
        cat "$work/refusal"
        echo "FAILED  '$*' was not refused"
        exit 1
    fi
}
refused "^unsupported: .*'pool' is a maxpool" "$work/small/program" maxpool
refused "^unsupported: .*leaves btc out" "$work/small/program" btc:4
refused "^unsupported: .*no tuner" "$work/small/program" tune
