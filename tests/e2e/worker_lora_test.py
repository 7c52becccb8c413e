"""A LoRA changes the video by the same amount under every strategy, and is on record."""

import array
import json
import random
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors, relative_l2, write_safetensors

RANK = 4


def matrix(rows, columns, seed, scale):
    values = random.Random(seed)
    return "F32", [rows, columns], array.array("f", (values.gauss(0, scale) for _ in range(rows * columns))).tobytes()


class Lora(FerryTest):
    def setUp(self):
        super().setUp()
        self.lora = self.folder / "lora.safetensors"
        tensors = {}
        # The names of two layouts: of diffusers, and the official ones as kohya ends them.
        for block in range(6):
            name = f"transformer.blocks.{block}.attn1.to_q"
            tensors[f"{name}.lora_A.weight"] = matrix(RANK, 192, block, 0.1)
            tensors[f"{name}.lora_B.weight"] = matrix(192, RANK, block + 100, 0.1)
            name = f"diffusion_model.blocks.{block}.cross_attn.o"
            tensors[f"{name}.lora_down.weight"] = matrix(RANK, 192, block + 200, 0.1)
            tensors[f"{name}.lora_up.weight"] = matrix(192, RANK, block + 300, 0.1)
            tensors[f"{name}.alpha"] = ("F32", [], array.array("f", [2.0]).tobytes())
        write_safetensors(self.lora, tensors)

    def latents(self, *arguments, ranks=1):
        done = ferry("generate", "-n", ranks, "--model", DEMO, "--prompt", "a red circle", "--seed", 3, "--steps", 2,
                     "--size", "64x64", "--frames", 5, "--dtype", "fp32", "--out", self.folder / "x.mp4",
                     "--overwrite", "--save", self.folder / "x.safetensors", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        header, data = read_safetensors(self.folder / "x.safetensors")
        return array.array("f", data[slice(*header["latents"]["data_offsets"])])

    def with_lora(self, *arguments, strength=1, **options):
        return self.latents("--lora.path", self.lora, "--lora.strength", strength, *arguments, **options)

    def record(self):
        return json.loads((self.folder / "x.json").read_text())

    def test_strategies_agree_on_what_it_changes(self):
        plain = self.latents()
        self.assertNotIn("lora", self.record())
        merged = self.with_lora()
        self.assertEqual(self.record()["lora"], {
            "path": str(self.lora), "file": str(self.lora), "strength": 1.0, "applied": "merged",
            "scales": [{"from": "alpha tensors", "linears": 6, "scale": 0.5},
                       {"from": "no alpha is given, the rank stands for it", "linears": 6, "scale": 1.0}]})
        self.assertGreater(relative_l2(merged, plain), 1e-3)
        for kind in ("async", "model"):
            self.assertEqual(self.with_lora("--dit.offload.type", kind), merged, kind)
        added = self.with_lora("--dit.offload.type", "sequential")
        self.assertEqual(self.record()["lora"]["applied"], "added in calls")
        self.assertGreater(self.record()["ranks"][0]["stages"][1]["weights_peak_by_category"]["lora"], 0)
        # Not the bits: W x + B (A x) is another order of sums than (W + B A) x, in fp32.
        self.assertNotEqual(added, merged)
        self.assertLess(relative_l2(added, merged), 1e-5)

    def test_strength_scales_it_and_zero_is_none(self):
        plain = self.latents()
        for kind in ("none", "sequential"):
            self.assertEqual(self.with_lora("--dit.offload.type", kind, strength=0), plain, kind)
        self.assertEqual(self.record()["lora"]["applied"], "not applied")
        half, whole = (relative_l2(self.with_lora(strength=s), plain) for s in (0.5, 1))
        self.assertGreater(whole, 1.2 * half)

    def sampling(self, model, *arguments):
        """What a dry run says: its sampling, and the log."""
        done = ferry("generate", "--model", model, "--prompt", "a red circle", "--run.dry_run", "--out", self.folder / "d.mp4", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_distilled_ones_are_known_by_their_header_and_by_their_name(self):
        model = self.copy_of_demo()
        (model / "ferry.cfg").unlink()
        named = self.folder / "Wan21_lightx2v_4step.safetensors"
        named.write_bytes(self.lora.read_bytes())
        for path, warns in ((named, True), (self.lora, False)):
            log = self.sampling(model, "--lora.path", path)
            self.assertIn("20 unipc steps", log)
            self.assertEqual("'lightx2v' in its name" in log, warns)
            log = self.sampling(model, "--lora.path", path, "--sampler", "step_distill")
            self.assertIn("4 step_distill steps, guidance 1, shift 5", log)
            self.assertNotIn("in its name", log)
        self.assertNotIn("in its name", self.sampling(model, "--lora.path", named, "--lora.strength", 0))
        said = self.folder / "said.safetensors"
        raw = self.lora.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        for steps, words in (([1000, 750, 500, 250], "4 step_distill steps, guidance 1, shift 5"), ([1000, 500], "2 step_distill steps"),
                             ([1000, 757, 522], "20 unipc steps")):
            header = json.dumps({"__metadata__": {"denoising_step_list": str(steps)}, **json.loads(raw[8 : 8 + size])}).encode()
            said.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + size :])
            log = self.sampling(model, "--lora.path", said)
            self.assertIn(words, log)
            self.assertEqual("not the steps of step_distill" in log, len(steps) == 3)
            self.assertIn("8 euler steps", self.sampling(model, "--lora.path", said, "--sampler", "euler", "--steps", 8))
            log = self.sampling(model, "--lora.path", said, "--steps", 30, "--guidance", 5)  # another recipe's
            self.assertIn("30 unipc steps", log)
            self.assertEqual(f"--steps {len(steps)} --guidance 1 follows it" in log, len(steps) != 3)
        config = json.loads((model / "transformer" / "config.json").read_text())
        (model / "transformer" / "config.json").write_text(json.dumps(config | {"denoising_step_list": [1000, 750, 500, 250]}))
        self.assertIn("4 step_distill steps", self.sampling(model))

    def test_ranks_divide_the_merging(self):
        # A GEMM's rounding depends on its number of rows, which ranks share.
        self.assertLess(relative_l2(self.with_lora(ranks=2), self.with_lora()), 1e-5)


if __name__ == "__main__":
    unittest.main()
