"""Whether a table fits its description: every fault at once, in counts, names and dtypes.

This module knows pandas and columns. It never quotes a cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import Calendar
from clover_tvae.columns.date_formats import whole_number_format
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.frames import require_pandas
from clover_tvae.columns.identifiers import identifier_cells
from clover_tvae.columns.labels import are_long_numbers, are_names, are_numbers_of_two_parts, read_labels
from clover_tvae.columns.names import names_a_birth
from clover_tvae.columns.numeric import identifier_told, read_numbers
from clover_tvae.errors import (
    CloverWarning,
    ColumnsMismatchError,
    ColumnTypeError,
    DataError,
    DuplicateColumnsError,
    NonFiniteError,
    Problem,
    TooFewRowsError,
    did_you_mean,
    warn,
)
from clover_tvae.metadata.column import Column, name_fault
from clover_tvae.metadata.unit import are_full_names, says_whose

BIRTHS = "holds dates of birth to the day, which tell people apart"
"""What is said of a column of them."""
KEEP_LESS = "keep the year or the age instead, where these are enough"
"""What is advised, then."""

_MIN_ROWS = 2
_MAX_LISTED = 20
# The spread of larger numbers is infinite.
_LARGEST = 1e307
# Patients are numbered from 1, or from a number of several digits.
_LOWEST_OF_PATIENTS = 1_000


def raise_problems(
    columns: Sequence[Column], df: Any, unit: Hashable | None = None, unread: Sequence[Problem] = ()
) -> None:
    """Raise a :class:`DataError` with every problem, or return if the table fits; ``unread`` are those of its readings."""
    require_frame(df, duplicates_too=False)
    problems = [*repeated_names(df.columns), *unread]
    told = {problem.where for problem in unread}
    described = {column.name: column for column in columns}
    if not any(column.modelled for column in columns):
        text = "must declare a column that can be modelled, found none; declare one that is not 'id' or 'ignore'"
        problems.append(Problem("metadata", text))
    problems += name_problems(columns, df.columns, unit)
    if len(df) < _MIN_ROWS:
        text = f"must have at least {_MIN_ROWS} rows, and some hundreds to learn anything of use, found {len(df)}"
        problems.append(Problem("table", text, TooFewRowsError))
    repeated = df.columns.duplicated(keep=False)
    for place, name in enumerate(df.columns):
        column = described.get(name)
        is_read = column is not None and (column.modelled or column.regenerate is not None) and not repeated[place]
        if column is not None and is_read and where_of(column.name) not in told:
            problems += _unreadable(column, df.iloc[:, place])
    DataError.raise_any(problems)
    _tell_of_pairs(columns, df)


def _tell_of_pairs(columns: Sequence[Column], df: pd.DataFrame) -> None:
    """Warn of two columns that are read from one, such as 2023/417, which is a case number rather than two measurements."""
    for first in (column for column in columns if column.part == 1):
        seconds = [column for column in columns if column.part == 2 and column.part_of == first.part_of]
        halves = df[[column.name for column in (first, *seconds)]].dropna()
        if halves.shape[1] != 2 or not (halves.to_numpy(dtype=float) % 1 == 0).all():
            continue
        counts = halves.astype("int64").value_counts()
        if are_numbers_of_two_parts({f"{a}/{b}": n for (a, b), n in counts.items()}):
            cure = "they are learnt, as they are declared as two numbers; declare the column 'id' or 'ignore' if they name people"
            warn(f"column {first.part_of!r} looks like case, account or policy numbers: {cure}", CloverWarning)


def require_frame(df: Any, *, duplicates_too: bool = True, any_names: bool = False) -> None:
    """Raise unless ``df`` is a DataFrame with one level of names that can be names (and each only once).

    Args:
        duplicates_too: Whether a name must occur only once.
        any_names: Whether names may be other than text and numbers: of what is compared, but not learnt.
    """
    require_pandas(df)
    if isinstance(df.columns, pd.MultiIndex):
        raise DataError(
            f"must have names of one level, found {df.columns.nlevels}; join them into one, such as "
            "df.columns = ['_'.join(map(str, name)) for name in df.columns]",
            "columns",
        )
    faults = dict.fromkeys(filter(None, (name_fault(name, any_kind=any_names) for name in df.columns)))
    DataError.raise_any([Problem("columns", fault) for fault in faults])
    DataError.raise_any(repeated_names(df.columns) if duplicates_too else [])


def repeated_names(names: Iterable[Hashable], place: str = "") -> list[Problem]:
    """Return a problem for every name that several columns have."""
    text = "columns have this name; rename or drop all but one"
    where = f"{place}: column" if place else "column"
    counts = Counter(names).items()
    return [Problem(f"{where} {name!r}", f"{n} {text}", DuplicateColumnsError) for name, n in counts if n > 1]


def name_problems(columns: Sequence[Column], names: Iterable[Hashable], unit: Hashable | None = None) -> list[Problem]:
    """Return a problem for each column that a table lacks, and for each that nothing describes."""
    described, found = {column.name: column for column in columns}, dict.fromkeys(names)
    needed = [c.name for c in columns if c.modelled or c.regenerate is not None or c.name == unit]
    missing = [name for name in needed if name not in found]
    extra = [name for name in found if name not in described]
    told = {}
    for name in missing[:_MAX_LISTED]:
        told[name] = f"the table has no such column, declared {described[name].kind!r}{did_you_mean(name, extra)}"
    for name in extra[:_MAX_LISTED]:
        told[name] = "the metadata does not know this column; declare it (as 'ignore' to leave it out), or drop it"
    problems = [Problem(where_of(name), text, ColumnsMismatchError) for name, text in told.items()]
    if rest := len(missing) + len(extra) - len(told):
        problems.append(Problem("columns", f"{rest} more are missing or unknown", ColumnsMismatchError))
    return problems


def _unreadable(column: Column, series: pd.Series) -> Sequence[Problem]:
    """Read a column as what it is declared to be, and return what is in the way."""
    try:
        cells: Sequence[Any] = ()
        match column.kind:
            case "continuous":
                _require_measured(*read_numbers(series, column.name), column.name)
            case "datetime":
                if are_births(column.name, *Calendar.learn(series, column.name, *column.date_options)):
                    cure = f"they are learnt, as they are declared 'datetime'; declare the column 'ignore', and {KEEP_LESS}"
                    warn(f"column {column.name!r} {BIRTHS}: {cure}", CloverWarning)
            case "id":
                identifier_cells(series, column.name, str(column.regenerate))
            case _:
                cells = read_labels(series, column.name, column.kind, column.order)[0].values
                if are_long_numbers(cells):
                    cure = "their values are learnt; declare the column 'id' or 'ignore' if they name people"
                    warn(f"column {column.name!r} looks like insurance, case or account numbers: {cure}", CloverWarning)
        names_people = are_names(column.name, cells) or says_whose(series, column.name)
        if column.modelled and (names_people or (_are_texts(cells) and are_full_names(series, column.name))):
            cure = "its values are learnt; declare it 'id' (and as 'unit' where it tells whose a row is) or 'ignore'"
            warn(
                f"column {column.name!r} holds names or numbers of people, as its heading or its cells say: {cure}; give it another heading if it names no people",
                CloverWarning,
            )
    except DataError as error:
        return error.problems
    return ()


def _are_texts(cells: Sequence[Any]) -> bool:
    return len(cells) > 0 and all(isinstance(cell, str) for cell in cells)


def are_births(name: Hashable, calendar: Calendar, instants: NDArray[np.int64], missing: NDArray[np.bool_]) -> bool:
    """Return whether dates, as a calendar reads them, are of births by the name of their column, and tell more than months."""
    if not names_a_birth(name) or missing.all():
        return False
    days = instants[~missing].astype(f"M8[{calendar.unit}]").astype("M8[D]")
    return bool((days != days.astype("M8[M]")).any())


def _require_measured(cells: CellType, numbers: NDArray[Any], missing: NDArray[Any], name: Hashable) -> None:
    """Refuse numbers that are no measurement: true and false, and those whose spread no float holds."""
    if cells.holds == "boolean" and not missing.all():
        message = "must hold numbers, found boolean cells; declare it 'boolean', or convert it with astype('int64')"
        raise ColumnTypeError(message, where_of(name))
    known = numbers[~missing]
    if format := whole_number_format(known):
        cure = f"they are learnt as numbers, and dates that do not exist are drawn; declare it 'datetime' with format: {format!r}"
        if names_a_birth(name):
            cure += f", or, as dates of birth tell people apart, 'ignore', and {KEEP_LESS}"
        warn(f"column {name!r} looks like dates or times as whole numbers: {cure}", CloverWarning)
        return
    told = identifier_told(known, name, len(numbers))
    # Ages, or an axis of time that counts the rows, may be counted through, too.
    is_short = bool(told) and 1 != known.min() < _LOWEST_OF_PATIENTS and np.ptp(known) + 1 == len(known)
    if told and not is_short:
        cure = "they are learnt, as they are declared 'continuous'; declare the column 'id' or 'ignore' if they name people"
        warn(f"column {name!r} looks like an identifier ({told}): {cure}", CloverWarning)
    if np.abs(numbers.astype(float)).max(initial=0) > _LARGEST:
        message = f"must hold numbers up to {_LARGEST:g}, found larger ones; scale the column down"
        raise NonFiniteError(message, where_of(name))
