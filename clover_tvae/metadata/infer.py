"""What the columns of a table look like, with the reason for each guess.

This module knows pandas and columns. It says names, counts and dtypes, never a cell.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clover_tvae.columns.calendar import unit_and_zone
from clover_tvae.columns.cells import ZONEINFO
from clover_tvae.columns.date_formats import guess_format, read_texts
from clover_tvae.columns.dtypes import CellType, tags_of
from clover_tvae.columns.numeric import is_number_text
from clover_tvae.errors import ColumnTypeError
from clover_tvae.metadata.column import Column, Kind
from clover_tvae.metadata.validate import require_frame

__all__ = ["Finding", "MetadataWarning", "inferred"]

# Whole numbers with at most this many distinct values, each met five times on average, are taken for codes.
_MAX_CODES = 10
_ROWS_A_CODE = 5
# Below this many rows, "another value in every row" is chance rather than a sign of an identifier.
_MIN_UNIQUE = 20
_SHARE = 0.95
# A name that says "identifier" outright, and one that only may.
_ID_NAME = re.compile(r"(?:^|[^a-z])(?:ids?|uuid|guid|sno|ssn|mrn)(?:$|[^a-z])", re.IGNORECASE)
_ID_CAMEL = re.compile(r"[a-z](?:Id|ID)$")
_MAY_BE_ID_NAME = re.compile(
    r"(?:^|[^a-z])(?:key|index|number|no|nr|num|record)(?:$|[^a-z])|[a-z](?:Key|Number|No|Nr)$", re.IGNORECASE
)
_LEADING_ZERO = re.compile(r"\s*0\d")


class MetadataWarning(UserWarning):
    """A column looks like an identifier, free text or a date in disguise, or cannot be modelled."""


@dataclass(frozen=True)
class Finding:
    """One column as it looks.

    Args:
        column: What it is taken for.
        reason: Why, in a few words.
        warning: What its owner should look at; empty if the guess is plain.
    """

    column: Column
    reason: str
    warning: str = ""


def inferred(df: pd.DataFrame) -> list[Finding]:
    """Return a finding for every column, in the table's order."""
    require_frame(df)
    return [_look(name, df[name]) for name in df.columns]


def _look(name: Hashable, series: pd.Series) -> Finding:
    try:
        cells = CellType.of(series, name)
    except ColumnTypeError as error:
        found = error.problems[0].message
        return Finding(Column(name, "ignore"), found, f"{found}: declared 'ignore' as it stands")
    known = series[series.notna().to_numpy(dtype=bool)]
    if known.empty:
        kind: Kind = "continuous" if cells.holds in ("integer", "float", "decimal") else "categorical"
        return Finding(Column(name, kind), f"{series.dtype}, every cell is missing")
    match cells.holds:
        case "boolean":
            return Finding(Column(name, "boolean"), f"{series.dtype}: true and false")
        case "integer" | "float" | "decimal":
            return _look_at_numbers(name, series, known)
        case "datetime":
            zone = unit_and_zone(cells)[1]
            return Finding(
                Column(name, "datetime", time_zone=zone and zone.removeprefix(ZONEINFO)), f"{series.dtype}: dates"
            )
        case "category":
            return _look_at_category(name, cells, known)
        case "text":
            return _look_at_text(name, known)
        case _:
            return _look_at_mixed(name, series, known)


def _look_at_numbers(name: Hashable, series: pd.Series, cells: pd.Series) -> Finding:
    numbers = cells.to_numpy(dtype=float, na_value=np.nan)
    whole = bool(np.all(np.isfinite(numbers)) and np.all(numbers == np.floor(numbers)))
    n_distinct = int(cells.nunique())
    if not whole:
        return Finding(Column(name, "continuous"), f"{series.dtype} with {n_distinct} distinct values")
    share = n_distinct / len(cells)
    counting = share == 1 and bool(np.all(np.abs(np.diff(numbers)) == 1))
    named = (share == 1 and _may_name_an_id(name)) or (share > 0.5 and _names_an_id(name))
    if len(cells) >= _MIN_UNIQUE and (counting or named):
        why = "it counts the rows" if counting else f"another number in {_often(share)}, and its name"
        return Finding(
            Column(name, "id", regenerate="sequence"),
            f"whole numbers that look like an identifier: {why}",
            f"looks like an identifier ({why}): declared 'id', made anew as a sequence and never learnt; "
            "declare it 'continuous' if it is a measurement",
        )
    if n_distinct <= _MAX_CODES and len(cells) >= _ROWS_A_CODE * n_distinct:
        plural = "s" if n_distinct != 1 else ""
        return Finding(
            Column(name, "categorical"), f"whole numbers with only {n_distinct} distinct value{plural}, taken for codes"
        )
    return Finding(Column(name, "continuous"), f"{series.dtype} with {n_distinct} distinct values")


def _look_at_category(name: Hashable, cells: CellType, known: pd.Series) -> Finding:
    if cells.ordered:
        plain = all(isinstance(level, str | int | float) for level in cells.categories)
        order = cells.categories if plain and cells.categories else None
        reason = f"an ordered category dtype with {len(cells.categories)} levels"
        return Finding(Column(name, "ordinal", order=order), reason)
    if cells.is_text:
        found = _look_at_text(name, known.astype(object))
        if found.column.kind in ("id", "ignore"):
            return found
    return Finding(Column(name, "categorical"), f"a category dtype with {known.nunique()} values in use")


def _look_at_mixed(name: Hashable, series: pd.Series, known: pd.Series) -> Finding:
    tags = set(tags_of(known))
    if tags <= {"int", "float", "Decimal"}:
        return _look_at_numbers(name, series, known)
    if tags <= {"date", "datetime", "Timestamp"}:
        return Finding(Column(name, "datetime"), f"{series.dtype}: dates")
    return Finding(
        Column(name, "categorical"),
        "cells of several types, taken as labels",
        "mixes cells of several types: declared 'categorical', each type kept apart; clean the column if it is meant as one",
    )


def _look_at_text(name: Hashable, cells: pd.Series) -> Finding:
    n_distinct, n_cells = int(cells.nunique()), len(cells)
    texts = cells.astype(object)
    format, ambiguous = guess_format(texts, _SHARE)
    if format is not None:
        also = "; other formats read it too, so check the order of day and month" if ambiguous else ""
        zone = "UTC" if "%z" in format and len(read_texts(texts.unique(), format)[2]) > 1 else None
        if zone is not None:
            also += (
                "; it has several offsets from UTC, so it is declared with the time_zone 'UTC': name its own instead"
            )
        return Finding(
            Column(name, "datetime", format=format, time_zone=zone),
            f"text that reads as dates by {format!r}",
            f"holds dates written as text: declared 'datetime' with the format {format!r}{also}",
        )
    as_labels = f"text with {n_distinct} distinct value{'s' if n_distinct != 1 else ''}"
    is_number = is_number_text(texts)
    if is_number.mean() > _SHARE and not texts.map(lambda text: _LEADING_ZERO.match(text) is not None).any():
        many = n_distinct > _MAX_CODES and n_distinct > 0.5 * n_cells
        return Finding(
            Column(name, "ignore" if many else "categorical"),
            f"numbers written as text, {n_distinct} distinct values",
            f"holds numbers written as text: declared {'ignore' if many else 'categorical'!r}; convert it with "
            "pd.to_numeric (after taking out separators) and declare it 'continuous' if it is a measurement",
        )
    share = n_distinct / n_cells
    if n_cells >= _MIN_UNIQUE and share > 0.5 and _reads_like_prose(texts):
        return Finding(
            Column(name, "ignore"),
            f"free text: {n_distinct} long distinct values",
            "looks like free text: declared 'ignore', neither learnt nor given back",
        )
    if n_cells >= _MIN_UNIQUE and (share > 0.9 or (share > 0.5 and _names_an_id(name))):
        often = _often(share)
        return Finding(
            Column(name, "id"),
            f"text with another value in {often}",
            f"looks like an identifier (another value in {often}): declared 'id', dropped and never learnt; "
            "add regenerate='sequence', 'uuid' or a pattern to have it made anew",
        )
    return Finding(Column(name, "categorical"), as_labels)


def _reads_like_prose(texts: pd.Series) -> bool:
    sample = texts.head(1000)
    return bool(sample.str.len().mean() > 30 and sample.str.count(r"\s").mean() >= 3)


def _often(share: float) -> str:
    return "every row" if share == 1 else f"{share:.0%} of the rows"


def _names_an_id(name: Hashable) -> bool:
    return bool(_ID_NAME.search(str(name)) or _ID_CAMEL.search(str(name)))


def _may_name_an_id(name: Hashable) -> bool:
    return _names_an_id(name) or bool(_MAY_BE_ID_NAME.search(str(name)))
