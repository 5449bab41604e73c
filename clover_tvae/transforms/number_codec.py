"""Numbers of one column as choices and scalars: what all ways to code them share.

The choices of a column are the numbered ones, then the *atoms*, then ``missing``. An atom is a value that is a choice of its
own (zero inflation, a cap). How the numbered choices code a number is told by a codec: by mode (``mode_codec``), by rank
(``rank_codec``), or the number as it is (``raw_codec``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from clover_tvae.columns.plain_data import array_from_plain, array_to_plain, check, fields
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import DataError
from clover_tvae.transforms.codes import ColumnCodes, ConditionCodes, Unseen
from clover_tvae.transforms.grid import Grid


@dataclass(frozen=True, eq=False)
class NumberCodec(ABC):
    """A way to code numbers.

    Args:
        grid: Type, decimals and range of the values.
        atoms: Values that are choices of their own, ascending.
        missing: Whether missing cells were seen in training.
    """

    grid: Grid
    atoms: NDArray[Any]
    missing: bool

    @classmethod
    @abstractmethod
    def fit(cls, values: NDArray[Any], n_missing: int, grid: Grid, least: int = 1) -> Self:
        """Learn how to code numbers.

        Args:
            values: The numbers that are not missing, on the grid.
            least: Fewest rows that a number that is stored may be shared by, or be the mean of.
        """

    @property
    @abstractmethod
    def n_numbered(self) -> int:
        """How many choices carry a number."""

    @abstractmethod
    def _code(self, values: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], Any]:
        """Return numbered choices, scalars, and spreads or ``None``, of values on the grid."""

    @abstractmethod
    def _value(self, choices: NDArray[Any], scalars: NDArray[Any]) -> NDArray[Any]:
        """Return the values of numbered choices and their scalars."""

    @abstractmethod
    def _range(self, low: float, high: float) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[Any]]:
        """Return which numbered choices hold values of the closed range, and the scalars of its ends in each."""

    @property
    def layout(self) -> ColumnLayout:
        """The choices of the column, without copies."""
        n = self.n_numbered + len(self.atoms)
        return ColumnLayout(n + self.missing, self.n_numbered, n if self.missing else None)

    def encode(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """Return numbers as choices, scalars and spreads.

        Args:
            values: Numbers of any type.
            rng: Draws the modes of a mixture.
            unseen: ``mask``: numbers out of range, values that are no atom of a column of atoms, and missing cells where
                none was ever missing get choice -1. ``error``: numbers take the nearest value instead. ``fold``: so they
                do, and missing cells count to the others.

        Raises:
            DataError: Missing cells in a column that never was missing, or numbers in one that always was (only with
                ``error``).
        """
        first, values = self.n_numbered, self.grid.cast(values)
        n_known = first + len(self.atoms)
        is_atom, atom = self._nearest_atom(values)
        outside = (values < self.grid.minimum) | (values > self.grid.maximum) if first else ~is_atom
        outside &= ~missing
        n_missing = 0 if self.missing else int(missing.sum())
        if unseen == "error" and n_missing:
            raise DataError(f"{n_missing} cells are missing, and none was in training, or fewer than min_count")
        if unseen == "error" and not n_known and outside.any():
            raise DataError(f"{int(outside.sum())} cells hold numbers, and the column was always missing in training")
        choices, scalars, spreads = np.zeros(len(values), np.int32), None, None
        if first:
            choices, scalars, spreads = self._code(values, rng)
        # Without numbered choices every number takes the nearest atom.
        at_atom = is_atom if first else np.full(len(values), n_known > 0)
        choices[at_atom] = first + atom[at_atom]
        choices[missing] = n_known if self.missing else -1
        if unseen == "mask":
            choices[outside] = -1
        for numbers in (scalars, spreads):
            if numbers is not None:
                numbers[(choices < 0) | (choices >= first)] = 0
        codes = ColumnCodes(choices, scalars, spreads)
        return codes if unseen != "fold" else codes.folded(rng, self.layout.missing)

    def _nearest_atom(self, values: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which values are atoms, and the place of the nearest atom of each."""
        if not len(self.atoms):
            return np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=np.int64)
        right = np.clip(np.searchsorted(self.atoms, values), 0, len(self.atoms) - 1)
        left = np.maximum(right - 1, 0)
        # Halved, so that the distance between the ends of int64 or float64 does not overflow.
        half = values.astype(np.float64) / 2
        nearer_left = np.abs(half - self.atoms[left] / 2) < np.abs(self.atoms[right] / 2 - half)
        nearest = np.where((self.atoms[right] == values) | ~nearer_left, right, left)
        return self.atoms[nearest] == values, nearest

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers of choices and scalars, of the column's own type, and which are missing."""
        choices, first = np.asarray(choices), self.n_numbered
        out = np.zeros(len(choices), dtype=self.grid.dtype)
        if first and scalars is not None:
            at = choices < first
            out[at] = self._value(choices[at], np.asarray(scalars, dtype=np.float64)[at])
        at = (choices >= first) & (choices < first + len(self.atoms))
        out[at] = self.atoms[choices[at] - first]
        return out, choices == first + len(self.atoms)

    def allow(self, low: float, high: float) -> ConditionCodes:
        """Return what codes numbers of the closed range; no choice if there are none. ``missing`` is not allowed."""
        first = self.n_numbered
        mask = np.zeros(self.layout.n_base, dtype=bool)
        lower = upper = np.zeros(0, np.float32)
        if first:
            mask[:first], lower, upper = self._range(low, high)
        mask[first : first + len(self.atoms)] = (self.atoms >= low) & (self.atoms <= high)
        return ConditionCodes(mask, lower, upper)

    def to_plain(self) -> dict[str, Any]:
        """Return the codec as plain data."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name: array_to_plain(part) for name, part in parts.items() if isinstance(part, np.ndarray)}
        return parts | arrays | {"grid": self.grid.to_plain()}

    @classmethod
    @abstractmethod
    def from_plain(cls, plain: Any) -> Self:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""

    @classmethod
    def _shared_parts(cls, plain: Any) -> tuple[Grid, NDArray[Any], bool, Mapping[str, Any]]:
        """Read grid, atoms and ``missing``; and hand on the rest."""
        plain = fields(plain, cls.__dataclass_fields__, cls.__name__)
        grid = Grid.from_plain(plain["grid"])
        atoms = array_from_plain(plain["atoms"], "atoms", grid.code, low=grid.minimum, high=grid.maximum)
        check(bool((atoms[1:] > atoms[:-1]).all()), "atoms must ascend")
        check(type(plain["missing"]) is bool, "missing must be true or false")
        return grid, atoms, plain["missing"], plain
