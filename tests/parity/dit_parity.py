#!/usr/bin/env python3
"""Our DiT against diffusers' WanTransformer3DModel with the same random weights, fp32; theirs on the CPU.

The same weights are written in the diffusers and in the official layout; both must load to the same bits.
diffusers builds its timestep sinusoid in fp32 where the official code uses fp64, so it is given the official one.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

# The two differ in the order of fp32 sums only.
TOLERANCE = 1e-5

# heads, head size, layers, ffn, text_dim, text_len, prompt tokens, latent [F, h, w], timestep
CASES = [
    (2, 128, 3, 640, 96, 77, 12, (3, 10, 14), 875.0),  # a patch grid of 3 x 5 x 7
    (4, 48, 4, 768, 128, 32, 32, (1, 6, 22), 937.5),
    (3, 64, 2, 320, 64, 512, 1, (5, 4, 6), 999.0),
    (6, 20, 2, 200, 40, 19, 7, (2, 18, 2), 3.0),
]

RENAME = [
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("proj_out", "head.head"),
    (".attn1.to_out.0", ".self_attn.o"), (".attn2.to_out.0", ".cross_attn.o"),
    (".attn1.to_", ".self_attn."), (".attn2.to_", ".cross_attn."),
    (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."),
    (".ffn.net.0.proj", ".ffn.0"), (".ffn.net.2", ".ffn.2"),
    (".norm2.", ".norm3."), ("scale_shift_table", "modulation"),
]


def official_name(key):
    for theirs, ours in RENAME:
        key = key.replace(theirs, ours)
    return "head.modulation" if key == "modulation" else key


class OfficialSinusoid(torch.nn.Module):
    """The timestep is passed as fp64; the model would round another tensor to fp32 first."""

    def __init__(self, dim, timestep):
        super().__init__()
        self.dim, self.timestep = dim, timestep

    def forward(self, _):
        half = self.dim // 2
        angle = self.timestep * torch.pow(10000.0, -torch.arange(half, dtype=torch.float64) / half)
        return torch.cat([angle.cos(), angle.sin()]).float().unsqueeze(0)


def make_model(case):
    heads, head_dim, layers, ffn, text_dim = case[:5]
    torch.manual_seed(heads * 1000 + head_dim)
    model = WanTransformer3DModel(
        num_attention_heads=heads, attention_head_dim=head_dim, in_channels=16, out_channels=16,
        text_dim=text_dim, freq_dim=256, ffn_dim=ffn, num_layers=layers)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
        if "scale_shift_table" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval()


def write_diffusers(model, folder, text_len):
    model.save_pretrained(folder / "transformer", safe_serialization=True)
    path = folder / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text_len": text_len}))


def write_official(model, folder, text_len):
    folder.mkdir()
    tensors = {official_name(key): value.contiguous() for key, value in model.state_dict().items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    c = model.config
    (folder / "config.json").write_text(json.dumps({
        "_class_name": "WanModel", "model_type": "t2v", "dim": c.num_attention_heads * c.attention_head_dim,
        "ffn_dim": c.ffn_dim, "freq_dim": c.freq_dim, "in_dim": 16, "out_dim": 16,
        "num_heads": c.num_attention_heads, "num_layers": c.num_layers, "text_len": text_len, "eps": 1e-6}))


def velocity_of(probe, model_dir, folder):
    subprocess.run([probe, model_dir, folder / "in.safetensors", folder / "out.safetensors"], check=True)
    return load_file(folder / "out.safetensors")["velocity"]


@torch.no_grad()
def compare(probe, folder, case):
    text_dim, text_len, prompt, size, timestep = case[4:]
    model = make_model(case)
    write_diffusers(model, folder, text_len)
    write_official(model, folder / "official", text_len)
    latent = torch.randn(16, *size)
    context = torch.randn(prompt, text_dim)
    save_file({"latent": latent, "context": context, "timestep": torch.tensor([timestep], dtype=torch.float64)},
              folder / "in.safetensors")

    model.condition_embedder.timesteps_proj = OfficialSinusoid(256, timestep)
    padded = torch.zeros(1, text_len, text_dim)
    padded[0, :prompt] = context
    wanted = model(latent[None], torch.tensor([timestep]), padded, return_dict=False)[0][0]
    ours = velocity_of(probe, folder, folder)
    error = ((ours - wanted).norm() / wanted.norm()).item()
    print(f"{case}: relative L2 {error:.2e}")
    assert error <= TOLERANCE, f"{case}: {error} > {TOLERANCE}"
    assert torch.equal(ours, velocity_of(probe, folder / "official", folder)), f"{case}: the layouts differ"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--gpu", action="store_true", help="the probe computes on a GPU")
    probe = parser.parse_args().probe
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            compare(probe, Path(folder), case)


if __name__ == "__main__":
    main()
