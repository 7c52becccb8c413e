#!/usr/bin/env python3
"""Checks the direction of includes: launcher -> worker -> offload -> checkpoint -> model -> parallel -> base.

A folder includes only itself and what stands to its right; tests/ and bench/ include everything.  The rooms of a
folder (offload/arena, offload/async, ...) include each other without a cycle; what lies in the folder itself belongs to
no room: rooms share some of it, and some of it puts them together.  Also: base/ and launcher/ name no LibTorch header, nobody but launcher/options/options.cpp names Boost, .cu files name no
ATen, and <torch/torch.h> is named nowhere.

  tools/check_includes.py [root]     prints each offence as file:line and exits 1 when there is one
"""

import pathlib
import re
import sys

ORDER = ["launcher", "worker", "offload", "checkpoint", "model", "parallel", "base"]
FREE = ["tests", "bench"]
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]')
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")


def offence(path: pathlib.PurePath, header: str) -> str | None:
    """What is wrong with `path` (relative to the root) including `header`, or None."""
    folder = path.parts[0]
    target = header.split("/")[0]
    if header == "torch/torch.h":
        return "<torch/torch.h> is slow to compile; include the small ATen headers"
    if header.startswith("boost/") and str(path) != "launcher/options/options.cpp":
        return "only launcher/options/options.cpp includes Boost"
    if path.suffix in {".cu", ".cuh"} and header.startswith(("ATen/", "torch/")):
        return "a .cu file sees no ATen"
    if folder in FREE:
        return None
    if folder in {"base", "launcher"} and TORCH.match(header):
        return f"{folder}/ is free of LibTorch"
    if target in FREE and not (folder == "launcher" and target == "bench"):
        return f"{folder}/ may not include {target}/"
    if target in ORDER and ORDER.index(target) < ORDER.index(folder):
        return f"{folder}/ may not include {target}/"
    return None


def includes_of(root: pathlib.Path, path: pathlib.Path):
    """(file:line and text, file, header) of each include, the file relative to the root."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := INCLUDE.match(line):
            name = path.relative_to(root)
            yield f"{name}:{number}: {line.strip()}", name, match.group(1)


def room_of(path: str) -> str | None:
    """The room of a file: its folder's first two parts, or None for what lies in a folder of the tower itself."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in ORDER else None


def cycles(includes):
    """Of the includes between rooms those that lie on a cycle."""
    arrows = {}
    for place, path, header in includes:
        here, there = room_of(str(path)), room_of(header)
        if here and there and here != there:
            arrows.setdefault((here, there), []).append(place)
    for (here, there), places in sorted(arrows.items()):
        if here in reached(there, arrows):
            yield from (f"{place}: a cycle: {there} includes {here} too, itself or through others" for place in places)


def reached(room, arrows):
    seen, left = set(), [room]
    while left:
        seen.add(room := left.pop())
        left += [there for here, there in arrows if here == room and there not in seen]
    return seen


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    files = [p for folder in ORDER + FREE for p in sorted((root / folder).rglob("*")) if p.suffix in SUFFIXES]
    if not files:
        print(f"{root}: no sources", file=sys.stderr)
        return 1
    includes = [include for path in files for include in includes_of(root, path)]
    found = [f"{place}: {why}" for place, path, header in includes if (why := offence(path, header))]
    found += cycles(includes)
    print("\n".join(found) if found else f"{len(files)} files include in the right direction")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
