"""What LoRA files may hold and combinations of them, against models into which torch merged the same.

Needs torch and safetensors, so it runs under the Python of .venv.  The merge is computed in fp64 and stored in fp32.
"""

import json
import shutil
import unittest

import torch
from launcher_support import DEMO, FerryTest, ferry, psnr, read_safetensors, relative_l2
from safetensors.torch import load_file, save_file

RANK = 4
BLOCKS = 6
AB, DOWN_UP = (".lora_A.weight", ".lora_B.weight"), (".lora_down.weight", ".lora_up.weight")
ADAPTER = (".lora_A.my_style.weight", ".lora_B.my_style.weight")
WEIGHTS = load_file(DEMO / "transformer" / "diffusion_pytorch_model.safetensors")
# official name -> diffusers name
IN_BLOCKS = {"self_attn.q": "attn1.to_q", "cross_attn.v": "attn2.to_v", "ffn.0": "ffn.net.0.proj"}
NORMS = {"self_attn.norm_q": "attn1.norm_q", "norm3": "norm2"}
OUTSIDE = {"text_embedding.0": "condition_embedder.text_embedder.linear_1", "time_projection.1": "condition_embedder.time_proj",
           "head.head": "proj_out", "patch_embedding": "patch_embedding"}
LINEARS = {f"blocks.{b}.{name}": f"blocks.{b}.{other}" for b in range(BLOCKS) for name, other in IN_BLOCKS.items()}
MODULES = {**LINEARS, **OUTSIDE, **{f"blocks.{b}.{name}": f"blocks.{b}.{other}" for b in range(BLOCKS) for name, other in NORMS.items()}}
MODULATIONS = {"head": "scale_shift_table", **{f"blocks.{b}": f"blocks.{b}.scale_shift_table" for b in range(BLOCKS)}}


class Part:
    """Tensors of a file, and what they add to the model with strength 1: diffusers key -> tensor in fp64."""

    def __init__(self, seed):
        self.random = torch.Generator().manual_seed(seed)
        self.tensors, self.adds = {}, {}

    def numbers(self, shape, size):
        return torch.randn(shape, generator=self.random) * size

    def pairs(self, name_of, ends, modules=LINEARS, alpha=None):
        for official, other in modules.items():
            weight = WEIGHTS[other + ".weight"]
            a, b = self.numbers((RANK, *weight.shape[1:]), 0.05), self.numbers((weight.shape[0], RANK), 0.05)
            name = name_of(official, other)
            self.tensors[name + ends[0]], self.tensors[name + ends[1]] = a, b
            if alpha is not None:
                self.tensors[name + ".alpha"] = torch.tensor(alpha)
            scale = 1 if alpha is None else alpha / RANK
            self.adds[other + ".weight"] = (b.double() @ a.double().flatten(1) * scale).reshape(weight.shape)
        return self

    def add(self, name, key, shape=None):
        """A difference as large as a tenth of the numbers that it changes."""
        size = 0.1 * WEIGHTS[key].float().square().mean().sqrt().item()
        self.adds[key] = self.numbers(WEIGHTS[key].shape, size).double()
        self.tensors[name] = self.adds[key].float().reshape(shape or WEIGHTS[key].shape)

    def differences(self, name_of, modulation_of, flat=False):
        for official, other in MODULES.items():
            name = name_of(official, other)
            if official not in LINEARS:
                shape = (WEIGHTS[other + ".weight"].shape[0], -1) if flat and official == "patch_embedding" else None
                self.add(name + ".diff", other + ".weight", shape)
            if other + ".bias" in WEIGHTS:
                self.add(name + ".diff_b", other + ".bias")
        for official, key in MODULATIONS.items():
            self.add(modulation_of(official, key), key, WEIGHTS[key].shape[1:] if flat else None)
        return self


def comfy(official, other):
    return "diffusion_model." + official


def plain(official, other):
    return official


def transformer(official, other):
    return "transformer." + other


def kohya(official, other):
    return "lora_unet_" + official.replace(".", "_")


def fun(official, other):
    return "lora_unet__" + official.replace(".", "_")


def one_trainer(official, other):
    return "lora_transformer_" + other.replace(".", "_")


def lycoris(official, other):
    return "lycoris_" + official.replace(".", "_")


def peft(official, other):
    return "base_model.model." + other


def lightx2v(seed=1):
    return Part(seed).pairs(comfy, DOWN_UP).differences(comfy, lambda official, key: f"diffusion_model.{official}.diff_m")


def in_kohya(seed=2):
    return Part(seed).pairs(kohya, DOWN_UP, alpha=8.0).differences(
        kohya, lambda official, key: f"lora_unet_{official.replace('.', '_')}_modulation.diff")


def in_diffusers(seed=3):
    return Part(seed).pairs(transformer, AB).differences(transformer, lambda official, key: f"transformer.{key}.diff", flat=True)


SEQUENTIAL = ("--dit.offload.type", "sequential")
MERGED, IN_CALLS, BOTH = "merged", "added in calls", "added in calls, differences merged"
# name -> [(part, strength)], options, what the record says of each
COMBINATIONS = {
    "LightX2V with all differences": ([(lightx2v(), 1)], (), MERGED),
    "the same under sequential": ([(lightx2v(), 1)], SEQUENTIAL, BOTH),
    "kohya with all differences": ([(in_kohya(), 1)], (), MERGED),
    "diffusers with all differences, flattened": ([(in_diffusers(), 1)], (), MERGED),
    "diff_m behind modulation": ([(Part(4).pairs(plain, AB).differences(
        plain, lambda official, key: f"{official}.modulation.diff_m"), 1)], (), MERGED),
    "OneTrainer": ([(Part(5).pairs(one_trainer, DOWN_UP, alpha=2.0), 1)], (), MERGED),
    "LyCORIS": ([(Part(6).pairs(lycoris, DOWN_UP, alpha=8.0), 1)], (), MERGED),
    "VideoX-Fun": ([(Part(7).pairs(fun, DOWN_UP, alpha=4.0), 1)], (), MERGED),
    "PEFT with an adapter's name": ([(Part(8).pairs(peft, ADAPTER), 1)], (), MERGED),
    "a pair of the convolution": ([(Part(9).pairs(comfy, DOWN_UP, modules=OUTSIDE), 1)], (), MERGED),
    "the same under sequential, convolution": ([(Part(9).pairs(comfy, DOWN_UP, modules=OUTSIDE), 1)], SEQUENTIAL, BOTH),
    "two with strengths": ([(lightx2v(), 0.5), (Part(10).pairs(transformer, AB), -0.75)], (), MERGED),
    "three under async": ([(Part(11).pairs(kohya, DOWN_UP, alpha=2.0), 1.5), (in_diffusers(), 0.5), (lightx2v(), 0.25)],
                          ("--dit.offload.type", "async"), MERGED),
    "three under sequential, one of them off": ([(Part(11).pairs(kohya, DOWN_UP, alpha=2.0), 1.5), (Part(6).pairs(lycoris, DOWN_UP), 0),
                                                 (Part(10).pairs(transformer, AB), 1)], SEQUENTIAL, IN_CALLS),
}


class Kinds(FerryTest):
    def run_with(self, model, *arguments, refused=None):
        done = ferry("generate", "--model", model, "--prompt", "a red circle moving right", "--seed", 1, "--steps", 2,
                     "--size", "64x64", "--frames", 5, "--dtype", "fp32", "--out", self.folder / "x.mp4", "--overwrite",
                     "--save", self.folder / "x.safetensors", *arguments)
        if refused:
            return self.assert_refused(done, *refused)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.log = done.stderr
        entries, data = read_safetensors(self.folder / "x.safetensors")
        numbers = {name: bytearray(data[slice(*entry["data_offsets"])]) for name, entry in entries.items()}
        return torch.frombuffer(numbers["latents"], dtype=torch.float32), torch.frombuffer(numbers["frames"], dtype=torch.uint8)

    def merged(self, parts):
        """The latents and frames of the model into which torch has merged the parts."""
        sums = {}
        for part, strength in parts:
            for key, value in part.adds.items():
                sums[key] = sums.get(key, WEIGHTS[key].double()) + strength * value
        model = self.folder / "merged"
        shutil.copytree(DEMO, model)
        save_file({**WEIGHTS, **{key: value.float() for key, value in sums.items()}},
                  model / "transformer" / "diffusion_pytorch_model.safetensors")
        result = self.run_with(model)
        shutil.rmtree(model)
        return result

    def files_of(self, parts):
        words = []
        for number, (part, strength) in enumerate(parts):
            path = self.folder / f"{number}.safetensors"
            save_file({name: tensor.contiguous() for name, tensor in part.tensors.items()}, path)
            words += ["--lora.path", path, "--lora.strength", strength]
        return words

    def test_latents_and_frames_are_those_of_the_merge(self):
        bare = self.run_with(DEMO)[0]
        for name, (parts, options, applied) in COMBINATIONS.items():
            with self.subTest(name):
                latents, frames = self.run_with(DEMO, *self.files_of(parts), *options)
                records = json.loads((self.folder / "x.json").read_text())["lora"]
                records = records if len(parts) > 1 else [records]
                self.assertEqual([record["strength"] for record in records], [strength for _, strength in parts])
                self.assertEqual({record["applied"] for record in records} - {"not applied"}, {applied})
                wanted_latents, wanted_frames = self.merged(parts)
                error = relative_l2(latents.tolist(), wanted_latents.tolist())
                found = psnr(frames, wanted_frames)
                print(f"{name}: latents {error:.1e} apart, {found:.1f} dB")
                self.assertLess(error, 4e-5)
                self.assertGreaterEqual(found, 45)
                # Without the LoRAs it is another video.
                self.assertGreater(relative_l2(latents.tolist(), bare.tolist()), 1e-2)

    def test_what_does_not_fit_is_left_out_on_demand(self):
        part = Part(1).pairs(comfy, DOWN_UP)
        words = self.files_of([(part, 1)])
        wanted = self.run_with(DEMO, *words)[0]
        for block in range(BLOCKS):
            for end, shape in zip(DOWN_UP, ((RANK, 192), (192, RANK)), strict=True):
                part.tensors[f"diffusion_model.blocks.{block}.cross_attn.k_img{end}"] = torch.ones(shape)
        self.files_of([(part, 1)])
        self.run_with(DEMO, *words, refused=("k_img", "11 more", "--lora.unmatched skip"))
        self.assertTrue(torch.equal(self.run_with(DEMO, *words, "--lora.unmatched", "skip")[0], wanted))
        self.assertIn("12 tensors left out, as lora.unmatched says: diffusion_model.blocks.0.cross_attn.k_img.lora_", self.log)
        left_out = json.loads((self.folder / "x.json").read_text())["lora"]["left_out"]
        self.assertEqual(left_out["count"], 12)
        self.assertIn("k_img", left_out["first"][0])


if __name__ == "__main__":
    unittest.main()
