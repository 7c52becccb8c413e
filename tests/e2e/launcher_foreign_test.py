"""Folders that are not what they seem, through the program: each is told what it is, before weights are read."""

import json
import shutil
import struct
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors, write_safetensors

DIT = "transformer/diffusion_pytorch_model.safetensors"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d" * 32 + "\nsize 5676070424\n"
SMALL = ["--size", "64x64", "--frames", 5, "--steps", 2, "--seed", 1, "--guidance", 1]


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
        # Every kind and every reader: checkpoint_other_kind_test.
        model = self.with_file(DIT, LFS)
        self.refused_by_both(model, model / DIT, "Git LFS pointer", "git lfs pull")
        (model / DIT).write_text("<!DOCTYPE html><html>" + "x" * 500 + "</html>")
        self.assert_refused(self.generate(model), model / DIT, "web page")
        (model / DIT).write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 10, 10) + bytes(640))
        self.assert_refused(self.generate(model), model / DIT, "GGUF")
        shutil.rmtree(model)
        for name in ["tokenizer/spiece.model", "scheduler/scheduler_config.json"]:
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
        self.assert_refused(ferry("bench", "forward", "--model", model), "12 tensors", names[0])

    def test_tensors_of_the_vae_and_the_text_encoder(self):
        for path, name in [("vae/diffusion_pytorch_model.safetensors", "decoder.adapter.weight"),
                           ("text_encoder/model.safetensors", "encoder.block.0.layer.2.extra.weight")]:
            model = self.copy_of_demo()
            self.add_tensors(model, [name], path)
            self.assert_refused(self.generate(model), "1 tensor", name)
            shutil.rmtree(model)
        model = self.copy_of_demo()
        self.add_tensors(model, ["lm_head.weight", "decoder.final_layer_norm.weight"], "text_encoder/model.safetensors")
        self.add_tensors(model, ["encoder.extra.weight"], "vae/diffusion_pytorch_model.safetensors")
        done = self.generate(model, "--run.dry_run")
        self.assertEqual((done.returncode, "lm_head" in done.stderr), (0, False), done.stderr)
        self.assertEqual(ferry("inspect", model).returncode, 0)

    def test_another_class_or_setting(self):
        # Every class and setting: checkpoint_members_test.
        for path, members, words in [
                ("transformer/config.json", {"_class_name": "SkyReelsV2Transformer3DModel"}, ["SkyReels-V2", "expected WanModel"]),
                ("transformer/config.json", {"num_memory_tokens": 4}, ["num_memory_tokens = 4"]),
                ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, ["prediction_type", "flow_prediction"])]:
            model = self.copy_of_demo()
            self.change_json(model, path, **members)
            self.refused_by_both(model, *words)
            shutil.rmtree(model)
        model = self.copy_of_demo()
        self.change_json(model, "scheduler/scheduler_config.json", _class_name="FlowMatchEulerDiscreteScheduler")
        (model / "ferry.cfg").unlink()  # it chooses the sampler
        done = self.generate(model, "--run.dry_run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("means the sampler euler", done.stderr)
        self.change_json(model, "transformer/config.json", denoising_step_list=[1000, 500])  # as SMALL says
        done = self.generate(model, "--run.dry_run")
        self.assertIn("sampler step_distill, 2 steps", done.stderr)
        self.assertNotIn("means the sampler", done.stderr)
        done = ferry("plan", "--model", model, "--machine", "h100")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("sampler step_distill, 2 steps, guidance 1", done.stdout)

    def test_a_tokenizer_that_is_not_there(self):
        model = self.copy_of_demo()
        (model / "tokenizer/spiece.model").rename(model / "tokenizer/tokenizer.json")
        self.assert_refused(ferry("inspect", model), "no tokenizer", "spiece.model", "tokenizer.json is not read")

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


if __name__ == "__main__":
    unittest.main()
