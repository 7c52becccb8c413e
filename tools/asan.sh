#!/usr/bin/env bash
# Random and damaged inputs under AddressSanitizer:  tools/asan.sh
#
# Builds the tests of the label fuzz (.cfg files, LoRA headers and adapter_config.json, checkpoints) with the preset
# asan (build-asan/) and runs them; an error that it reports fails.  They run without it in `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${FERRY_ASAN_BUILD:-$PWD/build-asan}

cmake --preset asan -B "$build" >/dev/null
ninja -C "$build" checkpoint_fuzz_test config_fuzz_test
exec ctest --test-dir "$build" --output-on-failure --no-tests=error -L '^fuzz$'
