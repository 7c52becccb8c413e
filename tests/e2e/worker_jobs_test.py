"""Manifests: many videos by one program.  worker_jobs_test.py CLASS

FERRY_JOBS_ITEMS (20) and FERRY_JOBS_KILLS (1) make Killed longer.
"""

import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import time

from launcher_support import BINARY, DEMO, FerryTest, ferry, read_safetensors

import unittest

ITEMS = int(os.environ.get("FERRY_JOBS_ITEMS", "20"))
KILLS = int(os.environ.get("FERRY_JOBS_KILLS", "1"))
SEED = int(os.environ.get("FERRY_JOBS_SEED", "7"))
GIVEN = ("--model", DEMO, "--device", "cpu", "--dtype", "fp32", "--guidance", "5")
COLOURS = ("red", "green", "blue", "yellow", "white")


def good(number):
    """A small video."""
    return {"prompt": f"a {COLOURS[number % 5]} circle moving right on a black background", "seed": number,
            "size": ("80x48", "96x64")[number % 2], "frames": (5, 9)[number % 3 == 0], "steps": 2 + number % 2}


def bad(kind, folder, number=0):
    """The keys that make an item bad, and a word of its error."""
    return (({"promt": "x"}, "promt"), ({"size": "97x64"}, "97x64"), ({"frames": 6}, "frames 6"),
            ({"out": str(folder / f"no/such/{number}.mp4")}, "no/such"), ({"noise": str(folder / "none.st")}, "none.st"),
            ({"context": str(folder / "nan.safetensors")}, "not finite"))[kind % 6]


def write_nan_context(path):
    rows = struct.pack("<128f", *[float("nan")] * 128)
    header = json.dumps({name: {"dtype": "F32", "shape": [1, 128], "data_offsets": [at, at + 512]}
                         for name, at in (("positive", 0), ("negative", 512))}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + rows * 2)


def wait_for(path):
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.002)


class JobsTest(FerryTest):
    def write(self, items):
        path = self.folder / "jobs.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items))
        return path

    def jobs(self, *words, ranks=1, jobs=None, **named):
        return ferry("generate", "-n", ranks, *GIVEN, "--jobs", jobs or self.folder / "jobs.jsonl", *words,
                     cwd=self.folder, **named)

    def failed(self, name="jobs.jsonl"):
        path = self.folder / f"{name}.failed.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def kill_all(self, job):
        self.assertIsNone(job.poll(), "it ended by itself")
        job.kill()  # mpirun and the ranks die with it
        job.communicate()
        while self.processes_here():  # they hold the names of what they were writing
            time.sleep(0.01)

    def processes_here(self):
        """Of this job: those whose current folder is the test's."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                found += [process] if os.readlink(process / "cwd") == str(self.folder) else []
            except OSError:
                pass  # it has ended
        return found

    def complete(self):
        return {path.stem: path.stat().st_mtime_ns for path in self.folder.glob("*.json")}

    def assert_as_alone(self, number, item, ranks, path):
        """Tensors saved by a batch equal those of a run of its own."""
        words = [word for key, value in item.items() if key not in ("id", "save") for word in ("--" + key, value)]
        alone = self.folder / "alone.safetensors"
        done = ferry("generate", "-n", ranks, *GIVEN, *words, "--out", self.folder / "alone.mp4", "--overwrite", "--save", alone)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(read_safetensors(path) == read_safetensors(alone), f"item {number}")


class Results(JobsTest):
    def test_each_item_has_its_results(self):
        items = [{**good(0), "id": "first", "save": "first.safetensors"}, {**good(1), "save": "b.safetensors"},
                 {**good(2), "id": 7, "out": "mine.y4m", "save": "c.safetensors"}]
        self.write(items)
        for ranks in (1, 2):
            done = self.jobs("--overwrite", ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
            for stem, video, item, saved in (("first", "first.mp4", items[0], "first"), ("line-0002", "line-0002.mp4", items[1], "b"),
                                      ("mine", "mine.y4m", items[2], "c")):
                record = json.loads((self.folder / f"{stem}.json").read_text())
                self.assertEqual((record["job"]["prompt"], record["options"]["job.seed"]), (item["prompt"], str(item["seed"])))
                self.assertTrue((self.folder / video).exists() and (self.folder / f"{stem}.png").exists(), stem)
                self.assert_as_alone(stem, {key: value for key, value in item.items() if key != "out"}, ranks, self.folder / f"{saved}.safetensors")
            # One visit of the text encoder, one load of each network.
            self.assertEqual([done.stderr.count(f"load {name}") for name in ("text_encoder", "dit", "vae")], [1, 1, 1])
        self.assertEqual(sorted(path.name for path in self.folder.glob(".*")), [])

    def test_what_is_there_stays(self):
        self.write([good(0), good(1)])
        self.assertEqual(self.jobs().returncode, 0)
        before = {path.name: path.stat().st_mtime_ns for path in self.folder.iterdir()}
        done = self.jobs("--fps", "8")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("line 1: line-0001 is there and stays, but fps is 8.0, there 12.0", done.stderr)
        self.assertIn("2 there before (2 with other options)", done.stderr)
        self.assertEqual(before, {path.name: path.stat().st_mtime_ns for path in self.folder.iterdir()})
        # Another way to the same model is none.
        self.assertNotIn("model is", self.jobs("--model", f"{DEMO}/../demo").stderr)
        (self.folder / "line-0002.mp4").unlink()
        done = self.jobs()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("line-0002.png exists already", self.failed()[0]["error"])  # somebody's own, by all that is known

    def test_names_in_capitals_and_missing_tensors(self):
        self.write([{**good(0), "out": "A.MP4", "save": "a.st"}])
        for there in (0, 1):
            done = self.jobs()
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"{there} there before", done.stderr)
        (self.folder / "a.st").unlink()
        done = self.jobs()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("a.st is not", self.failed()[0]["error"])

    def test_what_is_in_the_way_is_not_taken_for_a_result(self):
        for name in ("cat.mp4", "cat.json", "dir.json"):
            (self.folder / name).write_text("{}")
        (self.folder / "dir.mp4").mkdir()
        os.mkfifo(self.folder / "pipe.json")
        (self.folder / "pipe.mp4").write_text("")
        self.write([{**good(0), "out": "cat.avi"}, {**good(0), "id": "dir"}, {**good(0), "id": "pipe"}])
        self.assertEqual(self.jobs().returncode, 1)
        self.assertEqual([item["line"] for item in self.failed()], [1, 2, 3])

    def test_a_video_that_cannot_be_written_fails_alone(self):
        for ranks in (1, 2):
            self.write([{**good(0), "steps": 300}, good(1)])
            job = subprocess.Popen([BINARY, "generate", "-n", str(ranks), *map(str, GIVEN), "--jobs", "jobs.jsonl", "--run.save_every", "1"],
                                   cwd=self.folder, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            wait_for(self.folder / ".line-0001.mp4.state")
            (self.folder / "line-0001.png").write_text("mine")
            _, text = job.communicate(timeout=60)
            self.assertEqual(job.returncode, 1, text)
            self.assertIn("line-0001.png", self.failed()[0]["error"])
            self.assertEqual([item["exit_code"] for item in self.failed()], [1])
            self.assertEqual((self.folder / "line-0001.png").read_text(), "mine")
            self.assertTrue((self.folder / "line-0002.mp4").exists())
            for path in self.folder.iterdir():
                path.unlink()

    def test_a_dry_run_makes_nothing(self):
        self.write([good(0), {**good(1), "size": "1x1"}])
        done = self.jobs("--run.dry_run")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("1 could be made, 0 are there, 1 could not be made", done.stderr)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["jobs.jsonl"])

    def test_a_second_run_of_a_manifest_is_refused(self):
        self.write([{**good(0), "steps": 1000}])
        job = subprocess.Popen([BINARY, "generate", *map(str, GIVEN), "--jobs", "jobs.jsonl", "--run.save_every", "1"],
                               cwd=self.folder, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        wait_for(self.folder / ".line-0001.mp4.state")
        self.assert_refused(self.jobs(), "another run of this manifest")
        job.send_signal(signal.SIGTERM)
        _, text = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 75, text)

    def test_standard_input(self):
        text = json.dumps({**good(0), "id": "x"}) + "\n" + json.dumps({"size": "1x1"}) + "\n"
        for ranks in (1, 2):
            done = self.jobs("--overwrite", ranks=ranks, jobs="-", input=text)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertTrue((self.folder / "x.mp4").exists())
            self.assertEqual([item["line"] for item in self.failed("stdin")], [2])


class Refusals(JobsTest):
    def test_a_wrong_manifest_starts_nothing(self):
        x = json.dumps(good(0))
        for text, words in ((x + "\n{'prompt': 1}\n", ["line 2"]), ("[1]\n", ["line 1", "object"]), ("\n \n", ["line 1", "no item"]),
                            ('{"prompt":"x","out":"a.mp4"}\n{"prompt":"y","out":"./a.y4m"}\n', ["line 2", "line 1 writes the same file"]),
                            ('{"prompt":"x","id":1}\n{"prompt":"y","id":"1"}\n', ["line 2"]),
                            ('{"prompt":"x","save":"s.st"}\n{"prompt":"y","save":"s.st"}\n', ["line 2", "save"]),
                            ('{"prompt":"x","save":"jobs.jsonl"}\n', ["line 1", "the manifest"]),
                            ('{"prompt":"x","save":"jobs.jsonl.failed.jsonl"}\n', ["line 1", "the list"]),
                            ('{"prompt":"x","save":"n.st"}\n{"prompt":"y","noise":"./n.st"}\n', ["line 1", "line 2 reads it as its noise"]),
                            ('{"prompt":"x","save":".b.mp4.state"}\n{"prompt":"y","id":"b"}\n', ["line 2", "line 1"]),
                            ('{"prompt":"x","prompt":"y"}\n', ["line 1"])):
            (self.folder / "jobs.jsonl").write_text(text)
            for ranks in (1, 2):
                self.assert_refused(self.jobs(ranks=ranks), "jobs.jsonl", *words)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["jobs.jsonl"])

    def test_options_of_one_video(self):
        self.write([good(0)])
        self.assert_refused(self.jobs("--run.state", "x.state"), "run.state")
        self.assert_refused(self.jobs("--trace.file", "x.json"), "trace.file")
        self.assert_refused(self.jobs(jobs="none.jsonl"), "--jobs", "none.jsonl")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["jobs.jsonl"])

    def test_bad_items_fail_alone(self):
        write_nan_context(self.folder / "nan.safetensors")
        more = [({"id": "../evil"}, "../evil"), ({"id": ".hidden"}, ".hidden"), ({"prompt": " "}, "prompt"), ({"seed": [1]}, "seed"),
                ({"device": "cpu"}, "device"), ({"save": "a\0b"}, "zero byte"), ({"steps": None}, "steps"), ({"frames": 1e9}, "frames")]
        wrong = [bad(kind, self.folder) for kind in range(6)] + more
        self.write([{**good(1), **keys} for keys, _ in wrong] + [good(2)])
        for ranks in (1, 2):
            done = self.jobs("--overwrite", ranks=ranks)
            self.assertEqual(done.returncode, 1, done.stderr)
            failed = self.failed()
            self.assertEqual([item["line"] for item in failed], list(range(1, len(wrong) + 1)))
            for item, (_, word) in zip(failed, wrong, strict=True):
                self.assertIn(word, item["error"])
                self.assertEqual(item["exit_code"], 1 if word == "not finite" else 2)
            last = done.stderr.strip().splitlines()[-1]
            self.assertIn(f"{len(wrong)} of {len(wrong) + 1} videos could not be made", last)
            self.assertTrue((self.folder / f"line-{len(wrong) + 1:04}.mp4").exists())
        self.write([good(2)])
        self.assertEqual(self.jobs("--overwrite").returncode, 0)
        self.assertFalse((self.folder / "jobs.jsonl.failed.jsonl").exists())


    def test_each_fault_is_one_short_line(self):
        (self.folder / "a\nb.mp4").write_text("somebody's")
        long = "x" * 100_000
        lines = [json.dumps({**good(0), **keys}) for keys in ({"id": "a\nb"}, {"id": long}, {"out": long}, {"save": f"{long}/x"}, {long: 1})]
        lines += ['{"prompt": "x", "guidance": 1e999}', '{"prompt": 18446744073709551616}']
        (self.folder / "jobs.jsonl").write_text("\n".join(lines + [json.dumps(good(1))]))
        for ranks in (1, 2):
            done = self.jobs(ranks=ranks)
            self.assertEqual(done.returncode, 1, done.stderr[-2000:])
            said = [line for line in done.stderr.splitlines() if " error: line " in line]
            self.assertEqual([len(said), max(map(len, said)) < 500], [len(lines), True], said)
            failed = self.failed()
            self.assertEqual([item["line"] for item in failed], list(range(1, len(lines) + 1)))
            self.assertEqual([item["error"] for item in failed if "\n" in item["error"] or len(item["error"]) > 400], [])
            self.assertTrue((self.folder / "line-0008.mp4").exists())


class Killed(JobsTest):
    def kill_after(self, ranks, count, seconds):
        """Starts the batch and kills it and all its ranks, so long after so many videos are there."""
        job = subprocess.Popen([BINARY, "generate", "-n", str(ranks), *map(str, GIVEN), "--jobs", "jobs.jsonl"], cwd=self.folder,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        until = time.monotonic() + 60 + 2 * ITEMS
        while len(self.complete()) < count and job.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(seconds)
        self.kill_all(job)

    def test_every_good_item_once_and_every_bad_one_named(self):
        write_nan_context(self.folder / "nan.safetensors")
        pick = random.Random(SEED)
        count_bad = max(ITEMS // 10, 6)  # each kind once
        wrong = {at: bad(kind, self.folder, at) for kind, at in enumerate(sorted(pick.sample(range(ITEMS), count_bad)))}
        items = [{**good(i), "save": f"{i}.safetensors", **(wrong[i][0] if i in wrong else {})} for i in range(ITEMS)]
        self.write(items)
        ranks = 2
        before = {}
        for kill in range(KILLS):
            share = (ITEMS - len(wrong) - 2) // (KILLS + 1)
            self.kill_after(ranks, kill * share + pick.randint(1, share), pick.uniform(0, 0.3))
            now = self.complete()
            self.assertEqual(before, {stem: now[stem] for stem in before}, "what was there was made again")
            print(f"kill {kill + 1}: {len(now)} of {ITEMS - len(wrong)} there", flush=True)
            before = now
        done = self.jobs(ranks=ranks, timeout=60 + 2 * ITEMS)
        self.assertEqual(done.returncode, 1, done.stderr)
        now = self.complete()
        self.assertEqual(before, {stem: now[stem] for stem in before}, "what was there was made again")
        self.assertEqual(sorted(now), [f"line-{i + 1:04}" for i in range(ITEMS) if i not in wrong])
        failed = self.failed()
        self.assertEqual([item["line"] for item in failed], [i + 1 for i in sorted(wrong)])
        for item in failed:
            self.assertIn(wrong[item["line"] - 1][1], item["error"])
        left = [path.name for path in self.folder.iterdir() if path.suffix not in (".mp4", ".png", ".json", ".jsonl", ".safetensors")]
        self.assertEqual(left, [])
        self.assertEqual([path.name for path in self.folder.glob("*latents*")], [])
        for i in range(ITEMS):
            if i not in wrong:
                self.assert_as_alone(i, items[i], ranks, self.folder / f"{i}.safetensors")

    def test_results_without_a_record_are_made_again(self):
        for drawn in (False, True):
            self.write([{**good(0), **({"seed": -1} if drawn else {})}])
            done = self.jobs(env={"FERRY_TEST_FAULT": "kill:0:write"})
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual([path.name for path in self.folder.iterdir() if path.name != "jobs.jsonl"], ["line-0001.latents.safetensors"])
            # As a run leaves them that is killed between two of the names that it gives.
            (self.folder / "line-0001.mp4").write_bytes(b"half")
            (self.folder / "line-0001.png").write_bytes(b"half")
            done = self.jobs()
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(sorted(path.name for path in self.folder.iterdir()),
                             ["jobs.jsonl", "line-0001.json", "line-0001.mp4", "line-0001.png"])
            self.assertGreater((self.folder / "line-0001.mp4").stat().st_size, 100)
            for path in self.folder.glob("line*"):
                path.unlink()


class Stopped(JobsTest):
    def test_a_batch_goes_on_in_the_item_it_was_in(self):
        long = {**good(1), "steps": 60, "save": "1.safetensors"}
        items = [{**good(0), "save": "0.safetensors"}, long, {**good(2), "save": "2.safetensors"}]
        for ranks, sent in ((1, signal.SIGTERM), (2, signal.SIGTERM), (2, signal.SIGUSR1)):
            for path in self.folder.iterdir():
                path.unlink()
            self.write(items)
            job = subprocess.Popen([BINARY, "generate", "-n", str(ranks), *map(str, GIVEN), "--jobs", "jobs.jsonl", "--run.save_every", "2"],
                                   cwd=self.folder, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            state = self.folder / ".line-0002.mp4.state"
            wait_for(state)
            job.send_signal(sent)
            _, text = job.communicate(timeout=60)
            self.assertEqual(job.returncode, 75, text)
            self.assertTrue(state.exists(), text)
            self.assertFalse((self.folder / "line-0003.mp4").exists())
            done = self.jobs(ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("resuming at step", done.stderr)
            self.assertIn("1 there before", done.stderr)
            self.assertFalse(state.exists())
            for i, item in enumerate(items):
                self.assert_as_alone(i, item, ranks, self.folder / f"{i}.safetensors")


class Groups(JobsTest):
    """Two groups of two ranks."""

    DATA = ("--data", "2")

    def start(self, *words, **env):
        return subprocess.Popen([BINARY, "generate", "-n", "4", *map(str, GIVEN), "--jobs", "jobs.jsonl", *self.DATA, *words],
                                cwd=self.folder, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **env})

    def test_every_good_item_once_and_every_bad_one_named(self):
        write_nan_context(self.folder / "nan.safetensors")
        wrong = {2: bad(1, self.folder), 5: bad(5, self.folder), 7: bad(4, self.folder)}
        items = [{**good(i), "steps": 20, "save": f"{i}.safetensors", **(wrong[i][0] if i in wrong else {})} for i in range(12)]
        self.write(items)
        job = self.start()
        while len(self.complete()) < 3 and job.poll() is None:
            time.sleep(0.01)
        self.kill_all(job)
        before = self.complete()
        done = self.jobs(*self.DATA, ranks=4, timeout=120)
        self.assertEqual(done.returncode, 1, done.stderr)
        now = self.complete()
        self.assertEqual(before, {stem: now[stem] for stem in before}, "what was there was made again")
        self.assertEqual(sorted(now), [f"line-{i + 1:04}" for i in range(12) if i not in wrong])
        self.assertEqual([item["line"] for item in self.failed()], [i + 1 for i in sorted(wrong)])
        for item in self.failed():
            self.assertIn(wrong[item["line"] - 1][1], item["error"])
        # One load of each network, for both groups; both make videos.
        self.assertEqual([done.stderr.count(f"load {name}") for name in ("text_encoder", "dit", "vae")], [1, 1, 1])
        for rank in (0, 2):
            self.assertIn(f"[{rank}/4] info: video", done.stderr)
        self.assertIn(f"{9 - len(before)} made, {len(before)} there before, 3 failed", done.stderr)
        for i in range(12):
            if i not in wrong:
                self.assert_as_alone(i, items[i], 2, self.folder / f"{i}.safetensors")

    def test_both_groups_go_on_in_the_items_they_were_in(self):
        items = [{**good(i), "steps": 300, "save": f"{i}.safetensors"} for i in range(2)] + [good(2)]
        for sent in (signal.SIGTERM, signal.SIGUSR1):
            for path in self.folder.iterdir():
                path.unlink()
            self.write(items)
            job = self.start("--run.save_every", "2")
            states = [self.folder / f".line-000{i}.mp4.state" for i in (1, 2)]
            for state in states:
                wait_for(state)
            job.send_signal(sent)
            _, text = job.communicate(timeout=60)
            self.assertEqual(job.returncode, 75, text)
            self.assertTrue(all(state.exists() for state in states), text)
            done = self.jobs(*self.DATA, ranks=4)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr.count("resuming at step"), 2, done.stderr)
            self.assertFalse(any(state.exists() for state in states))
            for i in range(2):
                self.assert_as_alone(i, items[i], 2, self.folder / f"{i}.safetensors")

    def test_a_group_that_is_done_waits_for_the_other(self):
        self.write([{**good(1), "size": "160x96", "steps": 1000}, {**good(0), "steps": 2}])
        done = self.jobs(*self.DATA, "--run.deadline_s", "2", ranks=4)
        self.assertEqual(done.returncode, 0, done.stderr)
        seconds = json.loads((self.folder / "line-0001.json").read_text())["total_s"]
        self.assertGreater(seconds, 3, "the other group did not wait longer than the deadline")

    def test_a_rank_of_the_second_group_is_named(self):
        self.write([{**good(i), "steps": 300} for i in range(4)])
        for kind, rank, stage, words in (("stop", 3, "denoise", "has stopped"), ("kill", 3, "decode", "is gone"),
                                         ("throw", 2, "load", "planted"), ("throw", 2, "write", "planted")):
            job = self.start("--run.deadline_s", "4", FERRY_TEST_FAULT=f"{kind}:{rank}:{stage}")
            begin = time.monotonic()
            _, text = job.communicate(timeout=60)
            self.assertNotIn(job.returncode, (0, 75), text)
            self.assertLess(time.monotonic() - begin, 40, text)
            (report,) = [line for line in text.splitlines() if f"rank {rank} on " in line]
            self.assertIn(words, report)
            self.assertIn(stage, report)
            for path in self.folder.glob("*line-*"):
                path.unlink()

    def test_a_group_that_hangs_is_named_while_the_other_works(self):
        """A rank that leaves its group's steps alone: the others wait for it."""
        self.write([{**good(i), "size": "160x96", "steps": 1000} for i in range(2)])
        job = self.start("--run.deadline_s", "3", FERRY_TEST_FAULT="refuse:3:denoise:2")
        begin = time.monotonic()
        _, text = job.communicate(timeout=60)
        self.assertNotIn(job.returncode, (0, 75), text)
        self.assertEqual(list(self.folder.glob("*.mp4")), [], "the other group had time for a video")
        self.assertLess(time.monotonic() - begin, 40, text)

    def test_a_request_to_one_rank_stops_all_groups(self):
        self.write([{**good(i), "size": "160x96", "steps": 1000} for i in range(2)])
        job = self.start("--run.save_every", "2")
        states = [self.folder / f".line-000{i}.mp4.state" for i in (1, 2)]
        for state in states:
            wait_for(state)
        ranks = [process for process in self.processes_here()
                 if b"OMPI_COMM_WORLD_RANK=3" in (process / "environ").read_bytes().split(b"\0")]
        self.assertEqual(len(ranks), 1)
        os.kill(int(ranks[0].name), signal.SIGUSR1)
        _, text = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 75, text)
        self.assertTrue(all(state.exists() for state in states), text)
        self.assertEqual(list(self.folder.glob("*.mp4")), [])

    def test_asked_while_the_last_video_is_written_it_finishes(self):
        self.write([{**good(i), "steps": 1, "size": "160x96", "frames": frames, "out_scale": 8, "out": f"{i}.y4m"}
                    for i, frames in enumerate((17, 5))])
        job = self.start()
        text = ""
        while not (re.search(r"^decode +\d", text, re.MULTILINE) and "1.y4m (5 frames" in text):
            line = job.stderr.readline()
            self.assertTrue(line, text)
            text += line
        job.send_signal(signal.SIGUSR1)
        _, rest = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 0, text + rest)
        self.assertEqual(sorted(path.name for path in self.folder.glob("*.y4m")), ["0.y4m", "1.y4m"])

    def test_groups_on_several_nodes(self):
        self.write([{**good(i), "save": f"{i}.safetensors"} for i in range(4)])
        for nodes in ("0,1,2,3", "0,0,1,1", "0,1,0,1"):
            done = self.jobs(*self.DATA, "--overwrite", ranks=4, env={"FERRY_TEST_NODES": nodes})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("4 made", done.stderr)
            for i in range(4):
                self.assertTrue((self.folder / f"{i}.safetensors").exists())
        self.assert_as_alone(1, good(1), 2, self.folder / "1.safetensors")
        self.assert_refused(self.jobs(*self.DATA, ranks=4, env={"FERRY_TEST_NODES": "0,0,0,1"}), "evenly on the nodes")

    def test_numbers_of_groups_that_do_not_fit_are_refused(self):
        self.write([good(0)])
        self.assert_refused(self.jobs("--data", "3", ranks=4), "data 3")
        self.assert_refused(ferry("generate", "-n", 2, *GIVEN, "--prompt", "x", "--data", "2", cwd=self.folder), "data 2", "--jobs")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["jobs.jsonl"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[1:])
