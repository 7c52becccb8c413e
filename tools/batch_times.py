#!/usr/bin/env python3
"""What a batch takes beside one load and the stages of its videos:  tools/batch_times.py [OPTIONS] -- GENERATE OPTIONS

Runs `ferry generate --jobs` with one video and with N (20), in turn, and compares the wall time of N with that of one plus
N - 1 times what its record says that its stages took.  Prints a line of JSON.

    tools/batch_times.py --ferry build/launcher/ferry -- --model models/demo --device cpu --size 128x128
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

PROMPTS = [f"a {colour} {shape} moving {way} on a black background" for colour in ("red", "green", "blue", "white")
           for shape in ("circle", "square") for way in ("right", "left", "up")]


def run(ferry, options, count):
    """Seconds of a batch of so many videos, and their records."""
    with tempfile.TemporaryDirectory(prefix="ferry-batch-") as folder:
        jobs = pathlib.Path(folder) / "jobs.jsonl"
        jobs.write_text("".join(json.dumps({"prompt": PROMPTS[i % len(PROMPTS)], "seed": i,
                                            "out": f"{folder}/line-{i:04}.mp4"}) + "\n" for i in range(count)))
        begin = time.monotonic()
        done = subprocess.run([ferry, "generate", "--jobs", str(jobs), *options], capture_output=True, text=True)
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return seconds, [json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("line-*.json"))]


def stages_s(record):
    """Of the first rank, loading apart."""
    return sum(stage["run_s"] for stage in record["ranks"][0]["stages"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ferry", default="build/launcher/ferry")
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("options", nargs="+", help="of ferry generate, behind --")
    given = parser.parse_args()
    options = given.options
    one, many, stages = [], [], []
    for _ in range(given.rounds):
        seconds, records = run(given.ferry, options, 1)
        one.append(seconds)
        stages.append(stages_s(records[0]))
        many.append(run(given.ferry, options, given.videos)[0])
    load, stage = statistics.median(one) - statistics.median(stages), statistics.median(stages)
    wanted = load + given.videos * stage
    print(json.dumps({"videos": given.videos, "batch_s": round(statistics.median(many), 3), "load_s": round(load, 3),
                      "stages_s": round(stage, 4), "batch_over_sum": round(statistics.median(many) / wanted, 3)}))


if __name__ == "__main__":
    main()
