"""checkpoint_parity.py PROBE: Ferry's two key layouts against diffusers' own conversion of official files.

The probe makes the same weights in both layouts.  diffusers converts the official files; names, shapes, dtypes and
bits must be those of Ferry's diffusers files.  What Ferry reads back from either must be what torch reads from the
official files.
"""
import subprocess
import sys
import tempfile

import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from safetensors.torch import load_file


def same(what, found, expected):
    assert found.keys() == expected.keys(), f"{what}: {sorted(found.keys() ^ expected.keys())[:10]}"
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), f"{what}: {key} differs"
    print(f"{what}: {len(expected)} tensors equal")


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        dit = load_file(f"{folder}/official/diffusion_pytorch_model.safetensors")
        vae = torch.load(f"{folder}/official/Wan2.1_VAE.pth", weights_only=True)
        text = torch.load(f"{folder}/official/models_t5_umt5-xxl-enc-bf16.pth", weights_only=True)
        for part, official in enumerate((dit, vae, text)):
            for layout in ("official", "diffusers"):
                same(f"{layout} part {part} as Ferry reads it", load_file(f"{folder}/{layout}-{part}.safetensors"),
                     dict(official))
        same("DiT as diffusers converts it", convert_wan_transformer_to_diffusers(dict(dit)),
             load_file(f"{folder}/diffusers/transformer/diffusion_pytorch_model.safetensors"))
        same("VAE as diffusers converts it", convert_wan_vae_to_diffusers(dict(vae)),
             load_file(f"{folder}/diffusers/vae/diffusion_pytorch_model.safetensors"))


if __name__ == "__main__":
    main()
