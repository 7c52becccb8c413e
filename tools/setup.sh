#!/usr/bin/env bash
# Installs what Ferry is built from, and only what is missing.
#
#   tools/setup.sh build   compilers, libraries, LibTorch (in .venv)        what `make demo` needs
#   tools/setup.sh test    the same, and what the tests compare with        what `make test` needs
#   tools/setup.sh check   formatter and linter                             what `make check` needs
#
# Debian 12 or later, Ubuntu 24.04 or later; as root, or as a user who may sudo.  When nothing is missing
# it takes a fraction of a second and says nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:-build}
venv=.venv
packages_build=(
  g++ cmake ninja-build ccache pkg-config git ca-certificates
  libopenmpi-dev openmpi-bin openssh-client libboost-program-options-dev libsentencepiece-dev libutf8proc-dev
  nlohmann-json3-dev libspdlog-dev libfmt-dev libpng-dev libhwloc-dev libnuma-dev
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev
  libgtest-dev libgmock-dev python3-venv)
packages_test=(ffmpeg)
packages_check=(clang-format)

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

wanted_packages() {
  printf '%s\n' "${packages_build[@]}"
  if [ "$level" != build ]; then printf '%s\n' "${packages_test[@]}"; fi
  if [ "$level" = check ]; then printf '%s\n' "${packages_check[@]}" "$(linter)"; fi
}

# The code needs clang-tidy 16 or later; which there are depends on the release.
linter() {
  local version
  for version in 16 17 18 19; do
    if apt-cache show "clang-tidy-$version" >/dev/null 2>&1; then break; fi
  done
  echo "clang-tidy-$version"
}

missing_packages() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii *//p')
  comm -23 <(wanted_packages | sort -u) <(sort -u <<<"$installed")
}

install_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  if [ ${#missing[@]} = 0 ]; then return; fi
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "needs root or sudo for: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing with apt-get: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists that are here"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/tmp/ferry-apt.$$.log 2>&1 ||
    { tail -20 /tmp/ferry-apt.$$.log >&2; fail "apt-get install failed; the whole log is /tmp/ferry-apt.$$.log"; }
  rm -f /tmp/ferry-apt.$$.log
}

have_slurm() (
  PATH=$PATH:/usr/sbin
  for program in munged slurmctld slurmd sbatch; do command -v "$program" >/dev/null || exit 1; done
)

# For tests/e2e/slurm_test.py, which starts a Slurm of its own and is skipped where there is none.  The packages' services
# are neither started now nor at the next boot.
install_slurm() {
  local as_root=()
  if [ "$level" = build ] || have_slurm; then return; fi
  if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
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
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
    for service in munge slurmd slurmctld; do update-rc.d $service disable; done
  ' >/tmp/ferry-slurm.$$.log 2>&1 || {
    say "that failed (/tmp/ferry-slurm.$$.log); tests under Slurm are skipped"
    return
  }
  rm -f /tmp/ferry-slurm.$$.log
}

# torch 2.11 and numpy 2.4 have wheels for these.
usable_python() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.14; do
    # A Python without ensurepip cannot make a venv that has pip.
    if usable_python "$name" && "$name" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  fail "no Python from 3.11 to 3.14 with the venv module: $(python3 --version 2>&1 || true)"
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
    python=$(find_python)
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
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  install_packages
  install_slurm
else
  say "not a Debian or Ubuntu: install these by other means: $(wanted_packages | xargs)"
fi
install_python
install_gpu_package
