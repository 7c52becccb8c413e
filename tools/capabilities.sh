#!/usr/bin/env bash
# What a build of Ferry would not find here:  tools/capabilities.sh build|test|check
#
# Prints a line for each capability of tools/dependencies.txt that this level needs and that is missing, and for each
# optional one: its name, and a note where one helps.  A note "?" means that it was not looked for, since CMake or a
# compiler is missing.  Programs are looked for on PATH, libraries as the build itself does (cmake/probe), which takes
# seconds.  What CMake found is therefore kept in build/probe, and while the environment is the same and those files
# are there, it is not asked again.  tools/setup.sh sources this.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
venv=.venv
probe=build/probe

# The column, 1 to 8, of a capability's line.
capability_field() { awk -F' *[|] *' -v name="$1" -v column="$2" '$1 == name { print $column }' tools/dependencies.txt; }

# Lines "NAME LOOKED-FOR" of what the level needs or may use.
level_capabilities() {
  local levels=build
  case $1 in test) levels='build|test|test-optional' ;; check) levels='build|test|test-optional|check' ;; esac
  awk -F' *[|] *' -v levels="^($levels|optional)\$" '!/^#/ && $2 ~ levels { print $1, $3 }' tools/dependencies.txt
}

# Those that CMake looks for, as not looked for.
unknown_libraries() { level_capabilities build | sed -n 's/ CMake$/ ?/p'; }

# torch 2.11 and numpy 2.4 have wheels for these.
usable_python() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

# A Python that can make .venv.
find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.14; do
    # One without ensurepip cannot make a venv that has pip.
    if usable_python "$name" && "$name" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  return 1
}

check_itself() {
  local version
  case $1 in
    cmake)
      version=$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
      [ "$(printf '%s\n' 3.25 "$version" | sort -V | head -1)" = 3.25 ] || echo "cmake ${version:+here is $version}" ;;
    python) usable_python "$venv/bin/python" || find_python >/dev/null || echo "python $(python3 --version 2>&1 | tail -1)" ;;
  esac
}

check_programs() {
  local name by program programs
  while read -r name by; do
    case $by in
      CMake) ;;
      itself) check_itself "$name" ;;
      *)
        IFS=, read -ra programs <<<"$by"
        for program in "${programs[@]}"; do command -v "$program" >/dev/null && continue 2; done
        echo "$name" ;;
    esac
  done < <(level_capabilities "$1")
}

# What decides where CMake finds things, and what it is asked.
environment_of_probe() {
  env | grep -E '^(PATH|CC|CXX|CPATH|LIBRARY_PATH|LD_LIBRARY_PATH|CMAKE_.*|PKG_CONFIG.*|[A-Za-z0-9_]+_(ROOT|DIR|HOME|PREFIX))=' | sort
  cat cmake/FerryFind.cmake cmake/probe/CMakeLists.txt
}

probe_holds() {
  local file
  [ -e "$probe/environment.txt" ] || return 1
  environment_of_probe | cmp -s - "$probe/environment.txt" || return 1
  while read -r file; do [ -e "$file" ] || return 1; done <"$probe/found.txt"
}

check_libraries() {
  local generator=Ninja
  if probe_holds; then return; fi
  rm -rf "$probe"
  mkdir -p "$probe"
  command -v ninja >/dev/null || generator='Unix Makefiles'
  if ! cmake -G "$generator" -S cmake/probe -B "$probe" >"$probe/log.txt" 2>&1; then
    echo "setup: CMake fails where it looks for libraries:" >&2
    grep -A12 'CMake Error' "$probe/log.txt" | head -25 >&2
    return 1
  fi
  if [ "$(cat "$probe/missing.txt")" = compiler ]; then
    echo compiler
    unknown_libraries | grep -v '^compiler '
    return
  fi
  cat "$probe/missing.txt"
  if [ ! -s "$probe/missing.txt" ]; then environment_of_probe >"$probe/environment.txt"; fi
}

missing_capabilities() {
  local programs
  programs=$(check_programs "$1")
  if [ -n "$programs" ]; then echo "$programs"; fi
  if grep -q '^cmake' <<<"$programs"; then
    unknown_libraries
  else
    check_libraries || return 1
  fi
  # Ranks are started by name.
  command -v mpirun >/dev/null || echo "mpi no mpirun on PATH"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -uo pipefail
  missing_capabilities "${1:-build}"
fi
