#!/usr/bin/env python3
"""Writes model/text/entity_table.inc: the named character references of HTML 5, from Python's table.

    tools/html_entities.py > model/text/entity_table.inc

One string literal of entries " name:hex" or " name:hex+hex"; '!' instead of ':' where HTML also accepts the
name without a semicolon.
"""

from html.entities import html5

COLUMNS = 108


def entries():
    for name in sorted(html5):
        if not name.endswith(";"):
            continue
        bare = name[:-1]
        assert html5.get(bare, html5[name]) == html5[name]
        mark = "!" if bare in html5 else ":"
        yield f" {bare}{mark}" + "+".join(f"{ord(c):x}" for c in html5[name])


def main():
    print("// Written by tools/html_entities.py.  One string of entries; its reader explains them.")
    line = ""
    for entry in entries():
        if len(line) + len(entry) + 2 > COLUMNS:
            print(f'"{line}"')
            line = ""
        line += entry
    print(f'"{line} "')


if __name__ == "__main__":
    main()
