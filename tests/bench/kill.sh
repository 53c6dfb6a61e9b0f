#!/bin/sh
# Kills training with SIGKILL at random moments, checkpoint writes included, resumes it, and compares the weights at the
# end with those of a run that nobody disturbed. Then the same with a disk that is full for a while: a small file system
# where one can be mounted (as root), elsewhere a limit on the size of files that cuts checkpoints short (prlimit).
# Arguments: the command line's binary, a folder for files that is made and removed. RUNS (100) and FULL (20) may be set.
# About ten minutes.
set -eu

program=$1
folder=$2
runs=${RUNS:-100}
full=${FULL:-20}
options="--model resnet8-digits --data digits --batch 32 --epochs 16 --codec norm:4 --optimizer adam --optimizer-bits 8
    --dropout 0.1 --seed 5"
mkdir "$folder"
trap 'umount "$folder/disk" 2>/dev/null || true; rm -rf "$folder"' EXIT

train() {
    # shellcheck disable=SC2086
    "$program" train $options "$@"
}

digest() {
    sed -n 's/.*"weights_digest": "\(.*\)".*/\1/p'
}

# A random number below $1.
below() {
    od -An -N4 -tu4 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}

# Sleeps for a random time below $1 milliseconds.
doze() {
    sleep "$(below "$1" | awk '{ printf "%.3f", $1 / 1000 }')"
}

train --epochs 1 >/dev/null 2>&1 # builds the kernels, which the run below is not to be timed with
begun=$(date +%s%N)
expected=$(train --json 2>/dev/null | digest)
milliseconds=$((($(date +%s%N) - begun) / 1000000))
echo "undisturbed: $expected, $milliseconds ms"

# Until there is a checkpoint in $1, or no process $2.
await() {
    while kill -0 "$2" 2>/dev/null && ! ls "$1"/step-*.safetensors >/dev/null 2>&1; do sleep 0.01; done
}

# Starts a run with checkpoints in $1 every $2 updates and kills it at a random moment, with $3 = late one behind its
# first checkpoint; counts those that were killed with a checkpoint half written.
disturb() {
    # shellcheck disable=SC2086
    "$program" train $options --checkpoint "$1" --checkpoint-every "$2" --resume >/dev/null 2>&1 &
    if [ "$3" = late ]; then await "$1" $!; fi
    doze "$milliseconds"
    if kill -9 $! 2>/dev/null; then killed=$((killed + 1)); fi
    wait $! 2>/dev/null || true
    if ls "$1"/*.part >/dev/null 2>&1; then halves=$((halves + 1)); fi
}

# Resumes from $1 to the end of run $2.
finish() {
    found=$(train --checkpoint "$1" --checkpoint-every 50 --resume --json 2>"$folder/err" | digest)
    resumed=$((resumed + $(grep -c '^resumed from' "$folder/err" || true)))
    if [ "$found" != "$expected" ]; then
        echo "run $2 ended with ${found:-nothing}" >&2
        cat "$folder/err" >&2
        exit 1
    fi
    rm -rf "$1"
}

killed=0 resumed=0 halves=0
for run in $(seq "$runs"); do
    every=$((run % 3 * 4 + 1))
    if [ $((run % 4)) = 0 ]; then when=soon; else when=late; fi
    disturb "$folder/run" "$every" $when
    disturb "$folder/run" "$every" $when
    finish "$folder/run" "$run"
done
echo "$runs runs, $killed times killed, $halves times in a write, $resumed resumed: all ended with the same weights"

# Process $1 finds no room from now on: a file fills the disk but for a random rest, or its own files are cut short.
fill() {
    if [ $mounted = 1 ]; then
        head -c "$(($(below 3000) + 1200))k" /dev/zero >"$folder/disk/filler" 2>/dev/null || true
    else
        prlimit --pid "$1" --fsize="$(below 200000):" 2>/dev/null || true
    fi
}

killed=0 resumed=0 refused=0 mounted=0
mkdir "$folder/disk"
if mount -t tmpfs -o size=4m tmpfs "$folder/disk" 2>/dev/null; then mounted=1; fi
for run in $(seq "$full"); do
    # shellcheck disable=SC2086
    "$program" train $options --checkpoint "$folder/disk/run" --checkpoint-every 3 >/dev/null 2>"$folder/said" &
    await "$folder/disk/run" $!
    doze $((milliseconds / 4))
    fill $!
    if [ $((run % 2)) = 0 ]; then
        doze $((milliseconds / 2))
        kill -9 $! 2>/dev/null || true
    fi
    wait $! 2>/dev/null || true
    refused=$((refused + ($(grep -c 'nothing saved' "$folder/said" || true) > 0)))
    rm -f "$folder/disk/filler"
    finish "$folder/disk/run" "$run"
done
echo "$full runs with a disk that was full for a while, of which $refused could not save: all ended with the same weights"
