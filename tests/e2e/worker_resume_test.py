"""A run that is told to stop, or dies, is gone on with by the same command, to the same bits."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time
import unittest

from launcher_support import BINARY, DEMO, FerryTest, change_tensors, ferry, read_safetensors

PROMPT = "a red circle moving right on a black background"
STEPS = 12
MOMENTS = int(os.environ.get("FERRY_TEST_MOMENTS", "3"))  # at which a run is stopped
REQUEUE = 75
PATIENCE_S = 60
MPIRUN = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "--oversubscribe"]


def tensor(path, name):
    header, data = read_safetensors(path)
    begin, end = header[name]["data_offsets"]
    return data[begin:end]


class ResumeTest(FerryTest):
    def words(self, *arguments, ranks=1, **options):
        """A command; `options` are flags without their dashes, None: not given."""
        given = {"model": DEMO, "prompt": PROMPT, "steps": STEPS, "seed": 1, "size": "96x96", "frames": 9,
                 "out": self.folder / "x.mp4", "save": self.folder / "x.safetensors", **options}
        flags = [word for key, value in given.items() if value is not None for word in (f"--{key}", value)]
        return list(map(str, ["generate", *(["-n", ranks] if ranks > 1 else []), *flags, *arguments]))

    def start(self, *arguments, at="", launcher=(), env=None, **options):
        """A run in the background that has said `at`, a regular expression."""
        log = open(self.folder.parent / f"{self.folder.name}.{time.monotonic_ns()}.log", "w+")
        self.addCleanup(os.unlink, log.name)
        self.addCleanup(log.close)
        job = subprocess.Popen([*launcher, BINARY, *self.words(*arguments, **options)], stdout=log, stderr=log,
                               env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})})
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        job.text = lambda: pathlib.Path(log.name).read_text()
        end = time.monotonic() + PATIENCE_S
        while not re.search(at, job.text()) and job.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        self.assertTrue(re.search(at, job.text()), job.text())
        return job

    def code_of(self, job):
        return job.wait(PATIENCE_S)

    def finish(self, *arguments, **options):
        """The same command, to its end."""
        done = ferry(*self.words(*arguments, **options))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def names(self):
        return sorted(p.name for p in self.folder.iterdir())

    def take_results(self):
        """Latents and frames of a run; then nothing of it is left."""
        self.assertEqual(self.names(), ["x.json", "x.mp4", "x.png", "x.safetensors"])
        made = [tensor(self.folder / "x.safetensors", name) for name in ("latents", "frames", "noise", "positive")]
        for path in self.folder.iterdir():
            path.unlink()
        return made

    def stop(self, *arguments, number=signal.SIGTERM, after=3, **options):
        """A run that is stopped behind a step after `after`; what it said."""
        job = self.start("--run.save_every", 1, *arguments, at=f"the state after {after} steps", **options)
        job.send_signal(number)
        self.assertEqual(self.code_of(job), REQUEUE, job.text())
        return job.text()


class SameBits(ResumeTest):
    def test_stopped_at_random_moments(self):
        seed = random.randrange(1 << 30)
        moments = random.Random(seed)
        for ranks in (1, 2):
            begin = time.monotonic()
            self.finish(ranks=ranks)
            lasts = time.monotonic() - begin
            wanted = self.take_results()
            for _ in range(MOMENTS):
                moment = moments.uniform(0.2, 1) * lasts
                job = self.start(ranks=ranks)
                try:
                    job.wait(moment)
                except subprocess.TimeoutExpired:
                    job.send_signal(signal.SIGTERM)
                code = self.code_of(job)
                said = f"seed {seed}, {ranks} ranks, {moment:.2f} of {lasts:.2f} s: {job.text()}"
                if code == -signal.SIGTERM:  # its libraries were being loaded
                    self.assertEqual(self.names(), [], said)
                    code = REQUEUE
                self.assertIn(code, (0, REQUEUE), said)
                if code == REQUEUE:
                    self.assertIn(self.names(), ([], [".x.mp4.state"]), said)
                    stopped_behind_a_step = self.names() != []
                    done = self.finish(ranks=ranks)
                    self.assertEqual("resuming at step" in done, stopped_behind_a_step, said + done)
                self.assertEqual(self.take_results(), wanted, said)

    def test_one_branch_and_no_text_encoder(self):
        options = {"sampler": "euler", "guidance": 1}  # tests/mpi has every sampler
        self.finish(**options)
        wanted = self.take_results()
        said = self.stop(**options)
        done = int(re.findall(r"the state after (\d+) steps", said)[-1])
        text = self.finish(**options)
        self.assertIn(f"resuming at step {done + 1} of {STEPS}", text)
        self.assertNotIn("load text_encoder", text)
        self.assertEqual(self.take_results(), wanted)

    def test_killed_behind_a_saved_step(self):
        self.finish(ranks=2)
        wanted = self.take_results()
        job = self.start("--run.save_every", 3, ranks=2, at="the state after 3 steps")
        job.kill()
        self.code_of(job)
        self.assertEqual(self.names(), [".x.mp4.state"])
        self.assertRegex(self.finish(ranks=2), r"resuming at step (4|7|10) of 12")
        self.assertEqual(self.take_results(), wanted)

    def test_stopped_while_it_decodes(self):
        options = {"size": "192x192", "frames": 33, "steps": 2}
        for ranks in (1, 2):
            self.finish(ranks=ranks, **options)
            wanted = self.take_results()
            job = self.start(ranks=ranks, at="the latents are in", **options)
            job.send_signal(signal.SIGTERM)
            self.assertEqual(self.code_of(job), REQUEUE, job.text())
            self.assertEqual(self.names(), [".x.mp4.state"], job.text())
            text = self.finish(ranks=ranks, **options)
            self.assertIn("resuming at step 2 of 2, all steps done", text)
            self.assertNotIn("load dit", text)
            self.assertEqual(self.take_results(), wanted)

    def test_offloading_may_change(self):
        self.finish()
        wanted = self.take_results()
        self.stop()
        self.assertIn("resuming", self.finish("--offload.type", "async"))
        self.assertEqual(self.take_results(), wanted)

    def test_a_drawn_seed_is_the_states(self):
        self.stop(seed=None)
        self.assertIn("resuming", self.finish(seed=None))
        seed = json.loads((self.folder / "x.json").read_text())["job"]["seed"]
        made = self.take_results()
        self.finish(seed=seed)
        self.assertEqual(self.take_results(), made)

    def test_without_a_name_for_the_video(self):
        words = ["generate", "--model", DEMO, "--prompt", PROMPT, "--steps", STEPS, "--run.save_every", 1]
        job = subprocess.Popen([BINARY, *map(str, words)], cwd=self.folder, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.addCleanup(job.stderr.close)
        self.addCleanup(job.kill)
        for line in job.stderr:
            if "the state after 3 steps" in line:
                job.send_signal(signal.SIGTERM)
        self.assertEqual(self.code_of(job), REQUEUE)
        (state,) = self.names()
        self.assertRegex(state, r"^\.a-red-circle-moving-right-on-a-black-background-[0-9a-f]{12}\.state$")
        done = ferry(*words, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resuming", done.stderr)
        self.assertEqual([pathlib.Path(n).suffix for n in self.names()], [".json", ".mp4", ".png"])


class Signals(ResumeTest):
    LONG = {"size": "256x256", "frames": 33, "steps": 4}  # a step takes a second

    def test_usr1_under_mpirun(self):
        job = self.start("--run.save_every", 1, launcher=[*MPIRUN, "-n", "2"], at="the state after 3 steps")
        job.send_signal(signal.SIGUSR1)
        self.assertEqual(self.code_of(job), REQUEUE, job.text())
        self.assertEqual(self.names(), [".x.mp4.state"])

    def test_usr1_and_term_of_one_process_and_a_job(self):
        for ranks in (1, 2):
            for number in (signal.SIGTERM, signal.SIGUSR1):
                self.stop(number=number, ranks=ranks)
                self.assertEqual(self.names(), [".x.mp4.state"])
                (self.folder / ".x.mp4.state").unlink()

    def test_before_the_first_step_nothing_is_left(self):
        for ranks in (1, 2):
            job = self.start(ranks=ranks, at="load text_encoder")
            os.kill(job.pid, signal.SIGTERM)
            code = self.code_of(job)
            self.assertEqual(code, REQUEUE, job.text())
            self.assertIn(self.names(), ([], [".x.mp4.state"]), job.text())
            if self.names():
                (self.folder / ".x.mp4.state").unlink()

    def test_ranks_that_are_stopped_before_the_first_step_end_together(self):
        """One hangs just before the step in which the other would wait for it."""
        shows = self.folder / "shows"
        shows.write_text('#!/bin/sh\ntrap : USR1 TERM\n"$@"\ncode=$?\n'
                         'echo "rank $OMPI_COMM_WORLD_RANK ends with $code"\nexit $code\n')
        shows.chmod(0o755)
        for nodes in ("0,0", "0,1"):
            job = self.start(launcher=[*MPIRUN, "-n", "2", shows], at="load dit",
                             env={"FERRY_TEST_FAULT": "hang:1:denoise", "FERRY_TEST_NODES": nodes})
            job.send_signal(signal.SIGUSR1)
            self.assertEqual(self.code_of(job), REQUEUE, job.text())
            self.assertEqual(sorted(re.findall("rank . ends with .*", job.text())),
                             ["rank 0 ends with 75", "rank 1 ends with 75"], job.text())

    def test_a_second_signal_ends_at_once(self):
        for ranks in (1, 2):
            job = self.start("--run.save_every", 1, ranks=ranks, at="the state after 1 steps", **self.LONG)
            # Both are there when it looks; which it meets first does not matter.
            for number in (signal.SIGSTOP, signal.SIGUSR1, signal.SIGTERM, signal.SIGCONT):
                job.send_signal(number)
            self.assertIn(self.code_of(job), (128 + signal.SIGUSR1, 128 + signal.SIGTERM), job.text())
            # On a busy machine another step may end before the signals have come through mpirun.
            self.assertNotIn("the state after 3 steps", job.text())
            self.assertEqual(self.names(), [".x.mp4.state"])
            (self.folder / ".x.mp4.state").unlink()

    def test_one_delivery_that_comes_twice_is_one(self):
        job = self.start("--run.save_every", 1, at="the state after 1 steps", **self.LONG)
        for _ in range(3):
            job.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        self.assertEqual(self.code_of(job), REQUEUE, job.text())

    def test_while_it_writes_it_finishes(self):
        job = self.start(out_scale=8, steps=1, at=r"decode +\d", out=self.folder / "x.y4m")
        job.send_signal(signal.SIGTERM)
        self.assertEqual(self.code_of(job), 0, job.text())
        self.assertEqual(self.names(), ["x.json", "x.png", "x.safetensors", "x.y4m"])


class Refusals(ResumeTest):
    def setUp(self):
        super().setUp()
        self.stop()
        self.state = self.folder / ".x.mp4.state"
        self.assertEqual(self.names(), [self.state.name])

    def assert_other(self, *words, ranks=1, **options):
        before = self.state.read_bytes()
        done = ferry(*self.words(ranks=ranks, **options))
        self.assert_refused(done, "state", "--run.resume false", *words)
        self.assertEqual((self.names(), self.state.read_bytes()), ([self.state.name], before))

    def test_another_run_is_refused_by_name(self):
        self.assert_other("ranks are 2, in the state 1", ranks=2)
        for name, value, kept in (("seed", 2, 1), ("size", "64x96", "96x96"), ("steps", 13, STEPS),
                                  ("sampler", "euler", "unipc")):
            self.assert_other(f"{name} is {value}, in the state {kept}", **{name: value})
        self.assert_other("prompt is a boat", prompt="a boat")
        self.assert_other("dit dtype is bf16, in the state fp32", dtype="bf16")
        self.assert_other("attention", "math", **{"attention.impl": "math"})

    def test_another_model_is_refused_by_name(self):
        model = self.copy_of_demo()

        def change(name, dtype, shape, content):
            if name == "blocks.3.ffn.net.2.bias":
                content = bytes([content[0] ^ 1]) + content[1:]
            return dtype, shape, content

        change_tensors(model / "transformer" / "diffusion_pytorch_model.safetensors", change)
        done = ferry(*self.words(model=model))
        self.assert_refused(done, "state", "model: dit blocks.3.ffn.2.bias is", "--run.resume false")

    def test_the_same_model_elsewhere_is_the_same(self):
        self.assertIn("resuming", self.finish(model=self.copy_of_demo()))

    def test_a_damaged_state_is_refused_and_false_replaces_it(self):
        whole = self.state.read_bytes()
        for place in (0, 9, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            self.state.write_bytes(damaged)
            self.assert_other("damaged")
        self.state.write_bytes(whole[:1000])
        self.assert_other("damaged")
        self.assertNotIn("resuming", self.finish("--run.resume", "false"))
        self.assertEqual(self.names(), ["x.json", "x.mp4", "x.png", "x.safetensors"])

    def test_false_ignores_a_state_of_another_run(self):
        self.assertNotIn("resuming", self.finish("--run.resume", "false", seed=2))
        made = self.take_results()
        self.finish(seed=2)
        self.assertEqual(self.take_results(), made)

    def test_a_state_by_its_name(self):
        named = self.folder / "kept.state"
        shutil.move(self.state, named)
        self.assertIn("resuming", self.finish("--run.state", named))
        self.assertEqual(self.names(), ["x.json", "x.mp4", "x.png", "x.safetensors"])


if __name__ == "__main__":
    unittest.main()
