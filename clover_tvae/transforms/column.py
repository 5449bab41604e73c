"""What every transform of one column offers, and the two small tables that it hands over.

This module knows numpy and the layout of an encoded column. It knows no pandas dtype and no way to code a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.conditions import Condition
from clover_tvae.encoded import ColumnLayout
from clover_tvae.transforms.numbers import Grid

__all__ = ["ConditionCodes", "ColumnCodes", "ColumnTransform", "NumberCodec", "Unseen"]

Unseen = Literal["error", "mask"]


@dataclass(frozen=True)
class ColumnCodes:
    """The cells of one column, encoded.

    Args:
        choices: int32 ``(rows,)``: the base choice of every cell, -1 for a cell that is unseen and masked.
        scalars: float32 ``(rows,)``: its number, 0 where it has none; ``None`` for a column without numbers.
        spreads: float32 ``(rows,)`` or ``None``: the number lies in ``[scalar, scalar + spread]``.
        unseen: How many cells were never seen in training, and so are masked (or replaced by the nearest number).
    """

    choices: NDArray[np.int32]
    scalars: NDArray[np.float32] | None = None
    spreads: NDArray[np.float32] | None = None
    unseen: int = 0


@dataclass(frozen=True)
class ConditionCodes:
    """The cells that a condition lets through.

    Args:
        choices: bool ``(n_base,)``: which base choices.
        lower: float32 ``(n_numbered,)``: smallest number of every numbered choice.
        upper: float32 ``(n_numbered,)``: largest number.
    """

    choices: NDArray[np.bool_]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]


class ColumnTransform(Protocol):
    """One fitted column: cells to choices and numbers, and back.

    ``encode`` and ``decode`` meet only here, so that what one writes the other can read.
    """

    name: Any

    @property
    def layout(self) -> ColumnLayout:
        """The choices of the column, without copies."""
        ...

    def encode(self, values: pd.Series, rng: np.random.Generator, unseen: Unseen) -> ColumnCodes:
        """Return the cells as choices and numbers; unseen cells are counted, and masked if so asked."""
        ...

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> pd.Series:
        """Return the cells: dtype, decimals and range as in training."""
        ...

    def allow(self, condition: Condition) -> ConditionCodes:
        """Return the choices and numbers that meet a condition.

        Raises:
            ConditionError: None does, or the condition does not suit the column.
        """
        ...

    def to_plain(self) -> dict[str, Any]:
        """Return the fitted column as plain data."""
        ...


class NumberCodec(Protocol):
    """A way to code numbers as choices and scalars: by mode (``ModeCodec``) or by rank (``RankCodec``)."""

    @property
    def grid(self) -> Grid:
        """Type, decimals and range of the numbers."""
        ...

    @property
    def layout(self) -> ColumnLayout:
        """The choices, without copies."""
        ...

    def encode(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """Return numbers as choices and scalars."""
        ...

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers, of the column's own type, and which are missing."""
        ...

    def allow(self, low: float, high: float) -> ConditionCodes:
        """Return what codes numbers of the closed range; no choice if there are none. ``missing`` is not allowed."""
        ...

    def to_plain(self) -> dict[str, Any]:
        """Return the codec as plain data."""
        ...
