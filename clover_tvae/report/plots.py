"""The report's charts as matplotlib figures, for a notebook.

Knows matplotlib (the only import of it) and the report's marginals, associations and projections: what the page may not
show, these do not show either. Must not know pyplot, which keeps global state: a figure is returned, and a notebook that
ends a cell with it shows it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from clover_tvae.errors import ColumnsMismatchError, MissingExtraError, Problem, TooFewRowsError, did_you_mean
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import code_tables, resolve_metadata
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.report import palette
from clover_tvae.report.associations import associations
from clover_tvae.report.history import CURVES, history_columns
from clover_tvae.report.marginals import Marginal, marginals
from clover_tvae.report.projection import Density, project
from clover_tvae.report.text import percent_text, printable, shortened, unique_labels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_history", "plot_latent", "plot_marginals", "plot_pairs"]

_LINES = ("-", "--", ":", "-.")


def _figure(width: float, height: float) -> Figure:
    return _figure_class()(figsize=(width, height), layout="constrained")


@cache
def _figure_class() -> Any:
    """Return a figure that a notebook shows by itself; matplotlib's own needs pyplot for that."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "plots need matplotlib, which is not installed; run: pip install '.[report]'"
        ) from error

    class NotebookFigure(Figure):
        """A matplotlib figure with a canvas and a picture for notebooks."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            FigureCanvasAgg(self)

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=90)
            return file.getvalue()

    return NotebookFigure


def _label(text: str, length: int = 28) -> str:
    """Return text that matplotlib does not read as a formula."""
    return shortened(text, length).replace("$", r"\$")


def plot_history(history: Any) -> Figure:
    """Plot the learning curves: the loss, and its two parts.

    Args:
        history: ``TVAESynthesizer.history``, or a list of dicts, one row an epoch.

    Returns:
        A matplotlib figure.

    Raises:
        TooFewRowsError: The history is empty.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> figure = plot_history([{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}])
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['epoch', 'epoch']
    """
    columns = history_columns(history)
    if not columns:
        raise TooFewRowsError(Problem("history", "expected at least one epoch with a loss, found none; fit first"))
    figure = _figure(10, 3.6)
    parts = (("loss", "validation_loss"), ("reconstruction", "validation_reconstruction", "kl", "validation_kl"))
    colours = (palette.REAL, palette.SYNTHETIC, palette.HOLDOUT, "#CC79A7")
    for axes, names, title in zip(figure.subplots(1, 2), parts, ("negative ELBO", "its two parts"), strict=True):
        lines = zip((name for name in names if name in columns), colours, _LINES, strict=False)
        for name, colour, dashes in lines:
            axes.plot(columns["epoch"], columns[name], dashes, color=colour, label=CURVES[name])
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{title}, nats a row")
        if axes.lines:
            axes.legend(frameon=False)
        _plain(axes)
    return figure


def plot_marginals(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Sequence[Hashable] | None = None,
    *,
    metadata: Any = None,
    min_count: int = MIN_COUNT,
) -> Figure:
    """Plot the marginals of real and synthetic rows, the worst column first.

    Args:
        real: The real rows.
        synthetic: The synthetic rows.
        columns: The columns to plot, in this order; ``None`` means all.
        metadata: A ``Metadata``, Clover's dict, a path, or ``None``: kinds by dtype.
        min_count: Fewest real rows that a bar or bin may show.

    Returns:
        A matplotlib figure.

    Raises:
        DataError: The tables do not fit each other, or a column is unknown.
        MissingExtraError: matplotlib is not installed.
    """
    metadata = resolve_metadata(metadata)
    tables = code_tables({"real": real, "synthetic": synthetic}, metadata)
    shown = marginals(tables, metadata, Disclosure(min_count))
    if columns is not None:
        by_name = {marginal.name: marginal for marginal in shown}
        unknown = [name for name in columns if name not in by_name]
        if unknown:
            problems = [
                Problem("columns", f"{name!r} is none of the columns compared{did_you_mean(name, by_name)}")
                for name in unknown
            ]
            raise ColumnsMismatchError(problems)
        shown = [by_name[name] for name in columns]
    n_across = min(3, len(shown))
    n_down = math.ceil(len(shown) / n_across)
    figure = _figure(4.2 * n_across, 2.7 * n_down)
    grid = figure.subplots(n_down, n_across, squeeze=False).ravel()
    for axes, marginal in zip(grid, shown, strict=False):
        _draw_marginal(axes, marginal)
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    from matplotlib.patches import Patch

    keys = [Patch(color=palette.REAL, label="real"), Patch(color=palette.SYNTHETIC, label="synthetic")]
    figure.legend(handles=keys, loc="outside upper left", ncols=2, frameon=False)
    return figure


def _draw_marginal(axes: Axes, marginal: Marginal) -> None:
    title = f"{_label(marginal.title)}: error {percent_text(marginal.error)}"
    histogram = marginal.histogram
    if histogram is not None and marginal.bars:
        # One line a spike, short enough for the panel: a longer title runs into its neighbour.
        title += "".join(
            f"\n{_label(bar.label, 24)}: {percent_text(bar.real)} real, {percent_text(bar.synthetic)} synthetic"
            for bar in marginal.bars[:-1]
        )
        title += "\nthe others:"
    axes.set_title(title, fontsize=10 if "\n" not in title else 8)
    if histogram is not None:
        at = np.array(histogram.positions())
        widths = np.diff(at)
        real, synthetic = (np.array(part) / widths for part in (histogram.real, histogram.synthetic))
        axes.bar(at[:-1], real, widths, align="edge", color=palette.REAL, alpha=0.45, label="real")
        axes.stairs(synthetic, at, color=palette.SYNTHETIC, linewidth=1.8, label="synthetic")
        ticks = _spaced(at)
        axes.set_xticks(at[ticks], [_label(histogram.labels[tick], 12) for tick in ticks])
        axes.set_yticks([])
    elif marginal.bars:
        bars = marginal.bars[:16]
        at = np.arange(len(bars))
        axes.barh(at - 0.2, [bar.real for bar in bars], 0.4, color=palette.REAL, label="real")
        axes.barh(at + 0.2, [bar.synthetic for bar in bars], 0.4, color=palette.SYNTHETIC, label="synthetic")
        axes.set_yticks(at, [_label(bar.label, 18) for bar in bars], fontsize=8)
        axes.invert_yaxis()
    else:
        axes.text(0.5, 0.5, "too few rows to draw", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
    _plain(axes)


def _spaced(at: np.ndarray) -> list[int]:
    """Return the first and the last edge, and those between that are a quarter of the axis apart."""
    ticks = [0]
    for position in range(1, len(at) - 1):
        if at[position] - at[ticks[-1]] >= 0.25 and 1 - at[position] >= 0.25:
            ticks.append(position)
    return [*ticks, len(at) - 1]


def plot_pairs(real: pd.DataFrame, synthetic: pd.DataFrame, *, metadata: Any = None, seed: int = 0) -> Figure:
    """Plot how strongly every two columns go together: real, synthetic and the difference.

    Args:
        real: The real rows.
        synthetic: The synthetic rows.
        metadata: A ``Metadata``, Clover's dict, a path, or ``None``: kinds by dtype.
        seed: For the choice of rows in tables above 20,000.

    Returns:
        A matplotlib figure.

    Raises:
        DataError: The tables do not fit each other.
        MissingExtraError: matplotlib is not installed.
    """
    tables = code_tables({"real": real, "synthetic": synthetic}, resolve_metadata(metadata))
    maps = [
        associations(tables[role], tables.number_names, tables.category_names, tables.names, seed=seed)
        for role in ("real", "synthetic")
    ]
    maps.append(np.abs(maps[0] - maps[1]))
    names = [_label(printable(name), 16) for name in tables.names]
    figure = _figure(13, 5.6)
    for position, (axes, matrix) in enumerate(zip(figure.subplots(1, 3), maps, strict=True)):
        colour = palette.diverging if position < 2 else _difference
        pixels = [[(226, 229, 233) if math.isnan(value) else colour(float(value)) for value in row] for row in matrix]
        axes.imshow(np.array(pixels, dtype=np.uint8), interpolation="nearest")
        axes.set_title(("real", "synthetic", "difference (darkest: 0.3 and more)")[position], fontsize=10)
        if len(names) <= 40:
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axes.set_yticks(range(len(names)), names if position == 0 else [""] * len(names), fontsize=7)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
    return figure


def _difference(value: float) -> tuple[int, int, int]:
    return palette.sequential(value / 0.3)


def plot_latent(
    latent_real: Any,
    latent_synthetic: Any,
    labels: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    *,
    min_count: int = MIN_COUNT,
) -> Figure:
    """Plot real and synthetic rows in latent space, as densities: no point is a person.

    Args:
        latent_real: Latent means of the real rows, as ``encode`` returns them.
        latent_synthetic: Latent means of the synthetic rows.
        labels: The class of each real row, or ``{"real": ..., "synthetic": ...}``; the six most frequent get colours.
            Real rows alone: their classes colour the real panel only.
        min_count: Fewest rows of one class that a hexagon may show.

    Returns:
        A matplotlib figure.

    Raises:
        TooFewRowsError: There are too few rows to draw without showing single ones.
        MissingExtraError: matplotlib is not installed.

    Shape:
        ``latent_real`` and ``latent_synthetic`` are (rows, dimensions).
    """
    disclosure = Disclosure(min_count)
    points = [np.asarray(part, dtype=np.float64) for part in (latent_real, latent_synthetic)]
    by_role = dict(labels) if isinstance(labels, Mapping) else {"real": labels}
    kinds, names = _label_codes([by_role.get("real"), by_role.get("synthetic")], disclosure)
    for role, kind, part in zip(("real", "synthetic"), kinds, points, strict=True):
        if kind is not None and len(kind) != len(part):
            raise ColumnsMismatchError(
                Problem(f"labels of the {role} rows", f"expected {len(part)} labels, found {len(kind)}")
            )
    projection = project(points[0], points[1], kinds[0], kinds[1], names, disclosure=disclosure)
    if projection is None:
        raise TooFewRowsError(
            Problem("latent_real", f"expected at least {2 * min_count} rows that vary, found {len(points[0])} rows")
        )
    figure = _figure(10, 4.2)
    panels = (("real", projection.real, palette.REAL), ("synthetic", projection.synthetic, palette.SYNTHETIC))
    for axes, kind, (title, density, colour) in zip(figure.subplots(1, 2), kinds, panels, strict=True):
        _draw_density(axes, density, projection.shape, palette.CLASSES if kind is not None else (colour,))
        axes.set_title(title, fontsize=10)
    if names:
        from matplotlib.patches import Patch

        handles = [
            Patch(color=colour, label=_label(name)) for name, colour in zip(names, palette.CLASSES, strict=False)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), frameon=False)
    return figure


def _label_codes(
    parts: Sequence[Sequence[Any] | None], disclosure: Disclosure
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    import pandas as pd

    given = [None if part is None else pd.Series(np.asarray(part, dtype=object)) for part in parts]
    known = [part for part in given if part is not None]
    if not known:
        return [None, None], ()
    counts = known[0].value_counts()
    frequent = counts.index[disclosure.may_name(counts)][:6]
    names = [shortened(label) for label in unique_labels(list(frequent))]
    codes: list[np.ndarray | None] = []
    for part in given:
        if part is None:
            codes.append(None)
            continue
        code = pd.Categorical(part, categories=frequent).codes.astype(np.int64)
        codes.append(np.where(code < 0, len(frequent), code))
    if any(code is not None and (code == len(frequent)).any() for code in codes):
        names.append("other or missing")
    return codes, tuple(names)


def _draw_density(axes: Axes, density: Density, shape: tuple[int, int], colours: Sequence[str]) -> None:
    from matplotlib.collections import RegularPolyCollection
    from matplotlib.colors import to_rgba

    columns, rows = shape
    offsets = [
        (column + 0.5 + 0.5 * (row % 2), (rows - row - 0.5) * math.sqrt(3) / 2) for column, row, _, _ in density.cells
    ]
    faces = [to_rgba(colours[kind % len(colours)], 0.15 + 0.85 * strength) for _, _, kind, strength in density.cells]
    if offsets:
        axes.add_collection(
            RegularPolyCollection(
                6, sizes=(70 * (34 / columns) ** 2,), offsets=offsets, offset_transform=axes.transData, facecolors=faces
            )
        )
    axes.set_xlim(-0.5, columns + 1)
    axes.set_ylim(-0.5, rows * math.sqrt(3) / 2 + 0.5)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
