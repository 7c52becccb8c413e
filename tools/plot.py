#!/usr/bin/env python3
"""Draws the rows of `ferry bench sweep` (launcher/sweep/row.h), each picture as PNG and SVG.

    tools/plot.py sweep.jsonl --out plots

  step_time       seconds of a step against ranks, from the least to the most sample
  efficiency      T(few) few / (T(many) many): 1 is perfect
  video           device-seconds of sampling one video against ranks
  exposed         where a step's time goes: computing, waiting for weights, waiting for exchanges
  contention      how much longer computing takes beside copies than with all weights resident
  memory          most device memory of a rank: weights, activations
  predicted       predicted against measured seconds of a step

Needs matplotlib.  Pictures for which the rows have no data are left out, which is said.
"""
import argparse
import math
import pathlib
import sys

sys.dont_write_bytecode = True  # beside this file, which others may own
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from plot_rows import MARKERS, PANEL_KEYS, STRATEGIES, Sweep, is_number, read_rows, strategy_of

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
except ImportError:
    print(f"plot: {sys.executable} has no matplotlib; get it with: {sys.executable} -m pip install matplotlib",
          file=sys.stderr)
    sys.exit(2)

INK, PALE, IDEAL = "#2d3748", "#d7dde5", (0, (2, 3))
PARTS = {"computing": "#4c78a8", "waiting for weights": "#f2a65a", "waiting for exchanges": "#c0392b"}
MOST_PANELS, MOST_BARS = 18, 60
COLUMNS = 3
# Inches.
TITLE, BAR, AROUND_BARS, LEGEND_LINE = 0.62, 0.26, 0.95, 0.21


def fail(text):
    print(f"plot: {text}", file=sys.stderr)
    sys.exit(2)


def figure(count, columns, width, heights):
    """Axes for so many panels; `heights` of their rows, in inches."""
    columns = min(columns, count)
    heights = heights[:math.ceil(count / columns)]
    shown, axes = plt.subplots(len(heights), columns, figsize=(max(width * columns, 6), sum(heights)), squeeze=False,
                               height_ratios=heights)
    flat = list(axes.flat)
    for extra in flat[count:]:
        extra.remove()
    for axis in flat[:count]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(True, color=PALE, linewidth=0.7)
        axis.set_axisbelow(True)
    return shown, flat[:count]


def plain_log(side, low, high):
    """A logarithmic axis from low to high with round numbers, of which a short one has more."""
    decades = math.log10(high / low)
    steps = [1] if decades > 5 else [1, 2, 5] if decades > 0.9 else [1, 1.5, 2, 3, 4, 5, 6, 8]
    if decades < 0.25:
        steps = [1 + each / 10 for each in range(90)]
    ticks = [step * 10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    side.set_major_locator(FixedLocator(ticks[::math.ceil(len(ticks) / 10)]))
    side.set_minor_locator(NullLocator())
    side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def first_panels(panels, picture):
    if len(panels) > MOST_PANELS:
        print(f"plot: {picture}: the first {MOST_PANELS} of {len(panels)} panels; a file of fewer cells shows the others")
    return dict(list(panels.items())[:MOST_PANELS])


def put_legend(shown, legend):
    """In as many columns as fit; its height in inches."""
    for columns in range(min(len(legend), 6), 0, -1):
        drawn = shown.legend(handles=legend, loc="lower center", ncol=columns, frameon=False, fontsize=9)
        drawn.set_in_layout(False)
        width = drawn.get_window_extent(shown.canvas.get_renderer()).width / shown.dpi
        if width <= shown.get_figwidth() or columns == 1:
            shown.set_figwidth(max(shown.get_figwidth(), width))
            return 0.15 + LEGEND_LINE * math.ceil(len(legend) / columns)
        drawn.remove()
    return 0


def save(shown, sweep, out, name, title, legend=()):
    below = put_legend(shown, legend)
    height = shown.get_figheight() + below + TITLE
    shown.set_figheight(height)
    shown.suptitle(sweep.title(title), fontsize=12, color=INK, y=1 - 0.1 / height, va="top").set_in_layout(False)
    shown.tight_layout(rect=(0, below / height, 1, 1 - TITLE / height), w_pad=2, h_pad=1.5)
    for ending in ("png", "svg"):
        path = out / f"{name}.{ending}"
        shown.savefig(path, dpi=160)
        print(path)
    plt.close(shown)


def limits(numbers):
    return min(numbers) / 1.12, max(numbers) * 1.12


def by_workload(sweep, panels, numbers):
    """{workload: limits of numbers(row)}: panels of one workload have one scale, so that they can be compared."""
    found = {}
    for rows in panels:
        for row in rows:
            found.setdefault(sweep.workload(row), []).extend(numbers(row))
    return {workload: limits(all_numbers) for workload, all_numbers in found.items() if all_numbers}


def draw_line(axis, points, look, ends):
    """points: (ranks, number, row); ends(row): where its samples begin and end, or None."""
    axis.plot([x for x, _, _ in points], [y for _, y, _ in points], alpha=0.9, **look)
    if ends:
        low, high = zip(*(ends(row) for _, _, row in points))
        axis.vlines([x for x, _, _ in points], low, high, color=look["color"], linewidth=1)


def scale(axis, ticks, low, high, log):
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(ticks[0] / 1.15, ticks[-1] * 1.15)
    if log:
        axis.set_yscale("log")
        axis.set_ylim(low, high)
        plain_log(axis.yaxis, low, high)
    else:
        axis.set_ylim(0, high)


def against_ranks(sweep, out, name, title, ylabel, value, ends=None, ideal=None, log=False):
    """One line for each strategy and its details; value(row, line) is a number or None."""
    panels = {}
    for panel, lines in sweep.lines().items():
        lines = {key: [(row["ranks"], value(row, line), row) for row in line if value(row, line) is not None]
                 for key, line in lines.items()}
        if any(lines.values()):
            panels[panel] = {key: points for key, points in lines.items() if points}
    if not panels:
        return False
    panels = first_panels(panels, name)
    shown, axes = figure(len(panels), sweep.columns(COLUMNS), 4.3, MOST_PANELS * [3.7])
    numbers = {}
    for points in (points for lines in panels.values() for points in lines.values()):
        for _, y, row in points:
            numbers.setdefault(id(row), []).extend([y, *(ends(row) if ends else ())])
    rows = [[row for points in lines.values() for _, _, row in points] for lines in panels.values()]
    ticks = sorted({row["ranks"] for each in rows for row in each})
    scales = by_workload(sweep, rows, lambda row: numbers[id(row)])
    legend = {}
    for axis, (panel, lines), shown_rows in zip(axes, panels.items(), rows):
        for (strategy, tail), points in lines.items():
            look = {**sweep.look(strategy, tail), "markersize": 5, "linewidth": 1.6}
            draw_line(axis, points, look, ends)
            label = sweep.label(points[0][2], strategy)
            legend[label] = Line2D([], [], label=label, **look)
        if ideal is not None:
            axis.axhline(ideal, color=INK, linewidth=0.8, linestyle=IDEAL)
        scale(axis, ticks, *scales[sweep.workload(shown_rows[0])], log)
        axis.set_xlabel(f"{sweep.unit}s")
        axis.set_ylabel(ylabel)
        axis.set_title(panel, fontsize=10)
    save(shown, sweep, out, name, title, list(legend.values()))
    return True


def bar_panels(sweep, name, parts):
    """{title: rows that have a bar}, not too many."""
    panels = {}
    for panel, rows in sweep.panels(by_ranks=True).items():
        drawn = [row for row in rows if parts(row)]
        if len(drawn) > MOST_BARS:
            print(f"plot: {name}: {panel}: the first {MOST_BARS} of {len(drawn)} bars")
        if drawn:
            panels[panel] = drawn[:MOST_BARS]
    return first_panels(panels, name) if panels else {}


def draw_bar(axis, y, parts, legend):
    left = 0
    for label, colour, length in parts:
        axis.barh(y, length, left=left, color=colour, height=0.72)
        left += length
        if label:
            legend[label] = plt.Rectangle((0, 0), 1, 1, color=colour, label=label)
    text = f"{left:#.3g}".rstrip(".") if left < 1000 else f"{left:.0f}"
    axis.annotate(text, (left, y), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8, color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def as_bars(sweep, out, name, title, xlabel, parts, mark=None):
    """Rows as bars of parts: parts(row) is [(label, colour, length)], or nothing for no bar."""
    panels = bar_panels(sweep, name, parts)
    if not panels:
        return False
    columns = min(COLUMNS, len(panels))
    counts = [len(rows) for rows in panels.values()]
    most = [max(counts[i:i + columns]) for i in range(0, len(counts), columns)]
    shown, axes = figure(len(panels), columns, 5.2, [AROUND_BARS + BAR * each for each in most])
    scales = by_workload(sweep, panels.values(), lambda row: [sum(length for _, _, length in parts(row))])
    legend = {}
    for i, (axis, (panel, rows)) in enumerate(zip(axes, panels.items())):
        if mark is not None:
            axis.axvline(mark, color=INK, linewidth=0.8, linestyle=IDEAL)
        for y, row in enumerate(rows):
            draw_bar(axis, y, parts(row), legend)
        axis.set_yticks(range(len(rows)), [sweep.label(row) for row in rows], fontsize=8)
        axis.set_ylim(most[i // columns] - 0.4, -0.6)
        axis.set_xlim(0, 1.05 * scales[sweep.workload(rows[0])][1] or 1)
        axis.grid(False, axis="y")
        axis.set_xlabel(xlabel)
        axis.set_title(panel, fontsize=10)
    save(shown, sweep, out, name, title, list(legend.values()))
    return True


def number(row, key):
    return row[key] if is_number(row.get(key)) else 0


def compute_s(row):
    return max(row["step_s"] - number(row, "exposed_copy_s") - number(row, "exposed_exchange_s"), 0)


def exposed_parts(row):
    lengths = [compute_s(row), number(row, "exposed_copy_s"), number(row, "exposed_exchange_s")]
    return [(label, colour, length) for (label, colour), length in zip(PARTS.items(), lengths)]


def contention_of(sweep):
    """row -> computing beside copies over computing with resident weights, where that was measured too."""
    def case(row):
        return tuple(str(row.get(key)) for key in [*PANEL_KEYS, "ranks", "ulysses"])

    resident = {case(row): compute_s(row) for row in sweep.rows if row["type"] == "none"}

    def parts(row):
        alone = resident.get(case(row))
        if row["type"] in ("none", "model") or not alone:
            return []
        return [("", sweep.colours[strategy_of(row)], compute_s(row) / alone)]

    return parts


def memory_parts(row):
    if not (is_number(row.get("gpu_bytes")) and is_number(row.get("activations_bytes"))):
        return []
    return [("weights", "#4c78a8", row["gpu_bytes"] / 2**30), ("activations", "#9ecae9", row["activations_bytes"] / 2**30)]


def predicted(sweep, out):
    rows = [row for row in sweep.rows if is_number(row.get("predicted_step_s")) and row["predicted_step_s"] > 0]
    if not rows:
        return False
    shown, (axis,) = figure(1, 1, 6.4, [5.6])
    low, high = limits([seconds for row in rows for seconds in (row["step_s"], row["predicted_step_s"])])
    axis.fill_between([low, high], [0.9 * low, 0.9 * high], [1.1 * low, 1.1 * high], color=PALE, zorder=0)
    axis.plot([low, high], [low, high], color=INK, linewidth=0.8)
    ranks = sorted({row["ranks"] for row in rows})
    markers = {count: MARKERS[i % len(MARKERS)] for i, count in enumerate(ranks)}
    for row in rows:
        axis.plot(row["step_s"], row["predicted_step_s"], markersize=6, alpha=0.8, linestyle="", markeredgecolor="white",
                  markeredgewidth=0.4, color=sweep.colours[strategy_of(row)], marker=markers[row["ranks"]])
    axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), xlabel="measured seconds a step",
             ylabel="predicted seconds a step")
    for side in (axis.xaxis, axis.yaxis):
        plain_log(side, low, high)
    errors = sorted(abs(row["predicted_step_s"] / row["step_s"] - 1) for row in rows)
    middle = (errors[(len(errors) - 1) // 2] + errors[len(errors) // 2]) / 2
    axis.set_title(f"{len(rows)} cell{'' if len(rows) == 1 else 's'}: median error {100 * middle:.1f} %, "
                   f"worst {100 * errors[-1]:.1f} %; grey: within 10 %", fontsize=10)
    legend = [Line2D([], [], label=STRATEGIES.get(name, (name,))[0], color=colour, marker="s", linestyle="")
              for name, colour in sweep.colours.items() if any(strategy_of(row) == name for row in rows)]
    legend += [Line2D([], [], label=sweep.ranks_text(count), color="#8c8c8c", marker=marker, linestyle="")
               for count, marker in markers.items()]
    save(shown, sweep, out, "predicted", "Predicted against measured step", legend)
    return True


def efficiency_of(row, line):
    first = line[0]
    if first["ranks"] == line[-1]["ranks"]:
        return None
    return first["step_s"] * first["ranks"] / (row["step_s"] * row["ranks"])


def spread_of(row):
    least, most = row.get("step_least_s"), row.get("step_most_s")
    return (least if is_number(least) and least > 0 else row["step_s"]), (most if is_number(most) and most > 0 else row["step_s"])


def draw(sweep, out):
    seconds = f"{sweep.unit}-seconds"
    made = {
        "step_time": against_ranks(sweep, out, "step_time", "Time of a denoising step", "seconds a step",
                                   lambda row, _: row["step_s"], spread_of, log=True),
        "efficiency": against_ranks(sweep, out, "efficiency",
                                    f"Parallel efficiency of a step, compared with the fewest {sweep.unit}s of each line",
                                    "efficiency", efficiency_of, ideal=1),
        "video": against_ranks(sweep, out, "video", f"{seconds[0].upper()}{seconds[1:]} of sampling one video", f"{seconds} a video",
                               lambda row, _: row["gpu_s_per_video"] if is_number(row.get("gpu_s_per_video")) else None),
        "exposed": as_bars(sweep, out, "exposed", "Where a step's time goes", "seconds a step", exposed_parts),
        "contention": as_bars(sweep, out, "contention", "Computing beside copies over computing on resident weights",
                              "ratio (1: copies cost nothing)", contention_of(sweep), mark=1),
        "memory": as_bars(sweep, out, "memory", "Most device memory of a rank", "GiB", memory_parts),
        "predicted": predicted(sweep, out),
    }
    for name, drawn in made.items():
        if not drawn:
            print(f"plot: {name}: left out, no row has what it needs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", help="JSON lines of ferry bench sweep")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder of the pictures")
    arguments = parser.parse_args()
    try:
        rows, failed, others = read_rows(arguments.rows)
    except OSError as error:
        fail(f"{arguments.rows}: {error.strerror}")
    if not rows:
        fail(f"{arguments.rows}: no row of a sweep has step_s")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        plt.rcParams.update({"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                             "ytick.color": INK, "axes.edgecolor": INK, "svg.fonttype": "none",
                             "text.parse_math": False})
        draw(Sweep(rows), arguments.out)
    except OSError as error:
        fail(f"{error.filename or arguments.out}: {error.strerror}")
    if failed:
        print(f"plot: cells with an error, which are not drawn: {failed}")
    if others:
        print(f"plot: lines that are no row, which are not drawn: {others}")


if __name__ == "__main__":
    main()
