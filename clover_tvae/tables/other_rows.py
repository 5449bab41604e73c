"""Rows of a file that are no rows of its table: units under the header, the header again, totals at the end.

They would be learnt as if they were people, and nothing in their cells says that they are none. This module knows a table as it was read.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from clover_tvae.columns.dtypes import TEXT_DTYPE
from clover_tvae.errors import TableFileError, data_rows
from clover_tvae.metadata.proposals import MARKERS

_TOTALS = {
    "total", "totals", "grand total", "sum", "summe", "gesamt", "gesamtsumme", "gesamtergebnis", "insgesamt", "somme", "totale", "totaal",
    "total général", "suma", "average", "mean", "mittelwert", "durchschnitt", "moyenne",
}  # fmt: skip
_NUMBER_LIKE = re.compile(r"[<>]?\s*[+-]?\d[\d.,' ]*")
_MOST, _FEWEST = 1_000, 5


def refuse_other_rows(df: pd.DataFrame, place: str) -> pd.DataFrame:
    """Return a table that is what it seems to be.

    Raises:
        TableFileError: Rows are none of the table; with where they stand.

    Example:
        >>> rows = pd.DataFrame({"ward": [*"ABCDE", "Total"], "cases": [2, 1, 3, 4, 5, 15]})
        >>> refuse_other_rows(rows, "t.csv")
        Traceback (most recent call last):
        ...
        clover_tvae.errors.TableFileError: t.csv: seems to end with a row of totals (data row 6); delete it
    """
    texts = [cells for name, cells in df.items() if cells.dtype in (object, TEXT_DTYPE)]
    if len(df) <= _FEWEST or df.shape[1] < 2 or not texts:
        return df
    if len(texts) == df.shape[1] and (again := _like(df, [*df.columns])):
        raise TableFileError(f"has its header again in {data_rows(again)}; delete these rows", place)
    if sum(map(_is_second_header, texts)) > 1:
        raise TableFileError("seems to have a second header, such as units, from data row 1 on; delete it", place)
    for cells in texts:
        last = cells.iloc[-1]
        if isinstance(last, str) and last.strip(" :").casefold() in _TOTALS and (cells == last).sum() == 1:
            raise TableFileError(f"seems to end with a row of totals ({data_rows([len(df) - 1])}); delete it", place)
    return df


def _like(df: pd.DataFrame, names: Sequence[Hashable]) -> list[int]:
    """Return the rows that are the names of the columns."""
    rows = np.flatnonzero((df.iloc[:, 0] == str(names[0])).to_numpy(dtype=bool))
    return [int(row) for row in rows if [*df.iloc[row]] == [*map(str, names)]]


def _is_second_header(cells: pd.Series) -> bool:
    """Whether the first cell, or the first two, are text, met once, above numbers."""
    first, others = cells.iloc[0], cells.iloc[1:].dropna().head(_MOST)
    if not isinstance(first, str) or first.strip().casefold() in MARKERS:
        return False
    if len(others) < _FEWEST or (others == first).any():
        return False
    others = others if _is_number_like(others.iloc[0]) else others.iloc[1:]
    return not _is_number_like(first) and all(map(_is_number_like, others))


def _is_number_like(cell: object) -> bool:
    return isinstance(cell, str) and _NUMBER_LIKE.fullmatch(cell.strip()) is not None
