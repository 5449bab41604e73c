"""A chart as SVG: its canvas, its marks, and the colours of all charts.

The same tree of elements is markup on a page, a picture in a notebook and a file on disk. Being a tree
(``xml.etree``), a name such as ``<script>`` can only ever be text in it. The colours are those of Okabe and Ito, which
colour-blind readers tell apart.

References:
    Okabe, Ito (2008), Color Universal Design, https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import base64
import html
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.files import write_text

REAL = "#0072B2"
SYNTHETIC = "#D55E00"
HOLDOUT = "#009E73"
INK = "#1f2933"
AXIS = "#8a94a0"
GRID = "#e4e7eb"
SERIES = (REAL, SYNTHETIC, HOLDOUT, "#CC79A7")
CLASSES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7a7a7a")

_Element = ElementTree.Element
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Arial, sans-serif"
_POLICY = "default-src 'none'; img-src data:"


class Chart:
    """A chart that a page shows as it is, a notebook as a picture, and ``save`` writes to a file.

    Args:
        width: Width in pixels; a page may stretch it.
        title: What it shows: its name for a screen reader.
        words: How it is to be read.
        style: Name of its class in the page's style sheet.

    Example:
        >>> chart = Chart(100, 20, "A dot")
        >>> _ = chart.add("circle", cx=50, cy=10, r=4, fill=REAL, hint="<b>")
        >>> chart
        Chart('A dot')
        >>> "<title>&lt;b&gt;</title>" in chart._repr_svg_()
        True
    """

    def __init__(self, width: float, height: float, title: str, words: str = "", style: str = "chart") -> None:
        self.width, self.height, self.title = width, height, title
        box = f"0 0 {_digits(width)} {_digits(height)}"
        self._root = _Element("svg", {"viewBox": box, "role": "img", "aria-label": title, "class": style})
        self.add("title", title)
        if words:
            self.add("desc", words)

    def add(
        self, tag: str, text: str | None = None, *, inside: _Element | None = None, hint: str = "", **attributes: object
    ) -> _Element:
        """Add an element and return it.

        Args:
            inside: The element to add it to; ``None`` means the chart.
            hint: Words that appear when the pointer rests on it.
            **attributes: Its attributes, ``_`` for ``-``; numbers are rounded to a tenth, ``None`` is left out.
        """
        named = {
            key.replace("_", "-"): _digits(value) if isinstance(value, int | float) else str(value)
            for key, value in attributes.items()
            if value is not None
        }
        element = ElementTree.SubElement(self._root if inside is None else inside, tag, named)
        element.text = text
        if hint:
            ElementTree.SubElement(element, "title").text = hint
        return element

    def text(self, x: float, y: float, words: str, anchor: str | None = None, **attributes: Any) -> _Element:
        """Add words at a point, which is their ``start`` (the default), ``middle`` or ``end``."""
        place: dict[str, Any] = {"x": x, "y": y, "text_anchor": anchor, "font_size": 10, "fill": INK}
        return self.add("text", words, **place | attributes)

    def path(self, *steps: str | float, **attributes: Any) -> _Element:
        """Add a path of commands and numbers, such as ``"M", 4, 8, "H", 30``."""
        d = " ".join(step if isinstance(step, str) else _digits(step) for step in steps)
        return self.add("path", **{"d": d, "fill": "none"} | attributes)

    def place(self, chart: Chart, x: float, y: float, width: float) -> float:
        """Draw another chart within this one, ``width`` wide, and return its height there."""
        height = chart.height * width / chart.width
        place: dict[str, Any] = {"x": x, "y": y, "width": width, "height": height, "aria_label": chart.title}
        self.add("svg", viewBox=chart._root.get("viewBox"), **place).extend(chart._root)
        return height

    def __html__(self) -> str:
        """Return the markup for a page; templates take it as it is, for the names inside are escaped already."""
        return ElementTree.tostring(self._root, encoding="unicode")

    def _repr_svg_(self) -> str:
        size = {"width": _digits(self.width), "height": _digits(self.height)}
        head = {"xmlns": "http://www.w3.org/2000/svg", **size, "font-family": _FONT}
        root = _Element("svg", head | self._root.attrib)
        root.extend(self._root)
        root.insert(1, _Element("rect", {**size, "fill": "#fff"}))
        return ElementTree.tostring(root, encoding="unicode")

    def __repr__(self) -> str:
        return f"Chart({self.title!r})"

    def save(self, path: str | Path) -> None:
        """Write the chart as one file that loads nothing, atomically.

        Args:
            path: A name that ends in ``.svg``, or in ``.html`` for a page that holds nothing else.

        Raises:
            ConfigError: The name ends otherwise.
            TableFileError: The file cannot be written; an older one stands.
        """
        text = self._repr_svg_()
        suffix = Path(path).suffix.lower()
        if suffix == ".html":
            head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            title = f"<title>{html.escape(self.title)}</title>"
            text = f'<!DOCTYPE html>\n<html lang="en"><head>{head}{title}</head>\n<body>{text}</body></html>\n'
        elif suffix != ".svg":
            raise ConfigError(Problem("path", f"must end in .svg or .html, found {suffix or 'no ending'}"))
        write_text(path, text)


def _digits(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def diverging(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return red, green and blue (0 to 255) for values from -1 (orange) over 0 (white) to 1 (blue).

    **Shape** any; of the result one dimension more.
    """
    ends = np.array([list(bytes.fromhex(colour[1:])) for colour in (SYNTHETIC, REAL)])
    return _from_white(ends[(values > 0).astype(int)], np.abs(values))


def sequential(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return red, green and blue (0 to 255) for values from 0 (white) to 1 (dark orange); shapes as of `diverging`."""
    return _from_white(np.array([140, 45, 4]), np.maximum(0.0, values))


def _from_white(colours: NDArray[Any], shares: NDArray[Any]) -> NDArray[np.float64]:
    return np.rint(255 + (colours - 255) * np.minimum(1.0, shares)[..., np.newaxis])


def image_data(pixels: NDArray[Any]) -> str:
    """Return a raster as a PNG file in the form that an image's ``href`` takes.

    Shape:
        ``pixels``, uint8, is (height, width, 3): red, green and blue.
    """
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = pixels.reshape(height, 3 * width)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    file = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(file).decode("ascii")
