"""Numbers as ranks: values that repeat are choices, the rest is one choice with the rank of the value in [0, 1].

This module knows sorted numbers and their counts. It knows no pandas and no network: that the rank later becomes a
normal score is the decoder's business.

A value that occurs ``n_k`` times occupies the interval ``[F(v-), F(v)]`` of ranks, so that integers and rounded decimals
need no special case (dequantisation: Theis et al. 2016, arXiv 1511.01844).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.plain_data import array_from_plain, array_to_plain, check, fields
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import DataError
from clover_tvae.transforms.column import ColumnCodes, ConditionCodes, Unseen
from clover_tvae.transforms.numbers import Grid, fraction

__all__ = ["RankCodec"]

MAX_PLAIN_VALUES = 60  # up to so many distinct values, each is a choice
MIN_ROWS_A_PLAIN_VALUE = 5  # ... if they repeat so often on average
MANY_PLAIN_VALUES, MANY_ROWS_A_VALUE = 100, 50  # more values only where there are rows to learn each from
ATOM_SHARE, ATOM_ROWS = 0.01, 20  # beyond, values with more than this share of the rows and this many rows are choices
MIN_REPEATS_OF_STEPS, MAX_STEPS = 3, 20_000  # values that repeat so often on average are all kept, up to so many
MAX_KNOTS, ROWS_A_KNOT, MIN_KNOTS = 2_000, 3, 20  # else the quantile function is a line through so many knots
FLAT_ROWS = 3  # ... where values that repeat so often keep an interval of ranks of their own


@dataclass(frozen=True, eq=False)
class RankCodec:
    """Numbers of one column, by rank.

    Choice 0 is ``continuous`` (if the column has values that are not choices), then one choice an atom, then missing.

    Args:
        grid: Type, decimals and range of the values.
        atoms: Values that are choices of their own, ascending.
        values: Knots of the quantile function of the other values, ascending and distinct; empty if there are none.
        lower: Rank at which each knot begins; 0 at the first.
        upper: Rank at which it ends; 1 at the last. Between ``upper[i]`` and ``lower[i + 1]`` values are interpolated.
        missing: Whether missing cells were seen.
    """

    grid: Grid
    atoms: NDArray[Any]
    values: NDArray[Any]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    missing: bool

    @classmethod
    def fit(cls, values: NDArray[Any], n_missing: int, grid: Grid) -> RankCodec:
        """Learn atoms and quantile function.

        Args:
            values: The numbers that are not missing, on the grid.
            n_missing: How many cells are missing.
            grid: Type, decimals and range.

        Example:
            >>> x = np.array([0.0] * 50 + [0.25 * i for i in range(1, 101)])
            >>> codec = RankCodec.fit(x, 0, Grid("float64", 0.0, 25.0, 2))
            >>> codec.atoms.tolist(), codec.layout.n_choices
            ([0.0], 2)
        """
        distinct, counts = np.unique(values, return_counts=True)
        n, m = len(values), len(distinct)
        nothing = values[:0], np.zeros(0), np.zeros(0)
        few = m <= MAX_PLAIN_VALUES and n >= MIN_ROWS_A_PLAIN_VALUE * m
        if m <= 2 or few or (m <= MANY_PLAIN_VALUES and n >= MANY_ROWS_A_VALUE * m):
            return cls(grid, distinct, *nothing, n_missing > 0)
        heavy = (counts > ATOM_SHARE * (n + n_missing)) & (counts >= ATOM_ROWS)
        atoms, distinct, counts = distinct[heavy], distinct[~heavy], counts[~heavy]
        if not len(distinct):
            return cls(grid, atoms, *nothing, n_missing > 0)
        return cls(grid, atoms, *_knots(distinct, counts), n_missing > 0)

    @property
    def has_continuous(self) -> bool:
        """Whether choice 0 is ``continuous``."""
        return len(self.values) > 0

    @property
    def layout(self) -> ColumnLayout:
        """The choices: ``continuous``, atoms, ``missing``."""
        n = int(self.has_continuous) + len(self.atoms)
        return ColumnLayout(n + self.missing, int(self.has_continuous), n if self.missing else None)

    @cached_property
    def _offsets(self) -> NDArray[np.float64]:
        return self.grid.offset(self.values)

    def _quantile(self, q: NDArray[np.float64]) -> NDArray[Any]:
        """Return the values at ranks ``q``."""
        i = np.clip(np.searchsorted(self.lower, q, side="right") - 1, 0, len(self.values) - 1)
        j = np.minimum(i + 1, len(self.values) - 1)
        flat = (q <= self.upper[i]) | (i == j)
        share = fraction(q, self.upper[i], self.lower[j])
        with np.errstate(invalid="ignore"):
            between = self.grid.value(self._offsets[i] * (1.0 - share) + self._offsets[j] * share)
        return np.where(flat, self.values[i], between)

    def _rank(self, offsets: NDArray[np.float64], *, right: bool) -> NDArray[np.float64]:
        """Return the smallest rank whose value is at least the offset, or the largest whose value is at most it."""
        knots = self._offsets
        i = np.searchsorted(knots, offsets, side="left")
        inside = np.clip(i, 1, max(1, len(knots) - 1))
        j = np.minimum(inside, len(knots) - 1)
        share = fraction(offsets, knots[inside - 1], knots[j])
        rank = self.upper[inside - 1] * (1.0 - share) + self.lower[j] * share
        at = np.minimum(i, len(knots) - 1)
        rank = np.where(knots[at] == offsets, (self.upper if right else self.lower)[at], rank)
        return np.where(offsets < knots[0], 0.0, np.where(offsets > knots[-1], 1.0, rank))

    def _interval(self, values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the ranks that decode to each value, as float32 bounds that lie inside the exact ones."""
        at = self.grid.offset(values)
        half = self.grid.step / 2
        low = self._rank(at - half, right=False)
        high = self._rank(at + half, right=True)
        lower, upper = low.astype(np.float32), high.astype(np.float32)
        lower = np.where(lower < low, np.nextafter(lower, np.float32(2)), lower)
        upper = np.where(upper > high, np.nextafter(upper, np.float32(-1)), upper)
        lower = np.minimum(lower, np.float32(1))
        return lower, np.maximum(upper, lower)

    def encode(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """Return numbers as choices, ranks and spreads of ranks.

        Args:
            values: Numbers of the column's type or any float.
            missing: Which of them are missing.
            rng: Not used: ranks are drawn each time that a row is used.
            unseen: ``mask``: numbers out of range, values that are no choice of a column of choices, and missing cells
                where none was ever missing get choice -1. ``error``: numbers take the nearest value instead.

        Raises:
            DataError: Missing cells in a column that never was missing (only with ``error``).
        """
        layout = self.layout
        values = self.grid.cast(values)
        first = layout.n_numbered
        choices = np.zeros(len(values), dtype=np.int32)
        outside = np.zeros(len(values), dtype=bool)
        if len(self.atoms):
            place = np.minimum(np.searchsorted(self.atoms, values), len(self.atoms) - 1)
            is_atom = self.atoms[place] == values
            if first:
                choices[is_atom] = first + place[is_atom]
            else:
                outside = ~is_atom
                choices[:] = _nearest(self.atoms, values)
        elif not first:
            outside[:] = True
        scalars = spreads = None
        if first:
            lower, upper = self._interval(values)
            number = choices == 0
            number &= ~missing
            scalars = np.where(number, lower, np.float32(0))
            spreads = np.where(number, upper - lower, np.float32(0))
            outside |= (values < self.grid.minimum) | (values > self.grid.maximum)
        outside &= ~missing
        n_unseen = int(outside.sum())
        if layout.missing is None and missing.any():
            n_unseen += int(missing.sum())
            if unseen == "error":
                raise DataError(f"{int(missing.sum())} cells are missing, and the column never was in training")
        if unseen == "error" and outside.any() and not first and not len(self.atoms):
            raise DataError(f"{int(outside.sum())} cells hold numbers, and the column was always missing in training")
        choices[missing] = -1 if layout.missing is None else layout.missing
        if unseen == "mask":
            choices[outside] = -1
            if scalars is not None and spreads is not None:
                scalars[outside] = 0
                spreads[outside] = 0
        return ColumnCodes(choices, scalars, spreads, n_unseen)

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers of choices and ranks, and which are missing."""
        layout = self.layout
        missing = choices == layout.missing if layout.missing is not None else np.zeros(len(choices), dtype=bool)
        out = np.zeros(len(choices), dtype=self.grid.dtype)
        if len(self.atoms):
            plain = (choices >= layout.n_numbered) & ~missing
            out[plain] = self.atoms[np.asarray(choices)[plain] - layout.n_numbered]
        if layout.n_numbered and scalars is not None:
            number = choices == 0
            out[number] = self._quantile(np.clip(np.asarray(scalars, dtype=np.float64)[number], 0.0, 1.0))
        return out, missing

    def allow(self, low: float, high: float) -> ConditionCodes:
        """Return the atoms and ranks of values in the closed range."""
        layout = self.layout
        mask = np.zeros(layout.n_base, dtype=bool)
        first = layout.n_numbered
        mask[first : first + len(self.atoms)] = (self.atoms >= low) & (self.atoms <= high)
        lower, upper = np.zeros(first, np.float32), np.ones(first, np.float32)
        if first and low <= self.values[-1].item() and high >= self.values[0].item():
            lower[0], upper[0] = self._rank_range(low, high)
            inside = self._quantile(np.array([lower[0], upper[0]], dtype=np.float64))
            mask[0] = bool(lower[0] <= upper[0] and inside[0] >= low and inside[1] <= high)
        return ConditionCodes(mask, lower, upper)

    def _rank_range(self, low: float, high: float) -> tuple[np.float32, np.float32]:
        ends = np.array([max(low, self.grid.minimum), min(high, self.grid.maximum)], dtype=self.grid.dtype)
        lower, upper = self._interval(self.grid.cast(ends))
        start, stop = lower[0], upper[1]
        # Rounding of the interpolation may step over the end by one unit in the last place: walk back inside.
        for _ in range(64):
            if self._quantile(np.array([start], np.float64))[0] >= low or start >= 1:
                break
            start = np.nextafter(start, np.float32(2))
        for _ in range(64):
            if self._quantile(np.array([stop], np.float64))[0] <= high or stop <= 0:
                break
            stop = np.nextafter(stop, np.float32(-1))
        return start, stop

    def to_plain(self) -> dict[str, Any]:
        """Return the codec as plain data."""
        return {
            "grid": self.grid.to_plain(),
            "atoms": array_to_plain(self.atoms),
            "values": array_to_plain(self.values),
            "lower": array_to_plain(self.lower),
            "upper": array_to_plain(self.upper),
            "missing": self.missing,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> RankCodec:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("grid", "atoms", "values", "lower", "upper", "missing"), "ranks")
        grid = Grid.from_plain(plain["grid"])
        ends = {"low": grid.minimum, "high": grid.maximum}
        atoms = array_from_plain(plain["atoms"], "atoms", grid.code, **ends)
        values = array_from_plain(plain["values"], "knots", grid.code, **ends)
        lower = array_from_plain(plain["lower"], "ranks", "<f8", low=0.0, high=1.0)
        upper = array_from_plain(plain["upper"], "ranks", "<f8", low=0.0, high=1.0)
        check(type(plain["missing"]) is bool, "missing must be true or false")
        check(len(values) == len(lower) == len(upper), "one interval of ranks a knot is expected")
        check(all(bool((a[1:] > a[:-1]).all()) for a in (atoms, values)), "values must ascend")
        check(bool((lower <= upper).all()) and bool((lower[1:] >= upper[:-1]).all()), "ranks must ascend")
        check(not len(values) or (lower[0] == 0 and upper[-1] == 1), "ranks must run from 0 to 1")
        made = cls(grid, atoms, values, lower, upper, plain["missing"])
        check(made.layout.n_choices >= 1, "a column has at least one choice")
        return made


def _nearest(sorted_values: NDArray[Any], values: NDArray[Any]) -> NDArray[np.intp]:
    """Return the place of the nearest of some sorted values."""
    right = np.clip(np.searchsorted(sorted_values, values), 0, len(sorted_values) - 1)
    left = np.maximum(right - 1, 0)
    x = values.astype(np.float64)
    nearer_left = np.abs(x / 2 - sorted_values[left] / 2) < np.abs(sorted_values[right] / 2 - x / 2)
    return np.where(nearer_left, left, right)


def _knots(
    distinct: NDArray[Any], counts: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Return the knots of the quantile function and the ranks at which they begin and end."""
    n, m = int(counts.sum()), len(distinct)
    above = np.cumsum(counts) / n
    below = np.concatenate([[0.0], above[:-1]])
    if n >= MIN_REPEATS_OF_STEPS * m and m <= MAX_STEPS:
        return distinct, below, above
    n_knots = int(np.clip(n // ROWS_A_KNOT, MIN_KNOTS, MAX_KNOTS))
    # Long tails change most over the last few rows: ranks at 1, 2, 3, 5, 8, ... rows from either end, too.
    tail = np.unique(np.rint(1.5 ** np.arange(1, 40)))
    tail = tail[tail < n / 2] / n
    targets = np.unique(np.concatenate([np.linspace(0, 1, n_knots + 1), tail, 1.0 - tail]))
    chosen = np.zeros(m, dtype=bool)
    chosen[np.minimum(np.searchsorted(above, targets), m - 1)] = True
    flat = np.zeros(m, dtype=bool)
    repeated = np.flatnonzero(counts >= FLAT_ROWS)
    flat[repeated[np.argsort(-counts[repeated], kind="stable")[:MAX_KNOTS]]] = True
    middle = (below + above) / 2
    lower, upper = np.where(flat, below, middle), np.where(flat, above, middle)
    lower[0], upper[-1] = 0.0, 1.0
    upper[0] = upper[0] if flat[0] else 0.0
    lower[-1] = lower[-1] if flat[-1] else 1.0
    kept = np.flatnonzero(chosen | flat)
    return distinct[kept], lower[kept], upper[kept]
