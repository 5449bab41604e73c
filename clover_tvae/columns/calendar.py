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
import pyarrow as pa
from numpy.typing import NDArray

from clover_tvae.columns.cells import MISSING_MARKERS, ZONEINFO, zone_name_of, zone_of
from clover_tvae.columns.date_formats import (
    EPOCH,
    MICROSECOND,
    century_of,
    guess_format,
    has_short_years,
    packed_width,
    read_texts,
    whole_number_format,
)
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.columns.plain_data import check, fields, integer, one_of, optional, text
from clover_tvae.errors import ColumnTypeError

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_OFFSETS = ("+0100", "+01:00", "Z")
_FEWEST_MONTHS = 12
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
        format: How text or whole numbers are written, ``strptime``'s directives; ``None`` for cells that are dates.
        padded: Whether days, months and hours in text have leading zeros; minutes and seconds always have.
        offset: How text writes the offset from UTC: ``+0100``, ``+01:00``, or the same with ``Z`` for none.
        century_starts: The first of the hundred years that years of two digits mean.
        day_of_month: 1 where steps are months, and all dates are their first days; -1 for their last; 0 for steps of ``step``.
    """

    cells: CellType
    unit: str
    step: int = 1
    zone: str | None = None
    local: bool = False
    format: str | None = None
    padded: bool = True
    offset: str = "+0100"
    century_starts: int | None = None
    day_of_month: int = 0

    @classmethod
    def learn(
        cls,
        values: pd.Series,
        name: object,
        format: str | None = None,
        time_zone: str | None = None,
        century_starts: int | None = None,
        least: int = 1,
    ) -> tuple[Calendar, NDArray[np.int64], NDArray[np.bool_]]:
        """Read a column of dates, or of any dtype that can be learnt if every cell is missing.

        Args:
            time_zone: The zone of the cells; what text with offsets (``%z``) is given back in.
            least: A resolution that fewer cells need is not kept: it would tell of these.

        Returns:
            The calendar, and what ``read`` makes of the column.

        Raises:
            ColumnTypeError: Cells that are not dates, or not of the format, or not of the time zone; years of two digits of no
                century.
        """
        cells, missing = CellType.of(values, name), values.isna().to_numpy(dtype=bool)
        known = values[~missing]
        cells = cells.settled(known)
        if missing.all():
            unit, zone = unit_and_zone(cells)
            if format is not None and cells.name == "empty":  # whoever declares a format means text
                cells = replace(cells, name="str")
            as_text = format if cells.holds == "text" or cells.is_number else None
            zone = time_zone if "%z" in (as_text or "") else zone
            instants = np.zeros(len(values), np.int64)
            day = 86_400 * PER_SECOND[unit]
            return cls(cells, unit, day, zone, format=as_text, century_starts=century_starts), instants, missing
        calendar = replace(cls._of(cells, known, name, format, time_zone), century_starts=century_starts)
        if has_short_years(calendar.format) and century_starts is None:
            assert calendar.format is not None
            proposed = century_of(calendar._texts_of(known, name)[1], calendar.format)
            rule = "must say in which year the hundred years begin that years of two digits mean, found no 'century_starts'"
            raise ColumnTypeError(f"{rule}; declare it, such as century_starts: {proposed}", where_of(name))
        instants, missing = calendar.read(values, name)
        return calendar._fitted(instants[~missing], known, name, least), instants, missing

    @classmethod
    def _of(
        cls, cells: CellType, known: pd.Series, name: object, format: str | None, time_zone: str | None
    ) -> Calendar:
        """Describe a column, its resolution still one unit."""
        if cells.holds == "text" or (cells.is_number and format is not None):
            if format is None:
                fitting = guess_format(known.astype(object))
                cure = f"format={fitting!r} reads it" if fitting else "convert it with pd.to_datetime"
                rule = "must have a format, such as '%Y-%m-%d', where dates are text"
                raise ColumnTypeError(f"{rule}, found none; {cure}", where_of(name))
            return cls(cells, "us", zone=time_zone if "%z" in format else None, format=format)
        if cells.holds != "datetime":
            cure = "convert it with pd.to_datetime"
            if cells.is_number and (fitting := whole_number_format(read_numbers(known, name)[1])):
                cure = f"declare its format, {fitting!r}"
            elif cells.is_number:
                cure += "(..., unit='s') (or the unit it counts in), or declare it 'continuous'"
            raise ColumnTypeError(f"must hold dates, found {cells.found_in(known)}; {cure}", where_of(name))
        unit, zone = unit_and_zone(cells)
        if cells.family == "object":
            zones = [None if (zone := getattr(cell, "tzinfo", None)) is None else zone_name_of(zone) for cell in known]
            if len(set(zones)) > 1:
                aware = len(zones) - zones.count(None)
                found = f"{len(set(zones))}, and {aware} of {len(zones)} dates that have a time zone"
                cure = "use pd.to_datetime(..., utc=True)"
                raise ColumnTypeError(f"must have one time zone, or none, found {found}; {cure}", where_of(name))
            zone = zones[0]
            if unit == "ns" and any(abs(instant_of(cell, unit)[0]) >= 2**63 for cell in known.unique()):
                unit = "us"  # nanoseconds reach from 1677 to 2262
        elif time_zone is not None and (label := zone and zone.removeprefix(ZONEINFO)) != time_zone:
            cure = "add it with .dt.tz_localize" if zone is None else "convert it with .dt.tz_convert"
            message = f"must be in the time zone {time_zone!r}, found {label or 'none'!r}; {cure}, or mend the metadata"
            raise ColumnTypeError(message, where_of(name))
        return cls(cells, unit, zone=zone)

    def read(self, values: pd.Series, name: object) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the cells as instants: int64 units since 1970 in UTC (or without zone), and which are missing."""
        missing = values.isna().to_numpy(dtype=bool)
        if missing.all():  # whatever dtype pandas gives a column without a value
            return np.zeros(len(values), np.int64), missing
        cells = CellType.of(values, name).settled(values[~missing])
        by_text = self.format is not None and (cells.is_text or cells.is_number)
        instants = self._read_text(values, name) if by_text else self._read_times(values, cells, name)
        instants[missing] = 0
        return instants, missing

    def _read_times(self, values: pd.Series, cells: CellType, name: object) -> NDArray[np.int64]:
        if cells.family == "object" and cells.holds == "datetime":
            codes, found = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
            instants = [min(max(instant_of(cell, self.unit)[0], 1 - 2**63), 2**63 - 1) for cell in found]
            return np.array([*instants, 0], dtype=np.int64)[codes]
        if cells.family == "arrow" and cells.holds == "datetime":
            zone = cells.name[:-1].partition(", tz=")[2] or None
            array = pa.chunked_array(values.array.__arrow_array__()).cast(pa.timestamp(self.unit, tz=zone))
            return array.cast(pa.int64()).fill_null(0).to_numpy().astype(np.int64)
        if cells.family == "datetime":
            if (cells.time_zone is None) != (self.zone is None) and self.format is None:
                now = "none" if cells.time_zone is None else "one"
                rule = "must have a time zone exactly if it had one in training"
                raise ColumnTypeError(f"{rule}, found {now}", where_of(name))
            return self._count(pd.DatetimeIndex(values))
        message = f"must hold dates, found {cells.found_in(values)}; convert it with pd.to_datetime"
        raise ColumnTypeError(message, where_of(name))

    def _read_text(self, values: pd.Series, name: object) -> NDArray[np.int64]:
        assert self.format is not None
        codes, texts = self._texts_of(values, name)
        instants, readable, offsets = read_texts(texts, self.format, self.century_starts)
        if n_bad := int((~np.append(readable, True))[codes].sum()):
            n_known = int((codes >= 0).sum())
            fitting = guess_format(pd.Series(texts)) if n_bad == n_known else None
            cure = f"the format {fitting!r} reads them" if fitting else "mend the format, or make these cells missing"
            found = f"{n_bad} of {n_known} cells that are none"
            message = f"must hold dates of the format {self.format!r}, found {found}; {cure}"
            raise ColumnTypeError(message, where_of(name))
        if self.zone is None and len(offsets) > 1:
            cure = "name the column's 'time_zone', such as 'Europe/Berlin' or 'UTC'"
            message = f"must have one offset from UTC, found several offsets from UTC; {cure}"
            raise ColumnTypeError(message, where_of(name))
        return np.append(instants, 0)[codes]

    def _fitted(self, known: NDArray[np.int64], values: pd.Series, name: object, least: int) -> Calendar:
        """Return the calendar with the resolution, and the way of writing, that all but fewer than ``least`` of these cells have."""
        step, day = _resolution(known, self.unit, least), 86_400 * PER_SECOND[self.unit]
        if self.format is not None:
            made = replace(self._with_style(*self._texts_of(values, name), least), step=step)
        else:
            local = self.zone is not None and step < day and int(np.count_nonzero(self.to_local(known) % day)) < least
            made = replace(self, step=day if local else step, local=local)
        return replace(made, day_of_month=made._day_of_month(known, least)) if made.step == day else made

    @property
    def months_told(self) -> int:
        """How many months are between two dates that the format tells apart: 12 where it has years alone, 0 where it has days."""
        told = set(re.findall("%.", self.format or "%d")) - {"%Y", "%y"}
        return 12 if not told else int(told <= {"%m", "%b", "%B"})

    def _day_of_month(self, known: NDArray[np.int64], least: int) -> int:
        """Return 1 or -1 where all but fewer than ``least`` of days are first or last ones of a dozen months or more, else 0."""
        days = self.steps(known).astype("M8[D]")
        for place in (1, -1):
            is_there, n_months = _on_day_of_month(days, place)
            is_sure = bool(self.months_told) or n_months >= _FEWEST_MONTHS
            if np.count_nonzero(~is_there) < least and is_sure:
                return place
        return 0

    @staticmethod
    def _texts_of(values: pd.Series, name: object) -> tuple[NDArray[np.intp], NDArray[Any]]:
        """Return the place of each cell among distinct texts, -1 where it is missing, and these; numbers as their digits."""
        if CellType.of(values, name).settled(values.dropna()).is_number:
            _, numbers, missing = read_numbers(values, name)
            codes, found = pd.factorize(np.where(missing, 0, numbers))
            texts = [str(int(number)) if number == np.floor(number) else "" for number in found]
            return np.where(missing, -1, codes), np.array(texts, dtype=object)
        return pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)

    def _with_style(self, places: NDArray[np.intp], texts: NDArray[Any], least: int) -> Calendar:
        """Find out whether numbers have leading zeros, how offsets are written, and the zone if there is one offset.

        They have leading zeros unless at least ``least`` cells more are without, and so on: else it would tell of these.

        Args:
            places: Of each cell, the place of its text among the distinct ones.
        """
        assert self.format is not None
        texts = texts[:STYLE_TEXTS]
        counts = np.bincount(places[(places >= 0) & (places < len(texts))], minlength=len(texts))
        calendar, (instants, _, offsets) = self, read_texts(texts, self.format, self.century_starts)
        is_told = "%z" in self.format and self.zone is None
        zone = zone_name_of(datetime.timezone(offsets.pop())) if is_told else self.zone
        offsets_written = _OFFSETS if "%z" in self.format else _OFFSETS[:1]
        most = -least
        for padded, offset in itertools.product((True, False), offsets_written):
            style = replace(self, zone=zone, padded=padded, offset=offset)
            fits = [style._text(int(instant)) == text for instant, text in zip(instants, texts, strict=True)]
            if (n := int(counts[fits].sum())) >= most + least:
                calendar, most = style, n
            if n == counts.sum():
                break
        return calendar

    def _count(self, times: pd.DatetimeIndex) -> NDArray[np.int64]:
        """Return times, in UTC if they have a zone, as units since 1970."""
        times = times if times.tz is None else times.tz_convert(None)
        return times.to_numpy().astype(f"M8[{self.unit}]").astype(np.int64)

    def to_local(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what the clock of the zone shows at instants."""
        times = pd.DatetimeIndex(instants.astype(f"M8[{self.unit}]")).tz_localize("UTC")
        return self._count(times.tz_convert(zone_of(self.zone)).tz_localize(None))

    def to_utc(self, local: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the instants at which the clock of the zone shows these times."""
        times, summer = pd.DatetimeIndex(local.astype(f"M8[{self.unit}]")), np.ones(len(local), dtype=bool)
        return self._count(times.tz_localize(zone_of(self.zone), ambiguous=summer, nonexistent="shift_forward"))

    def steps(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return instants as steps of the resolution; the nearest, where these are months."""
        if self.local and len(instants):
            instants = self.to_local(instants)
        steps = instants // self.step
        if not self.day_of_month:
            return steps
        return (steps + 15 * self.day_of_month).astype("M8[D]").astype("M8[M]").astype(np.int64)

    def instants(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return steps as instants."""
        made = self.even_steps(steps) * self.step
        return self.to_utc(made) if self.local and len(made) else made

    def even_steps(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return steps as multiples of ``step``: of months, which differ in length, as days."""
        if not self.day_of_month:
            return steps
        last = self.day_of_month < 0
        return (steps + last).astype("M8[M]").astype("M8[D]").astype(np.int64) - last

    def write(self, instants: NDArray[np.int64], missing: NDArray[np.bool_]) -> pd.Series:
        cells = self.cells
        if missing.all():
            return cells.of_numbers(instants, missing) if cells.is_number else cells.build([None] * len(missing))
        if self.format is not None or cells.family == "object":
            codes, distinct = pd.factorize(np.where(missing, 0, instants))
            if cells.is_number:
                whole = np.array([int(self._text(int(instant))) for instant in distinct] or [0], dtype=np.int64)[codes]
                return cells.of_numbers(whole.astype(np.float64) if cells.holds == "float" else whole, missing)
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
        moment = EPOCH + instant * MICROSECOND
        if self.cells.name == "date":
            return moment.date()
        utc = moment.replace(tzinfo=datetime.timezone.utc)
        return moment if self.zone is None else utc.astimezone(zone_of(self.zone))

    def _text(self, instant: int) -> str:
        assert self.format is not None
        time = EPOCH + instant * MICROSECOND
        if self.zone is not None and "%z" in self.format:
            time = time.replace(tzinfo=datetime.timezone.utc).astimezone(zone_of(self.zone))

        def write(match: re.Match[str]) -> str:
            if match[0] == "%Y":  # the C library writes years before 1000 without zeros, which strptime then refuses
                return f"{time.year:04d}"
            made = time.strftime(match[0])
            if match[0] == "%z" and self.offset != "+0100":
                return "Z" if self.offset == "Z" and made == "+0000" else f"{made[:3]}:{made[3:]}"
            return (made.lstrip("0") or "0") if strip and match[0][1] in "dmHIj" else made

        packed = packed_width(self.format) > 0
        strip = not self.padded and not packed
        made = re.sub(r"%.", write, self.format)
        return made if self.padded or not packed else made.lstrip("0") or "0"

    def to_plain(self) -> dict[str, Any]:
        """Return the calendar as plain data."""
        return vars(self) | {"cells": self.cells.to_plain()}

    @classmethod
    def from_plain(cls, plain: Any) -> Calendar:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        if type(plain) is dict:  # the first files have none of these
            plain = {"offset": _OFFSETS[0], "century_starts": None, "day_of_month": 0, **plain}
        plain = fields(plain, cls.__dataclass_fields__, "calendar")
        unit = one_of(plain["unit"], PER_SECOND, "unit")
        step = integer(plain["step"], "step", 1, 86_400 * PER_SECOND[unit])
        if plain["zone"] is not None:
            zone_of(plain["zone"])
        check(type(plain["local"]) is bool and type(plain["padded"]) is bool, "local and padded must be true or false")
        check(not plain["local"] or plain["zone"] is not None, "a local clock needs a time zone")
        format = optional(plain["format"], text, "format", 200)
        cells = CellType.from_plain(plain["cells"])
        check(format is None or cells.is_text or cells.is_number, "only text and numbers have a format")
        offset = one_of(plain["offset"], _OFFSETS, "offset")
        century = optional(plain["century_starts"], integer, "century_starts", 1, 9_900)
        day_of_month = integer(plain["day_of_month"], "day_of_month", -1, 1)
        check(not day_of_month or step == 86_400 * PER_SECOND[unit], "months are counted in days")
        return cls(
            cells, unit, step, plain["zone"], plain["local"], format, plain["padded"], offset, century, day_of_month
        )


def _on_day_of_month(days: NDArray[np.datetime64], place: int) -> tuple[NDArray[np.bool_], int]:
    """Return which days are the first of their month (1), or the last (-1), and of how many months."""
    first = days if place > 0 else days + 1
    months = first.astype("M8[M]")
    is_there = months.astype("M8[D]") == first
    return is_there, len(np.unique(months[is_there]))


def heaps_on_months(days: NDArray[np.float64]) -> bool:
    """Return whether most days, counted since 1970, are the first of a dozen months or more, or most the last; NaN is none."""
    dates = days[~np.isnan(days)].astype(np.int64).astype("M8[D]")
    found = (_on_day_of_month(dates, place) for place in (1, -1))
    return any(2 * np.count_nonzero(there) > len(dates) and n_months >= _FEWEST_MONTHS for there, n_months in found)


def unit_and_zone(cells: CellType) -> tuple[str, str | None]:
    """Return the unit in which the cells are counted, and the zone that their dtype names."""
    if cells.family == "datetime":
        return cells.name, cells.time_zone
    if cells.family == "arrow" and cells.holds == "datetime":
        unit, _, zone = cells.name[:-1].partition("[")[2].partition(", tz=")
        return {"day": "s"}.get(unit, unit), zone or None
    return "ns" if cells.name == "Timestamp" else "us", None


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
            cell = cell.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        count, per_second = (cell - EPOCH) // MICROSECOND, 10**6
    whole, rest = divmod(count * PER_SECOND[unit], per_second)
    return whole, rest != 0


def _resolution(instants: NDArray[np.int64], unit: str, least: int) -> int:
    """Return the coarsest of day, hour, minute, second, ms, us that all but fewer than ``least`` instants are whole numbers of, in units."""
    per_second = PER_SECOND[unit]
    for per_day in (1, 24, 1_440, 86_400, 86_400 * 10**3, 86_400 * 10**6):
        step, rest = divmod(86_400 * per_second, per_day)
        if not rest and np.count_nonzero(instants % step) < least:
            return step
    return 1
