#!/usr/bin/env python3
"""Draws a trace of `--trace.file` (trace event JSON) as a PNG: a row per rank and lane, time to the right.

    tools/trace_picture.py trace.json picture.png [--from MS] [--to MS]
"""
import argparse
import collections
import json

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

LANES = ["compute", "copy", "exchange", "gather"]
COLOURS = {"compute": "#4c78a8", "copy": "#f58518", "exchange": "#54a24b", "gather": "#b279a2"}
SHADES = {"attention": "#2f5d8a", "cross-attention": "#7fa6cf", "ffn": "#4c78a8"}


def read(path, begin_ms, end_ms):
    """(rank, lane) -> [(begin ms, length ms, name)], clipped to the window."""
    rows = collections.defaultdict(list)
    with open(path) as file:
        for event in json.load(file)["traceEvents"]:
            if event["ph"] != "X":
                continue
            begin, end = event["ts"] / 1e3, (event["ts"] + event["dur"]) / 1e3
            if end > begin_ms and begin < end_ms:
                rows[event["pid"], LANES[event["tid"]]].append((begin, end - begin, event["name"]))
    return rows


def draw(rows, path, begin_ms, end_ms):
    keys = sorted(rows, key=lambda key: (key[0], LANES.index(key[1])))
    figure, axis = plt.subplots(figsize=(14, 0.6 * len(keys) + 1.2))
    for row, (rank, lane) in enumerate(reversed(keys)):
        for begin, length, name in rows[rank, lane]:
            colour = SHADES.get(name.rsplit(" ", 1)[0], COLOURS[lane])
            axis.broken_barh([(begin, length)], (row - 0.4, 0.8), facecolors=colour, edgecolor="white", linewidth=0.4)
    axis.set_yticks(range(len(keys)), [f"rank {rank} {lane}" for rank, lane in reversed(keys)])
    axis.set_xlabel("ms")
    longest = max(begin + length for spans in rows.values() for begin, length, _ in spans)
    axis.set_xlim(begin_ms, min(end_ms, longest))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace")
    parser.add_argument("picture")
    parser.add_argument("--from", dest="begin", type=float, default=0.0, help="ms")
    parser.add_argument("--to", dest="end", type=float, default=float("inf"), help="ms")
    options = parser.parse_args()
    rows = read(options.trace, options.begin, options.end)
    if not rows:
        parser.exit(2, f"{options.trace}: no span between {options.begin} and {options.end} ms\n")
    draw(rows, options.picture, options.begin, options.end)


if __name__ == "__main__":
    main()
