#!/usr/bin/env bash
# Damaged files under AddressSanitizer and UndefinedBehaviorSanitizer:  tools/asan.sh [TARGET...]
#
# Builds the fuzz targets (tests/fuzz/target.h) with the preset asan (build-asan/) and runs all of them, or those
# named, two at a time, FERRY_FUZZ_SECONDS (60) seconds each from the seed FERRY_FUZZ_SEED (1).  Any report fails; the
# input that caused it stays in build-asan/tests/.  They run without sanitizers in `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${FERRY_ASAN_BUILD:-$PWD/build-asan}
export FERRY_FUZZ_SECONDS=${FERRY_FUZZ_SECONDS:-60}

cmake --preset asan -B "$build" >/dev/null
ninja -C "$build" ferry_fuzz
names=${*:-.*}
exec ctest --test-dir "$build" -j2 --verbose --no-tests=error -L '^fuzz$' -R "^fuzz_(${names// /|})\$"
