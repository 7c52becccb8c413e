# What the batch scripts of this folder share; they source it.  It is not edited: what varies is in the environment.
#
#   FERRY       the program                                  $FERRY_HOME/build/launcher/ferry
#   LAUNCH      srun, or mpirun where Slurm has no PMIx      srun
#   SCRATCH     a folder on each node's own disk             none

ferry=${FERRY:-$FERRY_HOME/build/launcher/ferry}
nodes=$SLURM_JOB_NUM_NODES
# There is a rank for each GPU that was asked for (h100:4 is 4); --exclusive gives the job all of the node.
gpus=${SLURM_GPUS_PER_NODE:-${SLURM_GPUS_ON_NODE:-1}}
gpus=${gpus##*:}
cores=$((SLURM_CPUS_ON_NODE > gpus ? SLURM_CPUS_ON_NODE / gpus : 1))
export OMP_NUM_THREADS=$cores # for text encoding, decoding on the host and loading

# Each rank has the cores of its share, in the order of the GPUs: on most machines those of its GPU's NUMA node.
#   All ranks see all GPUs, and rank i of the node takes GPU i: --gpus-per-task and --gpu-bind would hide the others
#   from it, and with them the direct path between GPUs.
# --mpi=pmix: Open MPI's ranks find each other through Slurm.
# No --kill-on-bad-exit, and no exec: Ferry ends all ranks by itself when one fails, and 75 must stay 75.
case ${LAUNCH:-srun} in
  srun) launch=(srun --mpi=pmix --ntasks=$((nodes * gpus)) --ntasks-per-node="$gpus" --cpus-per-task="$cores"
    --distribution=block:block --cpu-bind=cores) ;;
  mpirun) launch=(mpirun -n $((nodes * gpus)) --map-by "ppr:$gpus:node:PE=$cores"
    --use-hwthread-cpus --bind-to hwthread --oversubscribe) ;;
  *) echo "LAUNCH is srun or mpirun, not $LAUNCH" >&2 && exit 2 ;;
esac

# USR1 and TERM ask to stop.  Where one comes before `run`, nothing is run.
asked=
trap 'asked=1' USR1 TERM

# Runs a command to its end and sets `code` to its exit code.  What asks to stop is passed on to it as USR1, and by this
#   script alone, hence set -m: mpirun gives its ranks no time when it gets TERM, and srun kills them.
run() {
  local child wait_again=1
  code=75
  if [ -n "$asked" ]; then return; fi
  set -m
  "$@" &
  child=$!
  set +m
  # A signal ends `wait`, not the command.
  trap 'kill -USR1 "$child" || true; wait_again=1 asked=1' USR1 TERM
  while [ -n "$wait_again" ]; do
    wait_again= code=0
    wait "$child" || code=$?
  done
  trap : USR1 TERM
  # Ended by USR1 itself: it had not yet begun.
  if [ -n "$asked" ] && [ "$code" = 138 ]; then code=75; fi
}

# Ends this script.  75 says that the run was asked to stop and has saved: the job goes back into the queue, and the
#   same script goes on.  One that was cancelled stays so.
end() {
  local job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
  job=${job:-$SLURM_JOB_ID}
  echo "exit code $code" >&2
  if [ "$code" = 75 ] && [ "$(squeue --noheader --jobs="$job" --format=%T)" = RUNNING ]; then
    scontrol requeue "$job"
  fi
  exit "$code"
}

# Copies folder $1 into folder $2, once for all jobs, and prints where it is.  The name tells its contents apart.
copy_folder() {
  local key copy
  key=$(cd "$1" && { pwd -P; find -L . -type f -printf '%P %s %T@\n' | sort; } | sha256sum | cut -c-12) || return
  copy=$2/$(basename "$1")-$key
  mkdir -p "$2" || return
  (
    flock 9
    if [ -e "$copy" ]; then exit; fi
    rm -rf "$copy.part"
    if cp -rL "$1" "$copy.part" && mv "$copy.part" "$copy"; then exit; fi
    rm -rf "$copy.part"
    exit 1
  ) 9>"$copy.lock" || return
  echo "$copy"
}

# With SCRATCH, `model` is copied there by each node, and set to the copy.
bring_model() {
  local copies
  if [ -z "${SCRATCH:-}" ]; then return; fi
  copies=$(srun --ntasks="$nodes" --ntasks-per-node=1 bash -c "$(declare -f copy_folder)"'; copy_folder "$@"' \
    copy_folder "$model" "$SCRATCH")
  model=$(head -n 1 <<<"$copies")
  echo "weights from $model" >&2
}
