"""A run whose values stop being finite: exit code 1, one line that says where, and nothing like a result."""

import json
import shutil
import struct
import unittest

from launcher_support import DEMO, FerryTest, change_tensors, ferry, read_safetensors, write_safetensors

DIT = "transformer/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
BITS = {"BF16": 2, "F32": 4}
NAN = b"\x00\x00\xc0\x7f"  # fp32; the last two bytes are its bf16
INF = b"\x00\x00\x80\x7f"


def with_first(content, dtype, value):
    size = BITS[dtype]
    return value[4 - size :] + content[size:]


def floats(header, data, name):
    begin, end = header[name]["data_offsets"]
    return struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])


class NotFinite(FerryTest):
    def damaged(self, file, tensor, value):
        """A copy of the small model, the first value of a tensor replaced."""
        shutil.rmtree(self.folder / "model", ignore_errors=True)
        model = self.copy_of_demo()
        change_tensors(model / file, lambda name, dtype, shape, content: (
            dtype, shape, with_first(content, dtype, value) if name == tensor else content))
        return model

    def make(self, model, *arguments, ranks=1):
        (self.folder / "out").mkdir(exist_ok=True)
        launch = ["-n", ranks] if ranks > 1 else []
        return ferry("generate", *launch, "--model", model, "--prompt", "a red circle", "--seed", 1, "--steps", 4,
                     "--size", "64x64", "--frames", 5, "--out", self.folder / "out" / "x.mp4", *arguments)

    def assert_lost(self, done, *words, left=()):
        """Exit code 1, one line with all the words, and no files but those."""
        lines = [line for line in done.stderr.splitlines() if "not finite" in line]
        self.assertEqual((done.returncode, len(lines)), (1, 1), f"{done.returncode}: {done.stderr}")
        self.assertTrue(lines[0].startswith("ferry: "), lines[0])
        self.assertNotIn("MPI_ABORT", done.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertEqual(sorted(p.name for p in (self.folder / "out").iterdir()), sorted(left))

    def saved(self):
        return read_safetensors(self.folder / "out" / "x.st")

    def test_a_weight_of_the_dit(self):
        for value, ranks in ((NAN, 1), (INF, 2)):
            model = self.damaged(DIT, "blocks.2.ffn.net.2.weight", value)
            self.assert_lost(self.make(model, ranks=ranks), "denoise", "step 1 of 4", "block 2",
                             "blocks.2.ffn.2.weight", "nothing was written")

    def test_save_keeps_the_last_finite_latents(self):
        model = self.damaged(DIT, "blocks.2.ffn.net.2.weight", NAN)
        done = self.make(model, "--save", self.folder / "out" / "x.st")
        self.assert_lost(done, "step 1 of 4", "the noise", "x.st", left=["x.st"])
        header, data = self.saved()
        self.assertEqual(sorted(header), ["latents", "negative", "noise", "positive"])
        self.assertEqual(floats(header, data, "latents"), floats(header, data, "noise"))

    def test_the_text_encoder(self):
        model = self.damaged(TEXT, "encoder.final_layer_norm.weight", NAN)
        done = self.make(model, "--save", self.folder / "out" / "x.st")
        self.assert_lost(done, "text:", "norm.weight", "nothing was written")
        model = self.damaged(TEXT, "encoder.block.1.layer.1.DenseReluDense.wo.weight", INF)
        self.assert_lost(self.make(model, ranks=2), "text:", "block 1", "blocks.1.ffn.fc2.weight")

    def test_the_text_encoder_for_groups_of_ranks(self):
        """The first rank encodes for both; each video fails by itself."""
        model = self.damaged(TEXT, "encoder.final_layer_norm.weight", NAN)
        (self.folder / "out").mkdir()
        jobs = self.folder / "jobs.jsonl"
        jobs.write_text('{"prompt": "a red circle", "id": 1}\n{"prompt": "a boat", "id": 2}\n')
        done = ferry("generate", "-n", 2, "--data", 2, "--model", model, "--steps", 2, "--size", "64x64", "--frames", 5,
                     "--jobs", jobs, cwd=self.folder / "out")
        self.assertEqual(done.returncode, 1, done.stderr)
        failed = [json.loads(line) for line in (self.folder / "jobs.jsonl.failed.jsonl").read_text().splitlines()]
        self.assertEqual([(item["line"], item["exit_code"]) for item in failed], [(1, 1), (2, 1)])
        for item in failed:
            self.assertIn("text: the context of the prompt is not finite: first in norm", item["error"])
            self.assertIn("norm.weight is not finite", item["error"])
        self.assertEqual(sorted(path.name for path in (self.folder / "out").iterdir()), [])

    def test_the_decoder_also_where_clamping_would_hide_it(self):
        """An infinite bias of the last convolution is a channel at its limit once it is clamped."""
        self.assertEqual(self.make(DEMO, "--save", self.folder / "good.st").returncode, 0)
        good, good_data = read_safetensors(self.folder / "good.st")
        shutil.rmtree(self.folder / "out")
        for tensor in ("decoder.conv_out.bias", "decoder.up_blocks.2.resnets.1.conv1.bias"):
            model = self.damaged(VAE, tensor, INF)
            done = self.make(model, "--save", self.folder / "out" / "x.st", "--overwrite")
            self.assert_lost(done, "decode:", "frames 1 to 1 of 5", ".bias is not finite",
                             left=["x.latents.safetensors", "x.st"])
            (self.folder / "out" / "x.latents.safetensors").unlink()
            header, data = self.saved()
            self.assertEqual(floats(header, data, "latents"), floats(good, good_data, "latents"))

    def test_files_that_take_the_place_of_noise_and_prompt(self):
        path = self.folder / "tensors.st"
        count = 16 * 2 * 8 * 8
        for value, words in ((NAN, ["denoise:", "noise", "tensors.st"]),
                             (struct.pack("<f", 3e38), ["step 1 of 4", "patch_embedding", "weights are finite"])):
            write_safetensors(path, {"noise": ("F32", [16, 2, 8, 8], value * count)})
            self.assert_lost(self.make(DEMO, "--noise", path), *words)
        for bad in ("positive", "negative"):
            rows = {name: ("F32", [4, 128], (NAN if name == bad else bytes(4)) * 512)
                    for name in ("positive", "negative")}
            write_safetensors(path, rows)
            self.assert_lost(self.make(DEMO, "--context", path), "text:", bad, "tensors.st")

    def test_latents_of_a_file(self):
        path = self.folder / "latents.st"
        write_safetensors(path, {"latents": ("F32", [16, 2, 8, 8], bytes(4 * 2047) + NAN)})
        (self.folder / "out").mkdir()
        for launch in ([], ["-n", 2]):
            done = ferry("generate", *launch, "--model", DEMO, "--latents", path,
                         "--out", self.folder / "out" / "x.mp4")
            self.assert_lost(done, "decode:", "latents.st", "nothing was written")


if __name__ == "__main__":
    unittest.main()
