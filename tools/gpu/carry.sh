#!/usr/bin/env bash
# Collects in .carry/ (ignored by git) what a GPU machine without these packages needs to build Ferry:
# Boost.Program_options and utf8proc, as static libraries with their headers, and wheels of what the parity tests
# compare with.  tools/gpu/one.sh uses them.
set -euo pipefail
cd "$(dirname "$0")/../.."
rm -rf .carry
mkdir -p .carry/boost/include .carry/boost/lib .carry/utf8proc/pkgconfig
grep -qx '/.carry/' .git/info/exclude 2>/dev/null || echo '/.carry/' >>.git/info/exclude

# Only the headers that launcher/options/options.cpp reaches: 5 of Boost's 200 MB.
g++ -std=c++20 -M -I. launcher/options/options.cpp | tr ' \\' '\n\n' | grep '^/usr/include/boost/' | sort -u |
  while read -r header; do
    install -D -m 644 "$header" ".carry/boost/include/${header#/usr/include/}"
  done
cp -r /usr/include/boost/config .carry/boost/include/boost/
library() { find /usr/lib -name "$1" | head -1; }
cp "$(library libboost_program_options.a)" .carry/boost/lib/

cp /usr/include/utf8proc.h .carry/utf8proc/
cp "$(library libutf8proc.a)" .carry/utf8proc/
cat >.carry/utf8proc/pkgconfig/libutf8proc.pc <<'PC'
prefix=${pcfiledir}/..
Name: libutf8proc
Description: UTF-8 processing
Version: 2
Libs: -L${prefix} -lutf8proc
Cflags: -I${prefix} -DUTF8PROC_STATIC
PC
wanted=$(grep -E '^(diffusers|ftfy)=' tools/requirements-test.txt)
# shellcheck disable=SC2086
.venv/bin/python -m pip download -q --disable-pip-version-check --no-deps -d .carry/wheels $wanted wcwidth
.venv/bin/python -m pip download -q --disable-pip-version-check --no-deps -d .carry/fa3 -r tools/requirements-gpu.txt
du -sh .carry
