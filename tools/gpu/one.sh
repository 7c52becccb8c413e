#!/usr/bin/env bash
# Builds, tests and measures on one machine, made for one with a GPU:
#
#   tools/gpu/one.sh [build] [test] [sanitize] [measure]     all four when none is named
#
# A part that is named again does only what is missing (build) or starts over (the others).  Results go to
# $OUT (default build-gpu/out): <part>.log, and measure.jsonl.  Without a GPU the tests that need one are skipped and
# the measurements run on the CPU with a tiny model.  The machine needs nvcc, g++, CMake, ninja, a python3
# with torch (or .venv), Open MPI, GoogleTest, nlohmann-json, spdlog, fmt, libpng and SentencePiece; .carry/
# (tools/gpu/carry.sh) brings the rest.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${FERRY_GPU_BUILD:-$PWD/build-gpu}
out=${OUT:-$build/out}
scratch=${TMPDIR:-/tmp}/ferry-gpu
mkdir -p "$out" "$scratch"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
command -v ssh >/dev/null || export OMPI_MCA_plm_rsh_agent=
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true)
ferry=$build/launcher/ferry

configure() {
  local options=(-G Ninja -S . -B "$build") prefix
  if [ ! -d .venv ]; then
    prefix=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)') || return 1
    options+=("-DCMAKE_PREFIX_PATH=$prefix")
  fi
  if [ -d .carry ] && ! [ -e /usr/lib/x86_64-linux-gnu/libboost_program_options.so ]; then
    options+=("-DFERRY_BOOST_PREFIX=$PWD/.carry/boost")
  fi
  if [ -d .carry ] && ! pkg-config --exists libutf8proc; then
    export PKG_CONFIG_PATH=$PWD/.carry/utf8proc/pkgconfig
  fi
  if [ "$gpus" -gt 0 ]; then options+=(-DCMAKE_CUDA_ARCHITECTURES=native); fi
  cmake "${options[@]}"
}

# The programs that CTest would start for the label gpu.
gpu_tests() {
  ctest --test-dir "$build" -L gpu --show-only=json-v1 | python3 -c '
import json, os, sys
names = {os.path.basename(word) for test in json.load(sys.stdin)["tests"] for word in test.get("command", [])
         if word.endswith("_test")}
print("\n".join(sorted(names)))'
}

part_build() {
  local targets
  configure || return 1
  mapfile -t targets < <(gpu_tests)
  ninja -C "$build" ferry "${targets[@]}"
}

part_test() {
  nvidia-smi 2>/dev/null
  if [ "$gpus" -gt 0 ]; then export FERRY_REQUIRE_GPU=1; fi
  ctest --test-dir "$build" -L gpu --output-on-failure --no-tests=error --output-junit "$out/test.xml"
}

part_sanitize() {
  local name failed=0
  if [ "$gpus" = 0 ]; then echo "WAIVED: no GPU"; return; fi
  # One process each, and quick ones: memcheck slows a kernel down by tens of times.
  for name in kernels_gpu_test base_gpu_test; do
    [ -x "$build/tests/$name" ] || continue
    timeout 120 compute-sanitizer --tool memcheck --error-exitcode 9 "$build/tests/$name" || failed=1
  done
  return $failed
}

bench() { "$ferry" bench "$@" --json | tee -a "$out/measure.jsonl"; }

part_measure() {
  local model=$scratch/model device=cuda
  : >"$out/measure.jsonl"
  if [ "$gpus" = 0 ]; then
    device=cpu
    "$ferry" make-model "$model" --parts dit,vae --overwrite >/dev/null || return 1
    bench forward --model "$model" --size 64x64 --frames 5 --samples 3 || return 1
    bench decode --model "$model" --size 64x64 --frames 5 --samples 1 || return 1
  else
    "$ferry" make-model "$model" --size 1.3B --parts dit,vae --dtype bf16 --overwrite >/dev/null || return 1
    for type in none async; do
      bench forward --model "$model" --device cuda --size 832x480 --frames 81 --samples 3 --dit.offload.type $type ||
        return 1
    done
    bench decode --model "$model" --device cuda --size 832x480 --frames 81 --samples 1 || return 1
  fi
  "$ferry" demo --model models/demo --device $device -n 1 --out "$out/demo.mp4" --seed 1 || return 1
}

parts=("$@")
if [ ${#parts[@]} = 0 ]; then parts=(build test sanitize measure); fi
failed=()
for part in "${parts[@]}"; do
  case $part in build | test | sanitize | measure) ;; *) echo "one.sh: no part '$part'" >&2; exit 2 ;; esac
  started=$SECONDS
  "part_$part" 2>&1 | tee "$out/$part.log"
  if [ "${PIPESTATUS[0]}" != 0 ]; then failed+=("$part"); fi
  echo "one.sh: $part took $((SECONDS - started)) s"
  if [ "$part" = build ] && [ ${#failed[@]} -gt 0 ]; then break; fi
done
rm -rf "$scratch/model"
echo "one.sh: failed: ${failed[*]:-nothing}; results in $out"
[ ${#failed[@]} = 0 ]
