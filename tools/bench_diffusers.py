#!/usr/bin/env python3
"""Times diffusers' DiT forward beside Ferry's, in turn, with random weights and the same threads.

    tools/bench_diffusers.py build/launcher/ferry [--size 416x240] [--frames 17] [--layers 4]
                             [--samples 3] [--dtypes bf16,fp32]

The layers are T2V-1.3B's, written by `ferry make-model` for `ferry bench forward` to read.  One JSON line per measurement, then one per dtype with the ratios of the medians.  In
bf16 diffusers keeps the modules in fp32 that its from_pretrained keeps.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time

import torch
from diffusers import WanTransformer3DModel

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def make_model(layers, dtype):
    torch.manual_seed(1)
    model = WanTransformer3DModel(num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=layers)
    model = model.eval().to(dtype)
    for name, module in model.named_modules():
        if any(kept in name.split(".") for kept in model._keep_in_fp32_modules):
            module.float()
    for name, parameter in model.named_parameters():
        if "scale_shift_table" in name:
            parameter.data = parameter.data.float()
    return model


def forward_once(model, latent, context):
    timestep = torch.tensor([500])
    begin = time.perf_counter()
    velocity = model(latent, timestep, context, return_dict=False)[0]
    seconds = time.perf_counter() - begin
    if not torch.isfinite(velocity).all():
        raise RuntimeError("diffusers' result is not finite")
    return seconds


def ferry_once(options, folder, dtype):
    command = [options.ferry, "bench", "forward", "--model", folder, "--device", "cpu", "--dtype", dtype, "--size",
               options.size, "--frames", str(options.frames), "--samples", "1", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def compare(options, folder, dtype):
    width, height = (int(edge) for edge in options.size.split("x"))
    model = make_model(options.layers, DTYPES[dtype])
    latent = torch.randn(1, 16, (options.frames - 1) // 4 + 1, height // 8, width // 8).to(DTYPES[dtype])
    context = torch.randn(1, 512, 4096).to(DTYPES[dtype])
    forward_once(model, latent, context)  # warm-up
    theirs, ours = [], []
    for _ in range(options.samples):
        theirs.append(forward_once(model, latent, context))
        ours.append(ferry_once(options, folder, dtype))
        print(json.dumps(ours[-1]), flush=True)
    diffusers = statistics.median(theirs)
    forward = statistics.median(line["forward_s"] for line in ours)
    floor = statistics.median(line["floor_s"] for line in ours)
    print(json.dumps({"measurement": "dit forward against diffusers", "dtype": dtype,
                      "threads": torch.get_num_threads(), "diffusers_s": diffusers, "samples_s": theirs,
                      "forward_over_diffusers": forward / diffusers,
                      "forward_over_floor": statistics.median(line["forward_over_floor"] for line in ours),
                      "diffusers_over_floor": diffusers / floor}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ferry")
    parser.add_argument("--size", default="416x240")
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--dtypes", default="bf16,fp32")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.ferry, "make-model", folder, "--size", "1.3B", "--layers", str(options.layers), "--parts",
                        "dit"], check=True, stdout=subprocess.DEVNULL)
        for dtype in options.dtypes.split(","):
            compare(options, folder, dtype)


if __name__ == "__main__":
    main()
