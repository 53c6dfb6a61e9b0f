#!/bin/sh
# Sweeps a budget from the smallest that can be met to what raw takes, in ten steps, and prints for each the planned and
# the real peak, the time of a step beside raw's, and how well the gradients agree with exact ones (`fidelity`).
# Arguments: the command line's binary, a data set as --data takes it, then the options that make the network, e.g.
# --model resnet18 --height 224 --width 224 --batch 8.
set -eu

program=$1
data=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

member() {
    sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$1" | head -1
}

# The plans are for the device, so that they are what the steps run.
bench() {
    "$program" bench step "$@" --json >"$work/step" 2>"$work/error"
}

model=$*
bench "$@" --codec raw
raw_peak=$(member "$work/step" planned_peak_bytes)
bench "$@" --budget 1 || true
smallest=$(sed -n 's/.* takes \([0-9]*\)$/\1/p' "$work/error")

echo "$model: budgets from $smallest to $raw_peak bytes"
echo
echo "| budget, MB | planned peak | real peak | step, ms | beside raw | cosine | error |"
echo "|---|---|---|---|---|---|---|"
for i in 0 1 2 3 4 5 6 7 8 9 10; do
    budget=$((smallest + (raw_peak - smallest) * i / 10))
    bench "$@" --codec raw
    raw_ms=$(member "$work/step" median_ms)
    if ! bench "$@" --budget "$budget"; then
        cat "$work/error" >&2
        exit 1
    fi
    planned=$(member "$work/step" planned_peak_bytes) real=$(member "$work/step" peak_device_bytes)
    if [ "$planned" -gt "$budget" ] || [ "$planned" != "$real" ]; then
        echo "budget $budget, planned $planned, real $real" >&2
        exit 1
    fi
    "$program" fidelity --data "$data" "$@" --budget "$budget" --batches 2 --warm-up 10 --json >"$work/fidelity" 2>/dev/null
    LC_ALL=C awk -v budget="$budget" -v planned="$planned" -v real="$real" -v ms="$(member "$work/step" median_ms)" \
        -v raw="$raw_ms" -v cosine="$(member "$work/fidelity" cosine)" -v error="$(member "$work/fidelity" error)" '
        BEGIN { printf "| %.1f | %.1f | %.1f | %.1f | %.2f | %.4f | %.3f |\n", budget / 1e6, planned / 1e6, real / 1e6,
                ms, ms / raw, cosine, error }'
done
