"""What a video would take: ferry plan against runs, and with rates measured here.  launcher_plan_test.py CLASS"""

import json
import pathlib
import time
import unittest

from launcher_support import DEMO, FerryTest, ferry


MACHINES = pathlib.Path(__file__).parents[2] / "configs/machines"


def planned(*arguments):
    done = ferry("plan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def of_type(plan, kind):
    """With one video at a time, guidance paired, and of async what the options' defaults are."""
    return next(each for each in plan["plans"] if each["type"] == kind and each["cfg"] == "paired" and each["data"] == 1 and
                (kind != "async" or (each["offload_ratio"], each["prefetch_size"]) == (1, 1)))


class Requests(FerryTest):
    def test_a_plan_names_every_strategy_and_recommends_one_that_fits(self):
        plan = planned("--model", "14B", "--gpus", 8, "--vram", 24, "--machine", "h100")
        self.assertEqual({each["type"] for each in plan["plans"]}, {"none", "async", "sequential"})
        self.assertTrue(plan["recommended"]["fits"])
        self.assertEqual(plan["recommended"]["type"], "async")
        self.assertIn("rates of 4 ranks", plan["assumed"])

    def test_more_gpus_than_are_here_are_planned_with_h100s_rates(self):
        done = ferry("plan", "--model", "1.3B", "--gpus", 64, "--nodes", 8)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("h100", done.stdout.splitlines()[0])
        self.assertIn("recommended: -n 64", done.stdout)
        self.assertIn("assumed", done.stdout)

    def test_gpus_are_in_as_few_nodes_as_hold_them(self):
        for gpus, given, nodes in ((8, (), 1), (64, (), 8), (12, (), 2), (64, ("--nodes", 16), 16)):
            plan = planned("--model", "1.3B", "--gpus", gpus, "--machine", "h100", *given)
            self.assertEqual(plan["recommended"]["nodes"], nodes)
        self.assert_refused(ferry("plan", "--model", "1.3B", "--gpus", 11, "--machine", "h100"), "gpus 11", "10 or 12")

    def test_what_cannot_be_made_is_refused_in_one_line(self):
        plan = ("plan", "--model", "14B", "--machine", "h100")
        self.assert_refused(ferry(*plan, "--vram", 1), "GPU memory", "1.00 GiB", "would fit")
        self.assert_refused(ferry(*plan, "--host", 8), "host memory", "8.00 GiB", "--host 27")
        self.assert_refused(ferry(*plan, "--gpus", 3, "--nodes", 2), "gpus 3", "multiple")
        self.assert_refused(ferry(*plan, "--frames", 6), "frames 6", "4n+1")
        self.assert_refused(ferry(*plan, "--task", "i2v"), "i2v", "t2v")
        self.assert_refused(ferry("plan", "--model", "15B"), "15B", "A14B")
        self.assert_refused(ferry("plan", "--model", "14B", "--machine", "h300"), "h300", "pcie")
        self.assert_refused(ferry("plan"), "--model")

    def test_a_damaged_machine_file_is_named(self):
        (self.folder / "rates.json").write_text('{"name": "x"}')
        self.assert_refused(ferry("plan", "--model", "14B", "--machine", self.folder / "rates.json"), "rates.json",
                            "device is missing")
        self.assert_refused(ferry("bench", "calibrate", "--out", self.folder / "rates.json"), "rates.json")

    def test_rates_that_cannot_be_written_or_are_of_another_machine(self):
        self.assert_refused(ferry("bench", "calibrate", "--out", self.folder / "none" / "x.json"), "No such file")
        other = self.folder / "h100.json"
        text = (MACHINES / "h100.json").read_text()
        other.write_text(text)
        self.assert_refused(ferry("bench", "calibrate", "--device", "cpu", "--out", other), "H100", "cpu")
        self.assertEqual(other.read_text(), text)

    def test_a_bad_request_is_refused_before_this_machine_is_measured(self):
        begin = time.monotonic()
        self.assert_refused(ferry("plan", "--model", "14B", "--frames", 6), "frames 6", "5 and 9")
        self.assert_refused(ferry("plan", "--model", "14B", "--machine", ""), "--machine", "empty")
        self.assertLess(time.monotonic() - begin, 10)


class Runs(FerryTest):
    def test_memory_is_what_runs_account(self):
        plan = planned("--model", DEMO, "--size", "64x64", "--frames", 5, "--gpus", 2, "--machine", "h100")
        for kind in ("none", "async", "sequential"):
            with self.subTest(kind):
                done = ferry("generate", "-n", 2, "--model", DEMO, "--device", "cpu", "--dtype", "bf16", "--size", "64x64",
                             "--frames", 5, "--steps", 2, "--cfg", "paired", "--guidance", 5, "--offload.type", kind,
                             "--prompt", "a red square", "--out", self.folder / f"{kind}.mp4")
                self.assertEqual(done.returncode, 0, done.stderr)
                record = json.loads((self.folder / f"{kind}.json").read_text())
                stages = [stage for rank in record["ranks"] for stage in rank["stages"] if stage.get("offload")]
                peak = max(stage["weights_peak_bytes"] for stage in stages)
                arena = max(stage["offload"]["host_bytes"] for stage in stages)
                predicted = of_type(plan, kind)
                self.assertLess(abs(predicted["gpu_bytes"] / peak - 1), 0.03, f"{predicted['gpu_bytes']} {peak}")
                self.assertLess(abs(predicted["node_bytes"] / arena - 1), 0.03, f"{predicted['node_bytes']} {arena}")


    def test_bytes_of_a_step_are_those_that_bench_offload_counts(self):
        model = self.folder / "tiny"
        self.assertEqual(ferry("make-model", model, "--parts", "dit").returncode, 0)
        size = ("--model", model, "--size", "64x64", "--frames", 5)
        plans = planned(*size, "--machine", "h100")["plans"]
        for cfg in ("serial", "paired"):
            done = ferry("bench", "offload", *size, "--device", "cpu", "--branches", 2, "--cfg", cfg, "--types",
                         "none,async,sequential", "--ratios", 1, "--samples", 1, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            for row in map(json.loads, done.stdout.splitlines()):
                plan = next(each for each in plans if (each["cfg"], each["type"], each["prefetch_size"]) ==
                            (cfg, row["type"], 1 if row["type"] == "async" else 0))
                self.assertEqual((plan["ferried_bytes"], plan["dit_bytes"]), (row["bytes_per_step"], row["peak_bytes"]))


class Auto(FerryTest):
    """Offload type auto with room for some of the blocks, by rates that a file says are this machine's."""

    JOB = ("--model", DEMO, "--size", "64x64", "--frames", 5)

    def setUp(self):
        super().setUp()
        machine = json.loads((MACHINES / "h100.json").read_text())
        self.rates = self.folder / "rates.json"
        self.rates.write_text(json.dumps({**machine, "name": "here", "device": "cpu", "gpu": False}))
        plan = planned(*self.JOB, "--gpus", 2, "--machine", "h100")
        self.limit = (of_type(plan, "none")["dit_bytes"] + of_type(plan, "async")["dit_bytes"]) / 2 / 2**30

    def generate(self, *more):
        return ferry("generate", "-n", 2, *self.JOB, "--device", "cpu", "--dtype", "bf16", "--steps", 2, "--cfg", "paired",
                     "--guidance", 5, "--prompt", "a red square", "--out", self.folder / "x.mp4", "--overwrite",
                     "--dit.offload.type", "auto", "--dit.offload.vram_limit", self.limit, *more)

    def reports(self):
        record = json.loads((self.folder / "x.json").read_text())
        return [stage["offload"] for rank in record["ranks"] for stage in rank["stages"] if stage["name"] == "denoise"]

    def test_a_run_chooses_by_rates_where_it_has_some_and_says_so(self):
        done = self.generate("--machine", self.rates)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line for line in done.stderr.splitlines() if "dit: offload type async: predicted step " in line]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(" s (rates of here), next best ", lines[0])
        first, second = self.reports()
        self.assertEqual((first["type"], first["type_why"] in lines[0]), ("async", True))
        self.assertTrue(0 < first["offloaded"] < first["blocks"], first)
        self.assertGreater(first["predicted_step_s"], 0)
        for key in ("type", "type_why", "offloaded", "slots", "predicted_step_s"):
            self.assertEqual(first[key], second[key])
        done = self.generate()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("dit: offload type async: decided by memory (no rates of this machine); ", done.stderr)
        self.assertEqual([report["predicted_step_s"] for report in self.reports()], [0, 0])

    def test_rates_that_are_not_there_or_of_a_gpu_are_refused(self):
        self.assert_refused(self.generate("--machine", "h100"), "run.machine h100", "computes on cpu")
        self.assert_refused(self.generate("--machine", self.folder / "no.json"), "no such file", "pcie")

    def test_a_sweep_predicts_what_its_ranks_choose(self):
        grid, rows = self.folder / "grid.cfg", self.folder / "rows.jsonl"
        grid.write_text("[grid]\nranks = 1, 2\ntype = auto\nlink_gbps = 0, 0.01\n"
                        f"[model]\npath = {DEMO}\ndevice = cpu\ndtype = bf16\n[job]\nsize = 64x64\nframes = 5\n[parallel]\ncfg = serial\n"
                        f"[dit]\noffload.vram_limit = {self.limit}\n")
        done = ferry("bench", "sweep", "--grid", grid, "--out", rows, "--samples", 1, "--warmups", 1, "--machine", self.rates)
        self.assertEqual(done.returncode, 0, done.stderr)
        cells = [json.loads(line) for line in rows.read_text().splitlines()]
        self.assertEqual(len(cells), 4)
        for cell in cells:
            predicted, used = cell["predicted"], cell["used"]
            self.assertEqual((used["type"], used["type_why"].startswith("predicted step ")), ("async", True))
            self.assertEqual((predicted["type"], round(predicted["offload_ratio"] * used["blocks"]), predicted["prefetch_size"] + 1),
                             ("async", used["ferried_blocks"], used["slots"]))
            self.assertAlmostEqual(cell["predicted_step_s"] / used["predicted_step_s"], 1, 9)


class Calibrated(FerryTest):
    def test_rates_of_one_and_two_ranks_are_measured_and_planned_with(self):
        rates = self.folder / "here.json"
        done = ferry("bench", "calibrate", "-n", 2, "--device", "cpu", "--out", rates, timeout=500)
        self.assertEqual(done.returncode, 0, done.stderr)
        machine = json.loads(rates.read_text())
        self.assertEqual([section["ranks"] for section in machine["by_ranks"]], [1, 2])
        for section in machine["by_ranks"]:
            for key in ("link_gbps", "copy_loss"):
                self.assertEqual(section[key]["source"], "measured", key)
            self.assertEqual(section["pass_gbps"]["source"], "fitted")
            self.assertGreater(min(each["tflops"]["value"] for each in section["linear"]), 1e-3)
        plan = planned("--model", DEMO, "--gpus", 2, "--machine", rates)
        self.assertEqual(plan["assumed"], [])


if __name__ == "__main__":
    unittest.main()
