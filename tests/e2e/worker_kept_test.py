"""Nothing that was computed is lost, and nothing is computed for names that cannot be written."""

import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time
import unittest

from launcher_support import BINARY, DEMO, FerryTest, ferry, read_safetensors, write_safetensors

PROMPT = "a red circle moving right on a black background"
STEPS = 8


def tensor(path, name):
    header, data = read_safetensors(path)
    begin, end = header[name]["data_offsets"]
    return header[name]["shape"], data[begin:end]


def metadata(path):
    raw = pathlib.Path(path).read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")]).get("__metadata__", {})


def host_digits():
    """The part of a temporary file's name that says which host made it: FNV-1a, 128 bits, of the host's name."""
    value = 0x6C62272E07BB014262B821756295C58D
    for byte in os.uname().nodename.encode():
        value = (value ^ byte) * 0x1000000000000000000013B % 2**128
    return f"{value:032x}"[:8]


class Kept(FerryTest):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        self.out.mkdir()
        self.elsewhere = self.folder / "elsewhere"
        self.elsewhere.mkdir()
        self.env = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(self.elsewhere)}

    def words(self, *arguments, out=None, steps=STEPS):
        return [BINARY, "generate", "--model", str(DEMO), "--prompt", PROMPT, "--seed", "1", "--steps", str(steps),
                "--out", str(out or self.out / "x.mp4"), *map(str, arguments)]

    def start(self, *arguments, at="load dit", **options):
        """A run that has said `at`, and is held there; end() lets it go on."""
        limits = options.pop("limits", None)
        job = subprocess.Popen(self.words(*arguments, **options), stderr=subprocess.PIPE, text=True, env=self.env,
                               preexec_fn=limits)
        self.addCleanup(job.stderr.close)
        self.addCleanup(job.kill)
        job.said = ""
        for line in job.stderr:
            job.said += line
            if at in line:
                job.send_signal(signal.SIGSTOP)
                return job
        self.fail(job.said)

    def end(self, job):
        job.send_signal(signal.SIGCONT)
        job.said += job.stderr.read()
        job.wait(60)
        return job

    def run_to_end(self, *arguments, **options):
        done = ferry(*self.words(*arguments, **options)[1:], env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def names(self, folder):
        return sorted(p.name for p in folder.iterdir() if not p.name.startswith("ompi."))

    def assert_failed_with_latents(self, job, latents, *words):
        """Exit code 1, one line that says what failed and where the latents are; and they are there."""
        self.assertEqual(job.returncode, 1, job.said)
        lines = [line for line in job.said.splitlines() if f"--latents {latents}" in line and "cannot write" in line]
        self.assertEqual(len(lines), 1, job.said)
        for word in words:
            self.assertIn(str(word), lines[0])
        self.assertEqual(tensor(latents, "latents")[0], [16, 5, 16, 16])

    # Names

    def test_a_name_that_fits_is_written_and_one_that_does_not_is_refused_at_once(self):
        done = ferry(*self.words(out=self.out / ("n" * 245 + ".mp4"), steps=1)[1:])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.names(self.out)), 3)
        for stem in ["n" * 251, "n" * 300, "\u8239" * 84, "\u8239" * 200]:
            for ending in [".mp4", ""]:
                self.assert_refused(ferry(*self.words(out=self.out / (stem + ending))[1:]), "name", "bytes", stem)
        self.assert_refused(ferry(*self.words("--save", self.out / ("n" * 256))[1:]), "--save", "256 bytes")
        self.assert_refused(ferry(*self.words("--trace.file", self.out / ("n" * 256))[1:]), "256 bytes")
        self.assertEqual(len(self.names(self.out)), 3)

    def test_names_that_no_file_has_are_refused_in_one_line(self):
        for option in ["--noise", "--context", "--latents", "--lora.path", "--config"]:
            self.assert_refused(ferry(*self.words(option, "n" * 300)[1:]), "n" * 300)
        self.assert_refused(ferry("generate", "--prompt", "x", "--model", "n" * 300), "--model", "n" * 300)
        self.assert_refused(ferry("inspect", "n" * 300), "n" * 300)
        self.assert_refused(ferry("make-model", self.out / ("n" * 300)), "n" * 300)

    def test_a_name_with_control_characters_stays_in_its_line(self):
        done = self.run_to_end(out=self.out / "a\nb\x1b[31m.mp4", steps=1)
        self.assertNotIn("\x1b[31m", done.stderr)
        self.assertFalse([line for line in done.stderr.splitlines() if line.startswith("b")], done.stderr)
        self.assertEqual(len(self.names(self.out)), 3)

    def test_a_folder_that_is_missing_is_named(self):
        done = ferry(*self.words(out=self.out / "newdir" / "x.mp4")[1:])
        self.assert_refused(done, "--out", f"the folder {self.out}/newdir does not exist")
        (self.out / "file").write_text("")
        self.assert_refused(ferry(*self.words(out=self.out / "file" / "x.mp4")[1:]), f"{self.out}/file is not a folder")

    def test_a_name_made_from_any_prompt_fits(self):
        for prompt in ["\u8239" * 300, "a " * 5000, "/../" * 100]:
            done = ferry("generate", "--model", DEMO, "--prompt", prompt, "--steps", 1, "--seed", 2**62, cwd=self.out)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.names(self.out)), 9)

    def test_a_name_that_is_no_utf8_is_refused(self):
        words = self.words(steps=1)
        words[words.index("--out") + 1] = os.fsencode(self.out) + b"/\xe9.mp4"
        done = subprocess.run(words, env=self.env, capture_output=True)
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (2, 1), done.stderr)
        self.assertIn(b"--out: not UTF-8", done.stderr)
        self.assertEqual(os.listdir(self.out), [])

    # Two runs, one name

    def test_the_later_of_two_runs_with_one_name_is_refused_at_once(self):
        first = self.start()
        os.symlink(self.out, self.folder / "link")
        for name in ["out/x.mp4", "link/x.mp4", "out/../out/x.y4m"]:
            second = ferry(*self.words("--overwrite", out=self.folder / name)[1:])
            self.assert_refused(second, "another run is writing it", "/x.")
        second = ferry(*self.words("--save", self.out / "x.json", out=self.out / "y.mp4")[1:])
        self.assert_refused(second, "another run is writing it", "x.json")
        self.assertEqual(self.end(first).returncode, 0, first.said)
        self.assertEqual(self.names(self.out), ["x.json", "x.mp4", "x.png"])

    def test_of_two_runs_that_start_together_one_makes_the_video(self):
        jobs = [subprocess.Popen(self.words(), stderr=subprocess.PIPE, text=True, env=self.env) for _ in range(2)]
        ends = sorted((job.wait(60), job.stderr.read()) for job in jobs)
        for job in jobs:
            job.stderr.close()
        self.assertEqual([code for code, _ in ends], [0, 2], ends)
        self.assertIn("x.mp4", ends[1][1])
        self.assertEqual(self.names(self.out), ["x.json", "x.mp4", "x.png"])

    def test_a_name_that_is_taken_during_the_run_is_not_replaced_and_the_latents_stay(self):
        job = self.start()
        (self.out / "x.png").write_text("mine")
        self.end(job)
        self.assert_failed_with_latents(job, self.out / "x.latents.safetensors", "x.png", "File exists")
        self.assertEqual((self.out / "x.png").read_text(), "mine")
        self.assertEqual(self.names(self.out), ["x.latents.safetensors", "x.png"])

    # Failures at the end

    def test_a_folder_that_vanishes_leaves_the_latents_elsewhere(self):
        job = self.start()
        shutil.rmtree(self.out)
        self.end(job)
        kept = self.elsewhere / "x.latents.safetensors"
        self.assert_failed_with_latents(job, kept, "x.mp4", "No such file or directory")
        self.out.mkdir()
        again = self.run_to_end("--latents", kept, "--save", self.folder / "again.st")
        self.assertIn("job.prompt", again.stderr)
        self.run_to_end("--save", self.folder / "whole.st", out=self.out / "y.mp4")
        for name in ["latents", "frames"]:
            self.assertEqual(tensor(self.folder / "again.st", name), tensor(self.folder / "whole.st", name))

    def test_a_disk_that_fills_leaves_the_latents_elsewhere(self):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", self.out], capture_output=True).returncode:
            self.skipTest("no file system can be mounted")
        self.addCleanup(subprocess.run, ["umount", self.out])
        job = self.start()
        with open(self.out / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(1 << 16))
            except OSError:
                pass
        self.end(job)
        kept = self.elsewhere / "x.latents.safetensors"
        self.assert_failed_with_latents(job, kept, "x.mp4", "No space left on device")
        self.assertEqual(self.names(self.out), ["filler"])

    def test_a_file_size_limit_leaves_the_latents(self):
        # The weights' memory object is a file too, of 16 MB; the video would have 107 MB.
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))
        job = self.end(self.start("--out_scale", 16, out=self.out / "x.y4m", limits=limit, steps=4))
        self.assert_failed_with_latents(job, self.out / "x.latents.safetensors", "x.y4m", "File too large")
        self.assertEqual(self.names(self.out), ["x.latents.safetensors"])

    def test_a_read_only_folder_keeps_what_was_computed(self):
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.out], capture_output=True).returncode:
            self.skipTest("no file system can be mounted")
        self.addCleanup(subprocess.run, ["umount", self.out])
        job = self.start()
        subprocess.run(["mount", "-o", "remount,ro", self.out], check=True)
        self.end(job)
        self.assert_failed_with_latents(job, self.elsewhere / "x.latents.safetensors", "Read-only file system")

    # What stays

    def test_success_leaves_the_results_and_a_users_file_of_the_latents_name(self):
        (self.out / "x.latents.safetensors").write_text("mine")
        done = self.run_to_end(steps=1)
        self.assertIn("x.latents.safetensors is there", done.stderr)
        self.assertEqual(self.names(self.out), ["x.json", "x.latents.safetensors", "x.mp4", "x.png"])
        self.assertEqual((self.out / "x.latents.safetensors").read_text(), "mine")

    def test_a_killed_run_leaves_nothing_while_it_samples(self):
        for number in (signal.SIGKILL, signal.SIGINT):
            job = self.start(steps=1000)
            job.send_signal(signal.SIGCONT)
            time.sleep(0.3)
            job.send_signal(number)
            self.end(job)
            self.assertIn(job.returncode, (-number, 128 + number), job.said)
            self.assertEqual((self.names(self.out), self.names(self.elsewhere)), ([], []))

    def test_a_run_that_is_killed_while_it_decodes_leaves_the_latents_and_the_next_one_ends_with_its_results(self):
        for number in (signal.SIGKILL, signal.SIGINT):
            job = self.start(at="the latents are in", steps=2)
            job.send_signal(number)
            self.end(job)
            self.assertEqual(self.names(self.out), ["x.latents.safetensors"], job.said)
        self.run_to_end(steps=2)
        self.assertEqual(self.names(self.out), ["x.json", "x.mp4", "x.png"])

    def test_what_a_killed_run_left_under_a_hidden_name_goes_with_the_next_run(self):
        stale = self.out / f".ferry-{host_digits()}-0123456789abcdef.part"
        stale.write_text("half")
        (self.out / ".x.aB3xYz.mp4").write_text("mine")
        self.run_to_end(steps=1)
        self.assertEqual(self.names(self.out), [".x.aB3xYz.mp4", "x.json", "x.mp4", "x.png"])

    # Decoding again

    def test_latents_are_decoded_with_nothing_but_the_vae(self):
        self.run_to_end("--save", self.folder / "whole.st", steps=4)
        (self.folder / "model").mkdir()
        shutil.copytree(DEMO / "vae", self.folder / "model" / "vae")
        done = ferry("generate", "--model", self.folder / "model", "--latents", self.folder / "whole.st", "--fps", 12,
                     "--save", self.folder / "again.st", cwd=self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ["latents", "frames"]:
            self.assertEqual(tensor(self.folder / "again.st", name), tensor(self.folder / "whole.st", name))
        self.assertEqual((self.out / "whole.mp4").read_bytes(), (self.out / "x.mp4").read_bytes())
        record = json.loads((self.out / "whole.json").read_text())
        self.assertEqual(record["job"]["latents"], str(self.folder / "whole.st"))
        self.assertNotIn("prompt", record["job"])
        self.assertEqual([stage["name"] for stage in record["ranks"][0]["stages"]], ["decode"])
        self.assertTrue((self.folder / "whole.st").exists())

    def test_the_same_command_with_latents_takes_over_what_the_file_says(self):
        job = self.start("--fps", 7, at="the latents are in", steps=2)
        job.kill()
        job.wait(20)
        kept = self.out / "x.latents.safetensors"
        self.assertEqual(json.loads(metadata(kept)["made_by"])["job"]["prompt"], PROMPT)
        done = ferry("generate", "-n", 2, "--model", DEMO, "--latents", kept, "--steps", 9, "--out", self.out / "x.mp4",
                     "--trace.file", self.out / "trace.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads((self.out / "x.json").read_text())
        self.assertEqual((record["job"]["frames"], record["job"]["width"]), (17, 128))
        self.assertEqual(record["latents_made_by"]["job"]["fps"], 7)
        self.assertEqual(record["without_effect"], ["job.steps"])
        self.assertIn("job.steps", done.stderr)
        self.assertEqual(len(record["ranks"]), 2)
        self.assertEqual(self.names(self.out), ["trace.json", "x.json", "x.latents.safetensors", "x.mp4", "x.png"])

    def test_latents_that_do_not_suit_are_refused(self):
        kept = self.folder / "l.safetensors"
        write_safetensors(kept, {"latents": ("F32", [16, 2, 4, 4], bytes(16 * 2 * 16 * 4))})
        for option, words in [(("--size", "64x64"), ["64x64", "32x32"]), (("--frames", "9"), ["9", "5"]),
                              (("--save", kept, "--overwrite"), ["save", kept])]:
            self.assert_refused(ferry(*self.words("--latents", kept, *option)[1:]), *words)
        # The model's own file says 128x128; it does not count here.
        self.run_to_end("--latents", kept)
        self.assertEqual(json.loads((self.out / "x.json").read_text())["job"]["width"], 32)
        shutil.rmtree(self.out)
        self.out.mkdir()
        write_safetensors(kept, {"latents": ("F32", [1, 2], bytes(8))})
        self.assert_refused(ferry(*self.words("--latents", kept)[1:]), kept, "[1, 2]", "[16, T, h, w]")
        kept.write_bytes(b"\xff" * 64)
        self.assert_refused(ferry(*self.words("--latents", kept)[1:]), kept)


if __name__ == "__main__":
    unittest.main()
