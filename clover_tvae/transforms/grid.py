"""The values that a column of numbers can hold: their type, decimals, unit and range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.numeric import decimal_digits, pulled_in_end, round_bound
from clover_tvae.columns.plain_data import check, fields, integer, number, one_of, optional

_SINGLES = {"float32": "float32", "float16": "float16", "float": "float32"}
#: Fewer distinct values say nothing about a unit: by chance alone, 20 differences are all even once in a million tables.
MIN_VALUES_FOR_UNIT = 20
#: Of what units are made that a few values break: weeks, hundreds, dozens; and of what divides most distances of neighbours.
PRIMES = (2, 3, 5, 7)
FACTORS = np.arange(11, 1000)


def fraction(x: NDArray[np.float64], low: Any, high: Any) -> NDArray[np.float64]:
    """Return ``(x - low) / (high - low)`` in [0, 1], 0 where ``high == low``; halves keep 1e308 from overflowing."""
    width = np.asarray(high) / 2 - np.asarray(low) / 2
    safe = np.where(width > 0, width, 1.0)
    return np.where(width > 0, (np.clip(x, low, high) / 2 - np.asarray(low) / 2) / safe, 0.0)


@dataclass(frozen=True)
class Grid:
    """The values that a column can hold: whole numbers, decimals, or any float, in a range.

    Args:
        kind: ``int64``, ``uint64`` or ``float64``: the type of the values.
        minimum: Smallest value seen in training.
        maximum: Largest value seen in training.
        decimals: Decimals of a float column, ``None`` if its floats are not rounded; 0 for whole numbers.
        single: Whether the column is float32 or float16, whose decimals are those of the short float.
        unit: All values are the smallest plus a multiple of so many last decimals: 500 for wages in steps of 500, 5 for
            prices in steps of 0.05.
    """

    kind: str
    minimum: int | float
    maximum: int | float
    decimals: int | None
    single: str | None = None
    unit: int = 1

    @classmethod
    def of(cls, values: NDArray[Any], cells: CellType, exact: pd.Series | None = None, least: int = 1) -> Grid:
        """Infer decimals and range.

        Args:
            values: The numbers that are not missing.
            exact: Decimal cells, whose exponents tell the decimals.
            least: Decimals that fewer values need are not kept: they would tell of these. A unit that fewer values break is.
        """
        kind, single = values.dtype.name, None if cells.family == "object" else _SINGLES.get(cells.name.lower())
        if not len(values):
            zero = values.dtype.type(0).item()
            return cls(kind, zero, zero, 0, single)
        if kind != "float64":
            low, high = int(values.min()), int(values.max())
            if high - low >= 2**53:
                return cls(kind, low, high, 0)
            first, last, unit = _lattice((values - values.min()).astype(np.int64), least)
            return cls(kind, low + first, low + last, 0, unit=unit)
        if exact is not None and len(exact):
            places = np.array([-int(cell.as_tuple().exponent) for cell in exact])
            exact = exact[places <= np.sort(places)[-least:][0]]
            before, behind, told = decimal_digits(exact)  # zeros at the end are kept where there is room for them
            decimals: int | None = behind if before + behind <= 15 else told
        else:
            decimals = _decimals(values, single, least)
            if decimals is None and single is None and _were_short(values, least):
                single, decimals = "float32", _decimals(values, "float32", least)
        grid = cls(kind, 0.0, 0.0, decimals, single)
        snapped = grid.round(values)
        lowest, highest, unit = float(snapped.min()), float(snapped.max()), 1
        if decimals is not None and single is None and highest / 2 - lowest / 2 < 2.0**52 / 10.0**decimals:
            steps = np.rint((snapped - lowest) * 10.0**decimals).astype(np.int64)
            first, last, unit = _lattice(steps, least)
            if unit > 1:
                lowest, highest = grid.round(lowest + np.array([first, last]) / 10.0**decimals).tolist()
        return cls(kind, lowest, highest, decimals, single, unit)

    def pulled_in(self, values: NDArray[Any], least: int) -> NDArray[Any]:
        """Return values of which none outweighs the others of an average of ``least``, from which it could be computed back; see :func:`pulled_in_end`.

        Example:
            >>> salaries = np.array([*range(40_000, 60_000, 1000), 5_000_000])
            >>> int(Grid.of(salaries, CellType("numpy", "int64")).pulled_in(salaries, 5).max())
            115000
        """
        if least <= 1 or len(values) <= least:
            return values
        ordered, ends = np.sort(values), []
        for outer in (ordered[: least + 1], ordered[: -least - 2 : -1]):
            offsets = self.offset(outer)
            end = pulled_in_end(offsets, len(outer) - 1)
            ends.append(outer[0] if end == offsets[0] else self.value(np.array([end]))[0])
        return np.clip(values, *ends)

    def shared(self, values: NDArray[Any], least: int) -> Grid:
        """Return the grid between the means of the ``least`` smallest and the ``least`` largest values."""
        if least <= 1 or not len(values):
            return self
        ordered, all_of_them = np.sort(values), np.zeros(1, dtype=np.int64)
        low, high = (self.means(end, all_of_them)[0].item() for end in (ordered[:least], ordered[-least:]))
        return dataclasses.replace(self, minimum=low, maximum=high)

    def spread(self, values: NDArray[Any], least: int, low: Any, high: Any) -> Grid:
        """Return the grid from where the ``least`` smallest values would begin, spread evenly about their mean, to where the largest end.

        Args:
            least: Fewest rows that an end may rest on; it rests on twice as many, and equal values stay as they are.
            low: No value is smaller.
            high: No value is larger. No end lies beyond the round numbers of :meth:`rounded`, either.
        """
        if len(values) < 4 * least or max(abs(self.minimum), abs(self.maximum)) > 2**53:
            return self.shared(values, least)
        wide, ordered = self.rounded(values, least, low, high), np.sort(values)
        ends = [wide.end(outer, least) for outer in (ordered[: 2 * least], ordered[: -2 * least - 1 : -1])]
        return dataclasses.replace(self, minimum=ends[0], maximum=ends[1])

    def end(self, outer: NDArray[Any], least: int = 1) -> int | float:
        """Return where the first ``least`` of these values begin, as far beyond their mean as the next are on its other side, halved."""
        first, offsets = outer[:least], self.offset(outer)
        if first[0] == first[-1] and least > 1:
            return first[0].item()
        mean, following = offsets[:least].mean(), offsets[least:].mean()
        return self.value(np.array([mean + (mean / 2 - following / 2)]))[0].item()

    def rounded(self, values: NDArray[Any], least: int, low: Any, high: Any) -> Grid:
        """Return the grid between round numbers, from ``low`` to ``high``, outside of which no value lies."""
        if least <= 1 or not len(values) or abs(self.minimum) > 2**53 or abs(self.maximum) > 2**53:
            return self if least <= 1 else self.shared(values, least)
        numbers, ends = values.astype(np.float64), []
        for sign, end, limit in ((1, self.minimum, low), (-1, self.maximum, high)):
            way = sign * end - round_bound(sign * numbers, least)  # to the round number, at least 0
            steps = math.ceil(way / self.step - 1e-9) * self.step if self.step else way
            moved = sign * max(sign * end - steps, sign * limit)
            ends.append(float(self.round(np.array([moved]))[0]) if self.kind == "float64" else int(moved))
        return dataclasses.replace(self, minimum=min(ends[0], self.minimum), maximum=max(ends[1], self.maximum))

    def means(self, ordered: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
        """Return, as values of the column, the means of groups of neighbours in ascending values, by where each starts."""
        sizes = np.diff(starts, append=len(ordered))
        offsets, first, last = self.offset(ordered), ordered[starts], ordered[starts + sizes - 1]
        base = offsets[starts]  # counted from there, sums lose little and do not overflow
        means = base + np.add.reduceat((offsets - np.repeat(base, sizes)) / np.repeat(sizes, sizes), starts)
        return np.where(first == last, first, self.value(means))

    @property
    def step(self) -> float:
        """Distance of two neighbouring values, 0 where the floats are not rounded."""
        return 0.0 if self.decimals is None else self.unit * 10.0**-self.decimals

    @property
    def code(self) -> str:
        """The type of the values in a file."""
        return self.dtype.newbyteorder("<").str

    def cast(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return numbers of any type as the column's own type, rounded to its decimals but not moved into its range.

        A whole number that does not fit the type becomes the type's end, which is out of range or the range's end.
        """
        if self.kind == "float64":
            return self.round(values.astype(np.float64))
        if values.dtype == self.dtype:
            return values
        info = np.iinfo(self.kind)
        if values.dtype.kind == "f":
            whole, (low, high) = np.rint(values), np.array([info.min, info.max], dtype=self.dtype)
            inside = (whole > float(info.min)) & (whole < float(info.max))
            made = np.where(inside, whole, 0.0).astype(self.dtype)
            return np.where(inside, made, np.where(whole <= float(info.min), low, high))
        if self.kind == "int64":
            return np.minimum(values, np.uint64(info.max)).astype(np.int64)
        return np.maximum(values, 0).astype(np.uint64)

    @property
    def dtype(self) -> Any:
        """Numpy dtype of the values."""
        return np.dtype(self.kind)

    def round(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return floats rounded to the column's decimals (and to its short floats)."""
        if self.decimals is not None:
            # Beyond 2**53 / 10**decimals every float is on the grid already, and rounding could overflow.
            small = np.abs(values) < 2.0**53 / 10.0**self.decimals
            values = np.where(small, np.round(np.where(small, values, 0.0), self.decimals), values)
        values = values + 0.0  # no "-0.0" among the decimals
        if self.single is not None:
            with np.errstate(over="ignore"):
                values = values.astype(self.single).astype(np.float64)
        return values

    def offset(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return values as floats: whole numbers counted from the smallest, near which floats tell them all apart."""
        if self.kind == "float64":
            return values
        # As uint64, differences of 64-bit integers wrap around rightly.
        low = np.array(self.minimum, self.dtype)
        gap = (values.astype(np.uint64) - low.astype(np.uint64)).astype(np.float64)
        short = (low.astype(np.uint64) - values.astype(np.uint64)).astype(np.float64)
        return np.where(values >= low, gap, -short)

    def value(self, offsets: NDArray[np.float64]) -> NDArray[Any]:
        """Return offsets as values of the column: rounded, inside the range, of its own type."""
        if self.kind == "float64":
            if self.unit > 1:
                offsets = self.minimum + np.rint((offsets - self.minimum) / self.step) * self.step
            return np.clip(self.round(offsets), self.minimum, self.maximum)
        span = float(self.maximum - self.minimum)
        steps = np.rint(np.clip(offsets, 0.0, span) / self.unit) * self.unit
        beyond = steps >= span  # the span is a float, which may stand a little beyond the exact one
        low = np.array(self.minimum, self.dtype).astype(np.uint64)
        made = (np.where(beyond, 0.0, steps).astype(np.uint64) + low).astype(self.dtype)
        return np.where(beyond, np.array(self.maximum, self.dtype), made)

    def snap(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Return floats as values of the column: rounded, inside the range, of its own type."""
        inside = np.clip(self.cast(values), self.dtype.type(self.minimum), self.dtype.type(self.maximum))
        return self.value(self.offset(inside)) if self.unit > 1 else inside

    def first_at_least(self, bound: float, strict: bool) -> float:
        """Return the smallest value of the grid that is ``>= bound``, or ``> bound``."""
        return self._on_unit(self._first_decimal(bound, strict), math.ceil)

    def _on_unit(self, value: float, rounding: Callable[[Fraction], int]) -> float:
        """Return the multiple of the unit next to a value of the grid."""
        if self.unit == 1:
            return value
        if self.kind != "float64":
            return self.minimum + self.unit * rounding(Fraction(int(value) - int(self.minimum), self.unit))
        assert self.decimals is not None
        scale: int = 10**self.decimals
        low, last = round(self.minimum * scale), round(value * scale)
        return (low + self.unit * rounding(Fraction(last - low, self.unit))) / scale

    def _first_decimal(self, bound: float, strict: bool) -> float:
        if self.kind != "float64":
            whole = math.ceil(bound)
            return whole + 1 if strict and whole <= bound else whole
        if self.decimals is None or abs(bound) >= 2.0**53 / 10.0**self.decimals:
            return float(np.nextafter(bound, np.inf)) if strict else bound
        value = round(bound, self.decimals)
        for _ in range(4):
            held = float(self.round(np.array([value]))[0])  # as the column's own short float holds it
            if held > bound or (held == bound and not strict):
                return held
            value = round(value + 10.0**-self.decimals, self.decimals)
        return bound

    def last_at_most(self, bound: float, strict: bool) -> float:
        """Return the largest value of the grid that is ``<= bound``, or ``< bound``."""
        return self._on_unit(-self._first_decimal(-bound, strict), math.floor)

    def to_plain(self) -> dict[str, Any]:
        """Return the grid as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: Any) -> Grid:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        if type(plain) is dict and "unit" not in plain:
            plain = {**plain, "unit": 1}  # the first files have none
        plain = fields(plain, cls.__dataclass_fields__, "grid")
        kind = one_of(plain["kind"], ("int64", "uint64", "float64"), "grid kind")
        low, high = plain["minimum"], plain["maximum"]
        bounds = () if kind == "float64" else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
        for end in (low, high):
            (integer if bounds else number)(end, "range", *bounds)
        check(low <= high, "the range must not be empty")
        decimals = optional(plain["decimals"], integer, "decimals", 0, 15)
        check(kind == "float64" or decimals == 0, "whole numbers have no decimals")
        single = optional(plain["single"], one_of, ("float32", "float16"), "short float")
        unit = integer(plain["unit"], "unit", 1, 2**63 - 1)
        check(unit == 1 or (decimals is not None and single is None), "floats that are not rounded have no unit")
        return cls(kind, low, high, decimals, single, unit)


def _lattice(steps: NDArray[np.int64], least: int) -> tuple[int, int, int]:
    """Return the first and the last step on a common unit, and the unit; all steps, and 1, where there are few.

    Args:
        steps: Whole numbers from 0 on.
        least: The unit is the largest that fewer steps break: days of one week but for an odd one are seven apart.
    """
    distinct, counts = np.unique(steps, return_counts=True)
    if len(distinct) < MIN_VALUES_FOR_UNIT:
        return int(distinct[0]), int(distinct[-1]), 1
    unit = max(1, int(np.gcd.reduce(distinct)))
    places, n_odd, n_odd_rows, first = distinct // unit, 0, 0, 0
    distances = np.diff(places)[:200, None]
    common = FACTORS[2 * (distances % FACTORS == 0).sum(axis=0) > len(distances)].tolist()
    for prime in (*PRIMES, *common) if least > 1 else ():
        while True:
            rest = places % prime
            rows = np.bincount(rest, counts, prime)
            best = int(rows.argmax())
            kept = rest == best
            odd, odd_rows = n_odd + int((~kept).sum()), n_odd_rows + int(rows.sum() - rows[best])
            # The more values may be left out, the easier the others agree by chance: five more for each keep that as rare.
            if odd_rows >= least or kept.sum() < MIN_VALUES_FOR_UNIT + 5 * odd:
                break
            places, counts, n_odd, n_odd_rows = places[kept] // prime, counts[kept], odd, odd_rows
            first, unit = first + best * unit, unit * prime
    return first + int(places[0]) * unit, first + int(places[-1]) * unit, unit


def _were_short(values: NDArray[np.float64], least: int) -> bool:
    """Return whether floats, all but fewer than ``least``, were float32 in the program that wrote them: 0.1 became 0.10000000149011612."""
    with np.errstate(over="ignore"):
        return int((values.astype(np.float32) != values).sum()) < least


def _decimals(values: NDArray[np.float64], single: str | None, least: int) -> int | None:
    """Return the fewest decimals that write all values down but fewer than ``least``, ``None`` for floats of full precision.

    A value counts as written with ``d`` decimals if rounding moves it by at most a few units in the last place, so that
    ``0.1 + 0.2`` has one decimal. Where the grid would be as fine as those units it means nothing, hence the bound.
    """
    if len(values) > 100_000:
        values = values[:: len(values) // 100_000 + 1]
    ulp = {"float32": 2.0**-24, "float16": 2.0**-11}.get(single or "", 2.0**-53)
    left = np.abs(values[np.abs(values) < 1 / ulp])
    top = float(left.max(initial=0.0))
    for decimals in range(16):
        tolerance = (4 if single is None else 2) * ulp * left
        if 10.0**-decimals < 32 * ulp * top:
            return None
        left = left[np.abs(np.round(left, decimals) - left) > tolerance]
        if len(left) < least:
            return decimals
    return None
