#!/usr/bin/env bash
# Makes what Ferry is built from ready, as far as it is missing.
#
#   tools/setup.sh build   compilers, libraries, LibTorch (in .venv)        what `make demo` needs
#   tools/setup.sh test    the same, and what the tests compare with        what `make test` needs
#   tools/setup.sh check   the same, formatter and linter                   what `make check` needs
#
# It asks what the build would find (tools/capabilities.sh), not what is installed.  What is missing is installed with
# apt (Debian 12 or later, Ubuntu 24.04 or later) as root, or by a user who may sudo; anybody else is told its name and
# the packages it comes in (tools/dependencies.txt).  LibTorch comes through pip into .venv for everybody.  When nothing
# is missing it takes a fraction of a second and says nothing.
set -euo pipefail
source "$(dirname "$0")/capabilities.sh"
level=${1:-build}

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# Of lines "NAME NOTE" on standard input those that Ferry cannot be built without.
needed() {
  local name note
  while read -r name note; do
    if [ -n "$name" ] && [[ $(capability_field "$name" 2) != *optional ]]; then echo "$name $note"; fi
  done
}

describe() {
  local name=$1 note=$2
  say "  $(capability_field "$name" 4)${note:+ ($note)}"
  say "      apt: $(capability_field "$name" 5)   dnf*: $(capability_field "$name" 6)" \
    "  conda-forge*: $(capability_field "$name" 7)   Spack*: $(capability_field "$name" 8)"
}

# Says what is missing, and ends.
refuse() {
  local name note lines unknown=
  lines=$(needed <<<"$1" | sort -u)
  say "Ferry cannot be built here; missing:"
  while read -r name note; do
    if [ "$note" != '?' ]; then describe "$name" "$note"; fi
  done <<<"$lines"
  for name in $(sed -n 's/ ?$//p' <<<"$lines"); do
    grep -q "^$name\( [^?]\|\$\)" <<<"$lines" || unknown+=" $name"
  done
  if [ -n "$unknown" ]; then say "  not looked for, as that takes CMake and a compiler:$unknown"; fi
  say "* names that nobody has tried"
  say "Ask for these, load their modules, or put them into a folder of your own and name it in CMAKE_PREFIX_PATH:"
  say "docs/clusters.md says how."
  exit 1
}

# With apt, as root or through sudo, which may ask for a password where somebody can answer.
may_install() {
  command -v apt-get >/dev/null || return 1
  as_root=()
  if [ "$(id -u)" = 0 ]; then return; fi
  as_root=(sudo)
  command -v sudo >/dev/null || return 1
  if sudo -n true 2>/dev/null; then return; fi
  [ -t 0 ] || return 1
  say "missing: $(cut -d' ' -f1 <<<"$1" | sort -u | xargs); sudo asks for the password to install it"
  sudo -v
}

# The packages of what is missing that are not installed.
missing_packages() {
  local name note installed
  installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii *//p')
  comm -23 <(while read -r name note; do capability_field "$name" 5 | xargs -n1; done | sort -u) <(sort -u <<<"$installed")
}

install_packages() {
  local missing log=${TMPDIR:-/tmp}/ferry-apt.$$.log
  mapfile -t missing < <(missing_packages <<<"$1")
  if [ ${#missing[@]} = 0 ]; then return; fi
  say "installing with apt-get: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists that are here"
  if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    rm -f "$log"
  else
    tail -20 "$log" >&2
    say "apt-get install failed; the whole log is $log"
  fi
}

provide_capabilities() {
  local missing as_root
  missing=$(missing_capabilities "$level") || exit 1
  if [ -n "$missing" ] && may_install "$missing"; then
    install_packages "$missing"
    missing=$(missing_capabilities "$level") || exit 1
  fi
  if [ -n "$(needed <<<"$missing")" ]; then refuse "$missing"; fi
  if [ -n "$missing" ]; then say "goes on without: $(cut -d' ' -f1 <<<"$missing" | sort -u | xargs)"; fi
}

have_slurm() (
  PATH=$PATH:/usr/sbin
  for program in munged slurmctld slurmd sbatch; do command -v "$program" >/dev/null || exit 1; done
)

# For tests/e2e/slurm_test.py, which starts a Slurm of its own and is skipped where there is none.  The packages' services
# are neither started now nor at the next boot.
install_slurm() {
  local as_root log=${TMPDIR:-/tmp}/ferry-slurm.$$.log
  if [ "$level" = build ] || have_slurm || ! command -v apt-get >/dev/null; then return; fi
  if ! may_install slurm; then
    say "without slurm-wlm and munge: tests under Slurm are skipped"
    return
  fi
  say "installing with apt-get: slurm-wlm munge (their services stay off)"
  "${as_root[@]}" bash -ec '
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
      trap "rm -f $policy" EXIT
      printf "#!/bin/sh\nexit 101\n" >$policy
      chmod 755 $policy
    fi
    apt-get update -qq || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
    for service in munge slurmd slurmctld; do update-rc.d $service disable; done
  ' >"$log" 2>&1 || {
    say "that failed ($log); tests under Slurm are skipped"
    return
  }
  rm -f "$log"
}

requirements() {
  echo tools/requirements-build.txt
  if [ "$level" != build ]; then echo tools/requirements-test.txt; fi
}

# A package counts as there when pip finished writing it: RECORD comes last.
have_python_package() {
  local name=${1%%==*} version=${1##*==} record
  name=${name//-/_}
  for record in "$venv"/lib/python3.*/site-packages/"$name-$version".dist-info/RECORD; do
    [ -s "$record" ] && return
  done
  return 1
}

venv_is_complete() {
  local line
  usable_python "$venv/bin/python" || return 1
  compgen -G "$venv/lib/python3.*/site-packages/torch/lib/libtorch_cpu.so" >/dev/null || return 1
  while read -r line; do
    have_python_package "$line" || return 1
  done < <(requirements | xargs cat | grep -v '^#')
}

install_python() {
  local python pip_arguments=() file
  if venv_is_complete; then return; fi
  if [ -e "$venv" ] && ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "$venv does not work; making it anew"
    rm -rf "$venv"
  fi
  if [ -e "$venv" ] && ! usable_python "$venv/bin/python"; then
    say "$venv has $("$venv/bin/python" --version 2>&1), 3.11 to 3.14 is needed; making it anew"
    rm -rf "$venv"
  fi
  if [ ! -e "$venv" ]; then
    local free_kb
    free_kb=$(df --output=avail -k . | tail -1)
    [ "$free_kb" -ge 8000000 ] || fail "LibTorch needs 8 GB here, $((free_kb / 1000000)) GB are free"
    python=$(find_python) || fail "no Python from 3.11 to 3.14 with the venv module"
    "$python" -m venv "$venv"
  fi
  for file in $(requirements); do pip_arguments+=(-r "$file"); done
  say "installing with pip into $venv (LibTorch is 4.7 GB with its CUDA libraries; minutes):"
  requirements | xargs cat | grep -v '^#' | sed 's/^/         /' >&2
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${pip_arguments[@]}"
  venv_is_complete || fail "$venv is not complete after pip; remove it and try again"
}

# A kernel for Hopper GPUs; without it LibTorch's is used.
install_gpu_package() {
  if ! ls /dev/nvidia[0-9]* >/dev/null 2>&1 || have_python_package "$(sed -n 's/ --hash.*//p' tools/requirements-gpu.txt)"; then return; fi
  say "installing with pip into $venv: $(sed -n 's/ --hash.*//p' tools/requirements-gpu.txt)"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    -r tools/requirements-gpu.txt || say "it is not there; attention stays LibTorch's"
}

case $level in build | test | check) ;; *) fail "what to set up: build, test or check" ;; esac
provide_capabilities
install_slurm
install_python
install_gpu_package
