#!/bin/sh
# Runs the operator, codec and session tests with every shipped profile in place of the device's own. Argument: a build
# folder of tests/run.sh. CTEST_ARGS may narrow them (e.g. "-R op/conv2d").
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${1:-$root/build-tests}
failed=0
for file in "$root"/platforms/*.profile; do
    POCKETPROP_TEST_PROFILE=$(basename "$file" .profile)
    export POCKETPROP_TEST_PROFILE
    echo "== profile $POCKETPROP_TEST_PROFILE"
    # shellcheck disable=SC2086
    (cd "$build" && ctest --output-on-failure --parallel "${JOBS:-$(nproc)}" -L 'op|codec|exec' ${CTEST_ARGS:-}) ||
        failed=1
done
exit $failed
