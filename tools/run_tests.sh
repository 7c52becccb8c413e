#!/usr/bin/env bash
# Runs every test of build/ and ends with one line that sums up:  tools/run_tests.sh [ctest options]
set -uo pipefail
cd "$(dirname "$0")/.."
log=build/test.log

# Two processes at a time, and a fuzz target beside them (tests/CMakeLists.txt says why 5).
ctest --test-dir build -j5 --no-tests=error --output-on-failure "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

total=$(grep -cE '^ *[0-9]+/[0-9]+ +Test +#' "$log")
failed=$(grep -cE '^ *[0-9]+/[0-9]+ +Test +#.*\*\*\*(Failed|Timeout|Exception|Not Run)' "$log")
skipped=$(grep -cE '^ *[0-9]+/[0-9]+ +Test +#.*\*\*\*Skipped' "$log")
echo "log: $PWD/$log"
echo "$((total - failed - skipped)) passed, $failed failed, $skipped skipped"
exit "$status"
