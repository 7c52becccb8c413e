"""Whole runs on P ranks of a device against one rank of it:  worker_devices_test.py cpu|cuda RANKS

Skipped (exit code 77) where there are fewer GPUs than ranks; with FERRY_REQUIRE_GPU=1 that fails for one rank, and
where nvidia-smi lists as many as there are ranks.
"""

import array
import sys
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors, relative_l2, require_device

DEVICE, RANKS = sys.argv[1], int(sys.argv[2])

# cuDNN's convolutions may use TF32, which a run does and a comparison in fp32 cannot.
ENV = {"NVIDIA_TF32_OVERRIDE": "0"}

# 80x48, 5 frames: 2 * 3 * 5 = 30 tokens, which 4 ranks do not divide; 6 latent rows, which they do not either.
JOB = {"prompt": "a red circle moving right on a black background", "negative_prompt": "a blue square", "size": "80x48",
       "frames": 5, "steps": 4, "guidance": 5, "seed": 3, "cfg": "paired", "parallel.exchange": "copy"}


against_one_rank = unittest.skipIf(RANKS == 1, "one rank against itself")


class Devices(FerryTest):
    def made(self, ranks, **options):
        """The tensors that a job leaves, by name."""
        words = [word for key, value in {**JOB, **options}.items() for word in ("--" + key, value)]
        done = ferry("generate", "-n", ranks, "--device", DEVICE, "--model", DEMO, "--out", self.folder / "x.mp4",
                     "--overwrite", "--save", self.folder / "x.safetensors", *words, env=ENV)
        self.assertEqual(done.returncode, 0, f"{options}: {done.stderr}")
        header, data = read_safetensors(self.folder / "x.safetensors")
        return {name: data[slice(*entry["data_offsets"])] for name, entry in header.items()}

    def assert_close(self, made, one, latents):
        """Latents by L2; frames, whose decoder is fp32 always, by what that round-off moves across a step of 8 bits."""
        found, wanted = (array.array("f", each["latents"]) for each in (made, one))
        self.assertLessEqual(relative_l2(found, wanted), latents)
        differences = [abs(a - b) for a, b in zip(made["frames"], one["frames"], strict=True)]
        self.assertLessEqual(max(differences), 1)
        self.assertLessEqual(sum(differences), 1e-2 * len(differences))

    def assert_same_bits(self, made, resident, what):
        for name in ("latents", "frames"):
            self.assertTrue(made[name] == resident[name], f"{what}: {name}")

    @against_one_rank
    def test_ranks_give_what_one_gives(self):
        """fp32: a product of fewer rows may add up in another order, 1e-6 of a forward, which guidance 5 makes up to
        nine times as much in each of four steps."""
        one = self.made(1, dtype="fp32")
        self.assert_close(self.made(RANKS, dtype="fp32"), one, 4e-5)
        if RANKS % 2 == 0:
            self.assert_close(self.made(RANKS, dtype="fp32", cfg="parallel"), one, 4e-5)
            self.assert_close(self.made(RANKS, dtype="fp32", split_vae="false"), one, 4e-5)

    @against_one_rank
    def test_one_forward_in_bf16(self):
        """Another order flips last bits of bf16 (2^-9) of single values, which the blocks carry on."""
        step = {"sampler": "euler", "steps": 1, "guidance": 1}

        def velocity(ranks):
            made = {name: array.array("f", data) for name, data in self.made(ranks, **step).items() if name != "frames"}
            return [x - y for x, y in zip(made["noise"], made["latents"])]

        self.assertLessEqual(relative_l2(velocity(RANKS), velocity(1)), 1e-2)

    def test_how_bytes_travel_changes_no_bit(self):
        """Weights by every strategy and transport, of the decoder too; exchanges by messages."""
        resident = self.made(RANKS)
        self.assert_same_bits(self.made(RANKS, **{"parallel.exchange": "nccl"}), resident, "exchange by messages")
        ways = [{"dit.offload.type": kind, "vae.offload.type": kind} for kind in ("model", "async", "sequential")]
        for transport, interleave in (("full", "free"), ("sharded", "free"), ("sharded", "gated")):
            ways.append({"dit.offload.type": "async", "dit.offload.transport": transport,
                         "dit.offload.interleave": interleave, "dit.offload.prefetch_size": 2})
        for way in ways:
            self.assert_same_bits(self.made(RANKS, **way), resident, way)

    def test_halves_of_the_ranks_share_the_weights(self):
        if RANKS % 2 != 0:
            self.skipTest("guidance on halves of the ranks needs an even number")
        resident = self.made(RANKS, cfg="parallel")
        for transport in ("full", "sharded"):
            way = {"dit.offload.type": "async", "dit.offload.transport": transport}
            self.assert_same_bits(self.made(RANKS, cfg="parallel", **way), resident, transport)


if __name__ == "__main__":
    require_device(DEVICE, RANKS)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
