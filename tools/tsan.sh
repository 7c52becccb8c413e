#!/usr/bin/env bash
# Looks for data races in base/, parallel/ and offload/:  tools/tsan.sh
#
# Builds their tests with ThreadSanitizer (preset tsan, build-tsan/) and runs them in one process and on 1 and
# 2 MPI ranks, one OpenMP thread each.  Any report fails, and so does a planted race that is not reported.
# Some ten minutes on two cores, most of it building; not part of `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${FERRY_TSAN_BUILD:-$PWD/build-tsan}

cmake --preset tsan -B "$build" >/dev/null
ninja -C "$build" base_test trace_test parallel_test parallel_session_test parallel_mpi_test \
  offload_test offload_mpi_test offload_race
# Ranks of one machine are threads to each other only through shared memory, which is not watched.
exec ctest --test-dir "$build" --output-on-failure --no-tests=error --timeout 900 \
  -R '^(base_test|trace_test|parallel_test|parallel_session_test|offload_test|offload_race_(clean|planted)|(parallel|offload)_mpi_test_[12])$'
