#!/usr/bin/env bash
# Two GPUs of one host, the parts of tools/gpu/one.sh that need both:
#
#   tools/gpu/two.sh [build] [test] [measure] [throttle] [no_peer] [trace]     all six when none is named
#
#   build      the program and the GPU tests
#   test       ctest -L gpu, with FERRY_REQUIRE_GPU=1 where there are GPUs
#   measure    14B and 1.3B, resident against async: transports, interleaves, paired and serial
#   throttle   14B over links of a quarter of their speed, which stands in for eight GPUs' pressure on the host
#   no_peer    14B without peer access (NCCL_P2P_DISABLE=1), which stands in for GPUs on PCIe alone
#   trace      the timeline of both ranks
#
# Results go to $OUT (default build-gpu/out).  Without GPUs two CPU ranks run a tiny model.  What the machine needs
# is said in tools/gpu/one.sh.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/common.sh

if [ "$gpus" -gt 1 ]; then
  device=cuda samples=3 small=1.3B large=14B quarter=13.75
  sizes=("832x480 81" "832x480 29" "1280x720 81")
else
  device=cpu samples=1 small=tiny large=tiny quarter=0.05
  sizes=("64x64 9")
fi

# A model of that size, unless the part before made it.
need_model() {
  if [ "$(cat "$scratch/made" 2>/dev/null)" = "$1" ] && [ -d "$model" ]; then return; fi
  "$ferry" make-model "$model" --size "$1" --dtype bf16 --parts dit,vae --overwrite >/dev/null || return 1
  echo "$1" >"$scratch/made"
}

# sweep "SIZE FRAMES" options...
sweep() {
  local where=($1)
  shift
  keep 2 bench offload --model "$model" --device $device --size "${where[0]}" --frames "${where[1]}" --ratios 1 \
    --transports ${transports:-full,sharded} --samples $samples "$@"
}

part_measure() {
  local where
  : >"$out/measure.jsonl"
  need_model $small && sweep "${sizes[0]}" || return 1
  need_model $large || return 1
  for where in "${sizes[@]}"; do sweep "$where" || return 1; done
  for cfg in serial paired; do sweep "${sizes[1]:-${sizes[0]}}" --branches 2 --cfg $cfg || return 1; done
  for mode in free gated; do sweep "${sizes[1]:-${sizes[0]}}" --dit.offload.interleave $mode || return 1; done
}

part_throttle() {
  need_model $large || return 1
  for cfg in serial paired; do
    sweep "${sizes[0]}" --branches 2 --cfg $cfg --dit.offload.link_gbps $quarter || return 1
  done
}

part_no_peer() {
  need_model $large || return 1
  export NCCL_P2P_DISABLE=1
  for mode in free gated auto; do
    transports=full,sharded,auto sweep "${sizes[1]:-${sizes[0]}}" --dit.offload.interleave $mode || return 1
  done
}

part_trace() {
  local where
  read -r -a where <<<"${sizes[1]:-${sizes[0]}}"
  need_model $large || return 1
  "$python" tools/gpu/random_context.py "$model" "$scratch/context.safetensors" || return 1
  "$ferry" generate --model "$model" --device $device --size "${where[0]}" --frames "${where[1]}" --steps 2 --guidance 1 \
    --context "$scratch/context.safetensors" --dit.offload.type async --trace.file "$out/trace.json" --overwrite \
    --out "$out/start.mp4" -n 2
}

run_parts "${@:-build}" $([ $# -gt 0 ] || echo test measure throttle no_peer trace)
status=$?
rm -rf "$model" "$scratch/made"
exit $status
