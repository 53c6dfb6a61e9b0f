#!/bin/sh
# Builds Pocketprop and trains a small residual network on handwritten digits, three times: with
# activations kept as they are, at four bits, and averaged over 2x2 pixels. Ends with a table that
# compares them. On Debian it installs the packages that are missing. The environment may set
# BUILD_DIR and EPOCHS.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${BUILD_DIR:-$root/build}
epochs=${EPOCHS:-12}
packages="build-essential cmake ocl-icd-opencl-dev opencl-headers pocl-opencl-icd libclblast-dev
    zlib1g-dev libjpeg-dev libpng-dev"

is_installed() {
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

install_missing() {
    missing=
    for package in $packages; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "installing:$missing"
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -q
    # Word splitting is wanted: one argument per package.
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $missing
}

if command -v apt-get >/dev/null; then
    install_missing
else
    echo "no apt-get here; these Debian packages, or their like, must be there:" $packages
fi

cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DPOCKETPROP_TESTS=OFF
cmake --build "$build" --parallel "$(nproc)"

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for codec in raw norm:4 avgpool:2; do
    echo
    echo "== $codec"
    "$build/pocketprop" train --model resnet8-digits --data digits --epochs "$epochs" --batch 32 \
        --lr 0.05 --schedule cosine --seed 1 --codec "$codec" --json >"$results/$codec"
done

# train --json writes one member per line.
member() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$results/$1"
}

echo
printf '%-10s %14s %11s %11s %13s %11s %13s\n' \
    codec 'test accuracy' 'test loss' 'train loss' 'saved bytes' less 'peak bytes'
for codec in raw norm:4 avgpool:2; do
    echo "$codec $(member "$codec" test_top1) $(member "$codec" test_loss)" \
        "$(member "$codec" train_loss) $(member "$codec" saved_stored_bytes)" \
        "$(member "$codec" saved_raw_bytes) $(member "$codec" real_peak_bytes)"
done | LC_ALL=C awk '{
    printf "%-10s %12.2f %% %11.4f %11.4f %13d %10.2fx %13d\n", $1, $2, $3, $4, $5, $6 / $5, $7
}'
