#!/usr/bin/env python3
"""The contact sheet of held-out prompts in the README:  tools/demo_model/sheet.py docs/demo_model.png

Ferry makes the clips, on 2 CPU ranks; each row is one prompt, its frames from left to right, nearest neighbour.
"""

import argparse
import pathlib
import tempfile

import numpy
from PIL import Image

import evaluate
import world

GAP, GREY = 4, 90


def row(frames, columns, side):
    """`columns` frames, evenly chosen, first and last among them."""
    chosen = numpy.linspace(0, len(frames) - 1, columns).round().astype(int)
    factor = max(1, side // frames.shape[2])
    pictures = [frames[i].astype(numpy.uint8).repeat(factor, 0).repeat(factor, 1) for i in chosen]
    framed = [numpy.pad(p, ((GAP // 2,) * 2, (GAP // 2,) * 2, (0, 0)), constant_values=GREY) for p in pictures]
    return numpy.concatenate(framed, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--ferry", default=evaluate.ROOT / "build/launcher/ferry")
    parser.add_argument("--model", default=evaluate.ROOT / "models/demo")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--columns", type=int, default=9)
    parser.add_argument("--side", type=int, default=128, help="least width of a frame in pixels")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="demo-model-") as folder:
        bench = evaluate.Bench(arguments, pathlib.Path(folder))
        for i, (_, prompt) in enumerate(world.prompts(arguments.prompts)):
            rows.append(row(evaluate.read_frames(bench.make(prompt, 1000 + i)), arguments.columns, arguments.side))
            print(prompt, flush=True)
    Image.fromarray(numpy.concatenate(rows)).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
