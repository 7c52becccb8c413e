"""Several nodes: the bits of as many ranks on one.  Here FERRY_TEST_NODES says which ranks share a node."""

import json
import unittest

from launcher_support import DEMO, FerryTest, ferry

GIVEN = {"prompt": "a red circle moving right on a black background", "negative_prompt": "a blue square",
         "size": "80x48", "frames": 5, "steps": 2, "guidance": 5, "seed": 3, "dtype": "fp32"}
TOKENS, DIM, LAYERS, BYTES, TRIPS = 30, 192, 6, 4, 4  # of the demo model at this size; queries, keys, values, result
OVER = "goes over the network"


class Nodes(FerryTest):
    def run_job(self, ranks, nodes="", **options):
        """The file with the latents; what was said, and the record."""
        words = [word for key, value in {**GIVEN, **options}.items() for word in ("--" + key, value)]
        done = ferry("generate", "-n", ranks, "--model", DEMO, "--out", self.folder / "x.mp4", "--overwrite",
                     "--save", self.folder / "x.safetensors", *words, env={"FERRY_TEST_NODES": nodes})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stderr
        self.record = json.loads((self.folder / "x.json").read_text())
        return (self.folder / "x.safetensors").read_bytes()

    def test_the_bits_are_those_of_one_node(self):
        for ranks, layouts in {4: ("0,0,1,1", "0,1,0,1"), 3: ("0,0,1", "0,1,0", "0,1,1")}.items():
            one = self.run_job(ranks, cfg="paired")
            self.assertNotIn(OVER, self.said)
            for nodes in layouts:
                self.assertEqual(self.run_job(ranks, nodes, cfg="paired"), one, nodes)
                self.assertIn(OVER, self.said)
        one = self.run_job(4, cfg="parallel")
        self.assertEqual(self.run_job(4, "0,1,1,0", cfg="parallel"), one)
        self.assertEqual(self.run_job(4, "0,1,1,1", cfg="parallel"), one)

    def test_sharing_of_copies_stays_on_a_node(self):
        plain = self.run_job(4, cfg="paired")
        sharded = {"cfg": "paired", "offload.type": "async", "offload.transport": "sharded"}
        self.assertEqual(self.run_job(4, "0,1,0,1", **sharded), plain)
        self.assertIn("transport sharded, share 1", self.said)
        uneven = self.run_job(3, cfg="paired")
        for nodes in ("0,0,1", "0,1,0"):
            self.assertEqual(self.run_job(3, nodes, **sharded), uneven)
            self.assertIn("transport full, not sharded", self.said)
            self.assertEqual(self.run_job(3, nodes, **{**sharded, "offload.transport": "auto"}), uneven)

    def test_branches_go_across_nodes_where_exchanges_would(self):
        self.run_job(4)
        self.assertEqual(self.record["mesh"], {"data": 1, "cfg": 1, "ulysses": 4})
        for nodes in ("0,0,1,1", "0,1,0,1"):
            self.run_job(4, nodes)
            self.assertEqual(self.record["mesh"], {"data": 1, "cfg": 2, "ulysses": 2})
            self.assertIn("each half's exchanges stay inside one", self.said)
            self.assertNotIn(OVER, self.said)

    def test_a_warning_says_how_much_goes_over_the_network_and_what_would_not(self):
        self.run_job(4, "0,1,0,1", cfg="serial")
        line = next(line for line in self.said.splitlines() if OVER in line)
        # Two branches; half of each destination's rows come from the other node.
        self.assertIn(f" {2 * TRIPS * LAYERS * TOKENS * DIM * BYTES / 2 / 1e6:.3g} MB a step", line)
        self.assertIn("--cfg parallel would send nothing", line)
        self.run_job(4, "0,1,0,1", guidance=1)
        self.assertIn("on 2 ranks each (--jobs, --data)", self.said)
        self.assertIn("numbered by node", self.said)
        self.run_job(4, "0,0,1,1")
        self.assertNotIn("numbered by node", self.said)


if __name__ == "__main__":
    unittest.main()
