"""What a sweep's predictions were worth: a table of its cells, and the median and the worst error.

    tools/prediction_error.py ROWS.jsonl        exit code 1 if an error is beyond its limit

Rows without prediction or with an error are left out and counted.  An error is predicted / measured - 1; of bytes the
larger one of gpu_bytes and node_bytes.
"""

import argparse
import json
import statistics
import sys

KEYS = ("ranks", "cfg", "type", "transport", "link_gbps")
HEAD = ("ranks", "cfg", "type", "transport", "link GB/s", "step s", "least to most", "predicted s", "error", "bytes")


def errors_of(row):
    """Of the step and of the bytes, as fractions."""
    said = row["predicted"]
    bytes_off = max((said[key] / row[key] - 1 for key in ("gpu_bytes", "node_bytes")), key=abs)
    return row["predicted_step_s"] / row["step_s"] - 1, bytes_off


def line_of(row):
    step, bytes_off = errors_of(row)
    values = ["" if row[key] is None else str(row[key]) for key in KEYS]
    values += [f"{row['step_s']:.3f}", f"{row['step_least_s']:.3f} to {row['step_most_s']:.3f}",
               f"{row['predicted_step_s']:.3f}", f"{100 * step:+.1f} %", f"{100 * bytes_off:+.2f} %"]
    return "| " + " | ".join(values) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows")
    parser.add_argument("--median", type=float, default=10, help="per cent (10)")
    parser.add_argument("--worst", type=float, default=20, help="per cent (20)")
    parser.add_argument("--bytes", type=float, default=3, help="per cent (3)")
    limits = parser.parse_args()
    with open(limits.rows, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    told = [row for row in rows if row.get("predicted_step_s") and row.get("step_s")]
    if not told:
        sys.exit(f"{limits.rows}: no row has predicted_step_s and step_s")
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for row in told:
        print(line_of(row))
    errors = [tuple(100 * abs(each) for each in errors_of(row)) for row in told]
    figures = [("median", statistics.median(step for step, _ in errors), limits.median),
               ("worst", max(step for step, _ in errors), limits.worst),
               ("bytes, worst", max(size for _, size in errors), limits.bytes)]
    print(f"\n{len(told)} cells, {len(rows) - len(told)} rows without prediction or step: "
          + ", ".join(f"{name} {value:.1f} % (limit {limit:g})" for name, value, limit in figures))
    return int(any(value > limit for _, value, limit in figures))


if __name__ == "__main__":
    sys.exit(main())
