"""Parquet, with every dtype, name and category level that the table had.

This module knows pyarrow's Parquet, and keeps beside the table what Parquet itself would lose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from clover_tvae.columns.dtypes import in_dtype, where_of
from clover_tvae.errors import ColumnTypeError, DataError, Problem, TableFileError
from clover_tvae.files import atomic_write
from clover_tvae.metadata.validate import repeated_names
from clover_tvae.tables.delimited import TOO_LARGE

PARQUET = (".parquet", ".pq")

# Beside the table, in its own key of the file's metadata: what Parquet itself would lose.
_EXTRAS_KEY = b"clover_tvae"
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_LEVEL_DTYPES = ("object", "str", "string", "bool", "float32", "float64", *_INTEGERS)


def read_parquet(file: BinaryIO, place: str, max_bytes: int, *, rows: bool = True) -> pd.DataFrame:
    """Read a Parquet file that is open in binary, or without ``rows`` its columns alone; see :func:`clover_tvae.tables.read_table`."""
    try:
        parquet = pq.ParquetFile(file)
        found = parquet.metadata
        unpacked = sum(found.row_group(group).total_byte_size for group in range(found.num_row_groups))
        if max(unpacked, found.num_rows * found.num_columns) > max_bytes:
            raise TableFileError(TOO_LARGE.format(max_bytes), place)
        DataError.raise_any(repeated_names(parquet.schema_arrow.names, place))
        return frame_of(parquet.read() if rows else parquet.schema_arrow.empty_table())
    except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OSError):
        raise TableFileError("is no Parquet file that can be read, or a broken one; write it again", place) from None


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Return what was read of a Parquet file as a DataFrame, with what :func:`write_parquet` kept beside it.

    Raises:
        ValueError: What was kept does not fit the table.
    """
    extras = (table.schema.metadata or {}).get(_EXTRAS_KEY)
    df = table.to_pandas(timestamp_as_object=False)
    if not isinstance(df.index, pd.RangeIndex):
        df = df.reset_index(drop=all(name is None for name in df.index.names))
    return df if extras is None else _with_extras(df, json.loads(extras))


def shared_extras(schemas: Sequence[pa.Schema]) -> dict[bytes, bytes]:
    """Return the metadata of a table of several files: that of the first, and of what :func:`write_parquet` kept what all have in common."""
    metadata = dict(schemas[0].metadata or {})
    texts = [(schema.metadata or {}).get(_EXTRAS_KEY, b"") for schema in schemas]
    if all(texts):
        noted, *others = map(json.loads, texts)
        columns = noted["columns"].items()
        same = {name: one for name, one in columns if all(other["columns"].get(name) == one for other in others)}
        metadata[_EXTRAS_KEY] = json.dumps(noted | {"columns": same}).encode()
    else:
        metadata.pop(_EXTRAS_KEY, None)
    return metadata


def write_parquet(df: pd.DataFrame, path: str | Path, *, as_feather: bool = False) -> None:
    """Write a table as Parquet, or as Feather, which keeps the same; see :func:`clover_tvae.tables.write_table`."""
    names = df.columns.tolist()
    odd = [name for name in names if not isinstance(name, str | int)]
    rule = "must be named by text or a whole number in Parquet, found a name of type"
    problems = [Problem(where_of(name), f"{rule} {type(name).__name__}; rename it", TableFileError) for name in odd]
    texts = pd.Index([str(name) for name in names])
    if not problems and texts.has_duplicates:
        where = where_of(texts[texts.duplicated()][0])
        problems.append(Problem(where, "a number and a text spell the same name; rename one", TableFileError))
    plain = df.set_axis(texts, axis=1)
    problems += _without_type(plain) if not problems else []
    DataError.raise_any(problems)
    table = pa.Table.from_pandas(plain, preserve_index=False)
    extras = json.dumps(_extras(plain, names)).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _EXTRAS_KEY: extras})
    write = feather.write_feather if as_feather else pq.write_table
    atomic_write(path, lambda file: write(table, file), mode=0o666)


def _extras(df: pd.DataFrame, names: list[Any]) -> dict[str, Any]:
    """Return what Parquet has no room for: names that are numbers, levels of a category, kinds of text and second."""
    columns: dict[str, Any] = {}
    for name in df.columns:
        dtype = df[name].dtype
        if isinstance(dtype, pd.CategoricalDtype):
            levels = dtype.categories.tolist()
            of = str(dtype.categories.dtype)
            plain = of in _LEVEL_DTYPES and all(isinstance(level, str | int | float) for level in levels)
            noted = {"levels": levels, "of": of} if plain else {"levels": None, "of": None}
            columns[name] = noted | {"ordered": bool(dtype.ordered)}
        elif re.match(r"datetime64\[s[,\]]", str(dtype)):
            columns[name] = {"unit": "s"}
        elif isinstance(dtype, pd.StringDtype):
            columns[name] = {"storage": dtype.storage, "nan": getattr(dtype, "na_value", pd.NA) is not pd.NA}
    return {"names": names, "columns": columns}


def _with_extras(df: pd.DataFrame, extras: dict[str, Any]) -> pd.DataFrame:
    """Put back what :func:`_extras` noted; raise ``ValueError`` where it does not fit the table."""
    for name, noted in extras["columns"].items():
        cells = df[name]
        if "unit" in noted:
            df[name] = cells.dt.as_unit("s")
        elif "storage" in noted:
            df[name] = cells.astype(pd.StringDtype(noted["storage"], **({"na_value": np.nan} if noted["nan"] else {})))
        elif noted["levels"] is None:
            labels = cells.astype("category")
            df[name] = labels.cat.as_ordered() if noted["ordered"] else labels
        else:
            if noted["of"] not in _LEVEL_DTYPES:
                raise ValueError
            levels = pd.Index(noted["levels"], dtype=noted["of"])
            df[name] = in_dtype(cells, pd.CategoricalDtype(levels, ordered=noted["ordered"] is True))
    if [str(name) for name in extras["names"]] != df.columns.tolist():
        raise ValueError
    if not all(isinstance(name, str) for name in extras["names"]):
        df.columns = pd.Index(extras["names"], dtype=object)
    return df


def _without_type(df: pd.DataFrame) -> Iterable[Problem]:
    """Return a problem for every column whose cells Parquet has no type for."""
    problems = []
    for name in df.columns:
        try:
            pa.array(df[name], from_pandas=True)
        except UnicodeEncodeError:
            raise
        except (pa.ArrowException, TypeError, ValueError, OverflowError):  # their messages quote cells
            text = f"must hold cells of one type, found dtype {df[name].dtype}; give every cell one type, or write CSV"
            problems.append(Problem(where_of(name), text, ColumnTypeError))
    return problems
