"""Dates and times as whole numbers of the column's own resolution since 1970, and how they are written.

This module knows units, resolutions, time zones, dates written as text. It knows no distribution.

Times with a zone are counted in UTC, where no hour is lost or comes twice; a column of local midnights is counted in
local days, so that it stays one of midnights.
"""

from __future__ import annotations

import datetime
import itertools
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.cells import MISSING_MARKERS, zone_name_of, zone_of
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.plain_data import check, fields, integer, one_of, optional, text
from clover_tvae.errors import ColumnTypeError, Problem

__all__ = ["Calendar", "instant_of"]

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_OFFSETS = ("+0100", "+01:00", "Z")
STYLE_TEXTS = 2_000  # so many distinct texts tell how all of them are written


@dataclass(frozen=True)
class Calendar:
    """How the cells of a column are written, and how they become whole numbers.

    Args:
        cells: Their dtype.
        unit: Unit of the instants: ``s``, ``ms``, ``us`` or ``ns`` since 1970.
        step: Resolution of the column: how many units one step has.
        zone: Time zone of the cells, ``None`` for times without one.
        local: Whether steps are counted on the local clock rather than in UTC.
        format: How text is written, ``strptime``'s directives; ``None`` for cells that are no text.
        padded: Whether numbers in text have leading zeros.
        offset: How text writes the offset from UTC: ``+0100``, ``+01:00``, or the same with ``Z`` for none.
    """

    cells: CellType
    unit: str
    step: int = 1
    zone: str | None = None
    local: bool = False
    format: str | None = None
    padded: bool = True
    offset: str = "+0100"

    @classmethod
    def of(cls, values: pd.Series, name: object, format: str | None, time_zone: str | None) -> Calendar:
        """Describe a column, its resolution still one unit."""
        cells = CellType.of(values, name)
        if cells.is_text and cells.family != "category":
            if format is None:
                raise _refuse(name, "dates written as text need a 'format' in the metadata, such as '%Y-%m-%d'")
            return cls(cells, "us", zone=time_zone if "%z" in format else None, format=format)
        if cells.family == "datetime":
            return cls(cells, cells.name, zone=cells.time_zone)
        if cells.family == "arrow" and cells.name.startswith(("timestamp", "date")):
            unit, _, zone = cells.name[:-1].partition("[")[2].partition(", tz=")
            return cls(cells, {"day": "s"}.get(unit, unit), zone=zone or None)
        if cells.family == "object" and cells.name in ("date", "datetime", "Timestamp", "empty"):
            zones = (
                {_zone_of(cell) for cell in values[values.notna()]}
                if cells.name in ("datetime", "Timestamp")
                else {None}
            )
            if len(zones) > 1:
                raise _refuse(
                    name, "cells of several time zones; convert them to one with pandas.to_datetime(utc=True)"
                )
            return cls(cells, "ns" if cells.name == "Timestamp" else "us", zone=zones.pop() if zones else None)
        found = f"{cells.family} cells of type '{cells.name}'"
        raise _refuse(name, f"dates are expected, found {found}; convert them with pandas.to_datetime")

    def read(self, values: pd.Series, name: object) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the cells as instants: int64 units since 1970 in UTC (or without zone), and which are missing."""
        missing = values.isna().to_numpy(dtype=bool)
        if self.format is not None and CellType.of(values, name).is_text:
            instants = self._read_text(values, missing, name)
        else:
            instants = self._read_times(values, missing, name)
        instants[missing] = 0
        return instants, missing

    def _read_times(self, values: pd.Series, missing: NDArray[np.bool_], name: object) -> NDArray[np.int64]:
        cells = CellType.of(values, name)
        if cells.family == "object" and cells.name in ("date", "datetime", "Timestamp", "mixed"):
            made = np.zeros(len(values), dtype=np.int64)
            raw, cache = values.to_numpy(dtype=object), dict[Any, int]()
            for row in np.flatnonzero(~missing):
                cell = raw[row]
                if cell not in cache:
                    cache[cell] = instant_of(cell, self.unit)[0]
                made[row] = cache[cell]
            return made
        if cells.family == "object" and cells.name == "empty":
            return np.zeros(len(values), dtype=np.int64)
        if cells.family == "arrow" and cells.name.startswith(("timestamp", "date")):
            import pyarrow as pa

            array = pa.chunked_array(values.array.__arrow_array__()).cast(
                pa.timestamp(self.unit, tz=self._arrow_zone(cells))
            )
            return array.cast(pa.int64()).fill_null(0).to_numpy().astype(np.int64)
        if cells.family == "datetime":
            times = values.dt.tz_convert("UTC").dt.tz_localize(None) if cells.time_zone else values
            if (cells.time_zone is None) != (self.zone is None) and self.format is None:
                raise _refuse(name, "the column was fitted with a time zone and now has none, or the reverse")
            return times.to_numpy().astype(f"M8[{self.unit}]").astype(np.int64)
        raise _refuse(name, f"dates are expected, found {cells.family} cells of type '{cells.name}'")

    @staticmethod
    def _arrow_zone(cells: CellType) -> str | None:
        return cells.name[:-1].partition(", tz=")[2] or None

    def _read_text(self, values: pd.Series, missing: NDArray[np.bool_], name: object) -> NDArray[np.int64]:
        codes, texts = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
        instants = np.zeros(len(texts) + 1, dtype=np.int64)
        bad = np.zeros(len(texts) + 1, dtype=bool)
        done = np.zeros(len(texts), dtype=bool)
        if len(texts) > STYLE_TEXTS and "%z" not in (self.format or ""):
            # pandas parses many texts at once, but only of 1678 to 2261; it leaves the others to the loop.
            times = pd.to_datetime(pd.Series(texts), format=self.format, errors="coerce").to_numpy()
            done = ~np.isnat(times)
            instants[:-1][done] = times[done].astype("M8[us]").astype(np.int64)
        for i in np.flatnonzero(~done):
            cell = texts[i]
            try:
                instants[i] = self._parse(cell)
            except (ValueError, OverflowError):
                bad[i] = True
        if n_bad := int(bad[codes].sum()):
            raise _refuse(
                name, f"{n_bad} cells are not dates of the format {self.format!r}; mend them, the format, or the kind"
            )
        return instants[codes]

    def _parse(self, cell: str) -> int:
        assert self.format is not None
        time = datetime.datetime.strptime(cell, self.format)
        if time.tzinfo is not None:
            time = time.astimezone(datetime.UTC).replace(tzinfo=None)
        return (time - _EPOCH) // _MICROSECOND

    def fitted(
        self, instants: NDArray[np.int64], values: pd.Series, missing: NDArray[np.bool_], name: object
    ) -> Calendar:
        """Return the calendar with the resolution, and the way of writing, that these cells have."""
        calendar = self
        known = np.unique(instants[~missing])
        if self.format is not None:
            calendar = self._with_style(values[~missing], name)
        step = _resolution(known, self.unit)
        day = 86_400 * PER_SECOND[self.unit]
        if calendar.zone is not None and calendar.format is None and step < day and len(known):
            local = calendar.to_local(known)
            if (local % day == 0).all():
                return replace(calendar, step=day, local=True)
        return replace(calendar, step=step)

    def _with_style(self, texts: pd.Series, name: object) -> Calendar:
        """Find out whether a text's numbers have leading zeros, how it writes offsets, and its zone if it has one offset."""
        assert self.format is not None
        distinct = texts.unique()[:STYLE_TEXTS]
        calendar = self
        if "%z" in self.format and self.zone is None and len(distinct):
            offsets = {datetime.datetime.strptime(cell, self.format).utcoffset() for cell in distinct}
            if len(offsets) > 1:
                raise _refuse(name, "text with several offsets from UTC; name the column's 'time_zone' in the metadata")
            calendar = replace(self, zone=zone_name_of(datetime.timezone(offsets.pop() or datetime.timedelta())))
        offsets_written = _OFFSETS if "%z" in self.format else _OFFSETS[:1]
        for padded, offset in itertools.product((True, False), offsets_written):
            style = replace(calendar, padded=padded, offset=offset)
            if all(style._text(style._parse(cell)) == cell for cell in distinct):
                return style
        return calendar

    def to_local(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        times = pd.DatetimeIndex(instants.astype(f"M8[{self.unit}]")).tz_localize("UTC").tz_convert(zone_of(self.zone))
        return np.asarray(times.tz_localize(None)).astype(f"M8[{self.unit}]").astype(np.int64)

    def to_utc(self, local: NDArray[np.int64]) -> NDArray[np.int64]:
        times = pd.DatetimeIndex(local.astype(f"M8[{self.unit}]"))
        times = times.tz_localize(
            zone_of(self.zone), ambiguous=np.ones(len(times), dtype=bool), nonexistent="shift_forward"
        )
        return np.asarray(times.tz_convert("UTC").tz_localize(None)).astype(f"M8[{self.unit}]").astype(np.int64)

    def steps(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return instants as steps of the resolution."""
        if self.local and len(instants):
            instants = self.to_local(instants)
        return instants // self.step

    def instants(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return steps as instants."""
        made = steps * self.step
        return self.to_utc(made) if self.local and len(made) else made

    def write(self, instants: NDArray[np.int64], missing: NDArray[np.bool_]) -> pd.Series:
        """Return instants as cells."""
        cells = self.cells
        if self.format is not None or cells.family == "object":
            codes, distinct = pd.factorize(instants)
            made = np.empty(len(distinct) + 1, dtype=object)
            made[:-1] = [self._cell(int(instant)) for instant in distinct]
            codes = np.where(missing, len(distinct), codes)
            if cells.family == "object":
                made[-1] = MISSING_MARKERS[cells.missing]
                return pd.Series(made[codes], dtype=object)
            return cells.take([*made[:-1], None], codes)
        times = instants.astype(f"M8[{self.unit}]")
        times[missing] = np.datetime64("NaT")
        if cells.family == "arrow":
            import pyarrow as pa

            kind = cells.pandas.pyarrow_dtype
            array = pa.array(times, type=pa.timestamp(self.unit), mask=missing)
            array = array.cast(kind) if self.zone is None else array.cast(pa.int64()).cast(kind)
            return pd.Series(pd.arrays.ArrowExtensionArray(array))
        if self.zone is None:
            return pd.Series(times)
        return pd.Series(times).dt.tz_localize("UTC").dt.tz_convert(zone_of(self.zone)).astype(cells.pandas)

    def _cell(self, instant: int) -> Any:
        if self.format is not None:
            return self._text(instant)
        if self.cells.name == "Timestamp":
            time = pd.Timestamp(np.datetime64(instant, self.unit))
            return time if self.zone is None else time.tz_localize("UTC").tz_convert(zone_of(self.zone))
        moment = _EPOCH + instant * _MICROSECOND
        if self.cells.name == "date":
            return moment.date()
        return moment if self.zone is None else moment.replace(tzinfo=datetime.UTC).astimezone(zone_of(self.zone))

    def _text(self, instant: int) -> str:
        assert self.format is not None
        time = _EPOCH + instant * _MICROSECOND
        if self.zone is not None and "%z" in self.format:
            time = time.replace(tzinfo=datetime.UTC).astimezone(zone_of(self.zone))

        def write(match: re.Match[str]) -> str:
            if match[0] == "%Y":  # the C library writes years before 1000 without zeros, which strptime then refuses
                return f"{time.year:04d}"
            made = time.strftime(match[0])
            if match[0] == "%z" and self.offset != "+0100":
                return "Z" if self.offset == "Z" and made == "+0000" else f"{made[:3]}:{made[3:]}"
            return (made.lstrip("0") or "0") if not self.padded and match[0][1] in "dmHIMSj" else made

        return re.sub(r"%.", write, self.format)

    def to_plain(self) -> dict[str, Any]:
        """Return the calendar as plain data."""
        return {
            "cells": self.cells.to_plain(),
            "unit": self.unit,
            "step": self.step,
            "zone": self.zone,
            "local": self.local,
            "format": self.format,
            "padded": self.padded,
            "offset": self.offset,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Calendar:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        if type(plain) is dict and "offset" not in plain:
            plain = {**plain, "offset": _OFFSETS[0]}  # the first files have none
        plain = fields(plain, ("cells", "unit", "step", "zone", "local", "format", "padded", "offset"), "calendar")
        unit = one_of(plain["unit"], tuple(PER_SECOND), "unit")
        step = integer(plain["step"], "step", 1, 86_400 * PER_SECOND[unit])
        if plain["zone"] is not None:
            zone_of(plain["zone"])
        check(type(plain["local"]) is bool and type(plain["padded"]) is bool, "local and padded must be true or false")
        check(not plain["local"] or plain["zone"] is not None, "a local clock needs a time zone")
        format = optional(plain["format"], text, "format", 200)
        cells = CellType.from_plain(plain["cells"])
        check(format is None or cells.is_text, "only text has a format")
        offset = one_of(plain["offset"], _OFFSETS, "offset")
        return cls(cells, unit, step, plain["zone"], plain["local"], format, plain["padded"], offset)


def _refuse(name: object, message: str) -> ColumnTypeError:
    return ColumnTypeError(Problem(where_of(name), message, ColumnTypeError))


def _zone_of(cell: Any) -> str | None:
    zone = getattr(cell, "tzinfo", None)
    if zone is None:
        return None
    return zone_name_of(zone)


def instant_of(cell: Any, unit: str) -> tuple[int, bool]:
    """Return a time as whole units since 1970 in UTC, rounded down, and whether something was lost by that."""
    if isinstance(cell, (pd.Timestamp, np.datetime64)):
        stamp = pd.Timestamp(cell)
        stamp = stamp if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None)
        count, per_second = int(stamp.asm8.astype(np.int64)), PER_SECOND[stamp.unit]
    else:
        if not isinstance(cell, datetime.datetime):
            cell = datetime.datetime(cell.year, cell.month, cell.day)
        if cell.tzinfo is not None:
            cell = cell.astimezone(datetime.UTC).replace(tzinfo=None)
        count, per_second = (cell - _EPOCH) // _MICROSECOND, 10**6
    whole, rest = divmod(count * PER_SECOND[unit], per_second)
    return whole, rest != 0


def _resolution(instants: NDArray[np.int64], unit: str) -> int:
    """Return the coarsest of day, hour, minute, second, ms, us that all instants are whole numbers of, in units."""
    per_second = PER_SECOND[unit]
    for per_day in (1, 24, 1_440, 86_400, 86_400 * 10**3, 86_400 * 10**6):
        step, rest = divmod(86_400 * per_second, per_day)
        if not rest and not (instants % step).any():
            return step
    return 1
