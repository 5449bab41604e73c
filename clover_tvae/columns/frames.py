"""Tables of other libraries: Polars, PyArrow, DuckDB and all that narwhals knows, taken as pandas and given back as they came.

What is between the two is Arrow: no cell is rounded, and whole numbers with gaps stay whole. This module knows no statistics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import pandas as pd
import pyarrow as pa
from pyarrow import types

from clover_tvae.errors import DataError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class FrameKind:
    """The library that a table came from, and the types of its columns; nothing of its cells, nor of its categories.

    Args:
        backend: As narwhals names it, such as ``polars``; ``None`` for pandas, whose tables are given back as they are.
        schema: The Arrow types of its columns; others keep their own.
        enums: Columns whose categories are part of their type (Polars).
    """

    backend: str | None = None
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    enums: tuple[str, ...] = ()

    def given_back(self, df: pd.DataFrame) -> Any:
        """Return a pandas table in this kind; its index is left out."""
        if self.backend is None:
            return df
        table = pa.Table.from_pandas(df, preserve_index=False).replace_schema_metadata(None)
        for place, name in enumerate(table.column_names):
            if name in self.schema.names:
                table = table.set_column(place, name, _cast(table.column(place), self.schema.field(name).type))
        if self.backend == "pyarrow":
            return table
        import narwhals as nw

        enums = [name for name in self.enums if name in df and isinstance(df[name].dtype, pd.CategoricalDtype)]
        casts = [nw.col(name).cast(nw.Enum(df[name].cat.categories.tolist())) for name in enums]
        library: Any = self.backend
        return nw.from_arrow(table, backend=library).with_columns(casts).to_native()

    def completed(self, other: FrameKind) -> FrameKind:
        """Return this kind with the columns that only ``other`` has, if both are of one library."""
        if self.backend != other.backend:
            return self
        more = [column for column in other.schema if column.name not in self.schema.names]
        enums = [name for name in other.enums if name not in self.schema.names]
        return FrameKind(self.backend, pa.schema([*self.schema, *more]), (*self.enums, *enums))


def read_frame(table: Any) -> tuple[Any, FrameKind | None]:
    """Return a table of another library as pandas, and its kind; what is no table as it is, and ``None``.

    Args:
        table: Anything: a Polars DataFrame or LazyFrame, a PyArrow Table, a DuckDB relation, another table that narwhals
            knows. A query (LazyFrame, relation) is run; what is given back is a Polars or, of DuckDB, a pandas table.

    Raises:
        DataError: The query fails, or columns have types that Arrow has no room for.

    Example:
        >>> read_frame(pa.table({"age": [30, None]}))[0]["age"].dtype
        int64[pyarrow]
    """
    if isinstance(table, pd.DataFrame):
        return table, FrameKind()
    if isinstance(table, pa.Table):
        return pandas_of(table), FrameKind("pyarrow", _types(table))
    if not hasattr(type(table), "columns"):  # of a path, a dict or a parameter narwhals need not be asked
        return table, None
    import narwhals as nw

    found = nw.from_native(table, pass_through=True)
    if not isinstance(found, nw.DataFrame | nw.LazyFrame):
        return table, None
    try:
        arrow = (found.collect() if isinstance(found, nw.LazyFrame) else found).to_arrow()
    except Exception as error:  # of the library whose table it is; the text may quote cells
        text = f"a table of {found.implementation.value} cannot be read ({type(error).__name__}); collect it, and give the result"
        raise DataError(text, "table") from None
    eager = ("polars", "pandas", "modin", "cudf")
    backend = found.implementation.value if found.implementation.value in eager else None
    enums = tuple(name for name, dtype in found.collect_schema().items() if dtype == nw.Enum)
    return pandas_of(arrow), FrameKind(backend, _types(arrow), enums)


def require_pandas(table: Any, where: str = "") -> None:
    """Refuse what is no pandas table, and was not read as one."""
    if not isinstance(table, pd.DataFrame):
        module = type(table).__module__.partition(".")[0]
        cure = "convert it with .to_pandas()" if hasattr(table, "to_pandas") else "make one with pd.DataFrame(...)"
        what = type(table).__name__ if module == "builtins" else f"{module}'s {type(table).__name__}"
        subject = "" if where else "the table "
        raise DataError(f"{subject}must be a pandas DataFrame, found {what}; {cure}", where)


def _types(table: pa.Table) -> pa.Schema:
    """Return names and types of the columns alone: the metadata of a field can hold categories."""
    return pa.schema([(column.name, column.type) for column in table.schema])


def pandas_of(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as pandas: each column as Arrow, without a copy; categories as those of pandas."""
    for place, column in enumerate(table.schema):  # what pandas has no room for
        if types.is_string_view(column.type):
            table = table.set_column(place, column.name, table.column(place).cast(pa.large_string()))
        elif types.is_dictionary(column.type):
            of = pa.dictionary(pa.int32(), column.type.value_type, column.type.ordered)
            table = table.set_column(place, column.name, table.column(place).cast(of))
    return table.to_pandas(types_mapper=_dtype, ignore_metadata=True)


def _dtype(arrow: pa.DataType) -> pd.ArrowDtype | None:
    return None if types.is_dictionary(arrow) or types.is_null(arrow) else pd.ArrowDtype(arrow)


def _cast(cells: pa.ChunkedArray, arrow: pa.DataType) -> pa.ChunkedArray:
    if types.is_dictionary(arrow) and not types.is_dictionary(cells.type):
        cells = cells.cast(arrow.value_type).dictionary_encode()
    return cells if arrow in (cells.type, pa.null()) else cells.cast(arrow)


#: Within a function that takes tables of any kind, all tables are pandas.
_is_within: ContextVar[bool] = ContextVar("_is_within", default=False)


def takes_frames(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function that takes pandas tables take those of other libraries, too."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return _called(function, args, kwargs)[0]

    return called


def same_kind(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method take tables of any kind, and give its rows back in that kind: without one in the object's ``frame_kind``."""
    return _giving_back(method, lambda kind, own: own if kind is None else kind.completed(own))


def same_library(method: Callable[P, R]) -> Callable[P, R]:
    """As :func:`same_kind`, for figures of each row, whose types are other ones than the table's."""
    return _giving_back(method, lambda kind, own: FrameKind() if kind is None else FrameKind(kind.backend))


def _giving_back(method: Callable[P, R], kind_of: Callable[[FrameKind | None, FrameKind], FrameKind]) -> Callable[P, R]:
    """Let a method take tables of any kind, and give back the one that ``kind_of`` says of the first and of the object's own."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        is_within = _is_within.get()
        result, kind = _called(method, args, kwargs)
        own = getattr(args[0], "frame_kind", FrameKind())
        return result if is_within else _all_back(result, kind_of(kind, own))

    return called


def _called(function: Callable[..., R], args: Any, kwargs: Any) -> tuple[R, FrameKind | None]:
    """Call a function with pandas tables, and return what it returns and the kind of the first."""
    read = [read_frame(value) for value in args]
    named = {name: read_frame(value) for name, value in kwargs.items()}
    token = _is_within.set(True)
    try:
        result = function(*(value for value, _ in read), **{name: value for name, (value, _) in named.items()})
    finally:
        _is_within.reset(token)
    return result, next((kind for _, kind in (*read, *named.values()) if kind is not None), None)


def _all_back(result: Any, kind: FrameKind) -> Any:
    if isinstance(result, pd.DataFrame):
        return kind.given_back(result)
    if isinstance(result, list | Iterator):
        back = (_all_back(item, kind) for item in result)
        return [*back] if isinstance(result, list) else back
    return result
