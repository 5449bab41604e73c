"""What a network knows of a table: every column is one discrete choice, plus, for some choices, one number.

This module knows numpy and nothing else: no pandas (that is the transforms' side) and no torch (the model's side).
It is the seam between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ColumnLayout:
    """The choices of one column, in this fixed order: numbered ones, plain ones, ``missing``, copies.

    Args:
        n_choices: All choices of the column, copies included, at least 1.
        n_numbered: Choices ``0 .. n_numbered - 1`` carry a number (the modes of a mixture, or the one choice
            ``continuous``); 0 for a column without numbers.
        missing: The choice that means "missing", or ``None`` if the column was never missing in training.
        copies: Indices of other columns; the last ``len(copies)`` choices mean "the same value as that column".
    """

    n_choices: int
    n_numbered: int = 0
    missing: int | None = None
    copies: tuple[int, ...] = ()

    @property
    def n_base(self) -> int:
        """Choices that an encoded row may hold: all but the copies."""
        return self.n_choices - len(self.copies)


@dataclass(frozen=True)
class CopyPair:
    """Choice ``choice`` of column ``column`` means "equal to the cell of column ``source``"."""

    column: int
    source: int
    choice: int


@dataclass(frozen=True)
class TableLayout:
    """The layout of all columns.

    Args:
        columns: One layout a column, in table order.
        numbers: What the numbers are: ``"mode"``, the value inside its mode, ``(x - mu) / (4 sigma)``, in about
            [-1, 1]; or ``"rank"``, the value's rank q in [0, 1].
    """

    columns: tuple[ColumnLayout, ...]
    numbers: str = "mode"

    @property
    def n_columns(self) -> int:
        return len(self.columns)

    @cached_property
    def n_choices(self) -> int:
        """Choices of all columns together: the width of the one-hot view, numbers aside."""
        return sum(column.n_choices for column in self.columns)

    @cached_property
    def scalar_columns(self) -> tuple[int, ...]:
        """Columns that have a number, in table order: scalar ``s`` belongs to column ``scalar_columns[s]``."""
        return tuple(i for i, column in enumerate(self.columns) if column.n_numbered)

    @cached_property
    def scalar_of(self) -> dict[int, int]:
        """The place of each column's number among all numbers."""
        return {column: s for s, column in enumerate(self.scalar_columns)}

    @cached_property
    def n_scalars(self) -> int:
        return len(self.scalar_columns)

    @cached_property
    def copy_pairs(self) -> tuple[CopyPair, ...]:
        """Every copy choice, in the order of the columns of ``EncodedTable.equals``."""
        return tuple(
            CopyPair(i, source, column.n_base + j)
            for i, column in enumerate(self.columns)
            for j, source in enumerate(column.copies)
        )


@dataclass(frozen=True)
class EncodedTable:
    """A table as choices and numbers.

    Args:
        choices: int32 ``(rows, columns)``: the base choice of every cell, never a copy.
        scalars: float32 ``(rows, scalars)``: the number of every cell that has one, anything finite elsewhere (0); float64
            where numbers are coded as they are.
        spreads: float32 ``(rows, scalars)`` or ``None``: the number is only known to lie in
            ``[scalar, scalar + spread]`` and is drawn uniformly there each time the row is used (dequantisation,
            Theis et al. 2016, arXiv 1511.01844); ``None`` means exact.
        equals: bool ``(rows, copy pairs)`` or ``None``: the cell has a number and equals the cell of its source.
    """

    choices: NDArray[np.int32]
    scalars: NDArray[np.floating[Any]]
    spreads: NDArray[np.floating[Any]] | None = None
    equals: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.choices)

    def take(self, rows: NDArray[Any] | slice) -> EncodedTable:
        parts: dict[str, Any] = {name: None if part is None else part[rows] for name, part in vars(self).items()}
        return EncodedTable(**parts)

    @classmethod
    def concatenate(cls, parts: Sequence[EncodedTable]) -> EncodedTable:
        """Return the rows of all parts, which are drawn rows: their numbers have no spread."""
        return cls(
            np.concatenate([part.choices for part in parts]),
            np.concatenate([part.scalars for part in parts]),
            None,
            None if parts[0].equals is None else np.concatenate([p.equals for p in parts if p.equals is not None]),
        )
