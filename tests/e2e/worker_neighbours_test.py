"""Several jobs on one node: they do not meet; and what stays of one whose processes are all killed at once."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

from launcher_support import BINARY, DEMO, FerryTest, read_safetensors, state_of

PATIENCE_S = 60
NOBODY = 65534
JOB = {"prompt": "a red circle", "size": "80x48", "frames": 5, "steps": 3, "guidance": 1}
# Of a run that is killed in a stage: where rank 0 stops to be killed.
PLACES = {"load": "load", "text": "text", "denoise": "denoise:2", "decode": "decode", "encode": "encode",
          "write": "write"}
RESULTS = ["x.json", "x.mp4", "x.png"]
# What Open MPI keeps outside of the job, with user and job in the name: its ranks' shared memory, and mpirun's folder.
OF_OPEN_MPI = re.compile(r"/dev/shm/vader_segment\.|.*/ompi\.[^/]+/pid\.\d+/")


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def environment_of(process):
    try:
        entries = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


def processes_of(mark):
    """By process: its rank, or None for a parent of ranks."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        environment = environment_of(folder.name)
        if environment.get(b"FERRY_TEST_JOB") == mark.encode() and state_of(folder.name) != "Z":
            rank = environment.get(b"OMPI_COMM_WORLD_RANK")
            found[int(folder.name)] = None if rank is None else int(rank)
    return found


def names_outside(processes):
    """Paths of mapped and open files that are in the node's common folders, and abstract sockets."""
    paths, sockets = set(), set()
    for process in processes:
        root = pathlib.Path(f"/proc/{process}")
        links = [os.readlink(link) for link in root.glob("fd/*") if link.is_symlink()]
        sockets |= {link[8:-1] for link in links if link.startswith("socket:")}
        maps = re.findall(r"\s(/\S+)$", (root / "maps").read_text(), re.MULTILINE)
        paths |= {path for path in (*links, *maps) if path.startswith(("/dev/shm/", "/tmp/", "/var/tmp/", "/run/"))}
    table = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]]
    return paths, {row[7] for row in table if len(row) > 7 and row[6] in sockets and row[7].startswith("@")}


def bound_sockets():
    lines = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()]
    return {line[7] for line in lines if len(line) > 7}


class Neighbours(FerryTest):
    def command(self, folder, *options):
        words = [word for key, value in JOB.items() for word in ("--" + key, value)]
        return [str(word) for word in (BINARY, "generate", "-n", 2, "--device", "cpu", "--model", DEMO, *words,
                                       "--out", folder / "x.mp4", *options)]

    def start(self, folder, *options, before=(), env=None):
        folder.mkdir(exist_ok=True)
        log = open(self.folder / f"{folder.name}.log", "w+")
        self.addCleanup(log.close)
        job = subprocess.Popen([*before, *self.command(folder, *options)], stdout=log, stderr=log,
                               env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})})
        job.text = lambda: pathlib.Path(log.name).read_text()
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        return job

    def finish(self, job):
        self.assertEqual(job.wait(PATIENCE_S), 0, job.text())

    def two_at_once(self, **second):
        """Two jobs that go through the same stages side by side, against the same two after each other."""
        seeds = {"first": 3, "second": 17}
        arguments = {name: ["--seed", seed, "--save", self.folder / name / "x.safetensors"]
                     for name, seed in seeds.items()}
        folders = {name: self.folder / name for name in seeds}
        for folder in folders.values():
            folder.mkdir()
            folder.chmod(0o777)
        self.folder.chmod(0o755)
        alone = {}
        for name, folder in folders.items():
            self.finish(self.start(folder, *arguments[name]))
            alone[name] = read_safetensors(folder / "x.safetensors")
            for result in folder.iterdir():
                result.unlink()
        jobs = [self.start(folders["first"], *arguments["first"]),
                self.start(folders["second"], *arguments["second"], **second)]
        for job in jobs:
            self.finish(job)
        for name, folder in folders.items():
            self.assertEqual(read_safetensors(folder / "x.safetensors"), alone[name], name)
        self.assertNotEqual(*alone.values())
        return folders["second"]

    def test_two_jobs_at_once(self):
        self.two_at_once()

    def test_two_jobs_of_two_users_at_once(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("only root starts a job of another user, with setpriv")
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        tried = subprocess.run([*as_nobody, BINARY, "--version"], capture_output=True, text=True)
        if tried.returncode != 0:
            self.skipTest(f"another user cannot run the program: {tried.stderr.strip()}")
        made = self.two_at_once(before=as_nobody, env={"HOME": "/"})
        self.assertEqual({path.stat().st_uid for path in made.iterdir()}, {NOBODY})

    def kill_all_in(self, stage):
        """Kills every process of a job at once, with rank 0 in `stage`; its folder, and what it had outside of that."""
        folder = self.folder / stage
        mark = str(folder)
        job = self.start(folder, "--seed", 3,
                         env={"FERRY_TEST_FAULT": f"stop:0:{PLACES[stage]}", "FERRY_TEST_JOB": mark})

        def stopped():
            self.assertIsNone(job.poll(), job.text())
            return any(rank == 0 and state_of(process) == "T" for process, rank in processes_of(mark).items())

        self.assertTrue(wait_until(stopped), job.text())
        processes = processes_of(mark)
        self.assertEqual(sorted(str(rank) for rank in processes.values()), ["0", "1", "None", "None"])
        outside = names_outside(processes)
        for process in processes:
            os.kill(process, signal.SIGKILL)
        job.wait()
        self.assertTrue(wait_until(lambda: all(state_of(process) == "Z" for process in processes)))
        return folder, *outside

    def test_what_stays_when_all_are_killed(self):
        for stage in PLACES:
            with self.subTest(stage=stage):
                folder, paths, sockets = self.kill_all_in(stage)
                self.assertTrue(any("vader_segment" in path for path in paths), paths)
                self.assertTrue(sockets, "the names of the results are held")
                # A killed process has none once the last of its threads has ended.
                self.assertTrue(wait_until(lambda: not sockets & bound_sockets()), sockets & bound_sockets())
                left = {path for path in paths if pathlib.Path(path).exists() and not path.startswith(str(self.folder))}
                self.assertEqual([path for path in left if not OF_OPEN_MPI.match(path)], [])
                folders = {re.match(r".*/ompi\.[^/]+/pid\.\d+", path)[0] for path in left if "/ompi." in path}
                print(f"{stage}: in the folder {sorted(path.name for path in folder.iterdir())}; of Open MPI "
                      f"{sorted(folders)}, {sorted(path for path in left if 'vader' in path)}", flush=True)
                # Nobody else does.
                for path in left:
                    pathlib.Path(path).unlink()
                for path in folders:
                    shutil.rmtree(path)
                self.finish(self.start(folder, "--seed", 3))
                self.assertEqual(sorted(path.name for path in folder.iterdir()), RESULTS)


if __name__ == "__main__":
    unittest.main()
