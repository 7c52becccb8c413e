#!/usr/bin/env bash
# Format, sizes, include direction, references, and clang-tidy on what changed:  tools/check_style.sh [--all] [base commit]
#
# clang-tidy looks at the .cpp files that differ from the base commit (HEAD unless named), or at all of them.
# It needs build/compile_commands.json, so it is left out, and said so, before the first build.
set -uo pipefail
cd "$(dirname "$0")/.."
all=
if [ "${1:-}" = --all ]; then all=1; shift; fi
base=${1:-HEAD}
folders=(base parallel model checkpoint offload worker launcher bench tests)
failed=0

# Versions of clang-format differ in small things; Debian 12's is the one that counts.
format=$(command -v clang-format-14 || command -v clang-format) || { echo "check: no clang-format" >&2; exit 1; }
find "${folders[@]}" -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' |
  xargs "$format" --dry-run -Werror 2>&1 | grep -E 'error:' | sed 's/: error: code should be.*/: not formatted/' |
  sort -u -t: -k1,1
if [ "${PIPESTATUS[1]}" != 0 ]; then failed=1; fi

python3 tools/check_includes.py || failed=1
python3 tools/check_sizes.py || failed=1
python3 tools/check_references.py || failed=1

# source_location needs clang 16.  tools/setup.sh puts one into .venv.
tidy=
for name in .venv/bin/clang-tidy clang-tidy-{19,18,17,16} clang-tidy; do
  if [[ $("$name" --version 2>/dev/null) =~ version\ (1[6-9]|[2-9][0-9])\. ]]; then tidy=$name; break; fi
done
if [ -z "$tidy" ] || [ ! -e build/compile_commands.json ]; then
  echo "clang-tidy left out: $([ -n "$tidy" ] && echo "no build/compile_commands.json" || echo "no clang-tidy >= 16")"
else
  if [ -n "$all" ]; then changed=$(git ls-files '*.cpp'); else
    changed=$(git diff --name-only --diff-filter=d "$base" -- '*.cpp'; git ls-files -o --exclude-standard '*.cpp')
  fi
  # LibTorch's headers want OpenMP's, which Clang's packages lack: GCC's, behind all others, without an attribute that
  # Clang does not know.
  omp=$(dirname "$(g++ -print-file-name=include/omp.h)")
  # Files of the other device are not in the compilation database.
  for file in $changed; do
    grep -q "\"$PWD/$file\"" build/compile_commands.json || continue
    "$tidy" -p build --quiet --extra-arg="-idirafter$omp" --extra-arg='-D__malloc__(...)=' "$file" 2>/dev/null || { echo "$file: clang-tidy"; failed=1; }
  done
fi
exit $failed
