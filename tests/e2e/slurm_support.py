"""Jobs under a Slurm of their own (tools/slurm_cluster.sh), for slurm_test.py."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

from launcher_support import BINARY, DEMO, SOURCE, FerryTest, read_safetensors

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch"]
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
TOOL = SOURCE / "tools" / "slurm_cluster.sh"
PATIENCE_S = 90
TINY = {"device": "cpu", "size": "64x64", "frames": 5, "steps": 2, "seed": 1}
# A step takes a tenth of a second, so it can be stopped between two.
LONG = {**TINY, "size": "128x128", "frames": 9, "steps": 20}
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
# What CTest sets for tests that start mpirun themselves would undo what the scripts ask for.
LEFT_OUT = {"OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_rmaps_base_oversubscribe", "OMP_NUM_THREADS"}


def tool(*words):
    """With OMP_NUM_THREADS, which must change nothing: some shells have it."""
    return subprocess.run([str(TOOL), *map(str, words)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})


def processes_of(folder):
    """All that run because of a cluster."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            step = (process / "comm").read_text() == "slurmstepd\n" and str(folder) in os.readlink(process / "cwd")
            if step or f"FERRY_SLURM_CLUSTER={folder}".encode() in variables:
                found.append((process / "cmdline").read_bytes())
        except OSError:
            pass
    return found


def exports_of(text):
    """{name: value} of lines `export NAME=VALUE`."""
    return dict(re.fullmatch(r"export (\w+)=(.*)", line).groups() for line in text.splitlines())


def flags(options, **changed):
    return [word for name, value in {**options, **changed}.items() for word in (f"--{name}", value)]


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def until(condition, patience=PATIENCE_S):
    """What it returns once that is true, or when patience ends."""
    end = time.monotonic() + patience
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


class SlurmTest(FerryTest):
    """Each test calls sbatch in a folder that has all that the scripts expect there, and nothing else."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = pathlib.Path(subprocess.check_output(["mktemp", "-d", "/tmp/ferry-slurm-XXXXXX"], text=True).strip())
        cls.addClassCleanup(shutil.rmtree, cls.cluster)
        cls.addClassCleanup(tool, "stop", cls.cluster)
        started = tool("start", cls.cluster)
        assert started.returncode == 0, started.stderr
        cls.exports = exports_of(started.stdout)

    def setUp(self):
        super().setUp()
        for name, target in (("slurm", SOURCE / "slurm"), ("configs", SOURCE / "configs"), ("Wan2.1-T2V-14B", DEMO)):
            (self.folder / name).symlink_to(target)
        (self.folder / "build" / "launcher").mkdir(parents=True)
        (self.folder / "build" / "launcher" / "ferry").symlink_to(BINARY)

    def slurm(self, *words, env=None, code=0):
        """What a command says, on stderr if it fails."""
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S, cwd=self.folder,
                              env={**kept, **self.exports, **(env or {})})
        self.assertEqual(done.returncode, code, f"{words}: {done.stderr}")
        return (done.stderr if code else done.stdout).strip()

    def submit(self, script, *words, options=(), env=None):
        """The job's number; --gpus-per-node is 2."""
        return self.slurm("sbatch", "--parsable", "--gpus-per-node=2", *options, self.folder / "slurm" / script, *words,
                          env=env)

    def tasks_of(self, job):
        """What Slurm says of a job, or of each of an array."""
        lines = self.slurm("scontrol", "--oneliner", "show", "job", job).splitlines()
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]

    def end_of(self, job):
        """Waits for a job, or all of an array, to end; what Slurm says then, by task."""
        tasks = until(lambda: all(task["JobState"] in ENDED for task in self.tasks_of(job)) and self.tasks_of(job))
        self.assertTrue(tasks, f"{self.tasks_of(job)} {self.log(job)}")
        return tasks

    def ended(self, job, state="COMPLETED", code="0:0"):
        """The same, and that all ended like this."""
        tasks = self.end_of(job)
        self.assertEqual({(task["JobState"], task["ExitCode"]) for task in tasks}, {(state, code)}, self.log(job))
        return tasks

    def log(self, job):
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"ferry*-{job}*.log")))

    def await_log(self, job, pattern):
        def found():
            return re.search(pattern, self.log(job), re.MULTILINE)

        until(lambda: found() or all(task["JobState"] in ENDED for task in self.tasks_of(job)))
        self.assertTrue(found(), self.log(job))

    def codes(self, job):
        return re.findall(r"^exit code (\d+)", self.log(job), re.MULTILINE)

    def assert_requeued(self, job):
        self.assertEqual(self.ended(job)[0]["Restarts"], "1", self.log(job))
        self.assertEqual(self.codes(job), ["75", "0"], self.log(job))

    def record(self, job):
        return json.loads((self.folder / f"ferry-{job}.json").read_text())

    def tensor(self, path, name="latents"):
        header, data = read_safetensors(self.folder / path)
        begin, end = header[name]["data_offsets"]
        return data[begin:end]
