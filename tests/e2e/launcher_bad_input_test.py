"""Wrong input through the program: exit code 2 and one line that says what was wrong, before weights are read."""

import json
import os
import pathlib
import subprocess
import unittest

from launcher_support import DEMO, FerryTest, change_tensors, ferry, write_safetensors

DIT_LAYERS = 6
DIT = "transformer/diffusion_pytorch_model.safetensors"


class BadInput(FerryTest):
    def generate(self, *arguments, model=DEMO, prompt="a red circle", env=None):
        return ferry("generate", "--model", model, "--prompt", prompt, "--out", self.folder / "x.mp4", *arguments, env=env)

    def test_a_missing_folder(self):
        self.assert_refused(self.generate(model="/no/such/folder"), "/no/such/folder")
        self.assert_refused(ferry("inspect", "/no/such/folder"), "/no/such/folder")

    def test_a_folder_without_a_model(self):
        self.assert_refused(self.generate(model=self.folder), self.folder)

    def test_an_index_that_names_a_missing_shard(self):
        model = self.copy_of_demo()
        os.rename(model / DIT, model / "transformer/diffusion_pytorch_model-00001-of-00002.safetensors")
        index = {"metadata": {}, "weight_map": {"patch_embedding.weight": "diffusion_pytorch_model-00001-of-00002.safetensors",
                                                "proj_out.bias": "diffusion_pytorch_model-00002-of-00002.safetensors"}}
        (model / (DIT + ".index.json")).write_text(json.dumps(index))
        self.assert_refused(self.generate(model=model), "diffusion_pytorch_model-00002-of-00002.safetensors")

    def test_a_missing_tensor_is_named(self):
        model = self.copy_of_demo()
        change_tensors(model / DIT, lambda name, *rest: None if name == "blocks.3.ffn.net.2.bias" else rest)
        self.assert_refused(self.generate(model=model), "blocks.3.ffn", "bias", "missing")

    def test_a_wrong_shape_is_named(self):
        model = self.copy_of_demo()

        def shorten(name, dtype, shape, data):
            if name != "blocks.2.attn1.to_q.bias":
                return dtype, shape, data
            return dtype, [shape[0] - 1], data[: len(data) // shape[0] * (shape[0] - 1)]

        change_tensors(model / DIT, shorten)
        self.assert_refused(self.generate(model=model), "blocks.2.self_attn.q.bias", "191", "192")

    def test_a_truncated_safetensors_file(self):
        model = self.copy_of_demo()
        with open(model / DIT, "r+b") as file:
            file.truncate(os.path.getsize(model / DIT) - 1000)
        self.assert_refused(self.generate(model=model), model / DIT)
        with open(model / DIT, "r+b") as file:
            file.truncate(5)
        self.assert_refused(self.generate(model=model), model / DIT)

    def test_a_truncated_pth_file(self):
        model = self.folder / "official"
        made = ferry("make-model", model, "--tokenizer", DEMO / "tokenizer/spiece.model")
        self.assertEqual(made.returncode, 0, made.stderr)
        with open(model / "Wan2.1_VAE.pth", "r+b") as file:
            file.truncate(os.path.getsize(model / "Wan2.1_VAE.pth") // 2)
        self.assert_refused(self.generate(model=model), model / "Wan2.1_VAE.pth")

    def test_sizes_and_frames_that_do_not_fit(self):
        self.assert_refused(self.generate("--frames", 6), "frames", "6", "4n+1")
        self.assert_refused(self.generate("--size", "72x64"), "size", "72x64", "16")

    def test_ranks_that_do_not_fit(self):
        self.assert_refused(self.generate("-n", 2, "--ulysses", 4), "2 ranks", "ulysses 4")
        self.assert_refused(self.generate("-n", 3, "--cfg", "parallel"), "--cfg", "even")

    def test_more_ranks_than_heads(self):
        # The small model has 4 heads.
        self.assert_refused(self.generate("-n", 5), "4 attention heads", "start 4 or 3 ranks")

    def test_the_same_under_somebody_elses_mpirun(self):
        command = ["mpirun", "--quiet", "--oversubscribe", "-n", "5", os.environ["FERRY_BINARY"], "generate", "--model", DEMO,
                   "--prompt", "x", "--out", self.folder / "x.mp4"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        self.assert_refused(done, "4 attention heads", "start 4 or 3 ranks")

    def test_what_only_another_rank_finds_wrong_is_said(self):
        # A model that is on the first node's disk alone.
        rank = ["-n", "1", os.environ["FERRY_BINARY"], "generate", "--prompt", "x", "--out", self.folder / "x.mp4", "--model"]
        command = ["mpirun", "--quiet", "--oversubscribe", *rank, DEMO, ":", *rank, "/nonexistent"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        (line,) = [line for line in done.stderr.splitlines() if "nonexistent" in line]
        self.assertRegex(line, r"^ferry: rank 1 on \S+: --model: model folder /nonexistent")

    def test_a_strength_without_a_lora(self):
        self.assert_refused(self.generate("--lora.strength", 2), "lora.strength", "--lora.path")

    def test_unknown_options_and_keys_name_the_nearest(self):
        self.assert_refused(self.generate("--stps", 3), "--stps", "--steps")
        config = self.folder / "a.cfg"
        config.write_text("[offload]\nprefetchsize = 2\n")
        self.assert_refused(self.generate("--config", config), config, "offload.prefetchsize", "offload.prefetch_size")
        self.assert_refused(ferry("generat"), "generat", "did you mean generate?")

    def test_an_empty_prompt(self):
        self.assert_refused(self.generate(prompt=""), "--prompt", "empty")
        self.assert_refused(ferry("generate", "--model", DEMO), "--prompt")

    def test_cuda_without_a_gpu(self):
        if os.path.exists("/dev/nvidia0"):
            self.skipTest("a GPU is here")
        for ranks in ([], ["-n", 2]):
            self.assert_refused(self.generate("--device", "cuda", *ranks), "sees no GPU", "--device cpu")
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_folder_that_takes_no_results(self):
        self.assert_refused(self.generate("--out_scale", 1, "--save", "/proc/x.safetensors"), "/proc")
        done = ferry("generate", "--model", DEMO, "--prompt", "x", "--out", self.folder / "none" / "x.mp4")
        self.assert_refused(done, self.folder / "none")

    def test_a_result_is_not_replaced_unasked(self):
        (self.folder / "x.mp4").write_text("mine")
        self.assert_refused(self.generate(), self.folder / "x.mp4", "--overwrite")
        self.assertEqual((self.folder / "x.mp4").read_text(), "mine")

    def test_a_timeline_in_place_of_a_result(self):
        for name in ["x.json", "x.mp4", "x.png"]:
            self.assert_refused(self.generate("--trace.file", self.folder / name), "trace.file", self.folder / name)

    def test_an_attention_kernel_that_is_not_there(self):
        self.assert_refused(self.generate("--attention.impl", "fa3", "--device", "cpu"), "fa3", "bf16")
        self.assert_refused(self.generate("--attention.impl", "fa3", "--device", "cpu", "--dtype", "bf16"), "fa3")
        self.assert_refused(self.generate("--attention.impl", "cudnn", "--device", "cpu"), "cudnn", "auto")
        self.assert_refused(self.generate("--attention.fa3", self.folder / "no.so"), "attention.fa3", "no.so")

    def test_a_library_of_attention_beside_another_kernel(self):
        library = self.folder / "fa3.so"
        library.write_bytes(b"x")
        for impl in ("cudnn", "flash", "math"):
            self.assert_refused(self.generate("--attention.impl", impl, "--attention.fa3", library, "--device", "cpu"),
                                "attention.fa3", "attention.impl " + impl)

    def test_offload_settings_out_of_range(self):
        # The small model's DiT has 6 layers; nothing is loaded before any of these.
        for option, words in [(("--offload.offload_ratio", "1.5"), ["offload_ratio", "1.5"]),
                              (("--offload.offload_ratio", "-0.1"), ["offload_ratio", "-0.1"]),
                              (("--offload.offload_ratio", "nan"), ["offload_ratio", "nan"]),
                              (("--offload.prefetch_size", "0"), ["prefetch_size", "0"]),
                              (("--offload.type", "asink"), ["offload.type", "asink", "async"]),
                              (("--dit.offload.transport", "fast"), ["transport", "fast"]),
                              (("--offload.share", "1.5"), ["offload.share", "1.5"]),
                              (("--offload.share", "half"), ["offload.share", "half"]),
                              (("--dit.offload.type", "async", "--dit.offload.transport", "full",
                                "--dit.offload.share", "0.5"), ["dit.offload.share", "0.5", "transport full", "auto"]),
                              (("--offload.type", "async", "--offload.transport", "sharded", "--offload.share", "0"),
                               ["offload.share: 0;", "transport sharded", "auto"])]:
            self.assert_refused(self.generate(*option), *words)
        for kind in ("async", "auto"):
            done = self.generate("--dit.offload.type", kind, "--dit.offload.prefetch_size", DIT_LAYERS + 1)
            self.assert_refused(done, "dit.offload.prefetch_size", DIT_LAYERS + 1, f"between 1 and the {DIT_LAYERS}")

    def test_a_vram_limit_below_the_least_that_works_says_how_much_is_needed(self):
        # The DiT in fp32 is 15.9 MB, of which async wants two blocks and what is in none.
        for kind, needed in [("none", "0.0148 GiB"), ("model", "0.0148 GiB"), ("async", "slots"),
                             ("sequential", "largest module"), ("auto", "largest module")]:
            done = self.generate("--dtype", "fp32", "--dit.offload.type", kind, "--dit.offload.vram_limit", "0.0001",
                                 "--run.dry_run")
            self.assert_refused(done, "dit.offload.vram_limit", "0.0001 GiB", f"{kind} needs at least", needed)

    def test_a_model_that_does_not_fit(self):
        memory = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
        if int(memory["MemTotal"].split()[0]) * 1024 > 28e9:
            self.skipTest("the weights of 28.9 GB may fit here")
        made = ferry("make-model", self.folder / "m", "--size", "14B", "--parts", "dit,vae", "--sparse")
        self.assertEqual(made.returncode, 0, made.stderr)
        rows = ("F32", [2, 4096], bytes(2 * 4096 * 4))
        write_safetensors(self.folder / "context.safetensors", {"positive": rows, "negative": rows})
        done = self.generate("--context", self.folder / "context.safetensors", model=self.folder / "m")
        self.assert_refused(done, "dit: the weights take 28.95 GB", "are available", "fit")

    def test_loras_that_do_not_fit(self):
        lora = self.folder / "lora.safetensors"
        self.assert_refused(self.generate("--lora.path", lora), "--lora.path", "no such file")
        pair = {"blocks.0.self_attn.q.lora_A.weight": ("F32", [1, 192], bytes(4 * 192)),
                "blocks.0.self_attn.q.lora_B.weight": ("F32", [192, 1], bytes(4 * 192))}
        for name, change, words in [
                ("blocks.99.ffn.0.lora_A.weight", ("F32", [1, 192], bytes(4 * 192)), ["blocks.99.ffn.0", "no linear"]),
                ("blocks.0.self_attn.q.lora_A.weight", ("F32", [1, 191], bytes(4 * 191)), ["[1, 191]", "[1, 192]"])]:
            write_safetensors(lora, {**pair, name: change})
            self.assert_refused(self.generate("--lora.path", lora), lora, name, *words)
        write_safetensors(lora, pair)
        self.assert_refused(self.generate("--lora.path", lora, "--offload.type", "sequential", "--offload.module_map",
                                          "linear=AutoWrappedModule"), "module_map", "AutoWrappedLinear")
        config = self.folder / "adapter_config.json"
        for text, word in [('{"lora_alpha": "x"}', "lora_alpha"), ('{"lora_alpha": 2, "r": 3}', "rank"),
                           ('{"lora_alpha": 2, "use_dora": true}', "use_dora"), ("{", "JSON")]:
            config.write_text(text)
            self.assert_refused(self.generate("--lora.path", lora), config, word)
            self.assert_refused(self.generate("--lora.path", self.folder), config, word)
        write_safetensors(self.folder / "another.safetensors", pair)
        self.assert_refused(self.generate("--lora.path", lora), lora, "adapter_config.json", "another")
        self.assert_refused(self.generate("--lora.path", self.folder), "another.safetensors, lora.safetensors")
        lora.write_bytes(b"\xff" * 64)
        self.assert_refused(self.generate("--lora.path", lora), lora)

    def test_a_word_too_many_and_a_damaged_noise_file(self):
        self.assert_refused(self.generate("circle"), "circle")
        (self.folder / "noise.safetensors").write_bytes(b"\xff" * 64)
        self.assert_refused(self.generate("--noise", self.folder / "noise.safetensors"), "noise.safetensors")

    def test_inspect_refuses_a_damaged_checkpoint_and_names_the_tensor(self):
        model = self.copy_of_demo()
        change_tensors(model / DIT, lambda name, *rest: None if name == "proj_out.bias" else rest)
        self.assert_refused(ferry("inspect", model), "head.head.bias")


if __name__ == "__main__":
    unittest.main()
