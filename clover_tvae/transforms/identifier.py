"""Columns of identifiers: never learnt, made anew as a sequence, a UUID or a pattern.

No value of the training data reaches this module.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.identifiers import highest_of, identifier_cells
from clover_tvae.columns.plain_data import check, fields, name_from_plain, name_to_plain, one_of, optional, text
from clover_tvae.errors import DataError

WAYS = ("sequence", "uuid", "pattern")


@dataclass(frozen=True)
class IdentifierTransform:
    """How one column of identifiers is made anew.

    Args:
        regenerate: ``sequence`` (1, 2, 3, ...), ``uuid`` or ``pattern``.
        pattern: Of ``pattern``: text with one run of ``#``, the digits of the running number.
        key: Of ``uuid``: what they are drawn from when no generator is given.

    Example:
        >>> ids = IdentifierTransform("id", "pattern", CellType("object", "str"), "E-####")
        >>> ids.make(2, n_offset=10).tolist()
        ['E-0011', 'E-0012']
    """

    name: Any
    regenerate: str
    cells: CellType
    pattern: str | None = None
    key: bytes = b""

    @classmethod
    def fit(
        cls, values: pd.Series, name: Any, regenerate: str, pattern: str | None, rng: np.random.Generator
    ) -> IdentifierTransform:
        """Note the dtype of the column, and nothing else of it.

        Raises:
            ColumnTypeError: A dtype that cannot hold the new identifiers.
        """
        cells = identifier_cells(values, name, regenerate)
        return cls(name, regenerate, cells, pattern if regenerate == "pattern" else None, rng.bytes(16))

    def make(self, n_rows: int, n_offset: int = 0, rng: np.random.Generator | None = None) -> pd.Series:
        """Return new identifiers of the rows ``n_offset .. n_offset + n_rows - 1``.

        Raises:
            DataError: More rows than the dtype can count.
        """
        numbers = np.arange(n_offset + 1, n_offset + n_rows + 1, dtype=np.int64)
        if self.regenerate == "sequence":
            if (highest := highest_of(self.cells)) is None:
                return self.cells.build([str(number) for number in numbers])
            if n_rows and numbers[-1] > highest:
                message = f"must count {numbers[-1]} identifiers, found dtype {self.cells.name}; convert it to int64"
                raise DataError(message, where_of(self.name))
            return self.cells.of_numbers(numbers, np.zeros(n_rows, dtype=bool))
        if self.regenerate == "uuid":
            key = self.key if rng is None else rng.bytes(16)
            # One number, one UUID, whatever the size of the block that it is drawn in.
            digests = (hashlib.blake2b(int(n).to_bytes(8, "little"), key=key, digest_size=16).digest() for n in numbers)
            return self.cells.build([str(uuid.UUID(bytes=digest, version=4)) for digest in digests])
        # A number with more digits than the run of "#" takes the room that it needs.
        before, run, after = re.split("(#+)", self.pattern or "#")
        return self.cells.build([f"{before}{number:0{len(run)}d}{after}" for number in numbers.tolist()])

    def to_plain(self) -> dict[str, Any]:
        """Return the column as plain data."""
        return vars(self) | {"name": name_to_plain(self.name), "cells": self.cells.to_plain()}

    @classmethod
    def from_plain(cls, plain: Any) -> IdentifierTransform:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("name", "regenerate", "cells", "pattern", "key"), "identifier")
        way = one_of(plain["regenerate"], WAYS, "regenerate")
        pattern = optional(plain["pattern"], text, "pattern", 1_000)
        check((way == "pattern") == (pattern is not None), "only 'pattern' has a pattern")
        check(pattern is None or len(re.findall("#+", pattern)) == 1, "a pattern needs one run of '#'")
        check(type(plain["key"]) is bytes and len(plain["key"]) == 16, "key must be 16 bytes")
        made = cls(name_from_plain(plain["name"]), way, CellType.from_plain(plain["cells"]), pattern, plain["key"])
        check(made.cells.family != "category", "identifiers have no categories")
        can_hold = made.cells.is_text or (way == "sequence" and highest_of(made.cells) is not None)
        check(can_hold, "the dtype cannot hold such identifiers")
        return made
