#!/usr/bin/env python3
"""How far the frames of two decodes are apart: frames_error.py RUN.safetensors REFERENCE.safetensors --what TEXT

Both files are what `ferry generate --latents FILE --save` wrote.  Prints one JSON line; exits 1 when a value of 8 bits
differs by more than --largest or the mean difference is above --mean: convolutions of another height may go by
another algorithm of cuDNN, which rounds its input to TF32 (2^-11), and a decode has some thirty in a row.
"""
import argparse
import json
import sys

from safetensors.torch import load_file

parser = argparse.ArgumentParser()
parser.add_argument("run")
parser.add_argument("reference")
parser.add_argument("--what", required=True)
parser.add_argument("--largest", type=int, default=4)
parser.add_argument("--mean", type=float, default=0.1)
arguments = parser.parse_args()
found, wanted = (load_file(path)["frames"] for path in (arguments.run, arguments.reference))
if found.shape != wanted.shape:
    sys.exit(f"frames_error.py: {list(found.shape)} against {list(wanted.shape)}")
difference = (found.short() - wanted.short()).abs()
largest, mean = difference.max().item(), difference.double().mean().item()
print(json.dumps({"measurement": f"frames, {arguments.what}", "shape": list(found.shape), "largest": largest,
                  "mean": mean, "limits": [arguments.largest, arguments.mean]}))
sys.exit(largest > arguments.largest or mean > arguments.mean)
