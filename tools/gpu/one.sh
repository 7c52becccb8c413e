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

# The programs behind the label gpu: each is named like its source.
gpu_tests() { basename -s .cpp tests/gpu/*_gpu_test.cpp; }

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
  # Refused calls are part of what base_gpu_test tests, so API errors are not reported.
  for name in kernels_gpu_test base_gpu_test dit_gpu_test; do
    timeout 120 compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 9 \
      "$build/tests/$name" || failed=1
  done
  timeout 120 compute-sanitizer --tool racecheck --error-exitcode 9 "$build/tests/kernels_gpu_test" || failed=1
  return $failed
}

bench() { "$ferry" bench "$@" --json | tee -a "$out/measure.jsonl"; }

# Strategies in turn at one size:  sweep MODEL FRAMES TYPE...
sweep() {
  local model=$1 frames=$2 type
  shift 2
  for type in "$@"; do
    bench forward --model "$model" --device cuda --size 832x480 --frames "$frames" --samples 3 \
      --dit.offload.type "$type" || return 1
  done
}

# A tiny model, so that the script can be tried without a GPU.
measure_on_cpu() {
  local model=$scratch/model
  "$ferry" make-model "$model" --parts dit,vae --overwrite >/dev/null || return 1
  bench forward --model "$model" --size 64x64 --frames 5 --samples 3 || return 1
  bench decode --model "$model" --size 64x64 --frames 5 --samples 1 || return 1
}

measure_on_gpu() {
  local model=$scratch/model
  "$ferry" make-model "$model" --size 1.3B --parts dit,vae --dtype bf16 --overwrite >/dev/null || return 1
  sweep "$model" 81 none async model sequential || return 1
  bench decode --model "$model" --device cuda --size 832x480 --frames 81 --samples 1 || return 1
  rm -rf "$model"
  "$ferry" make-model "$model" --size 14B --parts dit --dtype bf16 --overwrite >/dev/null || return 1
  sweep "$model" 29 none async sequential model || return 1
  sweep "$model" 81 none async sequential model || return 1
}

part_measure() {
  local device=cuda
  : >"$out/measure.jsonl"
  if [ "$gpus" = 0 ]; then
    device=cpu
    measure_on_cpu || return 1
  else
    measure_on_gpu || return 1
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
