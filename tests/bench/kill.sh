#!/bin/sh
# Kills training with SIGKILL at random moments, checkpoint writes included, resumes it, and compares the weights at the
# end with those of a run that nobody disturbed. Then the same with a disk that is full for a while, where a small file
# system can be mounted (as root). Arguments: the command line's binary, a folder for files that is made and removed.
# RUNS (100) and FULL (20) may be set. About ten minutes.
set -eu

program=$1
folder=$2
runs=${RUNS:-100}
full=${FULL:-20}
options="--model resnet8-digits --data digits --batch 32 --epochs 8 --codec norm:4 --optimizer adam --optimizer-bits 8
    --dropout 0.1 --seed 5"
mkdir "$folder"
trap 'umount "$folder/disk" 2>/dev/null; rm -rf "$folder"' EXIT

digest() {
    sed -n 's/.*"weights_digest": "\(.*\)".*/\1/p'
}

# A random number below $1.
below() {
    od -An -N4 -tu4 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}

# shellcheck disable=SC2086
begun=$(date +%s%N)
# shellcheck disable=SC2086
expected=$("$program" train $options --json 2>/dev/null | digest)
milliseconds=$((($(date +%s%N) - begun) / 1000000))
echo "undisturbed: $expected, $milliseconds ms"

# Runs with checkpoints in $1 until it is through, killed at random moments while there are kills left.
disturb() {
    checkpoints=$1 kills=$2 every=$3
    while [ "$kills" -gt 0 ]; do
        # shellcheck disable=SC2086
        "$program" train $options --checkpoint "$checkpoints" --checkpoint-every "$every" --resume >/dev/null 2>&1 &
        sleep "$(below $((milliseconds * 2)) | awk '{ printf "%.3f", $1 / 1000 }')"
        if kill -9 $! 2>/dev/null; then killed=$((killed + 1)); fi
        wait $! 2>/dev/null || true
        kills=$((kills - 1))
    done
}

finish() {
    # shellcheck disable=SC2086
    found=$("$program" train $options --checkpoint "$1" --checkpoint-every 50 --resume --json 2>"$folder/err" | digest)
    resumed=$((resumed + $(grep -c '^resumed from' "$folder/err" || true)))
    if [ "$found" != "$expected" ]; then
        echo "run $2 ended with ${found:-nothing}" >&2
        cat "$folder/err" >&2
        exit 1
    fi
    rm -rf "$1"
}

killed=0 resumed=0
for run in $(seq "$runs"); do
    disturb "$folder/run" 2 $((run % 3 * 4 + 1))
    finish "$folder/run" "$run"
done
echo "$runs runs, $killed killed, $resumed resumed from a checkpoint: all ended with the same weights"

mkdir "$folder/disk"
if ! mount -t tmpfs -o size=4m tmpfs "$folder/disk" 2>/dev/null; then
    echo "no small file system can be mounted here: the full disk is left out"
    exit 0
fi
# A file fills the disk but for a random rest until the run ends, killed or not.
killed=0 resumed=0 refused=0
for run in $(seq "$full"); do
    # shellcheck disable=SC2086
    "$program" train $options --checkpoint "$folder/disk/run" --checkpoint-every 3 >/dev/null 2>"$folder/said" &
    sleep "$(below $((milliseconds / 2)) | awk '{ printf "%.3f", $1 / 1000 }')"
    head -c "$(($(below 3000) + 1200))k" /dev/zero >"$folder/disk/filler" 2>/dev/null || true
    if [ $((run % 2)) = 0 ]; then
        sleep "$(below $((milliseconds / 2)) | awk '{ printf "%.3f", $1 / 1000 }')"
        kill -9 $! 2>/dev/null || true
    fi
    wait $! || true
    refused=$((refused + ($(grep -c 'nothing saved' "$folder/said" || true) > 0)))
    rm "$folder/disk/filler"
    finish "$folder/disk/run" "$run"
done
echo "$full runs on a disk that was full for a while, of which $refused could not save: all ended with the same weights"
