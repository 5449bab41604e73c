"""The charts of the page, as inline SVG: small, sharp at every size, readable without colour and by a screen reader.

Knows marks, axes and colours. Must not know tables or figures: it draws what it is given. Elements are built as a tree
(``xml.etree``), so that a name such as ``<script>`` can only ever be text.
"""

from __future__ import annotations

import base64
import itertools
import math
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clover_tvae.report import palette
from clover_tvae.report.marginals import Bar, Histogram
from clover_tvae.report.text import decimal_text, number_text, percent_text, shortened

__all__ = ["Chart", "bar_chart", "dot_plot", "dot_strip", "heat_map", "hex_map", "histogram_chart", "line_chart", "png"]

_Element = ElementTree.Element
_TEXT = "10"
_LINES = ("", "5 3", "1.5 2.5", "8 3 2 3")


class Chart(str):
    """A finished chart: markup that a template puts in as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Tell templates with autoescape that the names inside are escaped already."""
        return str(self)


def _chart(width: float, height: float, label: str) -> _Element:
    return _Element(
        "svg",
        {"viewBox": f"0 0 {_at(width)} {_at(height)}", "role": "img", "aria-label": label, "class": "chart"},
    )


def _markup(chart: _Element) -> Chart:
    return Chart(ElementTree.tostring(chart, encoding="unicode", short_empty_elements=True))


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _add(parent: _Element, tag: str, **attributes: object) -> _Element:
    named = {
        key.rstrip("_").replace("_", "-"): _at(value) if isinstance(value, int | float) else str(value)
        for key, value in attributes.items()
        if value is not None
    }
    return ElementTree.SubElement(parent, tag, named)


def _text(parent: _Element, x: float, y: float, words: str, anchor: str = "start", **attributes: object) -> _Element:
    element = _add(
        parent,
        "text",
        x=x,
        y=y,
        **({"text_anchor": anchor} if anchor != "start" else {}),
        **{"font_size": _TEXT, "fill": palette.INK, **attributes},
    )
    element.text = words
    return element


def _hint(parent: _Element, words: str) -> None:
    _add(parent, "title").text = words


def png(pixels: np.ndarray) -> bytes:
    """Return an image file for a raster.

    Args:
        pixels: uint8, red, green and blue.

    Shape:
        ``pixels`` is (height, width, 3).
    """
    height, width, _ = pixels.shape
    lines = np.concatenate(
        [np.zeros((height, 1), np.uint8), pixels.astype(np.uint8).reshape(height, width * 3)], axis=1
    )

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )


def histogram_chart(histogram: Histogram, label: str) -> Chart:
    """Return real bins as filled bars and synthetic bins as an outline over them, heights as densities."""
    width, height, left, bottom, top = 340.0, 150.0, 4.0, 126.0, 8.0
    chart = _chart(width, height, label)
    at = [left + (width - 2 * left) * position for position in histogram.positions()]
    spans = [max(b - a, 1e-9) for a, b in itertools.pairwise(at)]
    real = [share / span for share, span in zip(histogram.real, spans, strict=True)]
    synthetic = [share / span for share, span in zip(histogram.synthetic, spans, strict=True)]
    tallest = max([*real, *synthetic]) or 1.0

    def y(density: float) -> float:
        return bottom - (bottom - top) * density / tallest

    for position, density in enumerate(real):
        bar = _add(
            chart,
            "rect",
            x=at[position],
            y=y(density),
            width=max(spans[position] - 0.6, 0.4),
            height=bottom - y(density),
            fill=palette.REAL,
            fill_opacity="0.45",
        )
        shares = (
            f"real {percent_text(histogram.real[position])}, synthetic {percent_text(histogram.synthetic[position])}"
        )
        _hint(bar, f"{histogram.bin_label(position)}: {shares}")
    steps = [f"M{_at(at[0])} {_at(bottom)}"]
    for position, density in enumerate(synthetic):
        steps.append(f"V{_at(y(density))}H{_at(at[position + 1])}")
    _add(
        chart,
        "path",
        d="".join([*steps, f"V{_at(bottom)}"]),
        fill="none",
        stroke=palette.SYNTHETIC,
        stroke_width="1.8",
        stroke_linejoin="round",
        pointer_events="none",
    )
    _add(chart, "path", d=f"M{_at(left)} {_at(bottom)}H{_at(width - left)}", stroke=palette.AXIS, stroke_width="1")
    for position in _label_positions(at, histogram.labels):
        anchor = "start" if position == 0 else "end" if position == len(at) - 1 else "middle"
        _add(chart, "path", d=f"M{_at(at[position])} {_at(bottom)}v3", stroke=palette.AXIS, stroke_width="1")
        _text(chart, at[position], bottom + 14, histogram.labels[position], anchor)
    return _markup(chart)


def _label_positions(at: Sequence[float], labels: Sequence[str]) -> list[int]:
    """Return the first and the last edge, and those between that have room for their label."""
    last = len(at) - 1

    def half(position: int) -> float:
        return 3.0 * len(labels[position]) + 5

    chosen = [0]
    right, stop = at[0] + 2 * half(0), at[last] - 2 * half(last)
    for position in range(1, last):
        if at[position] - half(position) >= right and at[position] + half(position) <= stop:
            chosen.append(position)
            right = at[position] + half(position) + 8
    return [*chosen, last]


def bar_chart(bars: Sequence[Bar], label: str) -> Chart:
    """Return one pair of bars a value: real filled, synthetic below it."""
    width, row, left, right = 340.0, 22.0, 122.0, 52.0
    chart = _chart(width, row * len(bars) + 4, label)
    longest = max([max(bar.real, bar.synthetic) for bar in bars], default=0.0) or 1.0
    scale = (width - left - right) / longest
    for position, bar in enumerate(bars):
        y = row * position + 3
        group = _add(chart, "g")
        _hint(group, f"{bar.label}: real {percent_text(bar.real)}, synthetic {percent_text(bar.synthetic)}")
        words = _text(group, left - 6, y + 11.5, shortened(bar.label, 21), "end")
        if not bar.is_value:
            words.set("font-style", "italic")
        _add(group, "rect", x=left, y=y, width=max(bar.real * scale, 0.5), height=8, fill=palette.REAL)
        _add(group, "rect", x=left, y=y + 8.5, width=max(bar.synthetic * scale, 0.5), height=8, fill=palette.SYNTHETIC)
        end = left + max(bar.real, bar.synthetic) * scale + 4
        _text(group, end, y + 7.5, percent_text(bar.real), font_size="8.5", fill=palette.REAL)
        _text(group, end, y + 16.5, percent_text(bar.synthetic), font_size="8.5", fill="#9c4400")
    return _markup(chart)


def heat_map(
    names: Sequence[str], matrix: np.ndarray, label: str, colour: Callable[[float], tuple[int, int, int]]
) -> Chart:
    """Return a matrix as coloured cells; beyond 32 columns without names and hints, as one small image.

    Args:
        names: One name a row and column.
        matrix: Values for ``colour``; NaN is grey.
        label: The chart in words.
        colour: From a value to red, green and blue.

    Shape:
        ``matrix`` is (columns, columns).
    """
    size = len(names)
    named = size <= 32
    margin = min(104.0, 10 + 6.3 * max((len(shortened(name, 15)) for name in names), default=0)) if named else 2.0
    width = 340.0
    cell = (width - margin - 2) / max(size, 1)
    chart = _chart(width, width, label)
    pixels = np.empty((size, size, 3), np.uint8)
    for row in range(size):
        for column in range(size):
            value = float(matrix[row, column])
            pixels[row, column] = (226, 229, 233) if math.isnan(value) else colour(value)
    side = cell * size
    _add(
        chart,
        "image",
        x=margin,
        y=margin,
        width=side,
        height=side,
        preserveAspectRatio="none",
        image_rendering="pixelated",
        href="data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii"),
    )
    _add(
        chart, "rect", x=margin, y=margin, width=side, height=side, fill="none", stroke=palette.AXIS, stroke_width="0.6"
    )
    if named:
        font = _at(min(10.0, max(5.5, cell * 0.8)))
        for position, name in enumerate(names):
            middle = margin + cell * (position + 0.5)
            words = _text(chart, margin - 3, middle + 3, shortened(name, 15), "end", font_size=font)
            top = _text(chart, 0, 0, shortened(name, 15), "start", font_size=font)
            top.set("transform", f"translate({_at(middle + 3)} {_at(margin - 3)}) rotate(-90)")
            del top.attrib["x"], top.attrib["y"]
            if shortened(name, 15) != name:
                _hint_after(words, name)
    return _markup(chart)


def _hint_after(words: _Element, hint: str) -> None:
    title = ElementTree.SubElement(words, "title")
    title.text = hint


def line_chart(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    label: str,
    *,
    x_label: str,
    y_label: str,
    colours: Sequence[str] = palette.CLASSES,
) -> Chart:
    """Return lines over a common x axis, each with its own dashes and its name at the side.

    Args:
        series: x and y values by name; NaN breaks a line.
        label: The chart in words.
        x_label: Words under the x axis.
        y_label: Words above the y axis.
        colours: One colour a line.
    """
    width, height, left, right, bottom = 460.0, 240.0, 50.0, 10.0, 34.0
    points = {
        name: [
            (float(x), float(y))
            for x, y in zip(*xy, strict=True)
            if math.isfinite(float(x)) and math.isfinite(float(y))
        ]
        for name, xy in series.items()
    }
    drawn = {name: line for name, line in points.items() if line}
    if not drawn:
        return Chart()
    xs = [x for line in drawn.values() for x, _ in line]
    low, high = _robust_range([[y for _, y in line] for line in drawn.values()])
    x_low, x_high = min(xs), max(xs)
    keys = _legend_places([shortened(name, 34) for name in drawn], left, width)
    top = keys[-1][1] + 12
    chart = _chart(width, height, label)
    x_ticks, y_ticks = _ticks(x_low, x_high, 6, whole=True), _ticks(low, high, 5)

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (width - left - right) * (x - x_low) / ((x_high - x_low) or 1.0)
        return across, height - bottom - (height - top - bottom) * (y - low) / ((high - low) or 1.0)

    for tick in y_ticks:
        y = place(x_low, tick)[1]
        _add(chart, "path", d=f"M{_at(left)} {_at(y)}H{_at(width - right)}", stroke="#e4e7eb", stroke_width="1")
        _text(chart, left - 6, y + 3.5, number_text(tick), "end", font_size="11")
    for tick in x_ticks:
        x = place(tick, low)[0]
        _text(chart, x, height - bottom + 15, number_text(tick), "middle", font_size="11")
    _text(chart, left + (width - left - right) / 2, height - 5, x_label, "middle", font_size="11")
    _text(chart, 2, 12, y_label, font_size="11")
    for position, (name, line) in enumerate(drawn.items()):
        colour, dashes = colours[position % len(colours)], _LINES[position % len(_LINES)]
        style = {"stroke": colour, "stroke_width": "2", "stroke_dasharray": dashes or None, "fill": "none"}
        # The first, huge losses are left out rather than drawn flat along the top.
        seen = [place(x, y) for x, y in _thinned(line) if low <= y <= high]
        path = "M" + "L".join(f"{_at(x)} {_at(y)}" for x, y in seen)
        if seen:
            _add(chart, "path", d=path if len(seen) > 1 else path + "h2", stroke_linejoin="round", **style)
        x, y = keys[position]
        _add(chart, "path", d=f"M{_at(x)} {_at(y - 3.5)}h20", **style)
        _text(chart, x + 24, y, shortened(name, 34), font_size="11")
    return _markup(chart)


def _legend_places(names: Sequence[str], left: float, width: float) -> list[tuple[float, float]]:
    """Return where each name of a legend begins, in as many lines as they need."""
    places, x, y = [], left, 29.0
    for name in names:
        room = 32 + 6.2 * len(name)
        if x > left and x + room > width:
            x, y = left, y + 15
        places.append((x, y))
        x += room
    return places


def _thinned(line: list[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    if len(line) <= most:
        return line
    rows = np.unique(np.linspace(0, len(line) - 1, most).round().astype(int))
    return [line[row] for row in rows]


def _robust_range(lines: list[list[float]]) -> tuple[float, float]:
    """Return a range that a first few huge losses cannot stretch: the last nine tenths of each line, with a margin."""
    late = [y for line in lines for y in line[len(line) // 10 :]]
    low, high = min(late), max(late)
    margin = 0.06 * (high - low) or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    span = (high - low) / most or 1.0
    power = 10.0 ** math.floor(math.log10(span))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= span * (1 - 1e-9))
    step = max(1.0, step) if whole else step
    return [step * tick for tick in range(math.ceil(low / step), math.floor(high / step) + 1)]


def hex_map(
    cells: Sequence[tuple[int, int, int, float]], shape: tuple[int, int], label: str, colours: Sequence[str]
) -> Chart:
    """Return hexagons of a density: the colour is the class, the strength the density.

    Args:
        cells: Column, row, class and strength (0 to 1) of each hexagon.
        shape: Columns and rows of the grid.
        label: The chart in words.
        colours: One colour a class.
    """
    columns, rows = shape
    width = 340.0
    radius = width / ((columns + 1) * math.sqrt(3))
    across, down = radius * math.sqrt(3), radius * 1.5
    chart = _chart(width, down * (rows + 1), label)
    _add(
        chart, "rect", x=0.3, y=0.3, width=width - 0.6, height=down * (rows + 1) - 0.6, fill="#fbfcfd", stroke="#dfe3e8"
    )
    half = across / 2
    hexagon = f"l{half:.2f} {radius / 2:.2f}v{radius:.2f}l{-half:.2f} {radius / 2:.2f}l{-half:.2f} {-radius / 2:.2f}v{-radius:.2f}z"
    layers: dict[tuple[int, int], list[str]] = {}
    for column, row, kind, strength in cells:
        x = across * (column + 0.5 + 0.5 * (row % 2)) + half / 2
        y = down * row + radius * 0.25
        level = min(5, max(1, math.ceil(5 * strength)))
        layers.setdefault((kind, level), []).append(f"M{x:.1f} {y:.1f}{hexagon}")
    for (kind, level), paths in sorted(layers.items()):
        _add(
            chart,
            "path",
            d="".join(paths),
            fill=colours[kind % len(colours)],
            fill_opacity=f"{0.12 + 0.17 * level:.2f}",
        )
    return _markup(chart)


def dot_strip(
    value: float,
    interval: tuple[float, float] | None,
    holdout: float | None,
    bounds: tuple[float, float],
    label: str,
) -> Chart:
    """Return one figure on its own scale: the synthetic table's dot with its interval, the holdout's tick."""
    width, height, margin = 150.0, 22.0, 7.0
    chart = _chart(width, height, label)
    chart.set("class", "strip")
    low, high = bounds

    def x(number: float) -> float:
        return margin + (width - 2 * margin) * (min(max(number, low), high) - low) / ((high - low) or 1.0)

    middle = height / 2
    _add(chart, "path", d=f"M{_at(margin)} {_at(middle)}H{_at(width - margin)}", stroke="#d3d9e0", stroke_width="2")
    if holdout is not None and math.isfinite(holdout):
        tick = _add(
            chart, "path", d=f"M{_at(x(holdout))} 3V{_at(height - 3)}", stroke=palette.HOLDOUT, stroke_width="3"
        )
        _hint(tick, f"real holdout {decimal_text(holdout)}")
    if interval is not None:
        _add(
            chart,
            "path",
            d=f"M{_at(x(interval[0]))} {_at(middle)}H{_at(max(x(interval[1]), x(interval[0]) + 0.5))}",
            stroke=palette.SYNTHETIC,
            stroke_width="4",
            stroke_opacity="0.45",
        )
    dot = _add(chart, "circle", cx=x(value), cy=middle, r=4.5, fill=palette.SYNTHETIC, stroke="#fff", stroke_width="1")
    _hint(dot, f"synthetic {decimal_text(value)}")
    return _markup(chart)


def dot_plot(rows: Sequence[tuple[str, Mapping[str, float]]], series: Sequence[str], label: str) -> Chart:
    """Return one line a row with a mark for each series, on a log axis; series differ by colour and by form.

    Args:
        rows: Name of each row, and its positive values by series.
        series: The series, in the order of their colours and forms.
        label: The chart in words.
    """
    positive = [value for _, values in rows for value in values.values() if value > 0]
    if not positive:
        return Chart()
    width, row, left = 460.0, 20.0, 130.0
    keys = _legend_places([shortened(name, 34) for name in series], left, width)
    top = keys[-1][1] + 10
    chart = _chart(width, top + row * len(rows) + 22, label)
    powers = range(math.floor(math.log10(min(positive))) - 1, math.ceil(math.log10(max(positive))) + 2)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    least = max(tick for tick in ticks if tick <= min(positive))
    most = min(tick for tick in ticks if tick >= max(positive) and tick > least)
    low, high = math.log10(least) - 0.02, math.log10(most) + 0.02

    def x(value: float) -> float:
        return left + (width - left - 14) * (math.log10(value) - low) / (high - low)

    for place, name in zip(keys, series, strict=True):
        _mark(chart, place[0] + 8, place[1] - 3.5, series.index(name))
        _text(chart, place[0] + 18, place[1], shortened(name, 34), font_size="11")
    bottom = top + row * len(rows)
    for tick in ticks:
        if least <= tick <= most and (most / least < 1e4 or math.log10(tick).is_integer()):
            _add(chart, "path", d=f"M{_at(x(tick))} {_at(top)}V{_at(bottom)}", stroke="#e4e7eb", stroke_width="1")
            _text(chart, x(tick), bottom + 14, number_text(tick), "middle")
    for position, (name, values) in enumerate(rows):
        y = top + row * (position + 0.5)
        _text(chart, left - 8, y + 3.5, shortened(name, 18), "end")
        seen = [x(value) for value in values.values() if value > 0]
        if len(seen) > 1:
            _add(chart, "path", d=f"M{_at(min(seen))} {_at(y)}H{_at(max(seen))}", stroke="#c4ccd5", stroke_width="2")
        for key, value in values.items():
            if value > 0:
                _hint(_mark(chart, x(value), y, series.index(key)), f"{name}, {key}: {decimal_text(value)}")
    return _markup(chart)


def _mark(chart: _Element, x: float, y: float, position: int) -> _Element:
    """Add a disc, a square, a diamond or a triangle: the series without its colour."""
    forms = (
        f"M{_at(x - 5)} {_at(y)}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
        f"M{_at(x - 4.5)} {_at(y - 4.5)}h9v9h-9z",
        f"M{_at(x)} {_at(y - 6)}l6 6l-6 6l-6 -6z",
        f"M{_at(x)} {_at(y - 5.5)}l5.5 10h-11z",
    )
    colours = (palette.REAL, palette.SYNTHETIC, palette.HOLDOUT, "#CC79A7")
    return _add(chart, "path", d=forms[position % 4], fill=colours[position % 4], stroke="#fff", stroke_width="0.8")
