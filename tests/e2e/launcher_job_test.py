"""`ferry -n`: one job of mpirun and its ranks under the first process, however it ends."""

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time
import unittest
import unittest.mock

from launcher_support import BINARY, DEMO, FerryTest, ferry

GONE_S = 5  # all ranks are, after whatever ended the job
STOPPED = 75  # exit code of a job that saved its state
PATIENCE_S = 60  # for what takes a second on a machine that is free


def wait_until(condition, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def stat(process):
    """State letter and parent of a process; None when there is none."""
    try:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1])


def children(parent):
    found = [int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*")]
    return [p for p in found if (stat(p) or ("", 0))[1] == parent]


def running(process):
    return (stat(process) or ("Z",))[0] not in "ZX"


def unloaded(environment):
    """The environment with one OpenMP thread a rank: jobs that start at once on two cores do not wait for each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **environment}


class JobTest(FerryTest):
    def words(self, *arguments):
        return [BINARY, "generate", "--model", DEMO, "--prompt", "a red circle", "--out", self.folder / "x.mp4",
                "--steps", "1000", "--size", "256x256", *arguments]

    def start(self, *arguments, ranks=2):
        """A job that would take minutes; returns when its ranks are at work."""
        log = open(self.folder.parent / (self.folder.name + f".{len(self.jobs)}.log"), "w+")
        self.addCleanup(os.unlink, log.name)
        self.addCleanup(log.close)
        job = subprocess.Popen(list(map(str, self.words(*(["-n", ranks] if ranks > 1 else []), *arguments))),
                               stdout=log, stderr=log, stdin=subprocess.PIPE, env=unloaded({}))
        self.jobs.append(job)
        self.addCleanup(job.stdin.close)
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        job.text = lambda: pathlib.Path(log.name).read_text()
        self.assertTrue(wait_until(lambda: "load dit" in job.text()), job.text())
        return job

    def setUp(self):
        super().setUp()
        self.jobs = []

    def processes(self, job):
        """mpirun and the ranks."""
        (mpirun,) = [p for p in children(job.pid)]
        ranks = sorted(children(mpirun))
        self.assertEqual(len(ranks), 2)
        return mpirun, ranks

    def assert_gone(self, processes):
        gone = wait_until(lambda: not any(map(running, processes)), GONE_S)
        self.assertTrue(gone, [(p, stat(p)) for p in processes])

    def assert_ends(self, number, ranks):
        job = self.start(ranks=ranks)
        family = [p for child in children(job.pid) for p in (child, *children(child))]
        self.assertEqual(len(family), 3 if ranks > 1 else 0)
        job.send_signal(number)
        self.assertEqual(job.wait(GONE_S), 128 + number, job.text())
        self.assert_gone(family)
        said = [line for line in job.text().splitlines() if "ended by" in line]
        self.assertEqual(said, [f"ferry: ended by {number.name}"])
        self.assertEqual(list(self.folder.iterdir()), [])

    def assert_stops(self, number, ranks):
        job = self.start(ranks=ranks)
        family = [p for child in children(job.pid) for p in (child, *children(child))]
        job.send_signal(number)
        self.assertEqual(job.wait(GONE_S), STOPPED, job.text())
        self.assert_gone(family)
        state = self.folder / ".x.mp4.state"
        left = [state] if "the state after" in job.text() else []
        self.assertEqual(list(self.folder.iterdir()), left)
        state.unlink(missing_ok=True)


class Family(JobTest):
    def test_mpirun_is_a_child_in_a_group_of_its_own_and_reads_nothing(self):
        job = self.start()
        mpirun, ranks = self.processes(job)
        self.assertEqual(os.readlink(f"/proc/{mpirun}/exe"), os.path.realpath(subprocess.check_output(
            ["sh", "-c", "command -v mpirun"], text=True).strip()))
        self.assertEqual(os.getpgid(mpirun), mpirun)
        self.assertEqual(os.getpgid(job.pid), os.getpgid(0))
        self.assertEqual(os.readlink(f"/proc/{mpirun}/fd/0"), "/dev/null")

    def test_a_job_that_is_started_with_signals_blocked_blocks_none(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
        self.addCleanup(signal.pthread_sigmask, signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT])
        job = self.start()
        mpirun, ranks = self.processes(job)
        for process in (job.pid, mpirun, *ranks):
            blocked = re.search(r"SigBlk:\s*(\w+)", pathlib.Path(f"/proc/{process}/status").read_text())[1]
            self.assertEqual(int(blocked, 16), 0)

    def test_every_prompt_of_a_loop_that_reads_a_file_is_made(self):
        prompts = self.folder / "prompts.txt"
        prompts.write_text("a blue square\na red circle\n")
        for command in ("generate -n 2", "demo"):
            script = f"""n=0; while read -r prompt; do n=$((n+1))
              "$FERRY_BINARY" {command} --model "{DEMO}" --prompt "$prompt" --steps 1 --out "{self.folder}/$n.mp4" --overwrite
              done < "{prompts}" """
            done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE_S * 2,
                                  env=unloaded({}))
            self.assertEqual(sorted(p.name for p in self.folder.glob("*.mp4")), ["1.mp4", "2.mp4"], done.stderr)
            for video in self.folder.glob("*.mp4"):
                video.unlink()


    def test_ranks_are_launched_in_an_empty_environment(self):
        done = subprocess.run([BINARY, *map(str, ["generate", "-n", 2, "--model", DEMO, "--prompt", "a red circle", "--steps", 1,
                               "--out", self.folder / "x.mp4"])], capture_output=True, text=True, timeout=PATIENCE_S, env={})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_a_shell_had_started_before_it_became_the_job_is_left_alone(self):
        script = 'sleep 300 & echo $! > "$0/other"; exec "$@"'
        done = subprocess.run(["bash", "-c", script, self.folder, BINARY, "generate", "-n", "2", "--model", DEMO, "--prompt",
                               "a red circle", "--steps", "1", "--out", self.folder / "x.mp4"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=PATIENCE_S, env=unloaded({}))
        other = int((self.folder / "other").read_text())
        self.assertTrue(running(other))
        os.kill(other, signal.SIGKILL)
        self.assertEqual(done.returncode, 0)


class Deaths(JobTest):
    def test_sigkill_of_the_first_process_ends_all(self):
        job = self.start()
        mpirun, ranks = self.processes(job)
        job.kill()
        self.assert_gone([mpirun, *ranks])

    def test_sigkill_of_the_first_process_ends_ranks_that_are_stopped(self):
        job = self.start()
        mpirun, ranks = self.processes(job)
        for process in [*ranks, mpirun]:
            os.kill(process, signal.SIGSTOP)
        job.kill()
        self.assert_gone([mpirun, *ranks])

    def test_sigkill_of_mpirun_ends_all_with_its_code(self):
        job = self.start()
        mpirun, ranks = self.processes(job)
        os.kill(mpirun, signal.SIGKILL)
        self.assert_gone([job.pid, *ranks])
        self.assertEqual(job.wait(), 128 + signal.SIGKILL)
        self.assertIn("mpirun was ended by SIGKILL", job.text())

    def test_a_rank_that_dies_by_a_signal_gives_its_code(self):
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            job = self.start()
            mpirun, ranks = self.processes(job)
            os.kill(ranks[1], number)
            self.assertEqual(job.wait(20), 128 + number, job.text())
            self.assertIn(f"a rank was ended by {number.name}", job.text())
            self.assert_gone([mpirun, *ranks])

    def test_interrupt_ends_and_terminate_stops_a_job_of_ranks(self):
        self.assert_ends(signal.SIGINT, ranks=2)
        self.assert_stops(signal.SIGTERM, ranks=2)

    def test_hangup_and_quit_end_a_job_of_ranks(self):
        for number in (signal.SIGHUP, signal.SIGQUIT):
            self.assert_ends(number, ranks=2)

    def test_user_signals_stop_or_end_a_job_of_ranks(self):
        self.assert_stops(signal.SIGUSR1, ranks=2)
        self.assert_ends(signal.SIGUSR2, ranks=2)

    def test_the_same_signals_end_or_stop_one_process(self):
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2):
            self.assert_ends(number, ranks=1)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            self.assert_stops(number, ranks=1)

    def test_a_job_that_is_stopped_can_be_ended(self):
        job = self.start()
        mpirun, ranks = self.processes(job)
        job.send_signal(signal.SIGTSTP)
        self.assertTrue(wait_until(lambda: all(stat(p)[0] == "T" for p in [job.pid, mpirun, *ranks])))
        job.send_signal(signal.SIGTERM)
        job.send_signal(signal.SIGCONT)
        self.assertEqual(job.wait(GONE_S), STOPPED)
        self.assert_gone([mpirun, *ranks])

    def test_time_in_which_the_job_was_stopped_is_no_rank_that_is_late(self):
        job = self.start("--run.deadline_s", 3)
        family = [job.pid, *children(job.pid), *self.processes(job)[1]]
        job.send_signal(signal.SIGTSTP)
        self.assertTrue(wait_until(lambda: all(stat(p)[0] == "T" for p in family)))
        time.sleep(5)
        job.send_signal(signal.SIGCONT)
        time.sleep(2)
        self.assertIsNone(job.poll(), job.text())
        self.assertTrue(all(stat(p)[0] in "RSD" for p in family), [stat(p) for p in family])

    def test_a_rank_whose_mpirun_died_while_it_was_loaded_ends_at_once(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        for words in (["--version"], self.words()[1:]):
            done = ferry(*words, env={"FERRY_MPIRUN": str(gone.pid)}, timeout=PATIENCE_S)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", ""))

    def test_ranks_that_end_before_mpi_works_do_not_end_without_a_word(self):
        words = ["generate", "-n", 2, "--model", DEMO, "--prompt", "x", "--out", self.folder / "x.mp4"]
        done = ferry(*words, env={"OMPI_MCA_btl": "tcp"})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^ferry: a rank ended with exit code 1 and said nothing; .*execute_quiet=0")
        done = ferry(*words, env={"OMPI_MCA_btl": "tcp", "OMPI_MCA_orte_execute_quiet": "0"})
        self.assertEqual(done.returncode, 1, done.stderr)
        # Open MPI 4.1 loses its help texts now and then, to an error of its own on a busy machine.
        self.assertRegex(done.stderr, "BTLs attempted: tcp|MPI_INIT has failed|error occurred in MPI_Init")

    def test_nohup_keeps_a_job_when_its_terminal_goes(self):
        for ranks in (1, 2):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self.addCleanup(signal.signal, signal.SIGHUP, signal.SIG_DFL)
            job = self.start(ranks=ranks)
            job.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            self.assertIsNone(job.poll())
            job.kill()


class Threads(JobTest):
    """A thread that the program did not make takes signals in every process of it (tests/support/stray_thread.cpp)."""

    def setUp(self):
        super().setUp()
        preload = unittest.mock.patch.dict(os.environ, LD_PRELOAD=os.environ["FERRY_STRAY_THREAD"])
        preload.start()
        self.addCleanup(preload.stop)

    def make(self, model=DEMO, **environment):
        """The exit code of a job of two ranks: 2 where they, who alone look, find no model in the folder."""
        words = ["generate", "-n", 2, "--model", model, "--prompt", "a red circle", "--steps", 1,
                 "--out", self.folder / "x.mp4", "--overwrite"]
        return ferry(*words, env=environment, timeout=PATIENCE_S).returncode

    def test_the_thread_is_there(self):
        job = self.start()
        self.assertIn("stray", {pathlib.Path(f"/proc/{job.pid}/task/{thread}/comm").read_text().strip()
                                for thread in os.listdir(f"/proc/{job.pid}/task")})

    def test_every_job_returns_its_code(self):
        self.assertEqual(self.make(), 0)
        self.assertEqual([self.make(self.folder) for _ in range(6)], [2] * 6)

    def test_every_job_returns_its_code_where_the_kernel_has_no_pidfd(self):
        self.assertEqual(self.make(STRAY_NO_PIDFD="1"), 0)
        self.assertEqual([self.make(self.folder, STRAY_NO_PIDFD="1") for _ in range(2)], [2] * 2)

    def test_mpirun_starts_while_the_thread_sets_the_environment(self):
        self.assertEqual([self.make(self.folder, STRAY_SETS="1") for _ in range(2)], [2] * 2)

    def test_signals_stop_or_end_a_job_of_ranks_and_one_process(self):
        for ranks in (1, 2):
            self.assert_ends(signal.SIGINT, ranks)
            self.assert_stops(signal.SIGTERM, ranks)

    test_sigkill_of_the_first_process_ends_all = Deaths.test_sigkill_of_the_first_process_ends_all
    test_a_job_that_is_stopped_can_be_ended = Deaths.test_a_job_that_is_stopped_can_be_ended


class Readers(JobTest):
    """What takes the log goes away."""

    def make(self, *arguments, tail):
        script = f'set -o pipefail; "$@" {tail}'
        return subprocess.run(["bash", "-c", script, "bash", BINARY, *map(str, arguments)], capture_output=True,
                              text=True, timeout=PATIENCE_S, env=unloaded({}))

    def test_a_reader_that_goes_costs_no_run(self):
        for ranks in ([], ["-n", 2]):
            for tail in ("2>&1 | head -1", "2>&1 | true", "2>&- >&- <&-"):
                video = self.folder / "x.mp4"
                done = self.make("generate", *ranks, "--model", DEMO, "--prompt", "a red circle", "--steps", 2, "--out",
                                 video, "--run.log_level", "debug", tail=tail)
                self.assertEqual(done.returncode, 0, (ranks, tail, done.stderr))
                self.assertGreater(video.stat().st_size, 1000)
                for file in self.folder.iterdir():
                    file.unlink()

    def test_other_commands_end_well_too(self):
        self.assertEqual(self.make("inspect", "--tensors", DEMO, tail="| true").returncode, 0)
        self.assertEqual(self.make("make-model", self.folder / "m", "--parts", "vae", tail="| true").returncode, 0)
        self.assertEqual(self.make("demo", "--model", DEMO, "--steps", 1, "--out", self.folder / "d.mp4",
                                   tail="2>&1 | true").returncode, 0)

    def test_a_result_that_stdout_cannot_take_is_an_error(self):
        done = self.make("inspect", "--json", DEMO, tail="> /dev/full")
        self.assertEqual(done.returncode, 1)
        self.assertIn("stdout", done.stderr)


class Terminal(JobTest):
    """A shell with job control on a terminal of its own."""

    def open_shell(self):
        self.shell, self.terminal = pty.fork()
        if self.shell == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], unloaded({"PS1": "$ ", "TERM": "dumb"}))
        self.seen = ""
        self.addCleanup(os.waitpid, self.shell, 0)
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(os.kill, self.shell, signal.SIGKILL)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def read_until(self, text):
        end = time.monotonic() + PATIENCE_S
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
        self.assertIn(text, self.seen)
        before, _, self.seen = self.seen.partition(text)
        return before

    def begin(self, background=""):
        self.open_shell()
        command = " ".join(f"'{word}'" for word in self.words("-n", "2"))
        self.type(f"stty tostop -echo; {command} {background}\n")

    def family(self):
        (first,) = children(self.shell)
        (mpirun,) = children(first)
        return [first, mpirun, *children(mpirun)]

    def test_ctrl_c_ends_the_job(self):
        self.begin()
        self.read_until("load dit")
        family = self.family()
        self.type("\x03")
        self.read_until("ended by SIGINT")
        self.type("echo code=$?\n")
        self.read_until("code=130")
        self.assert_gone(family)

    def test_ctrl_z_stops_the_job_and_fg_goes_on(self):
        self.begin()
        self.read_until("load dit")
        family = self.family()
        self.assertEqual(len(family), 4)
        self.type("\x1a")
        self.assertTrue(wait_until(lambda: all(stat(p)[0] == "T" for p in family)), [stat(p) for p in family])
        self.read_until("Stopped")
        self.type("fg\n")
        self.assertTrue(wait_until(lambda: all(stat(p)[0] != "T" for p in family)), [stat(p) for p in family])
        self.read_until("step")
        self.type("\x1c")  # SIGQUIT
        self.read_until("ended by SIGQUIT")
        self.assert_gone(family)

    def test_a_job_in_the_background_is_stopped_by_its_own_output_only_where_the_terminal_says_so(self):
        self.begin("&")
        self.assertTrue(wait_until(lambda: children(self.shell)))
        (first,) = children(self.shell)
        self.assertTrue(wait_until(lambda: stat(first)[0] == "T"))  # stty tostop
        self.type("stty -tostop; fg\n")
        self.read_until("load dit")
        family = self.family()
        self.type("\x03")
        self.read_until("ended by SIGINT")
        self.assert_gone([first, *family])

    def test_the_end_of_the_terminal_ends_the_job(self):
        self.begin()
        self.read_until("load dit")
        family = self.family()
        os.kill(self.shell, signal.SIGKILL)
        self.assert_gone(family)


if __name__ == "__main__":
    unittest.main()
