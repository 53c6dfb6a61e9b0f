#!/bin/sh
# Builds Pocketprop and trains a small residual network on handwritten digits with activations kept as
# they are, at four bits, and averaged over 2x2 pixels, three seeds each. Ends with a table of the
# means. On Debian it installs the packages that are missing. The environment may set BUILD_DIR,
# EPOCHS and SEEDS.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${BUILD_DIR:-$root/build}
epochs=${EPOCHS:-40}
seeds=${SEEDS:-1 2 3}
. "$root/platforms/debian_packages.sh"
# Word splitting is wanted: one argument per package.
# shellcheck disable=SC2086
need_packages $build_packages

cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DPOCKETPROP_TESTS=OFF
cmake --build "$build" --parallel "$(nproc)"

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for codec in raw norm:4 avgpool:2; do
    for seed in $seeds; do
        echo
        echo "== $codec, seed $seed"
        "$build/pocketprop" train --model resnet8-digits --data digits --epochs "$epochs" \
            --batch 32 --lr 0.2 --schedule cosine --weight-decay 2e-3 --label-smoothing 0.1 --pad 1 \
            --codec "$codec" --seed "$seed" --json >"$results/$codec-$seed"
    done
done

# train --json writes one member per line.
member() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$results/$1"
}

echo
echo "means over the seeds $seeds; bytes of one training step of 32 images"
printf '%-10s %14s %11s %11s %13s %11s %13s\n' \
    codec 'test accuracy' 'test loss' 'train loss' 'saved bytes' less 'peak bytes'
for codec in raw norm:4 avgpool:2; do
    for seed in $seeds; do
        run=$codec-$seed
        echo "$(member "$run" test_top1) $(member "$run" test_loss) $(member "$run" train_loss)" \
            "$(member "$run" saved_stored_bytes) $(member "$run" saved_raw_bytes)" \
            "$(member "$run" real_peak_bytes)"
    done | LC_ALL=C awk -v codec="$codec" '
        { top1 += $1; test += $2; train += $3; saved = $4; raw = $5; peak = $6 }
        END {
            printf "%-10s %12.2f %% %11.4f %11.4f %13d %10.2fx %13d\n", codec, top1 / NR, test / NR,
                train / NR, saved, raw / saved, peak
        }'
done
