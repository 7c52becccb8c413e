"""`ferry bench sweep` on the small model, killed and run again, shared, refused; `ferry bench plot` of its rows."""

import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest

from launcher_support import BINARY, DEMO, FerryTest, ferry

MACHINES = pathlib.Path(__file__).parents[2] / "configs/machines"
GRID = """
[grid]
ranks = 1, 2
cfg = serial, parallel
type = none, async, sequential
link_gbps = 5
[model]
path = {model}
device = cpu
[job]
size = 64x64
frames = 5
"""
CELLS, IMPOSSIBLE = 12, 3  # one rank has no halves
FEW = ["--samples", 2, "--warmups", 1]
LIMIT_S = 400


class Sweep(FerryTest):
    def setUp(self):
        super().setUp()
        self.rows = self.folder / "rows.jsonl"
        self.grid = self.folder / "grid.cfg"
        self.grid.write_text(GRID.format(model=DEMO))
        self.starts = self.folder / "starts"

    def arguments(self):
        return ["bench", "sweep", "--grid", self.grid, "--out", self.rows, *FEW]

    def environment(self, first=""):
        """With an mpirun that notes each start, and does `first`."""
        tools = self.folder / "bin"
        tools.mkdir(exist_ok=True)
        script = tools / "mpirun"
        script.write_text(f'#!/bin/sh\necho x >> {self.starts}\n{first}\nexec {shutil.which("mpirun")} "$@"\n')
        script.chmod(0o755)
        return {"PATH": f"{tools}:{os.environ['PATH']}"}

    def sweep(self, *more, **env):
        return ferry(*self.arguments(), *more, env={**self.environment(), **env}, timeout=LIMIT_S)

    def start(self):
        process = subprocess.Popen([BINARY, *map(str, self.arguments())], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment()})
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def read(self):
        """The whole rows, by cell; each must be there once."""
        lines = self.rows.read_text().split("\n")[:-1] if self.rows.exists() else []
        rows = [json.loads(line) for line in lines]
        self.assertEqual(len({row["cell"] for row in rows}), len(rows))
        return {row["cell"]: row for row in rows}

    def assert_complete(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = self.read()
        self.assertEqual(len(rows), CELLS, done.stderr)
        for row in rows.values():
            if row["ranks"] == 1 and row["cfg"] == "parallel":
                self.assertIn("even number of ranks", row["error"])
                continue
            self.assertGreater(row["step_s"], 0, row)
            self.assertEqual(len(row["samples_s"]), 2)
            self.assertLessEqual(row["step_least_s"], row["step_s"])
        return rows

    def wait_for_rows(self, process, count):
        end = time.monotonic() + LIMIT_S
        while len(self.read()) < count:
            self.assertIsNone(process.poll(), process.returncode)
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def wait_until_it_waits_for_a_lock(self, process):
        """/proc/locks has it behind the one that is held: "7: -> OFDLCK ...", of the file with that inode."""
        inode = os.stat(f"{self.rows}.lock").st_ino
        end = time.monotonic() + LIMIT_S
        while not re.search(rf"-> \S+ .*:{inode} ", pathlib.Path("/proc/locks").read_text()):
            self.assertIsNone(process.poll(), process.returncode)
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def assert_no_ranks(self):
        """Those of a killed sweep end by themselves."""
        end = time.monotonic() + 20
        while subprocess.run(["pgrep", "-f", f"{BINARY} bench sweep --run.deadline_s 54.5"],
                             capture_output=True).returncode == 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)


class Whole(Sweep):
    def test_killed_and_run_again_no_cell_is_lost_and_none_comes_twice(self):
        self.grid.write_text(self.grid.read_text() + "[run]\ndeadline_s = 54.5\n")
        for count in (IMPOSSIBLE + 2, IMPOSSIBLE + 5):
            process = self.start()
            self.wait_for_rows(process, count)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assert_no_ranks()
        before = self.rows.read_bytes()
        whole = before[: before.rfind(b"\n") + 1]
        self.rows.write_bytes(whole + whole[:40])  # a torn line, which a kill can leave
        rows = self.assert_complete(self.sweep())
        self.assertTrue(self.rows.read_bytes().startswith(whole))
        for row in rows.values():
            for key in ("cfg", "type", "transport", "size", "frames", "link_gbps", "versions", "clocks", "time"):
                self.assertIn(key, row)
            self.assertEqual((row["size"], row["frames"]), ("64x64", 5))
        measured = [row for row in rows.values() if "step_s" in row]
        self.assertEqual({len(row["topology"]["devices"]) for row in measured}, {1, 2})
        self.assertTrue(all(row["gpu_bytes"] > 0 and row["node_bytes"] > 0 for row in measured))
        self.assertIsNone(next(row for row in measured if row["type"] == "none")["link_gbps"])
        # Nothing is left to do, and no ranks start.
        self.starts.unlink()
        before = self.rows.read_bytes()
        done = self.sweep()
        self.assertEqual((done.returncode, self.rows.read_bytes()), (0, before), done.stderr)
        self.assertFalse(self.starts.exists())
        self.assertEqual(len(done.stdout.strip().splitlines()), CELLS + 1)

    def test_cells_with_the_same_ranks_share_one_start(self):
        done = self.sweep()
        self.assert_complete(done)
        self.assertEqual(self.starts.read_text().count("x"), 2)
        self.assertIn(f"sweep: {CELLS} of {CELLS} cells done", done.stderr)
        self.assertIn(" left\n", done.stderr)

    def test_with_a_machine_each_cell_is_predicted_before_it_runs(self):
        self.grid.write_text(self.grid.read_text().replace("ranks = 1, 2", "ranks = 1"))
        self.assert_refused(self.sweep("--machine", self.folder / "none"), "none")
        before = self.folder / "before.jsonl"
        done = ferry("bench", "sweep", "--grid", self.grid, "--machine", "h100", "--predict", "--out", before)
        self.assertEqual(done.returncode, 0, done.stderr)
        predicted = {row["cell"]: row for row in map(json.loads, before.read_text().splitlines())}
        done = self.sweep("--machine", "h100")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = self.read()
        self.assertEqual(set(predicted), set(rows))
        measured = [row for row in rows.values() if "step_s" in row]
        self.assertEqual(len(measured), 3)
        for row in measured:
            self.assertGreater(row["predicted_step_s"], 0)
            self.assertEqual(row["predicted"]["machine"], "h100")
            self.assertGreater(row["predicted"]["node_bytes"], 0)
            # What --predict wrote of it, value by value.
            own = {key: value for key, value in predicted[row["cell"]].items() if key != "versions"}
            self.assertEqual(own, {key: row[key] for key in own})
        for row in rows.values():
            self.assertEqual(row.get("error"), predicted[row["cell"]].get("error"))

    def test_two_that_share_a_file_measure_each_cell_once(self):
        processes = [self.start(), self.start()]
        for process in processes:
            errors = process.communicate(timeout=LIMIT_S)[1]
            self.assertEqual(process.returncode, 0, errors)
        self.assert_complete(self.sweep())


class Predicted(Sweep):
    """Of a machine that is not here: no ranks start, and no GPU is asked for."""

    GRID = """
[grid]
model = 14B
ranks = 1, 3, 8
cfg = paired, parallel
type = none, async, sequential
[model]
device = cuda
[job]
size = 832x480
frames = 81
"""

    def setUp(self):
        super().setUp()
        self.grid.write_text(self.GRID)

    def predict(self, *more):
        return ferry("bench", "sweep", "--grid", self.grid, "--predict", *more, env=self.environment())

    def test_each_cell_has_a_row_with_what_ferry_plan_says(self):
        done = self.predict("--machine", "h100", "--out", self.rows)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertFalse(self.starts.exists())
        rows = list(self.read().values())
        self.assertEqual(len(rows), 18)
        self.assertEqual(len(done.stdout.splitlines()), 1 + len(rows))
        plan = ("plan", "--model", "14B", "--machine", "h100", "--size", "832x480", "--frames", 81, "--json")
        plans = {gpus: json.loads(ferry(*plan, "--gpus", gpus).stdout)["plans"] for gpus in (1, 8)}
        for row in rows:
            with self.subTest(row["cell"]):
                if row["ranks"] % 2 == 1 and row["cfg"] == "parallel":
                    self.assertIn("even number of ranks", row["error"])
                    continue
                self.assertEqual((row["size"], row["frames"], row["model"]), ("832x480", 81, "14B"))
                self.assertNotIn("error", row)
                if row["ranks"] == 3:
                    continue
                same = next(each for each in plans[row["ranks"]] if each["data"] == 1 and each["prefetch_size"] < 2 and all(
                    each[key] == row[key] for key in ("cfg", "type")) and each["transport"] in ("auto", "full"))
                self.assertAlmostEqual(row["predicted_step_s"] / same["step_s"], 1, 9)
                self.assertEqual(row["predicted"]["gpu_bytes"], same["dit_bytes"])
        # Without --out the table alone; again, and elsewhere, the same bytes.
        before = self.rows.read_bytes()
        self.assertEqual(self.predict("--machine", "h100").stdout, done.stdout)
        other = self.folder / "other.jsonl"
        self.assertEqual(self.predict("--machine", "h100", "--out", other).returncode, 0)
        self.assertEqual(other.read_bytes(), before)

    def test_memory_is_the_machine_files_or_what_vram_says(self):
        done = self.predict("--machine", "h100", "--vram", 24, "--out", self.rows)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [row for row in self.read().values() if "predicted_step_s" in row]
        self.assertEqual({row["predicted"]["machine"] for row in rows}, {"h100, 24 GiB a GPU"})
        self.assertEqual({row["type"] for row in rows if "error" in row}, {"none"})
        for row in rows:
            self.assertEqual("error" in row, row["type"] == "none", row)
            if "error" in row:
                self.assertIn("25.770 GB of 25.770 GB are free (a device of h100, 24 GiB a GPU); --dit.offload.type", row["error"])
        # Of a CPU it is the host's: two ranks share what the copy leaves.
        rates = json.loads((MACHINES / "h100.json").read_text())
        for host, refused in ((80, []), (37, ["async"]), (20, ["none", "async", "sequential"])):
            self.rows.unlink()
            machine = self.folder / "cpu.json"
            machine.write_text(json.dumps({**rates, "name": "here", "gpu": False, "host_gib": {"value": host, "source": "measured"}}))
            self.grid.write_text(self.GRID.replace("1, 3, 8", "2").replace("paired, parallel", "paired"))
            done = self.predict("--machine", machine, "--out", self.rows)
            self.assertEqual(done.returncode, 0, done.stderr)
            # None uses the copy in place, async has slots beside it.
            self.assertEqual([row["type"] for row in self.read().values() if "error" in row], refused, host)
            self.assert_refused(self.predict("--machine", machine, "--vram", 24), "no GPUs")

    def test_what_is_wrong_is_said_in_one_line(self):
        self.assert_refused(self.predict(), "machine", "h100")
        self.assert_refused(self.predict("--machine", "none"), "--machine FILE")
        self.assert_refused(self.predict("--machine", "h300"), "h300", "pcie")
        self.assert_refused(self.predict("--machine", "h100", "--samples", 3), "--samples")
        self.assert_refused(self.sweep("--vram", 24), "--vram", "--predict")
        self.rows.write_text("mine\n")
        self.assert_refused(self.predict("--machine", "h100", "--out", self.rows), self.rows, "it exists")
        self.assertEqual(self.rows.read_text(), "mine\n")
        self.rows.unlink()
        self.assert_refused(self.predict("--machine", "h100", "--out", self.folder / "none" / "x"), "none")
        # Names are for predictions alone.
        self.assert_refused(self.sweep(), "14B")
        self.grid.write_text(self.GRID.replace("14B", "15B"))
        self.assert_refused(self.predict("--machine", "h100"), "15B", "1.3B, 14B")
        self.assertFalse(self.starts.exists())


class Failing(Sweep):
    def test_a_cell_whose_ranks_fail_has_their_reason_and_the_next_has_fresh_ones(self):
        self.grid.write_text(self.grid.read_text().replace("serial, parallel", "serial"))
        done = self.sweep(FERRY_TEST_FAULT="throw:1:denoise:2")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = self.read().values()
        self.assertEqual(len(rows), 6)
        for row in rows:
            self.assertEqual("error" in row, row["ranks"] == 2, row)
            if row["ranks"] == 2:
                self.assertIn("rank 1", row["error"])
        self.assertEqual(self.starts.read_text().count("x"), 1 + 3)
        # Run again, what has failed is not tried again.
        before = self.rows.read_bytes()
        self.assertEqual(self.sweep().returncode, 0)
        self.assertEqual(self.rows.read_bytes(), before)

    def test_ranks_that_do_not_start_leave_their_cells(self):
        """To another try, or to a machine that has as many GPUs; other cells are measured."""
        self.grid.write_text(self.grid.read_text().replace("serial, parallel", "serial"))
        refuses_two = self.environment('case "$*" in *" -n 2 "*) echo "no two" >&2; exit 3 ;; esac')
        done = ferry(*self.arguments(), env=refuses_two, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("sweep: 2 ranks did not start: ", done.stderr)
        self.assertNotIn("other processes", done.stderr)
        self.assertEqual({row["ranks"] for row in self.read().values()}, {1})
        self.assertEqual(self.starts.read_text().count("x"), 2)
        done = self.sweep()
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = self.read().values()
        self.assertEqual((len(rows), [row for row in rows if "error" in row]), (6, []))

    def test_a_signal_ends_it_and_the_same_command_goes_on(self):
        for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
            self.rows.unlink(missing_ok=True)
            process = self.start()
            self.wait_for_rows(process, IMPOSSIBLE + 1)
            process.send_signal(number)
            errors = process.communicate(timeout=LIMIT_S)[1]
            self.assertEqual(process.returncode, code, errors)
            self.assertFalse([row for row in self.read().values() if "error" in row and row["cfg"] == "serial"])
        self.assert_complete(self.sweep())


    def test_a_request_to_stop_while_no_ranks_run(self):
        """It waits for the lock by which rows are appended, of an impossible cell."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            with open(f"{self.rows}.lock", "w") as held:
                fcntl.lockf(held, fcntl.LOCK_EX, 1, 0)
                process = self.start()
                self.wait_until_it_waits_for_a_lock(process)
                process.send_signal(number)
                errors = process.communicate(timeout=LIMIT_S)[1]
                self.assertEqual((process.returncode, errors), (75, ""))
        self.assertFalse(self.starts.exists())


class Refused(Sweep):
    def test_what_is_wrong_is_said_in_one_line_before_anything_starts(self):
        grids = {"": "[grid]", "[grid]\nranks=\n": "ranks", "[grid]\nranks=0\n": "ranks", "[grid]\nx=1\n": "'x'",
                 "[grid]\nranks=1\n": "--model", "[grid]\nmodel=/no/such\n": "/no/such",
                 f"[grid]\nmodel={DEMO}\ntype=fast\n": "fast", f"[grid]\nmodel={DEMO}\n[job]\nout=x.mp4\n": "job.out",
                 f"[grid]\nranks=1\n[model]\npath={DEMO}\n[parallel]\nulysses=x\n": "ulysses",
                 "\0": "NUL", "{}": "line 1"}
        for text, word in grids.items():
            self.grid.write_text(text)
            with self.subTest(text[:40]):
                self.assert_refused(self.sweep(), word)
        self.assertFalse(self.starts.exists())

    def test_files_that_cannot_be_its_rows(self):
        other = self.folder / "notes.txt"
        other.write_text("my notes\n")
        self.rows = other
        self.assert_refused(self.sweep(), other, "no row of a sweep")
        self.assertEqual(other.read_text(), "my notes\n")
        self.rows = self.folder
        self.assert_refused(self.sweep(), "is a folder")
        self.rows = self.folder / "none" / "rows.jsonl"
        self.assert_refused(self.sweep(), "No such file")
        for missing in (["--grid", self.grid], ["--out", "x.jsonl"]):
            self.assert_refused(ferry("bench", "sweep", *missing), "missing")

    def test_under_mpirun_it_is_refused(self):
        done = subprocess.run(["mpirun", "-n", "2", BINARY, *map(str, self.arguments())], capture_output=True, text=True,
                              timeout=LIMIT_S, env={**os.environ, "OMPI_MCA_orte_execute_quiet": "1",
                                                    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("starts the ranks of each cell itself", done.stderr)


def python_with(module):
    """Of those that may be meant, one that has it; or None."""
    for python in (os.environ.get("FERRY_PYTHON"), pathlib.Path(BINARY).parents[2] / ".venv/bin/python", sys.executable):
        if python and pathlib.Path(python).exists():
            if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
                return str(python)
    return None


class Plot(FerryTest):
    def setUp(self):
        super().setUp()
        self.rows = self.folder / "rows.jsonl"
        lines = []
        for ranks in (1, 2):
            for kind, transport, copy in (("none", None, 0), ("async", "full", 0.2), ("async", "sharded", 0.1)):
                step = 1 / ranks + copy
                row = {"cell": f"{ranks} {kind} {transport}", "model": "m", "ranks": ranks,
                       "size": "64x64", "frames": 5, "attention": "auto", "cfg": "paired", "ulysses": ranks, "type": kind,
                       "transport": transport if ranks > 1 else None, "interleave": None, "offload_ratio": None,
                       "prefetch_size": None, "link_gbps": None, "step_s": step, "step_least_s": step,
                       "step_most_s": step, "exposed_copy_s": copy, "exposed_exchange_s": 0.01, "gpu_bytes": 2**30,
                       "activations_bytes": 2**29, "gpu_s_per_video": 50 * step * ranks, "device": "cpu",
                       "predicted_step_s": 1.05 * step}
                lines.append(json.dumps(row))
        self.rows.write_text("\n".join([*lines, '{"cell": "bad", "error": "no"}', '{"cell": "torn']))
        self.out = self.folder / "pictures"

    def plot(self, **env):
        return ferry("bench", "plot", self.rows, "--out", self.out, env=env)

    def test_without_matplotlib_the_line_says_how_to_get_it(self):
        python = self.folder / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
        done = self.plot(FERRY_PYTHON=str(python))
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIn("pip install matplotlib", done.stderr)
        self.assert_refused(self.plot(FERRY_PYTHON="/no/such/python"), "/no/such/python")

    def test_what_is_no_file_of_rows_is_refused(self):
        self.assert_refused(ferry("bench", "plot", self.folder / "none", "--out", self.out), "none")
        self.assert_refused(ferry("bench", "plot", self.rows), "--out")
        self.assert_refused(ferry("bench", "plot", "--out", self.out), "name one file")
        self.assert_refused(ferry("bench", "plot", self.rows, "--out", self.rows), "no folder")

    def test_each_picture_is_there_in_both_forms(self):
        python = python_with("matplotlib")
        if python is None:
            self.skipTest("no Python with matplotlib")
        done = self.plot(FERRY_PYTHON=python)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("step_time", "efficiency", "video", "exposed", "contention", "memory", "predicted"):
            self.assertTrue((self.out / f"{name}.png").read_bytes().startswith(b"\x89PNG"), done.stdout)
            self.assertIn("<svg", (self.out / f"{name}.svg").read_text())
        text = (self.out / "predicted.svg").read_text()
        self.assertIn("median error 5.0 %", text)
        self.assertIn("with an error, which are not drawn: 1", done.stdout)
        self.assertIn("no row, which are not drawn: 1", done.stdout)
        self.assertEqual(done.stderr, "")
        # 1 / (2 x 0.5): of resident weights.
        self.assertIn("Parallel efficiency", (self.out / "efficiency.svg").read_text())
        self.rows.write_text('{"cell": "bad", "error": "no"}\n')
        done = self.plot(FERRY_PYTHON=python)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)

    def test_rows_of_other_shapes(self):
        """A single cell, whose axes are narrow; more lines than can be told apart, which become panels; odd values."""
        python = python_with("matplotlib")
        if python is None:
            self.skipTest("no Python with matplotlib")
        row = json.loads(self.rows.read_text().splitlines()[1])
        many = [{**row, "cell": f"{ratio} {depth}", "offload_ratio": ratio, "prefetch_size": depth}
                for ratio in (0.25, 0.5, 0.75, 1) for depth in (1, 2)]
        odd = [{**row, "cell": f"odd {i}", key: value} for i, (key, value) in enumerate(
            [("ulysses", {}), ("ranks", "2"), ("step_s", float("inf")), ("type", None)])]
        for rows, said, lines in (([row], [], 0), (many, ["prefetch 1", "prefetch 2", "ratio 0.25"], 0), ([row, *odd], [], len(odd))):
            self.rows.write_text("\n".join(map(json.dumps, rows)))
            done = self.plot(FERRY_PYTHON=python)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            text = (self.out / "step_time.svg").read_text()
            for word in said:
                self.assertIn(word, text)
            self.assertEqual(f"no row, which are not drawn: {lines}" in done.stdout, lines > 0)


if __name__ == "__main__":
    unittest.main()
