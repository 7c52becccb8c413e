"""A rank that is killed, or stops without dying, ends the job, in whatever stage that happens."""

import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

from launcher_support import BINARY, DEMO, FerryTest

DEADLINE_S = 3
# The line of the log after which a stage runs, and what makes it last: the first for minutes, decode for seconds,
# with a sign of life of the first rank every few tenths.
STAGES = {
    "denoise": ("load dit", ["--steps", "1000"]),
    "decode": ("load vae", ["--steps", "1", "--size", "192x192", "--frames", "81"]),
}


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def environment_of(process):
    try:
        return pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def is_alive(process):
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


class LostRank(FerryTest):
    def start(self, stage, *options):
        """A job of two ranks that has come to the stage; its ranks' processes by rank."""
        line, work = STAGES[stage]
        mark = f"FERRY_TEST_JOB={self.folder}"
        self.log = self.folder.parent / (self.folder.name + ".log")
        self.addCleanup(self.log.unlink, missing_ok=True)
        with open(self.log, "w") as log:
            self.job = subprocess.Popen(
                [BINARY, "generate", "-n", "2", "--model", DEMO, "--prompt", "a red circle", *work, "--guidance", "1",
                 "--out", self.folder / "x.mp4", *options], stderr=log, stdout=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "FERRY_TEST_JOB": str(self.folder)})
        ranks = {}
        self.addCleanup(self.end, self.job, ranks)
        self.assertTrue(wait_until(lambda: line in self.log.read_text(), 60), self.log.read_text())
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            environment = environment_of(folder.name)
            if mark.encode() not in environment:
                continue
            for rank in (0, 1):
                if f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment:
                    ranks[rank] = int(folder.name)
        self.assertEqual(set(ranks), {0, 1})
        self.ranks = ranks
        return ranks

    @staticmethod
    def end(job, ranks):
        """What a failed test leaves."""
        if job.poll() is None:
            job.kill()
            job.wait()
        for process in filter(is_alive, ranks.values()):
            os.kill(process, signal.SIGKILL)

    def assert_ends(self, seconds):
        text = self.log.read_text
        self.assertTrue(wait_until(lambda: self.job.poll() is not None, seconds), f"still runs: {text()}")
        self.assertNotEqual(self.job.returncode, 0)
        self.assertTrue(wait_until(lambda: not any(map(is_alive, self.ranks.values())), 5), "ranks are left")
        self.assertEqual([f.name for f in self.folder.iterdir() if f.suffix in (".mp4", ".json", ".png")], [])

    def assert_report(self, rank, what, stage):
        """One line, on the rank that was lost."""
        place = "(denoise|exchange|gather), step" if stage == "denoise" else stage
        lines = [line for line in self.log.read_text().splitlines() if re.search(r"\brank \d+ on ", line)]
        self.assertEqual(len(lines), 1, self.log.read_text())
        self.assertRegex(lines[0], rf"^ferry: rank {rank} on \S+ {what}: {place}")

    def test_a_rank_that_is_killed_takes_the_other_along(self):
        # In decode each waits for rows of the other.
        for stage, rank in [("denoise", 0), ("decode", 0), ("decode", 1)]:
            with self.subTest(stage=stage, rank=rank):
                os.kill(self.start(stage)[rank], signal.SIGKILL)
                self.assert_ends(15)
                self.assert_report(rank, r"is gone \(killed, or crashed\)", stage)

    def test_a_rank_that_stops_is_given_up_after_the_deadline(self):
        for stage, rank in [("denoise", 1), ("decode", 0)]:
            with self.subTest(stage=stage, rank=rank):
                stopped = self.start(stage, "--run.deadline_s", str(DEADLINE_S))[rank]
                self.assertIsNone(self.job.poll(), "over before anything stopped")
                os.kill(stopped, signal.SIGSTOP)
                begin = time.monotonic()
                self.assert_ends(DEADLINE_S + 15)
                self.assertGreater(time.monotonic() - begin, DEADLINE_S - 1)
                self.assert_report(rank, "has stopped", stage)


if __name__ == "__main__":
    unittest.main()
