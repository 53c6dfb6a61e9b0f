#!/bin/sh
# Prints two tables: the bytes that stored codes take per image, and the total peak of a training step by class of memory,
# as planned and as it was when the step ran, beside PyTorch's. Arguments: the command line's binary, and the file that
# peaks.py wrote, or - for none. REAL=0 runs no step; a step whose plan is larger than half of the free memory is not run.
# Plans are for the profile of the device at hand, so that they are what the steps run. NETWORKS lists MODEL:BATCH:BYTES,
# where BYTES is a budget that was asked for. About ten minutes on two cores.
set -eu

program=$1
pytorch=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

member() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$1" | head -1
}

in_class() {
    sed -n '/"by_class": {/,/}/p' "$1" | sed -n "s/^ *\"$2\": \([0-9]*\),\{0,1\}\$/\1/p"
}

"$program" bench step --model lenet --batch 1 --steps 1 --json >"$work/device"
profile=$(member "$work/device" profile)

plan() {
    "$program" plan --profile "$profile" "$@" --json
}

# What codes take, from a plan in "$work/plan". A group's header is what its code takes beyond its elements' bits.
stored_row() {
    model=$1 codec=$2 batch=$3 asked=$4
    plan --model "$model" --batch "$batch" --codec "$codec" >"$work/plan"
    sed 's/[{},"]//g' "$work/plan" | LC_ALL=C awk -v model="$model" -v codec="$codec" -v batch="$batch" -v asked="$asked" '
        $1 == "saved_raw_bytes:" { framework = $2 }
        $1 == "saved_stored_bytes:" { stored = $2 }
        match($0, /codec: group:[0-9]/) {
            bits = substr($0, RSTART + 13, 1)
            match($0, /raw_bytes: [0-9]+/)
            raw = substr($0, RSTART + 11, RLENGTH - 11)
            match($0, /stored_bytes: [0-9]+/)
            headers += substr($0, RSTART + 14, RLENGTH - 14) - raw * bits / 32
        }
        /codec: bytes/ {
            match($0, /stored_bytes: [0-9]+/)
            images = substr($0, RSTART + 14, RLENGTH - 14)
        }
        END {
            printf "| %s | %s | %.4f | %.4f | %.4f | %.4f | %s | %.2f | %.2f |\n", model, codec, stored / batch / 1e6,
                headers / batch / 1e6, images / batch / 1e6, (stored - headers) / batch / 1e6, asked,
                framework / batch / 1e6, framework / stored
        }'
}

echo "| network | codec | stored, MB an image | of these groups' headers | of these images in bytes | without headers | asked, MB | float32 framework, MB | ratio |"
echo "|---|---|---|---|---|---|---|---|---|"
stored_row resnet50 norm:4 64 8.67
stored_row resnet50 norm:3 64 6.56
stored_row resnet50 norm:2 64 "4.8 and headers"
stored_row resnet18 norm:4 64 1.97
stored_row resnet18 norm:3 64 1.54
stored_row resnet18 norm:2 64 -
stored_row resnet20 norm:4 128 "0.1372, images apart"
stored_row resnet20 norm:3 128 -
stored_row resnet20 norm:2 128 -
stored_row preresnet152 norm:4 64 "16.9 with buffers"
stored_row preresnet152 norm:3 64 -
stored_row preresnet152 norm:2 64 -

# The growth of a whole step's peak from 64 images to 128: what an image takes, transient values and all.
for codec in norm:4 norm:3 norm:2; do
    plan --model preresnet152 --batch 64 --codec "$codec" >"$work/small"
    plan --model preresnet152 --batch 128 --codec "$codec" >"$work/large"
    echo "$(member "$work/small" lower_bound_bytes) $(member "$work/large" lower_bound_bytes) $codec"
done | LC_ALL=C awk '
    { text = text sprintf("%s%s %.2f", NR > 1 ? ", " : "", $3, ($2 - $1) / 64 / 1e6) }
    END { printf "\npreresnet152, the whole step, MB an image (of 20.05 and 16.9 in METHODS E.4): %s\n\n", text }'

# MB, or a dash where nothing was measured.
megabytes() {
    if [ "$1" = - ]; then echo -; else LC_ALL=C awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1e6 }'; fi
}

# The real peak of the plan whose policy is "$work/policy"; a dash where it was not run.
real_peak() {
    free=$(awk '/MemAvailable/ { printf "%.0f", $2 * 1024 / 2 }' /proc/meminfo)
    if [ "${REAL:-1}" = 0 ] || [ "$(member "$work/plan" peak_bytes)" -gt "$free" ]; then
        echo -
        return
    fi
    "$program" bench step --model "$model" --batch "$batch" --policy "$work/policy" --optimizer-bits "$bits" --steps 1 \
        --json >"$work/step" 2>"$work/error" || { cat "$work/error" >&2; exit 1; }
    member "$work/step" peak_device_bytes
}

peak_row() {
    name=$1 bits=$2
    shift 2
    plan --model "$model" --batch "$batch" --optimizer-bits "$bits" "$@" --save-policy "$work/policy" >"$work/plan"
    planned=$(member "$work/plan" peak_bytes)
    real=$(real_peak)
    if [ "$real" != - ] && [ "$real" != "$planned" ]; then
        echo "$model, $name: planned $planned bytes, real $real" >&2
        failed=1
    fi
    printf '| %s | %s | %s |' "$model, batch $batch" "$name" "$bits"
    for class in parameters gradients optimizer saved transient workspace staging; do
        printf ' %s |' "$(megabytes "$(in_class "$work/plan" $class)")"
    done
    printf ' %s | %s |\n' "$(megabytes "$planned")" "$(megabytes "$real")"
}

# The least that a budget may be, as the refusal of one byte says.
smallest() {
    plan --model "$model" --batch "$batch" --optimizer-bits "$1" --budget 1 2>&1 | sed -n 's/.* takes \([0-9]*\)$/\1/p'
}

failed=0
echo "| network | codec | bits of a moment | parameters, MB | gradients | moments | saved | transient | scratch | staging | planned peak | real peak |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|"
for network in ${NETWORKS:-resnet50:64:536870912 resnet18:32:120000000 resnet20:128:24000000 \
    preresnet1001:128:1500000000 resnet20:32:5000000}; do
    model=${network%%:*} asked=${network##*:}
    batch=${network#*:}
    batch=${batch%:*}
    if [ "$pytorch" != - ]; then
        sed -n "/\"model\": \"$model\"/,/}/p" "$pytorch" >"$work/pytorch"
        if [ "$(member "$work/pytorch" batch)" = "$batch" ]; then
            echo "| $model, batch $batch | PyTorch | 32 | | | | | | | | | $(megabytes "$(member "$work/pytorch" peak_bytes)") |"
        fi
    fi
    peak_row raw 32 --codec raw
    peak_row norm:4 32 --codec norm:4
    peak_row norm:4 8 --codec norm:4
    peak_row norm:2 8 --codec norm:2
    peak_row "budget $(megabytes "$asked")" 8 --budget "$asked"
    peak_row "the smallest budget" 32 --budget "$(smallest 32)"
    peak_row "the smallest budget" 8 --budget "$(smallest 8)"
done
exit "$failed"
