"""Weights in 8 bits with scales make the video of the weights that torch dequantises, in every spelling."""

import json
import unittest

import torch
from safetensors.torch import load_file, save_file

from launcher_support import FerryTest, ferry, psnr

FP8, INT8 = torch.float8_e4m3fn, torch.int8


def quantised(weight, dtype, kind):
    """The weight in 8 bits and its scale: one, one a row, or one a block of `kind` x `kind`."""
    weight = weight.float()
    rows, columns = weight.shape
    block = (rows, columns) if kind == "tensor" else (1, columns) if kind == "row" else (kind, kind)
    grid = [-(-extent // size) for extent, size in zip((rows, columns), block)]
    scale = torch.empty(grid)
    for i in range(grid[0]):
        for j in range(grid[1]):
            part = weight[i * block[0]:(i + 1) * block[0], j * block[1]:(j + 1) * block[1]]
            scale[i, j] = part.abs().max() / (127 if dtype == INT8 else 448)
    wide = scale.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)[:rows, :columns]
    narrow = (weight / wide).round().to(INT8) if dtype == INT8 else (weight / wide).to(FP8)
    return narrow, scale


def dequantised(narrow, scale, kind):
    """In fp32, so that the program rounds it once, to the type in which it keeps weights."""
    rows, columns = narrow.shape
    block = (rows, columns) if kind == "tensor" else (1, columns) if kind == "row" else (kind, kind)
    wide = scale.float().repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    return narrow.float() * wide[:rows, :columns]


class Fp8(FerryTest):
    def setUp(self):
        super().setUp()
        self.model = self.copy_of_demo()

    def file(self, part):
        return next((self.model / part).glob("*.safetensors"))

    def frames(self):
        done = ferry("generate", "--model", self.model, "--prompt", "a red circle moving left", "--seed", 3,
                     "--steps", 3, "--size", "64x64", "--frames", 5, "--out", self.folder / "x.mp4", "--overwrite",
                     "--save", self.folder / "x.safetensors")
        self.assertEqual(done.returncode, 0, done.stderr)
        saved = load_file(self.folder / "x.safetensors")
        return saved["frames"], saved["latents"], done.stderr

    def check(self, part, spell, kind, dtype=FP8, scale_dtype=torch.float32, metadata=None):
        """`spell(tensors, module, scale)` puts the scale beside the weight; what is on record is returned."""
        path = self.file(part)
        original = load_file(path)
        narrow, plain, layers = {}, {}, []
        for key, weight in original.items():
            narrow[key] = plain[key] = weight
            if ".weight" in key and weight.dim() == 2 and "block" in key and "relative" not in key:
                q, scale = quantised(weight, dtype, kind)
                scale = scale.to(scale_dtype)
                plain[key], narrow[key] = dequantised(q, scale, kind), q
                layers.append(key.removesuffix(".weight"))
                spell(narrow, layers[-1], scale)
        self.assertGreater(len(layers), 12)
        save_file(plain, path)
        expected, expected_latents, _ = self.frames()
        save_file({key: value.contiguous() for key, value in narrow.items()}, path,
                  metadata=metadata and metadata(layers))
        found, latents, log = self.frames()
        # 45 dB is what may be asked of the frames; the bits of the latents are the same.
        self.assertGreaterEqual(psnr(found, expected), 45)
        self.assertTrue(torch.equal(latents, expected_latents))
        self.assertIn("weights dequantised when read", log)
        save_file(original, path)
        record = json.loads((self.folder / "x.json").read_text())["quantization"]
        self.assertEqual(list(record), ["dit" if part == "transformer" else "text_encoder"])
        (record,) = record.values()
        self.assertEqual(record["int8_weights" if dtype == INT8 else "fp8_weights"], len(layers))
        return record, len(layers)

    def test_scale_weight_of_comfyui(self):
        def spell(tensors, module, scale):
            tensors[module + ".scale_weight"] = scale.reshape(1)
            tensors[module + ".scale_input"] = torch.ones(1)
            tensors["scaled_fp8"] = torch.zeros(2).to(FP8)

        record, count = self.check("transformer", spell, "tensor")
        self.assertEqual((record["scales"], record["input_scales"]), ({"scale_weight per tensor": count}, count))

    def test_weight_scale_a_row(self):
        def spell(tensors, module, scale):
            tensors[module + ".weight_scale"] = scale

        record, count = self.check("transformer", spell, "row")
        self.assertEqual(record["scales"], {"weight_scale per row": count})

    def test_weight_scale_with_comfy_quant(self):
        def spell(tensors, module, scale):
            tensors[module + ".weight_scale"] = scale.reshape(())
            tensors[module + ".input_scale"] = torch.tensor(1.0)
            text = b'{"format": "float8_e4m3fn", "full_precision_matrix_mult": true}'
            tensors[module + ".comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)

        record, count = self.check("transformer", spell, "tensor", scale_dtype=torch.float16)
        self.assertEqual(record["input_scales"], count)

    def test_weight_scale_inv_in_blocks(self):
        def spell(tensors, module, scale):
            tensors[module + ".weight_scale_inv"] = scale

        record, _ = self.check("transformer", spell, 128, scale_dtype=torch.bfloat16)
        self.assertIn("weight_scale_inv in blocks of 128x128", record["scales"])
        config = self.model / "transformer" / "config.json"
        said = json.loads(config.read_text()) | {
            "quantization_config": {"quant_method": "fp8", "weight_block_size": [96, 96]}}
        config.write_text(json.dumps(said))
        record, _ = self.check("transformer", spell, 96)
        self.assertIn("weight_scale_inv in blocks of 96x96", record["scales"])

    def test_layers_in_the_header(self):
        def spell(tensors, module, scale):
            tensors[module + ".weight_scale"] = scale.reshape(-1)

        def metadata(layers):
            return {"_quantization_metadata": json.dumps(
                {"format_version": "1.0", "layers": {name: {"format": "float8_e4m3fn"} for name in layers}})}

        self.check("transformer", spell, "row", metadata=metadata)

    def test_int8_a_row(self):
        def spell(tensors, module, scale):
            tensors[module + ".weight_scale"] = scale

        self.check("transformer", spell, "row", dtype=INT8)

    def test_text_encoder(self):
        def spell(tensors, module, scale):
            tensors[module + ".scale_weight"] = scale.reshape(())

        self.check("text_encoder", spell, "tensor")

    def test_a_scale_under_another_name_is_never_left_out(self):
        path = self.file("transformer")
        tensors = load_file(path)
        name = "blocks.0.attn1.to_q"
        tensors[name + ".weight"], scale = quantised(tensors[name + ".weight"], FP8, "tensor")
        for end, value in {"wscale": scale, "weight_scale_inverse": scale, "scale_w": scale, "factor": scale,
                           "wscale_exp": torch.tensor(-7), "exponent": torch.tensor(-7),
                           "input_scale": scale}.items():
            save_file(tensors | {f"{name}.{end}": value}, path)
            done = ferry("generate", "--model", self.model, "--prompt", "a circle", "--model.unexpected", "skip")
            self.assert_refused(done, path, f"{name}.{end}")

    def test_inspect_and_generate_say_the_same(self):
        path = self.file("transformer")
        tensors = load_file(path)
        name = "blocks.0.attn1.to_q"
        q, scale = quantised(tensors[name + ".weight"], FP8, "row")
        tensors[name + ".weight"], tensors[name + ".weight_scale"] = q, scale
        save_file(tensors, path)
        done = ferry("inspect", self.model)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 fp8 weights dequantised when read, 1 scales weight_scale per row", done.stdout)
        self.assertNotIn("unexpected", done.stdout)
        save_file(tensors | {name + ".weight_zero_point": torch.zeros(192, 1)}, path)
        for arguments in (["inspect", self.model], ["generate", "--model", self.model, "--prompt", "a circle"]):
            self.assert_refused(ferry(*arguments), path, "fp8 scales", name + ".weight_zero_point", "zero point")
        self.assertIn("DiT: not usable", ferry("inspect", self.model).stdout)


if __name__ == "__main__":
    unittest.main()
