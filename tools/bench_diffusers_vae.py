#!/usr/bin/env python3
"""Times diffusers' VAE decode beside Ferry's, in turn, with random weights and the same threads.

    tools/bench_diffusers_vae.py build/launcher/ferry [--size 416x240] [--frames 5]
                                 [--samples 3] [--dtypes fp32,bf16]

The VAE is Wan2.1's, written by `ferry make-model` for `ferry bench decode` to read.  One JSON line per measurement, then one with the ratios of the medians.  Diffusers runs in fp32.  Peak memory is
resident memory beyond what was held just before the decode (weights, latent), read from /proc.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time

import torch
from diffusers import AutoencoderKLWan


def resident(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(field + " is not in /proc/self/status")


def forget_peak():
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def decode_once(vae, latent):
    begin = time.perf_counter()
    frames = vae.decode(latent, return_dict=False)[0]
    seconds = time.perf_counter() - begin
    if not torch.isfinite(frames).all():
        raise RuntimeError("diffusers decoded frames that are not finite")
    return seconds


def ferry_once(options, folder, dtype):
    command = [options.ferry, "bench", "decode", "--model", folder, "--device", "cpu", "--vae_dtype", dtype, "--size",
               options.size, "--frames", str(options.frames), "--samples", "1", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ferry")
    parser.add_argument("--size", default="416x240")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--dtypes", default="fp32,bf16")
    options = parser.parse_args()
    width, height = (int(edge) for edge in options.size.split("x"))

    torch.manual_seed(1)
    torch.set_grad_enabled(False)
    vae = AutoencoderKLWan().eval()
    latent = torch.randn(1, vae.config.z_dim, (options.frames - 1) // 4 + 1, height // 8, width // 8)

    before = resident("VmRSS")
    forget_peak()
    decode_once(vae, latent)  # warm-up
    peak = resident("VmHWM") - before

    seconds = []
    ferry = {dtype: [] for dtype in options.dtypes.split(",")}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.ferry, "make-model", folder, "--size", "1.3B", "--parts", "vae"], check=True,
                       stdout=subprocess.DEVNULL)
        for _ in range(options.samples):
            seconds.append(decode_once(vae, latent))
            for dtype in ferry:
                ferry[dtype].append(ferry_once(options, folder, dtype))
                print(json.dumps(ferry[dtype][-1]), flush=True)
    diffusers = statistics.median(seconds)
    print(json.dumps({"measurement": "vae decode", "program": "diffusers", "dtype": "fp32",
                      "threads": torch.get_num_threads(), "decode_s": diffusers, "samples_s": seconds,
                      "peak_bytes": peak}))
    for dtype, lines in ferry.items():
        print(json.dumps({"measurement": "vae decode against diffusers fp32", "dtype": dtype,
                          "time_ratio": statistics.median(line["decode_s"] for line in lines) / diffusers,
                          "peak_ratio": statistics.median(line["peak_bytes"] for line in lines) / peak}))


if __name__ == "__main__":
    main()
