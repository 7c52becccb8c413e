#!/usr/bin/env python3
"""Checks the sizes of files, functions, classes and folders: the tail is where code stops being readable.

              aim   say why   never
  file        150     300      500   lines
  function     25      60       80   (CUDA kernels exempt)
  class body   60     120      150
  folder                        30   files, folders in it not counted (tests/ and docs/ exempt)

What is over the last column is printed and makes the exit code 1; --long also lists what is over the second.
It reads clang-format's output: a definition starts at some indentation and ends with a brace at the same.

  tools/check_sizes.py [--long] [root]
"""

import pathlib
import re
import sys

MOST_FILES = 30
ELSEWHERE = ["cmake", "configs", "models", "slurm", "tools"]  # where only files are counted
FOLDERS = ["base", "parallel", "model", "checkpoint", "offload", "worker", "launcher", "bench", "tests"]
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
LIMITS = {"file": (300, 500), "function": (60, 80), "class": (120, 150)}
CLASS = re.compile(r"^(template\b.*)?(class|struct|union) ")
NO_FUNCTION = re.compile(r"^(namespace|enum|extern|if|for|while|switch|do|else|try|case|default|\}|\{|return)\b|^[{}]")


def definitions(lines):
    """(kind, name, first line, number of lines) of each definition outside of functions."""
    i = 0
    while i < len(lines):
        text = lines[i].strip()
        indent = len(lines[i]) - len(lines[i].lstrip())
        end = find_end(lines, i, indent) if opens(text) else None
        if end is None:
            i += 1
        elif CLASS.match(text) and "(" not in text:
            yield "class", text, i + 1, end - i + 1
            i += 1
        elif "(" in signature(lines, i):
            yield "function", signature(lines, i).split("(")[0], i + 1, end - i + 1
            i = end + 1
        else:
            i += 1


def opens(text):
    return bool(text) and not NO_FUNCTION.match(text) and not text.startswith(("//", "#"))


def signature(lines, i):
    """The text from line i up to the line that opens the body, or "" when none does."""
    text = ""
    for line in lines[i : i + 12]:
        text += line.split("//")[0].rstrip() + " "
        if text.rstrip().endswith("{"):
            return text
        if text.rstrip().endswith((";", "}", "}," ,")}")):
            return ""
    return ""


def find_end(lines, i, indent):
    if not signature(lines, i):
        return None
    for j in range(i + 1, len(lines)):
        line = lines[j]
        if line[:indent].strip() == "" and line[indent : indent + 1] == "}":
            return j
    return None


def full_folders(root):
    """(folder, number of files) where that is over the limit."""
    for top in [name for name in FOLDERS + ELSEWHERE if name != "tests" and (root / name).is_dir()]:
        for folder in [root / top, *sorted(p for p in (root / top).rglob("*") if p.is_dir())]:
            count = sum(p.is_file() for p in folder.iterdir()) if folder.name != "__pycache__" else 0
            if count > MOST_FILES:
                yield folder.relative_to(root), count


def main() -> int:
    arguments = [a for a in sys.argv[1:] if a != "--long"]
    column = 0 if "--long" in sys.argv else 1
    root = pathlib.Path(arguments[0] if arguments else ".").resolve()
    files = [p for folder in FOLDERS for p in sorted((root / folder).rglob("*")) if p.suffix in SUFFIXES]
    found, worst = False, {kind: 0 for kind in LIMITS}
    for path in files:
        lines = path.read_text(encoding="utf-8").splitlines()
        kernel = path.suffix in {".cu", ".cuh"}
        sizes = [("file", "", 1, len(lines))] + list(definitions(lines))
        for kind, name, line, count in sizes:
            if kernel and kind == "function":
                continue
            worst[kind] = max(worst[kind], count)
            if count > LIMITS[kind][column]:
                print(f"{path.relative_to(root)}:{line}: {kind} {name} has {count} lines")
                found = found or count > LIMITS[kind][1]
    for folder, count in full_folders(root):
        print(f"{folder}/: {count} files")
        found = True
    print(f"{len(files)} files; the longest: " + ", ".join(f"{k} {n}" for k, n in worst.items()))
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
