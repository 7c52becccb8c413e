#!/usr/bin/env python3
"""How far one forward in bf16 is from fp32: forward_error.py BF16.safetensors FP32.safetensors

Both files are what `ferry generate --steps 1 --sampler euler --guidance 1 --save` wrote, from the same noise and
context; a step from sigma 1 to 0 makes noise - latents the velocity.  Prints one JSON line; exits 1 above 1e-2.
"""
import json
import sys

from safetensors.torch import load_file

LIMIT = 1e-2


def velocity(path):
    saved = load_file(path)
    return saved["noise"].double() - saved["latents"].double(), saved["noise"]


bf16, noise = velocity(sys.argv[1])
fp32, same_noise = velocity(sys.argv[2])
if not noise.equal(same_noise):
    sys.exit("forward_error.py: the two runs started from different noise")
error = ((bf16 - fp32).norm() / fp32.norm()).item()
print(json.dumps({"measurement": "one forward, bf16 against fp32", "shape": list(fp32.shape),
                  "relative_l2": error, "limit": LIMIT}))
sys.exit(error > LIMIT)
