#!/usr/bin/env python3
"""Where the time of a run went, from its record: run_times.py RECORD.json

One JSON line.  Of several ranks each figure is the one where it is largest; times are seconds.
"""
import json
import pathlib
import statistics
import sys

record = json.loads(pathlib.Path(sys.argv[1]).read_text())
ranks, job = record["ranks"], record["job"]
line = {"measurement": "run", "name": pathlib.Path(sys.argv[1]).stem, "git": record["versions"]["git"],
        "device": ranks[0]["device"], "ranks": len(ranks), "mesh": record["mesh"], "exchange": record["backend"],
        "width": job["width"], "height": job["height"], "frames": job["frames"], "total_s": record["total_s"]}


def worst(index, value):
    return max(value(rank["stages"][index]) for rank in ranks)


for i, stage in enumerate(ranks[0]["stages"]):
    times = {name: worst(i, lambda s: s[name]) for name in ("load_s", "pin_s", "pin_first_s", "pin_all_s", "warm_up_s",
                                                            "prepare_s", "run_s", "torch_allocated_peak_bytes")}
    if stage["step_s"]:
        steps = stage["step_s"]
        times |= {"first_step_s": steps[0], "later_step_s": statistics.median(steps[1:] or steps), "steps": len(steps)}
    if stage["name"] == "denoise":
        for what in ("copy", "exchange"):
            exposed = worst(i, lambda s: statistics.median(s[f"exposed_{what}"]["ms_by_step"][1:] or [0]))
            times[f"exposed_{what}_ms"] = exposed  # of a later step
        times |= {name: (stage["offload"] or {}).get(name) for name in ("type", "transport", "share", "share_why", "interleave")}
        line["total_less_steps_s"] = record["total_s"] - len(steps) * times["later_step_s"]
    line[stage["name"]] = times
print(json.dumps(line))
