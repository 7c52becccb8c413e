"""A rank that dies, stops or throws, in each stage:  worker_stop_report_test.py cpu|cuda RANKS

All ranks are gone soon, the exit code is not 0, and one line says which rank it was and where it was.  Skipped (exit
code 77) where there are fewer GPUs than ranks, as worker_devices_test.py.
"""

import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from launcher_support import BINARY, DEMO, ferry, require_device, state_of

DEVICE, RANKS = sys.argv[1], int(sys.argv[2])
DEADLINE_S = 3 if DEVICE == "cpu" else 10
GRACE_S = 5
START_S = 90
AT_A_TIME = 3
# In the second step everything is connected.
PLACES = {"load": "load", "text": "text", "denoise": "denoise:2", "exchange": "exchange:2", "gather": "gather:2",
          "decode": "decode", "write": "write"}
STAGES = ["load", "text", "denoise", "exchange", "decode", "write"] if DEVICE == "cpu" else [
    "denoise", "exchange", "gather", "decode"]
JOB = {"prompt": "a red circle", "size": "80x48", "frames": 5, "steps": 3, "guidance": 1, "run.deadline_s": DEADLINE_S}


def ranks_of(mark):
    """Processes by rank."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        names = dict(entry.split(b"=", 1) for entry in environment if b"=" in entry)
        if names.get(b"FERRY_TEST_JOB") == mark.encode() and b"OMPI_COMM_WORLD_RANK" in names:
            found[int(names[b"OMPI_COMM_WORLD_RANK"])] = int(folder.name)
    return found


class Ended:
    """A job with a planted fault, run until all its ranks are gone."""

    def __init__(self, fault, launcher="ferry", options=None, env=None, place=""):
        """`place` is what the report is to say of it, if not the fault's stage and step."""
        self.options, self.env, self.place = options or {}, env or {}, place
        self.kind, rank, self.stage = fault.split(":")[:3]
        self.rank = int(rank)
        self.fault = fault
        with tempfile.TemporaryDirectory(prefix="ferry-e2e-") as folder:
            self.run(folder, launcher)

    def run(self, folder, launcher):
        options = [word for key, value in {**JOB, **self.options}.items() for word in ("--" + key, value)]
        words = ["generate", "--device", DEVICE, "--model", DEMO, "--out", f"{folder}/x.mp4", *options]
        if launcher == "ferry":
            words = [BINARY, *words, "-n", RANKS]
        else:
            words = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", RANKS, BINARY, *words]
        with open(f"{folder}/log", "w") as log:
            job = subprocess.Popen([str(word) for word in words], stderr=log, stdout=subprocess.DEVNULL, env={
                **os.environ, "OMP_NUM_THREADS": "1", "FERRY_TEST_FAULT": self.fault, "FERRY_TEST_JOB": folder,
                **self.env})
        self.ranks = {}
        try:
            self.watch(job, folder)
        finally:
            if job.poll() is None:
                job.kill()
                job.wait()
            for process in self.ranks.values():
                if state_of(process) != "Z":
                    os.kill(process, signal.SIGKILL)
        self.log = pathlib.Path(folder, "log").read_text()

    def watch(self, job, folder):
        """Sets the exit code, and the seconds from the fault until the last rank was gone."""
        failed = None
        begin = time.monotonic()
        while time.monotonic() - begin < START_S:
            if len(self.ranks) < RANKS:
                self.ranks = ranks_of(folder) or self.ranks
            states = [state_of(process) for process in self.ranks.values()]
            if failed is None and self.ranks and (self.has_failed(folder) or job.poll() is not None):
                failed = time.monotonic()
            if job.poll() is not None and all(state == "Z" for state in states):
                break
            time.sleep(0.02)
        self.code = job.poll()
        self.seconds = time.monotonic() - (failed or begin)
        self.left = [process for process in self.ranks.values() if state_of(process) != "Z"]

    def has_failed(self, folder):
        """A rank that throws is to speak first."""
        if self.kind in ("throw", "refuse"):
            return "FERRY_TEST_FAULT" in pathlib.Path(folder, "log").read_text()
        return self.rank in self.ranks and state_of(self.ranks[self.rank]) in "ZT"

    def reports(self):
        """The lines that name a rank and its host."""
        return [line for line in self.log.splitlines() if re.search(r"\brank \d+ on ", line)]


WORDS = {"kill": "is gone", "stop": "has stopped", "throw": "planted by FERRY_TEST_FAULT",
         "refuse": "refused by FERRY_TEST_FAULT"}


class StopReport(unittest.TestCase):
    def assert_ended(self, ended):
        what = f"{ended.fault}: {ended.log}"
        self.assertIsNotNone(ended.code, f"still runs: {what}")
        self.assertNotEqual(ended.code, 0, what)
        self.assertEqual(ended.left, [], what)
        self.assertLess(ended.seconds, DEADLINE_S + GRACE_S, what)
        reports = ended.reports()
        self.assertEqual(len(reports), 1, what)
        self.assertRegex(reports[0], rf"rank {ended.rank} on \S+[: ].*{WORDS[ended.kind]}", what)
        step = ", step 2" if ended.fault.endswith(":2") else ""
        self.assertRegex(reports[0], ended.place or rf"\b{ended.stage}\b{step}", what)
        print(f"{ended.fault}: gone after {ended.seconds:.1f} s, exit code {ended.code}: {reports[0]}", flush=True)

    def assert_all_end(self, faults, launcher="ferry"):
        """Several jobs at a time: one with a stopped rank mostly waits."""
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            for ended in pool.map(lambda fault: Ended(fault, launcher), faults):
                with self.subTest(fault=ended.fault):
                    self.assert_ended(ended)

    def test_each_fault_in_each_stage(self):
        self.assert_all_end([f"{kind}:{RANKS - 1}:{PLACES[stage]}" for stage in STAGES
                             for kind in ("stop", "kill", "throw")])

    @unittest.skipIf(DEVICE != "cpu" or RANKS != 2, "once")
    def test_the_first_rank_is_reported_by_another(self):
        self.assert_all_end(["stop:0:text", "kill:0:decode", "throw:0:write", "kill:0:write"])

    @unittest.skipIf(DEVICE != "cpu" or RANKS != 2, "once")
    def test_a_hand_written_mpirun_ends_as_well(self):
        self.assert_all_end(["stop:1:denoise:2", "kill:1:denoise:2", "throw:1:denoise:2"], launcher="mpirun")

    @unittest.skipIf(DEVICE != "cpu" or RANKS != 2, "once")
    def test_a_user_error_of_one_rank_keeps_its_text_and_code(self):
        ended = Ended("refuse:1:text", place="refused")
        self.assert_ended(ended)
        self.assertEqual(ended.code, 2, ended.log)

    @unittest.skipIf(DEVICE != "cpu" or RANKS != 2, "once")
    def test_a_rank_of_another_node_that_stops_is_reported(self):
        """Its last message is up to a second old."""
        self.assert_ended(Ended("stop:1:exchange:150", options={"steps": 1000}, env={"FERRY_TEST_NODES": "0,1,2"},
                                place=r": (denoise|exchange|gather), step \d+"))

    @unittest.skipIf(DEVICE != "cpu" or RANKS != 2, "once")
    def test_a_planted_fault_that_is_misspelt_is_refused(self):
        done = ferry("generate", "--model", DEMO, "--prompt", "x", "--run.dry_run", env={"FERRY_TEST_FAULT": "stop:1"})
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("FERRY_TEST_FAULT", done.stderr)


if __name__ == "__main__":
    require_device(DEVICE, RANKS)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
