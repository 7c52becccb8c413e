"""Folders that are not what they seem, and .pth files as other programs write them, through the program."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import unittest

from launcher_support import DEMO, SOURCE, FerryTest, ferry, read_safetensors, write_safetensors

DIT = "transformer/diffusion_pytorch_model.safetensors"
PYTHON = os.environ.get("FERRY_PYTHON", SOURCE / ".venv/bin/python")
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d" * 32 + "\nsize 5676070424\n"
SMALL = ["--size", "64x64", "--frames", 5, "--steps", 2, "--seed", 1, "--guidance", 1]

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
save("extra", {**sd, "step": 7, "lr": 1e-4, "name": "x", "t": torch.tensor(3)})
save("numpy_scalar", {**sd, "step": numpy.int64(7)})
save("device", {**sd, "d": torch.device("cpu"), "dt": torch.float16, "sz": torch.Size([1]), "a": argparse.Namespace(x=1)})
save("two", {"model": dict(sd), "ema": {k: v * 0 for k, v in sd.items()}})
save("tensor", {**sd, "decoder.adapter.weight": torch.zeros(3)})
"""


class Folders(FerryTest):
    def generate(self, model, *arguments):
        return ferry("generate", "--model", model, "--prompt", "a red circle", "--out", self.folder / "x.mp4", *SMALL,
                     "--overwrite", *arguments)

    def refused_by_both(self, model, *words):
        self.assert_refused(self.generate(model), *words)
        self.assert_refused(ferry("inspect", model), *words)

    def with_file(self, name, content):
        model = self.copy_of_demo()
        (model / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return model

    def add_tensors(self, model, names, path=DIT):
        header, data = read_safetensors(model / path)
        tensors = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            tensors[name] = (entry["dtype"], entry["shape"], data[begin:end])
        for name in names:
            tensors[name] = ("F32", [2], bytes(8))
        write_safetensors(model / path, tensors)

    def change_json(self, model, path, **members):
        content = json.loads((model / path).read_text())
        (model / path).write_text(json.dumps({**content, **members}))

    def test_files_of_other_kinds_are_called_what_they_are(self):
        page = "<!DOCTYPE html><html>" + "x" * 500 + "</html>"
        gguf = b"GGUF" + struct.pack("<IQQ", 3, 10, 10) + bytes(640)
        for content, words in [(LFS, ["Git LFS pointer", "git lfs pull"]), (page, ["web page"]), (gguf, ["GGUF"]),
                               (b"PK\x03\x04" + bytes(60), ["zip archive"]), ("Entry not found", ["Entry not found"])]:
            model = self.with_file(DIT, content)
            self.refused_by_both(model, model / DIT, *words)
            shutil.rmtree(model)
        for name in ["transformer/config.json", "tokenizer/spiece.model", "model_index.json",
                     "scheduler/scheduler_config.json", "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]:
            model = self.with_file(name, LFS)
            self.refused_by_both(model, model / name, "Git LFS pointer")
            shutil.rmtree(model)
        (self.folder / "lfs").write_text(LFS)
        for option in ["--lora.path", "--noise", "--context"]:
            self.assert_refused(self.generate(DEMO, option, self.folder / "lfs"), "Git LFS pointer", self.folder / "lfs")

    def test_a_gguf_file_in_place_of_the_weights(self):
        model = self.copy_of_demo()
        (model / DIT).rename(model / "transformer/wan-Q4_0.gguf")
        self.refused_by_both(model, "transformer", "wan-Q4_0.gguf", "not read")

    def test_tensors_that_would_be_left_out(self):
        model = self.copy_of_demo()
        names = [f"blocks.{block}.to_gate_compress.{leaf}" for block in range(6) for leaf in ("weight", "bias")]
        self.add_tensors(model, names)
        self.refused_by_both(model, "12 tensors", names[0])
        self.assertIn("--model.unexpected skip", self.generate(model).stderr)
        shown = ferry("inspect", model).stdout
        self.assertNotIn("DiT: complete", shown)
        self.assertIn("unexpected (12)", shown)
        done = self.generate(model, "--model.unexpected", "skip")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("12 tensors", done.stderr)
        self.assertIn(names[0], done.stderr)
        notes = json.loads((self.folder / "x.json").read_text())["model"]["notes"]
        self.assertTrue(any("12 tensors" in note and names[0] in note for note in notes), notes)
        self.assert_refused(self.generate(model, "--model.unexpected", "ignore"), "--model.unexpected", "refuse", "skip")

    def test_tensors_of_the_vae_and_the_text_encoder(self):
        for path, name in [("vae/diffusion_pytorch_model.safetensors", "decoder.adapter.weight"),
                           ("text_encoder/model.safetensors", "encoder.block.0.layer.2.extra.weight")]:
            model = self.copy_of_demo()
            self.add_tensors(model, [name], path)
            self.refused_by_both(model, "1 tensor", name)
            shutil.rmtree(model)
        model = self.copy_of_demo()
        self.add_tensors(model, ["lm_head.weight", "decoder.final_layer_norm.weight"], "text_encoder/model.safetensors")
        self.add_tensors(model, ["encoder.extra.weight"], "vae/diffusion_pytorch_model.safetensors")
        done = self.generate(model, "--run.dry_run")
        self.assertEqual((done.returncode, "lm_head" in done.stderr), (0, False), done.stderr)
        self.assertEqual(ferry("inspect", model).returncode, 0)

    def test_another_class_or_setting(self):
        for path, members, words in [
                ("transformer/config.json", {"_class_name": "SkyReelsV2Transformer3DModel"}, ["SkyReelsV2", "expected WanModel"]),
                ("transformer/config.json", {"_class_name": "CausalWanModel"}, ["CausalWanModel", "causal"]),
                ("transformer/config.json", {"model_type": "vace"}, ["vace", "not supported yet"]),
                ("transformer/config.json", {"rope_theta": 500000}, ["rope_theta is 500000", "10000"]),
                ("transformer/config.json", {"num_memory_tokens": 4}, ["num_memory_tokens = 4"]),
                ("vae/config.json", {"_class_name": "AutoencoderKLQwenImage"}, ["AutoencoderKLQwenImage", "AutoencoderKLWan"]),
                ("vae/config.json", {"clip_output": False}, ["clip_output is false"]),
                ("text_encoder/config.json", {"architectures": ["T5EncoderModel"]}, ["T5EncoderModel", "UMT5EncoderModel"]),
                ("text_encoder/config.json", {"dense_act_fn": "relu"}, ["dense_act_fn", "gelu_new"]),
                ("model_index.json", {"_class_name": "WanVACEPipeline"}, ["WanVACEPipeline", "WanPipeline"]),
                ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, ["prediction_type", "flow_prediction"])]:
            model = self.copy_of_demo()
            self.change_json(model, path, **members)
            self.refused_by_both(model, *words)
            shutil.rmtree(model)

    def test_a_tokenizer_that_is_not_there(self):
        model = self.copy_of_demo()
        (model / "tokenizer/spiece.model").unlink()
        self.refused_by_both(model, "no tokenizer", "spiece.model")

    def test_metadata_that_is_null(self):
        model = self.copy_of_demo()
        raw = (model / DIT).read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8:8 + size])
        header["__metadata__"] = None
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (model / DIT).write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size:])
        self.assertEqual(ferry("inspect", model).returncode, 0)

    def test_a_hugging_face_cache(self):
        top = self.folder / "models--someone--small"
        (top / "blobs").mkdir(parents=True)
        (top / "snapshots").mkdir()
        (top / "snapshots/aaaa").symlink_to(DEMO)
        (top / "snapshots/bbbb").mkdir()
        self.assert_refused(self.generate(top), "aaaa, bbbb", "refs/main")
        self.assert_refused(ferry("inspect", top), "aaaa, bbbb")
        (top / "refs").mkdir()
        (top / "refs/main").write_text("aaaa")
        done = self.generate(top)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("snapshots/aaaa", done.stderr)
        record = json.loads((self.folder / "x.json").read_text())
        self.assertTrue(record["model"]["folder"].endswith("snapshots/aaaa"))
        # The snapshot's own ferry.cfg holds: the small model's 12 frames a second.
        self.assertEqual(record["job"]["fps"], 12)
        self.assertEqual(ferry("inspect", top).returncode, 0)

    def test_a_name_of_the_hub(self):
        for name in ["Wan-AI/Wan2.1-T2V-1.3B", "https://huggingface.co/Wan-AI/Wan2.1-T2V-1.3B"]:
            done = ferry("generate", "--model", name, "--prompt", "x", env={"HF_HUB_CACHE": "/nowhere"})
            self.assert_refused(done, "--model", name, "hf download Wan-AI/Wan2.1-T2V-1.3B")


class Archives(FerryTest):
    def setUp(self):
        super().setUp()
        if not pathlib.Path(PYTHON).exists():
            self.skipTest("no Python with torch")
        self.model = self.folder / "official"
        made = ferry("make-model", self.model, "--layout", "official", "--tokenizer", DEMO / "tokenizer/spiece.model")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.vae = self.model / "Wan2.1_VAE.pth"
        subprocess.run([PYTHON, "-c", PTH, self.vae, self.folder], check=True)

    def generate(self, *arguments):
        done = ferry("generate", "--model", self.model, "--prompt", "x", "--out", self.folder / "x.y4m", *SMALL, "--overwrite",
                     *arguments)
        return done

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
            shutil.copy(self.folder / f"{style}.pth", self.vae)
            video, log, notes = self.video()
            self.assertEqual(video, plain, style)
            self.assertEqual(len(notes), 1 if words else 0, notes)
            for word in words:
                self.assertIn(word, notes[0])
                self.assertIn(word, log)
        for style, words in [("nonzip", ["before PyTorch 1.6"]), ("two", ["model, ema", "--model.vae_key"]),
                             ("tensor", ["1 tensor", "decoder.adapter.weight"])]:
            shutil.copy(self.folder / f"{style}.pth", self.vae)
            self.assert_refused(self.generate(), self.vae, *words)
            self.assert_refused(ferry("inspect", self.model), *words)
        shutil.copy(self.folder / "two.pth", self.vae)
        self.assertEqual(self.video("--model.vae_key", "model")[0], plain)
        self.assertNotEqual(self.video("--model.vae_key", "ema")[0], plain)
        self.assertEqual(ferry("inspect", self.model, "--model.vae_key", "ema").returncode, 0)


if __name__ == "__main__":
    unittest.main()
