"""The two small tables that the transform of a column hands over: its cells in codes, and a condition in codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clover_tvae.conditions import Condition
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import ConditionError

Unseen = Literal["error", "mask", "fold"]
"""What becomes of cells that were not learnt; ``fold`` is for the table that was learnt: they count to the others."""


@dataclass(frozen=True)
class ColumnCodes:
    """The cells of one column, encoded.

    Args:
        choices: int32 ``(rows,)``: the base choice of every cell, -1 for a cell that is unseen and masked.
        scalars: float32 ``(rows,)``: its number, 0 where it has none; ``None`` for a column without numbers.
        spreads: float32 ``(rows,)`` or ``None``: the number lies in ``[scalar, scalar + spread]``.
    """

    choices: NDArray[np.int32]
    scalars: NDArray[Any] | None = None
    spreads: NDArray[Any] | None = None

    def folded(self, rng: np.random.Generator, missing: int | None) -> ColumnCodes:
        """Return the codes in which a cell without a choice has those of another, drawn among those not ``missing``."""
        rows, known = np.arange(len(self.choices)), np.flatnonzero((self.choices >= 0) & (self.choices != missing))
        gaps = np.flatnonzero(self.choices < 0)
        if len(known):
            rows[gaps] = rng.choice(known, len(gaps))
        parts = (self.choices, self.scalars, self.spreads)
        return ColumnCodes(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ConditionCodes:
    """The choices and numbers that meet a condition.

    Args:
        choices: bool ``(n_base,)``: which base choices.
        lower: float32 ``(n_numbered,)``: smallest number of every numbered choice.
        upper: float32 ``(n_numbered,)``: largest number.
    """

    choices: NDArray[np.bool_]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]

    def with_missing(self, condition: Condition, layout: ColumnLayout) -> ConditionCodes:
        """Return the codes with the choice ``missing`` where the condition lets it through.

        Raises:
            ConditionError: It asks for missing cells where none was ever seen, or no cell at all meets it.
        """
        choices = self.choices.copy()
        if condition.missing and layout.missing is None:
            raise ConditionError(
                "asks for missing cells, but none was in training, or fewer than min_count, which are not learnt"
            )
        if condition.missing:
            choices[layout.missing] = True
        if not choices.any():
            raise ConditionError("a value that was seen in training must meet it, found none")
        return replace(self, choices=choices)
