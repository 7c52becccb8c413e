"""A device that is full in the middle of a run:  worker_memory_test.py PROGRAM

PROGRAM is ferry with a CPU whose memory is limited (tests/support/limited_device.cpp).  The report names the stage, who
holds the memory and a setting; with that setting the same run succeeds under the same limit, with the same bits.
"""

import json
import os
import re
import subprocess
import sys
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors

PROGRAM = sys.argv[1]
# Frames so small that decoding takes less than the DiT's weights.
JOB = {"prompt": "a red circle", "size": "32x32", "steps": 2, "guidance": 1, "seed": 5}
SETTING = r"--(?:dit|vae|text_encoder)\.offload\.\S+ \S+"


class Memory(FerryTest):
    model, frames = DEMO, 41

    def run_with(self, name, ranks, limit=None, options=()):
        """The process, and the tensors that it saved."""
        job = {**JOB, "frames": self.frames}
        words = [word for key, value in job.items() for word in ("--" + key, value)]
        save = self.folder / f"{name}.safetensors"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if limit is not None:
            environment["FERRY_TEST_DEVICE_MEMORY"] = str(limit)
        command = [PROGRAM, "generate", "-n", ranks, "--device", "cpu", "--model", self.model, *words, "--save", save,
                   "--out", self.folder / f"{name}.mp4", "--overwrite", *options]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120,
                              env=environment)
        return done, read_safetensors(save) if done.returncode == 0 else None

    def free_run(self, ranks, stage, options=()):
        """With plenty of memory: a limit at which the weights of `stage` fit, but not its tensors; what was saved."""
        done, saved = self.run_with("free", ranks, 10**15, options)
        self.assertEqual(done.returncode, 0, done.stderr)
        stages = json.loads((self.folder / "free.json").read_text())["ranks"][0]["stages"]
        found = next(each for each in stages if each["name"] == stage)
        return found["weights_peak_bytes"] + int(0.6 * found["torch_peak_bytes"]), saved

    def setting_of(self, done, rank, stage):
        """Checks the one line of the run that failed; the setting that it names."""
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [line for line in done.stderr.splitlines() if re.search(r"\brank \d+ on ", line)]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], rf"rank {rank} on \S+: {stage}.*: the device's memory is full")
        self.assertRegex(lines[0], r"asked for [\d.]+ MB, [\d.]+ MB of [\d.]+ MB are free \(cpu\)")
        self.assertRegex(lines[0], r"weights [\d.]+ MB \(resident [\d.]+ MB.*\), LibTorch's tensors [\d.]+ MB")
        self.assertRegex(lines[0], r"other processes [\d.]+ MB")
        print(lines[0], flush=True)
        named = re.findall(SETTING, lines[0])
        self.assertTrue(named, lines[0])
        return [word for flag in named for word in flag.split()]

    def assert_named_setting_works(self, ranks, stage, place, rank=None, given=()):
        """`rank` (optional) is the only one that is short."""
        limit, saved = self.free_run(ranks, stage, given)
        limited = limit if rank is None else f"{limit}:{rank}"
        done, _ = self.run_with("full", ranks, limited, given)
        setting = self.setting_of(done, rank if rank is not None else r"\d", place)
        self.assertFalse((self.folder / "full.mp4").exists())
        done, now = self.run_with("named", ranks, limited, [*given, *setting])
        self.assertEqual(done.returncode, 0, f"{setting}: {done.stderr}")
        self.assertEqual(now, saved, setting)

    def test_denoise(self):
        self.assert_named_setting_works(1, "denoise", r"denoise, step 1, block \d+: dit")

    def test_denoise_where_one_of_two_ranks_is_short(self):
        for rank in (0, 1):
            with self.subTest(rank=rank):
                self.assert_named_setting_works(2, "denoise", r"(denoise|exchange), step 1, block \d+: dit", rank)

    def test_decode(self):
        done, _ = self.run_with("latents", 1)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_named_setting_works(1, "decode", "decode: vae",
                                        given=["--latents", self.folder / "latents.safetensors"])

    def test_text(self):
        """Of a model whose text encoder is the largest network."""
        self.model, self.frames = self.folder / "model", 5
        done = ferry("make-model", self.model, "--text_layers", 40, "--tokenizer", DEMO / "tokenizer" / "spiece.model")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_named_setting_works(1, "text", "text: text_encoder")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
