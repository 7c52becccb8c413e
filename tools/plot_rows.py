"""The rows of `ferry bench sweep` for tools/plot.py: what varies among them, in words, as lines and as bars."""
import json
import math
import pathlib

STRATEGIES = {  # colours that people with colour blindness tell apart
    "none": ("resident", "#2d3748"),
    "model": ("model", "#8c8c8c"),
    "sequential": ("sequential", "#7b5ea7"),
    "async full": ("async full", "#0072b2"),
    "async sharded": ("async sharded", "#d55e00"),
    "async auto": ("async auto", "#009e73"),
    "async": ("async", "#56b4e9"),
    "auto": ("type auto", "#cc79a7"),
}
SPARE = ["#e69f00", "#8b4513", "#a3a500"]
STYLES = ["-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 4))]
MARKERS = "osD^vPX"
# What a panel has in common, what a line has, and how it is said.
WORKLOAD_KEYS = ["model", "attention", "size", "frames"]
PANEL_KEYS = [*WORKLOAD_KEYS, "cfg"]
DETAIL_KEYS = ["link_gbps", "offload_ratio", "prefetch_size", "interleave", "ulysses"]
MOST_TAILS = 6  # lines of one strategy that can be told apart


def say_detail(key, value):
    words = {"link_gbps": "link {} GB/s" if value else "free link", "offload_ratio": "ratio {}",
             "prefetch_size": "prefetch {}", "interleave": "{}", "ulysses": "ulysses {}"}
    return words[key].format(f"{value:g}" if isinstance(value, (int, float)) else value)


def say(key, value):
    if key in DETAIL_KEYS:
        return say_detail(key, value)
    if key == "model":
        return pathlib.PurePath(str(value)).name
    return {"frames": f"{value} frames", "cfg": f"cfg {value}", "attention": f"{value} attention"}.get(key, str(value))


def in_order(value):
    """A key for sorting: numbers and sizes by size, then words."""
    text = str(value)
    parts = text.split("x")
    if all(part.replace(".", "", 1).isdigit() for part in parts):
        return 0, math.prod(float(part) for part in parts), text
    return 1, 0, text


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_row(row):
    """What is drawn has these, of these types: a row that somebody has edited may not."""
    keys = [*PANEL_KEYS, *DETAIL_KEYS, "transport"]
    return (isinstance(row.get("cell"), str) and is_number(row.get("step_s")) and 1e-9 < row["step_s"] < 1e9 and
            type(row.get("ranks")) is int and 1 <= row["ranks"] < 1e6 and isinstance(row.get("type"), str) and
            not any(isinstance(row.get(key), (dict, list)) for key in keys))


def read_rows(path):
    """The rows that have a step's time, the first of each cell; and the number that have an error instead, and of
    lines that are no row.  Throws OSError."""
    rows, failed, others = {}, set(), 0
    for line in pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None  # torn
        if isinstance(row, dict) and is_row(row):
            rows.setdefault(row["cell"], row)
        elif isinstance(row, dict) and isinstance(row.get("error"), str):
            failed.add(str(row.get("cell")))
        else:
            others += bool(line.strip())
    return list(rows.values()), len(failed - rows.keys()), others


def strategy_of(row):
    if row.get("transport") is None or row["type"] == "auto":
        return row["type"]
    return f"{row['type']} {row['transport']}"


class Sweep:
    """Rows with what varies among them: panels of what is alike, lines of one strategy and its details."""

    def __init__(self, rows):
        self.rows = rows
        self.varying = [key for key in PANEL_KEYS if len({str(row.get(key)) for row in rows}) > 1]
        self.common = [key for key in PANEL_KEYS
                       if key not in self.varying and rows[0].get(key) not in (None, "auto")]
        self.details = [key for key in DETAIL_KEYS
                        if key != "ulysses" and len({str(row.get(key)) for row in rows if row.get(key) is not None}) > 1]
        if self.has_several_degrees():
            self.details.append("ulysses")
        self.split_details()
        gpus = all("cuda" in str(row.get("device")).lower() or "nvidia" in str(row.get("device")).lower() for row in rows)
        self.unit = "GPU" if gpus else "rank"
        known = list(STRATEGIES)
        strategies = sorted({strategy_of(row) for row in rows},
                            key=lambda name: (known.index(name) if name in known else len(known), name))
        spare = iter(SPARE * len(strategies))
        self.colours = {name: STRATEGIES[name][1] if name in STRATEGIES else next(spare) for name in strategies}
        self.tails = list(dict.fromkeys(self.tail(row) for row in sorted(rows, key=self.place)))

    def has_several_degrees(self):
        seen = {}
        for row in self.rows:
            seen.setdefault((row["ranks"], row.get("cfg")), set()).add(row.get("ulysses"))
        return any(len(degrees) > 1 for degrees in seen.values())

    def split_details(self):
        """Too many lines of one colour become several panels, by the key with the fewest values."""
        self.split = []
        while len({self.tail(row) for row in self.rows}) > MOST_TAILS + 1 and len(self.details) > 1:
            key = min(self.details, key=lambda each: len(self.values_of(each)))
            self.details.remove(key)
            self.split.append(key)

    def values_of(self, key):
        return sorted({str(row[key]): row[key] for row in self.rows if row.get(key) is not None}.values(), key=in_order)

    def tail(self, row):
        return tuple(say_detail(key, row[key]) for key in self.details if row.get(key) is not None)

    def place(self, row):
        """For sorting: by strategy, then by the numbers of what is varied, a fast link first."""
        values = [row.get(key) for key in self.details]
        numbers = [-value if is_number(value) else 0 for value in values]
        return list(self.colours).index(strategy_of(row)), numbers, [str(value) for value in values]

    def look(self, strategy, tail):
        """Of a line, for matplotlib; details of one strategy have shades of its colour too."""
        i = self.tails.index(tail)
        full = [int(self.colours[strategy][at:at + 2], 16) for at in (1, 3, 5)]
        pale = 0 if not tail else 0.5 * (i - 1) / max(len(self.tails) - 1, 1)
        colour = "#" + "".join(f"{round(each + pale * (255 - each)):02x}" for each in full)
        return {"color": colour, "linestyle": STYLES[i % len(STYLES)], "marker": MARKERS[i % len(MARKERS)]}

    def label(self, row, strategy=None):
        name = strategy or strategy_of(row)
        return ", ".join([STRATEGIES.get(name, (name,))[0], *self.tail(row)])

    def workload(self, row):
        """Rows of which times can be compared."""
        return tuple(str(row.get(key)) for key in WORKLOAD_KEYS)

    def values_of_panels(self, row, keys):
        """Of the panels that show a row.  One on which a key has no effect is in all panels of that key."""
        product = [()]
        for key in keys:
            values = self.values_of(key) if key in self.split and row.get(key) is None else [row.get(key)]
            product = [(*each, value) for each in product for value in values]
        return product

    def panels(self, by_ranks=False):
        """{title: rows}, one workload after the other, in the order of the keys' values."""
        keys = [*(key for key in self.varying if key in WORKLOAD_KEYS), *(["ranks"] if by_ranks else []),
                *(key for key in self.varying if key not in WORKLOAD_KEYS), *self.split]
        found = {}
        for row in sorted(self.rows, key=self.place):
            for values in self.values_of_panels(row, keys):
                found.setdefault(values, []).append(row)
        order = sorted(found, key=lambda values: [in_order(value) for value in values])
        return {", ".join(self.ranks_text(value) if key == "ranks" else say(key, value) for key, value in zip(keys, values)):
                found[values] for values in order}

    def columns(self, most):
        """Panels beside each other: the values of the last key, if so many fit."""
        keys = [*self.varying, *self.split]
        return next((n for key in reversed(keys) if 1 < (n := len(self.values_of(key))) <= most), most)

    def title(self, text):
        said = ", ".join(say(key, self.rows[0][key]) for key in self.common)
        return text + (f"\n{said}" if said else "")

    def ranks_text(self, count):
        return f"{count} {self.unit}{'' if count == 1 else 's'}"

    def lines(self):
        """{title: {(strategy, tail): rows by ranks}}.  One rank has no transport: there all of them begin."""
        panels = {}
        for title, rows in self.panels().items():
            lines = panels[title] = {}
            for row in rows:
                lines.setdefault((strategy_of(row), self.tail(row)), []).append(row)
            for (strategy, tail), line in list(lines.items()):
                others = [key for key in lines if key[1] == tail and key[0].startswith(strategy + " ")]
                for key in others:
                    lines[key] += line
                if others:
                    del lines[strategy, tail]
            for line in lines.values():
                line.sort(key=lambda row: row["ranks"])
        return panels
