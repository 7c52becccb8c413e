"""The timeline of a run: copies of weights run under the computing, and between the exchanges when they are gated."""

import json
import sys
import unittest

from launcher_support import DEMO, SOURCE, FerryTest, ferry

sys.path.insert(0, str(SOURCE / "tools"))
from trace_spans import Span, overlap_ms, read, select  # noqa: E402

LAYERS = 4
STEPS = 2
RANKS = (0, 1)
NOTHING_MS = 1e-3  # times are written in thousandths of a microsecond


def copies_over_exchanges_ms(spans, rank):
    return overlap_ms(select(spans, rank, "copy"), select(spans, rank, "exchange"))


class Timeline(FerryTest):
    gbps = None

    def setUp(self):
        super().setUp()
        made = ferry("make-model", self.folder / "m", "--layers", LAYERS, "--head_dim", 256, "--dtype", "bf16",
                     "--tokenizer", DEMO / "tokenizer/spiece.model")
        self.assertEqual(made.returncode, 0, made.stderr)

    def generate(self, *options):
        """What the job printed, and its record."""
        done = ferry("generate", "-n", 2, "--model", self.folder / "m", "--prompt", "a red circle", "--size", "208x208",
                     "--frames", 9, "--steps", STEPS, "--cfg", "paired", "--dit.offload.type", "async",
                     "--dit.offload.transport", "full", *options, "--out", self.folder / "x.mp4", "--overwrite")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr, json.loads((self.folder / "x.json").read_text())

    def slow_link(self):
        """Of a speed at which the job's bytes take 1.2 times as long as this machine computes; measured once."""
        if Timeline.gbps is None:
            _, record = self.generate()
            denoise = record["ranks"][0]["stages"][1]
            Timeline.gbps = 1e-9 * denoise["offload"]["ferried_bytes"] / (1.2 * sum(denoise["step_s"]))
        return f"{Timeline.gbps:.4f}"

    def run_job(self, interleave):
        """Spans and record of a job whose link is busy for longer than its computing."""
        printed, record = self.generate("--dit.offload.interleave", interleave, "--dit.offload.link_gbps",
                                        self.slow_link(), "--trace.file", self.folder / "trace.json")
        self.assertIn("compute stood still", printed)
        return read(self.folder / "trace.json"), record

    def test_gated_copies_run_under_the_computing_and_never_under_an_exchange(self):
        spans, record = self.run_job("gated")
        for rank in RANKS:
            copies = select(spans, rank, "copy")
            self.assertGreater(len(copies), 2 * LAYERS * STEPS, "a block is copied in chunks")
            self.assertLess(copies_over_exchanges_ms(spans, rank), NOTHING_MS)
            copied_ms = sum(span.end - span.begin for span in copies)
            for part in ("attention", "ffn"):
                under = select(spans, rank, "compute", [part])
                self.assertEqual({span.block for span in under}, set(range(LAYERS)))
                # Half and a quarter of the copies on an idle machine, less where others compute as well.
                self.assertGreater(overlap_ms(copies, under), 0.05 * copied_ms, part)
            exchanged = select(spans, rank, "exchange")
            self.assertEqual({span.block for span in exchanged}, {-1, *range(LAYERS)})
            self.assert_waits(select(spans, rank, "compute"), record["ranks"][rank]["stages"][1])

    def assert_waits(self, computing, stage):
        """What the record says was waited for is what the timeline shows."""
        exchange = stage["exposed_exchange"]
        shown = sum(span.end - span.begin for span in computing if span.part == "wait for exchange")
        # A span of the trace is opened before and closed after the measurement's own events.
        self.assertLessEqual(exchange["ms"], shown)
        self.assertGreater(exchange["ms"], 0.9 * shown)
        self.assertEqual((len(exchange["ms_by_step"]), len(exchange["ms_by_block"])), (STEPS, LAYERS + 1))
        copy = stage["exposed_copy"]
        self.assertEqual((len(copy["ms_by_step"]), len(copy["ms_by_block"])), (STEPS, LAYERS))
        self.assertEqual(copy["ms"], stage["offload"]["exposed_copy_ms"])
        for waits in (exchange, copy):
            self.assertGreater(waits["ms"], 0)
            self.assertAlmostEqual(sum(waits["ms_by_step"]), waits["ms"], places=6)
            self.assertAlmostEqual(STEPS * sum(waits["ms_by_block"]), waits["ms"], places=6)

    def test_free_copies_run_under_exchanges_and_that_is_seen(self):
        spans, _ = self.run_job("free")
        for rank in RANKS:
            self.assertGreater(copies_over_exchanges_ms(spans, rank), 1)


class Overlap(unittest.TestCase):
    def test_only_time_that_both_take_counts(self):
        def span(begin, end):
            return Span(0, "copy", "copy 3", begin, end)

        self.assertEqual(overlap_ms([span(0, 1), span(2, 4)], [span(1, 2)]), 0)
        self.assertEqual(overlap_ms([span(0, 1), span(2, 4)], [span(0.5, 3), span(3.5, 9)]), 2)
        self.assertEqual((span(0, 1).part, span(0, 1).block), ("copy", 3))


if __name__ == "__main__":
    unittest.main()
