"""What the columns of a table look like, with the reason for each guess.

This module knows pandas and columns. It says names, counts and dtypes, and words that at least ``MIN_COUNT`` people share, never another cell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import Calendar, unit_and_zone
from clover_tvae.columns.cells import ZONEINFO
from clover_tvae.columns.date_formats import whole_number_formats
from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.labels import are_contacts, are_long_numbers, are_names, have_form_of_names, names_people
from clover_tvae.columns.names import is_name_of_people, may_name_an_id, names_an_id, names_staff
from clover_tvae.columns.numeric import identifier_told, read_numbers
from clover_tvae.columns.people import People, holders, least_rows, people_of
from clover_tvae.errors import (
    CloverWarning,
    ColumnTypeError,
    MetadataError,
    NonFiniteError,
    Problem,
    TooFewRowsError,
    did_you_mean,
)
from clover_tvae.metadata.column import Column, Kind
from clover_tvae.metadata.proposals import (
    MAX_CODES,
    Finding,
    Texts,
    births,
    look_at_texts,
    marker_numbers,
    markers_told,
)
from clover_tvae.metadata.readings import read_column
from clover_tvae.metadata.unit import likely_units, shows_people
from clover_tvae.metadata.validate import BIRTHS, KEEP_LESS, are_births, require_frame
from clover_tvae.parameters import MIN_COUNT

REPEATS = (
    "looks like the identifier of people with several rows each; rows are learnt as if independent: their order and how "
    "they depend on each other are not modelled; unit: COLUMN in the metadata makes every later step count people"
)
"""What is said of a column that seems to name people several times."""

MADE_ANEW = (
    "repeats, and is made anew for each row: as rows are learnt as if independent, every synthetic row is a person of its "
    "own, and no person has several rows; leave 'regenerate' out to drop the column"
)
"""What is said of an identifier that repeats and is made anew."""

PLACEHOLDER = (
    "one value of the unit stands in more than a tenth of the rows: it counts as one person, so that means of numbers take in still "
    "more rows, to be surely of min_count people; if it means unknown, make these cells missing"
)
"""What is said of a unit in which a value seems to stand for nobody."""

_NAMES = "names of people, as its heading or its cells say"
_ROWS_A_CODE = 5
# Below this many rows, "another value in every row" is chance rather than a sign of an identifier.
_MIN_UNIQUE = 20


class MetadataWarning(CloverWarning):
    """A column looks like an identifier, free text or a date in disguise, or cannot be modelled."""


WORDS: dict[str, str] = {
    "number": "", "decimal-comma": "", "decimal-point": "", "pair": "", "date": "", "day-first": "", "month-first": "",
    "boolean": "", "ordinal": "", "missing": "", "keep": "", "category": "categorical", "id": "id", "drop": "ignore",
    "continuous": "number", "categorical": "categorical", "datetime": "date", "ignore": "ignore",
}  # fmt: skip
"""The words that say what a column is, and the kind, or the other word, that each stands for."""


def inferred(df: pd.DataFrame, said: Mapping[Hashable, str] | None = None) -> list[Finding]:
    """Return a finding for every column, in the table's order; of a table without rows nothing can be told.

    Args:
        said: A word for each column whose owner says what it is; see ``WORDS``.

    Raises:
        MetadataError: A word is none, names no column, or does not fit its cells.
    """
    require_frame(df)
    if not len(df):
        raise TooFewRowsError("must have rows to tell what its columns are, found none", "table")
    said, problems = dict(said or {}), list[Problem]()
    for name in [name for name in said if name not in df.columns]:
        problems.append(Problem("set", f"no column is called {name!r}{did_you_mean(name, df.columns)}"))
    named = likely_units(df, df.columns)
    unit = next((name for name in named if name not in said), None)
    findings = _looked(df, said, people_of(df, unit), problems)
    open_names = [name for name in df.columns if name not in named and _may_show_people(findings[name], said)]
    shown: dict[Hashable, str] = {name: how for name in open_names if (how := shows_people(df, name))}
    units = [name for name in (*named, *shown) if name not in said or findings[name].column.kind == "id"]
    people = people_of(df, units[0] if units else None)
    if units and units[0] != unit:
        findings = _looked(df, said, people, [])
    for name in units:
        is_unit = name == units[0]
        reason = shown[name] if name in shown else f"an identifier that repeats{': the unit' * is_unit}"
        here = REPEATS.replace("COLUMN in the metadata", "it, as declared here,")
        here = here if is_unit else f"looks like an identifier of people with several rows each, beside {units[0]!r}"
        warning = f"{here}; declared 'id', dropped and never learnt"
        is_open = name in shown or not may_name_an_id(name)
        words = ("number" if findings[name].column.kind == "continuous" else "category",) if is_open else ()
        findings[name] = Finding(
            Column(name, "id"), reason, "" if name in said else warning, is_unit=is_unit, words=words
        )
    if len(df) < _MIN_UNIQUE:
        return list(findings.values())
    for name, found in findings.items():
        word = said.get(name, "").partition(":")[0]
        if word in ("", "keep", "missing"):
            made = _learnable(found, df, people)
            findings[name] = replace(made, warning="", words=()) if word == "keep" else made
    return list(findings.values())


def _looked(
    df: pd.DataFrame, said: Mapping[Hashable, str], people: People | None, problems: list[Problem]
) -> dict[Hashable, Finding]:
    """Return what each column looks like by itself; of people, what stands in the metadata is what enough of them have.

    Raises:
        MetadataError: These problems, and the words that do not fit.
    """
    findings: dict[Hashable, Finding] = {}
    for name in df.columns:
        try:
            findings[name] = (
                _decided(name, df, said[name], people) if name in said else _look(name, df[name], df.columns, people)
            )
        except MetadataError as error:
            problems += error.problems
    MetadataError.raise_any(problems)
    return findings


def _may_show_people(found: Finding, said: Mapping[Hashable, str]) -> bool:
    """Return whether it is open what a column is: nobody said it, and it is plain numbers or labels, or names, but of no staff."""
    plain = found.column.kind in ("continuous", "categorical") and not found.column.read_as and found.second is None
    plain = plain or (found.reason.startswith(_NAMES) and not names_staff(found.name))
    return (plain or "id" in found.words) and not found.asks and found.name not in said


def _decided(name: Hashable, df: pd.DataFrame, said: str, people: People | None) -> Finding:
    """Return what the owner of a column says that it is, with what its cells tell of how."""
    series = df[name]
    word, _, listed = str(said).partition(":")
    if word not in WORDS or (listed and word != "missing"):
        text = f"column {name!r}: unknown word {said!r}; use one of {', '.join(WORDS)}{did_you_mean(word, WORDS)}"
        raise MetadataError(text, "set")
    if word == "missing":
        return _without(name, series, listed, df.columns, people)
    if word == "keep":
        return replace(_look(name, series, df.columns, people), warning="", words=(), asks=False)
    known_cells = series[series.notna().to_numpy(dtype=bool)]
    target = WORDS[word] or word
    found: Finding | None = None
    if target in ("categorical", "id", "ignore"):
        found = Finding(Column(name, target), "as you say")  # type: ignore[arg-type]
    else:
        found = _look_as(name, series, known_cells, target, df.columns, people)
    if found is None or found.asks:
        why = found.warning if found is not None else "its cells cannot be read so"
        raise MetadataError(f"column {name!r}: {word!r} does not settle it: {why}", "set")
    try:
        read_column(series, found.column)
    except ColumnTypeError as error:
        raise MetadataError(error.problems) from None
    reason = f"{found.reason}, as you say".removeprefix("as you say, ")
    return replace(found, reason=reason, warning=found.warning if found.column.odd else "", words=())


def _look_as(
    name: Hashable, series: pd.Series, known: pd.Series, word: str, names: Iterable[Hashable], people: People | None
) -> Finding | None:
    """Return a column as a word says; ``None`` where its cells are nothing of the kind."""
    cells = CellType.of(series, name).settled(known)
    if cells.is_text or cells.holds in ("text", "mixed"):
        spelt, rows = known.astype(object).map(_spelt), np.flatnonzero(series.notna())
        texts = Texts(name, spelt, rows, frozenset(names), word, people)
        found = look_at_texts(texts)
        if found is None and word == "ordinal":
            return Finding(Column(name, "ordinal"), "sorted, lowest first")
        return found
    is_number = cells.holds in ("integer", "float", "decimal")
    if word in ("date", "day-first", "month-first"):
        if cells.holds == "datetime":
            return _look(name, series, names, people)
        order = {"day-first": "%d", "month-first": "%m"}.get(word, "%")
        formats = [*whole_number_formats(known.to_numpy(dtype=float))] if is_number else []
        fitting = [format for format in formats if format.startswith((order, "%Y", "%H"))]
        return _whole_dates(name, fitting) if fitting else None
    fitting_kinds: dict[str, tuple[Kind, bool]] = {
        "number": ("continuous", is_number),
        "boolean": ("boolean", cells.holds == "boolean" or (is_number and known.isin([0, 1]).all())),
        "ordinal": ("ordinal", True),
    }
    kind, fits = fitting_kinds.get(word, ("ignore", False))
    return Finding(Column(name, kind), str(series.dtype)) if fits else None


def _without(
    name: Hashable, series: pd.Series, listed: str, names: Iterable[Hashable], people: People | None
) -> Finding:
    """Look at a column whose markers, those listed or those found, are missing."""
    markers: list[Any] = [_number_or_text(text) for text in listed.split(";") if text]
    if not markers:
        first = _look(name, series, names, people)
        read = read_column(series, first.column)
        if pd.api.types.is_numeric_dtype(read.dtype):
            marked = marker_numbers(read.to_numpy(dtype=float, na_value=np.nan), people)
            markers = [int(number) if number == int(number) else number for number in marked]
        else:
            spelt, rows = series.dropna().astype(object).map(str), np.flatnonzero(series.notna())
            texts = Texts(name, spelt, rows, people=people)
            markers = [*texts.markers]
    if not listed and not markers and first.column.missing:
        return replace(first, warning="", words=())
    if not markers:
        raise MetadataError(f"column {name!r}: no marker was found; list them, such as missing:999;unknown", "set")
    both = tuple(dict.fromkeys([*markers, *(f"{m:g}" if isinstance(m, float) else str(m) for m in markers)]))
    gone = read_column(series, Column(name, "categorical", missing=both))
    found = _look(name, gone, names, people)
    if found.column.kind in ("id", "ignore"):
        return found
    is_text = found.column.kind not in ("continuous", "datetime") and not pd.api.types.is_numeric_dtype(series.dtype)
    own = tuple(str(m) for m in markers) if is_text else tuple(markers)
    column = replace(found.column, missing=tuple(dict.fromkeys([*(found.column.missing or ()), *own])))
    n = int(gone.isna().sum() - series.isna().sum())
    return replace(found, column=column, reason=f"{found.reason}; {n} cells that mean missing, as you say")


def _spelt(cell: Any) -> str:
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)


def _number_or_text(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _look(name: Hashable, series: pd.Series, names: Iterable[Hashable], people: People | None) -> Finding:
    try:
        cells, known = CellType.of(series, name), series[series.notna().to_numpy(dtype=bool)]
        cells = cells.settled(known)
        with contextlib.suppress(NonFiniteError):  # which is the table's fault, not the column's
            if cells.is_number:
                read_numbers(known, name)
    except ColumnTypeError as error:
        why = error.problems[0].message
        return Finding(Column(name, "ignore"), why, f"{why}: declared 'ignore' as it stands")
    if known.empty:
        kind: Kind = "continuous" if cells.holds in ("integer", "float", "decimal") else "categorical"
        return Finding(Column(name, kind), f"{series.dtype}, every cell is missing")
    match cells.holds:
        case "boolean":
            return Finding(Column(name, "boolean"), f"{series.dtype}: true and false")
        case "integer" | "float" | "decimal":
            whose = None if people is None else people[series.notna().to_numpy(dtype=bool)]
            return _look_at_numbers(name, known, len(series), whose)
        case "datetime":
            zone = (unit_and_zone(cells)[1] or "").removeprefix(ZONEINFO)
            found = Finding(Column(name, "datetime", time_zone=zone or None), f"{series.dtype}: dates")
            return _of_births(found, known)
        case "category":
            return _look_at_category(name, cells, known)
        case "text":
            return _look_at_text(name, known, np.flatnonzero(series.notna()), frozenset(names), people)
    if (mixed := _look_as(name, series, known, "", names, people)) is not None and mixed.column.kind == "continuous":
        column = mixed.column  # numbers stay numbers where all of them are
        is_bare = not (column.unit or column.decimal or column.thousands or column.below or column.above)
        return replace(mixed, column=replace(column, read_as=None, decimals=None) if is_bare else column)
    cure = "each type kept apart; clean the column if it is meant as one"
    warning = f"mixes cells of several types: declared 'categorical', {cure}"
    return Finding(Column(name, "categorical"), "cells of several types, taken as labels", warning)


def _of_births(found: Finding, known: pd.Series) -> Finding:
    """Say so where dates are of births."""
    with contextlib.suppress(ColumnTypeError):  # which a fit tells
        if are_births(found.name, *Calendar.learn(known, found.name, *found.column.date_options)):
            return replace(
                found, warning=f"{BIRTHS}: declared 'datetime' and learnt; {KEEP_LESS}", words=("keep", "drop")
            )
    return found


def _learnable(found: Finding, df: pd.DataFrame, people: People | None) -> Finding:
    """Leave out a column of which a fit would learn nothing, and which it would refuse."""
    if not found.column.modelled:
        return found
    is_number = found.column.kind in ("continuous", "datetime")
    least, counts = least_rows(people, MIN_COUNT) if is_number else MIN_COUNT, []
    with contextlib.suppress(ColumnTypeError):  # which a fit tells
        counts = [_held(read_column(df[found.name], column), column, people) for column in found.columns]
    if not any(0 < n < least for n in counts):
        return found
    if is_number:
        reason = f"values in fewer than {least} cells"
        reason += f", the fewest that are surely of {MIN_COUNT} people" * (least > MIN_COUNT)
        warning = (
            f"holds {reason}: declared 'ignore', neither learnt nor given back; gather more people to have it learnt"
        )
        return Finding(Column(found.name, "ignore"), reason, warning)
    reason = f"values of which none is {f'in {least} cells' if people is None else f'held by {least} people'}"
    warning = f"holds {reason}, so that each may name people: declared 'ignore', neither learnt nor given back; merge values to have them learnt"
    return Finding(Column(found.name, "ignore"), reason, warning, words=("id",))


def _held(cells: pd.Series, column: Column, people: People | None) -> int:
    """Return on how many a column rests: the people who hold its most frequent category, or the rows of all its numbers or dates."""
    if column.kind in ("continuous", "datetime"):
        return int(cells.count())
    return int(holders(cells, people).max()) if cells.count() else 0


def _look_at_numbers(name: Hashable, cells: pd.Series, n_rows: int, people: People | None) -> Finding:
    numbers = cells.to_numpy(dtype=float, na_value=np.nan)
    n_distinct = int(cells.nunique())
    share = n_distinct / len(cells)
    told = identifier_told(numbers, name, n_rows)
    if not bool(np.all(np.isfinite(numbers)) and np.all(numbers == np.floor(numbers))):
        return _measured(name, cells, numbers, n_distinct, people)
    if formats := [*whole_number_formats(numbers)]:
        return births(name, formats) or _whole_dates(name, formats)
    if "dates" in told:
        cure = "make these missing and declare it 'datetime' with the format '%Y%m%d'"
        what = f"{told}, and some that are none"
        if "yyyy" not in told:
            what, cure = told, "write them with all digits of the year, such as 19641231"
        return Finding(
            Column(name, "ignore"), told, f"holds {what}: declared 'ignore'; {cure}, or 'continuous' as it is"
        )
    if told:
        is_full = share > 0.5 and 2 * len(cells) > n_rows  # a sparse column is not filled
        cure = f"{'made anew as a sequence' if is_full else 'dropped'} and never learnt; declare it 'continuous' if it is a measurement"
        warning = f"looks like an identifier ({told}): declared 'id', {cure}"
        reason = f"whole numbers that look like an identifier: {told}"
        return Finding(Column(name, "id", regenerate="sequence" if is_full else None), reason, warning)
    if n_distinct <= MAX_CODES and len(cells) >= _ROWS_A_CODE * n_distinct:
        reason = f"whole numbers with only {_values(n_distinct)}, taken for codes"
        return Finding(Column(name, "categorical"), reason)
    return _measured(name, cells, numbers, n_distinct, people)


def _measured(
    name: Hashable, cells: pd.Series, numbers: NDArray[Any], n_distinct: int, people: People | None
) -> Finding:
    """Return a column of numbers; numbers that may mean missing are asked about."""
    reason = f"{cells.dtype} with {n_distinct} distinct values"
    if marked := marker_numbers(numbers, people):
        warning = f"holds numbers of which {markers_told(marked)}"
        return Finding(Column(name, "continuous"), reason, warning, words=("missing", "keep"), asks=True)
    return Finding(Column(name, "continuous"), reason)


def _whole_dates(name: Hashable, formats: list[str]) -> Finding:
    """Return a column of whole numbers that are dates or times; which of two formats it is, is asked."""
    if len(formats) > 1:
        text = "holds dates as whole numbers, and no day is over 12, so that day and month cannot be told apart"
        warning = f"{text}: say day-first or month-first; until then they are learnt as numbers"
        words = ("day-first", "month-first", "drop")
        return Finding(Column(name, "continuous"), "whole numbers that read as dates", warning, words=words, asks=True)
    cure = "declare it 'continuous' if these are other numbers"
    warning = f"holds dates or times as whole numbers: declared 'datetime' with the format {formats[0]!r}; {cure}"
    column = Column(name, "datetime", format=formats[0])
    return Finding(column, f"whole numbers that read as {formats[0]!r}", warning, words=("number", "drop"))


def _look_at_category(name: Hashable, cells: CellType, known: pd.Series) -> Finding:
    if cells.ordered:
        # The order stays with the dtype: written down here, levels that one person holds would stand in every file.
        reason = f"an ordered category dtype with {len(cells.categories)} levels"
        return Finding(Column(name, "ordinal"), reason)
    if cells.is_text:
        found = _look_at_text(name, known.astype(object))
        if found.column.kind in ("id", "ignore"):
            return found
    return Finding(Column(name, "categorical"), f"a category dtype with {known.nunique()} values in use")


def _look_at_text(
    name: Hashable,
    cells: pd.Series,
    rows: NDArray[np.int64] | None = None,
    names: frozenset[Hashable] = frozenset(),
    people: People | None = None,
) -> Finding:
    n_distinct, n_cells = int(cells.nunique()), len(cells)
    share, texts = n_distinct / n_cells, cells.astype(object)
    seen = Texts(name, texts, np.arange(n_cells) if rows is None else rows, names, people=people)
    if (found := look_at_texts(seen)) is not None:
        return found
    sample: pd.Series = texts.head(1000)
    is_prose = sample.str.len().mean() > 30 and sample.str.count(r"\s").mean() >= 3
    if n_cells >= _MIN_UNIQUE and share > 0.5 and is_prose:
        warning = "looks like free text: declared 'ignore', neither learnt nor given back"
        return Finding(Column(name, "ignore"), f"free text: {n_distinct} long distinct values", warning)
    counts = cells.value_counts().to_numpy(dtype=np.int64)
    distinct = list(texts.unique())
    are_many_names = n_distinct >= _MIN_UNIQUE and is_name_of_people(name) and are_names(name, distinct)
    named = (share > 0.5 and names_an_id(name)) or are_many_names
    once = (counts == 1).sum() > 0.5 * n_cells and n_distinct >= _MIN_UNIQUE
    named = named or (once and have_form_of_names(distinct))
    if names_people(counts) or (n_cells >= _MIN_UNIQUE and named) or are_contacts(distinct):
        often = f"another value in {_often(max(share, (counts == 1).sum() / n_cells))}"
        cure = "add regenerate='sequence', 'uuid' or a pattern to have it made anew"
        words = ("pair",) if seen.are_pairs else ()
        cure = f"pair if they are two measurements each; {cure}" if words else cure
        warning = f"looks like an identifier ({often}): declared 'id', dropped and never learnt; {cure}"
        return Finding(Column(name, "id"), f"text with {often}", warning, words=words)
    if are_names(name, distinct):
        reason = f"{_NAMES}: {_values(n_distinct)}"
        warning = f"holds {reason}: declared 'id', dropped and never learnt; declare it 'categorical' if they are none"
        return Finding(Column(name, "id"), reason, warning, words=("category",))
    if are_long_numbers(distinct):
        warning = (
            "holds long numbers, each in several rows, such as insurance, case or account numbers: declared 'id', dropped and "
            "never learnt; declare it 'categorical' if they name no people"
        )
        return Finding(Column(name, "id"), "long numbers as text", warning, words=("category",))
    told = "".join(f"; {n} cells {word!r} are one of them" for word, n in seen.markers.items())
    reason = f"text with {_values(n_distinct)}{told}"
    return Finding(Column(name, "categorical"), reason, words=("missing",) if told else ())


def _values(n_distinct: int) -> str:
    return f"{n_distinct} distinct value{'s' if n_distinct != 1 else ''}"


def _often(share: float) -> str:
    return "every row" if share == 1 else f"{share:.0%} of the rows"
