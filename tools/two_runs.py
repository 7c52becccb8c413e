#!/usr/bin/env python3
"""Two builds of Ferry on the same cores: what a run takes alone and what two at once take, on the CPU.

    tools/two_runs.py OLD NEW [--rounds 7] [--cores 0,1] [--ranks 1] [--steps 20] [--model models/demo]

OLD and NEW are programs (build/launcher/ferry).  Each round runs in turn OLD alone, NEW alone, two of OLD at once and
two of NEW at once.  One JSON line per run, then one with the medians, then a table of these.  Ratios are medians over
rounds of what one round gives, so that a machine that becomes slower meanwhile counts for nothing; of two at once the
slower one counts.  The threads of all runs may use --cores alone, and spin as they do by default.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TIMES = ("denoise_s", "wall_s")  # the denoising stage, by the run's record; the whole process
# What a user sets and what keeps threads from spinning.
UNSET = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def start(binary, options, video):
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    command = [binary.resolve(), "generate", "--device", "cpu", "--model", options.model, "--prompt", "a blue square",
               "--seed", 1, "--steps", options.steps, "--overwrite", "--out", video]
    if options.ranks > 1:
        command += ["-n", options.ranks]
    with open(video.with_suffix(".log"), "w") as log:
        return subprocess.Popen([str(word) for word in command], env=environment, stdout=log, stderr=log)


def at_once(count, binary, options, folder):
    """Runs so many, each ended and timed; their times."""
    videos = [folder / f"{i}.mp4" for i in range(count)]
    begin = time.monotonic()
    running = {start(binary, options, video): video for video in videos}
    ended = {}
    while len(ended) < count:
        for process in running:
            if process not in ended and process.poll() is not None:
                ended[process] = time.monotonic() - begin
        time.sleep(0.005)
    lines = []
    for process, video in running.items():
        if process.returncode != 0:
            sys.exit(f"{binary} ended with {process.returncode}: {video.with_suffix('.log').read_text()}")
        record = json.loads(video.with_suffix(".json").read_text())
        denoise_s = max(stage["run_s"] for rank in record["ranks"] for stage in rank["stages"]
                        if stage["name"] == "denoise")
        lines.append({"git": record["versions"]["git"], "denoise_s": denoise_s, "wall_s": ended[process]})
    return lines


def measure(options, folder):
    """{(name, count): for each round the times of the slowest run}"""
    found = {}
    for round_ in range(options.rounds):
        for count in (1, 2):
            for name in ("old", "new"):
                lines = at_once(count, getattr(options, name), options, folder)
                for line in lines:
                    print(json.dumps({"measurement": "run", "binary": name, "at_once": count, "round": round_, **line}),
                          flush=True)
                found.setdefault((name, count), []).append({key: max(line[key] for line in lines) for key in TIMES})
    return found


def summary(found):
    def ratio(of, to, key):
        return statistics.median(a[key] / b[key] for a, b in zip(found[of], found[to], strict=True))

    line = {"measurement": "two runs", "cores": sorted(os.sched_getaffinity(0)), "rounds": len(found["old", 1])}
    for key in TIMES:
        for name in ("old", "new"):
            line[f"{name}_{key}"], line[f"{name}_two_{key}"] = (
                statistics.median(times[key] for times in found[name, count]) for count in (1, 2))
            line[f"{name}_two_over_one_{key[:-2]}"] = ratio((name, 2), (name, 1), key)
        line[f"new_over_old_{key[:-2]}"] = ratio(("new", 1), ("old", 1), key)
    return line


def table(line):
    print(f"{'':14}{'old s':>9}{'new s':>9}{'new/old':>9}{'two old s':>11}{'two new s':>11}"
          f"{'two/one old':>13}{'two/one new':>13}")
    for key in TIMES:
        what = key[:-2]
        print(f"{what:14}{line[f'old_{key}']:9.3f}{line[f'new_{key}']:9.3f}{line[f'new_over_old_{what}']:9.3f}"
              f"{line[f'old_two_{key}']:11.3f}{line[f'new_two_{key}']:11.3f}"
              f"{line[f'old_two_over_one_{what}']:13.2f}{line[f'new_two_over_one_{what}']:13.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", default="0,1")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models" / "demo")
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
    with tempfile.TemporaryDirectory(prefix="ferry-two-runs-") as folder:
        line = summary(measure(options, pathlib.Path(folder)))
    print(json.dumps(line))
    table(line)


if __name__ == "__main__":
    main()
