"""Two videos that one process makes have the bits of two processes:  worker_videos_test.py MPIEXEC PROGRAM"""

import os
import subprocess
import sys
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors

MPIEXEC, PROGRAM = sys.argv[1:]
JOBS = [{"prompt": "a red circle moving right on a black background", "size": "80x48", "frames": 5, "steps": 3, "seed": 3},
        {"prompt": "a green square", "size": "96x64", "frames": 9, "steps": 2, "seed": 17}]


class Videos(FerryTest):
    def tensors_of_ferry(self, ranks, job):
        given = {"negative_prompt": "a blue square", "guidance": 5, "dtype": "fp32", "device": "cpu", **job}
        words = [word for key, value in given.items() for word in ("--" + key, value)]
        done = ferry("generate", "-n", ranks, "--model", DEMO, "--out", self.folder / "x.mp4", "--overwrite",
                     "--save", self.folder / "x.safetensors", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return read_safetensors(self.folder / "x.safetensors")

    def test_bits_of_processes_of_their_own(self):
        for ranks in (1, 2):
            wanted = [self.tensors_of_ferry(ranks, job) for job in JOBS]
            for keep in ("one", "all"):
                done = subprocess.run([MPIEXEC, "-n", str(ranks), PROGRAM, keep, DEMO, self.folder], timeout=120,
                                      capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
                self.assertEqual(done.returncode, 0, done.stderr)
                for number, tensors in enumerate(wanted):
                    self.assertTrue(read_safetensors(self.folder / f"{number}.safetensors") == tensors,
                                    f"{ranks} ranks, keep {keep}, video {number}")
            self.assertNotEqual(wanted[0][0]["latents"]["shape"], wanted[1][0]["latents"]["shape"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
