"""Dates written as text or as whole numbers: read by a format, and the formats that are tried where none is given.

A year of two digits is read in the hundred years from ``century_starts`` on. A format of digits alone (``%Y%m%d``, ``%H%M``) is
one of whole numbers, too: what lacks its leading zeros is read as if it had them.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.people import People, count_people

_MONTHS = ("%Y-%m", "%m/%Y", "%Y/%m", "%m.%Y", "%m-%Y")
DATE_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z", "%d/%m/%Y",
    "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y",
    "%d.%m.%Y %H:%M", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d/%m/%y", "%m/%d/%y", "%d %b %Y",
    "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%Y%m%d", "%H:%M", "%H:%M:%S", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y",
    "%d.%m.%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%m/%d/%Y %I:%M %p", "%I:%M %p",
    "%d%b%Y", "%d%b%Y:%H:%M:%S", "%d/%m/%y %H:%M", "%m/%d/%y %H:%M", "%d.%m.%y %H:%M", "%m/%d/%y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
    *_MONTHS,
)  # fmt: skip
"""Ways to write a date that are tried where none is given; the first of two that fit the same cells is taken."""

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
DAY_OF_TIMES = "1900-01-01"
"""The day on which a format without a date, such as ``%H%M``, puts its times."""
_DATE_LIKE = re.compile(r"(?=.*\d).{4,40}", flags=re.DOTALL)
_MANY = 2_000
_BOTH_ORDERS = ("%d/%m/%Y", "%m/%d/%Y")
_MOST_SHAPES, _SAMPLE = 6, 1_000
_DIGITS = dict.fromkeys("mdHMSyVUW", 2) | {"Y": 4, "G": 4, "j": 3, "f": 6, "u": 1, "w": 1}
# Formats of whole numbers that are tried, and fewest distinct numbers that show one: fewer may read so by chance.
_OF_NUMBERS = (
    ("%Y%m%d", 5), ("%Y%m%d%H%M", 5), ("%Y%m%d%H%M%S", 5), ("%d%m%Y", 5), ("%m%d%Y", 5), ("%Y%m", 10), ("%H%M", 30),
)  # fmt: skip
_PLAUSIBLE = (1850, 2150)  # years
_MIN_HOURS = 6  # so many different ones: 2000 to 2025 are years
_YEARS_AHEAD = 10


def has_short_years(format: str | None) -> bool:
    """Return whether a format writes years with two digits."""
    return format is not None and bool({"y", "x"} & set(re.findall("%(.)", format)))


def packed_width(format: str | None) -> int:
    """Return how many digits a format of digits alone writes; 0 for any other format.

    Example:
        >>> packed_width("%Y%m%d"), packed_width("%H%M"), packed_width("%Y-%m-%d")
        (8, 4, 0)
    """
    if format is None or not re.fullmatch(f"(%[{''.join(_DIGITS)}])+", format):
        return 0
    return sum(_DIGITS[directive] for directive in format[1::2])


def read_texts(
    texts: Sequence[str] | NDArray[Any], format: str, century_starts: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_], set[datetime.timedelta]]:
    """Read distinct texts as dates.

    Args:
        format: How they are written, in ``strptime``'s directives.
        century_starts: The first of the hundred years that two digits may mean; ``None``: 1969, which is ``strptime``'s.

    Returns:
        Microseconds since 1970, in UTC where the text has an offset, 0 where it is no date; which texts are dates; and the
        offsets from UTC that they have, none for a format without ``%z``.
    """
    instants, readable = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=bool)
    offsets: set[datetime.timedelta] = set()
    century = century_starts if has_short_years(format) else None
    if width := packed_width(format):
        texts = [text.zfill(width) if type(text) is str and text.isdecimal() else text for text in texts]
    if len(texts) > _MANY and "%z" not in format and century is None:
        # pandas parses many texts at once, but only of 1678 to 2261; it leaves the others to the loop.
        with contextlib.suppress(ValueError, re.error):  # directives that only strptime knows
            times = pd.to_datetime(pd.Series(texts), format=format, errors="coerce").to_numpy()
            readable = ~np.isnat(times)
            instants[readable] = times[readable].astype("M8[us]").astype(np.int64)
    for i in np.flatnonzero(~readable):
        try:
            time = datetime.datetime.strptime(texts[i], format)
            if century is not None:  # 29 February of a year that has none is no date
                time = time.replace(year=century + (time.year - century) % 100)
            if (offset := time.utcoffset()) is not None:
                offsets.add(offset)
                time = time.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        except (ValueError, TypeError, OverflowError, re.error):
            continue
        instants[i], readable[i] = (time - EPOCH) // MICROSECOND, True
    return instants, readable, offsets


class Written(NamedTuple):
    """How texts of one shape, such as ``99/99/9999``, are written.

    Args:
        formats: Those that read most of them; several where they differ in what they read: nobody can tell which it is; none
            where some cells have the day first and others the month.
        texts: The distinct texts.
    """

    formats: tuple[str, ...]
    texts: list[str]


def formats_of(
    texts: Sequence[str], share: float = 0.95, order: str = "", *, are_dates: bool = False
) -> list[Written] | None:
    """Return how distinct texts are written that are dates, the most frequent shape first; ``None`` if fewer than ``share`` are.

    Args:
        share: The part that must parse, in [0, 1).
        order: ``"day"`` or ``"month"``: which of the two comes first, where that is known.
        are_dates: That they are is known: else a few texts such as ``3/2016`` are no months.

    Example:
        >>> [written.formats for written in formats_of(["31/01/2020", "05/06/2021", "2020-03-04"], 0.9)]
        [('%d/%m/%Y',), ('%Y-%m-%d',)]
        >>> [written.formats for written in formats_of(["03/01/2020", "05/06/2021"], 0.9)]
        [('%d/%m/%Y', '%m/%d/%Y')]
    """
    shapes: dict[str, list[str]] = {}
    for text in texts:
        if _DATE_LIKE.fullmatch(text):
            digits = re.sub(r"\d+", lambda found: "9" * max(2, len(found[0])), text)
            shapes.setdefault(re.sub(r"[^\W\d_]{3,}", "a", digits), []).append(text)
    found = []
    for alike in sorted(shapes.values(), key=len, reverse=True)[:_MOST_SHAPES]:
        reads = {}
        for format in DATE_FORMATS:
            day_first = format.find("%d") < format.find("%m")
            if order and "%m" in format and not format.startswith("%Y") and day_first != (order == "day"):
                continue
            if format == "%Y%m%d" and not all(re.fullmatch(r"(19|20)\d{6}", text) for text in alike):
                continue
            if not read_texts(alike[:20], format)[1].any():
                continue
            instants, readable, _ = read_texts(alike[:_SAMPLE], format)
            if readable.mean() > share and (are_dates or format not in _MONTHS or _are_months(instants[readable])):
                reads[format] = (readable.sum(), instants.tobytes())
        if reads:
            most = max(n for n, _ in reads.values())
            differing = {instants: format for format, (n, instants) in reversed(reads.items()) if n == most}
            found.append(Written(tuple(sorted(differing.values(), key=DATE_FORMATS.index)), alike))
        elif all(read_texts(alike[:_SAMPLE], format)[1].any() for format in _BOTH_ORDERS):
            found.append(Written((), alike))
    n_read = sum(len(written.texts) for written in found)
    return found if texts and n_read > share * len(texts) else None


def guess_format(texts: pd.Series) -> str | None:
    """Return the one format that reads nearly all of some texts of dates, none of them missing; ``None`` where there is none."""
    first = {written.formats[:1] for written in formats_of(texts.unique()[:_SAMPLE].tolist(), are_dates=True) or ()}
    return next(iter(first.pop()), None) if len(first) == 1 else None


def whole_number_format(numbers: NDArray[Any]) -> str | None:
    """Return the format that reads all of some whole numbers as dates or times; ``None`` where none does.

    Numbers of other things hardly ever pass: every one must be a date between 1850 and 2150 (months: several, of several
    years), or a time of day, with many different hours and no steps of 25, 50 or 100. A year alone is no date: any number
    between two years is one.

    Example:
        >>> whole_number_format(np.array([20180314, 20180401, 19991231, 20200229, 20110607]))
        '%Y%m%d'
        >>> whole_number_format(np.array([32000, 45500, 51200, 20180, 60000])) is None
        True
    """
    return next(iter(whole_number_formats(numbers)), None)


def whole_number_formats(numbers: NDArray[Any]) -> Iterator[str]:
    """Yield all formats of :func:`whole_number_format`; of two, such as ``%d%m%Y`` and ``%m%d%Y``, nobody can tell which it is."""
    with np.errstate(invalid="ignore"):
        if not len(numbers) or not (numbers == np.floor(numbers)).all() or numbers.min() < 0 or numbers.max() >= 10**14:
            return
    digits = len(str(int(numbers.min()))), len(str(int(numbers.max())))
    if digits[1] not in {packed_width(format) for format, _ in _OF_NUMBERS}:
        return
    distinct = np.unique(numbers).astype(np.int64)
    for format, least in _OF_NUMBERS:
        width = packed_width(format)
        short = width - (format[:2] in ("%d", "%m")) if format != "%H%M" else 1  # leading zeros that a number lacks
        if len(distinct) < least or digits[1] != width or digits[0] < short:
            continue
        if short == 7 and len(set(distinct // 10**6)) < 3:  # numbers near each other, not days
            continue
        texts = [str(number) for number in distinct[:1000]]
        instants, readable, _ = read_texts(texts, format)
        if not readable.all() or not read_texts([str(number) for number in distinct[1000:]], format)[1].all():
            continue
        if format == "%H%M":
            if len(set(distinct // 100)) >= _MIN_HOURS and np.gcd.reduce(np.diff(distinct)) % 25 != 0:
                yield format
            continue
        years = _years(instants)
        of_many = format != "%Y%m" or _are_months(instants)
        if _PLAUSIBLE[0] <= years.min() and years.max() <= _PLAUSIBLE[1] and of_many:
            yield format


def _are_months(instants: NDArray[np.int64]) -> bool:
    """Return whether distinct dates are at least ten months of several years from 1850 to 2150, of both halves of the year.

    Quarters and terms (3/2016) are all in the first half, and of school years (2004/05) there is one month a year.
    """
    years, months = _years(instants), instants.astype("M8[us]").astype("M8[M]").astype(np.int64)
    is_plausible = _PLAUSIBLE[0] <= years.min() and years.max() <= _PLAUSIBLE[1]
    of_year = set(months % 12)
    is_varied = len(set(months)) >= 10 and len(of_year) > 2 and max(of_year) >= 6
    return bool(is_plausible and is_varied and 1 < len(set(years)) < len(set(months)))


def century_of(texts: Sequence[str] | NDArray[Any], format: str, least: int = 1, people: People | None = None) -> int:
    """Propose in which year the hundred years begin that years of two digits mean.

    They end this year, or ten years from now where the years lie behind their widest gap only so; where that gap says that at
    least ``least`` texts, or ``people`` whose they are, are of other years, they begin with its decade.

    Example:
        >>> century_of(["14/03/04", "01/12/11", "07/07/95", "20/01/02"], "%d/%m/%y") == datetime.date.today().year - 99
        True
    """
    instants, readable, _ = read_texts(texts, format)
    short = _years(instants[readable]) % 100
    years = np.unique(short)
    gaps = np.diff(years, append=years[:1] + 100)
    now = datetime.date.today().year
    latest = now + _YEARS_AHEAD
    last = int(years[np.argmax(gaps)]) if len(years) else 99
    last += (latest - last) // 100 * 100
    meant = last - (last - short) % 100
    for end in (now, latest):
        is_other = (meant > end) | (meant <= end - 100)
        if count_people(None if people is None else people[readable][is_other], int(is_other.sum())) < least:
            return end - 99
    return max((last + int(gaps.max(initial=1)) - 100) // 10 * 10, last - 99)


def _years(instants: NDArray[np.int64]) -> NDArray[np.int64]:
    return instants.astype("M8[us]").astype("M8[Y]").astype(np.int64) + 1970
