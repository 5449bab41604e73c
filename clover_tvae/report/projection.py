"""Two dimensions in which real and synthetic rows can be seen side by side, as densities and never as rows.

Knows matrices of points, classes and k. Must not know tables' columns, networks, HTML or matplotlib. A dot a row would
show a person's place; a hexagon is drawn only where at least k rows of its most frequent class lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTable

__all__ = ["Density", "Projection", "project", "table_points"]

_MOST_COLUMNS = 34  # hexagons across
_FEWEST_COLUMNS = 8
_ROWS_A_COLUMN = 0.76
_MAX_CATEGORIES = 8
_TAIL = 0.005


@dataclass(frozen=True)
class Density:
    """Hexagons of one table.

    Args:
        cells: Column, row, class and strength (0 to 1, of the fullest hexagon, on a square-root scale).
        hidden: Share of the rows that lie in hexagons not drawn.
    """

    cells: tuple[tuple[int, int, int, float], ...]
    hidden: float


@dataclass(frozen=True)
class Projection:
    """Real and synthetic rows on the two directions of most variance of the real rows.

    Args:
        real: Density of the real rows.
        synthetic: Density of the synthetic rows.
        shape: Columns and rows of the grid of hexagons: fewer where there are fewer rows to fill them.
        explained: Share of the real variance that the two directions hold, 0 to 1.
        classes: Names of the classes; empty if rows are not coloured.
    """

    real: Density
    synthetic: Density
    shape: tuple[int, int]
    explained: float
    classes: tuple[str, ...] = ()


def table_points(reference: CodedTable, tables: Sequence[CodedTable]) -> list[np.ndarray]:
    """Return points for tables that no network has encoded: numbers as scores of the reference, categories as dummies.

    Every number is clipped to the reference's 1% and 99% quantiles and scaled, a missing one is 0; each category column
    gives dummies of its 8 most frequent categories, scaled so that the column counts as much as a number.

    Shape:
        each result is (rows, dimensions).
    """
    parts: list[list[np.ndarray]] = [[] for _ in tables]
    for column in range(reference.numbers.shape[1]):
        known = reference.numbers[:, column]
        known = known[~np.isnan(known)]
        if not len(known):
            continue
        # Of order 1 first, so that no sum of huge numbers overflows.
        largest = np.abs(known).max() or 1.0
        low, high = np.quantile(known / largest, [0.01, 0.99])
        clipped = np.clip(known / largest, low, high)
        mean, deviation = clipped.mean(), clipped.std() or 1.0
        for part, table in zip(parts, tables, strict=True):
            with np.errstate(over="ignore"):  # a synthetic number beyond the largest real one is clipped at once
                scaled = (np.clip(table.numbers[:, column] / largest, low, high) - mean) / deviation
            part.append(np.nan_to_num(scaled))
    for column in range(reference.codes.shape[1]):
        codes = reference.codes[:, column]
        counts = np.bincount(codes[codes >= 0], minlength=1)
        frequent = np.argsort(-counts, kind="stable")[:_MAX_CATEGORIES]
        for code in frequent[counts[frequent] > 0]:
            share = counts[code] / max(counts.sum(), 1)
            for part, table in zip(parts, tables, strict=True):
                part.append((table.codes[:, column] == code) - share)
    return [
        np.column_stack(part) if part else np.zeros((table.n_rows, 1))
        for part, table in zip(parts, tables, strict=True)
    ]


def project(
    real: np.ndarray,
    synthetic: np.ndarray,
    real_classes: np.ndarray | None = None,
    synthetic_classes: np.ndarray | None = None,
    classes: Sequence[str] = (),
    *,
    disclosure: Disclosure,
) -> Projection | None:
    """Return both tables on the first two principal directions of the real one.

    Args:
        real: Points of the real rows.
        synthetic: Points of the synthetic rows.
        real_classes: Class of each real row, from 0; -1 for none.
        synthetic_classes: Class of each synthetic row.
        classes: Names of the classes.
        disclosure: What may be shown of the rows: a hexagon of few of one class may not.

    Returns:
        The projection, or ``None`` where the rows are too few or do not vary.

    Shape:
        ``real`` and ``synthetic`` are (rows, dimensions).
    """
    real, synthetic = np.asarray(real, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)
    if len(real) < 2 * disclosure.min_count or not len(synthetic) or real.shape[1] < 1:
        return None
    mean = real.mean(axis=0)
    centred = real - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(real))
    if not np.isfinite(variances).all() or variances[-1] <= 1e-12:
        return None
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.where(
        np.abs(axes).max(axis=0) == axes.max(axis=0), 1.0, -1.0
    )  # the sign of a direction is arbitrary
    if axes.shape[1] == 1:
        axes = np.column_stack([axes, np.zeros(len(axes))])
    x, y = centred @ axes, (synthetic - mean) @ axes
    low, high = np.quantile(x, [_TAIL, 1 - _TAIL], axis=0)
    margin = 0.05 * np.maximum(high - low, 1e-9)
    low, high = low - margin, high + margin
    columns = round(min(max(math.sqrt(len(real) / disclosure.min_count), _FEWEST_COLUMNS), _MOST_COLUMNS))
    shape = columns, round(columns * _ROWS_A_COLUMN)
    return Projection(
        real=_density(x, real_classes, low, high, shape, disclosure),
        synthetic=_density(y, synthetic_classes, low, high, shape, disclosure),
        shape=shape,
        explained=float(variances[-2:].sum() / max(variances.sum(), 1e-300)),
        classes=tuple(classes),
    )


def _density(
    points: np.ndarray,
    kinds: np.ndarray | None,
    low: np.ndarray,
    high: np.ndarray,
    shape: tuple[int, int],
    disclosure: Disclosure,
) -> Density:
    columns, rows = shape
    kinds = np.zeros(len(points), dtype=np.int64) if kinds is None else np.asarray(kinds, dtype=np.int64)
    share = (points - low) / (high - low)
    row = np.floor((1 - share[:, 1]) * rows).astype(np.int64)
    column = np.floor(share[:, 0] * columns - 0.5 * (row % 2)).astype(np.int64)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns) & (kinds >= 0)
    n_kinds = int(kinds.max(initial=0)) + 1
    cell = (row[inside] * columns + column[inside]) * n_kinds + kinds[inside]
    counts = np.bincount(cell, minlength=rows * columns * n_kinds).reshape(rows * columns, n_kinds)
    majority, largest, total = counts.argmax(axis=1), counts.max(axis=1), counts.sum(axis=1)
    shown = np.flatnonzero(disclosure.may_name(largest))
    fullest = total[shown].max(initial=1)
    cells = tuple(
        (int(at % columns), int(at // columns), int(majority[at]), float(np.sqrt(total[at] / fullest))) for at in shown
    )
    return Density(cells, 1.0 - float(total[shown].sum()) / max(len(points), 1))
