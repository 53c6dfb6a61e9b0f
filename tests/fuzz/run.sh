#!/bin/sh
# Builds the fuzzers with clang, runs each for MINUTES and prints what they did. From anywhere:
#
#     tests/fuzz/run.sh                                  # ten minutes each
#     MINUTES=2 TARGETS="idx image" tests/fuzz/run.sh
#     tests/fuzz/run.sh --merge                          # then keep what adds coverage in corpus/
#
# JOBS processes share a target (2); BUILD_DIR and WORK_DIR keep their state between runs. Inputs that crash, hang
# for 10 seconds or leak are left in WORK_DIR/<target>; give one of them a name and put it into corpus/<target>.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
build=${BUILD_DIR:-$root/build-fuzz}
work=${WORK_DIR:-$build/fuzz}
minutes=${MINUTES:-10}
jobs=${JOBS:-2}
targets=${TARGETS:-$(cd "$here" && ls fuzz_*.c | grep -v fuzz_session | sed 's/^fuzz_//; s/\.c$//')}
most_bytes=${MOST_BYTES:-4096} # of a kept input; CIFAR's records are larger

export ASAN_OPTIONS="allocator_may_return_null=1:detect_stack_use_after_return=1"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export LSAN_OPTIONS="suppressions=$root/tests/support/lsan.supp:print_suppressions=0"

CC=clang cmake -S "$root" -B "$build" -DPOCKETPROP_FUZZ=ON -DPOCKETPROP_CLBLAST=OFF -DPOCKETPROP_EXAMPLES=OFF \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo > /dev/null
for target in $targets; do
    cmake --build "$build" --parallel --target "fuzz_$target" > /dev/null
done

# The sum, or the largest, of a number in a target's logs.
sum_of() { cat "$1"/fuzz-*.log | awk -v key="$2" '$1 == key { sum += $2 } END { print sum + 0 }'; }
most_of() {
    cat "$1"/fuzz-*.log | awk -v key="$2" \
        '{ for (i = 1; i < NF; i++) if ($i == key && $(i + 1) > most) most = $(i + 1) } END { print most + 0 }'
}
count_files() { find "$1" -name "$2" | wc -l; }

printf '%-14s %12s %8s %10s %8s %8s %6s %6s\n' target executions edges features inputs crashes hangs leaks
failed=0
for target in $targets; do
    folder=$work/$target
    mkdir -p "$folder/corpus"
    rm -f "$folder"/fuzz-*.log
    (cd "$folder" && "$build/tests/fuzz/fuzz_$target" -max_total_time=$((minutes * 60)) -timeout=10 \
        -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 -jobs="$jobs" -workers="$jobs" \
        corpus "$here/corpus/$target" > run.log 2>&1) || failed=1
    crashes=$(($(count_files "$folder" 'crash-*') + $(count_files "$folder" 'oom-*')))
    hangs=$(count_files "$folder" 'timeout-*')
    leaks=$(count_files "$folder" 'leak-*')
    printf '%-14s %12s %8s %10s %8s %8s %6s %6s\n' "$target" \
        "$(sum_of "$folder" stat::number_of_executed_units:)" "$(most_of "$folder" cov:)" \
        "$(most_of "$folder" ft:)" "$(count_files "$folder/corpus" '*')" "$crashes" "$hangs" "$leaks"
    [ $((crashes + hangs + leaks)) -eq 0 ] || failed=1
    if [ "${1:-}" = --merge ]; then
        find "$folder/corpus" -type f -size +"$most_bytes"c -delete
        "$build/tests/fuzz/fuzz_$target" -merge=1 -use_counters=0 "$here/corpus/$target" "$folder/corpus" > "$folder/merge.log" 2>&1
    fi
done
exit $failed
