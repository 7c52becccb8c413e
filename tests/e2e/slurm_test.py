"""The batch scripts of slurm/ under a real Slurm of two nodes (tools/slurm_cluster.sh).  Skipped (exit code 77) where
slurm-wlm or munge is not installed."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

from launcher_support import BINARY, DEMO, SKIPPED, SOURCE, FerryTest
from slurm_support import (LONG, PATH, PROGRAMS, TINY, SlurmTest, executable, exports_of, flags, processes_of, tool,
                           until)

STOP_S = 15
# Says where a rank runs and becomes it.
SHOWS_BINDING = f"""#!/bin/sh
echo "rank ${{OMPI_COMM_WORLD_RANK:-$PMIX_RANK}} has cores $(sed -n 's/Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)" \\
  "of $OMP_NUM_THREADS, GPUs $CUDA_VISIBLE_DEVICES" >&2
exec {BINARY} "$@"
"""


class Generate(SlurmTest):
    def test_two_ranks_by_srun_and_by_mpirun_each_with_its_cores_and_all_gpus(self):
        ferry = executable(self.folder / "shows", SHOWS_BINDING)
        jobs = [self.submit("generate.sbatch", "a red circle", *flags(TINY), env={"LAUNCH": launcher, "FERRY": str(ferry)})
                for launcher in ("srun", "mpirun")]
        for job in jobs:
            self.ended(job)
            self.assertGreater((self.folder / f"ferry-{job}.mp4").stat().st_size, 0)
            self.assertEqual(len(self.record(job)["ranks"]), 2)
            self.assertIn("\nexit code 0\n", self.log(job))
            bound = dict(re.findall(r"rank (\d) has cores (.*) of 1, GPUs 0,1", self.log(job)))
            self.assertEqual(sorted(bound), ["0", "1"], self.log(job))
            if len(os.sched_getaffinity(0)) > 1:
                self.assertNotEqual(bound["0"], bound["1"])

    def test_two_nodes_and_one_gpu_of_each_and_all_that_is_set_outside(self):
        config = self.folder / "own.cfg"
        config.write_text("[job]\nfps = 7\n")
        for launcher in ("srun", "mpirun"):
            job = self.submit("generate.sbatch", "a red circle", *flags(TINY), options=["--nodes=2", "--gpus-per-node=1"],
                              env={"LAUNCH": launcher, "FERRY_HOME": str(SOURCE), "FERRY": BINARY, "MODEL": str(DEMO),
                                   "CONFIG": str(config), "OUT": f"{launcher}.mp4"})
            self.assertEqual(self.ended(job)[0]["NumNodes"], "2")
            record = json.loads((self.folder / f"{launcher}.json").read_text())
            options = record["options"]
            self.assertEqual((len(record["ranks"]), options["model.path"], options["job.fps"]), (2, str(DEMO), "7"))

    def test_two_ranks_on_each_of_two_nodes(self):
        """The branches go across the nodes, whatever order Slurm gives the ranks."""
        if subprocess.run(["unshare", "--uts", "--mount", "true"], capture_output=True).returncode != 0:
            self.skipTest("the ranks of both nodes would meet in Open MPI's shared memory (tools/slurm_cluster.sh)")

        def check(record, log):
            self.assertEqual([rank["host"] for rank in record["ranks"]], ["n1", "n1", "n2", "n2"])
            self.assertEqual(record["mesh"], {"data": 1, "cfg": 2, "ulysses": 2}, log)
            self.assertNotIn("goes over the network", log)

        for launcher in ("srun", "mpirun"):
            job = self.submit("generate.sbatch", "a red circle", *flags(TINY), options=["--nodes=2"],
                              env={"LAUNCH": launcher})
            self.ended(job)
            check(self.record(job), self.log(job))
        log = self.folder / "cyclic.log"
        self.slurm("srun", "--mpi=pmix", "--nodes=2", "--ntasks=4", "--ntasks-per-node=2", "--distribution=cyclic",
                   f"--error={log}", BINARY, "generate", "--model", DEMO, "--prompt", "a red circle", "--out", "cyclic.mp4",
                   *flags(TINY))
        check(json.loads((self.folder / "cyclic.json").read_text()), log.read_text())
        self.assertIn("numbered by node", log.read_text())

    def test_a_share_of_a_node(self):
        """As a user edits it who does not want a whole node."""
        text = (SOURCE / "slurm" / "generate.sbatch").read_text()
        script = self.folder / "share.sbatch"
        script.write_text(re.sub(r"#SBATCH --(exclusive|mem=0)\n", "", text))
        jobs = [self.slurm("sbatch", "--parsable", "--gpus-per-node=2", "--cpus-per-gpu=1", "--mem-per-gpu=1M", script,
                           "a red circle", *flags(TINY), env={"LAUNCH": launcher}) for launcher in ("srun", "mpirun")]
        for job in jobs:
            self.ended(job)
            self.assertEqual(len(self.record(job)["ranks"]), 2)

    def test_a_bad_job_fails_and_says_why(self):
        bad = self.submit("generate.sbatch", "a red circle", *flags(TINY, size="65x64"))
        launcher = self.submit("generate.sbatch", "a red circle", *flags(TINY), env={"LAUNCH": "ssh"})
        nothing = self.submit("generate.sbatch")
        self.ended(bad, "FAILED", "2:0")
        self.assertRegex(self.log(bad), r"(?m)^ferry: .*65x64")
        self.ended(launcher, "FAILED", "2:0")
        self.assertIn("LAUNCH is srun or mpirun, not ssh", self.log(launcher))
        self.ended(nothing, "FAILED", "1:0")
        self.assertIn("usage: sbatch slurm/generate.sbatch PROMPT", self.log(nothing))

    def test_a_rank_that_is_killed_or_stops_is_named(self):
        """srun says of the first which it was, not where it was, and of the second nothing."""
        jobs = {fault: self.submit("generate.sbatch", "a red circle", "--run.deadline_s", 5, *flags(TINY),
                                   env={"FERRY_TEST_FAULT": f"{fault}:1:denoise:2"}) for fault in ("kill", "stop")}
        for fault, what in (("kill", "is gone"), ("stop", "has stopped")):
            (task,) = self.end_of(jobs[fault])
            self.assertEqual(task["JobState"], "FAILED", self.log(jobs[fault]))
            self.assertIn(task["ExitCode"], ("1:0", "137:0"), self.log(jobs[fault]))
            reports = re.findall(r"^ferry: rank .*", self.log(jobs[fault]), re.MULTILINE)
            self.assertEqual(len(reports), 1, self.log(jobs[fault]))
            self.assertRegex(reports[0], rf"rank 1 on \S+ {what}.*: denoise, step 2;")

    def test_a_step_without_ranks(self):
        """As in the shell of `srun --pty bash`: one process is one rank, -n starts its own.  And without PMIx."""
        ferry = ["build/launcher/ferry", "generate", "--model", DEMO, "--prompt", "a red circle", *flags(TINY)]
        step = ["srun", "--ntasks=1", "--cpus-per-task=2"]
        self.slurm(*step, *ferry, "--out", "1.mp4")
        self.slurm(*step, *ferry, "--out", "2.mp4", "-n", 2)
        for ranks in (1, 2):
            self.assertEqual(len(json.loads((self.folder / f"{ranks}.json").read_text())["ranks"]), ranks)
        done = self.slurm("srun", "--mpi=none", "--ntasks=2", *ferry, code=2)
        self.assertIn("2 processes were started (SLURM_STEP_NUM_TASKS=2) but MPI sees 1", done)

    def test_weights_are_read_from_each_nodes_own_disk(self):
        scratch = self.folder / "scratch"
        jobs = [self.submit("generate.sbatch", "a red circle", *flags(TINY), env={"SCRATCH": str(scratch)}) for _ in range(2)]
        for job in jobs:
            self.ended(job)
        (copy,) = [path for path in scratch.iterdir() if path.is_dir()]
        self.assertEqual([path.name for path in scratch.iterdir() if path != copy], [copy.name + ".lock"])
        self.assertIn(f"weights from {copy}\n", self.log(jobs[0]))
        self.assertEqual(self.record(jobs[1])["options"]["model.path"], str(copy))
        for path in (path for path in DEMO.rglob("*") if path.is_file()):
            self.assertEqual((copy / path.relative_to(DEMO)).read_bytes(), path.read_bytes())

    def test_weights_that_cannot_be_copied(self):
        model = self.copy_of_demo()
        (model / "dangling").symlink_to("nowhere")
        scratch, file = self.folder / "scratch", self.folder / "file"
        file.touch()
        settings = {"dangling": {"MODEL": str(model), "SCRATCH": str(scratch)},
                    "absent": {"MODEL": "absent", "SCRATCH": str(scratch)}, str(file): {"SCRATCH": str(file)}}
        jobs = {named: self.submit("generate.sbatch", "a red circle", *flags(TINY), env=env)
                for named, env in settings.items()}
        for named, job in jobs.items():
            self.ended(job, "FAILED", "1:0")
            self.assertIn(named, self.log(job))
        self.assertEqual([path.suffix for path in scratch.iterdir()], [".lock"])


class Stopped(SlurmTest):
    WAYS = {"srun": ["--signal=TERM"], "mpirun": ["--full", "--signal=TERM"]}

    def test_a_stopped_job_goes_on_to_the_same_bits(self):
        def start(launcher, name):
            return self.submit("generate.sbatch", "a red circle", "--run.save_every", 1, *flags(LONG, save=name), env={"LAUNCH": launcher})

        whole = start("srun", "whole")
        stopped = {}
        for launcher, how in self.WAYS.items():
            stopped[launcher] = start(launcher, launcher)
            self.await_log(stopped[launcher], "the state after 3 steps")
            self.slurm("scancel", *how, stopped[launcher])
        self.ended(whole)
        for launcher, job in stopped.items():
            self.assert_requeued(job)
            self.assertRegex(self.log(job), "resuming at step .* of 20")
            self.assertEqual(self.tensor(launcher), self.tensor("whole"))
            self.assertEqual(self.tensor(launcher, "frames"), self.tensor("whole", "frames"))

    def test_the_time_limit_warns_and_a_cancelled_job_stays_so(self):
        job = self.submit("generate.sbatch", "a red circle", "--run.save_every", 1, *flags(LONG, size="192x192", frames=17, steps=1000),
                          options=["--time=1", "--signal=B:USR1@58"])
        self.await_log(job, "^exit code 75")
        self.await_log(job, "resuming at step")
        self.slurm("scancel", job)
        self.assertTrue(until(lambda: len(self.codes(job)) == 2), self.log(job))
        until(lambda: self.tasks_of(job)[0]["JobState"] == "CANCELLED")
        self.assertEqual([self.tasks_of(job)[0][key] for key in ("JobState", "Restarts")], ["CANCELLED", "1"])

    def test_stopped_before_the_ranks_start(self):
        scratch = self.folder / "scratch"
        env = {"SCRATCH": str(scratch)}
        self.ended(self.submit("generate.sbatch", "a red circle", *flags(TINY), env=env))
        (lock,) = scratch.glob("*.lock")
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            job = self.submit("generate.sbatch", "a red circle", *flags(TINY), env=env)
            self.assertTrue(until(lambda: f"{job}.0 " in self.slurm("squeue", "--noheader", "--steps", f"--jobs={job}")))
            self.slurm("scancel", "--batch", "--signal=USR1", job)
        self.assert_requeued(job)
        self.assertNotIn("resuming", self.log(job))


    def test_stopped_while_one_rank_is_before_the_first_step(self):
        """Where it hangs; Slurm kills those that have not ended with the first."""
        hangs = executable(self.folder / "hangs", "#!/bin/sh\nbegun=begun-$SLURM_JOB_ID-$PMIX_RANK\n"
                           "[ -e $begun ] || export FERRY_TEST_FAULT=hang:1:denoise\n"
                           f'touch $begun\nexec {BINARY} "$@"\n')
        for options in ((), ("--nodes=2", "--gpus-per-node=1")):
            job = self.submit("generate.sbatch", "a red circle", *flags(TINY), options=options, env={"FERRY": str(hangs)})
            self.await_log(job, "load dit")
            self.slurm("scancel", "--signal=TERM", job)
            self.assert_requeued(job)
            self.assertNotIn("resuming", self.log(job))


class Batch(SlurmTest):
    def manifest(self, lines):
        path = self.folder / "x.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" if line else "\n" for line in lines))
        return path

    def test_an_array_shares_the_lines(self):
        manifest = self.manifest([{"prompt": "a red circle"}, {"prompt": "a blue square"}, {"prompt": "x", "size": "65x64"},
                                  None, {"prompt": "a boat"}, {"prompt": "a cat", "out": "cat.mp4"}])
        job = self.submit("batch.sbatch", manifest, *flags(TINY), options=["--array=3-7:2"])
        states = {task["ArrayTaskId"]: task["JobState"] for task in self.end_of(job)}
        self.assertEqual(states, {"3": "COMPLETED", "5": "COMPLETED", "7": "FAILED"}, self.log(job))
        self.assertEqual(sorted(path.name for path in self.folder.glob("*.mp4")),
                         ["cat.mp4", "line-0001.mp4", "line-0002.mp4", "line-0005.mp4"])
        (failed,) = (self.folder / "x.jsonl.3-of-3.failed.jsonl").read_text().splitlines()
        self.assertEqual(json.loads(failed)["line"], 3)

    def test_groups_of_one_job(self):
        manifest = self.manifest([{"prompt": "a red circle"}, {"prompt": "a blue square"}])
        job = self.submit("batch.sbatch", manifest, "--data", 2, *flags(TINY))
        self.ended(job)
        self.assertEqual(sorted(path.name for path in self.folder.glob("*.mp4")), ["line-0001.mp4", "line-0002.mp4"])
        self.assertEqual(len(json.loads((self.folder / "line-0001.json").read_text())["ranks"]), 1)

    def test_one_of_an_array_is_stopped_and_goes_on(self):
        """Also where its number is the array's."""
        manifest = self.manifest([{"prompt": "a red circle"}, {"prompt": "a blue square"}])
        job = self.submit("batch.sbatch", manifest, *flags(LONG), options=["--array=1-2"])
        until(lambda: all(task["JobState"] == "RUNNING" for task in self.tasks_of(job)))
        (task,) = [task["ArrayTaskId"] for task in self.tasks_of(job) if task["JobId"] == job]
        self.await_log(f"{job}_{task}", "load dit")
        self.slurm("scancel", "--signal=TERM", f"{job}_{task}")
        restarts = {each["ArrayTaskId"]: each["Restarts"] for each in self.ended(job)}
        self.assertEqual(restarts, {"1": "0", "2": "0", task: "1"}, self.log(job))
        self.assertEqual(len(list(self.folder.glob("*.mp4"))), 2)


class Scaling(SlurmTest):
    def setUp(self):
        super().setUp()
        self.rows = self.folder / "rows.jsonl"
        self.grid = self.folder / "grid.cfg"
        self.write_grid("64x64", "none, async")

    def write_grid(self, size, types):
        self.grid.write_text(f"[grid]\ntype = {types}\nframes = 5, 9\n[model]\npath = {DEMO}\ndevice = cpu\n[job]\nsize = {size}\n")

    def scale(self, *options):
        return self.submit("scaling.sbatch", self.grid, self.rows, "--samples", 1, "--warmups", 1, options=options)

    def measured(self, job):
        """The cells that it has begun and those that it has done, by what its log calls them."""
        log = self.log(job)
        return re.findall("^sweep: .*; next: (.*)$", log, re.MULTILINE), re.findall("^sweep: .* done: (.*): .* s a step", log, re.MULTILINE)

    def test_an_array_measures_each_cell_once(self):
        # While the lock for appending is held here, the two that run at a time have a cell each.
        with (self.folder / "rows.jsonl.lock").open("w") as held:
            fcntl.lockf(held, fcntl.LOCK_EX, 1, 0)
            job = self.scale("--array=1-4")
            self.assertTrue(until(lambda: len(self.measured(job)[0]) == 2), self.log(job))
            self.assertEqual(self.rows.read_text(), "")
        self.ended(job)
        begun, done = self.measured(job)
        self.assertEqual((len(set(begun)), sorted(begun)), (4, sorted(done)), self.log(job))
        rows = [json.loads(row) for row in self.rows.read_text().splitlines()]
        self.assertEqual(sorted((row["type"], row["frames"]) for row in rows), [("async", 5), ("async", 9), ("none", 5), ("none", 9)])
        self.assertTrue(all(row["step_s"] > 0 for row in rows))

    def test_one_that_is_stopped_goes_on(self):
        """By a user, and by the warning before the time is up; without a row of the cell that was given up."""
        for how in (["--full", "--signal=TERM"], ["--batch", "--signal=USR1"]):
            self.write_grid("1024x1024", "none")
            job = self.scale()
            self.await_log(job, "; next: ")
            self.write_grid("64x64", "none")
            self.slurm("scancel", *how, job)
            self.assert_requeued(job)
            self.assertEqual([json.loads(row)["size"] for row in self.rows.read_text().splitlines()], 2 * ["64x64"])
            self.rows.unlink()

    def test_one_that_is_stopped_before_it_catches_signals_goes_on(self):
        """A program that is still being loaded: USR1 ends it."""
        loading = executable(self.folder / "loading", f"#!/bin/sh\n[ -e begun ] && exec {BINARY} \"$@\"\n"
                             "touch begun\nexec sleep 60\n")
        job = self.submit("scaling.sbatch", self.grid, self.rows, "--samples", 1, "--warmups", 1, env={"FERRY": str(loading)})
        self.assertTrue(until(lambda: any(b"sleep\x0060\0" in line for line in processes_of(self.cluster))))
        self.slurm("scancel", "--batch", "--signal=USR1", job)
        self.assert_requeued(job)
        self.assertEqual(len(self.rows.read_text().splitlines()), 4)

    def test_what_is_wrong_is_said(self):
        for words in ((), (self.grid,)):
            job = self.submit("scaling.sbatch", *words)
            self.ended(job, "FAILED", "1:0")
            self.assertIn("usage: sbatch slurm/scaling.sbatch GRID RESULTS", self.log(job))
        self.grid.write_text(f"[grid]\nranks = none\n[model]\npath = {DEMO}\n")
        job = self.scale()
        self.ended(job, "FAILED", "2:0")
        self.assertRegex(self.log(job), "(?m)^ferry: .*grid.ranks: 'none'")
        self.assertFalse(self.rows.exists())


class Cluster(FerryTest):
    def test_stop_leaves_nothing_of_the_daemons_and_of_jobs(self):
        cluster = self.folder / (100 * "x")  # more than the name of a socket may have
        self.addCleanup(tool, "stop", cluster)
        for _ in range(2):
            started = tool("start", cluster)
            self.assertEqual(started.returncode, 0, started.stderr)
            env = {**os.environ, **exports_of(started.stdout)}
            job = subprocess.Popen(["srun", "--ntasks=2", "sh", "-c", "trap '' TERM; sleep 300 & exec sleep 301"], env=env,
                                   stderr=subprocess.DEVNULL)
            self.addCleanup(job.wait)
            self.addCleanup(job.kill)
            sleeping = [b"sleep\x00300\0", b"sleep\x00301\0"]
            self.assertTrue(until(lambda: sorted(line for line in processes_of(cluster) if line in sleeping) ==
                                  sorted(2 * sleeping)), processes_of(cluster))
            self.assertIn("runs in", tool("start", cluster).stderr)
            begin = time.monotonic()
            stopped = tool("stop", cluster)
            self.assertEqual(stopped.returncode, 0, stopped.stderr)
            self.assertLess(time.monotonic() - begin, STOP_S)
            self.assertEqual(processes_of(cluster), [])

    def test_what_cannot_be_started_is_said(self):
        (self.folder / "mine").touch()
        for words, line in ((("start", self.folder), "is not empty"), (("start", self.folder / "a b"), "white space"),
                            (("start",), "usage:"), (("restart", self.folder), "usage:")):
            done = tool(*words)
            self.assertEqual(done.returncode, 1)
            self.assertIn(line, done.stderr)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["mine"])


if __name__ == "__main__":
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed (slurm-wlm, munge)")
        sys.exit(SKIPPED)
    unittest.main()
