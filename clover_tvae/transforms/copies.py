"""Cells that equal another cell of their row: which columns have them, and how they are followed to their source.

A density gives exact equality the probability zero, whatever its quality; a choice gives it the rate that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.encoded import EncodedTable, TableLayout
from clover_tvae.transforms.categorical import CategoricalTransform
from clover_tvae.transforms.numbers import NumberTransform

COPY_SHARE = 0.02  # a column is copied if more than this share of all rows equals it in a value that is no choice
SCREEN_SHARE, SCREEN_ROWS = 0.008, 4_000  # pairs that equal less on a sample of the rows are not looked at again
MAX_COPIES = 8

AnyTransform = CategoricalTransform | NumberTransform


def carry(giver: NumberTransform, taker: NumberTransform, values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of one column as numbers of another: rounded to its decimals, inside its range."""
    return taker.grid.snap(taker.reader.from_scale(giver.reader.to_scale(values)))


def roots(table: EncodedTable, layout: TableLayout) -> dict[int, NDArray[np.int64]]:
    """Return, for every column with copies, the column whose value each of its cells has in the end.

    A source may itself be a copy; flags may also run in a circle, as those of encoded rows do: all cells of a circle
    are equal, and the one with the lowest index gives the value.
    """
    assert table.equals is not None
    rows = np.flatnonzero(table.equals.any(axis=1))
    n_columns = layout.n_columns
    pointer = np.tile(np.arange(n_columns), (len(rows), 1))  # (flagged rows, columns)
    for p, pair in reversed(list(enumerate(layout.copy_pairs))):
        flagged = table.equals[rows, p]
        pointer[flagged, pair.column] = pair.source
    columns = sorted({pair.column for pair in layout.copy_pairs})
    at = np.arange(len(rows))
    roots: dict[int, NDArray[np.int64]] = {}
    for column in columns:
        current = pointer[:, column]
        for _ in columns:
            current = pointer[at, current]
        lowest = current
        for _ in columns:  # a fixed point stays; a circle is walked round once
            current = pointer[at, current]
            lowest = np.minimum(lowest, current)
        out = np.full(len(table), column)
        out[rows] = lowest
        roots[column] = out
    return roots


def find_copies(transforms: Sequence[AnyTransform], df: pd.DataFrame, least: int = 1) -> tuple[tuple[int, ...], ...]:
    """Return, for every column, the columns with which it shares more than 2% of the rows, and at least ``least``, in values that are no choice."""
    groups: dict[Any, list[int]] = {}
    for i, transform in enumerate(transforms):
        if isinstance(transform, NumberTransform) and transform.layout.n_numbered:
            grid = transform.grid
            if grid.kind != "float64" and grid.maximum - grid.minimum >= 2**53:
                continue  # floats do not tell its whole numbers apart: no cell is known to equal another
            groups.setdefault(transform.reader.scale, []).append(i)
    found: list[list[tuple[float, int]]] = [[] for _ in transforms]
    stride = max(1, len(df) // SCREEN_ROWS)
    for group in groups.values():
        if len(group) < 2:
            continue
        # NaN where the cell is a choice of its own or missing: it then equals nothing.
        cells = np.stack([_rare_numbers(transforms[i], df) for i in group])  # (columns, rows)
        screen = np.ascontiguousarray(cells[:, ::stride])
        for a in range(len(group) - 1):
            rates = (screen[a + 1 :] == screen[a]).mean(axis=1)
            for b in np.flatnonzero(rates > SCREEN_SHARE) + a + 1:
                n_same = int((cells[a] == cells[b]).sum())
                rate = n_same / len(df)
                if rate > COPY_SHARE and n_same >= least:
                    found[group[a]].append((-rate, group[b]))
                    found[group[b]].append((-rate, group[a]))
    return tuple(tuple(sorted(source for _, source in sorted(pairs)[:MAX_COPIES])) for pairs in found)


def _rare_numbers(transform: AnyTransform, df: pd.DataFrame) -> NDArray[np.float64]:
    assert isinstance(transform, NumberTransform)
    numbers, missing = transform.read(df[transform.name])
    codes = transform.codec.encode(numbers, missing, np.random.default_rng(0), "mask")
    values = transform.reader.to_scale(transform.grid.cast(numbers)).astype(np.float64)
    return np.where(codes.choices == 0, values, np.nan)
