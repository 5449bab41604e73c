"""The space of rows: real beside synthetic on the two directions in which the real rows vary most, latent or the table's own.

Rows are shown as densities and never as points: a dot a row would show a person's place. A hexagon is drawn only where
enough rows of its most frequent class lie.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.features import one_hot_matrix
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.report.charts import hex_map
from clover_tvae.report.formatting import percent_text, printable, real_share_text, shortened, unique_labels
from clover_tvae.report.svg import CLASSES, REAL, SYNTHETIC, Chart

_MOST_COLUMNS = 34  # hexagons across
_FEWEST_COLUMNS = 8
_ROWS_A_COLUMN = 0.76
_N_CLASSES = 6
_TAIL = 0.005


@dataclass(frozen=True)
class Classes:
    """The class of each row, from 0, which colours the hexagons (``None`` for one colour), and the classes' names."""

    of_real: NDArray[Any] | None = None
    of_synthetic: NDArray[Any] | None = None
    names: tuple[str, ...] = ()


def space_section(
    tables: CodedTables, target: Hashable | None, latent_real: Any, latent_synthetic: Any, disclosure: Disclosure
) -> dict[str, Any]:
    """Return what the page shows of the space of rows.

    Args:
        tables: Coded tables with the roles ``real`` and ``synthetic``.
        target: The column that colours the hexagons; ``None`` for one colour a table.
        latent_real: Latent means of the real rows, in their order; ``None`` draws the table's own space.
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
    maps, note = row_space(real, synthetic, classes, disclosure)
    heading = "" if target is None else f"Most frequent {shortened(printable(target))} in the hexagon"
    note = note or "Too few rows, or none that vary: there is nothing to draw."
    shown = {"maps": maps, "classes": classes.names, "target": heading, "note": note}
    return {"title": title, "words": words, **shown}


def frequent_classes(real: Any, synthetic: Any, disclosure: Disclosure) -> Classes:
    """Return the most frequent of the rows' labels as classes, the others and missing ones as one class more.

    Where a table has no labels (``None``) its rows have no classes.
    """
    given = [labels for labels in (real, synthetic) if labels is not None]
    if not given:
        return Classes()
    codes, values = pd.factorize(np.concatenate(given))
    known = codes[: len(given[0])]
    counts = np.bincount(known[known >= 0], minlength=len(values))
    frequent = [code for code in np.argsort(-counts, kind="stable")[:_N_CLASSES] if disclosure.may_name(counts[code])]
    names = [shortened(label) for label in unique_labels([values[code] for code in frequent])]
    group = np.full(len(values) + 1, len(frequent))  # the last one is where -1 points to
    group[frequent] = np.arange(len(frequent))
    if (group[codes] == len(frequent)).any():
        names.append("other or missing")
    first, rest = np.split(group[codes], [len(given[0])])
    if real is None:
        return Classes(None, first, tuple(names))
    return Classes(first, None if synthetic is None else rest, tuple(names))


def _classes_of(tables: CodedTables, target: Hashable | None, disclosure: Disclosure) -> Classes:
    """Return the class of every row by the target: its frequent categories, or thirds of its numbers."""
    pair = tables["real"], tables["synthetic"]
    if target in tables.category_names:
        at = tables.category_names.index(target)
        labels = np.array([*tables.categories[at], None], dtype=object)  # -1, missing, is the last
        real, synthetic = (labels[table.codes[:, at]] for table in pair)
        return frequent_classes(real, synthetic, disclosure)
    if target in tables.number_names:
        real, synthetic = (table.numbers[:, tables.number_names.index(target)] for table in pair)
        if not np.isnan(real).all():
            cuts = np.nanquantile(real, [1 / 3, 2 / 3])
            kinds = [np.where(np.isnan(part), 3, np.searchsorted(cuts, part)) for part in (real, synthetic)]
            names = ("lowest third", "middle third", "highest third", "missing")
            return Classes(kinds[0], kinds[1], names if any((kind == 3).any() for kind in kinds) else names[:3])
    return Classes()


def row_space(
    real: NDArray[Any], synthetic: NDArray[Any], classes: Classes, disclosure: Disclosure
) -> tuple[list[tuple[str, Chart]], str]:
    """Return both tables on the first two principal directions of the real one, as densities.

    Returns:
        Caption and chart of each table, and a note; nothing where the rows are too few or do not vary.
    """
    few = len(real) < 2 * disclosure.min_count or not len(synthetic)
    if few or not np.isfinite(real).all() or real.var(axis=0).sum() <= 1e-12:
        return [], ""
    from sklearn.decomposition import PCA

    pca = PCA(min(2, real.shape[1]), svd_solver="covariance_eigh").fit(real)
    x, y = (np.pad(pca.transform(part), ((0, 0), (0, 2 - pca.n_components_))) for part in (real, synthetic))
    low, high = np.quantile(x, [_TAIL, 1 - _TAIL], axis=0)
    margin = 0.05 * np.maximum(high - low, 1e-9)
    bounds = low - margin, high + margin
    columns = round(min(max(math.sqrt(len(real) / disclosure.min_count), _FEWEST_COLUMNS), _MOST_COLUMNS))
    shape = columns, round(columns * _ROWS_A_COLUMN)
    real_map, n_hidden = _density(x, classes.of_real, bounds, shape, disclosure, "Real", REAL)
    synthetic_map, n_beyond = _density(y, classes.of_synthetic, bounds, shape, disclosure, "Synthetic", SYNTHETIC)
    hidden = real_share_text(disclosure.share(n_hidden, len(x)), disclosure)
    return [("Real", real_map), ("Synthetic", synthetic_map)], (
        f"Densities, not rows: a hexagon is drawn where at least {disclosure.min_count} rows of its class lie; "
        f"{hidden} of the real and {percent_text(n_beyond / len(y))} of the synthetic rows lie outside of those drawn. The "
        f"two directions hold {percent_text(pca.explained_variance_ratio_.sum())} of the variance, so two clouds that look "
        "alike here can differ in the others."
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
