#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/benchmarks/he-*.svg from the tables that bench/he_scaling.sh leaves beside them.
usage: he_plot.py FOLDER        each he-NAME.tsv: series, x, least, median (of threads: speed-up instead of a curve)
"""
import math
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 800, 460, 76, 196, 54, 58
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a6a00", "#56b4e9", "#000000", "#e69f00", "#882255", "#666666"]
# name: title, x axis, y axis, which axes are logarithmic
PLOTS = {
    "degree": ("CKKS by degree, 2 + 1 primes of 36 bits, one thread", "degree N", "microseconds", "xy"),
    "limbs": ("CKKS by length of the chain, N = 32,768, 3 special primes, one thread", "data primes", "microseconds", "y"),
    "features": ("Scoring 2,000 encrypted rows, one thread", "features", "milliseconds", "xy"),
    "rows": ("Scoring encrypted rows of 80 features, one request, one thread", "rows", "milliseconds", "xy"),
    "paillier-bits": ("Paillier by size of the key, batch of 8, one thread", "bits of n", "microseconds per item", "xy"),
    "paillier-batch": ("Paillier by size of the batch, one thread", "items of a call", "microseconds per item", "xy"),
    "memory-rows": ("Peak memory of scoring a file of 80 features (VmHWM)", "rows", "MB", "x"),
    "memory-keys": ("Peak memory with context, keys and 8 rotation keys (VmHWM)", "degree N", "MB", "xy"),
}


def read(path):
    """{series: [(x, least)]} in the order of the file."""
    table = {}
    for line in path.read_text().splitlines()[1:]:
        series, x, least, _ = line.split("\t")
        table.setdefault(series, []).append((float(x), float(least)))
    return {series: sorted(points) for series, points in table.items()}


def number(value):
    return "{:,.0f}".format(value) if value >= 1 or value == 0 else "{:g}".format(value)


class Page:
    def __init__(self, title):
        self.out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
                    % (WIDTH, HEIGHT), "<title>%s</title>" % escape(title),
                    '<rect width="100%" height="100%" fill="#ffffff"/>']
        self.text(LEFT, 28, title, size=15, bold=True)

    def text(self, x, y, words, anchor="start", size=12, bold=False, colour="#222222", turn=False):
        self.out.append('<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s"%s%s>%s</text>' % (
            x, y, anchor, size, colour, ' font-weight="bold"' if bold else "",
            ' transform="rotate(-90 %.1f %.1f)"' % (x, y) if turn else "", escape(words)))

    def line(self, x1, y1, x2, y2, colour="#dddddd", width=1.0):
        self.out.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>'
                        % (x1, y1, x2, y2, colour, width))

    def curve(self, points, colour):
        self.out.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>' % (
            " ".join("%.1f,%.1f" % p for p in points), colour))
        self.out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x, y, colour) for x, y in points]

    def bar(self, x, y, width, height, colour):
        self.out.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>' % (x, y, width, height, colour))

    def write(self, path):
        path.write_text("\n".join(self.out + ["</svg>"]) + "\n")


def decades(low, high):
    """Marks of a logarithmic axis: 1, 2, 5 of each decade, without 2 and 5 if there are many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = [m * 10.0**k for k in range(first, last + 1) for m in (1, 2, 5)]
    inside = [m for m in marks if low <= m <= high]
    return inside if len(inside) <= 9 else [m for m in inside if math.log10(m) % 1 < 1e-9]


def spread(wanted, gap, low, high):
    """Heights of labels near those wanted, at least a gap apart, within the frame."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    at = [0.0] * len(wanted)
    for k, i in enumerate(order):
        at[i] = max(wanted[i], low if k == 0 else at[order[k - 1]] + gap)
    for k, i in reversed(list(enumerate(order))):
        at[i] = min(at[i], high if k == len(order) - 1 else at[order[k + 1]] - gap)
    return at


def curves(path, table, title, x_name, y_name, log):
    page = Page(title)
    xs = sorted({x for points in table.values() for x, _ in points})
    ys = [y for points in table.values() for _, y in points]
    low, high = (min(ys) / 1.3, max(ys) * 1.3) if "y" in log else (0.0, max(ys) * 1.2)
    marks = decades(low, high) if "y" in log else [10.0 * k for k in range(int(high / 10) + 1)]
    x_place, y_place = (math.log if axis in log else float for axis in "xy")

    def at_x(x):
        return LEFT + 12 + (WIDTH - LEFT - RIGHT - 24) * (x_place(x) - x_place(xs[0])) / (x_place(xs[-1]) - x_place(xs[0]))

    def at_y(y):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y_place(y) - y_place(low)) / (y_place(high) - y_place(low))

    for mark in marks:
        page.line(LEFT, at_y(mark), WIDTH - RIGHT, at_y(mark))
        page.text(LEFT - 8, at_y(mark) + 4, number(mark), "end")
    label_end = 0.0
    for x in xs:
        page.line(at_x(x), HEIGHT - BOTTOM, at_x(x), HEIGHT - BOTTOM + 5, "#222222")
        half = 3.5 * len(number(x))
        if at_x(x) - half > label_end:
            page.text(at_x(x), HEIGHT - BOTTOM + 19, number(x), "middle")
            label_end = at_x(x) + half + 4
    page.line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#222222")
    page.line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "#222222")
    page.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_name + (" (logarithmic)" if "x" in log else ""), "middle")
    page.text(20, (TOP + HEIGHT - BOTTOM) / 2, y_name + (" (logarithmic)" if "y" in log else ""), "middle", turn=True)
    ends = [at_y(points[-1][1]) for points in table.values()]
    labels = spread(ends, 16, TOP + 6, HEIGHT - BOTTOM)
    for (series, points), colour, end, label in zip(table.items(), COLOURS, ends, labels):
        page.curve([(at_x(x), at_y(y)) for x, y in points], colour)
        page.line(at_x(points[-1][0]) + 5, end, WIDTH - RIGHT + 10, label, colour, 0.8)
        page.text(WIDTH - RIGHT + 14, label + 4, series, colour=colour)
    page.write(path)


def speed_ups(path, table):
    """Bars: how many times as fast with the most threads as with one."""
    page = Page("Two threads: times as fast as one")
    left, top, step = 300, TOP + 14, (HEIGHT - TOP - BOTTOM - 14) / len(table)
    wide = WIDTH - left - 60

    def at_x(x):
        return left + wide * x / 2.0

    for mark in (0, 0.5, 1, 1.5, 2):
        page.line(at_x(mark), top - 6, at_x(mark), HEIGHT - BOTTOM, "#222222" if mark == 0 else "#dddddd")
        page.text(at_x(mark), HEIGHT - BOTTOM + 18, "%g" % mark, "middle")
    for i, (series, points) in enumerate(table.items()):
        ratio = points[0][1] / points[-1][1]
        page.bar(left, top + i * step, at_x(min(ratio, 2.05)) - left, step - 9, COLOURS[0])
        page.text(left - 8, top + i * step + (step - 9) / 2 + 4, series, "end")
        page.text(at_x(min(ratio, 2.05)) + 6, top + i * step + (step - 9) / 2 + 4, "%.2f" % ratio)
    page.text(left + wide / 2, HEIGHT - 16, "speed-up, wall time (1: no gain)", "middle")
    page.write(path)


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, plot in PLOTS.items():
        curves(folder / ("he-%s.svg" % name), read(folder / ("he-%s.tsv" % name)), *plot)
    speed_ups(folder / "he-threads.svg", read(folder / "he-threads.tsv"))


if __name__ == "__main__":
    main()
