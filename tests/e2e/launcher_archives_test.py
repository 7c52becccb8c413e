""".pth files as other programs write them, through the program: the same video, or a clear word."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from launcher_support import DEMO, SOURCE, FerryTest, ferry

PYTHON = os.environ.get("FERRY_PYTHON", SOURCE / ".venv/bin/python")
SMALL = ["--size", "64x64", "--frames", 5, "--steps", 1, "--seed", 1, "--guidance", 1]

# The file of the official VAE, saved in each of these ways.
PTH = """
import argparse, sys, numpy, torch
path, out = sys.argv[1:]
sd = torch.load(path, weights_only=True)
def save(style, what, **how): torch.save(what, f"{out}/{style}.pth", **how)
save("module", {"module." + k: v for k, v in sd.items()})
save("state_dict", {"state_dict": dict(sd), "epoch": 3})
save("model_state", {"model_state": dict(sd)})
save("nonzip", sd, _use_new_zipfile_serialization=False)
save("parameter", {k: torch.nn.Parameter(v) for k, v in sd.items()})
save("strided", {k: (torch.stack([v, v + 1], -1)[..., 0] if v.dim() > 1 else v) for k, v in sd.items()})
save("channels_last", {k: (v.contiguous(memory_format=torch.channels_last_3d) if v.dim() == 5 else v) for k, v in sd.items()})
flat = torch.cat([v.float().flatten() for v in sd.values()]); at = 0; new = {}
for k, v in sd.items(): new[k] = flat[at:at + v.numel()].view(v.shape); at += v.numel()
save("shared", new)
save("fp16", {k: v.half() for k, v in sd.items()})
from safetensors.torch import save_file
save_file({k: v.contiguous() for k, v in sd.items()}, f"{out}/plain.safetensors")
save("extra", {**sd, "step": 7, "lr": 1e-4, "name": "x", "t": torch.tensor(3)})
save("numpy_scalar", {**sd, "step": numpy.int64(7)})
save("device", {**sd, "d": torch.device("cpu"), "dt": torch.float16, "sz": torch.Size([1]), "a": argparse.Namespace(x=1)})
save("two", {"model": dict(sd), "ema": {k: v * 0 for k, v in sd.items()}})
save("tensor", {**sd, "decoder.adapter.weight": torch.zeros(3)})
"""


class Archives(FerryTest):
    @classmethod
    def setUpClass(cls):
        if not pathlib.Path(PYTHON).exists():
            raise unittest.SkipTest("no Python with torch")
        cls.files = pathlib.Path(tempfile.mkdtemp(prefix="ferry-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.files, ignore_errors=True)
        made = ferry("make-model", cls.files / "official", "--layout", "official", "--tokenizer", DEMO / "tokenizer/spiece.model")
        assert made.returncode == 0, made.stderr
        subprocess.run([PYTHON, "-c", PTH, cls.files / "official/Wan2.1_VAE.pth", cls.files], check=True)

    def setUp(self):
        super().setUp()
        self.model = pathlib.Path(shutil.copytree(self.files / "official", self.folder / "official"))
        self.vae = self.model / "Wan2.1_VAE.pth"

    def generate(self, *arguments):
        return ferry("generate", "--model", self.model, "--prompt", "x", "--out", self.folder / "x.y4m", *SMALL, "--overwrite",
                     *arguments)

    def video(self, *arguments):
        done = self.generate(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return (self.folder / "x.y4m").read_bytes(), done.stderr, json.loads((self.folder / "x.json").read_text())["model"]["notes"]

    def test_each_style_gives_the_same_video_or_a_clear_word(self):
        plain, _, notes = self.video()
        self.assertEqual(notes, [])
        for style, words in [("module", []), ("parameter", []), ("strided", []), ("channels_last", []), ("shared", []),
                             ("numpy_scalar", []), ("device", []), ("extra", ["counters", "t"]),
                             ("state_dict", ["those of state_dict"]), ("model_state", ["those of model_state"])]:
            shutil.copy(self.files / f"{style}.pth", self.vae)
            video, log, notes = self.video()
            self.assertEqual(video, plain, style)
            self.assertEqual(len(notes), 1 if words else 0, notes)
            for word in words:
                self.assertIn(word, notes[0])
                self.assertIn(word, log)
            if words:
                self.assertIn(words[-1], ferry("inspect", self.model).stdout)
        for style, words in [("nonzip", ["before PyTorch 1.6"]), ("two", ["model, ema", "--model.vae_key"]),
                             ("tensor", ["1 tensor", "decoder.adapter.weight"])]:
            shutil.copy(self.files / f"{style}.pth", self.vae)
            self.assert_refused(self.generate(), self.vae, *words)
            self.assert_refused(ferry("inspect", self.model), *words)
        shutil.copy(self.files / "two.pth", self.vae)
        self.assertEqual(self.video("--model.vae_key", "model")[0], plain)
        self.assertNotEqual(self.video("--model.vae_key", "ema")[0], plain)
        self.assertEqual(ferry("inspect", self.model, "--model.vae_key", "ema").returncode, 0)

    def test_other_types_formats_and_names(self):
        shutil.copy(self.files / "fp16.pth", self.vae)
        self.assertEqual(ferry("inspect", self.model).returncode, 0)
        self.vae.rename(self.model / "wan_2.1_vae.pth")
        self.assert_refused(ferry("inspect", self.model), "no VAE", "wan_2.1_vae.pth is there")
        shutil.copy(self.files / "plain.safetensors", self.model / "Wan2.1_VAE.safetensors")
        self.assertEqual(ferry("inspect", self.model).returncode, 0)


if __name__ == "__main__":
    unittest.main()
