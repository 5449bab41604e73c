"""Round numbers come more often than their neighbours: weights to the next 5, payments to the next 100.

Values that enough rows share are drawn as often as they came. All others are drawn between them, where each value of the grid
would be as likely as the next: a column of which two thirds end in 0 or 5 would be told from its copy by that alone. Here
the multiples of some numbers have more of the ranks between two knots than other values.

References:
    Heitjan and Rubin 1990, Inference from coarse data via multiple imputation with application to age heaping, JASA 85(410).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

#: Multiples of these, and of ten, a hundred, ... times these, are looked for; and of weeks, dozens, and the parts of hours and days.
_DIGITS = (2, 5, 10, 25)
_OF_TIME = (7, 12, 15, 30, 60, 300, 900, 1_800, 3_600, 43_200, 86_400)
#: By how many standard deviations of chance multiples must come oftener than was expected, and than their neighbours.
_SURE = 4.0
#: Fewer rows say nothing; nobody misses what fewer of them, as a share, have.
_FEWEST, _LEAST_SHARE = 40, 0.01
#: Of a step that no unit divides, beside 1 in the mean: what was seen must have ranks.
_LEAST_WEIGHT = 0.01
#: Sums of the weights of more steps are not exact enough.
MOST_STEPS = 2**40


@dataclass(frozen=True, eq=False)
class Heaps:
    """How likely the steps of a grid are beside each other: step ``k`` has the weight of all units that divide it.

    Args:
        units: Ascending, the first is 1; none at all: every step is as likely as the next.
        weights: Of each unit, scaled so that a step has a weight of 1 in the mean.
    """

    units: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, steps: NDArray[np.int64], counts: NDArray[np.int64], least: int) -> Heaps:
        """Find the units whose multiples come oftener.

        Args:
            steps: Distinct values, counted in steps of the grid from 0.
            counts: Rows of each.
            least: Fewest rows that a unit may rest on.

        Example:
            >>> steps = np.r_[np.arange(0, 500, 5), np.arange(1, 400, 8)]
            >>> Heaps.fit(steps, np.ones(150, np.int64), 5).units.tolist()
            [1, 5]
        """
        units, weights, n_rows = [1], np.ones(1), int(counts.sum())
        if n_rows < _FEWEST:
            return cls.none()
        shares = [1.0]
        for unit in _candidates(int(steps.max() - steps.min()) // 2):
            rest = steps % unit
            share = float(counts[rest == 0].sum()) / n_rows
            expected = float((weights / np.lcm(units, unit)).sum())
            enough = max(least, _LEAST_SHARE * n_rows, _SURE * math.sqrt(n_rows * expected * (1 - expected)))
            beside = max(u for u in units if unit % u == 0)
            near = float(counts[(rest == beside) | (rest == unit - beside)].sum()) / (1 if unit == 2 * beside else 2)
            if n_rows * (share - expected) < enough or n_rows * share - near < _SURE * math.sqrt(near + 1):
                continue
            units.append(unit)
            shares.append(share)
            weights = _weights(units, shares)
        if len(units) == 1:
            return cls.none()
        weights[0] = max(weights[0], _LEAST_WEIGHT)
        kept = weights > 1e-9
        # Two digits tell no more of how many rows there were.
        rounded = [float(f"{weight:.2g}") for weight in weights[kept]]
        return cls(np.array(units, np.int64)[kept], np.array(rounded))

    @classmethod
    def none(cls) -> Heaps:
        """Every step is as likely as the next."""
        return cls(np.zeros(0, np.int64), np.zeros(0))

    def __bool__(self) -> bool:
        return len(self.units) > 0

    def until(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weight of all steps up to these, from 0. **Shape** ``(values,)``."""
        total = np.zeros(len(steps))
        for unit, weight in zip(self.units.tolist(), self.weights.tolist(), strict=True):
            total += weight * np.floor(steps / unit)
        return total

    def places(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weight up to any numbers, counted in steps: a step's own weight is spread from half a step before it to half one after."""
        upper = np.floor(at + 0.5)
        before, after = self.until(upper - 1), self.until(upper)
        return before + (after - before) * (at + 0.5 - upper)

    def steps(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the steps in whose weight places lie."""
        mean, over = self._mean, float(self.weights.sum())
        low, high = np.floor(places / mean) - 1, np.ceil((places + over) / mean) + 1
        for _ in range(64):  # the first step up to which there is more weight
            if not (high - low > 1).any():
                break
            middle = np.floor((low + high) / 2)
            beyond = self.until(middle) > places
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return high

    @cached_property
    def _mean(self) -> float:
        return float((self.weights / self.units).sum())


def _candidates(most: int) -> Sequence[int]:
    powers = range(max(0, int(math.log10(max(1, most)))) + 1)
    units = {digits * 10**power for digits in _DIGITS for power in powers} | {*_OF_TIME}
    return sorted(unit for unit in units if unit <= most)


def _weights(units: Sequence[int], shares: Sequence[float]) -> NDArray[np.float64]:
    """Return the weights, none below 0, by which multiples of each unit have these shares of the rows."""
    from scipy.optimize import lsq_linear  # it takes a while, and only fits need it

    of_each = 1.0 / np.lcm.outer(units, units)
    # A share of a thousandth matters as much as one of a half.
    scale = 1.0 / np.sqrt(np.array(shares))
    found = lsq_linear(of_each * scale[:, None], np.array(shares) * scale, bounds=(0, np.inf), method="bvls")
    return np.maximum(found.x, 0.0)
