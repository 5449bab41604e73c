"""Tables of databases: a table or a query read in chunks, and a table written in one transaction.

The address of a database is an SQLAlchemy URL that stands in an environment variable, or a file of DuckDB or SQLite. Passwords
never leave this module: what drivers say is told without them, and without cells. What is between SQL and pandas is Arrow.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote, quote_plus

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import types

from clover_tvae.columns.dtypes import where_of
from clover_tvae.columns.frames import pandas_of, takes_frames
from clover_tvae.errors import (
    ColumnTypeError,
    ConfigError,
    DataError,
    MissingExtraError,
    Problem,
    did_you_mean,
    package,
)
from clover_tvae.files import not_there
from clover_tvae.metadata.validate import repeated_names, require_frame

IfExists = Literal["fail", "replace", "append"]
DATABASE_FILES = {".duckdb": "duckdb", ".sqlite": "sqlite", ".sqlite3": "sqlite"}
"""What the name of a file that is a database ends in, and what SQLAlchemy calls it."""
_ROWS_A_CHUNK, _LOCK_SECONDS = 20_000, 60
TABLE_EXISTS = "the table exists; give another name, or if_exists: replace or append"
#: Databases that take the dropping and making of tables back when a transaction fails.
_TAKES_BACK = ("postgresql", "sqlite", "duckdb", "mssql")
#: SQLite and DuckDB quote cells also in errors that are said to be of the program.
_OF_CELLS = re.compile("with text|could not (parse|convert|cast)|invalid input|out of range", re.IGNORECASE)
_SECRET = re.compile("pass|pwd|secret|token|key|odbc_connect", re.IGNORECASE)


@dataclass(frozen=True)
class Database:
    """A table, or a query, of a database.

    Args:
        source: The name of the environment variable that holds the SQLAlchemy URL, or the path of a ``.duckdb``, ``.sqlite`` or
            ``.sqlite3`` file.
        table: The name of the table (or view), without quotes; or
        query: a SELECT, in the words of the database.
        schema: Where the table lies, if not where the database looks by itself.

    Raises:
        ConfigError: ``source`` is neither, or there is not exactly one of ``table`` and ``query``.
    """

    source: str | Path
    table: str | None = None
    query: str | None = None
    schema: str | None = None

    def __post_init__(self) -> None:
        if not self.is_file and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(self.source)):
            # What was found may be a URL with a password.
            rule = f"must be the name of an environment variable, or a {', '.join(DATABASE_FILES)} file"
            cure = (
                "write its URL there: export HOSPITAL_DB=postgresql://user:password@host/database, and give HOSPITAL_DB"
            )
            raise ConfigError(f"{rule}; {cure}", "database")
        if (self.table is None) == (self.query is None):
            raise ConfigError("must name one of table and query", "database")
        if self.query is not None and self.schema is not None:
            raise ConfigError("belongs to a table; a query names the schema itself", "schema")

    @property
    def is_file(self) -> bool:
        return Path(self.source).suffix.lower() in DATABASE_FILES

    @property
    def is_known(self) -> bool:
        """Whether the variable is set, or the file there."""
        return Path(self.source).is_file() if self.is_file else bool(os.environ.get(str(self.source), "").strip())

    @property
    def identity(self) -> str:
        """What two places that are one table have in common: a digest, without user and password."""
        address = str(self.source) if self.is_file else os.environ.get(str(self.source), "").strip()
        place = (re.sub("//.*@", "//", address), self.schema, self.table)
        return hashlib.sha256(repr(place).encode()).hexdigest()

    def __str__(self) -> str:
        what = "a query" if self.table is None else f"table {'.'.join(filter(None, (self.schema, self.table)))!r}"
        return f"{what} of {Path(self.source).name}"

    def column_names(self) -> list[str]:
        """Return the names of the columns, without a row.

        Raises:
            DataError: See :func:`read_database`.
        """
        with _connected(self) as connection, contextlib.closing(_rows(connection, self, only_names=True)) as result:
            return [*result.keys()]

    def table_is_there(self) -> bool:
        """Whether the database has the table.

        Raises:
            DataError: See :func:`write_database`.
        """
        if _lacks_file(_url(self)):
            return False
        with _connected(self) as connection:
            return bool(_sql().inspect(connection).has_table(self.table, schema=self.schema))

    def problem(self, text: str) -> DataError:
        return DataError(text, str(self))


def read_database(
    source: str | Path | Database, table: str | None = None, *, query: str | None = None, schema: str | None = None
) -> pd.DataFrame:
    """Read a table or a query of a database, chunk by chunk.

    Args:
        source: The name of the environment variable that holds the SQLAlchemy URL, such as
            ``postgresql://user:password@host/database``, or the path of a ``.duckdb`` or ``.sqlite`` file; or a :class:`Database`.
        table: The table or view; its rows come in the order of its primary key. Or
        query: a SELECT.

    Returns:
        The table, its columns as Arrow dtypes: whole numbers with gaps stay whole, decimals exact; points of time are in UTC.

    Raises:
        DataError: The database cannot be reached, refuses, or has no such table; or a column holds cells of several types.
        ConfigError: The variable is not set, or holds no URL.
        MissingExtraError: The extra ``databases`` is not installed.

    Example:
        >>> import sqlite3, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with contextlib.closing(sqlite3.connect(f"{folder}/t.sqlite")) as made:
        ...         _ = made.executescript("create table visits (day date, n int); insert into visits values ('2026-03-31', null)")
        ...     read_database(f"{folder}/t.sqlite", "visits").dtypes.astype(str).to_dict()
        {'day': 'date32[day][pyarrow]', 'n': 'object'}
    """
    database = source if isinstance(source, Database) else Database(source, table, query, schema)
    with _connected(database) as connection, contextlib.closing(_rows(connection, database)) as result:
        names = [*result.keys()]
        DataError.raise_any(repeated_names(names, str(database)))
        chunks = [pa.table(_arrays([()] * len(names), names, database), names=names)]
        for rows in _chunks(result, database):
            chunks.append(pa.table(_arrays([*zip(*rows, strict=True)], names, database), names=names))
    try:
        return pandas_of(pa.concat_tables(chunks, promote_options="permissive"))
    except pa.ArrowException:
        kinds = {name: {chunk.schema.field(name).type for chunk in chunks} - {pa.null()} for name in names}
        raise DataError.of([_of_several_types(name) for name in names if len(kinds[name]) > 1]) from None


@takes_frames
def write_database(
    df: pd.DataFrame,
    source: str | Path | Database,
    table: str | None = None,
    *,
    schema: str | None = None,
    if_exists: IfExists = "fail",
) -> None:
    """Write a table into a database, in one transaction: all of it or nothing.

    Args:
        df: The table, pandas or of another library; its index is left out. Missing cells become NULL.
        source: As for :func:`read_database`.
        if_exists: ``fail``, ``replace`` (dropped and made anew, in the transaction: the old table stands until the new one is
            whole), or ``append``.

    Raises:
        DataError: The table is there, the database cannot be reached or refuses, or a column has cells that SQL has no type for.
        ConfigError: The variable is not set, or holds no URL; or ``if_exists`` is another word.
        MissingExtraError: The extra ``databases`` is not installed.
    """
    database = source if isinstance(source, Database) else Database(source, table, None, schema)
    if if_exists not in get_args(IfExists):
        raise ConfigError(f"must be one of {', '.join(get_args(IfExists))}, found another word", "if_exists")
    if database.table is None:
        raise ConfigError("must name a table to write, found a query", "database")
    require_frame(df)
    rows = _as_arrow(df)
    with _connected(database, writes=True) as connection, connection.begin():
        _insert(connection, rows, _made(connection, rows, database, if_exists))


def _made(connection: Any, rows: pa.Table, database: Database, if_exists: IfExists) -> Any:
    """Return the table that rows go into, which is made where it is not there; or say why they cannot."""
    sql, dialect = _sql(), connection.dialect.name
    _require_short(rows.column_names, connection)
    if dialect == "sqlite":
        _require_floats(rows)
    columns = [sql.Column(_quoted(connection, field.name), _sql_type(field.type)) for field in rows.schema]
    name, schema = _quoted(connection, database.table), _quoted(connection, database.schema)
    table = sql.Table(name, sql.MetaData(), *columns, schema=schema)
    if sql.inspect(connection).has_table(database.table, schema=database.schema):
        if if_exists == "fail":
            raise database.problem(TABLE_EXISTS)
        if if_exists == "append":
            with contextlib.closing(_rows(connection, database, only_names=True)) as old:
                _require_columns(rows.column_names, [*old.keys()], database)
            return table
        if dialect not in _TAKES_BACK:
            cure = "drop it yourself, or give if_exists: append"
            raise database.problem(f"{dialect} cannot take back the dropping of a table; {cure}")
        if dialect == "postgresql":  # somebody who reads it would hold up the job without end
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        table.drop(connection)
    table.create(connection)
    return table


def _insert(connection: Any, rows: pa.Table, table: Any) -> None:
    sql, dialect = _sql(), connection.dialect.name
    # Types are needed where the database has none of its own; elsewhere text fits an enum, too, or a UUID.
    untyped = sql.table(table.name, *(sql.column(column.name) for column in table.columns), schema=table.schema)
    if dialect == "duckdb":  # row by row it takes two hundred times as long
        connection.exec_driver_sql("register", ("clover_tvae_rows", rows))
        every = sql.select(sql.text("*")).select_from(sql.table("clover_tvae_rows"))
        connection.execute(untyped.insert().from_select([*untyped.columns], every))
        return
    insert = (table if dialect == "sqlite" else untyped).insert()
    for chunk in rows.to_batches(max_chunksize=_ROWS_A_CHUNK):
        if len(chunk):
            connection.execute(insert, chunk.to_pylist())


def row_digest(df: pd.DataFrame) -> str:
    """Return a digest of names, types and rows, in whatever order these come: a database promises none."""
    try:
        hashes = pd.util.hash_pandas_object(df, index=False)
    except TypeError:  # lists and the like
        hashes = pd.util.hash_pandas_object(df.astype(str), index=False)
    told = repr([(name, str(dtype)) for name, dtype in df.dtypes.items()]).encode()
    return hashlib.sha256(told + np.sort(hashes.to_numpy()).tobytes()).hexdigest()


def _sql() -> Any:
    return package("sqlalchemy", "a database", "databases")


# -- connections ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _connected(database: Database, *, writes: bool = False) -> Iterator[Any]:
    """Connect, and tell what goes wrong without a password and without cells."""
    sql, url = _sql(), _url(database)
    if not writes and (path := _lacks_file(url)):
        raise database.problem(not_there(path))
    is_open = False
    try:
        with warnings.catch_warnings():  # of types and indices that do not matter here
            warnings.filterwarnings("ignore", category=sql.exc.SAWarning)
            warnings.filterwarnings("ignore", message="duckdb-engine")
            options = _options(url, writes=writes)
            engine = sql.create_engine(url, poolclass=sql.pool.NullPool, hide_parameters=True, connect_args=options)
            if url.get_backend_name() == "sqlite":
                _transactions_of_sqlite(engine)
            with engine.connect() as connection:
                is_open = True
                yield connection
    except sql.exc.NoSuchModuleError:
        text = f"SQLAlchemy knows no {url.drivername!r}; give another URL, or install its driver"
        raise ConfigError(text, str(database)) from None
    except ImportError as error:
        if isinstance(error, MissingExtraError) or error.name is None:
            raise
        text = f"{url.get_backend_name()} needs the driver {error.name}, which is not installed; run: pip install {error.name}"
        raise MissingExtraError(text) from None
    except sql.exc.SQLAlchemyError as error:
        raise database.problem(_told(error, url, database, is_open=is_open)) from None


def _options(url: Any, *, writes: bool) -> dict[str, Any]:
    if url.get_driver_name() == "psycopg" and "connect_timeout" not in url.query:
        return {"connect_timeout": 10}
    return {"read_only": True} if url.get_backend_name() == "duckdb" and not writes else {}


def _transactions_of_sqlite(engine: Any) -> None:
    """Let the making and dropping of tables be part of a transaction, which Python's sqlite3 leaves out."""
    listen = _sql().event.listen
    listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))


def _lacks_file(url: Any) -> str | None:
    """Return the path of a database that is a file, if it is not there: the driver would make an empty one."""
    path = url.database if url.get_backend_name() in ("duckdb", "sqlite") else None
    if not path or path.startswith((":memory:", "file:", "md:")) or os.path.isfile(path):
        return None
    return str(path)


def _url(database: Database) -> Any:
    """Return the URL of a file, or the one that an environment variable holds."""
    if database.is_file:
        return _sql().URL.create(DATABASE_FILES[Path(database.source).suffix.lower()], database=str(database.source))
    variable = str(database.source)
    text = os.environ.get(variable, "").strip()
    if not text:
        cure = f"export {variable}=postgresql://user:password@host/database"
        raise ConfigError(f"the environment variable is not set; {cure}", variable)
    user = text.partition("://")[2].rpartition("@")[0]
    try:
        url = None if re.search("^[^/]*[/@?#]", user) else _sql().make_url(text)
    except (_sql().exc.ArgumentError, ValueError):
        url = None
    if url is None:
        cure = (
            "write postgresql://user:password@host/database, in the password %40 for @, %3A for :, %2F for /, %25 for %"
        )
        raise ConfigError(f"must hold an SQLAlchemy URL, found other text; {cure}", variable)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _told(error: Exception, url: Any, database: Database, *, is_open: bool) -> str:
    """Return what a driver said in one line, less secrets and cells."""
    exc, cause = _sql().exc, getattr(error, "orig", None)
    line = next(iter(str(cause or error).strip().splitlines()), "")
    # Of SQL and connections the message is shown; others are about cells, which they quote.
    shown = exc.ProgrammingError | exc.OperationalError | exc.InterfaceError
    if cause is not None and (not isinstance(error, shown) or _OF_CELLS.search(line)):
        line = re.sub(r"(?<!\w)[-+]?\d\S*", "...", re.split("[\"'(]", line)[0]).strip()
    secrets = [url.password, *(value for key, value in url.query.items() if _SECRET.search(key))]
    for secret in (str(one) for one in secrets if one):
        if len(secret) < 4:
            line = type(cause or error).__name__
        for written in (secret, quote(secret, safe=""), quote_plus(secret)):
            line = line.replace(written, "***")
    if getattr(error, "connection_invalidated", False):
        return f"the connection was cut, and nothing was changed ({line}); run it again"
    if not is_open:
        where = url.set(query={}).render_as_string(hide_password=True)
        return f"{where} cannot be opened: {line}; check {Path(database.source).name}, the server, the user and the password"
    cure = "; ask for the right, or give another user" if "permission denied" in line else ""
    return f"the database refused: {line}{cure}"


# -- rows -----------------------------------------------------------------------------------------------------------------


def _quoted(connection: Any, name: str | None) -> Any:
    """Return a name that is always written in quotes: SQLAlchemy does not know all words that need them."""
    folds = connection.dialect.requires_name_normalize  # Oracle: quotes would change the name
    return name if name is None or folds else _sql().sql.quoted_name(name, quote=True)


def _rows(connection: Any, database: Database, *, only_names: bool = False) -> Any:
    """Return a result whose rows are fetched as they are asked for; of a table with ``only_names`` none."""
    sql, how = _sql(), {"yield_per": _ROWS_A_CHUNK}
    if database.query is not None:
        options = {**how, "no_parameters": True}  # as it is written: a colon or a percent sign is no parameter
        result = connection.exec_driver_sql(database.query, execution_options=options)
        if not result.returns_rows:
            raise database.problem("must be a SELECT, found a statement that gives no rows")
        return result
    inspector = sql.inspect(connection)
    if not inspector.has_table(database.table, schema=database.schema):
        known = [*inspector.get_table_names(schema=database.schema), *inspector.get_view_names(schema=database.schema)]
        schema, dot, table = str(database.table).partition(".")
        hint = f"; write schema: {schema}, table: {table}" if dot else did_you_mean(database.table, known)
        raise database.problem(f"there is no such table that the user may see{hint}")
    table, schema = _quoted(connection, database.table), _quoted(connection, database.schema)
    of_table = sql.table(table, schema=schema)
    every = sql.select(sql.text("*")).select_from(of_table)
    if only_names:
        every = every.limit(0)
    elif connection.dialect.name != "duckdb":  # whose types need no help, and whose rows keep their order
        found = inspector.get_columns(database.table, schema=database.schema)
        columns = {
            c["name"]: sql.column(_quoted(connection, c["name"]), _read_as(c["type"], connection)) for c in found
        }
        key = inspector.get_pk_constraint(database.table, schema=database.schema).get("constrained_columns") or ()
        every = sql.select(*columns.values()).select_from(of_table).order_by(*(columns[name] for name in key))
    return connection.execute(every, execution_options=how)


def _read_as(declared: Any, connection: Any) -> Any:
    """Return the type that cells are read as: SQLite's numbers of no declared scale are floats, and are not rounded."""
    sql = _sql()
    is_float = connection.dialect.name == "sqlite" and isinstance(declared, sql.Numeric) and declared.scale is None
    return sql.Double() if is_float else declared


def _chunks(result: Any, database: Database) -> Iterator[Any]:
    try:
        yield from result.partitions(_ROWS_A_CHUNK)
    except (ValueError, TypeError):  # of a driver, that quotes the cell
        cure = "read it as text by a query, such as CAST(... AS TEXT)"
        raise database.problem(f"a column holds cells that its declared type does not allow; {cure}") from None


def _arrays(columns: Sequence[Sequence[Any]], names: Sequence[str], database: Database) -> list[pa.Array]:
    """Return the cells of each column as Arrow."""
    arrays, problems = [], []
    for name, cells in zip(names, columns, strict=True):
        try:
            array = pa.array(_plain(cells))
            is_zoned = types.is_timestamp(array.type) and array.type.tz is not None
            arrays.append(array.cast(pa.timestamp("us", tz="UTC")) if is_zoned else array)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):  # their messages quote cells
            problems.append(_of_several_types(name))
    DataError.raise_any(problems)
    return arrays


def _of_several_types(name: str) -> Problem:
    cure = "convert it in a query, such as CAST(... AS TEXT)"
    text = f"must hold cells of one type that can be read, found others; {cure}"
    return Problem(where_of(name), text, ColumnTypeError)


def _plain(cells: Sequence[Any]) -> Sequence[Any]:
    """Return cells as Arrow takes them: NaN decimals are missing, UUIDs and addresses are text."""
    kinds = Counter(map(type, cells))
    if Decimal in kinds:
        return [None if isinstance(cell, Decimal) and not cell.is_finite() else cell for cell in cells]
    if any(issubclass(kind, uuid.UUID) or kind.__module__ == "ipaddress" for kind in kinds):
        return [None if cell is None else str(cell) for cell in cells]
    return cells


def _as_arrow(df: pd.DataFrame) -> pa.Table:
    """Return a table as Arrow, as far as SQL has types for it."""
    arrays, problems = dict[str, Any](), []
    for name in df.columns:
        try:
            cells = pa.array(df[name], from_pandas=True) if len(df) else pa.Array.from_pandas(df[name])
            array = pa.chunked_array([cells])
            if types.is_dictionary(array.type):
                array = array.cast(array.type.value_type)
            if types.is_timestamp(array.type):
                array = array.cast(pa.timestamp("us", tz=array.type.tz and "UTC"), safe=False)
            _sql_type(array.type)
            arrays[str(name)] = array
        except (pa.ArrowException, TypeError, ValueError, OverflowError, KeyError):  # their messages quote cells
            text = f"SQL has no type for dtype {df[name].dtype}; convert it"
            problems.append(Problem(where_of(name), text, ColumnTypeError))
    if len({*map(str, df.columns)}) < len(df.columns):
        problems.append(Problem("columns", "a number and a text spell the same name; rename one"))
    DataError.raise_any(problems)
    return pa.table(arrays)


def _require_floats(rows: pa.Table) -> None:
    """Refuse decimals and large whole numbers that SQLite, which holds them as floats, would round."""
    exact = [field.name for field in rows.schema if types.is_decimal(field.type) or types.is_uint64(field.type)]
    rounded = [
        name
        for name in exact
        if any(cell is not None and Decimal(repr(float(cell))) != cell for cell in rows.column(name).to_pylist())
    ]
    text = "SQLite would round these numbers; write them as floats or text, or into another database"
    DataError.raise_any([Problem(where_of(name), text, ColumnTypeError) for name in rounded])


def _sql_type(arrow: pa.DataType) -> Any:
    """Return the SQL type that holds every value of an Arrow type; ``KeyError`` where there is none."""
    sql = _sql()
    if types.is_decimal(arrow):
        return sql.Numeric(arrow.precision, arrow.scale)
    if types.is_timestamp(arrow):
        return sql.DateTime(timezone=arrow.tz is not None)
    simple = {
        **dict.fromkeys(("int8", "int16", "uint8"), sql.SmallInteger),
        **dict.fromkeys(("int32", "uint16"), sql.Integer),
        **dict.fromkeys(("int64", "uint32"), sql.BigInteger),
        "uint64": sql.Numeric(20, 0),
        **dict.fromkeys(("halffloat", "float", "double"), sql.Double),
        "bool": sql.Boolean,
        **dict.fromkeys(("date32[day]", "date64[ms]"), sql.Date),
        **dict.fromkeys(("string", "large_string", "string_view", "null"), sql.Text),
        **dict.fromkeys(("time32[s]", "time32[ms]", "time64[us]"), sql.Time),
        **dict.fromkeys(("binary", "large_binary"), sql.LargeBinary),
    }
    return simple[str(arrow)]


def _require_short(names: Sequence[str], connection: Any) -> None:
    """Refuse names that the database would cut off."""
    most = connection.dialect.max_identifier_length
    text = f"{connection.dialect.name} takes names of at most {most} bytes; rename it"
    DataError.raise_any([Problem(where_of(name), text) for name in names if len(name.encode()) > most])


def _require_columns(ours: Sequence[str], theirs: Sequence[str], database: Database) -> None:
    """Refuse to append columns that the table does not have."""
    lacking = {name: did_you_mean(name, theirs) for name in ours if name not in theirs}
    texts = [f"the table has no column {name!r}{hint}" for name, hint in lacking.items()]
    DataError.raise_any([Problem(str(database), text) for text in texts])
