"""Single cells: which are missing, which are the same, and how they and time zones are written as plain data.

This module knows the Python types that a cell can have. It knows no column and no dtype. ``1``, ``"1"``, ``1.0``,
``True``, ``""`` and ``"nan"`` stay six different cells.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from clover_tvae.columns.plain_data import check, fields, integer, list_of, one_of, optional, text

UNITS = ("s", "ms", "us", "ns")
MISSING_MARKERS = {"nan": float("nan"), "none": None, "NA": pd.NA, "NaT": pd.NaT}
TAGS = {
    str: "str", int: "int", float: "float", bool: "bool", Decimal: "Decimal",
    datetime.date: "date", datetime.datetime: "datetime", pd.Timestamp: "Timestamp",
}  # fmt: skip
_ZONE = re.compile(r"[A-Za-z0-9_+\-:/]{1,64}")
ZONEINFO = "zoneinfo:"  # pandas holds dtypes with zones of zoneinfo and of pytz to differ, so the name tells which


def is_missing(value: Any) -> bool:
    """Return whether one cell is missing: ``None``, NaN, ``pd.NA`` or ``NaT``.

    Example:
        >>> [is_missing(v) for v in (None, float("nan"), pd.NA, pd.NaT, "", "nan", 0)]
        [True, True, True, True, False, False, False]
    """
    if isinstance(value, Decimal):
        return value.is_nan()  # a signalling NaN cannot even be compared
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def is_number(value: Any) -> bool:
    """Return whether a value is a number, and no truth value."""
    return isinstance(value, int | float | np.number | Decimal) and not isinstance(value, bool)


def plain_cell(value: Any) -> Any:
    """Return a cell as the Python type whose tag it has."""
    if type(value) in TAGS:
        return value
    if isinstance(value, np.datetime64):
        return pd.Timestamp(value)
    if isinstance(value, np.generic):
        value = value.item()
    for kind in (str, bool, int, float, Decimal):
        if isinstance(value, kind):
            return kind(value)
    return value


def typed_key(value: Any) -> tuple[str, Any]:
    """Return a key that keeps ``1``, ``1.0``, ``True`` and ``"1"`` apart.

    Example:
        >>> len({typed_key(v) for v in (1, 1.0, True, "1")})
        4
    """
    value = plain_cell(value)
    tag = TAGS.get(type(value))
    if tag is None:
        raise TypeError(type(value).__name__)
    if tag == "Decimal":
        return tag, str(value)
    if tag == "datetime":
        return tag, value.isoformat()
    return tag, value


def zone_name_of(zone: datetime.tzinfo) -> str:
    """Return the name of a time zone: its key, or ``UTC+02:00`` for a fixed offset."""
    key = zone.key if isinstance(zone, ZoneInfo) else getattr(zone, "zone", None)  # dateutil's have a key, too
    offset = zone.utcoffset(None)
    if key or offset is None:
        return str(key or zone)
    return "UTC" if not offset else str(datetime.timezone(offset))


def zone_of(name: Any) -> Any:
    """Return the time zone of a name that ``zone_name_of`` made.

    Raises:
        ValueError: Any other text, or no text.
    """
    if type(name) is str:
        name = name.removeprefix(ZONEINFO)
    check(type(name) is str and _ZONE.fullmatch(name) is not None and ".." not in name, "not the name of a time zone")
    if match := re.fullmatch(r"UTC([+-])(\d\d):(\d\d)", name):
        sign = -1 if match[1] == "-" else 1
        offset = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
        check(offset < datetime.timedelta(hours=24), "not the name of a time zone")
        return datetime.timezone(sign * offset)
    if name == "UTC":
        return datetime.timezone.utc
    try:
        return ZoneInfo(name)
    except Exception as error:
        raise ValueError("not the name of a time zone") from error


def values_to_plain(values: Sequence[Any]) -> dict[str, Any]:
    """Return single cells with the tags of their types; one tag for all where they share it.

    Example:
        >>> values_to_plain(["a", "b"])
        {'types': 'str', 'values': ['a', 'b']}
        >>> values_to_plain([1, "1"])
        {'types': ['int', 'str'], 'values': [1, '1']}
    """
    tags = [typed_key(value)[0] for value in values]
    out = [_cell_to_plain(tag, plain_cell(value)) for tag, value in zip(tags, values, strict=True)]
    return {"types": tags[0] if len(set(tags)) == 1 else tags, "values": out}


def values_from_plain(plain: Any) -> list[Any]:
    """Read what ``values_to_plain`` wrote.

    Raises:
        ValueError: Anything else, or the same cell twice.
    """
    plain = fields(plain, ("types", "values"), "values")
    values = list_of(plain["values"], "values")
    types = plain["types"]
    tags = [types] * len(values) if type(types) is str else list_of(types, "types")
    check(len(tags) == len(values), "one type a value is expected")
    cells = [_cell_from_plain(tag, value) for tag, value in zip(tags, values, strict=True)]
    check(len({typed_key(cell) for cell in cells}) == len(cells), "the same value twice")
    return cells


def _cell_to_plain(tag: str, value: Any) -> Any:
    match tag:
        case "Decimal":
            return str(value)
        case "date":
            return value.isoformat()
        case "datetime":
            zone = None if value.tzinfo is None else zone_name_of(value.tzinfo)
            return [value.replace(tzinfo=None).isoformat(), zone, value.fold]
        case "Timestamp":
            zone = None if value.tz is None else zone_name_of(value.tz)
            return [int(value.asm8.astype("i8")), value.unit, zone]
        case _:
            return value


def _cell_from_plain(tag: Any, value: Any) -> Any:
    one_of(tag, TAGS.values(), "cell type")
    try:
        match tag:
            case "Decimal":
                check(len(text(value, "Decimal", 10_000)) > 0, "not a Decimal")
                cell: Any = Decimal(value)
            case "date":
                cell = datetime.date.fromisoformat(text(value, "date", 10))
            case "datetime":
                check(type(value) is list and len(value) == 3, "not a datetime")
                cell = datetime.datetime.fromisoformat(text(value[0], "datetime", 32))
                cell = cell.replace(tzinfo=optional(value[1], zone_of), fold=integer(value[2], "fold", 0, 1))
            case "Timestamp":
                check(type(value) is list and len(value) == 3, "not a Timestamp")
                unit = one_of(value[1], UNITS, "unit")
                instant = np.datetime64(integer(value[0], "instant", -(2**63) + 1, 2**63 - 1), unit)
                cell = pd.Timestamp(instant)
                if value[2] is not None:
                    check(0 < cell.year < 10_000, "a time with a zone must lie in the years 1 to 9999")
                    cell = cell.tz_localize("UTC").tz_convert(zone_of(value[2]))
            case "str":
                cell = text(value, "cell")
            case _:
                check(type(value).__name__ == tag, f"not a {tag}")
                cell = value
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"not a {tag}") from error
    check(not is_missing(cell), "a category cannot be missing")
    return cell
