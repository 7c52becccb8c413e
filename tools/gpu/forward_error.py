#!/usr/bin/env python3
"""How far one forward is from another: forward_error.py RUN.safetensors REFERENCE.safetensors --what TEXT --limit L2

Both files are what `ferry generate --steps 1 --sampler euler --guidance 1 --save` wrote, from the same noise and
context; a step from sigma 1 to 0 makes noise - latents the velocity.  Prints one JSON line; exits 1 above the limit.
"""
import argparse
import json
import math
import sys

from safetensors.torch import load_file


def velocity(path):
    saved = load_file(path)
    return saved["noise"].double() - saved["latents"].double(), saved["noise"]


parser = argparse.ArgumentParser()
parser.add_argument("run")
parser.add_argument("reference")
parser.add_argument("--what", required=True)
parser.add_argument("--limit", type=float, required=True)
arguments = parser.parse_args()
found, noise = velocity(arguments.run)
wanted, same_noise = velocity(arguments.reference)
if not noise.equal(same_noise):
    sys.exit("forward_error.py: the two runs started from different noise")
error = ((found - wanted).norm() / wanted.norm()).item()
if not math.isfinite(error):
    sys.exit(f"forward_error.py: the error is {error}: a velocity is not finite, or all zeros")
print(json.dumps({"measurement": f"one forward, {arguments.what}", "shape": list(wanted.shape),
                  "relative_l2": error, "limit": arguments.limit}))
sys.exit(error > arguments.limit)
