#!/usr/bin/env python3
"""Draws a trace of `--trace.file` (trace event JSON) as a PNG: the lanes of each rank, time to the right.

    tools/trace_picture.py trace.json picture.png                      all of it
    tools/trace_picture.py trace.json picture.png --from 310 --to 480  some milliseconds
    tools/trace_picture.py trace.json picture.png --blocks 2-3         two blocks of the last forward

Needs matplotlib.  A waiting of the compute stream is the pale, hatched part of its span.
"""
import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402
from trace_spans import LANES, overlap_ms, read, select  # noqa: E402

COLOURS = {
    "attention": "#2b6cb0",
    "cross-attention": "#6ba3d6",
    "ffn": "#17807e",
    "copy": "#e8913a",
    "exchange": "#c0392b",
    "gather": "#8e5ea2",
}
OTHER = "#9aa5b1"  # of the compute lane
WAIT = "wait for exchange"
AROUND = ("step", "text", "decode")  # spans around others
INK = "#2d3748"
LANE_HEIGHT = 0.78
RANK_GAP = 0.55


def window_of_blocks(spans, first, last):
    """From the first attention of block `first` to the last feed-forward of `last`, in rank 0's last forward."""
    attentions = [span for span in select(spans, 0, "compute", ["attention"]) if span.block == first]
    ends = [span for span in select(spans, 0, "compute", ["ffn"]) if span.block == last]
    if not attentions or not ends:
        return None
    # The branches of a forward follow one another; the forward before ended with its head.
    heads = [span.end for span in select(spans, 0, "compute", ["head"]) if span.end < ends[-1].end]
    begin = min(span.begin for span in attentions if span.begin > max(heads, default=0))
    margin = 0.01 * (ends[-1].end - begin)
    return begin - margin, ends[-1].end + margin


def rows_of(spans):
    """(rank, lane) -> height of the row, rank 0's compute on top."""
    keys = sorted({(span.rank, span.lane) for span in spans}, key=lambda key: (key[0], LANES.index(key[1])))
    rows, y = {}, 0.0
    for index, key in enumerate(keys):
        if index > 0:
            y -= 1 + (RANK_GAP if key[0] != keys[index - 1][0] else 0)
        rows[key] = y
    return rows


def free_place(span, waits, window):
    """The longest piece of the span, in the window, that no wait covers."""
    pieces, begin = [], max(span.begin, window[0])
    for wait in waits:
        if wait.rank == span.rank and span.lane == "compute" and wait.end > begin and wait.begin < span.end:
            pieces.append((begin, wait.begin))
            begin = wait.end
    pieces.append((begin, min(span.end, window[1])))
    return max(pieces, key=lambda piece: piece[1] - piece[0])


def label(axis, span, y, place, pixels_per_ms):
    """The span's name, or its number, where there is room for it."""
    begin, end = place
    for text in (span.name, str(span.block) if span.block >= 0 else ""):
        if text and 7.5 * len(text) + 6 < (end - begin) * pixels_per_ms:
            axis.text((begin + end) / 2, y, text, ha="center", va="center", color="white", fontsize=9, clip_on=True)
            return


def draw_exchanges(axis, spans, rows, window):
    """A pale band over the lanes of a rank while it exchanges: copies stay out of it when they are gated."""
    for span in spans:
        if span.lane != "exchange" or (span.rank, "copy") not in rows:
            continue
        top, bottom = rows[span.rank, "compute"] + 0.5, rows[span.rank, "exchange"] - 0.5
        axis.fill_between([max(span.begin, window[0]), min(span.end, window[1])], bottom, top, lw=0, alpha=0.13,
                          color=COLOURS["exchange"], zorder=0)


def draw_span(axis, span, y):
    bar = [(span.begin, span.end - span.begin)]
    place = (y - LANE_HEIGHT / 2, LANE_HEIGHT)
    if span.part == WAIT:
        axis.broken_barh(bar, place, facecolors=(1, 1, 1, 0.72), edgecolor=COLOURS["attention"], hatch="////",
                         linewidth=0, zorder=3)
    else:
        axis.broken_barh(bar, place, facecolors=COLOURS.get(span.part, OTHER), edgecolor="white", linewidth=0.6,
                         zorder=2)


def legend(figure, spans):
    parts = [part for part in COLOURS if any(span.part == part for span in spans)]
    patches = [Patch(facecolor=COLOURS[part], label="copy of weights" if part == "copy" else part) for part in parts]
    if any(span.part == WAIT for span in spans):
        patches.append(Patch(facecolor="white", edgecolor=COLOURS["attention"], hatch="////", lw=0.6, label=WAIT))
    figure.legend(handles=patches, loc="upper right", ncol=len(patches), frameon=False, fontsize=9.5,
                  bbox_to_anchor=(0.995, 0.99), handlelength=1.3, handleheight=1.0, columnspacing=1.4)


def dress(axis, rows, window):
    axis.set_xlim(*window)
    axis.set_ylim(min(rows.values()) - 0.62, 0.62)
    axis.set_yticks(list(rows.values()), [lane for _, lane in rows], fontsize=10)
    for rank in {rank for rank, _ in rows}:
        heights = [y for (each, _), y in rows.items() if each == rank]
        axis.text(-0.078, (max(heights) + min(heights)) / 2, f"rank {rank}", rotation=90, ha="center", va="center",
                  fontsize=11.5, fontweight="bold", color=INK, transform=axis.get_yaxis_transform())
    axis.set_xlabel("ms", fontsize=10, color=INK)
    axis.grid(axis="x", color="#e2e8f0", linewidth=0.8, zorder=0)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, colors=INK)
    for side in axis.spines.values():
        side.set_visible(False)


def draw(spans, path, window):
    shown = [span for span in spans if span.end > window[0] and span.begin < window[1] and span.part not in AROUND]
    rows = rows_of(shown)
    figure, axis = plt.subplots(figsize=(14, 0.52 * len(rows) + 1.5))
    figure.subplots_adjust(left=0.105, right=0.99, top=1 - 0.5 / figure.get_figheight(),
                           bottom=0.6 / figure.get_figheight())
    pixels_per_ms = axis.get_window_extent().width / (window[1] - window[0])
    draw_exchanges(axis, shown, rows, window)
    waits = [span for span in shown if span.part == WAIT]
    for span in shown:
        y = rows[span.rank, span.lane]
        draw_span(axis, span, y)
        if span.lane in ("compute", "copy") and span.part != WAIT:
            label(axis, span, y, free_place(span, waits, window), pixels_per_ms)
    dress(axis, rows, window)
    legend(figure, shown)
    figure.savefig(path, dpi=110)
    return shown


def summary(spans):
    """What a copy ran under, of the spans that are drawn."""
    for rank in sorted({span.rank for span in spans}):
        copies = select(spans, rank, "copy")
        under = {part: overlap_ms(copies, select(spans, rank, "compute", [part])) for part in ("attention", "ffn")}
        over = overlap_ms(copies, select(spans, rank, "exchange"))
        print(f"rank {rank}: {len(copies)} chunks, {sum(span.end - span.begin for span in copies):.1f} ms; of it under "
              f"attention {under['attention']:.1f}, under ffn {under['ffn']:.1f}, over exchanges {over:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace")
    parser.add_argument("picture")
    parser.add_argument("--from", dest="begin", type=float, help="ms")
    parser.add_argument("--to", dest="end", type=float, help="ms")
    parser.add_argument("--blocks", help="A-B: from block A's first attention to block B's last ffn")
    options = parser.parse_args()
    spans = read(options.trace)
    whole = (min(span.begin for span in spans), max(span.end for span in spans)) if spans else (0, 0)
    window = (whole[0] if options.begin is None else options.begin, whole[1] if options.end is None else options.end)
    if options.blocks:
        window = window_of_blocks(spans, *map(int, options.blocks.split("-")))
    if window is None or not any(span.end > window[0] and span.begin < window[1] for span in spans):
        parser.exit(2, f"{options.trace}: no span there\n")
    summary(draw(spans, options.picture, window))


if __name__ == "__main__":
    main()
