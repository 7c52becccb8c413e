#!/usr/bin/env bash
# All GPUs of one host: what of tools/gpu/one.sh needs more than one, and how it grows from 1 rank to 2, 4, ...
#
#   tools/gpu/many.sh [again] [PART ...]        all parts but clean when none is named
#
#   build      the program and the GPU tests
#   test       ctest -L gpu, with FERRY_REQUIRE_GPU=1 where there are GPUs
#   error      one forward of 1.3B on P ranks against 1; messages, copies and each transport against one another
#   forward    14B beside its floor, short and long, on 1, 2, ... ranks
#   offload    14B, resident against async by each transport and share, short and long, on 1, 2, ... ranks
#   guided     14B with guidance: halves of the ranks against both branches on all; branches paired and serial
#   exchange   14B, resident and sharded, exchanges by NCCL against copies
#   start      whole runs of 14B with its text encoder and VAE on 1, 2, ... ranks: reading, page-locking, first step
#   decode     81 frames on 1, 2, ... ranks, and by one of all
#   trace      the timeline of all ranks in guided steps, and its picture
#   long       14B at 1280x720
#   throttle   14B over links of a quarter of their speed, which stands in for eight GPUs' pressure on the host
#   calibrate  the machine's rates on 1, 2, ... ranks, as `ferry bench calibrate` measures them: $OUT/rates.json
#   sweep      14B and 1.3B by `ferry bench sweep`, predicted by $OUT/rates.json if it is there, else by the machine
#              file of the GPUs' name: resident, async by each transport, and type auto, short and long, on all GPUs
#              first; then 1280x720, then fewer GPUs.  $OUT/sweep.jsonl goes on with the rows that are in it, those of
#              another day too
#   no_peer    14B without peer access (NCCL_P2P_DISABLE=1), which stands in for GPUs on PCIe alone
#   clean      removes the models, 45 GB at most, which else stay in $TMPDIR/ferry-gpu
#
# One call ends within FERRY_CALL_S (540) seconds: what does not fit is named at the end (exit code 3), and the
# same command goes on with it.  What the same program has done before, and has left its files for later parts, is
# noted in build-gpu/many, said and not done again; `again` forgets that of the named parts.  Results go to $OUT
# (default build-gpu/out): a log per part, many.jsonl, the runs' records, the trace.  Without GPUs two CPU ranks run a
# tiny model.  What the machine needs is said in tools/gpu/one.sh; 14B wants 64 GB of host memory.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/common.sh
call_s=${FERRY_CALL_S:-540}
least_s=60  # a measurement that takes longer is cut off, and has all of the next call
marks=$build/many  # for each program a folder
left=$marks/left
lines=$out/many.jsonl
mkdir -p "$marks"

if [ "$gpus" -gt 0 ]; then
  device=cuda samples=3 steps=10 small=1.3B large=14B quarter=13.75 size=832x480 frames=81 short=29 long=1280x720
  shown=12-15 most=1
  while [ $((2 * most)) -le "$gpus" ]; do most=$((2 * most)); done
else
  device=cpu samples=1 steps=3 small=tiny large=tiny quarter=0.05 size=64x64 frames=9 short=5 long=96x64
  shown=0-1 most=2 least_s=5
fi
counts=() several=()
for ((n = 1; n <= most; n *= 2)); do
  counts+=($n)
  if [ $n -gt 1 ]; then several+=($n); fi
done

# need_model SIZE options...: that model and a context for it, unless the last one was the same.
need_model() {
  if [ "$(cat "$scratch/made" 2>/dev/null)" = "$*" ] && [ -d "$model" ]; then return; fi
  rm -f "$scratch/made"
  "$ferry" make-model "$model" --dtype bf16 --overwrite --size "$@" >/dev/null || return 1
  "$python" tools/gpu/random_context.py "$model" "$context" || return 1
  echo "$*" >"$scratch/made"
}
context=$scratch/context.safetensors

# mark_of NAME: of what the program that is built has done.  It holds the file that this leaves for others, if any.
mark_of() {
  local program
  program=$(sha256sum "$ferry" | cut -c 1-12)
  mkdir -p "$marks/$program" && echo "$marks/$program/$1"
}

# once NAME COMMAND...: unless it has been done, and if there is time.  The file that it leaves for others is $leaves.
once() {
  local name=$1 started=$SECONDS limit_s=$((call_s - SECONDS)) file=${leaves:-} mark
  mark=$(mark_of "$name")
  if [ -e "$mark" ] && { [ -z "$file" ] || [ -e "$file" ]; }; then
    echo "done before: $name"
    return
  fi
  if [ "$limit_s" -lt "$least_s" ]; then
    echo "$name" >>"$left"
    return
  fi
  "${@:2}"
  local result=$?
  echo "# $((SECONDS - started)) s: $name"
  if [ $result = 0 ]; then
    if [ -n "$file" ]; then rm -f "$marks"/*/"$name"; fi  # another program's file is gone
    printf %s "$file" >"$mark"
  elif [ $SECONDS -ge "$call_s" ]; then
    echo "$name" >>"$left"
    result=0
  else
    echo "FAILED ($result): $name"
  fi
  return $result
}

# measure RANKS bench ...: its JSON lines.
measure() {
  limited "$ferry" "${@:2}" --model "$model" --device $device --json -n "$1" | tee -a "$lines"
  return "${PIPESTATUS[0]}"
}

# run NAME RANKS options...: a video; its record as a line.
run() {
  video "$1" -n "${@:2}" && "$python" tools/gpu/run_times.py "$out/$1.json" | tee -a "$lines"
  return "${PIPESTATUS[0]}"
}

# sweep RANKS FRAMES options...: resident, and async by each transport, in turn.
sweep() {
  local transports=${transports:-full,sharded,auto}
  if [ "$1" = 1 ]; then transports=full; fi
  measure "$1" bench offload --size $size --frames "$2" --ratios 1 --transports $transports --samples $samples "${@:3}"
}

# velocity FILE RANKS options...: one Euler step without guidance is one forward: noise - latents is its velocity.
velocity() {
  video "velocity" --steps 1 --sampler euler --guidance 1 --context "$context" --save "$1.part" -n "${@:2}" &&
    mv "$1.part" "$1"
}

# compared WHAT LIMIT FILE REFERENCE
compared() {
  "$python" tools/gpu/forward_error.py "$3" "$4" --what "$1" --limit "$2" | tee -a "$lines"
  return "${PIPESTATUS[0]}"
}

# One forward of P ranks: products with fewer rows may add up in another order, which flips last bits of bf16 (2^-9);
# 5e-3 is what 30 layers may make of that.  How the bytes travel changes no bit.
error_of() {
  local ranks=$1 resident="$scratch/velocity_$1.safetensors" other="$scratch/velocity_other.safetensors" way
  velocity "$resident" "$ranks" --noise "$one" || return 1
  compared "$ranks ranks against 1" 5e-3 "$resident" "$one" || return 1
  for way in "parallel.exchange nccl" "parallel.exchange copy" "offload.transport full" "offload.transport sharded" \
    "offload.share 0.5" "offload.interleave gated"; do
    # shellcheck disable=SC2086
    velocity "$other" "$ranks" --noise "$one" --dit.offload.type async --${way/offload/dit.offload} || return 1
    compared "$ranks ranks, async, ${way#*.} against resident" 0 "$other" "$resident" || return 1
  done
}

part_error() {
  local one="$scratch/velocity_1.safetensors" failed=0
  need_model $small --parts dit,vae || return 1
  leaves=$one once error_1 velocity "$one" 1 || return 1
  for n in "${several[@]}"; do once "error_$n" error_of "$n" || failed=1; done
  return $failed
}

# A measurement that fails leaves the others their turn.
part_forward() {
  local failed=0 f
  need_model $large --parts dit,vae || return 1
  for f in $short $frames; do
    for n in "${counts[@]}"; do
      once "forward_${n}_$f" measure "$n" bench forward --size $size --frames "$f" --samples $samples || failed=1
    done
  done
  return $failed
}

part_offload() {
  local failed=0 f shares
  need_model $large --parts dit,vae || return 1
  for f in $short $frames; do
    for n in "${counts[@]}"; do
      if [ "$n" = 1 ]; then shares=(); else shares=(--shares 0.25,0.5); fi
      once "offload_${n}_$f" sweep "$n" "$f" "${shares[@]}" || failed=1
    done
  done
  return $failed
}

part_guided() {
  local failed=0 f cfg type
  need_model $large --parts dit,vae || return 1
  for f in $short $frames; do
    for n in "${several[@]}"; do
      for type in none async; do
        for cfg in paired parallel; do
          frames=$f once "guided_${n}_${f}_${type}_$cfg" run "guided_${n}_${f}_${type}_$cfg" "$n" --steps 4 \
            --guidance 5 --context "$context" --cfg $cfg --dit.offload.type $type || failed=1
        done
      done
    done
  done
  for cfg in paired serial; do
    once "guided_branches_$cfg" sweep "$most" $short --branches 2 --cfg $cfg || failed=1
  done
  return $failed
}

part_exchange() {
  local failed=0 f by
  need_model $large --parts dit,vae || return 1
  for f in $short $frames; do
    for n in "${several[@]}"; do
      for by in nccl copy; do
        transports=sharded once "exchange_${n}_${f}_$by" sweep "$n" "$f" --parallel.exchange $by || failed=1
      done
    done
  done
  return $failed
}

part_start() {
  local failed=0
  need_model $large --tokenizer models/demo/tokenizer/spiece.model || return 1
  for n in "${counts[@]}"; do
    once "start_$n" run "start_$n" "$n" --steps $steps --guidance 5 --dit.offload.type async \
      --text_encoder.offload.type model --vae.offload.type model || failed=1
  done
  return $failed
}

# decode_of NAME RANKS options...: the frames of P ranks against those of one.
decode_of() {
  local made="$scratch/$1.safetensors"
  run "$1" "$2" --latents "$latents" --save "$made" "${@:3}" || return 1
  if [ "$1" = decode_1 ]; then return; fi
  "$python" tools/gpu/frames_error.py "$made" "$scratch/decode_1.safetensors" --what "$1 against 1 rank" | tee -a "$lines"
  return "${PIPESTATUS[0]}"
}

part_decode() {
  local failed=0 latents="$scratch/latents.safetensors"
  need_model $small --parts dit,vae || return 1
  leaves=$latents once decode_latents video decode_latents -n "$most" --steps 1 --guidance 1 --context "$context" \
    --save "$latents" || return 1
  leaves=$scratch/decode_1.safetensors once decode_1 decode_of decode_1 1 || return 1
  for n in "${several[@]}"; do once "decode_$n" decode_of "decode_$n" "$n" || failed=1; done
  once decode_alone decode_of decode_alone "$most" --split_vae false || failed=1
  return $failed
}

traced() {
  frames=$short run traced "$most" --steps 3 --guidance 5 --cfg paired --context "$context" --dit.offload.type async \
    --trace.file "$out/trace.json" && draw "$out/trace.json" --blocks $shown
}

part_trace() {
  need_model $large --parts dit,vae && once trace traced
}

part_long() {
  need_model $large --parts dit,vae && size=$long samples=1 once long sweep "$most" $frames
}

part_throttle() {
  local failed=0 cfg
  need_model $large --parts dit,vae || return 1
  for cfg in serial paired; do
    once throttle_$cfg sweep "$most" $frames --branches 2 --cfg $cfg --dit.offload.link_gbps $quarter || failed=1
  done
  return $failed
}

part_no_peer() {
  local failed=0 mode
  need_model $large --parts dit,vae || return 1
  export NCCL_P2P_DISABLE=1
  for mode in free gated auto; do
    once no_peer_$mode sweep "$most" $short --parallel.exchange nccl --dit.offload.interleave $mode || failed=1
  done
  return $failed
}

part_calibrate() {
  local failed=0
  for n in "${counts[@]}"; do
    leaves=$out/rates.json once "calibrate_$n" limited "$ferry" bench calibrate -n "$n" --device $device --out "$out/rates.json" || failed=1
  done
  return $failed
}

# cells RANKS SIZE FRAMES TYPES TRANSPORTS: of the model that is made, on one start of the ranks.
cells() {
  local grid=$scratch/grid.cfg machine=none name
  name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
  case $name in *H200*) machine=h200 ;; *H100*) machine=h100 ;; esac
  if [ -e "$out/rates.json" ]; then machine=$out/rates.json; fi
  printf '[grid]\nranks = %s\nsize = %s\nframes = %s\ntype = %s\ntransport = %s\n' "$@" >"$grid"
  printf '[model]\npath = %s\ndevice = %s\n[job]\nguidance = 5\n' "$model" $device >>"$grid"
  limited "$ferry" bench sweep --grid "$grid" --out "$out/sweep.jsonl" --machine $machine --warmups 2 --samples $samples
}

# sweep_of SIZE RANKS: the cells of one model's DiT on so many ranks.
sweep_of() {
  local model=$scratch/$1 transports="full, sharded, auto" failed=0
  if [ ! -d "$model" ]; then
    "$ferry" make-model "$model.part" --size "$1" --parts dit --dtype bf16 --overwrite >/dev/null || return 1
    mv "$model.part" "$model"
  fi
  if [ "$2" = 1 ]; then transports=full; fi
  once "sweep_$2_$1" cells "$2" $size "$short, $frames" "none, async" "$transports" || failed=1
  if [ "$2" -gt 1 ]; then once "sweep_$2_$1_auto" cells "$2" $size "$short, $frames" auto auto || failed=1; fi
  return $failed
}

part_sweep() {
  local failed=0 n name
  if [ ! -d "$scratch/$large" ]; then rm -rf "$model"; fi  # room for this one
  for ((n = most; n >= 1; n /= 2)); do
    for name in $large $small; do sweep_of $name $n || failed=1; done
    if [ $n = $most ] && [ $n -gt 1 ]; then
      model=$scratch/$large samples=1 once sweep_long cells $n $long $frames "none, async" "full, sharded, auto" || failed=1
    fi
  done
  if grep -q '"predicted":{' "$out/sweep.jsonl"; then "$python" tools/prediction_error.py "$out/sweep.jsonl"; fi
  return $failed
}

tests() {
  limited ctest --test-dir "$build" -L gpu -j 8 --output-on-failure --no-tests=error --output-junit "$out/test.xml"
}

part_test() {
  nvidia-smi 2>/dev/null
  if [ "$gpus" -gt 0 ]; then export FERRY_REQUIRE_GPU=1; fi
  once test tests
}

# With the marks of what has left a file there.
part_clean() {
  grep -rlF "$scratch/" "$marks" | xargs -r rm -f
  rm -rf "$scratch"
}

again=
if [ "${1:-}" = again ]; then again=1; shift; fi
parts=("$@")
if [ $# = 0 ]; then
  parts=(build test error forward offload guided exchange start decode trace long throttle no_peer calibrate sweep)
fi
if [ -n "$again" ]; then for part in "${parts[@]}"; do rm -f "$marks"/*/"$part"{,_*}; done; fi
rm -f "$left"
run_parts "${parts[@]}"
status=$?
if [ -e "$left" ]; then
  echo "not done for want of time: $(paste -sd' ' "$left"); the same command goes on with them"
  [ $status != 0 ] || status=3
fi
exit $status
