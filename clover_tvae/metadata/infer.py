"""What the columns of a table look like, with the reason for each guess.

This module knows pandas and columns. It says names, counts and dtypes, never a cell.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import unit_and_zone
from clover_tvae.columns.cells import ZONEINFO
from clover_tvae.columns.date_formats import century_of, guess_format, has_short_years, read_texts, whole_number_format
from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.labels import are_contacts, names_people
from clover_tvae.columns.numeric import identifier_told, is_number_text, read_numbers
from clover_tvae.errors import CloverWarning, ColumnTypeError, NonFiniteError, TooFewRowsError, data_rows
from clover_tvae.metadata.column import Column, Kind
from clover_tvae.metadata.validate import require_frame

__all__ = ["MADE_ANEW", "REPEATS", "Finding", "MetadataWarning", "inferred", "likely_unit"]

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

# Whole numbers with at most this many distinct values, each met five times on average, are taken for codes.
_MAX_CODES = 10
_ROWS_A_CODE = 5
# Below this many rows, "another value in every row" is chance rather than a sign of an identifier.
_MIN_UNIQUE = 20
_SHARE = 0.95
# A name that says "identifier" outright, and one that only may.
_ID_NAME = re.compile(
    r"(?:^|[^a-z])(?:ids?|uuid|guid|sno|ssn|mrn|(?:e-?)?mail|phone|iban|passport)(?:$|[^a-z])", re.IGNORECASE
)
# ... or the name of a person.
_NAME = re.compile(r"(?:(?:full|sur|last|first|family|given|patient|employee|customer)[ _-]?)?names?", re.IGNORECASE)
_ID_CAMEL = re.compile(r"[a-z](?:Id|ID)$")
_MAY_BE_ID_NAME = re.compile(
    r"(?:^|[^a-z])(?:key|index|number|no|nr|num|record)(?:$|[^a-z])|[a-z](?:Key|Number|No|Nr)$", re.IGNORECASE
)
_PERSON = re.compile(
    r"patient|subject|person|client|customer|user|member|employee|participant|student|mrn|ssn", re.IGNORECASE
)
_LEADING_ZERO = re.compile(r"\s*0\d")


class MetadataWarning(CloverWarning):
    """A column looks like an identifier, free text or a date in disguise, or cannot be modelled."""


@dataclass(frozen=True)
class Finding:
    """One column as it looks.

    Args:
        column: What it is taken for.
        reason: Why, in a few words.
        warning: What its owner should look at; empty if the guess is plain.
        is_unit: Whether it tells which rows are of one person.
    """

    column: Column
    reason: str
    warning: str = ""
    is_unit: bool = False


def inferred(df: pd.DataFrame) -> list[Finding]:
    """Return a finding for every column, in the table's order; of a table without rows nothing can be told."""
    require_frame(df)
    if not len(df):
        raise TooFewRowsError("must have rows to tell what its columns are, found none", "table")
    findings: dict[Hashable, Finding] = {name: _look(name, df[name]) for name in df.columns}
    if (unit := likely_unit(df, df.columns)) is not None:
        here = REPEATS.replace("COLUMN in the metadata", "it, as declared here,")
        reason, warning = "an identifier that repeats: the unit", f"{here}; declared 'id', dropped and never learnt"
        findings[unit] = Finding(Column(unit, "id"), reason, warning, is_unit=True)
    return list(findings.values())


def likely_unit(df: pd.DataFrame, names: Iterable[Hashable]) -> Hashable | None:
    """Return the first of these columns that seems to name people with several rows each; ``None`` if none does.

    It is named as an identifier, and has at least 20 values: one for two to ten rows on average, or for two to a hundred
    where it is named as that of a person. An identifier of few values (a department) is no unit, nor is one whose values
    hardly repeat.
    """
    if len(df) < 2 * _MIN_UNIQUE:
        return None
    for name in names:
        is_person = bool(_PERSON.search(str(name))) and (_may_name_an_id(name) or str(name).isalpha())
        if name not in df or not (is_person or _names_an_id(name)):
            continue
        try:
            holds = CellType.of(df[name], name).holds
            n_distinct = int(df[name].nunique())
        except (ColumnTypeError, TypeError):
            continue
        most = 100 if is_person else 10
        repeats = 1.25 * n_distinct <= int(df[name].notna().sum()) <= most * n_distinct
        if holds in ("integer", "text", "category") and n_distinct >= _MIN_UNIQUE and repeats:
            return name
    return None


def _look(name: Hashable, series: pd.Series) -> Finding:
    try:
        cells, known = CellType.of(series, name), series[series.notna().to_numpy(dtype=bool)]
        cells = cells.settled(known)
        with contextlib.suppress(NonFiniteError):  # which is the table's fault, not the column's
            if cells.is_number:
                read_numbers(known, name)
    except ColumnTypeError as error:
        found = error.problems[0].message
        return Finding(Column(name, "ignore"), found, f"{found}: declared 'ignore' as it stands")
    if known.empty:
        kind: Kind = "continuous" if cells.holds in ("integer", "float", "decimal") else "categorical"
        return Finding(Column(name, kind), f"{series.dtype}, every cell is missing")
    match cells.holds:
        case "boolean":
            return Finding(Column(name, "boolean"), f"{series.dtype}: true and false")
        case "integer" | "float" | "decimal":
            return _look_at_numbers(name, known)
        case "datetime":
            zone = (unit_and_zone(cells)[1] or "").removeprefix(ZONEINFO)
            return Finding(Column(name, "datetime", time_zone=zone or None), f"{series.dtype}: dates")
        case "category":
            return _look_at_category(name, cells, known)
        case "text":
            return _look_at_text(name, known, np.flatnonzero(series.notna()))
    cure = "each type kept apart; clean the column if it is meant as one"
    warning = f"mixes cells of several types: declared 'categorical', {cure}"
    return Finding(Column(name, "categorical"), "cells of several types, taken as labels", warning)


def _look_at_numbers(name: Hashable, cells: pd.Series) -> Finding:
    numbers = cells.to_numpy(dtype=float, na_value=np.nan)
    n_distinct = int(cells.nunique())
    share = n_distinct / len(cells)
    told = identifier_told(numbers)
    named = (share == 1 and _may_name_an_id(name)) or (share > 0.5 and _names_an_id(name))
    if not bool(np.all(np.isfinite(numbers)) and np.all(numbers == np.floor(numbers))):
        return Finding(Column(name, "continuous"), f"{cells.dtype} with {n_distinct} distinct values")
    if (format := whole_number_format(numbers)) is not None:
        cure = "declare it 'continuous' if these are other numbers"
        warning = f"holds dates or times as whole numbers: declared 'datetime' with the format {format!r}; {cure}"
        return Finding(Column(name, "datetime", format=format), f"whole numbers that read as {format!r}", warning)
    if "dates" in told:
        cure = "make these missing and declare it 'datetime' with the format '%Y%m%d', or 'continuous' as it is"
        return Finding(Column(name, "ignore"), told, f"holds {told}, and some that are none: declared 'ignore'; {cure}")
    if len(cells) >= _MIN_UNIQUE and (told or named):
        why = told or f"another number in {_often(share)}, and its name"
        cure = "made anew as a sequence and never learnt; declare it 'continuous' if it is a measurement"
        warning = f"looks like an identifier ({why}): declared 'id', {cure}"
        reason = f"whole numbers that look like an identifier: {why}"
        return Finding(Column(name, "id", regenerate="sequence"), reason, warning)
    if n_distinct <= _MAX_CODES and len(cells) >= _ROWS_A_CODE * n_distinct:
        reason = f"whole numbers with only {_values(n_distinct)}, taken for codes"
        return Finding(Column(name, "categorical"), reason)
    return Finding(Column(name, "continuous"), f"{cells.dtype} with {n_distinct} distinct values")


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


def _look_at_text(name: Hashable, cells: pd.Series, rows: NDArray[np.int64] | None = None) -> Finding:
    n_distinct, n_cells = int(cells.nunique()), len(cells)
    share, texts = n_distinct / n_cells, cells.astype(object)
    format, ambiguous = guess_format(texts, _SHARE)
    if format is not None:
        also = "; other formats read it too, so check the order of day and month" if ambiguous else ""
        zone = "UTC" if "%z" in format and len(read_texts(texts.unique(), format)[2]) > 1 else None
        if zone is not None:
            also += "; it has several offsets from UTC, so its time_zone is declared 'UTC': name its own instead"
        century = century_of(texts.unique(), format) if has_short_years(format) else None
        if century is not None:
            meant = f"so that their years are {century} to {century + 99}"
            also = f" and century_starts: {century}, as years have two digits, {meant}: check it{also}"
        warning = f"holds dates written as text: declared 'datetime' with the format {format!r}{also}"
        column = Column(name, "datetime", format=format, time_zone=zone, century_starts=century)
        return Finding(column, f"text that reads as dates by {format!r}", warning)
    is_number = is_number_text(texts).to_numpy()
    if is_number.mean() > _SHARE and not texts.map(lambda text: bool(_LEADING_ZERO.match(text))).any():
        told = identifier_told(pd.to_numeric(texts, errors="coerce").dropna().to_numpy(dtype=float))
        kind: Kind = "ignore" if told or (n_distinct > _MAX_CODES and share > 0.5) else "categorical"
        cure = "convert it with pd.to_numeric and declare it 'continuous' if it is a measurement"
        odd = [] if rows is None else rows[~is_number].tolist()
        but = f", but for {len(odd)} cells ({data_rows(odd)}), which are to be mended first" if odd else ""
        warning = f"holds numbers written as text{but}: declared {kind!r}; {cure}"
        return Finding(Column(name, kind), f"numbers written as text, {n_distinct} distinct values", warning)
    sample: pd.Series = texts.head(1000)
    is_prose = sample.str.len().mean() > 30 and sample.str.count(r"\s").mean() >= 3
    if n_cells >= _MIN_UNIQUE and share > 0.5 and is_prose:
        warning = "looks like free text: declared 'ignore', neither learnt nor given back"
        return Finding(Column(name, "ignore"), f"free text: {n_distinct} long distinct values", warning)
    counts = cells.value_counts().to_numpy(dtype=np.int64)
    named = (share > 0.5 and _names_an_id(name)) or (n_distinct >= _MIN_UNIQUE and _NAME.fullmatch(str(name)))
    if names_people(counts) or (n_cells >= _MIN_UNIQUE and named) or are_contacts(list(texts.unique())):
        often = f"another value in {_often(max(share, (counts == 1).sum() / n_cells))}"
        cure = "add regenerate='sequence', 'uuid' or a pattern to have it made anew"
        warning = f"looks like an identifier ({often}): declared 'id', dropped and never learnt; {cure}"
        return Finding(Column(name, "id"), f"text with {often}", warning)
    return Finding(Column(name, "categorical"), f"text with {_values(n_distinct)}")


def _values(n_distinct: int) -> str:
    return f"{n_distinct} distinct value{'s' if n_distinct != 1 else ''}"


def _often(share: float) -> str:
    return "every row" if share == 1 else f"{share:.0%} of the rows"


def _names_an_id(name: Hashable) -> bool:
    return bool(_ID_NAME.search(str(name)) or _ID_CAMEL.search(str(name)))


def _may_name_an_id(name: Hashable) -> bool:
    return _names_an_id(name) or bool(_MAY_BE_ID_NAME.search(str(name)))
