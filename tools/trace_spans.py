"""Reads the trace of `--trace.file` (trace event JSON, base/trace.h): spans of each rank on its four lanes."""
import json
from typing import NamedTuple

LANES = ["compute", "copy", "exchange", "gather"]


class Span(NamedTuple):
    rank: int
    lane: str
    name: str  # "attention 12"
    begin: float  # ms from the first span of any rank
    end: float

    @property
    def part(self):
        """The name without its number."""
        head, _, number = self.name.rpartition(" ")
        return head if number.isdigit() else self.name

    @property
    def block(self):
        """The number at the name's end; -1: none."""
        number = self.name.rpartition(" ")[2]
        return int(number) if number.isdigit() else -1


def read(path):
    """All spans, by beginning."""
    with open(path) as file:
        events = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]
    spans = [Span(event["pid"], LANES[event["tid"]], event["name"], event["ts"] / 1e3,
                  (event["ts"] + event["dur"]) / 1e3) for event in events]
    return sorted(spans, key=lambda span: span.begin)


def overlap_ms(some, others):
    """How long a span of `some` and one of `others` run at once, summed over all pairs."""
    return sum(max(0.0, min(a.end, b.end) - max(a.begin, b.begin)) for a in some for b in others)


def select(spans, rank, lane, parts=None):
    """Spans of one lane, of these parts."""
    return [span for span in spans
            if span.rank == rank and span.lane == lane and (parts is None or span.part in parts)]
