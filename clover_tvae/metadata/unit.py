"""Which column says whose a row is, where people have several rows each.

A name says it, or what the cells show. This module knows pandas and names; it never tells a cell.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.labels import are_names, begin_with_given_names, have_form_of_names, name_things
from clover_tvae.columns.names import (
    YEARS,
    is_name_of_people,
    may_count_files,
    names_a_person,
    names_a_place_in_time,
    names_an_id,
    names_people_or_counts_them,
    names_staff,
    names_things,
    numbers_a_person,
)
from clover_tvae.errors import ColumnTypeError

__all__ = ["are_full_names", "has_placeholder", "likely_unit", "likely_units", "says_whose", "shows_people"]

_MIN_VALUES, _MIN_NUMBERED = 20, 50
_ROWS_EACH, _MOST_ROWS_EACH = 10, 100
_NUMBERED = re.compile(r"(\D{0,8}?)(\d{1,15})")
_FEW_NUMBERED, _FEW_GIVEN_OUT, _SHORT = 3, 5, 3
_LOWEST_GIVEN_OUT = 1_000


def likely_unit(df: pd.DataFrame, names: Iterable[Hashable]) -> Hashable | None:
    """Return the first of these columns that by its name tells people with several rows each apart; ``None`` if none does.

    It is named as an identifier, and has at least 20 values: one for two to ten rows on average, or for two to a hundred
    where it is named as that of a person. Where the name may also say how many people there are (``Mitarbeiter``), its cells must
    be texts, or numbers that were given out: one after the other, or of at least four digits and one length. An identifier of
    few values (a department) is no unit, nor is one whose values hardly repeat. Where heading and cells say whose a row is, values
    may be fewer, and rows more; see :func:`says_whose`.
    """
    return next(iter(likely_units(df, names)), None)


def likely_units(df: pd.DataFrame, names: Iterable[Hashable]) -> list[Hashable]:
    """Return all such columns, of which those behind the first are named as that of a person; full names, which two may share, are last."""
    found, of_names = list[Hashable](), list[Hashable]()
    for name in [name for name in names if name in df]:
        is_person = names_a_person(name) or (names_people_or_counts_them(name) and _given_out(df[name], name))
        is_person = is_person and not _are_titles(_counts(df[name], name))
        wanted = len(df) >= 2 * _MIN_VALUES and (is_person or (not found and names_an_id(name)))
        if wanted and _repeat(_counts(df[name], name), _MOST_ROWS_EACH if is_person else _ROWS_EACH):
            found.append(name)
        elif says_whose(df[name], name):
            (found if names_a_person(name) or names_people_or_counts_them(name) else of_names).append(name)
    return [*found, *of_names]


def says_whose(series: pd.Series, name: Hashable) -> bool:
    """Return whether heading and cells say whose a row is, however few people there are, and however many rows each has.

    The heading says that cells are numbers of people (``patient_id``), and there are three; or it is one of people
    (``patient``, ``client``), and there are five full names, texts of one short form (P-004), or numbers that were given out, or
    twenty texts of any form, with up to a hundred rows each, which are no titles of jobs, departments or types; or they are full names
    under a heading of names, but for those of staff.
    """
    of_people = names_a_person(name) or names_people_or_counts_them(name)
    if not of_people and not is_name_of_people(name):
        return False
    rows = _counts(series, name)
    median = float(rows.median()) if len(rows) else 0.0
    if len(rows) < 2 or 1.25 * len(rows) > rows[rows <= max(_MOST_ROWS_EACH, _ROWS_EACH * median)].sum():
        return False
    values = [*rows.index]
    if numbers_a_person(name):
        may_count = may_count_files(name) and not isinstance(values[0], str)
        return len(rows) >= _FEW_NUMBERED and not (may_count and not _are_given_out(rows, _FEW_GIVEN_OUT))
    if of_people:
        are_texts = isinstance(values[0], str) and _repeat(rows, _MOST_ROWS_EACH) and not _are_titles(rows)
        return len(rows) >= _FEW_GIVEN_OUT and (are_texts or are_names(name, values) or _have_numbers(rows, name))
    return (
        not names_staff(name)
        and are_names(name, values)
        and have_form_of_names([str(value).title() for value in values])
    )


def has_placeholder(unit: pd.Series) -> bool:
    """Return whether one of many values of a unit stands in more than a tenth of the rows."""
    rows = unit.value_counts()
    return len(rows) >= _MIN_VALUES and int(rows.iloc[0]) > len(unit) / 10


def are_full_names(series: pd.Series, name: Hashable) -> bool:
    """Return whether the cells show full names, each in several rows, whatever the heading says, but for one of names of things.

    They have a word in its place that no other has, and up to ten rows each; or half of them begin with a common given name, and they
    have up to a hundred.
    """
    return _show_full_names(_counts(series, name), name, len(series))


def shows_people(df: pd.DataFrame, name: Hashable) -> str:
    """Return how the cells of a column show that they tell people with several rows each apart, in a few words; empty if they do not.

    They are full names, texts that are numbered through (P001, P002...), or whole numbers that are: from a thousand on, each in about as
    many rows, or with one value for each in another column, in no order: a sex, a town. Days, weeks and years are numbered
    through as well: their names say so.
    """
    rows = _counts(df[name], name)
    if _show_full_names(rows, name, len(df)):
        return "full names, each in several rows"
    if not _repeat(rows, _ROWS_EACH) or len(df) < 2 * _MIN_VALUES:
        return ""
    values = rows.index.to_numpy()
    if isinstance(values[0], str):
        texts = [*map(str, values)]
        found = [_NUMBERED.fullmatch(text) for text in texts]
        shapes = {(match[1], len(match[2])) for match in found if match}
        is_one = all(found) and len(shapes) == 1 and all(prefix.strip() and n >= 3 for prefix, n in shapes)
        numbers = np.array([float(match[2]) for match in found if match]) if is_one else np.zeros(0)
        return "numbered through, each in several rows" if _run(numbers) else ""
    numbers = values.astype(float)
    is_time = names_a_place_in_time(name) or bool(YEARS[0] <= numbers.min() and numbers.max() <= YEARS[1])
    if is_time or not _run(numbers) or rows.max() > 4 * rows.median():
        return ""
    is_grid = np.gcd.reduce(_steps(numbers)) > 1  # doses, and other settings
    if numbers.min() >= _LOWEST_GIVEN_OUT and not is_grid and _are_even(rows.to_numpy()):
        return "numbered through, each in about as many rows"
    is_told = any(_one_each(df, name, other) for other in df.columns if other != name)
    return "numbered through, each in several rows with the same value in another column" if is_told else ""


def _given_out(series: pd.Series, name: Hashable) -> bool:
    """Return whether cells are texts or numbers that tell people apart, and do not count them: few firms have as many people as many others."""
    rows = _counts(series, name)
    if not _repeat(rows, _MOST_ROWS_EACH):
        return False
    # Few numbers may count people.
    return isinstance(rows.index[0], str) or _are_given_out(
        rows, _MIN_VALUES if _are_even(rows.to_numpy()) else _MIN_NUMBERED
    )


def _are_given_out(rows: pd.Series[int], least: int) -> bool:
    """Return whether at least ``least`` numbers, by the rows of each, are one after the other, or of at least four digits and one length."""
    numbers = rows.index.to_numpy(dtype=float)
    of_one_length = numbers.min() >= _LOWEST_GIVEN_OUT and len({len(f"{number:.0f}") for number in numbers}) == 1
    thirds = [float(np.median(part)) for part in np.array_split(rows.to_numpy()[np.argsort(numbers)], 3)]
    is_even = max(thirds) <= 2 * min(thirds)  # as many rows for low numbers as for high ones
    is_run = _run(numbers, least) and np.gcd.reduce(_steps(numbers)) == 1 and is_even
    return bool(is_run or (of_one_length and (numbers % 10 != 0).mean() > 0.5))


def _have_numbers(rows: pd.Series[int], name: Hashable) -> bool:
    """Return whether nearly all values are texts of one short form with a number, or numbers as people are given; under a heading of many, no numbers are."""
    if isinstance(rows.index[0], str):
        found = [_NUMBERED.fullmatch(str(text)) for text in rows.index]
        starts = [match[1] for match in found if match]
        start = max(starts, key=starts.count, default="")
        word = start.strip(" _.-#")
        is_of_people = (word.isalpha() and len(word) <= _SHORT) or names_a_person(word)
        return is_of_people and starts.count(start) >= min(0.9 * len(found), len(found) - 1)
    return names_a_person(name) and _are_given_out(rows, _FEW_GIVEN_OUT)


def _are_titles(rows: pd.Series[int]) -> bool:
    """Return whether texts without a figure are titles of jobs, departments or types; ``Group 1-03`` may be a patient."""
    return name_things([text for text in rows.index if isinstance(text, str) and not any(map(str.isdigit, text))])


def _repeat(rows: pd.Series[int], most: int) -> bool:
    """Return whether there are at least 20 values, by the rows of each, and more than one row and at most ``most`` for each on average."""
    n_distinct, n_rows = len(rows), int(rows[rows <= most].sum())  # placeholders aside, such as "unknown"
    return n_distinct >= _MIN_VALUES and 1.25 * n_distinct <= n_rows and int(rows.sum()) <= most * n_distinct


def _counts(series: pd.Series, name: Hashable) -> pd.Series[int]:
    """Return how many rows each value has, where they are texts or whole numbers; else nothing."""
    none: pd.Series[int] = pd.Series(dtype=int)
    try:
        holds = CellType.of(series, name).holds
        rows = series.value_counts()
    except (ColumnTypeError, TypeError):
        return none
    if holds == "float":  # whole numbers, some of them missing
        known = rows.index.to_numpy(dtype=float, na_value=np.nan)
        holds = "integer" if np.isfinite(known).all() and (known == np.floor(known)).all() else holds
    return rows[rows > 0] if holds in ("integer", "text", "category") else none


def _show_full_names(rows: pd.Series[int], name: Hashable, n_rows: int) -> bool:
    """Return whether values, by the rows of each, are full names; see :func:`are_full_names`."""
    if not _repeat(rows, _MOST_ROWS_EACH) or n_rows < 2 * _MIN_VALUES or not isinstance(rows.index[0], str):
        return False
    texts = [text for text in map(str, rows.index) if text.strip()]
    if _repeat(rows, _ROWS_EACH) and _are_full_names(texts):
        return True
    return not names_things(name) and begin_with_given_names(texts)


def _are_full_names(texts: list[str]) -> bool:
    """Return whether nearly all of these distinct texts read as full names, most of them with a word in its place that no other has.

    Titles of jobs, and names of streets, use the same words again and again; most names of towns and countries are one word.
    """
    words = [text.split() for text in texts]
    many = max(len({both[0] for both in words}), len({both[-1] for both in words})) > 0.5 * len(words)
    return have_form_of_names(texts) and many


def _run(numbers: NDArray[np.float64], least: int = _MIN_NUMBERED) -> bool:
    """Return whether at least ``least`` distinct numbers are nearly all from the lowest to the highest, in steps."""
    if len(numbers) < least or float(np.abs(numbers).max()) > 2**53:
        return False
    steps = _steps(numbers)
    return bool(len(numbers) >= 0.9 * (steps.sum() / np.gcd.reduce(steps) + 1))


def _steps(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.diff(np.sort(numbers)).astype(np.int64)


def _are_even(counts: NDArray[np.int64]) -> bool:
    """Return whether counts vary less than chance makes them, whose variance is their mean (index of dispersion), in a million columns once."""
    from scipy.stats import chi2  # late, as who only draws rows imports no scipy

    freedom = len(counts) - 1
    return bool(chi2.cdf(freedom * counts.var(ddof=1) / counts.mean(), freedom) < 1e-6)


def _one_each(df: pd.DataFrame, name: Hashable, other: Hashable) -> bool:
    """Return whether a column has one value for each of another, beyond chance, and in no order: a band of ages has an order."""
    try:
        values = pd.Series(pd.factorize(df[other], sort=True)[0], index=df.index)
    except TypeError:
        return False
    shares = values.value_counts(normalize=True)
    if len(shares) < 2 or shares.iloc[0] > 0.8:
        return False
    by = values.groupby(df[name].to_numpy())
    first, size = by.first(), by.size()
    if (size >= 2).sum() < _MIN_VALUES or (by.nunique()[size >= 2] > 1).any():
        return False
    changes = (np.diff(first) != 0).mean()
    return bool(changes > 0.1 and abs(np.corrcoef(np.arange(len(first)), first)[0, 1]) < 0.5)
