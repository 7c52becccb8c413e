"""vae_parity.py PROBE [--gpu]: Ferry's VAE decode, on the probe's device, against diffusers' AutoencoderKLWan on the CPU.

Random weights, fp32: relative L2 at most 1e-5 over the video (both compute in fp32; their sums run in different
orders).
"""
import math
import os
import subprocess
import sys
import tempfile

import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file

CASES = {
    "wan21 at width 16": (dict(base_dim=16), (3, 5, 3)),
    "one residual block": (dict(base_dim=16, num_res_blocks=1), (4, 3, 7)),
    "three stages, time first": (dict(base_dim=24, dim_mult=[1, 2, 3], num_res_blocks=1,
                                      temperal_downsample=[True, False], scale_factor_temporal=2,
                                      scale_factor_spatial=4), (3, 7, 5)),
    "other latents": (dict(base_dim=20, z_dim=8, dim_mult=[1, 1, 2, 2], temperal_downsample=[True, True, True],
                           scale_factor_temporal=8, latents_mean=[0.1 * i for i in range(8)],
                           latents_std=[1 + 0.2 * i for i in range(8)]),
                      (2, 3, 3)),
    "one latent frame": (dict(base_dim=32), (1, 9, 11)),
}


def randomise(vae):
    """Weights that keep activations near 1, so that the comparison is well conditioned."""
    for name, value in vae.named_parameters():
        if name.endswith("gamma"):
            value.copy_(1 + 0.1 * torch.randn_like(value))
        elif value.dim() == 1:
            value.copy_(0.1 * torch.randn_like(value))
        else:
            value.copy_(torch.randn_like(value) / math.sqrt(value[0].numel()))


def ferry_decode(probe, folder, latent):
    with tempfile.TemporaryDirectory() as scratch:
        source, result = os.path.join(scratch, "latent"), os.path.join(scratch, "frames")
        save_file({"latent": latent.contiguous()}, source)
        subprocess.run([probe, folder, source, result], check=True)
        return load_file(result)["frames"]


def diffusers_decode(vae, latent):
    """The pipeline's own denormalisation; the clamp of decode() is left out, as the probe does."""
    shape = (-1, 1, 1, 1)
    mean = torch.tensor(vae.config.latents_mean).view(shape)
    scale = 1.0 / torch.tensor(vae.config.latents_std).view(shape)
    unclamped = torch.clamp
    torch.clamp = lambda x, **_: x
    try:
        return vae.decode((latent / scale + mean)[None], return_dict=False)[0][0]
    finally:
        torch.clamp = unclamped


def check_random(probe, name, config, size):
    vae = AutoencoderKLWan(**config).eval()
    randomise(vae)
    latent = torch.randn(vae.config.z_dim, *size)
    with tempfile.TemporaryDirectory() as folder:
        vae.save_pretrained(os.path.join(folder, "vae"))
        frames = ferry_decode(probe, folder, latent)
    wanted = diffusers_decode(vae, latent)
    if frames.shape != wanted.shape:
        sys.exit(f"{name}: {tuple(frames.shape)} is not {tuple(wanted.shape)}")
    error = ((frames - wanted).double().norm() / wanted.double().norm()).item()
    print(f"{name}: {tuple(frames.shape)}, relative L2 {error:.1e}")
    return error <= 1e-5



def main():
    probe = sys.argv[1]
    torch.manual_seed(11)
    torch.set_grad_enabled(False)
    passed = [check_random(probe, name, *case) for name, case in CASES.items()]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
