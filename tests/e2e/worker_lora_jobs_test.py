"""Manifests whose videos have LoRAs of their own: each has the bits of a run of its own."""

import array
import json
import random
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors, write_safetensors

GIVEN = ("--model", DEMO, "--device", "cpu", "--dtype", "fp32", "--prompt", "a red circle", "--seed", "3", "--steps", "2",
         "--size", "64x64", "--frames", "5", "--guidance", "2")


def numbers(shape, seed):
    values = random.Random(seed)
    count = 1
    for extent in shape:
        count *= extent
    return "F32", list(shape), array.array("f", (values.gauss(0, 0.1) for _ in range(count))).tobytes()


def write_lora(path, seed, names):
    tensors = {}
    for block in range(6):
        for name in names:
            tensors[f"blocks.{block}.{name}.lora_A.weight"] = numbers((4, 192), seed + block)
            tensors[f"blocks.{block}.{name}.lora_B.weight"] = numbers((192, 4), seed + block + 100)
        tensors[f"blocks.{block}.{names[0]}.diff_b"] = numbers((192,), seed + block + 200)
    write_safetensors(path, tensors)


class LoraJobs(FerryTest):
    def setUp(self):
        super().setUp()
        write_lora(self.folder / "a.safetensors", 0, ("self_attn.q", "cross_attn.o"))
        write_lora(self.folder / "b.safetensors", 1000, ("self_attn.q", "self_attn.v"))

    def jobs(self, lists, *words, ranks=1):
        """Makes a video for each list of LoRAs; None: the item says nothing of them."""
        lines = [{"save": f"{i}.safetensors"} | ({} if loras is None else {"lora": loras}) for i, loras in enumerate(lists)]
        (self.folder / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return ferry("generate", "-n", ranks, *GIVEN, "--jobs", "jobs.jsonl", "--overwrite", *words, cwd=self.folder)

    def latents(self, path):
        header, data = read_safetensors(self.folder / path)
        return data[slice(*header["latents"]["data_offsets"])]

    def alone(self, loras, *words, ranks=1):
        chosen = []
        for lora in loras:
            chosen += ["--lora.path", lora["path"], "--lora.strength", lora.get("strength", 1)]
        done = ferry("generate", "-n", ranks, *GIVEN, *chosen, *words, "--overwrite", "--out", "alone.mp4", "--save", "alone.safetensors",
                     cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.latents("alone.safetensors")

    LISTS = ([{"path": "a.safetensors"}], [], [{"path": "b.safetensors", "strength": -0.5}, {"path": "a.safetensors", "strength": 2}],
             None, [{"path": "a.safetensors", "strength": 1}], [])
    GIVEN_LORA = ("--lora.path", "b.safetensors", "--lora.strength", "0.25")

    def check(self, *words, ranks=1, ranks_alone=None):
        done = self.jobs(self.LISTS, *self.GIVEN_LORA, *words, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        if ranks_alone is None:
            ranks_alone = ranks
        strategy = [word for word in words if word not in ("--data", "2")]
        wanted = {}
        for i, loras in enumerate(self.LISTS):
            loras = [{"path": "b.safetensors", "strength": 0.25}] if loras is None else [{"strength": 1} | lora for lora in loras]
            key = json.dumps(loras)
            if key not in wanted:
                wanted[key] = self.alone(loras, *strategy, ranks=ranks_alone)
            self.assertTrue(self.latents(f"{i}.safetensors") == wanted[key], f"{words}: item {i}")
            self.assertEqual(json.loads((self.folder / f"line-{i + 1:04}.json").read_text())["job"]["loras"], loras)
        self.assertEqual(len(set(wanted.values())), 4)
        return done.stderr

    def test_each_has_the_bits_of_a_run_of_its_own(self):
        for ranks in (1, 2):
            log = self.check(ranks=ranks)
            # Those with equal lists stand together: a change of the LoRAs reads their tensors again.
            order = [line.split("line ")[1].split(",")[0] for line in log.splitlines() if "video " in line and " of 6: " in line]
            self.assertEqual(order, ["1", "5", "2", "6", "3", "4"])
            self.assertEqual([log.count(f"load {name}") for name in ("text_encoder", "dit", "vae")], [1, 4, 1])
            # The first video's are in the plan.
            self.assertEqual([log.count(f"LoRAs from here on:{after}") for after in ("", " none", "\n  LoRA")], [3, 1, 2])

    def test_strategies_restore_the_weights_too(self):
        for kind in ("async", "sequential"):
            self.check("--dit.offload.type", kind)

    def test_groups_meet_before_the_loras_change(self):
        self.check("--data", "2", ranks=2, ranks_alone=1)

    def test_a_round_has_the_loras_of_its_own_videos(self):
        """A video of a later round, whose prompt wants the text encoder now, has others."""
        write_safetensors(self.folder / "c.safetensors", {"positive": numbers((8, 128), 5), "negative": numbers((8, 128), 6)})
        lines = ({"context": "c.safetensors", "lora": [{"path": "a.safetensors"}], "save": "0.safetensors"},
                 {"prompt": "a red circle", "lora": [{"path": "b.safetensors"}], "save": "1.safetensors"})
        (self.folder / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        given = [word for word in GIVEN if word not in ("--prompt", "a red circle")]
        done = ferry("generate", "-n", 2, *given, "--data", "2", "--run.deadline_s", "30", "--jobs", "jobs.jsonl", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.latents("1.safetensors") == self.alone([{"path": "b.safetensors"}]))
        done = ferry("generate", *given, "--context", "c.safetensors", "--lora.path", "a.safetensors", "--out", "alone.mp4",
                     "--save", "alone.safetensors", "--overwrite", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.latents("0.safetensors") == self.latents("alone.safetensors"))

    def test_a_lora_that_does_not_fit_fails_its_own_video(self):
        write_safetensors(self.folder / "bad.safetensors", {"blocks.9.ffn.0.diff_b": numbers((768,), 1)})
        done = self.jobs([[{"path": "none.safetensors"}], [{"path": "bad.safetensors"}], [{"file": "a"}], []])
        self.assertEqual(done.returncode, 1, done.stderr)
        failed = [json.loads(line) for line in (self.folder / "jobs.jsonl.failed.jsonl").read_text().splitlines()]
        self.assertEqual([(item["line"], item["exit_code"]) for item in failed], [(1, 2), (2, 2), (3, 2)])
        for item, word in zip(failed, ("none.safetensors", "blocks.9.ffn.0", "unknown key 'file'"), strict=True):
            self.assertIn(word, item["error"])
        self.assertTrue(self.latents("3.safetensors") == self.alone([]))
        # One of the command line concerns every video.
        self.assert_refused(self.jobs([[]], "--lora.path", "bad.safetensors"), "blocks.9.ffn.0")

    def test_a_video_with_other_loras_stays_and_is_named(self):
        self.assertEqual(self.jobs([[], [{"path": "a.safetensors"}]]).returncode, 0)
        (self.folder / "jobs.jsonl").write_text(json.dumps({"save": "0.safetensors", "lora": [{"path": "b.safetensors"}]}) + "\n" +
                                                json.dumps({"save": "1.safetensors", "lora": [{"path": "a.safetensors"}]}) + "\n")
        done = ferry("generate", *GIVEN, "--jobs", "jobs.jsonl", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("line 1: line-0001 is there and stays, but loras is", done.stderr)
        self.assertNotIn("line 2: line-0002 is there and stays, but", done.stderr)


if __name__ == "__main__":
    unittest.main()
