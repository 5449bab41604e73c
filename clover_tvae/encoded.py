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


def picked(log_ratio: NDArray[np.float64], n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of ``n_rows`` rows, in order: each is kept in proportion to its ratio, those of large ratios always.

    Args:
        log_ratio: Of each row the log of how many times likelier it is to be wanted.
        n_rows: How many, at most as many as there are.
        rng: Draws.

    **Shape** ``(rows,)``, ``(n_rows,)``.

    Example:
        >>> picked(np.array([0.0, 9.0, 0.0, 9.0]), 2, np.random.default_rng(1)).tolist()
        [1, 3]
    """
    ratio = np.exp(log_ratio - log_ratio.max())
    # Once the k largest are kept for sure, the others share what is left: with the first k for which none of them is more than sure.
    falling, k = np.sort(ratio)[::-1], np.arange(n_rows)
    factors = (n_rows - k) / np.cumsum(falling[::-1])[::-1][:n_rows]
    share = np.minimum(1.0, factors[np.argmax(factors * falling[:n_rows] <= 1.0)] * ratio)
    order = rng.permutation(len(ratio))
    reached = np.cumsum(share[order])
    # Systematic sampling (Madow 1949): exactly as many, each with its own share.
    marks = np.searchsorted(reached, (rng.random() + np.arange(n_rows)) * (reached[-1] / n_rows))
    return np.sort(order[np.minimum(marks, len(order) - 1)])
