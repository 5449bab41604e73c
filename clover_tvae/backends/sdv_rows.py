"""The rows that SDV is given, and gives back: numbers as they are, dates as whole steps, labels for categories.

Such a table is called *flat*. A category is the label of its choice (``c0``, ``c1``...; a missing category is a choice too), which
says nothing of the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.plain_data import array_to_plain, name_to_plain
from clover_tvae.encoded import EncodedTable
from clover_tvae.metadata import Metadata
from clover_tvae.transforms import TableTransform
from clover_tvae.transforms.numbers import NumberCells, NumberTransform
from clover_tvae.transforms.raw_codec import RawCodec


def loosened(table: TableTransform, *, keep_range: bool, keep_decimals: bool) -> TableTransform:
    """Return the table with the freedom that SDV's ``enforce_...`` ask for. Dates always stay inside their range."""

    def loosen(column: Any) -> Any:
        if not (isinstance(column, NumberTransform) and isinstance(column.reader, NumberCells)):
            return column
        assert isinstance(column.codec, RawCodec)
        limits = None if keep_range else column.reader.limits(column.grid)
        return replace(column, codec=column.codec.loosened(limits, keep_decimals=keep_decimals))

    return replace(table, transforms=tuple(map(loosen, table.transforms)))


def flat_names(table: TableTransform) -> list[str]:
    """Return the names of the flat columns."""
    return [f"column_{i}" for i in range(len(table.transforms))]


def flattened(table: TableTransform, rows: EncodedTable) -> pd.DataFrame:
    """Return encoded rows as SDV takes them: int64, float64 (NaN where missing) and labels that say nothing."""
    flat: dict[str, Any] = {}
    scalars = iter(rows.scalars.T)
    for name, choices, column in zip(flat_names(table), rows.choices.T, table.transforms, strict=True):
        if isinstance(column, NumberTransform):
            numbers, missing = next(scalars), choices == column.layout.missing
            cells = np.where(missing, np.nan, numbers) if missing.any() else numbers.astype(column.grid.dtype)
        else:
            cells = np.array([f"c{choice}" for choice in range(column.layout.n_choices)], dtype=object)[choices]
        flat[name] = cells
    return pd.DataFrame(flat)


def encoded(table: TableTransform, flat: pd.DataFrame) -> EncodedTable:
    """Return the rows of a flat table, encoded."""
    choices, scalars = [], []
    for name, column in zip(flat_names(table), table.transforms, strict=True):
        cells = flat[name]
        if isinstance(column, NumberTransform):
            numbers = cells.to_numpy(dtype=np.float64, na_value=np.nan)
            choices.append(np.isnan(numbers).astype(np.int32))
            scalars.append(np.nan_to_num(numbers, nan=0.0))
        else:
            codes, labels = pd.factorize(cells.to_numpy(dtype=object))
            choices.append(np.array([int(label[1:]) for label in labels], dtype=np.int32)[codes])
    return EncodedTable(np.stack(choices, axis=1), np.stack(scalars, axis=1) if scalars else np.zeros((len(flat), 0)))


def table_from_plain(plain: Any, metadata: Mapping[str, Any] | None = None) -> TableTransform:
    """Read the columns of a generator file; those that version 0.1.0 wrote have another form.

    Args:
        plain: The file's part.
        metadata: The file's part; version 0.1.0 wrote nowhere else which columns were left out.

    Raises:
        ValueError, TypeError, KeyError, MetadataError: The part is not what it should be.
    """
    if "names" in plain:
        columns = []
        for column in plain["columns"]:
            column = dict(column)
            kind = column.pop("kind")
            if "codec" in column:
                grid = column["codec"]["grid"]
                column["codec"] = {**column["codec"], "atoms": array_to_plain(np.zeros(0, grid["kind"]))}
            else:
                column["kind"] = kind
            columns.append({"kind": kind, "column": column})
        others = {key: part for key, part in plain.items() if key not in ("columns", "names")}
        copies: list[list[int]] = [[] for _ in columns]
        left_out = [
            [name_to_plain(c.name), c.kind] for c in Metadata.of(metadata or {}).columns if c.kind in ("id", "ignore")
        ]
        added = {"numbers": "raw", "order": plain["names"], "left_out": left_out, "copies": copies}
        plain = {**others, "columns": columns, **added}
    return TableTransform.from_plain(plain)
