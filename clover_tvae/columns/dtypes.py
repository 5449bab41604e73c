"""What the cells of a column are in pandas, as plain data, and how a column of that kind is built again.

This module knows the dtypes of pandas, numpy and pyarrow, and which of them cannot be learnt. It knows no statistics.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import types

from clover_tvae.columns.cells import (
    MISSING_MARKERS,
    TAGS,
    UNITS,
    ZONEINFO,
    is_missing,
    plain_cell,
    typed_key,
    values_from_plain,
    values_to_plain,
    zone_name_of,
    zone_of,
)
from clover_tvae.columns.plain_data import check, fields, one_of, text
from clover_tvae.errors import ColumnTypeError, Problem, UserError

TEXT_DTYPE: Any = pd.Series([""]).dtype
"""What pandas makes of texts: ``str`` since pandas 3, ``object`` before."""
DATE_UNIT = pd.DatetimeIndex(["2024-01-31"]).unit
"""What pandas counts dates in: microseconds since pandas 3, nanoseconds before."""

_INTS = tuple(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64))
_NUMPY = ("bool", "float16", "float32", "float64", *_INTS)
_NULLABLE = ("boolean", "Float32", "Float64", *(f"{u}Int{b}" for u in ("", "U") for b in (8, 16, 32, 64)))
_STRINGS = ("python", "pyarrow", "python-nan", "pyarrow-nan")
_OBJECTS = ("str", "int", "float", "bool", "Decimal", "date", "datetime", "Timestamp", "mixed", "empty")
_ARROW = ("bool", "float", "double", "string", "large_string", "date32[day]", "date64[ms]", *_INTS)
_ARROW_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=([A-Za-z0-9_+\-:/]{1,64}))?\]")
_ARROW_DECIMAL = re.compile(r"decimal128\((\d{1,2}), (\d{1,2})\)")
_FAMILIES = ("numpy", "nullable", "string", "arrow", "datetime", "category", "object")
# The first part of a dtype's name that fits says what its cells are.
_HOLDS = {
    "bool": "boolean", "int": "integer", "decimal": "decimal", "float": "float", "double": "float", "date": "datetime",
    "timestamp": "datetime", "str": "text", "mixed": "mixed", "empty": "empty",
}  # fmt: skip
_CURES = {
    "complex": "split it into a real and an imaginary column",
    "timedelta": "convert it to seconds with .dt.total_seconds()",
    "time": "convert it to text with astype(str) and declare it 'datetime', format '%H:%M:%S'",
    "period": "convert it with .dt.to_timestamp() and declare it 'datetime'",
    "interval": "declare the bounds as two columns, or convert it with astype(str) and declare it 'categorical'",
    "dictionary": "convert it with astype('category')",
    "bytes": "decode it to text, or declare it 'ignore'",
    "nested": "spread lists, dicts and other objects over columns of their own, or declare it 'ignore'",
    "halffloat[pyarrow]": "convert it with astype('float32')",
    "sparse": "convert it with .sparse.to_dense()",
}
_UNLEARNABLE_CELLS: tuple[tuple[Any, str], ...] = (
    (bytes, "bytes"),
    ((datetime.timedelta, np.timedelta64), "timedelta"),
    (datetime.time, "time"),
    (pd.Period, "period"),
    (pd.Interval, "interval"),
    ((complex, np.complexfloating), "complex"),
    (object, "nested"),
)


def where_of(name: object) -> str:
    """Return how messages name a column; lone surrogates are escaped, so that any terminal can show it."""
    return f"column {name!r}"


def located(error: UserError, name: object) -> list[Problem]:
    """Return the problems of an error, each with its column and its class."""
    return [Problem(p.where or where_of(name), p.message, p.kind or type(error)) for p in error.problems]


def tags_of(cells: Iterable[Any]) -> Counter[str]:
    """Count cells, none of them missing, by the name of their type; those that cannot be learnt by what they are."""
    counts: Counter[str] = Counter()
    for kind, count in Counter(map(type, cells)).items():
        tag = next((TAGS[base] for base in kind.__mro__ if base in TAGS), None)
        if tag is None and issubclass(kind, np.generic):
            tag = {"b": "bool", "i": "int", "u": "int", "f": "float", "M": "Timestamp"}.get(np.dtype(kind).kind)
        counts[tag or next(word for classes, word in _UNLEARNABLE_CELLS if issubclass(kind, classes))] += count
    return counts


def _holds(name: str) -> str:
    return next((word for part, word in _HOLDS.items() if part in name.lower()), "text")


@dataclass(frozen=True)
class CellType:
    """The dtype of a column, as plain data.

    Args:
        family: Which library's dtype: ``numpy``, ``nullable`` (pandas), ``string``, ``arrow``, ``datetime``,
            ``category`` or ``object``.
        name: The dtype inside the family; for ``object`` the Python type of the cells, ``mixed`` or ``empty``.
        missing: How a missing cell of an object column is written: ``nan``, ``none``, ``NA`` or ``NaT``.
        time_zone: Of a ``datetime`` column.
        inner: Of a ``category`` column: what its categories are.
        categories: Of a ``category`` column: all of them in order, used or not.
        ordered: Of a ``category`` column.
    """

    family: str
    name: str
    missing: str = "nan"
    time_zone: str | None = None
    inner: CellType | None = None
    categories: tuple[Any, ...] = ()
    ordered: bool = False

    @classmethod
    def of(cls, values: pd.Series | pd.Index, name: object = None) -> CellType:
        """Describe a column.

        Raises:
            ColumnTypeError: The dtype, or the type of a cell, is not supported.
        """
        dtype = values.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            categories = dtype.categories
            try:
                inner = cls.of(categories, name)
            except ColumnTypeError as error:
                message = f"{error.problems[0].message}; or convert the categories with astype(str)"
                raise ColumnTypeError(message, where_of(name)) from None
            if inner.family == "object" and inner.name == "empty":
                inner = cls("object", "str", "none")
            levels = tuple(map(plain_cell, categories.tolist()))
            return cls("category", "category", inner=inner, categories=levels, ordered=bool(dtype.ordered))
        if isinstance(dtype, pd.StringDtype):
            not_na = getattr(dtype, "na_value", pd.NA) is not pd.NA
            return cls("string", dtype.storage.removesuffix("_numpy") + ("-nan" if not_na else ""), "NA")
        if isinstance(dtype, pd.ArrowDtype):
            arrow = str(dtype.pyarrow_dtype)
            with contextlib.suppress(ValueError):
                _arrow_type(arrow)
                return cls("arrow", arrow, "NA")
        elif isinstance(dtype, pd.DatetimeTZDtype):
            return cls("datetime", dtype.unit, "NaT", time_zone=_zone_name(dtype.tz, name))
        elif isinstance(dtype, np.dtype):
            unit = dtype.str.partition("[")[2].removesuffix("]")
            if dtype.kind == "M" and unit in UNITS:
                return cls("datetime", unit, "NaT")
            if dtype.name in _NUMPY:
                return cls("numpy", dtype.name)
            if dtype.kind == "O":
                return cls._of_objects(np.asarray(values, dtype=object), name)
        elif str(dtype) in _NULLABLE:
            return cls("nullable", str(dtype), "NA")
        raise _refuse(name, _unlearnable(dtype), f"dtype {dtype}")

    @classmethod
    def _of_objects(cls, cells: NDArray[Any], name: object) -> CellType:
        try:
            absent = pd.isna(cells)
        except InvalidOperation:
            raise _refuse(name, "Decimal('sNaN')", "dtype object", "make these cells missing") from None
        missing = "nan"
        if absent.any():
            markers = [_marker(cell) for cell in cells[absent]]
            missing = max(MISSING_MARKERS, key=markers.count)
        tags = tags_of(cells[~absent])
        for word in sorted(tags.keys() & _CURES.keys()):
            raise _refuse(name, f"{tags[word]} of {len(cells)} {word}", "dtype object", _CURES[word])
        return cls("object", "empty" if not tags else next(iter(tags)) if len(tags) == 1 else "mixed", missing)

    @property
    def holds(self) -> str:
        """What the cells are, in one word: boolean, integer, float, decimal, text, datetime, category, mixed or empty."""
        return self.family if self.family in ("category", "datetime") else _holds(self.name)

    def found_in(self, values: pd.Series) -> str:
        """Return what messages say that a column of this dtype holds: words and counts, never a cell."""
        if self.family == "object" and self.name == "mixed":
            tags = tags_of(values[values.notna()])
            counts = " and ".join(f"{count} {_holds(tag)}" for tag, count in tags.items())
            return f"{counts} cells (dtype object)"
        return f"{self.holds} cells (dtype {values.dtype})"

    def settled(self, known: pd.Series) -> CellType:
        """Return the one type that cells of several types of number, or of time, are read as; else this type."""
        tags = tags_of(known) if self.holds == "mixed" else Counter[str]()
        for group in (("float", "Decimal", "int"), ("Timestamp", "datetime", "date")):
            if tags and tags.keys() <= set(group):
                return replace(self, name=next(tag for tag in group if tag in tags))
        return self

    @property
    def is_text(self) -> bool:
        """Whether all cells are strings."""
        return (self.inner or self).holds == "text"

    @property
    def is_number(self) -> bool:
        """Whether all cells are numbers."""
        return self.family != "category" and self.holds in ("integer", "float", "decimal")

    @property
    def pandas(self) -> Any:
        """The dtype object."""
        match self.family:
            case "numpy":
                return np.dtype(self.name)
            case "nullable":
                return pd.api.types.pandas_dtype(self.name)
            case "string":
                storage, _, nan = self.name.partition("-")
                return pd.StringDtype(storage, na_value=np.nan) if nan else pd.StringDtype(storage)
            case "arrow":
                return pd.ArrowDtype(_arrow_type(self.name))
            case "datetime":
                if self.time_zone and self.time_zone.startswith(ZONEINFO):
                    return pd.DatetimeTZDtype(self.name, zone_of(self.time_zone))
                if self.time_zone:
                    return pd.api.types.pandas_dtype(f"datetime64[{self.name}, {self.time_zone}]")
                return np.dtype(f"M8[{self.name}]")
            case "category":
                assert self.inner is not None
                return pd.CategoricalDtype(self.inner.build(self.categories), ordered=self.ordered)
            case _:
                return np.dtype(object)

    @property
    def largest_decimal(self) -> float | None:
        """The largest float that a decimal of Arrow can hold; ``None`` for other types."""
        if not (match := _ARROW_DECIMAL.fullmatch(self.name)):
            return None
        largest = Fraction(10 ** int(match[1]) - 1, 10 ** int(match[2]))
        near = float(largest)
        return near if Fraction(repr(near)) <= largest else float(np.nextafter(near, 0))

    def build(self, cells: Sequence[Any]) -> pd.Series:
        """Return a column of this dtype from Python cells, ``None`` where one is missing."""
        if self.family == "object":
            out = np.empty(len(cells), dtype=object)
            marker = MISSING_MARKERS[self.missing]
            out[:] = [marker if is_missing(cell) else cell for cell in cells]
            return pd.Series(out, dtype=object)
        if self.family == "category":
            place = {typed_key(value): i for i, value in enumerate(self.categories)}
            codes = [-1 if is_missing(cell) else place[typed_key(cell)] for cell in cells]
            return pd.Series(pd.Categorical.from_codes(np.array(codes, dtype=np.int64), dtype=self.pandas))
        return pd.Series(list(cells), dtype=self.pandas)

    def take(self, cells: Sequence[Any], codes: NDArray[Any]) -> pd.Series:
        """Return the column whose cell ``i`` is ``cells[codes[i]]``."""
        return self.build(cells).take(codes).reset_index(drop=True)

    def of_numbers(self, values: NDArray[Any], missing: NDArray[np.bool_], decimals: int | None = None) -> pd.Series:
        """Return a column of this dtype from numbers that already fit it.

        Args:
            values: int64, uint64 or float64.
            missing: Which cells are missing; their values do not matter.
            decimals: Of ``Decimal`` cells.
        """
        if self.family == "numpy" and self.holds == "integer" and missing.any():  # whole numbers with gaps are floats
            return pd.Series(np.where(missing, np.nan, values.astype(np.float64)))
        if missing.all():
            return self.build([None] * len(values))
        match self.family:
            case "numpy":
                column = values.astype(self.name)
                if missing.any():
                    column[missing] = np.nan
                return pd.Series(column)
            case "nullable":
                dtype = self.pandas
                kinds = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
                array = kinds.get(dtype.kind, pd.arrays.IntegerArray)
                return pd.Series(array(values.astype(dtype.numpy_dtype), missing.copy()))
            case "arrow" if "decimal" not in self.name:
                kind = _arrow_type(self.name)
                raw = values.astype(bool) if self.name == "bool" else values.astype(kind.to_pandas_dtype())
                return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(raw, type=kind, mask=missing)))
        cells = values.astype(object)
        if self.name == "Decimal" or "decimal" in self.name:
            scale = Decimal(1).scaleb(-decimals) if decimals is not None else None
            made = [Decimal(repr(float(v)) if values.dtype.kind == "f" else int(v)) for v in values]
            cells[:] = made if scale is None else [_quantize(v, scale) for v in made]
        elif self.name == "bool":
            cells = values.astype(bool).astype(object)
        if self.family == "arrow":
            return self.build([None if gone else cell for cell, gone in zip(cells, missing, strict=True)])
        cells[missing] = MISSING_MARKERS[self.missing]
        return pd.Series(cells, dtype=object)

    def to_plain(self) -> dict[str, Any]:
        """Return the description as dicts, lists, strings and numbers."""
        inner = None if self.inner is None else self.inner.to_plain()
        return vars(self) | {"inner": inner, "categories": values_to_plain(self.categories)}

    @classmethod
    def from_plain(cls, plain: Any, *, inner: bool = False) -> CellType:
        """Read what ``to_plain`` wrote.

        Raises:
            ValueError: Anything else.
        """
        plain = fields(plain, cls.__dataclass_fields__, "dtype")
        family = one_of(plain["family"], _FAMILIES, "dtype family")
        name = text(plain["name"], "dtype name", 100)
        one_of(plain["missing"], MISSING_MARKERS, "missing marker")
        check(type(plain["ordered"]) is bool, "ordered must be true or false")
        known = {"numpy": _NUMPY, "nullable": _NULLABLE, "string": _STRINGS, "datetime": UNITS, "object": _OBJECTS}
        if family == "arrow":
            _arrow_type(name)
        elif family == "category":
            check(not inner and plain["inner"] is not None, "a category dtype must say what its categories are")
        else:
            one_of(name, known[family], "dtype name")
        if plain["time_zone"] is not None:
            check(family == "datetime", "only a datetime has a time zone")
            zone_of(plain["time_zone"])
        categories = values_from_plain(plain["categories"])
        check(
            family == "category" or (not categories and plain["inner"] is None), "only a category dtype has categories"
        )
        cells = None if plain["inner"] is None else cls.from_plain(plain["inner"], inner=True)
        made = cls(family, name, plain["missing"], plain["time_zone"], cells, tuple(categories), plain["ordered"])
        if family == "category":
            try:
                made.pandas  # noqa: B018  categories must be distinct and of their type
            except Exception as error:
                raise ValueError("the categories do not fit their type") from error
        return made


def _quantize(value: Decimal, scale: Decimal) -> Decimal:
    try:
        return value.quantize(scale)
    except InvalidOperation:  # more digits than the context holds: leave the value as it is
        return value


def _marker(cell: Any) -> str:
    if cell is None:
        return "none"
    return "NA" if cell is pd.NA else "NaT" if cell is pd.NaT or isinstance(cell, np.datetime64) else "nan"


def _unlearnable(dtype: Any) -> str:
    """Return in one word what cannot be learnt of a dtype."""
    classes = {pd.SparseDtype: "sparse", pd.IntervalDtype: "interval", pd.PeriodDtype: "period"}
    if word := classes.get(type(dtype)):
        return word
    if not isinstance(dtype, pd.ArrowDtype):
        return {"m": "timedelta", "c": "complex"}.get(getattr(dtype, "kind", ""), str(dtype))
    kinds = {
        "timedelta": (types.is_duration,), "time": (types.is_time,), "dictionary": (types.is_dictionary,),
        "bytes": (types.is_binary, types.is_large_binary), "nested": (types.is_nested,),
    }  # fmt: skip
    arrow = dtype.pyarrow_dtype
    return next((word for word, checks in kinds.items() if any(check(arrow) for check in checks)), str(dtype))


def _refuse(name: object, found: str, dtype: str, cure: str | None = None) -> ColumnTypeError:
    cure = cure or _CURES.get(found, "convert it to text or to numbers, or declare it 'ignore'")
    message = f"must hold numbers, text, dates or true and false, found {found} cells ({dtype}); {cure}"
    return ColumnTypeError(message, where_of(name))


def _zone_name(zone: Any, name: object) -> str:
    zone_name = zone_name_of(zone)
    if isinstance(zone, ZoneInfo) and zone.key != "UTC":
        zone_name = ZONEINFO + zone.key
    try:
        zone_of(zone_name)
    except ValueError:
        cure = "convert it with .dt.tz_convert('UTC')"
        raise _refuse(name, "dates in a time zone without a name, as", "dtype datetime64", cure) from None
    return zone_name


def _arrow_type(name: str) -> Any:
    if match := _ARROW_TIMESTAMP.fullmatch(name):
        if match[2]:
            zone_of(match[2])
        return pa.timestamp(match[1], tz=match[2])
    if match := _ARROW_DECIMAL.fullmatch(name):
        check(1 <= int(match[1]) <= 38, "not a decimal type")
        return pa.decimal128(int(match[1]), int(match[2]))
    one_of(name, _ARROW, "arrow type")
    return pa.type_for_alias(name.removesuffix("[day]").removesuffix("[ms]"))


def in_dtype(values: pd.Series, dtype: Any) -> pd.Series:
    """Return cells in a dtype.

    Raises:
        ValueError: It cannot hold them, such as a category dtype that lacks a category; or ``TypeError``.
    """
    if isinstance(dtype, pd.CategoricalDtype) and values.dtype != dtype:
        known = values[values.notna().to_numpy(dtype=bool)]
        if isinstance(known.dtype, pd.CategoricalDtype):
            known = known.astype(known.dtype.categories.dtype)
        if (dtype.categories.get_indexer_for(pd.Index(known)) < 0).any():
            raise ValueError("a category that the dtype lacks")
    return values.astype(dtype)


def with_cells(column: pd.Series, positions: NDArray[Any], values: pd.Series) -> pd.Series:
    """Return a column with ``values`` at ``positions``, in its dtype wherever that can hold them."""
    filled = column.copy()
    try:
        filled.iloc[positions] = in_dtype(values, column.dtype).array
    except (TypeError, ValueError):
        # Such as an all-missing object column, or a category dtype that lacks the category.
        wide = column.astype(object)
        wide.iloc[positions] = values.astype(object).array  # type: ignore[call-overload]
        return wide if isinstance(column.dtype, pd.CategoricalDtype) else wide.infer_objects()
    return filled
