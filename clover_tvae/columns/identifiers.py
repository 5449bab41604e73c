"""Which columns can hold identifiers that are made anew."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.errors import ColumnTypeError

_FLOAT_BITS = {"float16": 11, "float": 24, "float32": 24, "double": 53, "float64": 53}


def highest_of(cells: CellType) -> int | None:
    """Return the highest number of a sequence that a dtype holds exactly; ``None`` where it holds no numbers."""
    name = cells.name.lower()
    if "int" in name:
        return int(np.iinfo(name if cells.family != "object" else "int64").max)
    if digits := re.fullmatch(r"decimal128\((\d+), (\d+)\)", name):
        return min(10 ** (int(digits[1]) - int(digits[2])) - 1, 2**63 - 1)
    return 2 ** _FLOAT_BITS[name] if name in _FLOAT_BITS else None


def identifier_cells(values: pd.Series, name: object, regenerate: str) -> CellType:
    """Return what the new identifiers of a column are.

    Args:
        values: The column; nothing but its dtype, and whether its numbers are whole, is looked at.
        regenerate: ``sequence``, ``uuid`` or ``pattern``.

    Raises:
        ColumnTypeError: A dtype that cannot hold such identifiers.
    """
    cells = CellType.of(values, name)
    if cells.family == "category":
        cells, values = cells.inner or cells, values.astype(object)
    if cells.family == "object":
        cells = CellType("object", "int" if cells.name == "int" else "str", cells.missing)
    if cells.is_text:
        return cells
    can_count = highest_of(cells) is not None
    if can_count:
        _, numbers, _ = read_numbers(values, name)
        can_count = bool((numbers == np.floor(numbers)).all())
    if regenerate != "sequence" or not can_count:
        cure = "regenerate it as a 'sequence'" if can_count else "convert the column to text with astype('string')"
        message = f"the dtype must hold identifiers of the kind '{regenerate}', found {cells.name}; {cure}"
        raise ColumnTypeError(message, where_of(name))
    return cells
