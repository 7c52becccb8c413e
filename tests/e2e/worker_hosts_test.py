"""Two hosts that talk over TCP (hosts_support.py; skipped where the kernel allows none): the bits of as many ranks on one."""

import json
import unittest

from hosts_support import Hosts, require_hosts
from launcher_support import BINARY, DEMO, FerryTest, ferry

GIVEN = {"prompt": "a red circle moving right on a black background", "negative_prompt": "a blue square",
         "size": "80x48", "frames": 5, "steps": 2, "guidance": 5, "seed": 3, "dtype": "fp32"}
LARGER = {"size": "160x96", "frames": 9}  # 3 x 6 x 10 tokens
TOKENS, DIM, LAYERS, BYTES, TRIPS = 180, 192, 6, 4, 4
BY_SLOT, BY_NODE = (), ("--map-by", "node")


class TwoHosts(FerryTest):
    def setUp(self):
        super().setUp()
        hosts = Hosts()
        self.hosts = hosts.__enter__()
        self.addCleanup(hosts.__exit__)

    def words(self, options):
        flags = [word for key, value in {**GIVEN, **options}.items() for word in ("--" + key, value)]
        return ["generate", "--model", DEMO, "--out", self.folder / "x.mp4", "--overwrite",
                "--save", self.folder / "x.safetensors", *flags]

    def result(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stderr
        return (self.folder / "x.safetensors").read_bytes()

    def on_one_host(self, ranks, **options):
        return self.result(ferry(*self.words(options), "-n", ranks))

    def on_two(self, slots, order=BY_SLOT, **options):
        return self.result(self.hosts.mpirun(slots, *order, BINARY, *self.words(options)))

    def test_two_ranks_on_each(self):
        for cfg, sharing in (("paired", "ranks 0-3 (alpha"), ("parallel", "")):
            one = self.on_one_host(4, cfg=cfg)
            for order in (BY_SLOT, BY_NODE):
                self.assertEqual(self.on_two((2, 2), order, cfg=cfg), one, (cfg, order))
                self.assertEqual("goes over the network" in self.said, bool(sharing), self.said)
                self.assertIn(sharing, self.said)
                self.assertEqual("numbered by node" in self.said, order == BY_NODE)

    def test_copies_are_shared_inside_a_host_and_not_where_one_rank_is_alone(self):
        sharded = {"cfg": "paired", "offload.type": "async", "offload.transport": "sharded"}
        four = self.on_one_host(4, cfg="paired")
        self.assertEqual(self.on_two((2, 2), BY_NODE, **sharded), four)
        self.assertIn("transport sharded, share 1", self.said)
        one = self.on_one_host(3, cfg="paired")
        for order in (BY_SLOT, BY_NODE):
            self.assertEqual(self.on_two((2, 1), order, **sharded), one)
            self.assertIn("transport full, not sharded", self.said)

    def test_branches_go_across_hosts(self):
        self.on_two((2, 2), BY_NODE)
        self.assertIn("each half's exchanges stay inside one", self.said)
        record = json.loads((self.folder / "x.json").read_text())
        self.assertEqual(record["mesh"], {"data": 1, "cfg": 2, "ulysses": 2})
        self.assertEqual([rank["host"].split("-")[0] for rank in record["ranks"]], ["alpha", "alpha", "beta", "beta"])

    def test_the_warning_counts_what_goes_over_the_network(self):
        def sent_in_a_step(**options):
            sent = []
            for steps in (2, 10):
                before = self.hosts.bytes_between()
                self.on_two((2, 2), steps=steps, **LARGER, **options)
                sent.append(self.hosts.bytes_between() - before)
            return (sent[1] - sent[0]) / 8

        # Two branches, and half of each destination's rows come from the other host.
        stated = 2 * TRIPS * LAYERS * TOKENS * DIM * BYTES / 2
        paired = sent_in_a_step(cfg="paired")
        self.assertIn(f"{stated / 1e6:.3g} MB a step", self.said)
        # Headers, what the ranks gather after each forward, and signs of life come on top; measured: 0.99 of it.
        self.assertGreater(paired, 0.95 * stated)
        self.assertLess(paired, 1.3 * stated)
        self.assertLess(sent_in_a_step(cfg="parallel"), 0.1 * stated)

    def test_groups_of_ranks_take_videos_over_the_network(self):
        manifest = self.folder / "jobs.jsonl"
        videos = [{"prompt": "a red circle", "seed": i, "out": str(self.folder / f"{i}.mp4")} for i in range(4)]
        manifest.write_text("".join(json.dumps(video) + "\n" for video in videos))
        given = [word for key in ("size", "frames", "steps", "guidance", "dtype") for word in (f"--{key}", GIVEN[key])]
        for order in (BY_SLOT, BY_NODE):
            done = self.hosts.mpirun((2, 2), *order, BINARY, "generate", "--model", DEMO, "--jobs", manifest, "--data", 2,
                                     "--overwrite", *given)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("4 made", done.stderr)
            self.assertNotIn("goes over the network", done.stderr)

    def test_a_rank_of_the_other_host_that_stops_or_dies_is_reported(self):
        for fault, words in (("stop:3:denoise:20", "has stopped"), ("kill:2:denoise:20", "is gone")):
            done = self.hosts.mpirun((2, 2), BINARY, *self.words({"steps": 1000, "run.deadline_s": 3}),
                                     env={"FERRY_TEST_FAULT": fault})
            self.assertNotEqual(done.returncode, 0)
            rank = fault.split(":")[1]
            self.assertRegex(done.stderr, rf"ferry: rank {rank} on beta-\d+ {words}")


if __name__ == "__main__":
    require_hosts()
    unittest.main()
