"""A device that is full in the middle of a run:  worker_memory_test.py PROGRAM

PROGRAM is ferry with a CPU whose memory is limited (tests/support/limited_device.cpp).  The report names the stage, who
holds the memory and a setting; with that setting the same run succeeds under the same limit, with the same bits.
"""

import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time
import unittest

from launcher_support import BINARY, DEMO, FerryTest, ferry, read_safetensors, state_of

PROGRAM = sys.argv[1]
# Frames so small that decoding takes less than the DiT's weights.
JOB = {"prompt": "a red circle", "size": "32x32", "steps": 2, "guidance": 1, "seed": 5}
SETTING = r"--(?:dit|vae|text_encoder)\.offload\.\S+ \S+"


def stopped_rank(mark):
    """The first rank of a job, once it has stopped."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if {f"FERRY_TEST_JOB={mark}".encode(), b"OMPI_COMM_WORLD_RANK=0"} <= set(environment):
            return int(folder.name) if state_of(folder.name) == "T" else None
    return None


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


class Host(FerryTest):
    """The host's memory, limited for rank 0 or for all."""

    words = ["--device", "cpu", "--model", DEMO, "--prompt", "x", "--size", "80x48", "--frames", 5, "--steps", 2,
             "--guidance", 1, "--seed", 5]

    def test_no_room_for_the_shared_copy_of_the_weights(self):
        """Open MPI's shared memory would not fit either, and its other ranks would wait for ever."""
        command = [BINARY, "generate", "-n", 2, *self.words, "--out", self.folder / "x.mp4"]
        most = 8 << 20  # the DiT takes 16 MB
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "OMP_NUM_THREADS": "1"},
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
        self.assertEqual(done.returncode, 1, done.stderr)
        (line,) = [line for line in done.stderr.splitlines() if "rank " in line]
        self.assertRegex(line, r"rank \d on \S+: load: no room for \d{8} bytes of shared host memory: File too large$")
        print(line, flush=True)

    def test_a_rank_that_gets_no_memory_says_so_and_all_leave(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                code, text = self.run_without_memory(ranks)
                self.assertEqual(code, 1, text)
                lines = [line for line in text.splitlines() if " critical: " in line]
                self.assertEqual(len(lines), 1, text)
                self.assertRegex(lines[0], r"rank 0 on \S+: .*host memory .*[\d.]+ GB of [\d.]+ GB are available"
                                           r".*; ulimit -d allows this process [\d.]+ GB")
                print(lines[0], flush=True)

    def run_without_memory(self, ranks):
        """Rank 0 stops where loading begins, and then may take no page more.  Exit code and log."""
        mark = str(self.folder)
        with open(self.folder / "log", "w+") as log:
            job = subprocess.Popen([str(word) for word in (BINARY, "generate", "-n", ranks, *self.words, "--out",
                                                           self.folder / "y.mp4")], stderr=log,
                                   env={**os.environ, "OMP_NUM_THREADS": "1", "FERRY_TEST_JOB": mark,
                                        "FERRY_TEST_FAULT": "stop:0:load"})
            self.addCleanup(job.wait)
            self.addCleanup(job.kill)
            limited, end = None, time.monotonic() + 60
            while job.poll() is None and time.monotonic() < end:
                limited = limited or stopped_rank(mark)
                if limited and state_of(limited) == "T":  # at each beginning of a load
                    status = pathlib.Path(f"/proc/{limited}/status").read_text()
                    taken = int(re.search(r"VmData:\s*(\d+)", status)[1]) << 10
                    resource.prlimit(limited, resource.RLIMIT_DATA, (taken, taken))
                    os.kill(limited, signal.SIGCONT)
                time.sleep(0.02)
            return job.poll(), (self.folder / "log").read_text()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
