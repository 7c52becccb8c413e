#!/usr/bin/env python3
"""Checks the direction of includes: launcher -> worker -> offload -> checkpoint -> model -> parallel -> base.

A folder includes only itself and what stands to its right; tests/ and bench/ include everything.  Also:
base/ and launcher/ name no LibTorch header, nobody but launcher/options/options.cpp names Boost, .cu files name no
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


def offences_of(root: pathlib.Path, path: pathlib.Path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        wrong = match and offence(path.relative_to(root), match.group(1))
        if wrong:
            yield f"{path.relative_to(root)}:{number}: {line.strip()}: {wrong}"


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    files = [p for folder in ORDER + FREE for p in sorted((root / folder).rglob("*")) if p.suffix in SUFFIXES]
    if not files:
        print(f"{root}: no sources", file=sys.stderr)
        return 1
    found = [text for path in files for text in offences_of(root, path)]
    print("\n".join(found) if found else f"{len(files)} files include in the right direction")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
