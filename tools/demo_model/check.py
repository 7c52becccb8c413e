#!/usr/bin/env python3
"""Compares vae.py, text.py and dit.py with the published classes, same random weights:  tools/demo_model/check.py

Needs diffusers and transformers (tools/requirements-test.txt).  Prints the largest differences, relative to the
largest value; exits with 1 when one is over 1e-4.
"""

import sys

import torch

import dit
import text
import vae


def shake(module):
    """Weights that are no special case: nothing zero, nothing one."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return module.eval()


def difference(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def check_vae():
    from diffusers import AutoencoderKLWan
    ours = shake(vae.Vae())
    theirs = AutoencoderKLWan(**vae.CONFIG, latents_mean=[0.0] * 16, latents_std=[1.0] * 16).eval()
    theirs.load_state_dict(ours.state_dict())
    worst = 0.0
    for frames in (1, 5, 9):
        x = torch.rand(1, frames, 32, 32, 3) * 2 - 1
        mean, _ = ours.encode(x)
        posterior = theirs.encode(x.permute(0, 4, 1, 2, 3)).latent_dist
        z = torch.randn_like(mean)
        decoded = theirs.decode(z.permute(0, 4, 1, 2, 3)).sample.permute(0, 2, 3, 4, 1)
        worst = max(worst, difference(mean, posterior.mean.permute(0, 2, 3, 4, 1)),
                    difference(ours.decode(z).clamp(-1, 1), decoded))
    return worst


def check_text():
    from transformers import UMT5Config, UMT5EncoderModel
    ours = shake(text.TextEncoder(120))
    theirs = UMT5EncoderModel(UMT5Config(**{k: v for k, v in text.config(120).items() if k != "dtype"})).eval()
    state = ours.state_dict()
    theirs.load_state_dict({**state, "encoder.embed_tokens.weight": state["shared.weight"]})
    ids = torch.randint(3, 120, (3, text.TEXT_LENGTH))
    ids[0, 12:], ids[1, 1:] = 0, 0
    there = (ids != 0)
    expected = theirs(input_ids=ids, attention_mask=there.long()).last_hidden_state * there[..., None]
    return difference(ours(ids), expected)


def check_dit():
    from diffusers import WanTransformer3DModel
    ours = shake(dit.Dit((3, 8, 6)))
    theirs = WanTransformer3DModel(**{**dit.CONFIG, "patch_size": dit.PATCH}).eval()
    theirs.load_state_dict(ours.state_dict())
    x, context, time = torch.randn(2, 16, 3, 8, 6), torch.randn(2, 32, 128), torch.tensor([17.0, 930.5])
    expected = theirs(hidden_states=x, timestep=time, encoder_hidden_states=context, return_dict=False)[0]
    return difference(ours(x, time, context), expected)


@torch.no_grad()
def main():
    failed = False
    for name, check in (("vae", check_vae), ("text encoder", check_text), ("dit", check_dit)):
        worst = check()
        failed = failed or worst > 1e-4
        print(f"{name:14} differs by {worst:.1e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
