"""The numbers of a pandas column, read without loss."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.names import counts_time, may_name_an_id, names_a_time, names_an_id, numbers_a_person
from clover_tvae.columns.number_texts import split_number
from clover_tvae.errors import ColumnTypeError, NonFiniteError
from clover_tvae.parameters import MIN_COUNT

_NUMBERS = ("boolean", "integer", "float", "decimal", "empty")
_CURES = {
    "boolean": "declare it 'boolean', or convert it with astype('int64')",
    "category": "declare it 'categorical' or 'ordinal', or convert it with astype(float)",
    "datetime": "declare it 'datetime'",
    "mixed": "give every cell one type, or declare it 'categorical'",
}
# Fewer distinct numbers, each in several rows, are codes; fewer that are there once may be long, or in a row, by chance.
_MIN_REPEATED, _MIN_LONG, _MIN_IN_A_ROW = 20, 5, 10
_MIN_ROWS = 20
_MIN_DIGITS = 8
FREQUENT, MAX_PLACEHOLDERS = 5, 3
"""Values of fewer rows are judged without the frequent ones; at most so many of these are placeholders, such as 0 and "unknown"."""
_DAY, _MIN_DAYS = 86_400, 30
# n R^2, where R is how far points of a circle lie on one side: of points without a side it is so high once in 100,000 columns.
_ONE_SIDE = 12
_DIGITS_OF_FLOATS = 15
# Pairs of equal numbers that chance would make: none of so many is seen once in 20,000 columns, none of half of them once in 150.
_PAIRS_EXPECTED = 10
_LARGEST_EXACT = 2.0**53
# Days, months and years of dates: of fewer the numbers lie near each other, as postcodes do.
_MIN_PARTS = 4


def read_numbers(series: pd.Series, name: object) -> tuple[CellType, NDArray[Any], NDArray[np.bool_]]:
    """Return the numbers of a column, without loss, and which cells are missing.

    Args:
        series: Numbers of any dtype: numpy, nullable, Arrow, or Python ints, floats, bools or Decimals; or a column of
            any dtype in which every cell is missing.

    Returns:
        The type that numbers of the column are written back in; int64, uint64 or float64 ``(rows,)``, 0 where missing;
        and bool ``(rows,)``.

    Raises:
        ColumnTypeError: The cells are not numbers.
        NonFiniteError: Some are infinite.
    """
    cells, missing = CellType.of(series, name), series.isna().to_numpy(dtype=bool)
    known = series[~missing]
    cells = cells.settled(known)
    if cells.holds not in _NUMBERS:
        if missing.all():
            return cells, np.zeros(len(series)), missing
        raise _no_numbers(cells, known, name)
    if cells.family == "numpy":
        raw = series.to_numpy()
    elif cells.holds in ("boolean", "integer") and cells.family == "object":
        raw = _object_integers(known, missing, name)
    elif cells.holds == "boolean":
        raw = series.to_numpy(dtype=bool, na_value=False).astype(np.int64)
    elif cells.holds == "integer":
        raw = series.to_numpy(dtype=np.uint64 if "uint64" in cells.name.lower() else np.int64, na_value=0)
    else:
        if cells.holds == "decimal":
            _require_exact(known, name)
        raw = np.zeros(len(series))
        raw[~missing] = known.to_numpy(dtype=float, na_value=np.nan)
    values = raw.astype(np.uint64 if raw.dtype == np.uint64 else np.int64 if raw.dtype.kind in "biu" else np.float64)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)  # nullable and Arrow dtypes hold a NaN to be a number
        if infinite := int(np.isinf(values).sum()):
            message = f"must hold finite numbers, found {infinite} infinite; make them missing or finite"
            raise NonFiniteError(message, where_of(name))
    values[missing] = 0
    return cells, values, missing


def spread(values: NDArray[np.float64]) -> float:
    """Return the mean distance of the known values from their median; 0 of none."""
    known = values[~np.isnan(values)]
    return float(np.abs(known - np.median(known)).mean()) if len(known) else 0.0


#: A value with a larger share of a column's rows is one that many share: the last day of a study, no second job.
COMMON = 0.05
#: What the others must have beyond the next value, as a part of what the outermost has; see :func:`pulled_in_end`.
_PART_OF_OTHERS = 0.1


def commonest(values: NDArray[np.float64]) -> float:
    """Return the share of the known values that are the most frequent one; 0 of none."""
    counts = np.unique(values[~np.isnan(values)], return_counts=True)[1]
    return float(counts.max() / counts.sum()) if len(counts) else 0.0


def identifier_told(numbers: NDArray[Any], name: object = "", n_rows: int = 0) -> str:
    """Return why numbers look as if they named people, in a few words; empty if they do not.

    Args:
        name: The column's, which may say that they are an identifier, that long numbers are times, or that numbers of which each is
            there once are years or ages (:func:`~clover_tvae.columns.names.counts_time`).
        n_rows: Rows of the table, if it has more than these known cells. In a table of fewer than 20, numbers differ by chance.

    Example:
        >>> identifier_told(np.random.default_rng(0).permutation(500) + 1)
        'every whole number from the lowest to the highest, once each'
        >>> identifier_told(np.array([4711, 815, 9034, 127, 5560]), "Matricule", n_rows=300)
        'another number in every row, and its name'
        >>> identifier_told(np.arange(1900, 2020), "year")
        ''
        >>> identifier_told(np.random.default_rng(0).permutation(900)[:500] * 5 + 100_000)  # staff who left are missing
        'whole numbers close to each other, none of them twice'
        >>> identifier_told(np.array([19_600_101 + 100 * (i % 12) + 10_000 * i for i in range(40)]))
        'dates written as numbers, such as yyyymmdd'
        >>> identifier_told(np.repeat(np.random.default_rng(0).integers(10_000_000, 99_999_999, 200), 2))
        'whole numbers of 8 digits, each in several rows'
        >>> identifier_told(np.random.default_rng(0).lognormal(11, 1, 500).round())
        ''
    """
    numbers = numbers[np.isfinite(numbers)]
    if max(n_rows, len(numbers)) < _MIN_ROWS or not len(numbers) or not (numbers == np.floor(numbers)).all():
        return ""
    distinct, counts = np.unique(numbers, return_counts=True)
    n_frequent = int((counts >= FREQUENT).sum())
    has_placeholders = 0 < n_frequent <= MAX_PLACEHOLDERS and numbers_a_person(name)
    judged = counts[counts < FREQUENT] if has_placeholders else counts
    share, by_name = len(judged) / max(1, judged.sum()), ""
    is_called_so = (share > 0.5 and len(judged) >= _MIN_LONG and names_an_id(name)) or (
        share == 1 and len(judged) >= _MIN_ROWS and may_name_an_id(name)
    )
    if is_called_so and not counts_time(name, float(distinct[0]), float(distinct[-1])):
        part = len(distinct) / len(numbers)
        by_name = f"another number in {'every row' if part == 1 else f'{part:.0%} of the rows'}, and its name"
    often = "another one nearly everywhere"
    if repeats := 2 * n_frequent > len(counts):  # people with several rows each
        often = "each in several rows"
    else:
        distinct, counts = distinct[counts < FREQUENT], counts[counts < FREQUENT]
        if n_frequent > MAX_PLACEHOLDERS and 4 * counts.sum() < len(numbers):
            return by_name
    if (counts >= 2).mean() >= 0.9:  # in pairs, say: by chance, numbers so long hardly repeat
        repeats, often = True, "each in several rows"
    if len(distinct) < (_MIN_REPEATED if repeats else _MIN_LONG):
        return by_name
    low, high = float(distinct[0]), float(distinct[-1])
    if counts.max() == 1 and not counts_time(name, low, high):
        if high - low == len(distinct) - 1 and len(distinct) >= _MIN_IN_A_ROW:
            return "every whole number from the lowest to the highest, once each"
        if _never_by_chance(distinct, max(n_rows, len(numbers))):
            return "whole numbers close to each other, none of them twice"
    if format := _dates_of(distinct, low, high) if len(distinct) >= _MIN_IN_A_ROW else "":
        return f"dates written as numbers, such as {format}"
    digits = len(str(int(low)))
    of_one_length = low > 0 and digits >= _MIN_DIGITS and len(str(int(high))) == digits
    hardly_chance = repeats or (counts == 1).mean() >= 0.9
    if of_one_length and hardly_chance and (distinct % 10 != 0).mean() > 0.5 and not _are_times(distinct, name):
        return f"whole numbers of {digits} digits, {often}"
    return by_name


def _are_times(distinct: NDArray[Any], name: object) -> bool:
    """Return whether long numbers are seconds, milliseconds... since 1970, rather than telephone or insurance numbers of that length.

    Their column says so, or they show it: most are at whole minutes, or more of them lie in one half of the day than chance would put there.
    """
    for unit in (1, 1e3, 1e6, 1e9):
        if not 0.9e9 * unit <= distinct[0] <= distinct[-1] <= 2.1e9 * unit:
            continue
        seconds = distinct / unit
        rhythm = len(seconds) * abs(np.exp(2j * np.pi * (seconds % _DAY) / _DAY).mean()) ** 2
        has_days = seconds[-1] - seconds[0] >= _MIN_DAYS * _DAY  # the numbers of one block differ by less
        return names_a_time(name) or (seconds % 60 == 0).mean() > 0.5 or bool(has_days and rhythm > _ONE_SIDE)
    return False


def _dates_of(distinct: NDArray[Any], low: float, high: float) -> str:
    """Return how numbers are dates: ``yyyymmdd``, ``yymmdd`` or ``ddmmyy``; else nothing."""
    if low >= 18_000_101 and high <= 21_001_231:
        day = distinct.astype(np.int64)
        if ((day % 100 >= 1) & (day % 100 <= 31) & (day // 100 % 100 >= 1) & (day // 100 % 100 <= 12)).all():
            return "yyyymmdd"
    return _short_dates(distinct.astype(np.int64)) if low >= 10_000 and high <= 999_999 else ""


def _short_dates(numbers: NDArray[np.int64]) -> str:
    """Return how numbers of at most six digits are dates of several months and years, ``yymmdd`` or ``ddmmyy``; else nothing."""
    ends, months, starts = numbers % 100, numbers // 100 % 100, numbers // 10_000
    if months.min() < 1 or months.max() > 12 or len(np.unique(months)) < _MIN_PARTS:
        return ""
    for days, years, format in ((ends, starts, "yymmdd"), (starts, ends, "ddmmyy")):
        if days.min() >= 1 and days.max() <= 31 and min(len(np.unique(days)), len(np.unique(years))) >= _MIN_PARTS:
            return format
    return ""


def _never_by_chance(distinct: NDArray[Any], n_rows: int) -> bool:
    """Return whether so many measurements in such a range would hardly all differ, so that somebody numbered them.

    Of n draws from m values, a uniform draw repeats least: it has no pair with a probability of about exp(-n (n - 1) / 2m).
    Gaps are counted as if they were filled, up to twice the pairs: what is said does not hang on a few empty cells.
    """
    if float(distinct[-1]) - float(distinct[0]) >= _LARGEST_EXACT:
        return False
    step = np.gcd.reduce((distinct - distinct[0]).astype(np.int64))  # numbers may be given out in steps
    n_values = float(distinct[-1] - distinct[0]) / step + 1
    n_pairs = len(distinct) * (len(distinct) - 1) / (2 * n_values)
    return bool(n_pairs * min(2.0, (n_rows / len(distinct)) ** 2) > _PAIRS_EXPECTED)


def round_bound(values: NDArray[np.float64], min_count: int) -> float:
    """Return a round number at or below the lowest value, that tells of no single row.

    Numbers are rounded down to a multiple of 1, 2 or 5 times a power of ten that is at least as long as the way from
    the lowest to the ``min_count``-th lowest value.

    Example:
        >>> round_bound(np.array([3.4, 3.6, 3.9, 4.2, 4.4]), 3)
        3.0
    """
    lowest, shared = np.partition(values, [0, min_count - 1])[[0, min_count - 1]]
    return _rounded_down(lowest, shared - lowest)


def _rounded_down(value: float, way: float) -> float:
    """Return the next multiple of 1, 2 or 5 times a power of ten, of at least ``way``, at or below a value; 0: the value."""
    if way == 0:
        return float(value)
    power = 10.0 ** np.floor(np.log10(way))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * way)
    return float(f"{np.floor(value / step) * step:.12g}")


def pulled_in_end(outer: NDArray[np.float64], least: int) -> float:
    """Return the outermost number, or where it is moved to, so that it does not outweigh the others of an average of ``least``.

    What the outermost have beyond the next number is looked at: the first may have ten times as much as all together but
    those of the first two people, or of the first where there are but two (the p% rule, p = 10, of Hundepool et al. 2012, Statistical Disclosure Control, section 4.2.2).

    Args:
        outer: The ``least`` outermost numbers and the next one, the outermost first.

    Example:
        >>> float(pulled_in_end(np.array([5_000_000.0, 59_000, 58_000, 57_000, 56_000, 55_000]), 5))
        115000.0
    """
    beyond = np.abs(outer[:-1] / 2 - outer[-1] / 2)  # halves keep 1e308 from overflowing
    most = np.minimum(beyond[max(1, (least - 1) // 2) :].sum() / _PART_OF_OTHERS, beyond[0])
    sign = np.sign(outer[0] - outer[-1])
    return float(outer[0] if most >= beyond[0] else outer[-1] + sign * most + sign * most)


def shared_bound(values: NDArray[np.float64], min_count: int) -> float:
    """Return :func:`round_bound` of numbers of which none outweighs the others; values very far from all others may lie below it.

    Those are very far that lie behind a gap which is over twice as wide as all that follows, up to the (4 k)-th value, with k at most
    :data:`MIN_COUNT`. Then the bound is as far below the first of what follows as that reaches, rounded down. Where these are all equal,
    what follows is all the rest.

    Example:
        >>> values = np.arange(40.0)
        >>> shared_bound(values, 5), shared_bound(np.append(values, -918_273.0), 5)
        (0.0, -20.0)
    """
    k, n = min(MIN_COUNT, min_count), len(values)
    if not 1 < min_count < n:
        return round_bound(values, min_count)
    outer = np.sort(np.partition(values, min_count)[: min_count + 1])
    bound = round_bound(np.maximum(values, pulled_in_end(outer, min_count)), min_count)
    if (
        4 * k <= n
    ):  # the few rows of one person are far from those of all others, too, whatever they need to be shared by
        outer = np.sort(np.partition(values, 4 * k - 1)[: 4 * k]) / 2  # halves keep 1e308 from overflowing
        first = int(np.argmax(np.diff(outer[:k]))) + 1
        way = (outer[-1] if outer[-1] > outer[first] else values.max() / 2) - outer[first]
        if 2 * way < outer[first] - outer[first - 1]:
            bound = max(bound, _rounded_down(2 * (outer[first] - way), way / 2))
    return bound


def _no_numbers(cells: CellType, known: pd.Series, name: object) -> ColumnTypeError:
    texts = known[[isinstance(cell, str) for cell in known]].astype(object)
    as_text = sum(split_number(str(text)) is not None for text in texts) if cells.family != "category" else 0
    found = cells.found_in(known) + (f", {as_text} of them numbers written as text" if as_text else "")
    cure = _CURES.get(cells.holds, "mend these cells, declare missing tokens, or declare it 'categorical'")
    if as_text == len(known):
        cure = "declare it with read_as: number, or convert it with pd.to_numeric"
    return ColumnTypeError(f"must hold numbers, found {found}; {cure}", where_of(name))


def decimal_digits(cells: Iterable[Decimal]) -> tuple[int, int, int]:
    """Return how many digits some decimals have at most before and behind the point, and how many of the latter are no zeros.

    Example:
        >>> decimal_digits([Decimal("120.50"), Decimal("3")])
        (3, 2, 1)
    """
    before = behind = told = 0
    for cell in cells:
        if (cell := Decimal(cell)).is_finite():
            digits, exponent = "".join(map(str, cell.as_tuple().digits)), int(cell.as_tuple().exponent)
            zeros = len(digits) - len(digits.rstrip("0")) if cell else -exponent
            before, behind = max(before, cell.adjusted() + 1), max(behind, -exponent)
            told = max(told, -exponent - zeros)
    return before, behind, told


def _require_exact(known: pd.Series, name: object) -> None:
    """Refuse decimals that floats do not hold, all of them in one unit."""
    before, _, behind = decimal_digits(known)
    if before + behind > _DIGITS_OF_FLOATS:
        found = f"{before} before and {behind} behind the point"
        cure = "convert it with .map(float, na_action='ignore') if as many are enough"
        message = f"must hold decimals of at most {_DIGITS_OF_FLOATS} digits in all, found {found}; {cure}"
        raise ColumnTypeError(message, where_of(name))


def _object_integers(known: pd.Series, missing: NDArray[np.bool_], name: object) -> NDArray[Any]:
    cells = np.zeros(len(missing), dtype=object)
    cells[~missing] = known.to_numpy(dtype=object)
    for dtype in (np.int64, np.uint64):
        info = np.iinfo(dtype)
        if all(info.min <= cell <= info.max for cell in cells):
            return cells.astype(dtype)
    beyond = sum(not -(2**63) <= cell < 2**63 for cell in cells)
    message = f"must hold numbers of 64 bits, found {beyond} beyond; convert it with astype(float)"
    raise ColumnTypeError(message, where_of(name))
