"""Parquet datasets that need not fit into memory: a file, or a folder of files, read block by block.

A table of more than :data:`MOST_ROWS` rows is known by a uniform sample, and read again for all of them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clover_tvae.errors import DataError, TableFileError
from clover_tvae.files import file_digest, not_there
from clover_tvae.metadata.validate import repeated_names
from clover_tvae.tables.parquet import PARQUET, frame_of, shared_extras
from clover_tvae.tables.parts import MANIFEST

#: Tables of more rows are not held in memory. What is learnt of them before the networks are trained (quantiles, categories,
#: relations) is learnt of a sample of so many rows.
MOST_ROWS, SAMPLE_ROWS = 1_000_000, 200_000
_ROWS_A_BLOCK = 65_536
#: A number with zeros in front, and how Hive names a folder of rows whose cell is missing.
_CODE, _NO_VALUE = re.compile(r"0\d+"), "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Beyond:
    """All rows of a table of which only a uniform sample is in memory.

    Args:
        n_rows: How many there are.
        places: Of each row of the sample: its number among all rows.
        digest: The sha256 of the files.
        frames: Called for the rows, in blocks; the index of each is the numbers of its rows.
    """

    n_rows: int
    places: NDArray[np.int64]
    digest: str
    frames: Callable[[], Iterator[pd.DataFrame]]

    def mapped(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Beyond:
        """Return the rows as ``change`` makes them of each block; it keeps the index."""
        return replace(self, frames=lambda: map(change, self.frames()))


def read_dataset(path: str | Path, rng: np.random.Generator) -> tuple[pd.DataFrame, Beyond | None]:
    """Read a Parquet file, or a folder of them, also one that is larger than memory.

    Args:
        path: The file, or the folder (in folders named ``key=value``, too, as Hive writes them).
        rng: Draws the sample.

    Returns:
        The table and ``None``, or a uniform sample of it, in the order of the rows, and what reads all of them.

    Raises:
        TableFileError: There is no such file, it is no Parquet, or the files hold other columns.
        DuplicateColumnsError: Two columns share a name.
    """
    path = Path(path)
    found, n_rows = _found(path)
    stamps = _stamps(found, path)
    _check_folders(found, path)
    places = _drawn(n_rows, rng)
    taken = []
    for first, block in _blocks(found, path):
        inside = places[np.searchsorted(places, first) : np.searchsorted(places, first + len(block))]
        taken.append(block.take(pa.array(inside - first)))
    with _readable(path):
        of_files = next(found.get_fragments()).physical_schema.names
    of_folders = [name for name in found.schema.names if name not in of_files]
    df = _frame(found, path, of_folders, taken)
    if len(places) == n_rows:
        return df, None
    digests = "".join(str(file_digest(Path(file))) for file in found.files)
    frames = partial(_frames, found, path, of_folders, stamps)
    return df, Beyond(n_rows, places, hashlib.sha256(digests.encode()).hexdigest(), frames)


def _frame(found: Any, path: Path, of_folders: list[str], blocks: list[pa.RecordBatch]) -> pd.DataFrame:
    """Return blocks as one table; the names of folders say the columns ``of_folders``."""
    with _readable(path):
        table = pa.Table.from_batches(blocks, schema=found.schema)
        return frame_of(table.drop_columns(of_folders)).join(table.select(of_folders).to_pandas())


def _frames(found: Any, path: Path, of_folders: list[str], stamps: list[tuple[int, int]]) -> Iterator[pd.DataFrame]:
    """Yield all rows, if the files are those that the sample was drawn from."""
    changed = TableFileError("has changed since the sample of its rows was drawn; learn it again", str(path))
    if _stamps(found, path) != stamps:
        raise changed
    for first, block in _blocks(found, path):
        yield _frame(found, path, of_folders, [block]).set_axis(pd.RangeIndex(first, first + len(block)))
    if _stamps(found, path) != stamps:
        raise changed


def _stamps(found: Any, path: Path) -> list[tuple[int, int]]:
    with _readable(path):
        return [(stat.st_size, stat.st_mtime_ns) for stat in map(os.stat, found.files)]


def is_large(path: str | Path) -> bool:
    """Whether a table is a folder of Parquet files, or a Parquet file of more rows than are held in memory."""
    path = Path(path)
    is_parquet = path.is_file() and path.suffix.lower() in PARQUET
    return (path.is_dir() and not (path / MANIFEST).exists()) or (is_parquet and _found(path)[1] > MOST_ROWS)


def is_beyond_memory(path: str | Path) -> bool:
    """Whether a table is Parquet of more rows than are held in memory."""
    return is_large(path) and _found(Path(path))[1] > MOST_ROWS


def dataset_names(path: str | Path) -> list[str]:
    """Return the names of the columns of a Parquet file or folder, without reading a row."""
    return list(_found(Path(path))[0].schema.names)


def table_digest(path: Path | None) -> str | None:
    """Return the sha256 of a table's file, or of the names and files of its folder; ``None`` if it is not there."""
    if path is None or not path.is_dir():
        return file_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    told = repr([(file.relative_to(path).as_posix(), file_digest(file)) for file in files])
    return hashlib.sha256(told.encode()).hexdigest()


def _found(path: Path) -> tuple[Any, int]:
    """Return a dataset, none of whose rows is read yet, and how many it has."""
    if not path.exists():
        raise TableFileError(not_there(path), str(path))
    if path.is_file() and path.suffix.lower() not in PARQUET:
        text = "is no Parquet file by its name; clover_tvae.tables.read_table reads other tables"
        raise TableFileError(text, str(path))
    with _readable(path):
        found, named = _opened(path)
        if not found.files:
            raise TableFileError("the folder holds no Parquet file", str(path))
        schemas = list(_schemas(found))
        if any(set(schema.names) != set(schemas[0].names) for schema in schemas):
            raise TableFileError("must hold files of one table, found other columns in some", str(path))
        # Whole numbers in one file and numbers with gaps in the next are one column, and so are texts that only some files number.
        try:
            whole = pa.unify_schemas(_without_numbered([found.schema, *schemas]), promote_options="permissive")
        except pa.ArrowException as error:  # it names the column and its types
            raise TableFileError(f"must hold files of one table: {error}", str(path)) from None
        whole = whole.with_metadata(shared_extras(schemas))
        return ds.dataset(path, format="parquet", partitioning=named, schema=whole), found.count_rows()


def _opened(path: Path) -> tuple[Any, Any]:
    """Return the dataset of a path, whose files may still be of several tables, and how the names of its folders are read."""
    try:
        named = _named(path)
        return ds.dataset(path, format="parquet", partitioning=named), named
    except pa.ArrowTypeError as error:  # of a column in the files that the names of folders say otherwise
        raise TableFileError(f"must hold files of one table: {error}", str(path)) from None
    except pa.ArrowInvalid:
        list(_schemas(ds.dataset(path, format="parquet", schema=pa.schema([]))))  # tells which file is wrong
        raise


def _named(path: Path) -> Any:
    """Return how Arrow is to read the names of folders (``ward=01``): numbers with zeros in front are codes, which 01 and 1 tell apart."""
    plain, base = ds.dataset(path, format="parquet"), len(Path(os.path.abspath(path)).parts)
    values: dict[str, set[str]] = {}
    for file in plain.files:
        for name, is_said, value in (part.partition("=") for part in Path(os.path.abspath(file)).parts[base:-1]):
            if is_said:
                values.setdefault(unquote(name), set()).add(unquote(value))
    in_files = {field.name: field.type for field in plain.schema}
    codes = {name for name, found in values.items() if any(map(_CODE.fullmatch, found))} - in_files.keys()
    wide = {name for name in values.keys() & in_files.keys() if in_files[name] not in (pa.int32(), pa.string())}
    if not codes | wide:
        return "hive"
    kinds = {name: _kind(found - {_NO_VALUE}, in_files.get(name)) for name, found in values.items()}
    return ds.partitioning(pa.schema([*(kinds | dict.fromkeys(codes, pa.string())).items()]), flavor="hive")


def _kind(values: set[str], in_files: pa.DataType | None) -> pa.DataType:
    """Return what Arrow takes the values of a folder's name for; whole numbers of the files are of one type with those of their folders."""
    if not values or not all(re.fullmatch(r"-?\d{1,9}", value) for value in values):
        return pa.string()
    return in_files if in_files is not None and pa.types.is_integer(in_files) else pa.int32()


def _schemas(found: Any) -> Iterator[pa.Schema]:
    """Yield what columns each file holds; the one that is no Parquet, or has two of a name, is named."""
    for fragment in found.get_fragments():
        with _readable(Path(fragment.path)):
            schema = fragment.physical_schema
        DataError.raise_any(repeated_names(schema.names, fragment.path))
        yield schema


def _check_folders(found: Any, path: Path) -> None:
    """Refuse a column of the files that the names of their folders say otherwise: these would be read in its place."""
    for fragment in found.get_fragments():
        with _readable(Path(fragment.path)):
            said = ds.get_partition_keys(fragment.partition_expression)
            both = {name: said[name] for name in fragment.physical_schema.names if name in said}
            blocks = pq.ParquetFile(fragment.path).iter_batches(_ROWS_A_BLOCK, columns=[*both]) if both else ()
            for block in blocks:
                for name, value in both.items():
                    type_ = found.schema.field(name).type
                    if block[name].cast(type_).unique() != pa.array([value]).cast(type_).unique():
                        text = f"column {name!r} stands in the files and in the names of folders, and differs"
                        raise TableFileError(f"{text}; leave it out of the files, or rename a folder", str(path))


def _without_numbered(schemas: list[pa.Schema]) -> list[pa.Schema]:
    """Return the schemas, a column that holds numbered categories (Arrow's dictionary) in some files alone as what they number."""
    fields = [field for schema in schemas for field in schema]
    plain = {f.name for f in fields if not pa.types.is_dictionary(f.type) and not pa.types.is_null(f.type)}
    mixed = {f.name: f.type.value_type for f in fields if pa.types.is_dictionary(f.type) and f.name in plain}
    return [
        pa.schema(
            [f.with_type(mixed[f.name]) if pa.types.is_dictionary(f.type) and f.name in mixed else f for f in schema]
        )
        for schema in schemas
    ]


def _drawn(n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers of the rows of the sample, in order: all of a small table, else a uniform draw."""
    if n_rows <= MOST_ROWS:
        return np.arange(n_rows)
    # Four of five draws are different ones, and more in larger tables: no permutation of all rows is needed.
    different = rng.permutation(np.unique(rng.integers(0, n_rows, 2 * SAMPLE_ROWS)))
    return np.sort(different[:SAMPLE_ROWS])


def _blocks(found: Any, path: Path) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the blocks in order, with the number of their first row; little is read ahead."""
    first = 0
    with _readable(path):
        options = {"batch_size": _ROWS_A_BLOCK, "batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
        for block in found.to_batches(**options):
            yield first, block
            first += len(block)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FileNotFoundError) or not os.path.exists(path):
            raise TableFileError("a file of it has gone since it was opened", str(path)) from None
        text = "is no Parquet that can be read, a broken one, or files of several tables; write it again"
        if path.is_file() and path.suffix.lower() not in PARQUET:
            text = "is no Parquet file that can be read; if it is no part of the table, take it out of the folder"
        raise TableFileError(text, str(path)) from None
