#!/usr/bin/env bash
# Fuzz targets under libFuzzer, which follows coverage:  tools/fuzz_coverage.sh [TARGET...]
#
# Builds the targets (tests/fuzz/target.h) with the preset fuzz (Clang 16, build-fuzz/) and runs all of them, or those
# named, FERRY_FUZZ_SECONDS (60) seconds each, from the corpus that it keeps in build-fuzz/corpus/TARGET.  Prints
# executions, edges reached and, where llvm-cov-16 is, the lines of the program that the targets reached, file by file.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${FERRY_FUZZ_BUILD:-$PWD/build-fuzz}
seconds=${FERRY_FUZZ_SECONDS:-60}

cmake --preset fuzz -B "$build" >/dev/null
ninja -C "$build" ferry_libfuzzer ferry_fuzz
export FERRY_SOURCE_DIR=$PWD OMP_NUM_THREADS=1 TMPDIR=${TMPDIR:-/dev/shm}
export LLVM_PROFILE_FILE=$build/driver.profraw  # of what is run beside the targets, and not looked at
mkdir -p "$build/corpus" "$build/profiles"
for target in ${*:-$("$build/tests/ferry_fuzz" --list)}; do
  mkdir -p "$build/corpus/$target"
  "$build/tests/ferry_fuzz" --corpus "$target" "$build/corpus/$target"
  echo "$target"
  FERRY_FUZZ_TARGET=$target LLVM_PROFILE_FILE=$build/profiles/$target.profraw \
    "$build/tests/ferry_libfuzzer" -max_total_time="$seconds" -timeout=20 -malloc_limit_mb=64 -max_len=300000 \
    -print_final_stats=1 -artifact_prefix="$build/$target-" "$build/corpus/$target" 2>"$build/$target.log" ||
    { tail -50 "$build/$target.log"; exit 1; }
  grep -E 'cov: ' "$build/$target.log" | tail -1
  grep -E 'number_of_executed|average_exec' "$build/$target.log"
done

if command -v llvm-cov-16 >/dev/null; then
  llvm-profdata-16 merge -o "$build/all.profdata" "$build"/profiles/*.profraw
  llvm-cov-16 report "$build/tests/ferry_libfuzzer" -instr-profile="$build/all.profdata" \
    checkpoint worker/state model/text launcher/options
fi
