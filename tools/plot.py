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
import json
import math
import pathlib
import sys

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
except ImportError:
    print(f"plot: {sys.executable} has no matplotlib; get it with: {sys.executable} -m pip install matplotlib",
          file=sys.stderr)
    sys.exit(2)

INK, PALE = "#2d3748", "#d7dde5"
STRATEGIES = {  # colours that people with colour blindness tell apart
    "none": ("resident", "#2d3748"),
    "model": ("model", "#8c8c8c"),
    "sequential": ("sequential", "#b5651d"),
    "async full": ("async full", "#0072b2"),
    "async sharded": ("async sharded", "#d55e00"),
    "async auto": ("async auto", "#009e73"),
    "async": ("async", "#0072b2"),
    "auto": ("auto", "#cc79a7"),
}
SPARE = ["#56b4e9", "#e69f00", "#7b5ea7", "#a3a500"]
STYLES = ["-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 4))]
MARKERS = "osD^vPX"
PARTS = {"compute": "#4c78a8", "waiting for weights": "#e8913a", "waiting for exchanges": "#c0392b"}
# What a panel has in common, what a line has, and how it is said.
PANEL_KEYS = ["model", "weights", "attention", "size", "frames", "cfg"]
DETAIL_KEYS = ["link_gbps", "offload_ratio", "prefetch_size", "interleave", "ulysses"]
MOST_PANELS = 12
COLUMNS = 3


def fail(text):
    print(f"plot: {text}", file=sys.stderr)
    sys.exit(2)


def say_detail(key, value):
    words = {"link_gbps": "link {} GB/s" if value else "free link", "offload_ratio": "ratio {}",
             "prefetch_size": "prefetch {}", "interleave": "{}", "ulysses": "ulysses {}"}
    return words[key].format(f"{value:g}" if isinstance(value, (int, float)) else value)


def say_panel(key, value):
    if key == "model":
        return pathlib.PurePath(value).name
    return {"frames": f"{value} frames", "cfg": f"cfg {value}", "attention": f"{value} attention"}.get(key, str(value))


def read_rows(path):
    """The rows that have a step's time, the first of each cell, and the number that have an error instead."""
    rows, failed = {}, set()
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # torn
        if not isinstance(row, dict) or "cell" not in row or row["cell"] in rows:
            continue
        step = row.get("step_s")
        if isinstance(step, (int, float)) and step > 0:
            rows[row["cell"]] = row
        elif "error" in row:
            failed.add(row["cell"])
    return list(rows.values()), len(failed)


def strategy_of(row):
    name = row["type"] if row.get("transport") is None else f"{row['type']} {row['transport']}"
    return name


class Sweep:
    """Rows with what varies among them: panels of what is alike, lines of one strategy and its details."""

    def __init__(self, rows):
        self.rows = rows
        self.varying = [key for key in PANEL_KEYS if len({str(row.get(key)) for row in rows}) > 1]
        self.common = [key for key in PANEL_KEYS
                       if key not in self.varying and rows[0].get(key) not in (None, "auto")]
        self.details = [key for key in DETAIL_KEYS
                        if key != "ulysses" and len({row.get(key) for row in rows} - {None}) > 1]
        if self.has_several_degrees():
            self.details.append("ulysses")
        gpus = all("cuda" in str(row.get("device")).lower() or "nvidia" in str(row.get("device")).lower() for row in rows)
        self.unit = "GPU" if gpus else "rank"
        known = list(STRATEGIES)
        strategies = sorted({strategy_of(row) for row in rows},
                            key=lambda name: (known.index(name) if name in known else len(known), name))
        spare = iter(SPARE * len(strategies))
        self.colours = {name: STRATEGIES[name][1] if name in STRATEGIES else next(spare) for name in strategies}
        tails = [self.tail(row) for row in sorted(rows, key=self.place)]
        tails = list(dict.fromkeys(tails))
        self.styles = {tail: STYLES[i % len(STYLES)] for i, tail in enumerate(tails)}
        self.markers = {tail: MARKERS[i % len(MARKERS)] for i, tail in enumerate(tails)}

    def has_several_degrees(self):
        seen = {}
        for row in self.rows:
            seen.setdefault((row["ranks"], row.get("cfg")), set()).add(row.get("ulysses"))
        return any(len(degrees) > 1 for degrees in seen.values())

    def tail(self, row):
        return tuple(say_detail(key, row[key]) for key in self.details if row.get(key) is not None)

    def place(self, row):
        """For sorting: by strategy, then by the numbers of what is varied, a fast link first."""
        values = [row.get(key) for key in self.details]
        numbers = [-value if isinstance(value, (int, float)) else 0 for value in values]
        return list(self.colours).index(strategy_of(row)), numbers, [str(value) for value in values]

    def label(self, row, strategy=None):
        name = strategy or strategy_of(row)
        return ", ".join([STRATEGIES.get(name, (name,))[0], *self.tail(row)])

    def panel(self, row, *more):
        words = [say_panel(key, row.get(key)) for key in self.varying]
        return ", ".join([*more, *words])

    def title(self, text):
        said = ", ".join(say_panel(key, self.rows[0][key]) for key in self.common)
        return text + (f"\n{said}" if said else "")

    def ranks_text(self, count):
        return f"{count} {self.unit}{'' if count == 1 else 's'}"

    def lines(self):
        """{panel: {(strategy, tail): rows by ranks}}.  One rank has no transport: there all of them begin."""
        panels = {}
        for row in sorted(self.rows, key=self.place):
            panels.setdefault(self.panel(row), {}).setdefault((strategy_of(row), self.tail(row)), []).append(row)
        for lines in panels.values():
            for (strategy, tail), line in list(lines.items()):
                others = [key for key in lines if key[1] == tail and key[0].startswith(strategy + " ")]
                for key in others:
                    lines[key] += line
                if others:
                    del lines[strategy, tail]
            for line in lines.values():
                line.sort(key=lambda row: row["ranks"])
        return panels

    def bars(self):
        """{panel: rows}, a panel for each number of ranks."""
        panels = {}
        for row in sorted(self.rows, key=lambda row: row["ranks"]):
            panels.setdefault(self.panel(row, self.ranks_text(row["ranks"])), []).append(row)
        for rows in panels.values():
            rows.sort(key=self.place)
        return panels


def figure(count, width, height):
    """Axes for so many panels, and what of a grid is too much hidden."""
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    shown, axes = plt.subplots(rows, columns, figsize=(max(width * columns, 6), height * rows), squeeze=False)
    flat = list(axes.flat)
    for extra in flat[count:]:
        extra.set_visible(False)
    for axis in flat[:count]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(True, color=PALE, linewidth=0.7)
        axis.set_axisbelow(True)
    return shown, flat[:count]


def one_two_five(side):
    """Ticks of a logarithmic axis at 1, 2 and 5 of each decade, as plain numbers."""
    side.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=30))
    side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    side.set_minor_formatter(NullFormatter())


def first_panels(panels, picture):
    if len(panels) > MOST_PANELS:
        print(f"plot: {picture}: the first {MOST_PANELS} of {len(panels)} panels; a file of fewer cells shows the others")
    return dict(list(panels.items())[:MOST_PANELS])


def save(shown, sweep, out, name, title, legend=()):
    shown.suptitle(sweep.title(title), fontsize=12, color=INK)
    columns = max(1, min(len(legend), int(shown.get_figwidth() / 2.2)))
    below = 0.1 + 0.21 * math.ceil(len(legend) / columns) if legend else 0  # inches
    shown.set_figheight(shown.get_figheight() + below)
    if legend:
        shown.legend(handles=legend, loc="lower center", ncol=columns, frameon=False, fontsize=9)
    shown.tight_layout(rect=(0, below / shown.get_figheight(), 1, 1))
    for ending in ("png", "svg"):
        path = out / f"{name}.{ending}"
        shown.savefig(path, dpi=160)
        print(path)
    plt.close(shown)


def against_ranks(sweep, out, name, title, ylabel, value, spread=None, ideal=None, log=False):
    """One line for each strategy and its details; value(row, line) is a number or None."""
    panels = first_panels(sweep.lines(), name)
    if all(value(row, line) is None for lines in panels.values() for line in lines.values() for row in line):
        return False
    shown, axes = figure(len(panels), 4.3, 3.9)
    legend = {}
    for axis, (panel, lines) in zip(axes, panels.items()):
        ticks = sorted({row["ranks"] for line in lines.values() for row in line})
        for (strategy, tail), line in lines.items():
            label = sweep.label(line[0], strategy)
            points = [(row["ranks"], value(row, line), row) for row in line if value(row, line) is not None]
            if not points:
                continue
            look = {"color": sweep.colours[strategy], "linestyle": sweep.styles[tail],
                    "marker": sweep.markers[tail], "markersize": 5, "linewidth": 1.6}
            axis.plot([x for x, _, _ in points], [y for _, y, _ in points], **look)
            if spread:
                ends = [spread(row) for _, _, row in points]
                axis.vlines([x for x, _, _ in points], [low for low, _ in ends], [high for _, high in ends],
                            color=look["color"], linewidth=1)
            legend[label] = Line2D([], [], label=label, **look)
        if ideal is not None:
            axis.axhline(ideal, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.xaxis.set_minor_formatter(NullFormatter())
        if len(ticks) == 1:
            axis.set_xlim(ticks[0] / 1.5, ticks[0] * 1.5)
        if log:
            axis.set_yscale("log")
            one_two_five(axis.yaxis)
        else:
            axis.set_ylim(bottom=0)
        axis.set_xlabel(f"{sweep.unit}s")
        axis.set_ylabel(ylabel)
        axis.set_title(panel, fontsize=10)
    save(shown, sweep, out, name, title, list(legend.values()))
    return True


def as_bars(sweep, out, name, title, xlabel, parts, mark=None):
    """Rows as bars of parts: parts(row) is [(label, colour, length)], or nothing for no bar."""
    panels = {}
    for panel, rows in sweep.bars().items():
        drawn = [row for row in rows if parts(row)]
        if drawn:
            panels[panel] = drawn
    if not panels:
        return False
    panels = first_panels(panels, name)
    most = max(len(rows) for rows in panels.values())
    shown, axes = figure(len(panels), 5.2, 1.1 + 0.26 * most)
    legend = {}
    for axis, (panel, rows) in zip(axes, panels.items()):
        for y, row in enumerate(rows):
            left = 0
            for label, colour, length in parts(row):
                axis.barh(y, length, left=left, color=colour, height=0.72)
                left += length
                if label:
                    legend[label] = plt.Rectangle((0, 0), 1, 1, color=colour, label=label)
            axis.annotate(f"{left:.3g}", (left, y), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8,
                          color=INK)
        axis.set_yticks(range(len(rows)), [sweep.label(row) for row in rows], fontsize=8)
        axis.set_ylim(most - 0.4, -0.6)
        axis.set_xlim(0, 1.17 * max(sum(length for _, _, length in parts(row)) for row in rows))
        if mark is not None:
            axis.axvline(mark, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
        axis.grid(False, axis="y")
        axis.set_xlabel(xlabel)
        axis.set_title(panel, fontsize=10)
    save(shown, sweep, out, name, title, list(legend.values()))
    return True


def exposed_parts(row):
    copy, exchange = row.get("exposed_copy_s") or 0, row.get("exposed_exchange_s") or 0
    lengths = [max(row["step_s"] - copy - exchange, 0), copy, exchange]
    return [(label, colour, length) for (label, colour), length in zip(PARTS.items(), lengths)]


def compute_s(row):
    return row["step_s"] - (row.get("exposed_copy_s") or 0) - (row.get("exposed_exchange_s") or 0)


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
    weights, activations = row.get("gpu_bytes"), row.get("activations_bytes")
    if weights is None or activations is None:
        return []
    return [("weights", "#4c78a8", weights / 2**30), ("activations", "#9ecae9", activations / 2**30)]


def predicted(sweep, out):
    rows = [row for row in sweep.rows if isinstance(row.get("predicted_step_s"), (int, float))]
    if not rows:
        return False
    shown, (axis,) = figure(1, 6.4, 5.6)
    low = 0.8 * min(min(row["step_s"], row["predicted_step_s"]) for row in rows)
    high = 1.25 * max(max(row["step_s"], row["predicted_step_s"]) for row in rows)
    axis.fill_between([low, high], [0.9 * low, 0.9 * high], [1.1 * low, 1.1 * high], color=PALE, zorder=0)
    axis.plot([low, high], [low, high], color=INK, linewidth=0.8)
    legend = {}
    for row in rows:
        name = strategy_of(row)
        marker = MARKERS[sorted({each["ranks"] for each in rows}).index(row["ranks"]) % len(MARKERS)]
        look = {"color": sweep.colours[name], "marker": marker, "linestyle": ""}
        axis.plot(row["step_s"], row["predicted_step_s"], markersize=6, alpha=0.85, **look)
        label = f"{STRATEGIES.get(name, (name,))[0]}, {sweep.ranks_text(row['ranks'])}"
        legend[label] = Line2D([], [], label=label, **look)
    axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), xlabel="measured seconds a step",
             ylabel="predicted seconds a step")
    for side in (axis.xaxis, axis.yaxis):
        one_two_five(side)
    errors = sorted(abs(row["predicted_step_s"] / row["step_s"] - 1) for row in rows)
    middle = (errors[(len(errors) - 1) // 2] + errors[len(errors) // 2]) / 2
    axis.set_title(f"{len(rows)} cells: median error {100 * middle:.1f} %, worst {100 * errors[-1]:.1f} %; grey: 10 %",
                   fontsize=10)
    save(shown, sweep, out, "predicted", "Predicted against measured step", list(legend.values()))
    return True


def efficiency_of(row, line):
    first = line[0]
    if len(line) < 2:
        return None
    return first["step_s"] * first["ranks"] / (row["step_s"] * row["ranks"])


def draw(sweep, out):
    unit = sweep.unit
    seconds = f"{unit}-seconds"
    made = {
        "step_time": against_ranks(sweep, out, "step_time", "Time of a denoising step", "seconds a step",
                                   lambda row, _: row["step_s"],
                                   lambda row: (row.get("step_least_s", row["step_s"]),
                                                row.get("step_most_s", row["step_s"])), log=True),
        "efficiency": against_ranks(sweep, out, "efficiency", "Parallel efficiency of a step",
                                    "efficiency, from the fewest ranks on", efficiency_of, ideal=1),
        "video": against_ranks(sweep, out, "video", f"{seconds[0].upper()}{seconds[1:]} of sampling one video", f"{seconds} a video",
                               lambda row, _: row.get("gpu_s_per_video")),
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
    rows, failed = read_rows(arguments.rows)
    if not rows:
        fail(f"{arguments.rows}: no row of a sweep has step_s")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        plt.rcParams.update({"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                             "ytick.color": INK, "axes.edgecolor": INK, "svg.fonttype": "none"})
        draw(Sweep(rows), arguments.out)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    if failed:
        print(f"plot: cells with an error, which are not drawn: {failed}")


if __name__ == "__main__":
    main()
