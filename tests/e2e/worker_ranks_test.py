"""The number of ranks and the guidance mode may not change a video beyond rounding (fp32, a model with 4 heads)."""

import array
import math
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors, relative_l2

LATENT = [16, 2, 6, 10]  # 80x48, 5 frames: 2 * 3 * 5 = 30 tokens, which 4 ranks do not divide


def floats(content):
    return array.array("f", content)


class RankCounts(FerryTest):
    def run_job(self, ranks, **options):
        """The tensors that a job leaves."""
        given = {"prompt": "a red circle moving right on a black background", "negative_prompt": "a blue square",
                 "size": "80x48", "frames": 5, "steps": 4, "guidance": 5, "seed": 3, "dtype": "fp32",
                 "cfg": "paired", **options}
        words = [word for key, value in given.items() for word in ("--" + key, value)]
        done = ferry("generate", "-n", ranks, "--model", DEMO, "--out", self.folder / "x.mp4", "--overwrite",
                     "--save", self.folder / "x.safetensors", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        header, data = read_safetensors(self.folder / "x.safetensors")
        return {name: floats(data[slice(*entry["data_offsets"])]) for name, entry in header.items()
                if entry["dtype"] == "F32"}

    def latents(self, ranks, **options):
        return self.run_job(ranks, **options)["latents"]

    def test_four_steps_with_guidance(self):
        one = self.latents(1)
        self.assertEqual(len(one), math.prod(LATENT))
        # 4 steps of fp32; a GEMM's rounding depends on its number of rows.
        for ranks in (2, 3, 4):  # 4 heads: 2 2, 2 1 1, one each
            self.assertLessEqual(relative_l2(self.latents(ranks), one), 1e-5, f"{ranks} ranks")
        self.assertLessEqual(relative_l2(self.latents(4, cfg="parallel"), one), 1e-5, "cfg parallel, ulysses 2")
        self.assertEqual(self.latents(1, cfg="serial"), one)

    def test_each_branch_on_one_rank_is_the_arithmetic_of_one_rank(self):
        one = self.latents(1)
        # The text encoder has the threads of both ranks when there are two, so its rows come from the file.
        saved = self.folder / "one.safetensors"
        (self.folder / "x.safetensors").rename(saved)
        self.assertEqual(self.latents(2, cfg="parallel", context=saved), one)

    def test_a_saved_file_repeats_the_run(self):
        first = self.latents(2)
        saved = self.folder / "first.safetensors"
        (self.folder / "x.safetensors").rename(saved)
        self.assertEqual(self.latents(2, context=saved, noise=saved, seed=99, prompt="x"), first)

    def test_one_forward(self):
        def velocity(ranks, guidance):
            # One Euler step from sigma 1 to 0 leaves noise - v.
            left = self.run_job(ranks, sampler="euler", steps=1, guidance=guidance)
            return [x - y for x, y in zip(left["noise"], left["latents"])]

        for guidance in (1, 5):
            one = velocity(1, guidance)
            for ranks in (2, 4):
                # Guidance g adds g - 1 times the difference of two forwards: rounding grows by up to 2 g - 1.
                self.assertLessEqual(relative_l2(velocity(ranks, guidance), one), (2 * guidance - 1) * 1e-6,
                                     f"{ranks} ranks, guidance {guidance}")

    def test_samplers_give_on_two_ranks_what_they_give_on_one(self):
        found = []
        for sampler in ("unipc", "dpm++", "euler", "step_distill"):
            one = self.latents(1, sampler=sampler)
            self.assertLessEqual(relative_l2(self.latents(2, sampler=sampler), one), 1e-5, sampler)
            if sampler != "step_distill":  # whose levels are euler's at 4 steps
                found.append(one)
        for i, one in enumerate(found):  # so that an option which is ignored does not pass
            for other in found[:i]:
                self.assertGreater(relative_l2(one, other), 1e-3)

    def test_decoding_together(self):
        """3e-6 of a decoded value moves one in some thousand across a step of 8 bits, and by one."""
        self.run_job(1)
        saved = self.folder / "one.safetensors"
        (self.folder / "x.safetensors").rename(saved)
        one = self.frames(saved)
        self.assertEqual(len(one), 5 * 48 * 80 * 3)
        for ranks in (2, 3, 4):  # 6 latent rows: 3 each, 2 each, 2 2 1 1
            for split in ("true", "false"):
                done = ferry("generate", "-n", ranks, "--model", DEMO, "--latents", saved, "--split_vae", split, "--out",
                             self.folder / "y.mp4", "--overwrite", "--save", self.folder / "y.safetensors")
                self.assertEqual(done.returncode, 0, done.stderr)
                differences = [abs(a - b) for a, b in zip(self.frames(self.folder / "y.safetensors"), one, strict=True)]
                self.assertLessEqual(max(differences), 1, f"{ranks} ranks, split {split}")
                self.assertLessEqual(sum(differences), 1e-3 * len(one), f"{ranks} ranks, split {split}")

    def frames(self, path):
        header, data = read_safetensors(path)
        self.assertEqual(header["frames"]["dtype"], "U8")
        return data[slice(*header["frames"]["data_offsets"])]

    def test_strategies_give_on_two_ranks_what_none_gives_on_one(self):
        one = self.latents(1)
        two = self.latents(2)
        self.assertLessEqual(relative_l2(two, one), 1e-5)
        for strategy in ("model", "async", "sequential"):
            self.assertEqual(self.latents(2, **{"offload.type": strategy}), two, strategy)


if __name__ == "__main__":
    unittest.main()
