#!/bin/sh
# Trains resnet20 from scratch on the 50,000 CIFAR-10 images with each way of keeping activations, the same schedule for
# all, and prints a table. Resumable: each run leaves a file in the results folder, and what is there is not run again.
# Arguments: the command line's binary, the folder that holds cifar10/ (with cifar10-images.tar, unpacked once into the
# results folder), the results folder. EPOCHS (4), BATCH (128) and SEEDS ("1 2 3", for those with several) may be set.
# About two minutes a run on two cores.
set -eu

program=$1
data=$2
results=$3
epochs=${EPOCHS:-4}
batch=${BATCH:-128}
seeds=${SEEDS:-1 2 3}
mkdir -p "$results"

images=$results/images
if [ ! -d "$images" ]; then
    mkdir "$images.part"
    tar xf "$data/cifar10/cifar10-images.tar" -C "$images.part"
    mv "$images.part" "$images"
fi

# train --json and plan --json write one member per line.
member() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$1" | head -1
}

# One run; the rest of the arguments are options of train.
run() {
    name=$1 seed=$2
    shift 2
    file=$results/$name.$seed
    [ -s "$file" ] && return
    "$program" train --model resnet20 --data "images:$images" --epochs "$epochs" --batch "$batch" --lr 0.1 \
        --weight-decay 1e-4 --seed "$seed" "$@" --json >"$file.part" 2>"$file.log"
    if [ "$(member "$file.part" planned_peak_bytes)" != "$(member "$file.part" real_peak_bytes)" ]; then
        echo "$name, seed $seed: the real peak is not the planned one" >&2
        exit 1
    fi
    mv "$file.part" "$file"
}

runs() {
    name=$1
    shift
    for seed in $seeds; do run "$name" "$seed" "$@"; done
}

# The policy of the least expected error whose stored codes are at most 1/share of what float32 would keep, among those
# of budgets from the smallest on: more bands leave more room for codes, so the codes do not simply grow with the budget.
budget_policy() {
    share=$1 policy=$results/budget-$1.policy least=1000
    [ -s "$policy" ] && return
    plan="$program plan --model resnet20 --batch $batch --json"
    $plan --codec raw >"$results/plan"
    target=$(($(member "$results/plan" saved_raw_bytes) / share))
    low=$($plan --budget 1 2>&1 | sed -n 's/.* takes \([0-9]*\)$/\1/p')
    high=$(member "$results/plan" peak_bytes)
    for i in $(seq 0 50); do
        $plan --budget $((low + (high - low) * i * i / 10000)) --save-policy "$policy.try" >"$results/plan"
        saved=$(member "$results/plan" saved_stored_bytes)
        error=$(member "$results/plan" expected_error)
        if [ "$saved" -le "$target" ] && echo "$error $least" | awk '{ exit !($1 < $2) }'; then
            least=$error
            mv "$policy.try" "$policy"
        fi
    done
    rm -f "$policy.try" "$results/plan"
}

for name in raw norm:4 norm:3 norm:2; do runs "$name" --codec "$name"; done
for share in 12 24; do
    budget_policy "$share"
    runs "budget-$share" --policy "$results/budget-$share.policy"
done
for name in norm:8 norm:1 ${EXTRA-btc:4 avgpool:2 avgpool:4 avgpool:2+group:4}; do
    run "$name" 1 --codec "$name"
done

echo "| codec | saved, KB a sample | peak, MB | training loss | test top-1, % | seeds |"
echo "|---|---|---|---|---|---|"
for name in raw norm:8 norm:4 norm:3 norm:2 norm:1 ${EXTRA-btc:4 avgpool:2 avgpool:4 avgpool:2+group:4} budget-12 \
    budget-24; do
    for file in "$results/$name".[0-9]*; do
        case $file in *.log | *.part) continue ;; esac
        echo "$(member "$file" train_loss) $(member "$file" test_top1) $(member "$file" planned_peak_bytes)" \
            "$(member "$file" saved_stored_bytes)"
    done | LC_ALL=C awk -v name="$name" -v batch="$batch" '
        { loss += $1; top1 += $2; all = all sprintf(" %.2f", $2); peak = $3; saved = $4 }
        END { printf "| %s | %.1f | %.1f | %.4f | %.2f |%s |\n", name, saved / batch / 1e3, peak / 1e6, loss / NR,
              top1 / NR, all }'
done
