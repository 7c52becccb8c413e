"""Frames with a LoRA against frames of a model into which torch merged it, for the ways in which a scale is said.

Needs torch and safetensors, so it runs under the Python of .venv.  The merge is computed in fp64 and stored in fp32.
"""

import json
import math
import shutil
import unittest

import torch
from launcher_support import DEMO, FerryTest, ferry, psnr, read_safetensors
from safetensors.torch import load_file, save_file

# official name -> diffusers name, inputs, outputs
LINEARS = {"self_attn.q": ("attn1.to_q", 192, 192), "cross_attn.o": ("attn2.to_out.0", 192, 192),
           "ffn.0": ("ffn.net.0.proj", 192, 768), "ffn.2": ("ffn.net.2", 768, 192)}
BLOCKS = 6
AB, DOWN_UP = (".lora_A.weight", ".lora_B.weight"), (".lora_down.weight", ".lora_up.weight")
DEFAULT = (".lora_A.default.weight", ".lora_B.default.weight")


def pairs(rank_of):
    """(block, official name) -> A, B; the product's size does not depend on the rank."""
    random = torch.Generator().manual_seed(7)
    made = {}
    for block in range(BLOCKS):
        for name, (_, inputs, outputs) in LINEARS.items():
            rank = rank_of(name)
            made[block, name] = (torch.randn(rank, inputs, generator=random) * 0.05,
                                 torch.randn(outputs, rank, generator=random) * 0.1 / math.sqrt(rank))
    return made


EQUAL = pairs(lambda name: 4)
MIXED = pairs(lambda name: 8 if name == "ffn.0" else 4)


def tensors(made, name_of, ends, alpha=None):
    out = {}
    for (block, name), (a, b) in made.items():
        full = name_of(f"blocks.{block}.{name}", f"blocks.{block}.{LINEARS[name][0]}")
        out[full + ends[0]], out[full + ends[1]] = a.clone(), b.clone()
        if alpha is not None:
            out[full + ".alpha"] = alpha.clone()
    return out


def transformer(official, diffusers):
    return "transformer." + diffusers


def peft(official, diffusers):
    return "base_model.model." + diffusers


def comfy(official, diffusers):
    return "diffusion_model." + official


def plain(official, diffusers):
    return official


def kohya(official, diffusers):
    return "lora_unet_" + official.replace(".", "_")


def header(**members):
    return {"format": "pt", "lora_adapter_metadata": json.dumps({f"transformer.{k}": v for k, v in members.items()})}


def four(name):
    return 4.0


# name -> pairs, tensors, header, adapter_config.json, the scale by the linear's official name
SPELLINGS = {
    "no alpha": (EQUAL, (transformer, AB), None, None, lambda name: 1.0),
    "diffsynth, no alpha": (EQUAL, (plain, DEFAULT), None, None, lambda name: 1.0),
    "kohya, fp32 alpha": (EQUAL, (kohya, DOWN_UP, torch.tensor(16.0)), None, None, four),
    "kohya, int64 alpha": (EQUAL, (kohya, DOWN_UP, torch.tensor(16)), None, None, four),
    "diffusers header": (EQUAL, (transformer, AB), header(r=4, lora_alpha=16, use_rslora=False), None, four),
    "diffusers header, rslora": (EQUAL, (transformer, AB), header(r=4, lora_alpha=8, use_rslora=True), None, four),
    "finetrainers header": (EQUAL, (transformer, AB),
                            {"lora_config": json.dumps({"r": 4, "lora_alpha": 16, "init_lora_weights": True})}, None, four),
    "loose header": (EQUAL, (comfy, AB), {"lora_alpha": "16", "r": "4"}, None, four),
    "kohya header": (EQUAL, (comfy, DOWN_UP), {"ss_network_alpha": "16.0", "ss_network_dim": "4"}, None, four),
    "peft folder": (EQUAL, (peft, AB), None, {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "use_rslora": False}, four),
    "peft folder, rslora": (EQUAL, (peft, AB), None, {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": True}, four),
    "peft folder, patterns": (MIXED, (peft, AB), None,
                              {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": {"ffn.net.0.proj": 8},
                               "alpha_pattern": {"^blocks.[0-9].attn1.to_q": 16, "proj": 4}},
                              lambda name: {"self_attn.q": 4.0, "ffn.0": 0.5}.get(name, 2.0)),
}


class MergedInTorch(FerryTest):
    def setUp(self):
        super().setUp()
        self.references = {}

    def frames(self, model, *arguments):
        done = ferry("generate", "--model", model, "--prompt", "a red circle moving right", "--seed", 1, "--steps", 2,
                     "--size", "64x64", "--frames", 5, "--dtype", "fp32", "--out", self.folder / "x.mp4", "--overwrite",
                     "--save", self.folder / "x.safetensors", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.log = done.stderr
        entries, data = read_safetensors(self.folder / "x.safetensors")
        return torch.frombuffer(bytearray(data[slice(*entries["frames"]["data_offsets"])]), dtype=torch.uint8).double()

    def reference(self, made, scale_of):
        """Frames of the model with the pairs merged by torch."""
        key = (made is MIXED, *(scale_of(name) for name in LINEARS))
        if key not in self.references:
            model = self.folder / "merged"
            shutil.copytree(DEMO, model)
            path = model / "transformer" / "diffusion_pytorch_model.safetensors"
            weights = load_file(path)
            for (block, name), (a, b) in made.items():
                key_of = f"blocks.{block}.{LINEARS[name][0]}.weight"
                weights[key_of] = (weights[key_of].double() + scale_of(name) * (b.double() @ a.double())).float()
            save_file(weights, path)
            self.references[key] = self.frames(model)
            shutil.rmtree(model)
        return self.references[key]

    def test_frames_are_those_of_the_merge(self):
        lora = self.folder / "lora"
        for spelling, (made, how, metadata, config, scale_of) in SPELLINGS.items():
            with self.subTest(spelling):
                shutil.rmtree(lora, ignore_errors=True)
                lora.mkdir()
                save_file(tensors(made, *how), lora / "adapter_model.safetensors", metadata=metadata)
                if config is not None:
                    (lora / "adapter_config.json").write_text(json.dumps(config))
                path = lora if config is not None else lora / "adapter_model.safetensors"
                frames = self.frames(DEMO, "--lora.path", path)
                record, log = json.loads((self.folder / "x.json").read_text())["lora"], self.log
                found = psnr(frames, self.reference(made, scale_of))
                print(f"{spelling}: {found:.1f} dB")
                self.assertGreaterEqual(found, 45)
                scales = sorted({scale_of(name) for name in LINEARS})
                (group,) = record["scales"]
                self.assertEqual(group["linears"], len(made))
                if len(scales) == 1:
                    self.assertEqual(group["scale"], scales[0])
                    self.assertIn(f"scale {scales[0]:g} (", log)
                else:
                    self.assertEqual([group["least_scale"], group["most_scale"]], [scales[0], scales[-1]])
                    self.assertIn(f"scales {scales[0]:g} to {scales[-1]:g} (", log)
        # The comparison can tell scales apart.
        self.assertLess(psnr(self.reference(EQUAL, four), self.reference(EQUAL, lambda name: 1.0)), 30)


if __name__ == "__main__":
    unittest.main()
