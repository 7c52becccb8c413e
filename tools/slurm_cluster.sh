#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, for tests, as root or as an ordinary user.
#
#   eval "$(tools/slurm_cluster.sh start DIR)"     starts it; prints what its users must export
#   tools/slurm_cluster.sh stop DIR                ends its daemons and everything that its jobs started
#
# The nodes are n1 and n2, each with two CPUs and two GPUs, which are made up (links to /dev/null): a job
# sees their numbers, no device.  It has its own munge (key and socket), and everything lies in DIR, logs too.  Needs
# Debian's slurm-wlm and munge, of which no service has to run.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
nodes=(n1 n2)
start_s=60
stop_s=10
polite_s=3

say() { echo "slurm_cluster: $*" >&2; }
fail() { say "$*"; exit 1; }

free_ports() {
  python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for each in sockets: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))'
}

# Daemons have this in their environment, and by the task prolog all that jobs start.
mark() { echo "FERRY_SLURM_CLUSTER=$dir"; }
# A slurmstepd writes its title over its environment, and works in its node's folder.
processes() {
  local process
  grep -lzxF "$(mark)" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true
  for process in $(grep -lx slurmstepd /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3); do
    if [[ $(readlink "/proc/$process/cwd") == "$dir"/* ]]; then echo "$process"; fi
  done
}
signal_all() {
  local process
  for process in $(processes); do kill "-$1" "$process" 2>/dev/null || true; done
}
wait_for_end() {
  local end=$((SECONDS + $1))
  while [ -n "$(processes)" ]; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# Credentials are forgotten after 5 s: a job that is requeued waits that long, 120 s by default.  Both nodes are
# this host, so what their daemons name after the node lies in folders of their own (TmpFS: PMIx's).
write_configuration() {
  local user host port_of_controller port_1 port_2 tasks=task/affinity
  user=$(id -un)
  host=$(hostname)
  host=${host%%.*}
  # nproc itself would return OMP_NUM_THREADS where that is set.
  [ "$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)" -ge 2 ] || tasks=task/none
  read -r port_of_controller port_1 port_2 < <(free_ports)
  cat >"$dir/slurm.conf" <<END
ClusterName=ferry
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port_of_controller
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$short/munge.socket,cred_expire=5
SlurmctldPidFile=$dir/slurmctld.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdPidFile=$dir/%n/slurmd.pid
SlurmdLogFile=$dir/%n/slurmd.log
SlurmdSpoolDir=$short/%n/spool
StateSaveLocation=$dir/state
TmpFS=$dir/%n/tmp
TaskProlog=$dir/task_prolog
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=$tasks
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$port_1 CPUs=2 CoresPerSocket=2 RealMemory=1000 Gres=gpu:2
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$port_2 CPUs=2 CoresPerSocket=2 RealMemory=1000 Gres=gpu:2
PartitionName=test Nodes=n1,n2 Default=YES State=UP
END
  echo "NodeName=n1,n2 Name=gpu File=$dir/gpu[0-1]" >"$dir/gres.conf"
  # Nodes of other clusters have the same names, and Open MPI a folder in /tmp for each name.
  cat >"$dir/task_prolog" <<END
#!/bin/sh
echo "export $(mark)"
echo "export OMPI_MCA_orte_tmpdir_base=$short/\$SLURMD_NODENAME/tmp"
END
  chmod 755 "$dir/task_prolog"
}

# What an earlier cluster left goes, its jobs say.
make_folder() {
  local node
  rm -rf "${dir:?}"/{state,n1,n2} "$dir"/munge.* "$dir"/*.log
  mkdir -p "$dir/state"
  for node in "${nodes[@]}"; do mkdir -p "$dir/$node/spool" "$dir/$node/tmp"; done
  ln -sf /dev/null "$dir/gpu0"
  ln -sf /dev/null "$dir/gpu1"
  (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
}

# Runs a command with a host name and a /dev/shm of its own, where the kernel allows it: two ranks on each node
# would otherwise meet in Open MPI's shared memory, whose names are the host's.
as_host() {
  local private=(unshare --uts --mount sh -c 'hostname "$0" && mount -t tmpfs ferry /dev/shm && exec "$@"' "$1")
  if "${private[@]}" true 2>/dev/null; then "${private[@]}" "${@:2}"; else "${@:2}"; fi
}

# Each returns once its daemon is in the background.
start_daemons() {
  local node
  munged --force --key-file="$dir/munge.key" --socket="$short/munge.socket" --pid-file="$dir/munge.pid" \
    --seed-file="$dir/munge.seed" --log-file="$dir/munge.log" || return
  slurmctld || return
  for node in "${nodes[@]}"; do as_host "$node" slurmd -N "$node" || return; done
}

is_ready() { [ "$(sinfo --noheader --Node --format=%t 2>/dev/null | xargs)" = "idle idle" ]; }

wait_until_ready() {
  local end=$((SECONDS + start_s))
  until is_ready; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

start() {
  local program
  for program in munged slurmctld slurmd sinfo; do
    command -v "$program" >/dev/null || fail "$program is not there: apt-get install slurm-wlm munge"
  done
  if [[ $dir == *[[:space:]#,=]* ]]; then fail "a name with white space, or one of '#,=', cannot stand in slurm.conf: $dir"; fi
  [ -z "$(processes)" ] || fail "a cluster runs in $dir"
  if [ -e "$dir" ] && [ ! -e "$dir/task_prolog" ] && [ -n "$(ls -A "$dir")" ]; then fail "$dir is not empty"; fi
  make_folder
  ln -sfn "$dir" "$short"
  write_configuration
  if ! (export "$(mark)" && start_daemons) >"$dir/start.log" 2>&1 </dev/null || ! wait_until_ready; then
    tail -n 5 "$dir"/*.log "$dir"/*/*.log >&2 || true
    stop
    fail "the daemons did not start; their logs are in $dir"
  fi
  echo "export SLURM_CONF=$SLURM_CONF"
  # Open MPI's mpirun asks root to mean it.
  [ "$(id -u)" != 0 ] || printf 'export %s=1\n' OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
}

stop() {
  signal_all TERM
  if ! wait_for_end "$polite_s"; then
    signal_all KILL
    wait_for_end "$stop_s" || fail "these do not end: $(processes | xargs)"
  fi
  rm -f "$short"
}

[ $# = 2 ] || fail "usage: slurm_cluster.sh start DIR | stop DIR"
dir=$(realpath -m "$2")
# The name of a socket has at most 107 bytes: by this link those in DIR are short.
short=/tmp/ferry-slurm-$(sha256sum <<<"$dir" | cut -c-12)
export SLURM_CONF=$dir/slurm.conf
case $1 in
  start | stop) "$1" ;;
  *) fail "usage: slurm_cluster.sh start DIR | stop DIR" ;;
esac
