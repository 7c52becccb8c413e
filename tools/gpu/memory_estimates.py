"""Compares what activations took on a GPU with what the check before loading takes them to be.

    memory_estimates.py RECORD.json ... [--most 1.25]

One JSON line for each stage of each record; exit code 1 when a stage took more than its estimate or the estimate is
more than --most times what it took (16 MB apart do not count).
"""
import argparse
import json
import pathlib
import sys

SLACK = 16e6


def lines_of(path):
    record = json.loads(path.read_text())
    job = record["job"]
    for stage in record["ranks"][0]["stages"]:
        took, estimate = stage["torch_allocated_peak_bytes"], stage["activation_estimate_bytes"]
        if took == 0:
            continue
        yield {"record": path.stem, "stage": stage["name"], "width": job["width"], "height": job["height"],
               "frames": job["frames"], "allocated_bytes": took, "held_bytes": stage["torch_peak_bytes"],
               "estimate_bytes": estimate, "estimate_over_allocated": round(estimate / took, 3),
               "git": record["versions"]["git"], "device": record["ranks"][0]["device"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="+", type=pathlib.Path)
    parser.add_argument("--most", type=float, default=1.25)
    options = parser.parse_args()
    fits = True
    for path in options.records:
        for line in lines_of(path):
            print(json.dumps(line), flush=True)
            took, estimate = line["allocated_bytes"], line["estimate_bytes"]
            fits &= took <= estimate + SLACK and estimate <= options.most * took + SLACK
    sys.exit(0 if fits else 1)


if __name__ == "__main__":
    main()
