#!/usr/bin/env python3
"""A random text embedding for a model without text encoder: random_context.py MODEL OUT.safetensors"""
import json
import pathlib
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1])
index = next(folder.glob("*.safetensors.index.json"), None)
key = "text_embedding.0.weight"
file = json.loads(index.read_text())["weight_map"][key] if index else next(
    folder.glob("diffusion_pytorch_model*.safetensors")).name
with safe_open(folder / file, "pt") as weights:
    width = weights.get_slice(key).get_shape()[1]
rows = torch.randn(16, width, generator=torch.Generator().manual_seed(1))
save_file({"positive": rows, "negative": -rows}, sys.argv[2])
