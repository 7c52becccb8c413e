#!/usr/bin/env python3
"""What the small model's clips are worth, made by Ferry and judged by tests/support/demo_judge.h.

  tools/demo_model/evaluate.py --judge build/tests/demo_judge [--model models/demo] [what...]

  truth    the judge itself, on clips that world.py draws (216, each combination once)
  prompts  60 prompts of held-out combinations on 2 ranks
  tables   the same score over guidance scales, and over samplers and numbers of steps
  ranks    PSNR between 1, 2 and 4 ranks, and between fp32 and bf16

Without `what`, all of them.  Prints Markdown.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
from safetensors import safe_open
from safetensors.numpy import save_file

import world

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDANCE = (1, 1.5, 2, 2.5, 3, 4, 5)
SAMPLERS = ("unipc", "dpm++", "euler")
STEPS = (5, 10, 20, 40)


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, pathlib.Path(folder)

    def make(self, prompt, seed, ranks=2, **options):
        """The file with the frames of one clip, 2 cores in all."""
        path = self.folder / f"{len(list(self.folder.iterdir()))}.safetensors"
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, 2 // ranks)), "OMP_WAIT_POLICY": "passive"}
        done = subprocess.run(
            [self.arguments.ferry, "generate", "-n", str(ranks), "--model", self.arguments.model, "--device", "cpu",
             "--prompt", prompt, "--seed", str(seed), "--save", path, "--out", self.folder / "clip.mp4", "--overwrite",
             "--run.log_level", "error", *words], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"ferry ended with {done.returncode}: {done.stderr}")
        return path

    def judge(self, paths):
        """What each clip in the files shows."""
        done = subprocess.run([self.arguments.judge, *paths], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def score(self, pairs, **options):
        """Of (scene, prompt) pairs, each with a seed of its own."""
        paths = [self.make(prompt, 1000 + i, **options) for i, (_, prompt) in enumerate(pairs)]
        result = Score([scene for scene, _ in pairs], self.judge(paths))
        for path in paths:
            path.unlink()
        return result


class Score:
    COLUMNS = "| colour | shape | direction | background | all four | IoU | RGB error |"

    def __init__(self, scenes, seen):
        self.wrong, right, overlaps, errors = [], [], [], []
        for scene, sight in zip(scenes, seen, strict=True):
            wanted = {kind: words[i] for kind, words, i in zip(world.KINDS, world.WORDS, scene)}
            right.append([sight[kind] == wanted[kind] for kind in world.KINDS])
            overlaps.append(sight["overlap"][wanted["shape"]])
            errors.append(numpy.linalg.norm(numpy.subtract(sight["rgb"], world.COLOURS[wanted["colour"]])))
            if not all(right[-1]):
                self.wrong.append((wanted, {kind: sight[kind] for kind in world.KINDS}))
        right = numpy.array(right)
        self.shares = [*right.mean(0), right.all(1).mean()]
        self.overlap, self.error = numpy.mean(overlaps), numpy.mean(errors)

    def row(self):
        return f"| {' | '.join(f'{100 * s:.1f} %' for s in self.shares)} | {self.overlap:.3f} | {self.error:.1f} |"


def header(first):
    return f"| {first} {Score.COLUMNS}\n|---|{'---|' * (Score.COLUMNS.count('|') - 1)}"


def truth(bench):
    config = read_config(pathlib.Path(bench.arguments.model) / "ferry.cfg")
    size, frames = int(config["size"].split("x")[0]), int(config["frames"])
    import torch
    scenes = torch.tensor(world.SCENES)
    painter = world.Painter(size, frames, seed=77)
    clips = torch.cat([world.to_bytes(painter.clips(part)[0]) for part in scenes.split(8)])
    path = bench.folder / "truth.safetensors"
    save_file({"clips": clips.numpy()}, path)
    score = Score(world.SCENES, bench.judge([path]))
    print(f"\nThe judge on {len(scenes)} true clips, {size}x{size}, {frames} frames:\n\n{header('clips')}")
    print(f"| ground truth {score.row()}", flush=True)


def prompts(bench):
    pairs = world.prompts(bench.arguments.prompts)
    score = bench.score(pairs)
    print(f"\n{len(pairs)} held-out prompts, 2 ranks:\n\n{header('clips')}\n| generated {score.row()}\n")
    for wanted, seen in score.wrong:
        print(f"* asked for {' '.join(wanted.values())}, seen {' '.join(str(v) for v in seen.values())}")
    sys.stdout.flush()


def tables(bench):
    pairs = world.prompts(bench.arguments.table_prompts)
    print(f"\n{len(pairs)} held-out prompts for each row:\n\n{header('guidance')}", flush=True)
    for guidance in GUIDANCE:
        print(f"| {guidance} {bench.score(pairs, guidance=guidance).row()}", flush=True)
    print(f"\n{header('sampler, steps')}", flush=True)
    for sampler in SAMPLERS:
        for steps in STEPS:
            print(f"| {sampler}, {steps} {bench.score(pairs, sampler=sampler, steps=steps).row()}", flush=True)


def read_frames(path):
    with safe_open(path, "numpy") as file:
        return file.get_tensor("frames").astype(numpy.float64)


def decibels(path, other):
    a, b = read_frames(path), read_frames(other)
    error = numpy.mean((a - b) ** 2)
    return float("inf") if error == 0 else 10 * numpy.log10(255**2 / error)


def ranks(bench):
    print("\nPSNR of the 8-bit frames, dB (inf: equal):\n\n| prompt | 2 ranks to 1 | 4 ranks to 1 | bf16 to fp32 |")
    print("|---|---|---|---|")
    for i, (_, prompt) in enumerate(world.prompts(bench.arguments.rank_prompts)):
        one = bench.make(prompt, 500 + i, ranks=1, dtype="fp32")
        others = [bench.make(prompt, 500 + i, ranks=n, dtype="fp32") for n in (2, 4)]
        others.append(bench.make(prompt, 500 + i, ranks=1, dtype="bf16"))
        print(f"| {prompt} | {' | '.join(f'{decibels(one, other):.1f}' for other in others)} |", flush=True)


def read_config(path):
    lines = [line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines() if "=" in line]
    return {key.strip(): value.strip() for key, value in lines if not key.startswith("#")}


def main():
    what = {"truth": truth, "prompts": prompts, "tables": tables, "ranks": ranks}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *what], help="all")
    parser.add_argument("--ferry", default=ROOT / "build/launcher/ferry")
    parser.add_argument("--judge", default=ROOT / "build/tests/demo_judge")
    parser.add_argument("--model", default=ROOT / "models/demo")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--table-prompts", type=int, default=18)
    parser.add_argument("--rank-prompts", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="demo-model-") as folder:
        for name in arguments.what or what:
            what[name](Bench(arguments, folder))


if __name__ == "__main__":
    main()
