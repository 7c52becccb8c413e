#!/usr/bin/env bash
# Makes the small model:  tools/demo_model/train.sh cpu64|gpu128 OUT [stage...]
#
# Without stages, all of them in order.  Killed, the same command goes on.  Logs are OUT/<stage>.log.
# PYTHON names the interpreter (else .venv's, else python3); STEPS_SCALE=0.01 tries the scripts out;
# NO_COMPILE=1 leaves torch.compile out on a GPU.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 2 ]; then sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
preset=$1 out=$2
shift 2
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(tokenizer vae latents dit export)
python=${PYTHON:-$here/../../.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3) || { echo "train.sh: no python3" >&2; exit 1; }

export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$out"
for stage in "${stages[@]}"; do
  # In the background and waited for, so that a signal to this script reaches the stage, which then saves its state.
  "$python" "$here/train.py" "$stage" --preset "$preset" --out "$out" \
    --steps-scale "${STEPS_SCALE:-1}" ${NO_COMPILE:+--no-compile} \
    > >(trap '' TERM INT; exec tee -a "$out/$stage.log") 2>&1 &
  child=$!
  trap 'kill -TERM $child 2>/dev/null' TERM INT
  wait "$child"; status=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done
  trap - TERM INT
  if [ "$status" != 0 ]; then echo "train.sh: $stage ended with $status" >&2; exit "$status"; fi
done
