"""The space of rows: real beside synthetic on the two directions in which the real rows vary most, latent or the table's own.

Rows are shown as densities and never as points: a dot a row would show a person's place. A hexagon is drawn only where
enough rows of its most frequent class lie.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.features import one_hot_matrix
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.report.charts import hex_map
from clover_tvae.report.formatting import percent_text, printable, shortened, unique_labels
from clover_tvae.report.svg import CLASSES, REAL, SYNTHETIC, Chart

__all__ = ["Classes", "RowSpace", "frequent_classes", "row_space", "space_section"]

_MOST_COLUMNS = 34  # hexagons across
_FEWEST_COLUMNS = 8
_ROWS_A_COLUMN = 0.76
_N_CLASSES = 6
_TAIL = 0.005


@dataclass(frozen=True)
class Classes:
    """The class of each row, which colours the hexagons.

    Args:
        of_real: Class of each real row, from 0; ``None`` for one colour.
        of_synthetic: Class of each synthetic row.
        names: Names of the classes.
    """

    of_real: NDArray[Any] | None = None
    of_synthetic: NDArray[Any] | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowSpace:
    """Real and synthetic rows as densities.

    Args:
        maps: Caption and chart, real first.
        hidden: Share of the rows that lie in hexagons not drawn, by role; NaN where it may not be told.
        explained: Share of the real variance that the two directions hold, 0 to 1.
    """

    maps: tuple[tuple[str, Chart], ...]
    hidden: tuple[float, float]
    explained: float


def space_section(
    tables: CodedTables, target: Hashable | None, latent_real: Any, latent_synthetic: Any, disclosure: Disclosure
) -> dict[str, Any]:
    """Return what the page shows of the space of rows.

    Args:
        tables: Coded tables with the roles ``real`` and ``synthetic``.
        target: The column that colours the hexagons; ``None`` for one colour a table.
        latent_real: Latent means of the real rows, in their order; ``None`` draws the table's own space.
        latent_synthetic: Latent means of the synthetic rows.
        disclosure: What may be told of real rows.
    """
    if latent_real is None or latent_synthetic is None:
        pair = [tables["real"], tables["synthetic"]]
        real, synthetic = one_hot_matrix(tables["real"], pair, max_categories=8, tail=0.01, mark_missing=False)
        title = "The space of rows, real beside synthetic"
        words = "No encoder was given, so this is the table's own space: the two directions in which the real rows vary most."
    else:
        real, synthetic = (np.asarray(part, dtype=np.float64) for part in (latent_real, latent_synthetic))
        title = "Latent space, real beside synthetic"
        words = (
            "Where the encoder puts the rows: the two directions in which the latent means of the real rows vary most."
        )
    classes = _classes_of(tables, target, disclosure)
    if (len(real), len(synthetic)) != (tables["real"].n_rows, tables["synthetic"].n_rows):
        classes = Classes()
    space = row_space(real, synthetic, classes, disclosure)
    if space is None:
        return {"title": title, "maps": [], "note": "Too few rows, or none that vary: there is nothing to draw."}
    hidden = [disclosure.withheld if math.isnan(share) else percent_text(share) for share in space.hidden]
    return {
        "title": title,
        "words": words,
        "maps": space.maps,
        "classes": classes.names,
        "target": "" if target is None else f"Most frequent {shortened(printable(target))} in the hexagon",
        "note": f"Densities, not rows: a hexagon is drawn where at least {disclosure.min_count} rows of its class lie; "
        f"{hidden[0]} of the real and {hidden[1]} of the synthetic rows lie outside of those drawn. The two directions "
        f"hold {percent_text(space.explained)} of the variance, so two clouds that look alike here can differ in the others.",
    }


def frequent_classes(
    real: NDArray[Any] | None,
    synthetic: NDArray[Any] | None,
    values: Sequence[Any] | NDArray[Any],
    disclosure: Disclosure,
) -> Classes:
    """Return the most frequent categories as classes, the others and missing ones as one class more.

    Args:
        real: Category of each real row, as a position in ``values``; -1 for a missing one; ``None`` for no classes.
        synthetic: The same of each synthetic row.
        values: The categories.
        disclosure: What may be named.
    """
    known = synthetic if real is None else real
    if known is None:
        return Classes()
    counts = np.bincount(known[known >= 0], minlength=len(values))
    frequent = [code for code in np.argsort(-counts, kind="stable")[:_N_CLASSES] if disclosure.may_name(counts[code])]
    names = [shortened(label) for label in unique_labels([values[code] for code in frequent])]
    group = np.full(len(values) + 1, len(frequent))  # the last one is where -1 points to
    group[frequent] = np.arange(len(frequent))
    of_real, of_synthetic = (None if codes is None else group[codes] for codes in (real, synthetic))
    if any(part is not None and (part == len(frequent)).any() for part in (of_real, of_synthetic)):
        names.append("other or missing")
    return Classes(of_real, of_synthetic, tuple(names))


def _classes_of(tables: CodedTables, target: Hashable | None, disclosure: Disclosure) -> Classes:
    """Return the class of every row by the target: its frequent categories, or thirds of its numbers."""
    real, synthetic = tables["real"], tables["synthetic"]
    if target in tables.category_names:
        at = tables.category_names.index(target)
        return frequent_classes(real.codes[:, at], synthetic.codes[:, at], tables.categories[at], disclosure)
    if target in tables.number_names:
        at = tables.number_names.index(target)
        numbers = real.numbers[:, at], synthetic.numbers[:, at]
        if not np.isnan(numbers[0]).all():
            cuts = np.nanquantile(numbers[0], [1 / 3, 2 / 3])
            kinds = [np.where(np.isnan(part), 3, np.searchsorted(cuts, part)) for part in numbers]
            names = ("lowest third", "middle third", "highest third", "missing")
            return Classes(kinds[0], kinds[1], names if any((kind == 3).any() for kind in kinds) else names[:3])
    return Classes()


def row_space(real: NDArray[Any], synthetic: NDArray[Any], classes: Classes, disclosure: Disclosure) -> RowSpace | None:
    """Return both tables on the first two principal directions of the real one.

    Args:
        real: Points of the real rows.
        synthetic: Points of the synthetic rows.
        classes: The class of each row.
        disclosure: Fewest rows of one class that a hexagon may show.

    Returns:
        The densities, or ``None`` where the rows are too few or do not vary.

    Shape:
        ``real`` and ``synthetic`` are (rows, dimensions).
    """
    if len(real) < 2 * disclosure.min_count or not len(synthetic):
        return None
    if not np.isfinite(real).all() or real.var(axis=0).sum() <= 1e-12:
        return None
    pca = PCA(min(2, real.shape[1]), svd_solver="covariance_eigh").fit(real)
    x, y = (np.pad(pca.transform(part), ((0, 0), (0, 2 - pca.n_components_))) for part in (real, synthetic))
    low, high = np.quantile(x, [_TAIL, 1 - _TAIL], axis=0)
    margin = 0.05 * np.maximum(high - low, 1e-9)
    bounds = low - margin, high + margin
    columns = round(min(max(math.sqrt(len(real) / disclosure.min_count), _FEWEST_COLUMNS), _MOST_COLUMNS))
    shape = columns, round(columns * _ROWS_A_COLUMN)
    real_map, n_hidden = _density(x, classes.of_real, bounds, shape, disclosure, "Real", REAL)
    synthetic_map, n_beyond = _density(y, classes.of_synthetic, bounds, shape, disclosure, "Synthetic", SYNTHETIC)
    return RowSpace(
        maps=(("Real", real_map), ("Synthetic", synthetic_map)),
        hidden=(disclosure.share(n_hidden, len(x)), n_beyond / len(y)),
        explained=float(pca.explained_variance_ratio_.sum()),
    )


def _density(
    points: NDArray[Any],
    kinds: NDArray[Any] | None,
    bounds: tuple[NDArray[Any], NDArray[Any]],
    shape: tuple[int, int],
    disclosure: Disclosure,
    words: str,
    colour: str,
) -> tuple[Chart, int]:
    """Return the hexagons of one table, and how many rows lie in none that is drawn."""
    columns, rows = shape
    colours = (colour,) if kinds is None else CLASSES
    kinds = np.zeros(len(points), dtype=np.int64) if kinds is None else kinds
    share = (points - bounds[0]) / (bounds[1] - bounds[0])
    row = np.floor((1 - share[:, 1]) * rows).astype(np.int64)
    column = np.floor(share[:, 0] * columns - 0.5 * (row % 2)).astype(np.int64)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    n_kinds = int(kinds.max(initial=0)) + 1
    cell = (row[inside] * columns + column[inside]) * n_kinds + kinds[inside]
    counts = np.bincount(cell, minlength=rows * columns * n_kinds).reshape(rows * columns, n_kinds)
    majority, total = counts.argmax(axis=1), counts.sum(axis=1)
    shown = np.flatnonzero(disclosure.may_name(counts.max(axis=1)))
    fullest = total[shown].max(initial=1)
    cells = [
        (int(at % columns), int(at // columns), int(majority[at]), float(np.sqrt(total[at] / fullest))) for at in shown
    ]
    chart = hex_map(cells, shape, f"Density of the {words.lower()} rows", colours)
    return chart, len(points) - int(total[shown].sum())
