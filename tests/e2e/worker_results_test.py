"""What a run leaves behind: a video that players read, a contact sheet, tensors and a record of everything."""

import array
import json
import shutil
import subprocess
import unittest

from launcher_support import DEMO, FerryTest, ferry, read_safetensors

PROMPT = "a red circle moving right on a black background"


class Results(FerryTest):
    def make(self, *arguments, ranks=1):
        done = ferry("generate", "-n", ranks, "--model", DEMO, "--prompt", PROMPT, "--seed", 1, "--steps", 6,
                     "--out", self.folder / "x.mp4", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / "x.json").read_text())

    def test_players_read_the_video(self):
        if shutil.which("ffprobe") is None:
            self.skipTest("no ffprobe")
        self.make("--out_scale", 3)
        probed = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-of", "json", "-show_streams",
                                 self.folder / "x.mp4"], capture_output=True, text=True, check=True)
        stream = json.loads(probed.stdout)["streams"][0]
        self.assertEqual((stream["width"], stream["height"], stream["nb_read_frames"], stream["r_frame_rate"]),
                         (384, 384, "17", "12/1"))
        self.assertEqual(stream["pix_fmt"], "yuv420p")

    def test_the_record_says_what_was_done(self):
        record = self.make("--save", self.folder / "x.safetensors", ranks=2)
        self.assertEqual(record["job"]["seed"], 1)
        self.assertEqual(record["job"]["prompt"], PROMPT)
        self.assertEqual(record["options"]["job.steps"], "6")
        self.assertEqual(record["options"]["job.prompt"], PROMPT)
        self.assertIn("mt19937", record["noise"])
        for name in ("ferry", "git", "libtorch", "mpi", "nccl", "cuda", "driver"):
            self.assertTrue(record["versions"][name], name)
        self.assertEqual([rank["rank"] for rank in record["ranks"]], [0, 1])
        for rank in record["ranks"]:
            self.assertTrue(rank["host"])
            self.assertEqual(rank["device"], "cpu")
            self.assertGreater(rank["peak_rss_bytes"], 50e6)
            self.assertEqual([stage["name"] for stage in rank["stages"]], ["text", "denoise", "decode"])
            denoise = rank["stages"][1]
            self.assertEqual(len(denoise["step_s"]), 6)
            self.assertLessEqual(sum(denoise["step_s"]), denoise["run_s"])
            self.assertEqual(denoise["offload"]["type"], "none")
            # 3,963,520 parameters in fp32, and what alignment adds.
            self.assertAlmostEqual(denoise["weights_peak_bytes"], 15.87e6, delta=0.3e6)
            self.assertEqual(sum(denoise["weights_peak_by_category"].values()), denoise["weights_peak_bytes"])
            # Half of a forward's 320 tokens: a few MB, and no weights.
            self.assertTrue(1e5 < denoise["torch_peak_bytes"] < 10e6, denoise["torch_peak_bytes"])
            self.assertGreater(denoise["peak_host_bytes"], 10e6)
        self.assertGreater(record["total_s"], 0)

    def test_saved_tensors_are_those_of_the_video(self):
        self.make("--save", self.folder / "x.safetensors")
        header, data = read_safetensors(self.folder / "x.safetensors")
        self.assertEqual((header["latents"]["dtype"], header["latents"]["shape"]), ("F32", [16, 5, 16, 16]))
        self.assertEqual((header["frames"]["dtype"], header["frames"]["shape"]), ("U8", [17, 128, 128, 3]))
        begin, end = header["frames"]["data_offsets"]
        frames = data[begin:end]
        # The background of the prompt is black, and something red is on it.
        red, green, blue = frames[0::3], frames[1::3], frames[2::3]
        self.assertLess(sorted(red)[len(red) // 2], 40)
        self.assertGreater(sum(r > 150 and g < 90 and b < 90 for r, g, b in zip(red, green, blue)), 17 * 600)
        begin, end = header["latents"]["data_offsets"]
        self.assertTrue(all(abs(v) < 30 for v in array.array("f", data[begin:end])))

    def test_a_trace_has_a_span_for_every_step_of_every_rank(self):
        self.make("--trace.file", self.folder / "trace.json", ranks=2)
        trace = json.loads((self.folder / "trace.json").read_text())
        events = trace["traceEvents"] if isinstance(trace, dict) else trace
        steps = {(e["pid"], e["name"]) for e in events if e.get("ph") == "X" and e["name"].startswith("step")}
        self.assertEqual(len(steps), 2 * 6)

    def test_nothing_but_the_results_is_left(self):
        self.make()
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["x.json", "x.mp4", "x.png"])


if __name__ == "__main__":
    unittest.main()
