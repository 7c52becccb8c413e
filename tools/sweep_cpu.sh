#!/usr/bin/env bash
# The scaling experiment of one machine without GPUs: four layers of 1.3B's width, 192x128, 17 frames, on 1 and 2 ranks,
# by all modes of guidance and all strategies, over links of three speeds; killed halfway and resumed.  Before it the
# machine's rates are measured (ferry bench calibrate), and each cell is predicted from them.
#
#   tools/sweep_cpu.sh OUT            leaves OUT/rows.jsonl, OUT/grid.cfg, OUT/rates.json, OUT/table.txt, OUT/errors.txt
#                                     (predicted against measured) and the pictures in OUT/plots
#   tools/sweep_cpu.sh OUT 1.5,0.5,0.2     over these links, 1e9 bytes/s
#
# Without links two cells are measured first, so that copying takes 0.5, 1 and 2 times as long as computing on one rank.
# Takes 15 to 20 minutes on two cores with nothing else to do; other load shows in the spread and in the errors.
# FERRY is the program (build/launcher/ferry), FERRY_DTYPE the arithmetic: bf16 where the CPU multiplies it, else fp32.
# Run again, it goes on where it was ended.  The exit code is 1 if an error is beyond tools/prediction_error.py's limits.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?the folder of the results is missing}
ferry=${FERRY:-build/launcher/ferry}
model=$out/model
dtype=${FERRY_DTYPE:-$(grep -q -m 1 -E 'avx512_bf16|amx_bf16' /proc/cpuinfo && echo bf16 || echo fp32)}
mkdir -p "$out"

[ -e "$model" ] || { "$ferry" make-model "$model.part" --size 1.3B --layers 4 --parts dit --overwrite && mv "$model.part" "$model"; }

if [ ! -e "$out/rates.json" ]; then
  rm -f "$out/rates.part.json"
  for ranks in 1 2; do
    "$ferry" bench calibrate -n $ranks --device cpu --dtype "$dtype" --out "$out/rates.part.json" >&2
  done
  mv "$out/rates.part.json" "$out/rates.json"
fi

# interleave is stated: auto decides by a measurement of some milliseconds, which on two cores is chance.
grid() {  # ranks, modes, types, transports, links
  cat <<EOF
[grid]
ranks = $1
cfg = $2
type = $3
transport = $4
interleave = free
link_gbps = $5
[model]
path = $model
device = cpu
dtype = $dtype
[job]
size = 192x128
frames = 17
EOF
}

links=${2:-}
if [ -z "$links" ]; then
  grid 1 paired "none, async" full 0 >"$out/links.cfg"
  "$ferry" bench sweep --grid "$out/links.cfg" --out "$out/links.jsonl" >&2
  links=$(python3 - "$out/links.jsonl" <<'EOF'
import json, sys
rows = {row["type"]: row for row in map(json.loads, open(sys.argv[1]))}
speed = 1e-9 * rows["async"]["ferried_bytes"] / rows["none"]["step_s"]
print(", ".join(f"{speed / ratio:.2g}" for ratio in (0.5, 1, 2)))
EOF
  )
fi
grid "1, 2" "serial, paired, parallel" "none, async, sequential" "full, sharded" "$links" >"$out/grid.cfg"
rows=$out/rows.jsonl
sweep=("$ferry" bench sweep --grid "$out/grid.cfg" --out "$rows" --machine "$out/rates.json" --warmups 2)

# A kill in the middle, unless there are rows already.
if [ ! -s "$rows" ]; then
  "${sweep[@]}" >"$out/killed.txt" &
  process=$!
  while kill -0 $process 2>/dev/null && [ "$(grep -c '"step_s"' "$rows" 2>/dev/null || true)" -lt 20 ]; do sleep 1; done
  kill -KILL $process 2>/dev/null || true
  wait $process || true
  echo "sweep_cpu: killed with $(wc -l <"$rows") rows; now it goes on" >&2
fi
"${sweep[@]}" | tee "$out/table.txt"
"$ferry" bench plot "$rows" --out "$out/plots"
echo "sweep_cpu: $((SECONDS / 60)) minutes" >&2
python3 tools/prediction_error.py "$rows" | tee "$out/errors.txt"
