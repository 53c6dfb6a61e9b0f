#!/bin/sh
# Trains on MNIST and on 10,000 CIFAR images with each codec, three seeds each, and prints a table of means; checks in
# every run that the planned peak is the real peak. Takes about half an hour on two cores.
# Arguments: the command line's binary, the folder that holds mnist/ and cifar10/.
set -eu

program=$1
data=$2
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# train --json writes one member per line.
member() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$1"
}

# A line of the table: name, codec, then the options of train.
row() {
    name=$1 codec=$2
    shift 2
    for seed in 1 2 3; do
        run=$results/$seed
        "$program" train "$@" --codec "$codec" --seed "$seed" --json >"$run" 2>/dev/null
        if [ "$(member "$run" planned_peak_bytes)" != "$(member "$run" real_peak_bytes)" ]; then
            echo "$name $codec, seed $seed: the real peak is not the planned one" >&2
            exit 1
        fi
        echo "$(member "$run" train_loss) $(member "$run" test_top1) $(member "$run" planned_peak_bytes)"
    done | LC_ALL=C awk -v name="$name" -v codec="$codec" '
        { loss += $1; top1 += $2; all = all sprintf(" %.2f", $2); peak = $3 }
        END { printf "| %s | %s | %.4f | %.2f |%s | %.2f |\n", name, codec, loss / NR, top1 / NR, all, peak / 1e6 }'
}

echo "| network, data | codec | training loss | test top-1, % | seeds 1, 2, 3 | peak, MB |"
echo "|---|---|---|---|---|---|"
row "lenet, MNIST" raw --model lenet --data "mnist:$data/mnist" --epochs 3 --batch 64
for codec in raw norm:4; do
    row "lenet-bn, MNIST" "$codec" --model lenet-bn --data "mnist:$data/mnist" --epochs 3 --batch 64
done
for codec in raw norm:8 norm:4 avgpool:2 avgpool:4; do
    row "resnet20, CIFAR" "$codec" --model resnet20 --data "cifar10:$data/cifar10" --epochs 5 --batch 32 --no-augment
done
