#!/usr/bin/env bash
# Two GPUs of one host, the parts of tools/gpu/one.sh that need both:
#
#   tools/gpu/two.sh [build] [test] [ranks] [measure] [long] [throttle] [no_peer] [trace]     all eight when none is named
#
#   build      the program and the GPU tests
#   test       ctest -L gpu, with FERRY_REQUIRE_GPU=1 where there are GPUs
#   ranks      one forward of 1.3B on 2 ranks against 1
#   measure    14B and 1.3B, resident against async: transports, interleaves, paired and serial; peak memory and start
#   long       14B at 1280x720
#   throttle   14B over links of a quarter of their speed, which stands in for eight GPUs' pressure on the host
#   no_peer    14B without peer access (NCCL_P2P_DISABLE=1), which stands in for GPUs on PCIe alone
#   trace      the timeline of both ranks and its picture
#
# Results go to $OUT (default build-gpu/out).  Without GPUs two CPU ranks run a tiny model.  What the machine needs
# is said in tools/gpu/one.sh.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/common.sh

if [ "$gpus" -gt 1 ]; then
  device=cuda samples=3 small=1.3B large=14B quarter=13.75 size=832x480 frames=81 short=29 long=1280x720 shown=12-15
else
  device=cpu samples=1 small=tiny large=tiny quarter=0.05 size=64x64 frames=9 short=5 long=96x64 shown=0-1
fi

# A model of that size, unless the part before made it.
need_model() {
  if [ "$(cat "$scratch/made" 2>/dev/null)" = "$1" ] && [ -d "$model" ]; then return; fi
  rm -f "$scratch/made"
  "$ferry" make-model "$model" --size "$1" --dtype bf16 --parts dit,vae --overwrite >/dev/null || return 1
  echo "$1" >"$scratch/made"
}

# sweep FRAMES options...: resident, and async by each transport, in turn.
sweep() {
  local frames=$1
  shift
  keep 2 bench offload --model "$model" --device $device --frames "$frames" --ratios 1 \
    --transports ${transports:-full,sharded} --samples $samples "$@"
}

# One Euler step without guidance is one forward: noise - latents is its velocity.  Products with half of the rows may
# add up in another order, which flips last bits of bf16 (2^-9); 5e-3 is what 30 layers may make of that.
part_ranks() {
  local one="$scratch/one.safetensors" two="$scratch/two.safetensors" context="$scratch/context.safetensors"
  local step=(--steps 1 --sampler euler --guidance 1 --context "$context")
  need_model $small || return 1
  "$python" tools/gpu/random_context.py "$model" "$context" || return 1
  video ranks_1 "${step[@]}" --save "$one" -n 1 || return 1
  video ranks_2 "${step[@]}" --noise "$one" --save "$two" -n 2 || return 1
  "$python" tools/gpu/forward_error.py "$two" "$one" --what "2 ranks against 1" --limit 5e-3 | tee "$out/ranks_error.json"
  return "${PIPESTATUS[0]}"
}

# A measurement that fails leaves the others their turn.
part_measure() {
  local failed=0 cfg mode type
  : >"$out/measure.jsonl"
  need_model $small || return 1
  sweep $frames --size $size || failed=1
  need_model $large || return 1
  sweep $short --size $size || failed=1
  sweep $frames --size $size || failed=1
  for cfg in serial paired; do sweep $short --size $size --branches 2 --cfg $cfg || failed=1; done
  for mode in free gated; do sweep $short --size $size --dit.offload.interleave $mode || failed=1; done
  for type in none async; do
    keep 2 bench forward --model "$model" --device $device --size $size --frames $frames --samples 1 --warmups 0 \
      --dit.offload.type $type || failed=1
  done
  return $failed
}

part_long() {
  need_model $large && sweep $frames --size $long
}

part_throttle() {
  local failed=0 cfg
  need_model $large || return 1
  for cfg in serial paired; do sweep $frames --size $size --branches 2 --cfg $cfg --dit.offload.link_gbps $quarter || failed=1; done
  return $failed
}

part_no_peer() {
  local failed=0 mode
  need_model $large || return 1
  export NCCL_P2P_DISABLE=1
  for mode in free gated auto; do
    transports=full,sharded,auto sweep $short --size $size --dit.offload.interleave $mode || failed=1
  done
  return $failed
}

part_trace() {
  need_model $large || return 1
  "$python" tools/gpu/random_context.py "$model" "$scratch/context.safetensors" || return 1
  frames=$short video start --steps 3 --guidance 1 --context "$scratch/context.safetensors" --dit.offload.type async \
    --trace.file "$out/trace.json" -n 2 && draw "$out/trace.json" --blocks $shown
}

run_parts "${@:-build}" $([ $# -gt 0 ] || echo test ranks measure long throttle no_peer trace)
status=$?
rm -rf "$model" "$scratch/made"
exit $status
