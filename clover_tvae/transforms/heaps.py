"""Round numbers come more often than their neighbours: weights to the next 5, payments to the next 100.

Values that enough rows share are drawn as often as they came. All others are drawn between them, where each value of the grid
would be as likely as the next: a column of which two thirds end in 0 or 5 would be told from its copy by that alone. Here
the multiples of some numbers have more of the ranks between two knots than other values.

References:
    Heitjan and Rubin 1990, Inference from coarse data via multiple imputation with application to age heaping, JASA 85(410).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.plain_data import array_from_plain, check
from clover_tvae.transforms.grid import Grid

#: Multiples of these, and of ten, a hundred, ... times these, are looked for; and of weeks, dozens, and the parts of hours and days.
_DIGITS = (2, 5, 10, 25)
_OF_TIME = (7, 12, 15, 24, 30, 60, 300, 720, 900, 1_440, 1_800, 3_600, 43_200, 86_400, 60_000, 3_600_000, 86_400_000)
#: Units that stand for the first and for the last day of each month, where steps are days since 1970; and how long a month is.
_MONTHS, _MONTH = {2**61: 0, 2**61 + 1: 1}, 30.436875
#: By how many standard deviations of chance multiples must come oftener than was expected, and than their neighbours.
_SURE = 4.0
#: Fewer rows say nothing; nobody misses what fewer of them, as a share, have.
_FEWEST, _LEAST_SHARE = 40, 0.01
#: Of a step that no unit divides, beside 1 in the mean: what was seen must have ranks.
_LEAST_WEIGHT = 0.01
#: Sums of the weights of more steps are not exact enough.
_MOST_STEPS = 2**41


@dataclass(frozen=True, eq=False)
class Heaps:
    """How likely the values of a grid are beside each other: step ``k``, counted from 0, has the weight of all units that divide it.

    The *place* of a value is the weight of all steps up to it: between two values, equally many places are equally likely.

    Args:
        grid: The grid; values are given as :meth:`Grid.offset` does.
        units: Ascending, the first is 1, the last may stand for days of months; none at all: every step is as likely as the next,
            and a place is an offset.
        weights: Of each unit, scaled so that a step has a weight of 1 in the mean.
    """

    grid: Grid
    units: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(
        cls, distinct: NDArray[Any], counts: NDArray[np.int64], alone: NDArray[np.bool_], grid: Grid, least: int
    ) -> Heaps:
        """Find the units whose multiples come oftener.

        Args:
            alone: Which values are drawn by themselves: how often they come is no matter, and there are fewer steps for the others.
            least: Fewest rows that a unit may rest on.

        Example:
            >>> values, counts = np.r_[np.arange(0, 500, 5), np.arange(1, 400, 8)], np.ones(150, np.int64)
            >>> Heaps.fit(values, counts, counts > 1, Grid("int64", 0, 500, 0), 5).units.tolist()
            [1, 5]
        """
        n_rows, none = int(counts[~alone].sum()), cls.none(grid)
        if n_rows < _FEWEST or not _has_steps(grid):
            return none
        steps = np.rint(none._steps(grid.offset(distinct))).astype(np.int64)
        n_steps, absent, steps, counts = int(np.ptp(steps)) + 1, steps[alone], steps[~alone], counts[~alone]

        def together(units: Sequence[int], others: Sequence[int]) -> NDArray[np.float64]:
            """Return the share of all steps but those of values alone that are multiples of both."""
            missing = [[np.count_nonzero(_divides(u, absent) & _divides(o, absent)) for o in others] for u in units]
            left = n_steps * _together(units, others) - np.array(missing)
            return np.maximum(left, 0.0) / (n_steps - len(absent))

        units, weights, shares = [1], np.ones(1), [1.0]
        months = _MONTHS if grid.kind == "int64" and grid.unit == 1 else ()
        for unit in [*months, *_candidates(int(steps.max() - steps.min()) // 2)]:
            share = float(counts[_divides(unit, steps)].sum()) / n_rows
            expected = float((weights * together([unit], units)[0]).sum())
            enough = max(least, _LEAST_SHARE * n_rows, _SURE * math.sqrt(n_rows * expected * (1 - expected)))
            beside = 1 if unit in _MONTHS else max(u for u in units if unit % u == 0)
            is_near = _divides(unit, steps - beside) | _divides(unit, steps + beside)
            near = float(counts[is_near].sum()) / (1 if unit == 2 * beside else 2)
            if n_rows * (share - expected) < enough or n_rows * share - near < _SURE * math.sqrt(near + 1):
                continue
            units.append(unit)
            shares.append(share)
            weights = _weights(together(units, units), shares)
        if len(units) == 1:
            return none
        weights /= (weights * _together([1], units)[0]).sum()
        weights[0] = max(weights[0], _LEAST_WEIGHT)
        # Two digits tell no more of how many rows there were.
        kept = sorted(
            (unit, float(f"{weight:.2g}")) for unit, weight in zip(units, weights, strict=True) if weight > 1e-9
        )
        return cls(grid, np.array([unit for unit, _ in kept], np.int64), np.array([weight for _, weight in kept]))

    @classmethod
    def none(cls, grid: Grid) -> Heaps:
        """Every step is as likely as the next."""
        return cls(grid, np.zeros(0, np.int64), np.zeros(0))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], grid: Grid) -> Heaps:
        """Read units and weights as a file holds them; ``ValueError`` on anything else."""
        units = array_from_plain(plain["units"], "units", "<i8", low=1)
        weights = array_from_plain(plain["weights"], "weights", "<f8", low=0.0)
        ascend = len(units) == len(weights) and bool((units[1:] > units[:-1]).all())
        check(ascend, "units must ascend, and each have a weight")
        is_whole = not len(units) or (units[0] == 1 and weights[0] > 0 and _has_steps(grid))
        check(is_whole, "only steps of a grid have units")
        most = 10.0 / _together([1], units.tolist())
        check(bool((weights <= most).all()), "a step must have a weight of about 1 in the mean")
        return cls(grid, units, weights)

    def __bool__(self) -> bool:
        return len(self.units) > 0

    @cached_property
    def _origin(self) -> float:
        return 0.0 if self.grid.kind == "float64" else float(self.grid.minimum)

    def _steps(self, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return offsets as steps of the grid, counted from 0."""
        return (offsets + self._origin) / self.grid.step

    def _until(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weight of all steps up to these, from 0. **Shape** ``(values,)``."""
        total = np.zeros(len(steps))
        for unit, weight in zip(self.units.tolist(), self.weights.tolist(), strict=True):
            total += weight * (_month(steps, unit) if unit in _MONTHS else np.floor(steps / unit))
        return total

    def places(self, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the places of any numbers: a step's own weight is spread from half a step before it to half one after."""
        if not self:
            return offsets
        at = self._steps(offsets)
        upper = np.floor(at + 0.5)
        before, after = self._until(upper - 1), self._until(upper)
        return before + (after - before) * (at + 0.5 - upper)

    def around(
        self, offsets: NDArray[np.float64], alone: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the places at which what lies before each value ends, and what lies behind it begins.

        Args:
            alone: Which of them lie in neither, as they are drawn by themselves.
        """
        half = np.where(alone, self.grid.step / 2, 0.0) if self else 0.0
        return self.places(offsets - half), self.places(offsets + half)

    def offsets(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the steps in whose weight places lie, as offsets."""
        mean, over = self._mean, 2 * float(self.weights.sum())  # months differ in length
        low, high = np.floor((places - over) / mean) - 1, np.ceil((places + over) / mean) + 1
        for _ in range(64):  # the first step up to which there is more weight
            if not (high - low > 1).any():
                break
            middle = np.floor((low + high) / 2)
            beyond = self._until(middle) > places
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return high * self.grid.step - self._origin

    @cached_property
    def _mean(self) -> float:
        return float((self.weights * _together([1], self.units.tolist())[0]).sum())


def _has_steps(grid: Grid) -> bool:
    """Whether the values of a grid are multiples of its step, and few enough for sums of floats to tell them apart."""
    if grid.single is not None or grid.step == 0:
        return False
    first = grid.minimum / grid.step
    return max(abs(first), abs(grid.maximum / grid.step)) < _MOST_STEPS and abs(first - round(first)) < 1e-6


def _candidates(most: int) -> Sequence[int]:
    powers = range(max(0, int(math.log10(max(1, most)))) + 1)
    units = {digits * 10**power for digits in _DIGITS for power in powers} | {*_OF_TIME}
    return sorted(unit for unit in units if unit <= most)


def _month(steps: NDArray[Any], unit: int) -> NDArray[np.float64]:
    """Return the month, counted through, of the last day up to each step that ``unit`` stands for."""
    return (steps + _MONTHS[unit]).astype("M8[D]").astype("M8[M]").astype(np.float64)


def _divides(unit: int, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    return _month(steps, unit) > _month(steps - 1, unit) if unit in _MONTHS else steps % unit == 0


def _together(units: Sequence[int], others: Sequence[int]) -> NDArray[np.float64]:
    """Return the share of all steps that are multiples of both units of each pair. **Shape** ``(units, others)``."""

    def share(one: int, other: int) -> float:
        if not {one, other} & _MONTHS.keys():
            return 1 / math.lcm(one, other)
        lengths = [_MONTH if unit in _MONTHS else unit for unit in {one, other}]
        return 1 / math.prod(lengths)

    return np.array([[share(one, other) for other in others] for one in units])


def _weights(of_each: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Return the weights, none below 0, by which multiples of each unit have these shares of the rows.

    Args:
        of_each: The share of steps that are multiples of both of two units.
    """
    from scipy.optimize import lsq_linear  # it takes a while, and only fits need it

    # A share of a thousandth matters as much as one of a half.
    scale = 1.0 / np.sqrt(np.array(shares))
    found = lsq_linear(of_each * scale[:, None], np.array(shares) * scale, bounds=(0, np.inf), method="bvls")
    return np.maximum(found.x, 0.0)
