#!/usr/bin/env bash
# Configures (once) and builds a target of the release preset:  tools/build.sh ferry|all
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-all}
cache=build/CMakeCache.txt

cached() { sed -n "s/^$1:[A-Z]*=//p" "$cache" 2>/dev/null; }

# A cache of another folder, or of a LibTorch that is gone, is of no use.
if [ -e "$cache" ]; then
  torch=$(cached FERRY_TORCH_INCLUDE)
  if [ "$(cached CMAKE_HOME_DIRECTORY)" != "$PWD" ] || [ ! -e "$torch/ATen/ATen.h" ]; then
    echo "build: build/ is of another place or LibTorch; configuring anew" >&2
    rm -rf build
  fi
fi
# What tools/capabilities.sh found, and what the build was configured with.
found=build/probe/found.txt
fresh=()
if [ -e build/build.ninja ] && [ -e "$found" ] && [ -e build/configured.txt ] && ! cmp -s "$found" build/configured.txt; then
  echo "build: libraries are found in other places than before; configuring anew" >&2
  fresh=(--fresh)
fi
if [ ! -e build/build.ninja ] || [ ${#fresh[@]} != 0 ]; then
  mkdir -p build
  cmake "${fresh[@]}" --preset release >build/configure.log 2>&1 ||
    { cat build/configure.log >&2; echo "build: cmake failed" >&2; exit 1; }
  grep -E '^-- (LibTorch|NCCL|Ferry)' build/configure.log >&2 || true
fi
if [ -e "$found" ]; then cp "$found" build/configured.txt; fi

# A file that includes ATen takes about 1.5 GB to compile.
memory_kb=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
jobs=$((memory_kb / 1500000))
cores=$(nproc)
if [ "$jobs" -gt "$cores" ]; then jobs=$cores; fi
if [ "$jobs" -lt 1 ]; then jobs=1; fi
exec ninja -C build -j "$jobs" "$target"
