"""The charts of the report: histograms, bars, lines, heat maps, hexagons and dots, as SVG.

Each is readable without colour, by its form, and by a screen reader. They draw what they are given, and withhold nothing:
what may be shown of real rows is decided before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.report.bins import nice_step
from clover_tvae.report.distributions import Bar, Histogram
from clover_tvae.report.formatting import decimal_text, number_text, percent_text, shortened
from clover_tvae.report.svg import AXIS, CLASSES, GRID, HOLDOUT, REAL, SERIES, SYNTHETIC, Chart, image_data

_WIDTH = 340.0
_WIDE = 460.0
_DASHES = (None, "5 3", "1.5 2.5", "8 3 2 3")
_MOST_NAMES = 32  # columns of a heat map whose names have room


def panels(
    parts: Sequence[tuple[str, Sequence[Chart]]],
    title: str,
    *,
    across: int,
    legend: Mapping[str, str] | None = None,
    empty: str = "too few rows to draw",
) -> Chart:
    """Return charts side by side as one.

    Args:
        parts: The caption of each panel, and its charts, one below the other.
    """
    width, gap, margin = max((chart.width for _, charts in parts for chart in charts), default=_WIDTH), 28.0, 10.0
    across = min(across, max(len(parts), 1))
    full = across * (width + gap) - gap + 2 * margin
    keys = _legend_places(list(legend or ()), margin, full, top=16)
    y = keys[-1][1] + 8 if keys else margin
    lines = [parts[start : start + across] for start in range(0, len(parts), across)]
    heights = [
        max(22 + sum(chart.height * width / chart.width for chart in charts) if charts else 60 for _, charts in line)
        for line in lines
    ]
    whole = Chart(full, y + sum(heights) + 12 * len(heights) + margin, title)
    for place, (name, colour) in zip(keys, (legend or {}).items(), strict=True):
        whole.add("rect", x=place[0], y=place[1] - 9, width=14, height=10, fill=colour)
        whole.text(place[0] + 20, place[1], name, font_size=11)
    for line, height in zip(lines, heights, strict=True):
        for position, (caption, charts) in enumerate(line):
            x, below = margin + position * (width + gap), y + 22
            whole.text(x, y + 13, shortened(caption, int(width / 6.5)), font_size=12, font_weight="600")
            for chart in charts:
                below += whole.place(chart, x, below, width)
            if not charts:
                whole.text(x, below + 14, empty, fill=AXIS, font_size=11)
        y += height + 12
    return whole


def histogram_chart(histogram: Histogram, title: str) -> Chart:
    """Return real bins as filled bars and synthetic bins as an outline over them, heights as densities."""
    left, right, bottom, top = 4.0, _WIDTH - 4, 126.0, 8.0
    chart = Chart(_WIDTH, 150, title, "Real rows are filled bars, synthetic rows an outline.")
    at = [left + (right - left) * position for position in histogram.positions()]
    spans = [max(b - a, 1e-9) for a, b in itertools.pairwise(at)]
    real, synthetic = (
        [share / span for share, span in zip(shares, spans, strict=True)]
        for shares in (histogram.real, histogram.synthetic)
    )
    scale = (bottom - top) / (max([*real, *synthetic]) or 1.0)
    outline: list[str | float] = ["M", at[0], bottom]
    for position, span in enumerate(spans):
        shares = percent_text(histogram.real[position]), percent_text(histogram.synthetic[position])
        hint = f"{histogram.bin_label(position)}: real {shares[0]}, synthetic {shares[1]}"
        height = real[position] * scale
        box: dict[str, Any] = {"x": at[position], "y": bottom - height, "width": max(span - 0.6, 0.4), "height": height}
        chart.add("rect", **box, fill=REAL, fill_opacity="0.45", hint=hint)
        outline += ["V", bottom - synthetic[position] * scale, "H", at[position + 1]]
    chart.path(
        *outline, "V", bottom, stroke=SYNTHETIC, stroke_width=1.8, stroke_linejoin="round", pointer_events="none"
    )
    chart.path("M", left, bottom, "H", right, stroke=AXIS)
    for position in _label_positions(at, histogram.labels):
        anchor = None if position == 0 else "end" if position == len(at) - 1 else "middle"
        chart.path("M", at[position], bottom, "v", 3, stroke=AXIS)
        chart.text(at[position], bottom + 14, histogram.labels[position], anchor)
    return chart


def _label_positions(at: Sequence[float], labels: Sequence[str]) -> list[int]:
    """Return the first and the last edge, and those between that have room for their label."""
    half = [3.0 * len(label) + 5 for label in labels]
    chosen, last = [0], len(at) - 1
    right, stop = at[0] + 2 * half[0], at[last] - 2 * half[last]
    for position in range(1, last):
        if at[position] - half[position] >= right and at[position] + half[position] <= stop:
            chosen.append(position)
            right = at[position] + half[position] + 8
    return [*chosen, last]


def bar_chart(bars: Sequence[Bar], title: str) -> Chart:
    """Return one pair of bars a value: real above, synthetic below it."""
    row, left, right = 22.0, 122.0, 52.0
    chart = Chart(_WIDTH, row * len(bars) + 4, title, "Of each pair of bars the upper is real, the lower synthetic.")
    longest = max((max(bar.real, bar.synthetic) for bar in bars), default=0.0) or 1.0
    scale = (_WIDTH - left - right) / longest
    for position, bar in enumerate(bars):
        y, shares = row * position + 3, (percent_text(bar.real), percent_text(bar.synthetic))
        group = chart.add("g", hint=f"{bar.label}: real {shares[0]}, synthetic {shares[1]}")
        style = None if bar.is_value else "italic"
        chart.text(left - 6, y + 11.5, shortened(bar.label, 21), "end", inside=group, font_style=style)
        end = left + max(bar.real, bar.synthetic) * scale + 4
        for below, share, text, colour, ink in (
            (0.0, bar.real, shares[0], REAL, REAL),
            (8.5, bar.synthetic, shares[1], SYNTHETIC, "#9c4400"),
        ):
            length = max(share * scale, 0.5)
            chart.add("rect", inside=group, x=left, y=y + below, width=length, height=8, fill=colour)
            chart.text(end, y + below + 7.5, text, inside=group, font_size=8.5, fill=ink)
    return chart


def heat_map(
    names: Sequence[str], matrix: NDArray[Any], title: str, colour: Callable[[NDArray[Any]], NDArray[Any]]
) -> Chart:
    """Return a matrix as coloured cells, in one small image; beyond 32 columns without names.

    Args:
        names: One name a row and column.
        matrix: Values for ``colour``; NaN is grey.
        colour: From values to red, green and blue in a last dimension.
    """
    shown = [shortened(name, 15) for name in names] if len(names) <= _MOST_NAMES else []
    margin = min(104.0, 10 + 6.3 * max(map(len, shown))) if shown else 2.0
    side = _WIDTH - margin - 2
    cell = side / max(len(names), 1)
    chart = Chart(_WIDTH, _WIDTH, title)
    gaps = np.isnan(matrix)
    pixels = np.where(gaps[..., np.newaxis], (226, 229, 233), colour(np.where(gaps, 0.0, matrix)))
    square: dict[str, Any] = {"x": margin, "y": margin, "width": side, "height": side}
    image = image_data(pixels.astype(np.uint8))
    chart.add("image", preserveAspectRatio="none", image_rendering="pixelated", href=image, **square)
    chart.add("rect", fill="none", stroke=AXIS, stroke_width=0.6, **square)
    font = min(10.0, max(5.5, cell * 0.8))
    for position, name in enumerate(shown):
        middle, whole = margin + cell * (position + 0.5) + 3, names[position] if names[position] != name else ""
        chart.text(margin - 3, middle, name, "end", font_size=font, hint=whole)
        turned = f"translate({middle:.1f} {margin - 3:.1f}) rotate(-90)"
        chart.text(0, 0, name, font_size=font, transform=turned)
    return chart


def line_chart(series: Mapping[str, Sequence[tuple[float, float]]], title: str, words: str) -> Chart:
    """Return lines of epochs and values by name, each with its own dashes; ``words`` stand above the y axis."""
    height, left, right, bottom = 240.0, 50.0, 10.0, 34.0
    epochs = [x for line in series.values() for x, _ in line]
    low, high = _robust_range([[y for _, y in line] for line in series.values()])
    keys = _legend_places(list(series), left, _WIDE)
    chart = Chart(_WIDE, height, title)
    across = _axis(min(epochs), max(epochs), left, _WIDE - right)
    up = _axis(low, high, height - bottom, keys[-1][1] + 12)
    for tick in _ticks(low, high, 5):
        chart.path("M", left, up(tick), "H", _WIDE - right, stroke=GRID)
        chart.text(left - 6, up(tick) + 3.5, number_text(tick), "end", font_size=11)
    for tick in _ticks(min(epochs), max(epochs), 6, whole=True):
        chart.text(across(tick), height - bottom + 15, number_text(tick), "middle", font_size=11)
    chart.text((left + _WIDE - right) / 2, height - 5, "epoch", "middle", font_size=11)
    chart.text(2, 12, words, font_size=11)
    for position, ((name, line), (x, y)) in enumerate(zip(series.items(), keys, strict=True)):
        style: dict[str, Any] = {"stroke": SERIES[position % 4], "stroke_dasharray": _DASHES[position % 4]}
        # The first, huge losses are left out rather than drawn flat along the top.
        seen = [line[row] for row in spread(len(line), 400) if low <= line[row][1] <= high]
        if seen:
            points = [part for epoch, value in seen for part in ("L", across(epoch), up(value))]
            end = ("h", 2) if len(seen) == 1 else ()
            chart.path("M", *points[1:], *end, stroke_width=2, stroke_linejoin="round", **style)
        chart.path("M", x, y - 3.5, "h", 20, stroke_width=2, **style)
        chart.text(x + 24, y, shortened(name, 34), font_size=11)
    return chart


def _axis(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return where a value between ``low`` and ``high`` lies on an axis from ``start`` to ``end``."""
    return lambda value: start + (end - start) * (value - low) / ((high - low) or 1.0)


def spread(n: int, most: int) -> list[int]:
    """Return at most ``most`` of the positions 0 to ``n - 1``, evenly spread, both ends among them.

    Example:
        >>> spread(9, 3), spread(2, 3)
        ([0, 4, 8], [0, 1])
    """
    return sorted(set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist()))


def _legend_places(names: Sequence[str], left: float, width: float, top: float = 29.0) -> list[tuple[float, float]]:
    """Return where each name of a legend begins, in as many lines as they need."""
    places, x, y = [], left, top
    for name in names:
        room = 34 + 5.7 * min(len(name), 34)
        if x > left and x + room > width:
            x, y = left, y + 15
        places.append((x, y))
        x += room
    return places


def _robust_range(lines: list[list[float]]) -> tuple[float, float]:
    """Return a range that a first few huge losses cannot stretch: the last nine tenths of each line, with a margin."""
    late = [y for line in lines for y in line[len(line) // 10 :]]
    low, high = min(late), max(late)
    margin = 0.06 * (high - low) or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    width = (high - low) / most or 1.0
    step = nice_step(max(width, 1.0) if whole else width, whole)
    return [step * tick for tick in range(math.ceil(low / step), math.floor(high / step) + 1)]


def hex_map(
    cells: Sequence[tuple[int, int, int, float]], shape: tuple[int, int], title: str, colours: Sequence[str] = CLASSES
) -> Chart:
    """Return hexagons of a density: the colour is the class, the strength the density.

    Args:
        cells: Column, row, class and strength (0 to 1) of each hexagon.
        shape: Columns and rows of the grid.
    """
    columns, rows = shape
    radius = _WIDTH / ((columns + 1) * math.sqrt(3))
    across, down = radius * math.sqrt(3), radius * 1.5
    height = down * (rows + 1)
    chart = Chart(_WIDTH, height, title, "The darker a hexagon, the more rows lie in it.")
    chart.add("rect", x=0.3, y=0.3, width=_WIDTH - 0.6, height=height - 0.6, fill="#fbfcfd", stroke="#dfe3e8")
    half = across / 2
    hexagon = f"l{half:.2f} {radius / 2:.2f}v{radius:.2f}l{-half:.2f} {radius / 2:.2f}l{-half:.2f} {-radius / 2:.2f}v{-radius:.2f}z"
    layers: dict[tuple[int, int], list[str]] = {}
    for column, row, kind, strength in cells:
        x, y = across * (column + 0.5 + 0.5 * (row % 2)) + half / 2, down * row + radius * 0.25
        level = min(5, max(1, math.ceil(5 * strength)))
        layers.setdefault((kind, level), []).append(f"M{x:.1f} {y:.1f}{hexagon}")
    for (kind, level), paths in sorted(layers.items()):
        chart.path(*paths, fill=colours[kind % len(colours)], fill_opacity=f"{0.12 + 0.17 * level:.2f}")
    return chart


def dot_strip(
    value: float, interval: tuple[float, float] | None, holdout: float | None, bounds: tuple[float, float], title: str
) -> Chart:
    """Return one figure on its own scale: the synthetic table's dot with its interval, the holdout's tick."""
    width, height, margin = 150.0, 22.0, 7.0
    chart = Chart(width, height, title, style="strip")
    x, middle = _axis(*bounds, margin, width - margin), height / 2
    chart.path("M", margin, middle, "H", width - margin, stroke="#d3d9e0", stroke_width=2)
    if holdout is not None and math.isfinite(holdout):
        hint = f"real holdout {decimal_text(holdout)}"
        chart.path("M", x(holdout), 3, "V", height - 3, stroke=HOLDOUT, stroke_width=3, hint=hint)
    if interval is not None:
        start, end = x(interval[0]), max(x(interval[1]), x(interval[0]) + 0.5)
        chart.path("M", start, middle, "H", end, stroke=SYNTHETIC, stroke_width=4, stroke_opacity="0.45")
    hint = f"synthetic {decimal_text(value)}"
    chart.add("circle", cx=x(value), cy=middle, r=4.5, fill=SYNTHETIC, stroke="#fff", stroke_width=1, hint=hint)
    return chart


def dot_plot(rows: Sequence[tuple[str, Mapping[str, float]]], series: Sequence[str], title: str) -> Chart | None:
    """Return one line a row with a mark for each series, on a log axis; series differ by colour and by form.

    Args:
        rows: Name of each row, and its values by series; those that are not positive are left out.
        series: The series, in the order of their colours and forms.
    """
    positive = [value for _, values in rows for value in values.values() if value > 0]
    if not positive:
        return None
    row, left = 20.0, 130.0
    keys = _legend_places(series, left, _WIDE)
    top = keys[-1][1] + 10
    bottom = top + row * len(rows)
    chart = Chart(_WIDE, bottom + 22, title)
    powers = range(math.floor(math.log10(min(positive))) - 1, math.ceil(math.log10(max(positive))) + 2)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    least = max(tick for tick in ticks if tick <= min(positive))
    most = min(tick for tick in ticks if tick >= max(positive) and tick > least)
    place = _axis(math.log10(least) - 0.02, math.log10(most) + 0.02, left, _WIDE - 14)

    def x(value: float) -> float:
        return place(math.log10(value))

    for position, (name, (start, y)) in enumerate(zip(series, keys, strict=True)):
        _mark(chart, start + 8, y - 3.5, position)
        chart.text(start + 18, y, shortened(name, 34), font_size=11)
    for tick in ticks:
        if least <= tick <= most and (most / least < 1e4 or math.log10(tick).is_integer()):
            chart.path("M", x(tick), top, "V", bottom, stroke=GRID)
            chart.text(x(tick), bottom + 14, number_text(tick), "middle")
    for position, (name, values) in enumerate(rows):
        y = top + row * (position + 0.5)
        chart.text(left - 8, y + 3.5, shortened(name, 18), "end")
        seen = [x(value) for value in values.values() if value > 0]
        if len(seen) > 1:
            chart.path("M", min(seen), y, "H", max(seen), stroke="#c4ccd5", stroke_width=2)
        for key, value in values.items():
            if value > 0:
                _mark(chart, x(value), y, series.index(key), f"{name}, {key}: {decimal_text(value)}")
    return chart


def _mark(chart: Chart, x: float, y: float, position: int, hint: str = "") -> None:
    """Add a disc, a square, a diamond or a triangle: the series without its colour."""
    steps: tuple[str | float, ...] = (
        ("M", x - 5, y, "a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"),
        ("M", x - 4.5, y - 4.5, "h9v9h-9z"),
        ("M", x, y - 6, "l6 6l-6 6l-6 -6z"),
        ("M", x, y - 5.5, "l5.5 10h-11z"),
    )[position % 4]
    chart.path(*steps, fill=SERIES[position % 4], stroke="#fff", stroke_width=0.8, hint=hint)
