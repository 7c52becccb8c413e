#!/usr/bin/env bash
# Builds, tests and measures on one machine, made for one with a GPU:
#
#   tools/gpu/one.sh [build] [test] [measure] [precision] [memory] [pipeline] [sanitize]
#                                                                the first four when none is named
#
#   build      the program and the GPU tests
#   test       ctest -L gpu; a GPU that cannot be used is a failure where one exists; what compares with diffusers and
#              transformers is among them where python3 has those
#   measure    14B: strategies in turn, peak memory without and with async, the start, a trace; a decode
#   precision  one forward of 1.3B in bf16 against fp32
#   memory     what a forward of 1.3B and a decode take at 480p and 720p, beside the estimates that are checked
#   pipeline   1.3B with the whole umT5 and VAE, 832x480, 81 frames, 20 steps
#   sanitize   compute-sanitizer over the tests and a tiny run
#
# Results go to $OUT (default build-gpu/out): a log per part, measure.jsonl, records, trace.json and its picture.
# On one H100 the first four took 490 s, sanitize 125 s, pipeline 84 s.
# Without a GPU the tests that need one are skipped and the rest runs on the CPU with a tiny model.  The machine
# needs nvcc, g++, CMake, ninja, a python3 with torch (or .venv), Open MPI, GoogleTest, nlohmann-json, spdlog, fmt, libpng and
# SentencePiece; .carry/ (tools/gpu/carry.sh) brings the rest.  The models it makes want 45 GB of disk and the
# 14B measurements 64 GB of host memory.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/common.sh

if [ "$gpus" -gt 0 ]; then
  device=cuda size=832x480 frames=81 short=29 steps=20 small=1.3B large=14B samples=3 short_samples=5
  shown=12-15 areas="832x480 1280x720"
else
  device=cpu size=64x64 frames=9 short=5 steps=2 small=tiny large=tiny samples=1 short_samples=1
  shown=0-1 areas="64x64 128x64"
fi
make_model() { "$ferry" make-model "$model" --dtype bf16 --overwrite "$@" >/dev/null; }

# check NAME TOOL command...: runs it in the background, since nothing is timed.
check() {
  local log=$out/sanitize_$1_$2.log
  # Refused calls are part of what base_gpu_test tests, so API errors are not reported.
  timeout 240 compute-sanitizer --error-exitcode 9 --tool "$2" --report-api-errors no "${@:3}" >"$log" 2>&1 ||
    echo "$1 under $2 ended with $?" >>"$log" &
  checks[$!]=$log
}

part_sanitize() {
  local name tool process failed=0
  local -A checks=()
  if [ "$gpus" = 0 ]; then echo "WAIVED: no GPU"; return; fi
  for name in kernels base dit offload; do check $name memcheck "$build/tests/${name}_gpu_test"; done
  check kernels racecheck "$build/tests/kernels_gpu_test"
  for tool in memcheck racecheck; do
    check tiny $tool "$ferry" generate --model models/demo --prompt "a red circle" --device cuda --steps 2 \
      --dit.offload.type async --vae.offload.type sequential --overwrite --out "$scratch/tiny_$tool.mp4"
  done
  for process in "${!checks[@]}"; do
    wait "$process"
    echo "$(basename "${checks[$process]}"): $(tail -n 1 "${checks[$process]}")"
    if ! grep -qE 'SUMMARY: 0 (errors|hazards)' "${checks[$process]}" || grep -q 'ended with' "${checks[$process]}"; then
      failed=1
    fi
  done
  return $failed
}

# One Euler step without guidance is one forward: noise - latents is its velocity.
part_precision() {
  local one="$scratch/one.safetensors" context="$scratch/context.safetensors"
  local step=(--steps 1 --sampler euler --guidance 1 --context "$context")
  make_model --size $small --parts dit,vae || return 1
  "$python" tools/gpu/random_context.py "$model" "$context" || return 1
  video forward_bf16 "${step[@]}" --save "$one" || return 1
  video forward_fp32 "${step[@]}" --dtype fp32 --noise "$one" --save "$scratch/fp32.safetensors" || return 1
  "$python" tools/gpu/forward_error.py "$one" "$scratch/fp32.safetensors" --what "bf16 against fp32" --limit 1e-2 |
    tee "$out/forward_error.json"
  return "${PIPESTATUS[0]}"
}

part_memory() {
  local context="$scratch/context.safetensors" area dtype records=()
  make_model --size $small --parts dit,vae || return 1
  "$python" tools/gpu/random_context.py "$model" "$context" || return 1
  for area in $areas; do
    for dtype in fp32 bf16; do
      size=$area video "memory_${area}_$dtype" --steps 1 --guidance 1 --context "$context" --vae_dtype $dtype || return 1
      records+=("$out/memory_${area}_$dtype.json")
    done
  done
  "$python" tools/gpu/memory_estimates.py "${records[@]}" | tee "$out/memory_estimates.jsonl"
  return "${PIPESTATUS[0]}"
}

# A measurement that fails leaves the others their turn.
part_measure() {
  local type failed=0
  : >"$out/measure.jsonl"
  make_model --size $large --parts dit,vae || return 1
  local bench=(--model "$model" --device $device --size $size)
  local sweep=("${bench[@]}" --ratios 1 --types)
  # Two copies of the weights on one GPU, resident's and model's, are the most that 80 GB hold.
  keep 1 bench offload "${sweep[@]}" async,sequential,model --frames $frames --samples $samples ||
    keep 1 bench offload "${sweep[@]}" async,sequential --frames $frames --samples $samples || failed=1
  keep 1 bench offload "${sweep[@]}" async,sequential,model --frames $short --samples $short_samples || failed=1
  # Beside the floor, and in a process of its own, whose peak of device memory is the strategy's.
  for type in none async; do
    keep 1 bench forward "${bench[@]}" --frames $frames --samples 1 --warmups 0 --dit.offload.type $type || failed=1
  done
  "$python" tools/gpu/random_context.py "$model" "$scratch/context.safetensors" || return 1
  frames=$short video start --steps 2 --guidance 1 --context "$scratch/context.safetensors" \
    --dit.offload.type async --trace.file "$out/trace.json" && draw "$out/trace.json" --blocks $shown || failed=1
  keep 1 bench decode "${bench[@]}" --frames $frames --samples 1 || failed=1
  return $failed
}

part_pipeline() {
  local tokenizer=models/demo/tokenizer/spiece.model
  make_model --size $small --tokenizer $tokenizer || return 1
  video pipeline_none --steps $steps || return 1
  video pipeline_async --steps $steps --dit.offload.type async --text_encoder.offload.type model \
    --vae.offload.type model || return 1
}

run_parts "${@:-build}" $([ $# -gt 0 ] || echo test measure precision)
status=$?
rm -rf "$model"
exit $status
