"""A GPU whose memory another process takes in the middle of a run:  worker_memory_gpu_test.py BALLAST

BALLAST is tests/support/ballast.cpp.  The run's report names the memory of other processes and a setting; beside the same
ballast, the run with that setting succeeds, with the same bits.  Skipped (exit code 77) without a GPU.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

from launcher_support import BINARY, DEMO, FerryTest, ferry, read_safetensors, require_device

BALLAST = sys.argv[1]
PATIENCE_S = 300
# Many small frames: the DiT's weights and activations take more than decoding does.
JOB = {"prompt": "a red circle", "size": "256x256", "frames": 81, "steps": 2, "guidance": 1, "seed": 5}


def is_stopped(process):
    return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class DeviceFull(FerryTest):
    def start(self, name, *options, fault=""):
        words = [word for key, value in JOB.items() for word in ("--" + key, value)]
        log = open(self.folder / f"{name}.log", "w")
        self.addCleanup(log.close)
        # One process, without mpirun.
        job = subprocess.Popen([str(word) for word in (
            BINARY, "generate", "--device", "cuda", "--model", self.folder / "model", *words, "--out",
            self.folder / f"{name}.mp4", "--save", self.folder / f"{name}.safetensors", *options)], stderr=log,
            env={**os.environ, "FERRY_TEST_FAULT": fault})
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        return job

    def finish(self, name, *options):
        code = self.start(name, *options).wait(PATIENCE_S)
        self.assertEqual(code, 0, (self.folder / f"{name}.log").read_text())
        return read_safetensors(self.folder / f"{name}.safetensors")

    def leave(self, left):
        ballast = subprocess.Popen([BALLAST, str(left)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(ballast.wait)
        self.addCleanup(ballast.stdin.close)
        self.addCleanup(ballast.stdout.close)
        self.assertEqual(ballast.stdout.readline(), "taken\n")

    def test_the_setting_that_is_named_works(self):
        made = ferry("make-model", self.folder / "model", "--size", "1.3B", "--text_layers", 2, "--dtype", "bf16",
                     "--tokenizer", DEMO / "tokenizer" / "spiece.model", timeout=PATIENCE_S)
        self.assertEqual(made.returncode, 0, made.stderr)
        free = self.finish("free")
        stages = json.loads((self.folder / "free.json").read_text())["ranks"][0]["stages"]
        denoise = next(stage for stage in stages if stage["name"] == "denoise")
        left = denoise["weights_peak_bytes"] + denoise["torch_allocated_peak_bytes"] // 2

        # Stops where loading begins: all checks are over.
        full = self.start("full", fault="stop:0:load")
        taken, end = False, time.monotonic() + PATIENCE_S
        while full.poll() is None and time.monotonic() < end:
            if is_stopped(full.pid):
                if not taken:
                    self.leave(left)
                taken = True
                full.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        log = (self.folder / "full.log").read_text()
        self.assertEqual(full.poll(), 1, log)
        (line,) = [line for line in log.splitlines() if "rank 0 on " in line]
        print(line, flush=True)
        self.assertRegex(line, r"dit: the device's memory is full: .*other processes [\d.]+ GB \([\d.]+ [MG]B when")
        setting = [word for flag in re.findall(r"--dit\.offload\.\S+ \S+", line) for word in flag.split()]
        self.assertTrue(setting, line)
        self.assertEqual(self.finish("named", *setting), free, setting)


if __name__ == "__main__":
    require_device("cuda", 1)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
