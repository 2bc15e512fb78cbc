#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/benchmarks/mpc-wan.svg from the table that bench/mpc_wan.sh leaves beside it.
usage: mpc_plot.py FOLDER
"""
import pathlib
import sys

from he_plot import COLOURS, Page

LEFT, WIDTH, PANEL = 84, 190, 240


def number(v):
    return "{:,.0f}".format(v) if v >= 100 else "{:.3g}".format(v)


def main(folder):
    folder = pathlib.Path(folder)
    rows = [line.split("\t") for line in (folder / "mpc-wan.tsv").read_text().splitlines()[1:]]
    rtts = list(dict.fromkeys(r[0] for r in rows))
    settings = list(dict.fromkeys(r[1] for r in rows))
    seconds = {(r[0], r[1]): float(r[3]) for r in rows}
    page = Page("An epoch of two parties, by where its randomness comes from")
    step = 46
    most = max(seconds.values())
    panels = [("seconds", None), ("MB, both directions", lambda r: float(r[5]) / 1e3), ("rounds", lambda r: float(r[7]))]
    for p, (title, of) in enumerate(panels):
        left = LEFT + p * PANEL
        page.text(left, 58, title, bold=True)
        last = [r for r in rows if r[0] == rtts[-1]]
        high = most if of is None else max(of(r) for r in last)
        for i, setting in enumerate(settings):
            top = 70 + i * step
            if p == 0:
                page.text(LEFT - 8, top + 22, setting, anchor="end")
                for k, rtt in enumerate(rtts):
                    v = seconds.get((rtt, setting))
                    if v is None:
                        continue
                    width = WIDTH * v / high
                    page.bar(left, top + k * 12, width, 10, COLOURS[k])
                    page.text(left + width + 4, top + k * 12 + 9, number(v), size=10)
            else:
                v = next(of(r) for r in last if r[1] == setting)
                page.bar(left, top + 8, WIDTH * v / high, 16, COLOURS[6 + p])
                page.text(left + WIDTH * v / high + 4, top + 21, number(v), size=11)
    for k, rtt in enumerate(rtts):
        x = LEFT + k * 150
        page.bar(x, 434, 12, 12, COLOURS[k])
        page.text(x + 18, 444, "LAN" if rtt == "0" else rtt + " ms round trip")
    page.write(folder / "mpc-wan.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
