"""Configuration files, prompts and words of other programs through the program, on the small model."""

import json
import os
import pathlib
import unittest

from launcher_support import BINARY, DEMO, FerryTest, ferry

SMALL = ["--frames", 5, "--seed", 1]
NO_BREAK_SPACE, IDEOGRAPHIC_SPACE = "\u00a0", "\u3000"


class Job(FerryTest):
    def generate(self, *arguments, prompt="a red circle", out="x.mp4", size="64x64", **options):
        given = ["--size", size] + ([] if prompt is None else ["--prompt", prompt])
        given += [] if "--steps" in arguments else ["--steps", 1]
        return ferry("generate", "--model", DEMO, *SMALL, *given, "--out", self.folder / out, *arguments, **options)

    def record(self):
        return json.loads((self.folder / "x.json").read_text())

    def assert_done(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)

    def config(self, text, name="a.cfg"):
        (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.folder / name


class Files(Job):
    def test_a_folder_or_a_device_is_no_file(self):
        folder = self.folder / "folder"
        folder.mkdir()
        for option in ["--config", "--noise", "--context", "--trace.file", "--save"]:
            self.assert_refused(self.generate(option, folder), option, folder, "is a folder")
        self.assert_refused(self.generate(out="folder"), "--out", folder, "folder")
        self.assert_refused(ferry("make-model", self.folder / "m", "--tokenizer", folder), "--tokenizer", "is a folder")
        self.assert_refused(self.generate("--config", "/dev/null"), "--config", "/dev/null", "a device")
        self.assert_refused(self.generate("--config", ""), "--config", "empty")
        self.assert_refused(self.generate("--config", BINARY), BINARY, "binary")
        os.mkfifo(self.folder / "fifo")
        self.assert_refused(self.generate("--config", self.folder / "fifo"), "fifo", "a FIFO")

    def test_no_result_takes_the_place_of_an_input(self):
        model = self.copy_of_demo()
        weights = next(model.glob("transformer/*.safetensors"))
        config = self.config("[job]\nsteps = 1\n", name="x.json")
        def refused(path, *arguments, out="y.mp4"):
            before = path.read_bytes()
            done = ferry("generate", "--model", model, *SMALL, "--size", "64x64", "--steps", 1, "--prompt", "x", "--out",
                         self.folder / out, "--overwrite", *arguments)
            self.assert_refused(done, path, "this run reads its", "another name")
            self.assertEqual(path.read_bytes(), before)
        for path in (weights, model / "ferry.cfg", model / "tokenizer/spiece.model", model / "transformer/config.json"):
            refused(path, "--save", path)
        refused(weights, "--trace.file", weights)
        refused(config, "--config", config, out="x.mp4")
        self.assert_done(self.generate("--save", self.folder / "made.safetensors", out="z.mp4"))
        for option in ("--noise", "--context"):
            refused(self.folder / "made.safetensors", option, self.folder / "made.safetensors", "--save",
                    self.folder / "made.safetensors")

    def test_a_models_own_file_that_is_a_folder(self):
        model = self.copy_of_demo()
        (model / "ferry.cfg").unlink()
        (model / "ferry.cfg").mkdir()
        self.assert_refused(ferry("generate", "--model", model, "--prompt", "x", cwd=self.folder), "ferry.cfg",
                            "is a folder")

    def test_a_folder_that_does_not_exist_for_a_result(self):
        done = self.generate(out="newdir/x.mp4")
        self.assert_refused(done, "--out", self.folder / "newdir", "does not exist")
        self.assertNotIn("probe", done.stderr)


class Configuration(Job):
    def prompt_of(self, text):
        self.assert_done(self.generate("--config", self.config(text), "--run.log_level", "error", "--overwrite",
                                       prompt=None))
        return self.record()["job"]["prompt"]

    def test_prompts_with_quotes_and_comment_signs(self):
        for written, meant in [("a #1 blue square", "a"), ('"a #1 blue; square" ; c', "a #1 blue; square"),
                               ("it's 5 o'clock", "it's 5 o'clock"), ("'a' and 'b'", "'a' and 'b'"),
                               ("C#;x", "C#;x")]:
            self.assertEqual(self.prompt_of(f"; c\n[job] # c\nprompt = {written}\n"), meant)

    def test_a_byte_order_mark_and_carriage_returns(self):
        self.assertEqual(self.prompt_of(b"\xef\xbb\xbf[job]\r\nprompt = a b\r\n"), "a b")
        self.assert_refused(self.generate("--config", self.config("[job]\nsteps = 2\n".encode("utf-16"))), "UTF-16")

    def test_a_tilde_is_the_home_folder(self):
        config = self.config("[job]\nout = ~/y.mp4\nprompt = a\n")
        done = ferry("generate", f"--model={DEMO}", *SMALL, "--size", "64x64", "--config=~/a.cfg", "--save=~/s.st",
                     cwd="/", env={"HOME": str(self.folder)})
        self.assert_done(done)
        self.assertTrue((self.folder / "y.mp4").exists() and (self.folder / "s.st").exists())
        self.assertTrue(config.exists())

    def test_a_value_with_a_line_break_is_refused_in_one_line(self):
        self.assert_refused(self.generate("--sampler", "a\nb"), "a\\x0ab")


class Prompts(Job):
    def test_white_space_of_any_script_is_empty(self):
        for prompt in [IDEOGRAPHIC_SPACE + NO_BREAK_SPACE, "\u200b\u2028", "\u0085", "&nbsp; &#8203;"]:
            self.assert_refused(self.generate(prompt=prompt), "--prompt", "empty")
        self.assert_refused(self.generate("--config", self.config("[job]\nprompt = \u3000\n"), prompt=None), "empty")

    def test_what_is_not_utf8_is_refused(self):
        done = self.generate(prompt=os.fsdecode(b"a caf\xe9"))
        self.assert_refused(done, "--prompt", "not UTF-8", "0xe9", "position 6")
        self.assert_refused(self.generate("--negative_prompt", os.fsdecode(b"\xff")), "--negative_prompt", "UTF-8")

    def test_a_prompt_that_is_cut_says_so_in_log_and_record(self):
        prompt = "a red circle moving right on a black background " * 10
        done = self.generate("--negative_prompt", "blurry " * 50, prompt=prompt)
        self.assert_done(done)
        job = self.record()["job"]
        self.assertEqual(job["prompt"], prompt)
        for name in ["prompt", "negative_prompt"]:
            tokens = job[name + "_tokens"]
            self.assertEqual(tokens["used"], 32)  # the small model's window
            self.assertGreater(tokens["total"], 50)
            self.assertIn(f"{name.replace('_', ' ')}: {tokens['total']} tokens, 32 used", done.stderr)

    def test_a_prompt_that_fits_says_how_long_it_is(self):
        done = self.generate("--guidance", 1)
        self.assert_done(done)
        self.assertNotIn("used", done.stderr)
        job = self.record()["job"]
        self.assertEqual(job["prompt_tokens"]["used"], job["prompt_tokens"]["total"])
        self.assertEqual(job["negative_prompt_tokens"], {"total": 0, "used": 0})

    def test_guidance_below_one_is_refused_wherever_it_stands(self):
        self.assert_refused(self.generate("--guidance", 0), "--guidance", "1 turns guidance off")
        self.assert_refused(self.generate("--config", self.config("[job]\nguidance = 0.5\n")), "a.cfg: job.guidance",
                            "1 turns guidance off")
        model = self.copy_of_demo()
        (model / "ferry.cfg").write_text("[job]\nguidance = 0\n")
        self.assert_refused(ferry("generate", "--model", model, "--prompt", "x", cwd=self.folder),
                            "ferry.cfg: job.guidance", "1 turns guidance off")


class Words(Job):
    def test_a_value_that_begins_like_an_option_reaches_the_ranks(self):
        self.assert_done(self.generate("-n", 2, "--negative_prompt", "-no text", "--run.log_level=error"))
        job = self.record()["job"]
        self.assertEqual((job["negative_prompt"], job["seed"]), ("-no text", 1))

    def test_settings_without_effect_are_said(self):
        done = self.generate("--offload.prefetch_size", 100, "--dit.offload.type", "model", "--dit.offload.offload_ratio",
                             0.5, "--guidance", 2)
        self.assert_done(done)
        unused = ["offload.prefetch_size", "dit.offload.offload_ratio"]
        self.assertIn("without effect here: " + ", ".join(unused), done.stderr)
        self.assertEqual(self.record()["without_effect"], unused)

    def test_names_of_other_programs(self):
        for given, meant in [("--num-inference-steps", "--steps"), ("--width", "--size"), ("--ckpt_dir", "--model"),
                             ("--negative-prompt", "--negative_prompt"), ("--offload_model", "--offload.type")]:
            self.assert_refused(self.generate(given, 1), given, f"did you mean {meant}")
        self.assert_refused(self.generate("--config", self.config("[job]\nnum_frames = 5\n")),
                            "did you mean job.frames?")
        self.assert_refused(self.generate("--sampler", "lcm"), "did you mean step_distill?")
        self.assert_refused(ferry("generate", "--seed", 2**64 - 1), "from -1 to 9223372036854775807")

    def test_capitals_in_names_and_sizes(self):
        self.assert_done(self.generate(size="64 X 80", out="A.Y4M"))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["A.Y4M", "A.json", "A.png"])
        self.assertEqual(json.loads((self.folder / "A.json").read_text())["job"]["height"], 80)
        self.assertTrue((self.folder / "A.Y4M").read_bytes().startswith(b"YUV4MPEG2"))

    def test_a_repository_is_no_folder(self):
        done = ferry("generate", "--model", "Wan-AI/Wan2.1-T2V-1.3B", "--prompt", "x")
        self.assert_refused(done, "--model", "does not exist", "hf download Wan-AI/Wan2.1-T2V-1.3B")


class Offload(Job):
    def test_what_is_given_for_all_stages_is_fitted_to_each(self):
        done = self.generate("--offload.type", "async", "--offload.prefetch_size", 100, "--dit.offload.prefetch_size", 2)
        self.assert_done(done)
        self.assertEqual(done.stderr.count("prefetch_size: 100 becomes"), 2)
        used = self.record()["offload"]
        self.assertEqual(used["dit"]["prefetch_size"], 2)
        for stage in ["vae", "text_encoder"]:
            self.assertIn(f"{stage}.offload.prefetch_size: 100 becomes {used[stage]['prefetch_size']},", done.stderr)
            self.assertLess(used[stage]["prefetch_size"], 100)
        for stage in ["dit", "vae", "text_encoder"]:
            self.assert_refused(self.generate("--offload.type", "async", f"--{stage}.offload.prefetch_size", 100,
                                              "--overwrite"), f"{stage}.offload.prefetch_size: 100", "between 1 and")

    def test_a_refusal_stays_one_line(self):
        done = self.generate("--offload.type", "async", "--offload.prefetch_size", 100, "--vae.offload.vram_limit",
                             "0.000001", prompt="a red circle " * 50)
        self.assert_refused(done, "vae.offload.vram_limit")

    def test_a_type_of_computation_that_only_one_stage_has(self):
        config = "offload_dtype=fp32,computation_dtype=bf16"
        done = self.generate("--offload.type", "sequential", "--offload.module_config", config, "--dtype", "bf16")
        self.assert_done(done)
        self.assertIn("vae.offload.module_config.computation_dtype: bf16 becomes fp32", done.stderr)
        used = self.record()["offload"]
        self.assertEqual(used["vae"]["module_config"], {"offload_dtype": "fp32"})
        self.assertEqual(used["dit"]["module_config"]["computation_dtype"], "bf16")
        self.assert_refused(self.generate("--vae.offload.type", "sequential", "--vae.offload.module_config", config,
                                          "--overwrite"), "vae.offload.module_config.computation_dtype: bf16")

    def test_kinds_of_module_that_a_stage_has_not(self):
        done = self.generate("--offload.type", "sequential", "--offload.module_map", "linear,embedding,conv")
        self.assert_done(done)
        self.assertIn("vae.offload.module_map: linear,embedding,conv becomes conv", done.stderr)
        self.assertEqual(self.record()["offload"]["vae"]["module_map"], "conv")
        self.assert_refused(self.generate("--vae.offload.type", "sequential", "--vae.offload.module_map", "embedding",
                                          "--overwrite"), "vae.offload.module_map", "no embedding", "conv")

    def test_a_limit_that_one_stage_cannot_keep(self):
        done = self.generate("--offload.type", "sequential", "--offload.vram_limit", "0.0005")
        self.assert_done(done)
        raised = [stage for stage, used in self.record()["offload"].items() if used["vram_limit"] != 0.0005]
        self.assertTrue(0 < len(raised) < 3, raised)
        for stage in raised:
            self.assertIn(f"{stage}.offload.vram_limit: 0.0005 becomes", done.stderr)
        self.assert_refused(self.generate("--offload.type", "sequential", "--offload.vram_limit", "0.000001",
                                          "--overwrite"), "vram_limit", "needs at least")

    def test_ways_of_several_ranks_on_a_stage_that_runs_on_one(self):
        done = self.generate("-n", 2, "--offload.type", "async", "--offload.transport", "sharded",
                             "--offload.interleave", "gated")
        self.assert_done(done)
        self.assertIn("text_encoder.offload.transport: sharded becomes full", done.stderr)
        for stage in ["vae", "text_encoder"]:
            self.assertIn(f"{stage}.offload.interleave: gated becomes free", done.stderr)
        for stage in ["dit", "vae"]:
            self.assertEqual(self.record()["offload"][stage]["transport"], "sharded")
            self.assertEqual(self.record()["offload"][stage]["share"], "auto")
        self.assert_refused(self.generate("-n", 2, "--vae.offload.type", "async", "--vae.offload.transport", "sharded",
                                          "--split_vae", "false", "--overwrite"),
                            "vae.offload.transport: sharded", "one rank alone")


if __name__ == "__main__":
    unittest.main()
