"""Numbers as ranks: values that repeat are choices, the rest is one choice with the rank of the value in [0, 1].

A value that occurs ``n_k`` times occupies the interval ``[F(v-), F(v)]`` of ranks, so that integers and rounded decimals
need no special case (dequantisation: Theis et al. 2016, arXiv 1511.01844).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.plain_data import array_from_plain, array_to_plain, check
from clover_tvae.transforms.codes import ColumnCodes, Unseen
from clover_tvae.transforms.grid import Grid, fraction
from clover_tvae.transforms.heaps import Heaps
from clover_tvae.transforms.number_codec import NumberCodec

MAX_PLAIN_VALUES = 60  # up to so many distinct values, each is a choice
MIN_ROWS_A_PLAIN_VALUE = 5  # ... if they repeat so often on average
MANY_PLAIN_VALUES, MANY_ROWS_A_VALUE = 100, 50  # more values only where there are rows to learn each from
ATOM_SHARE, ATOM_ROWS = 0.01, 20  # beyond, values with more than this share of the rows and this many rows are choices
MIN_REPEATS_OF_STEPS, MAX_STEPS = 3, 20_000  # values that repeat so often on average are all kept, up to so many
MAX_KNOTS, ROWS_A_KNOT, MIN_KNOTS = 2_000, 3, 20  # else the quantile function is a line through so many knots
FLAT_ROWS = 3  # ... where values that repeat so often keep an interval of ranks of their own
MAX_GAP = 4  # gaps between repeated values that are more than so many median ones wide may be empty by nature


@dataclass(frozen=True, eq=False)
class RankCodec(NumberCodec):
    """Numbers of one column, by rank: the one numbered choice, ``continuous``, is there if not all values are atoms.

    Args:
        grid, atoms, missing: As in :class:`NumberCodec`.
        values: Knots of the quantile function of the other values, ascending and distinct; empty if there are none.
        lower: Rank at which each knot begins; 0 at the first.
        upper: Rank at which it ends; 1 at the last. Between ``upper[i]`` and ``lower[i + 1]`` values are interpolated.
        units, weights: Round numbers come oftener there: see :class:`Heaps`.
    """

    values: NDArray[Any]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    units: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[Any], n_missing: int, grid: Grid, least: int = 1) -> RankCodec:
        """Learn atoms and quantile function.

        Example:
            >>> x = np.array([0.0] * 50 + [0.25 * i for i in range(1, 101)])
            >>> codec = RankCodec.fit(x, 0, Grid("float64", 0.0, 25.0, 2))
            >>> codec.atoms.tolist(), codec.layout.n_choices
            ([0.0], 2)
        """
        distinct, counts = np.unique(values, return_counts=True)
        n, m = len(values), len(distinct)
        none = Heaps.none(grid)
        nothing = values[:0], np.zeros(0), np.zeros(0), none.units, none.weights
        few = m <= MAX_PLAIN_VALUES and n >= MIN_ROWS_A_PLAIN_VALUE * m
        if m <= 2 or few or (m <= MANY_PLAIN_VALUES and n >= MANY_ROWS_A_VALUE * m):
            return cls(grid, _pooled(distinct, counts, least, grid)[0], n_missing > 0, *nothing)
        heavy = (counts > ATOM_SHARE * (n + n_missing)) & (counts >= max(ATOM_ROWS, least))
        atoms, distinct, counts = distinct[heavy], distinct[~heavy], counts[~heavy]
        if not len(distinct) or counts.sum() < least:
            return cls(grid, atoms, n_missing > 0, *nothing)
        if least == 1:
            values, lower, upper = _knots(distinct, counts)
            alone = np.isin(distinct, values[upper > lower])  # those that have ranks of their own
            heaps = Heaps.fit(distinct, counts, alone, grid, least)
        else:
            alone = counts >= least
            heaps = Heaps.fit(distinct, counts, alone, grid, least)
            middles, rows, spread = _spread(distinct, counts, alone, atoms, heaps, least)
            values, n_rows, shared = _pooled(distinct[~spread], counts[~spread], least, grid)
            at = np.searchsorted(values, middles)
            values, shared = np.insert(values, at, middles), np.insert(shared, at, False)
            n_rows = np.insert(n_rows.astype(np.float64), at, rows)
            values, lower, upper = _knots(*_with_ends(values, n_rows, shared, grid))
        return cls(grid, atoms, n_missing > 0, values, lower, upper, heaps.units, heaps.weights)

    @property
    def n_numbered(self) -> int:
        """1 if there is a choice ``continuous``."""
        return int(len(self.values) > 0)

    def ranks(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rank in [0, 1] of each choice that is one number, NaN of the others.

        Example:
            >>> codec = RankCodec.fit(np.repeat([1, 2, 3], [10, 20, 10]), 0, Grid("int64", 1, 3, 0))
            >>> codec.ranks(np.array([10, 20, 10])).tolist()
            [0.125, 0.5, 0.875]
        """
        ranks = np.full(self.layout.n_base, np.nan)
        atoms = slice(self.n_numbered, self.n_numbered + len(self.atoms))
        if self.n_numbered:
            ranks[atoms] = self._rank(self.grid.offset(self.atoms), right=False)
        else:
            ranks[atoms] = (np.cumsum(counts[atoms]) - counts[atoms] / 2) / max(1, counts[atoms].sum())
        return ranks

    @cached_property
    def _offsets(self) -> NDArray[np.float64]:
        return self.grid.offset(self.values)

    @cached_property
    def _heaps(self) -> Heaps:
        return Heaps(self.grid, self.units, self.weights)

    @cached_property
    def _ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places at which what lies before each knot ends, and what lies behind it begins: a knot of its own rows has no others."""
        return self._heaps.around(self._offsets, self.upper > self.lower)

    def _quantile(self, q: NDArray[np.float64]) -> NDArray[Any]:
        """Return the values at ranks ``q``."""
        i = np.clip(np.searchsorted(self.lower, q, side="right") - 1, 0, len(self.values) - 1)
        j = np.minimum(i + 1, len(self.values) - 1)
        flat = (q <= self.upper[i]) | (i == j)
        share = fraction(q, self.upper[i], self.lower[j])
        ends, starts = self._ends
        with np.errstate(invalid="ignore"):
            places = starts[i] * (1.0 - share) + ends[j] * share
            if self._heaps:
                # The last of all weight before a knot belongs to what lies before it.
                places = np.clip(self._heaps.offsets(places), self._offsets[i], self._offsets[j])
            between = self.grid.value(places)
        return np.where(flat, self.values[i], between)

    def _rank(self, offsets: NDArray[np.float64], *, right: bool) -> NDArray[np.float64]:
        """Return the smallest rank whose value is at least the offset, or the largest whose value is at most it."""
        knots = self._offsets
        i = np.searchsorted(knots, offsets, side="left")
        inside = np.clip(i, 1, max(1, len(knots) - 1))
        j = np.minimum(inside, len(knots) - 1)
        ends, starts = self._ends
        share = fraction(self._heaps.places(offsets), starts[inside - 1], np.maximum(ends[j], starts[inside - 1]))
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

    def _code(self, values: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], Any]:
        lower, upper = self._interval(values)
        return np.zeros(len(values), np.int32), lower, upper - lower

    def encode(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """As for all codecs; with ``fold`` a number out of range has any of the ranks beyond the outermost knot but one: no heap at the end."""
        codes = super().encode(values, missing, rng, unseen)
        if unseen == "fold" and len(self.values) > 1 and codes.scalars is not None and codes.spreads is not None:
            values, ends = self.grid.cast(values), np.array([self.lower[1], self.upper[-2]], np.float32)
            numbered = (codes.choices < self.n_numbered) & ~missing
            low, high = numbered & (values < self.grid.minimum), numbered & (values > self.grid.maximum)
            codes.scalars[low], codes.spreads[low] = 0, ends[0]
            codes.scalars[high], codes.spreads[high] = ends[1], 1 - ends[1]
        return codes

    def _value(self, choices: NDArray[Any], scalars: NDArray[Any]) -> NDArray[Any]:
        return self._quantile(np.clip(scalars, 0.0, 1.0))

    def _range(self, low: float, high: float) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[Any]]:
        if low > self.values[-1].item() or high < self.values[0].item():
            return np.zeros(1, dtype=bool), np.zeros(1, np.float32), np.ones(1, np.float32)
        ends = self._rank_range(low, high)
        inside = self._quantile(np.array(ends, dtype=np.float64))
        held = ends[0] <= ends[1] and inside[0] >= low and inside[1] <= high
        return np.array([bool(held)]), np.array(ends[:1], np.float32), np.array(ends[1:], np.float32)

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

    @classmethod
    def from_plain(cls, plain: Any) -> RankCodec:
        if type(plain) is dict and "units" not in plain:  # older files have none
            plain = {**plain, "units": array_to_plain(np.zeros(0, np.int64)), "weights": array_to_plain(np.zeros(0))}
        grid, atoms, missing, plain = cls._shared_parts(plain)
        values = array_from_plain(plain["values"], "knots", grid.code, low=grid.minimum, high=grid.maximum)
        lower = array_from_plain(plain["lower"], "ranks", "<f8", low=0.0, high=1.0)
        upper = array_from_plain(plain["upper"], "ranks", "<f8", low=0.0, high=1.0)
        check(len(values) == len(lower) == len(upper), "a knot must have one interval of ranks")
        check(bool((values[1:] > values[:-1]).all()), "values must ascend")
        check(bool((lower <= upper).all()) and bool((lower[1:] >= upper[:-1]).all()), "ranks must ascend")
        check(not len(values) or (lower[0] == 0 and upper[-1] == 1), "ranks must run from 0 to 1")
        heaps = Heaps.from_plain(plain, grid)
        made = cls(grid, atoms, missing, values, lower, upper, heaps.units, heaps.weights)
        check(made.layout.n_choices >= 1, "a column must have at least one choice")
        return made


def _pooled(distinct: NDArray[Any], counts: NDArray[Any], least: int, grid: Grid) -> tuple[NDArray[Any], ...]:
    """Return values that at least ``least`` rows each stand for, the rows of each, and which are their rows' own value.

    A value that so many rows share stays; others are pooled with their neighbours to a mean. Where there are too few of
    them between two that stay, their rows count to the nearer one.
    """
    shared, counts, kept = counts >= least, counts.copy(), np.ones(len(counts), dtype=bool)
    if shared.all():
        return distinct, counts, shared
    starts: list[int] = []
    segments = np.flatnonzero(shared | np.r_[True, shared[:-1]]).tolist()
    for start, end in itertools.pairwise([*segments, len(counts)]):
        n_rows = counts[start:end].sum()
        if shared[start] or n_rows >= least:
            starts += [start + place - int((~kept[:start]).sum()) for place in _groups(counts[start:end], least)]
            continue
        gaps = [distinct[start] / 2 - distinct[start - 1] / 2 if start else np.inf]
        gaps += [distinct[end] / 2 - distinct[end - 1] / 2 if end < len(counts) else np.inf]
        counts[start - 1 if gaps[0] <= gaps[1] else end] += n_rows
        kept[start:end] = False
    distinct, counts, shared = distinct[kept], counts[kept], shared[kept]
    rows = np.r_[0, np.cumsum(counts)][starts]
    return grid.means(np.repeat(distinct, counts), rows), np.diff(rows, append=counts.sum()), shared[starts]


def _spread(
    distinct: NDArray[Any],
    counts: NDArray[np.int64],
    alone: NDArray[np.bool_],
    atoms: NDArray[Any],
    heaps: Heaps,
    least: int,
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_]]:
    """Spread what lies in gaps between shared values over these gaps, where each has too few rows: dates off the first of their month.

    Args:
        alone: Which values are shared.
        atoms: Values beside these that are shared, too.
        heaps: How likely the values that are not shared are beside each other.

    Returns:
        Values and the rows that each stands for: of gaps that at least ``least`` rows together lie in, the middle, with its part of
        them; and the first and the last atom, with none, where gaps reach to them. And which distinct values these stand for. Gaps that
        are far wider than most are left out.
    """
    nothing, grid = (distinct[:0], np.zeros(0), np.zeros(len(distinct), dtype=bool)), heaps.grid
    shared = np.sort(np.concatenate([distinct[alone], atoms]))
    if len(shared) < 2:
        return nothing
    ends = grid.offset(shared)
    stops, starts = heaps.around(ends, np.ones(len(ends), dtype=bool))
    halves = starts[:-1] + (stops[1:] - starts[:-1]) / 2
    middles = grid.value(heaps.offsets(halves) if heaps else halves)
    until, widths = np.r_[0, np.cumsum(counts)], np.diff(ends)
    n_rows = until[np.searchsorted(distinct, shared[1:])] - until[np.searchsorted(distinct, shared[:-1], "right")]
    has_room = (middles > shared[:-1]) & (middles < shared[1:]) & (widths <= MAX_GAP * np.median(widths))
    gaps = np.flatnonzero(has_room & (n_rows < least))
    if n_rows[gaps].sum() < least:
        return nothing
    room = (stops[1:] - starts[:-1])[gaps] - (0 if heaps else grid.step)
    groups = np.array(_groups(n_rows[gaps], least))
    density = np.add.reduceat(n_rows[gaps], groups) / np.add.reduceat(room, groups)
    rows = np.repeat(density, np.diff(groups, append=len(gaps))) * room
    is_covered = np.isin(np.searchsorted(shared, distinct) - 1, gaps) & ~np.isin(distinct, shared)
    outer = [end for end, gap in ((0, 0), (-1, len(shared) - 2)) if gap in gaps and shared[end] in atoms]
    at = [0 if end == 0 else len(gaps) for end in outer]
    return np.insert(middles[gaps], at, shared[outer]), np.insert(rows, at, 0), is_covered


def _with_ends(
    values: NDArray[Any], counts: NDArray[Any], shared: NDArray[np.bool_], grid: Grid
) -> tuple[NDArray[Any], ...]:
    """Return the values with ends that have no rows of their own: half of the rows of an outermost mean lie beyond it.

    Without them they would all be drawn as that mean, a heap at the end of a small table's column. Where the range ends at the
    mean itself, as that of dates does, its rows lie between the next one and it.
    """
    counts = counts.copy()
    for place in (len(values), 0):
        outer, own = (values[:-3:-1], shared[:-3:-1]) if place else (values[:2], shared[:2])
        if len(outer) < 2 or own[0]:
            continue
        if (end := grid.end(outer)) != outer[0]:
            values, counts, shared = (
                np.insert(part, place, new) for part, new in ((values, end), (counts, 0), (shared, False))
            )
        elif (
            outer[0] in (grid.minimum, grid.maximum)
            and not own[1]
            and abs(np.diff(grid.offset(outer))) >= 2 * grid.step
        ):
            first, second = (-1, -2) if place else (0, 1)
            counts[second] += counts[first]
            counts[first] = 0
    return values, counts, shared


def _groups(counts: NDArray[Any], least: int) -> list[int]:
    """Return where groups of neighbours with at least ``least`` rows start; those at the ends have the fewest rows."""
    ends = np.r_[0, np.cumsum(counts)]
    low, high, lows, highs = 0, len(counts), list[int](), list[int]()
    while True:
        next_low = int(np.searchsorted(ends, ends[low] + least))
        if next_low >= high or ends[high] - ends[next_low] < least:
            break
        lows.append(low)
        low = next_low
        next_high = int(np.searchsorted(ends, ends[high] - least, side="right")) - 1
        if next_high <= low or ends[next_high] - ends[low] < least:
            break
        highs.append(next_high)
        high = next_high
    return [*lows, low, *reversed(highs)]


def _knots(
    distinct: NDArray[Any], counts: NDArray[Any], shared: NDArray[np.bool_] | None = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the knots of the quantile function and the ranks at which they begin and end.

    Args:
        shared: Where some values are means of their rows, which of them are not.
    """
    n, m, above = round(counts.sum()), len(distinct), np.cumsum(counts)
    above = above / above[-1]
    below = np.concatenate([[0.0], above[:-1]])
    if shared is None and n >= MIN_REPEATS_OF_STEPS * m and m <= MAX_STEPS:
        return distinct, below, above
    n_knots = int(np.clip(n // ROWS_A_KNOT, MIN_KNOTS, MAX_KNOTS))
    # Long tails change most over the last few rows: ranks at 1, 2, 3, 5, 8, ... rows from either end, too.
    tail = np.unique(np.rint(1.5 ** np.arange(1, 40)))
    tail = tail[tail < n / 2] / n
    targets = np.unique(np.concatenate([np.linspace(0, 1, n_knots + 1), tail, 1.0 - tail]))
    chosen = np.zeros(m, dtype=bool)
    chosen[[0, -1]] = True
    chosen[np.minimum(np.searchsorted(above, targets), m - 1)] = True
    flat = np.zeros(m, dtype=bool)
    repeated = np.flatnonzero(counts >= FLAT_ROWS if shared is None else shared)
    flat[repeated[np.argsort(-counts[repeated], kind="stable")[:MAX_KNOTS]]] = True
    middle = (below + above) / 2
    lower, upper = np.where(flat, below, middle), np.where(flat, above, middle)
    lower[0], upper[-1] = 0.0, 1.0
    if shared is None:  # means at the ends stand for the values beyond them, too
        upper[0] = upper[0] if flat[0] else 0.0
        lower[-1] = lower[-1] if flat[-1] else 1.0
    kept = np.flatnonzero(chosen | flat)
    return distinct[kept], lower[kept], upper[kept]
