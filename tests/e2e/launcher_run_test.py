"""Starting, ending and describing jobs through the program."""

import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from launcher_support import BINARY, DEMO, SOURCE, FerryTest, ferry


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


class Ranks(FerryTest):
    def small(self, *arguments, **options):
        return ferry("generate", "--model", DEMO, "--prompt", "a red circle moving right", "--steps", 2, "--seed", 3,
                     "--out", self.folder / "x.mp4", *arguments, **options)

    def record(self):
        return json.loads((self.folder / "x.json").read_text())

    def test_n_starts_that_many_ranks_with_a_share_of_the_cores(self):
        done = self.small("-n", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.record()["ranks"]), 2)
        self.assertEqual(self.record()["mesh"], {"data": 1, "cfg": 2, "ulysses": 1})
        self.assertEqual(self.record()["cfg"]["mode"], "parallel")
        self.assertIn("cfg auto is parallel: 2 ranks", done.stderr)
        self.assertTrue((self.folder / "x.png").exists())

    def test_without_n_there_is_one_rank_and_no_mpirun(self):
        done = self.small(env={"PATH": "/nonexistent"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.record()["ranks"]), 1)

    def test_n_without_mpirun_is_refused(self):
        self.assert_refused(self.small("-n", 2, env={"PATH": "/nonexistent"}), "mpirun")

    def test_n_on_a_rank_is_refused(self):
        self.assert_refused(self.small("-n", 2, env={"OMPI_COMM_WORLD_RANK": "0"}), "-n", "rank")
        self.assert_refused(self.small("-n", 2, env={"OMPI_COMM_WORLD_RANK": "1"}), "rank 1 on", "-n")

    def test_n_is_refused_where_there_are_no_ranks(self):
        self.assert_refused(ferry("inspect", "-n", 2, DEMO), "-n")

    def test_the_models_own_file_a_config_and_the_command_line_are_read_in_that_order(self):
        config = self.folder / "a.cfg"
        config.write_text("[job]\nshift = 4\nsteps = 7\n")
        done = self.small("--config", config, "--run.log_level", "error")
        self.assertEqual((done.returncode, done.stderr.count("error")), (0, 0), done.stderr)
        job = self.record()["job"]
        self.assertEqual((job["steps"], job["shift"], job["guidance"], job["width"]), (2, 4.0, 2.5, 128))
        self.assertEqual(self.record()["options"]["job.steps"], "2")

    def test_a_dry_run_makes_nothing(self):
        done = self.small("--run.dry_run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])


class Ends(FerryTest):
    def unnamed_in(self, job, folder):
        """Sizes of the files without a name that a process has open in a folder."""
        sizes = []
        for entry in pathlib.Path(f"/proc/{job.pid}/fd").iterdir():
            try:
                if os.readlink(entry).startswith(str(folder)) and os.readlink(entry).endswith(" (deleted)"):
                    sizes.append(entry.stat().st_size)
            except OSError:
                continue
        return sizes

    def test_ending_make_model_leaves_no_half_file(self):
        target = self.folder / "model"
        job = subprocess.Popen([BINARY, "make-model", target, "--size", "1.3B", "--parts", "dit", "--threads", "1"],
                               stderr=subprocess.PIPE, text=True)
        self.addCleanup(job.stderr.close)
        self.addCleanup(job.kill)
        begun = wait_until(lambda: any(size > 1e6 for size in self.unnamed_in(job, target)), 60)
        self.assertTrue(begun, "nothing is being written")
        job.send_signal(signal.SIGTERM)
        self.assertEqual(job.wait(10), 128 + signal.SIGTERM)
        self.assertEqual([f.name for f in target.iterdir() if f.stat().st_size > 1e6], [])


class Texts(FerryTest):
    def test_help_names_the_commands_and_each_has_its_own(self):
        overview = ferry("--help")
        self.assertEqual(overview.returncode, 0)
        for command in ["generate", "demo", "inspect", "make-model", "bench forward", "bench decode"]:
            self.assertIn(command, overview.stdout)
            text = ferry(*command.split(), "--help")
            self.assertEqual((text.returncode, text.stderr), (0, ""), command)
            self.assertIn(f"usage: ferry {command} ", text.stdout)
        self.assertIn("[job]", ferry("generate", "-h").stdout)

    def test_no_command_shows_the_overview_and_fails(self):
        done = ferry()
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage: ferry COMMAND", done.stdout)

    def test_version_names_what_it_was_built_from(self):
        done = ferry("--version")
        self.assertEqual(done.returncode, 0)
        for name in ["ferry", "git", "libtorch", "mpi", "nccl", "cuda"]:
            self.assertRegex(done.stdout, rf"(?m)^{name} +\S+")

    def test_inspect_lists_a_checkpoint_as_text_and_json(self):
        done = ferry("inspect", DEMO)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("heads = 4", done.stdout)
        report = json.loads(ferry("inspect", "--json", DEMO).stdout)
        self.assertEqual(len(report["parts"]), 3)

    def test_make_model_writes_what_inspect_accepts(self):
        made = ferry("make-model", self.folder / "m", "--layers", 2, "--layout", "diffusers", "--tokenizer",
                     DEMO / "tokenizer/spiece.model")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(ferry("inspect", self.folder / "m").returncode, 0)

    def test_bench_prints_a_table_or_one_line_of_json(self):
        made = ferry("make-model", self.folder / "m", "--parts", "dit,vae")
        self.assertEqual(made.returncode, 0, made.stderr)
        common = ["--model", self.folder / "m", "--size", "64x64", "--frames", 5, "--samples", 1]
        table = ferry("bench", "forward", *common)
        self.assertIn("DiT forward, 64x64, 5 frames: 32 tokens", table.stdout, table.stderr)
        measured = json.loads(ferry("bench", "forward", "-n", 2, "--json", *common).stdout)
        self.assertEqual((measured["ranks"], measured["tokens"]), (2, 32))
        self.assertIn("libtorch", measured["versions"])
        decoded = json.loads(ferry("bench", "decode", "--json", *common).stdout)
        self.assertGreater(decoded["decode_s"], 0)
        self.assert_refused(ferry("bench"), "bench forward")

    def test_demo_makes_a_video_under_out_and_says_where(self):
        # The program finds the small model beside it, unless it was built elsewhere.
        model = [] if pathlib.Path(BINARY).is_relative_to(SOURCE) else ["--model", DEMO]
        done = ferry("demo", "--steps", 4, "--prompt", "a blue square moving up on a white background", *model,
                     cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        video = "out/a-blue-square-moving-up-on-a-white-background.mp4"
        self.assertIn(video, done.stdout)
        self.assertGreater((self.folder / video).stat().st_size, 1000)
        self.assertIn("colours", done.stdout)


if __name__ == "__main__":
    unittest.main()
