"""Tables of databases: SQLite and DuckDB, which need no server, and a real PostgreSQL that the tests start and stop."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import duckdb
import jsonschema
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from clover_tvae.cli import app
from clover_tvae.columns.frames import read_frame
from clover_tvae.errors import ColumnTypeError, ConfigError, DataError, DuplicateColumnsError, MissingExtraError
from clover_tvae.jobs import job_schema, load_jobs, run_job, run_jobs
from clover_tvae.tables import read_database, row_digest, write_database

ROOT = Path(__file__).parents[1]
PASSWORD = "p@ss:w/rd%"
#: Set by .ci/run, which installs PostgreSQL: there, nothing is skipped.
REQUIRED = "CI_REQUIRES_POSTGRESQL"


def programs() -> Path | None:
    """Where the programs of PostgreSQL are: Debian keeps them out of the path."""
    found = [Path(place).parent for place in [shutil.which("initdb") or ""] if place]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: float(place.parent.name))
    return found[-1] if found else None


pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Start a PostgreSQL of our own, and return ``host:port/database``; users log in by password."""
    place = programs()
    if place is None:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, and no PostgreSQL is installed: apt-get install postgresql")
        pytest.skip("no PostgreSQL is installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        as_user: dict[str, object] = {}
        if os.name == "posix" and os.getuid() == 0:  # PostgreSQL refuses to run as root
            import pwd

            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
        data, secret = Path(folder, "data"), Path(folder, "password")
        secret.write_text(PASSWORD)
        secret.chmod(0o644)

        def run(*command: object) -> None:
            subprocess.run(
                [str(part) for part in command], check=True, cwd=folder, stdout=subprocess.DEVNULL, **as_user
            )

        run(
            place / "initdb", "-D", data, "-A", "scram-sha-256", "-U", "owner", f"--pwfile={secret}", "-N", "-E", "UTF8"
        )
        options = f"-p {port} -k {folder} -h 127.0.0.1 -c fsync=off -c timezone=Europe/Berlin"
        run(place / "pg_ctl", "-D", data, "-w", "-l", Path(folder, "log"), "-o", options, "start")
        try:
            yield f"127.0.0.1:{port}/postgres"
        finally:
            run(place / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


@pytest.fixture
def postgresql(server, monkeypatch) -> Iterator[sa.Engine]:
    """Give each test an empty database, whose URL the variable ``HOSPITAL_DB`` holds."""
    url = f"postgresql://owner:{quote(PASSWORD, safe='')}@{server}"
    monkeypatch.setenv("HOSPITAL_DB", url)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "drop schema public cascade; create schema public; grant usage on schema public to public; drop schema if exists other cascade"
        )
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def database(request, tmp_path, monkeypatch) -> str:
    """Name the variable that holds the URL of an empty database, of each kind."""
    if request.param == "postgresql":
        request.getfixturevalue("postgresql")
        return "HOSPITAL_DB"
    monkeypatch.setenv("RESEARCH_DB", f"{request.param}:///{tmp_path}/rows.{request.param}")
    return "RESEARCH_DB"


def execute(engine: sa.Engine, statements: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statements)


def every_type() -> pd.DataFrame:
    zoned = pd.Series(pd.to_datetime(["2020-03-29T00:30Z", None, "1999-12-31T23:59:59.123456Z"], format="ISO8601"))
    return pd.DataFrame(
        {
            "small": pd.Series([1, None, -3], dtype="Int8"),
            "whole": pd.Series([2**62, 0, -1]),
            "huge": pd.Series([2**64 - 1, 0, 5], dtype="uint64"),
            "number": [0.1, None, -1e300],
            "price": [Decimal("12.30"), None, Decimal("0.05")],
            "flag": pd.Series([True, None, False], dtype="boolean"),
            "day": [datetime.date(1900, 2, 28), None, datetime.date(2026, 3, 31)],
            "plain": pd.to_datetime(pd.Series(["2020-01-01 12:00", None, "1960-05-05"]), format="mixed"),
            "zoned": zoned.dt.tz_convert("Europe/Berlin"),
            "text": ['it\'s "quoted"; drop table x --', None, "ä€😀"],
            "label": pd.Categorical(["a", None, "b"]),
            "nothing": [None, None, None],
        }
    )


@contextlib.contextmanager
def at_insert(number: int, action: Callable[[], object]) -> Iterator[None]:
    """Do something before a statement inserts its rows; each inserts 20,000."""
    inserts = []

    def look(connection, cursor, statement, *rest) -> None:
        if statement.startswith("INSERT"):
            inserts.append(statement)
            if len(inserts) == number:
                action()

    sa.event.listen(sa.Engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", look)


def people(n: int = 60) -> pd.DataFrame:
    return pd.DataFrame({"id": range(n), "age": [20 + i % 50 for i in range(n)], "sex": ["F", "M"] * (n // 2)})


class TestThereAndBack:
    def test_every_type_and_missing_cells(self, database):
        df = every_type()
        if database == "RESEARCH_DB" and "sqlite" in os.environ[database]:
            df = df.drop(columns="huge")
        write_database(df, database, "rows")
        back = read_database(database, "rows")
        assert back.columns.tolist() == df.columns.tolist()
        assert back.isna().equals(df.isna())
        for name in [name for name in df if name not in ("zoned", "nothing")]:
            assert back[name].dropna().tolist() == df[name].dropna().tolist(), name
        zone = "" if "sqlite" in os.environ[database] else "+00:00"  # SQLite has none: UTC is written
        assert [*map(str, back["zoned"].dropna())] == [
            f"2020-03-29 00:30:00{zone}",
            f"1999-12-31 23:59:59.123456{zone}",
        ]
        assert str(back["price"].dtype).startswith("decimal128")

    def test_names_with_quotes_blanks_and_reserved_words(self, database):
        df = pd.DataFrame({"order": [1], 'a "b" c': [2], "x'; drop table t --": [3], "Größe %s :x": [4], "select": [5]})
        for table in ('my "table"', "user", "x; drop table user"):
            write_database(df, database, table)
            back = read_database(database, table)
            assert back.to_dict("list") == df.to_dict("list")
        assert len(read_database(database, "user")) == 1

    def test_what_if_the_table_exists(self, database):
        write_database(people(4), database, "t")
        with pytest.raises(DataError, match=r"table 't' of .*: the table exists; give another name, or if_exists"):
            write_database(people(4), database, "t")
        write_database(people(2), database, "t", if_exists="append")
        assert len(read_database(database, "t")) == 6
        write_database(pd.DataFrame({"other": [1.5]}), database, "t", if_exists="replace")
        assert read_database(database, "t").to_dict("list") == {"other": [1.5]}
        with pytest.raises(DataError, match="the table has no column 'othr'; did you mean 'other'"):
            write_database(pd.DataFrame({"othr": [1.5]}), database, "t", if_exists="append")
        with pytest.raises(ConfigError, match="must be one of fail, replace, append"):
            write_database(people(2), database, "t", if_exists="truncate")

    def test_a_failure_half_way_leaves_the_old_table(self, database):
        write_database(people(4), database, "t")
        many = pd.DataFrame({"id": range(25_000)})

        class Broken(RuntimeError):
            pass

        def fail() -> None:
            raise Broken

        for table, if_exists in [("t", "replace"), ("t", "append"), ("new", "fail")]:
            number = 1 if "duckdb" in os.environ[database] else 2  # DuckDB takes all rows at once
            with at_insert(number, fail), pytest.raises(Broken):
                write_database(many, database, table, if_exists=if_exists)
        assert read_database(database, "t").to_dict("list") == people(4).to_dict("list")
        with pytest.raises(DataError, match="there is no such table"):
            read_database(database, "new")

    def test_an_empty_table(self, database):
        write_database(people(0), database, "t")
        assert read_database(database, "t").columns.tolist() == ["id", "age", "sex"]

    def test_a_query_is_run_as_it_is_written(self, database):
        write_database(people(10), database, "t")
        back = read_database(database, query="select age % 7 as seven, ':x' as colon from t where sex like '%F%'")
        assert back["seven"].tolist() == [age % 7 for age in people(10)["age"][::2]]
        assert set(back["colon"]) == {":x"}

    def test_names_of_a_query_that_are_given_twice(self, database):
        write_database(people(2), database, "t")
        with pytest.raises(DuplicateColumnsError, match="column 'age': 2 columns"):
            read_database(database, query="select age, age from t")

    def test_polars_and_categories_of_numbers(self, database):
        df = pl.DataFrame({"x": pl.Series(["a", None], dtype=pl.Enum(["a", "b"])), "n": [1, 2]})
        write_database(df, database, "p")
        assert read_database(database, "p")["x"].isna().tolist() == [False, True]
        write_database(pd.DataFrame({"c": pd.Categorical([3, 1, None])}), database, "q")
        assert read_database(database, "q")["c"].tolist()[:2] == [3, 1]


class TestProblems:
    def test_a_table_that_is_not_there_is_told_with_the_nearest_name(self, database):
        write_database(people(2), database, "patients")
        with pytest.raises(DataError, match="there is no such table that the user may see; did you mean 'patients'"):
            read_database(database, "patient")
        with pytest.raises(
            DataError, match="there is no such table that the user may see; write schema: main, table: patients"
        ):
            read_database(database, "main.patients")

    def test_a_query_that_is_wrong_is_told_in_the_words_of_the_database(self, database):
        write_database(people(2), database, "t")
        with pytest.raises(DataError, match=rf"a query of {database}: the database refused: (?i:.*syntax error)"):
            read_database(database, query="selec 1")

    def test_a_query_that_fails_after_some_rows_is_no_problem_of_the_connection(self, postgresql):
        with pytest.raises(DataError, match="a query of HOSPITAL_DB: the database refused: division by zero"):
            read_database("HOSPITAL_DB", query="select 1 / (i - 50000) as q from generate_series(1, 90000) i")

    def test_text_that_is_no_unicode_is_told_without_it(self, tmp_path):
        with contextlib.closing(sqlite3.connect(tmp_path / "x.sqlite")) as made:
            made.executescript("create table t (x text); insert into t values (cast(x'4a616e65ff' as text))")
        with pytest.raises(DataError, match="the database refused: Could not decode") as caught:
            read_database(tmp_path / "x.sqlite", "t")
        assert "Jane" not in str(caught.value)

    def test_numbers_and_dates_that_sqlite_does_not_hold_to_their_types(self, tmp_path):
        with contextlib.closing(sqlite3.connect(tmp_path / "x.sqlite")) as made:
            made.executescript(
                "create table t (x numeric, d date); insert into t values (1e-12, 'in May'), (0.1, null)"
            )
        assert read_database(tmp_path / "x.sqlite", query="select x from t")["x"].tolist() == [1e-12, 0.1]
        with pytest.raises(DataError, match="a column holds cells that its declared type does not allow") as caught:
            read_database(tmp_path / "x.sqlite", "t")
        assert "May" not in str(caught.value)
        with contextlib.closing(sqlite3.connect(tmp_path / "x.sqlite")) as made:
            made.executescript("update t set d = '2026-05-01' where d is not null")
        assert read_database(tmp_path / "x.sqlite", "t")["x"].tolist() == [1e-12, 0.1]

    def test_numbers_that_grow_from_chunk_to_chunk(self, postgresql):
        query = """select case when i < 30000 then null else i::numeric / 4 end as n, case when i > 70000 then 'x' end as t,
                   case when i < 50000 then 1.5 else 123456.789 end as m from generate_series(1, 90000) i"""
        back = read_database("HOSPITAL_DB", query=query)
        assert (back["n"].isna().sum(), back["t"].isna().sum()) == (29_999, 70_000)
        assert [*map(str, back["m"].iloc[[0, -1]])] == ["1.500", "123456.789"]
        assert back["n"].iloc[-1] == Decimal("22500")

    def test_a_table_that_somebody_holds_is_told(self, postgresql, monkeypatch):
        monkeypatch.setattr("clover_tvae.tables.database._LOCK_SECONDS", 1)
        write_database(people(4), "HOSPITAL_DB", "t")
        with postgresql.connect() as other:
            other.exec_driver_sql("select * from t limit 1")
            with pytest.raises(DataError, match="the database refused: canceling statement due to lock timeout"):
                write_database(people(2), "HOSPITAL_DB", "t", if_exists="replace")
        assert len(read_database("HOSPITAL_DB", "t")) == 4

    def test_a_name_that_would_be_cut_off(self, postgresql):
        with pytest.raises(DataError, match="postgresql takes names of at most 63 bytes"):
            write_database(pd.DataFrame({"a" * 64: [1]}), "HOSPITAL_DB", "t")
        with pytest.raises(DataError, match="exceeds maximum length of 63"):
            write_database(pd.DataFrame({"a": [1]}), "HOSPITAL_DB", "t" * 64)

    def test_a_query_that_fails_half_way_quotes_no_cell(self, database):
        write_database(pd.DataFrame({"t": ["1"] * 50 + ["Jane Doe"]}), database, "t")
        if "sqlite" in os.environ[database]:
            query = "select abs(case when t = '1' then 1 else -9223372036854775807 - 1 end) as n from t"
        else:
            query = "select cast(t as integer) as n from t"
        with pytest.raises(DataError) as caught:
            read_database(database, query=query)
        assert "Jane" not in str(caught.value)
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            (f"postgresql://u:{PASSWORD}@h/d", "must be the name of an environment variable"),
            ("HOSPITAL-DB", "must be the name of an environment variable"),
            ("NOT_SET_DB", "NOT_SET_DB: the environment variable is not set; export NOT_SET_DB=postgresql://"),
        ],
    )
    def test_a_source_that_is_none(self, source, told):
        with pytest.raises(ConfigError, match=told) as caught:
            read_database(source, "t")
        assert "w/rd" not in str(caught.value)

    @pytest.mark.parametrize(
        "url", [f"postgresql://u:{PASSWORD}@h/d", "postgresql://u:w/rd@h/d", "postgresql://u:a#w/rd@h/d", "w/rd"]
    )
    def test_a_password_that_is_not_escaped_is_told_and_not_shown(self, url, monkeypatch):
        monkeypatch.setenv("HOSPITAL_DB", url)
        with pytest.raises(ConfigError, match=r"HOSPITAL_DB: must hold an SQLAlchemy URL.* %40 for @") as caught:
            read_database("HOSPITAL_DB", "t")
        assert "w/rd" not in str(caught.value)

    def test_a_driver_or_dialect_that_is_not_there(self, monkeypatch):
        monkeypatch.setenv("HOSPITAL_DB", "mysql+pymysql://u:secretpw@h/d")
        with pytest.raises(MissingExtraError, match=r"mysql needs the driver pymysql, .* pip install pymysql"):
            read_database("HOSPITAL_DB", "t")
        monkeypatch.setenv("HOSPITAL_DB", "nosuch://u:secretpw@h/d")
        with pytest.raises(ConfigError, match="SQLAlchemy knows no 'nosuch'") as caught:
            read_database("HOSPITAL_DB", "t")
        assert "secretpw" not in str(caught.value)

    def test_the_extra_is_not_installed(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sqlalchemy", None)
        with pytest.raises(MissingExtraError, match=r"a database needs sqlalchemy.*pip install '\.\[databases\]'"):
            read_database("x.duckdb", "t")

    def test_a_file_that_is_not_there_is_not_made(self, tmp_path, monkeypatch):
        for name in ("x.duckdb", "x.sqlite"):
            with pytest.raises(DataError, match="the file does not exist"):
                read_database(tmp_path / name, "t")
            monkeypatch.setenv("RESEARCH_DB", f"{name[2:]}:///{tmp_path}/{name}")
            with pytest.raises(DataError, match="the file does not exist"):
                read_database("RESEARCH_DB", "t")
        assert not [*tmp_path.iterdir()]

    def test_a_file_that_is_no_database(self, tmp_path):
        for name in ("x.duckdb", "x.sqlite"):
            (tmp_path / name).write_bytes(b"no database " * 1000)
            with pytest.raises(DataError, match="table 't' of x"):
                read_database(tmp_path / name, "t")

    def test_cells_of_several_types_and_of_none_that_sql_has(self, tmp_path):
        with contextlib.closing(sqlite3.connect(tmp_path / "x.sqlite")) as made:
            made.executescript("create table t (a, b); insert into t values (1, 'x'), ('secret', 'y')")
        with pytest.raises(ColumnTypeError, match="column 'a': must hold cells of one type") as caught:
            read_database(tmp_path / "x.sqlite", "t")
        assert "secret" not in str(caught.value)
        df = pd.DataFrame({"a": [[1], [2]], "b": [1, 2]})
        with pytest.raises(ColumnTypeError, match="column 'a': SQL has no type for dtype object"):
            write_database(df, tmp_path / "x.sqlite", "u")

    def test_sqlite_refuses_numbers_that_it_would_round(self, tmp_path):
        for cells in (pd.Series([2**64 - 1], dtype="uint64"), pd.Series([Decimal("0.12345678901234567890")])):
            with pytest.raises(ColumnTypeError, match="column 'n': SQLite would round"):
                write_database(pd.DataFrame({"n": cells}), tmp_path / "x.sqlite", "t")
        write_database(pd.DataFrame({"n": [Decimal("12345678.90")]}), tmp_path / "x.sqlite", "t")


class TestPostgreSQL:
    def test_types_of_its_own(self, postgresql):
        execute(
            postgresql,
            """create type mood as enum ('low', 'high');
            create table t (id serial primary key, m mood, u uuid, i inet, n numeric, j text[], c char(3));
            insert into t values (2, 'low', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1', 'NaN', null, 'a'),
                                 (1, 'high', null, null, 12.5, null, null)""",
        )
        back = read_database("HOSPITAL_DB", "t")
        assert back["id"].tolist() == [1, 2]  # in the order of the key
        assert back["m"].tolist() == ["high", "low"]
        assert back["n"].isna().tolist() == [False, True]
        assert back["u"].tolist()[1] == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
        write_database(back[["m", "u", "n"]].assign(id=[7, 8]), "HOSPITAL_DB", "t", if_exists="append")
        assert read_database("HOSPITAL_DB", query="select count(u) as n from t")["n"].tolist() == [2]

    def test_a_schema_and_a_view(self, postgresql):
        execute(postgresql, "create schema other; create table other.t (x int); insert into other.t values (1)")
        execute(postgresql, "create view seen as select x, x + 1 as y from other.t")
        assert read_database("HOSPITAL_DB", "t", schema="other").to_dict("list") == {"x": [1]}
        assert read_database("HOSPITAL_DB", "seen").to_dict("list") == {"x": [1], "y": [2]}
        write_database(people(2), "HOSPITAL_DB", "new", schema="other")
        assert len(read_database("HOSPITAL_DB", "new", schema="other")) == 2
        with pytest.raises(DataError, match='the database refused: schema "none" does not exist'):
            write_database(people(2), "HOSPITAL_DB", "new", schema="none")

    def test_a_wrong_password_or_host(self, server, monkeypatch, caplog):
        caplog.set_level(logging.DEBUG)
        host, _, name = server.partition("/")
        for url, told in {
            f"postgresql://owner:wrong-secret@{server}": 'password authentication failed for user "owner"',
            f"postgresql://owner:wrong-secret@127.0.0.1:1/{name}": "(?i:connection refused)",
            f"postgresql://owner:wrong-secret@no.such.host.invalid/{name}": "no.such.host.invalid",
            f"postgresql://owner:{quote(PASSWORD, safe='')}@{host}/nowhere": 'database "nowhere" does not exist',
        }.items():
            monkeypatch.setenv("HOSPITAL_DB", url)
            with pytest.raises(
                DataError, match=rf"owner:\*\*\*@.* cannot be opened: .*{told}.*check HOSPITAL_DB"
            ) as caught:
                read_database("HOSPITAL_DB", "t")
            for secret in ("wrong-secret", PASSWORD, quote(PASSWORD, safe="")):
                assert secret not in str(caught.value) + caplog.text

    def test_no_right_to_read_or_write(self, postgresql, server, monkeypatch):
        execute(
            postgresql, "drop role if exists guest; create role guest login password 'guest pw'; create table t (x int)"
        )
        monkeypatch.setenv("GUEST_DB", f"postgresql://guest:guest%20pw@{server}")
        with pytest.raises(DataError, match="refused: permission denied for table t; ask for the right"):
            read_database("GUEST_DB", "t")
        with pytest.raises(DataError, match="refused: permission denied for schema public; ask for the right"):
            write_database(people(2), "GUEST_DB", "new")

    def test_what_a_driver_quotes_is_left_out(self, postgresql):
        execute(postgresql, "create table t (name text unique); insert into t values ('Jane Doe')")
        with pytest.raises(DataError, match="the database refused") as caught:
            write_database(pd.DataFrame({"name": ["Jane Doe"]}), "HOSPITAL_DB", "t", if_exists="append")
        assert "Jane" not in str(caught.value)

    def test_memory_stays_flat_while_it_is_read(self, postgresql):
        execute(
            postgresql, "create table t as select i, i * 2 as j, i / 7.0::float8 as x from generate_series(1, 300000) i"
        )
        frame = read_database("HOSPITAL_DB", "t").memory_usage(deep=True).sum()
        tracemalloc.start()
        try:
            read_database("HOSPITAL_DB", "t")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < frame * 2  # all rows as Python objects are ten times that

    def test_the_connection_is_cut_while_it_writes(self, postgresql):
        write_database(people(4), "HOSPITAL_DB", "t")
        kill = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null"
        with (
            at_insert(2, lambda: execute(postgresql, kill)),
            pytest.raises(DataError, match="the connection was cut, and nothing was changed"),
        ):
            write_database(pd.DataFrame({"id": range(25_000)}), "HOSPITAL_DB", "t", if_exists="replace")
        assert read_database("HOSPITAL_DB", "t").to_dict("list") == people(4).to_dict("list")

    def test_others_see_none_of_the_rows_until_all_are_there(self, postgresql):
        write_database(people(4), "HOSPITAL_DB", "t")
        seen = []

        def look() -> None:
            with postgresql.connect() as other:
                seen.append(other.exec_driver_sql("select count(*) from t").scalar())

        with at_insert(2, look):
            write_database(pd.DataFrame({"id": range(25_000)}), "HOSPITAL_DB", "t", if_exists="append")
        assert seen == [4]


def job_file(folder: Path, *jobs: dict) -> Path:
    whole = {
        "metadata": {"continuous": ["age"], "categorical": ["sex"], "ignore": ["id"]},
        "synthesizer": {"epochs": 1, "decoder": "independent", "random_state": 3},
        "generator_filepath": "out/g.pkl",
    }
    path = folder / "jobs.yaml"
    written = [{"name": f"job{i}", **whole, **job} for i, job in enumerate(jobs)]
    path.write_text(json.dumps({"version": 1, "jobs": written}))
    return path


def run(path: Path, **options):
    (job,) = load_jobs([path], tables="due")
    return run_job(job, **options)


def told(path: Path, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        load_jobs([path], **options)
    return str(caught.value)


@pytest.mark.usefixtures("few_rounds")
class TestJobs:
    def test_from_a_table_to_a_table_and_again_only_if_it_changed(self, database, tmp_path):
        write_database(people(), database, "people")
        output = {"url_from": database, "table": "synthetic people", "if_exists": "replace"}
        data = {"url_from": database, "table": "people"}
        path = job_file(tmp_path, {"data": data, "sample": {"rows": 30, "output": output}})
        first = run(path)
        assert (first.status, first.error) == ("done", None)
        assert first.outputs == (f"table 'synthetic people' of {database}",)
        drawn = read_database(database, "synthetic people")
        assert drawn.columns.tolist() == ["age", "sex"]
        assert len(drawn) == 30
        assert run(path).status == "up to date"
        write_database(pd.DataFrame({"id": [99], "age": [40], "sex": ["F"]}), database, "people", if_exists="append")
        again = run(path)
        assert again.reason == "changed since the last training: data"
        assert again.trained
        assert run(path).status == "up to date"
        write_database(people(2)[["sex", "age"]], database, "synthetic people", if_exists="append")
        assert len(read_database(database, "synthetic people")) == 32

    def test_a_table_that_is_gone_is_written_again_and_rows_are_appended_once(self, tmp_path):
        place = tmp_path / "rows.duckdb"
        write_database(people(), place, "people")
        output = {"file": "rows.duckdb", "table": "drawn", "if_exists": "append"}
        path = job_file(
            tmp_path, {"data": {"file": "rows.duckdb", "table": "people"}, "sample": {"rows": 5, "output": output}}
        )
        for status in ("done", "up to date"):
            assert run(path).status == status
            assert len(read_database(place, "drawn")) == 5
        for again in ("force", "retrain"):
            result = run(path, **{again: True})
            assert (result.status, result.outputs, result.rows) == ("done", (), 0)
            assert "appends none twice" in result.warnings[-1]
            assert len(read_database(place, "drawn")) == 5
        other = {"rows": 5, "seed": 9, "output": output}
        assert run(job_file(tmp_path, {"data": {"file": "rows.duckdb", "table": "people"}, "sample": other})).rows == 5
        assert len(read_database(place, "drawn")) == 10
        with contextlib.closing(duckdb.connect(str(place))) as connection:
            connection.execute("drop table drawn")
        result = run(path)
        assert (result.status, result.trained) == ("done", False)
        assert len(read_database(place, "drawn")) == 5

    def test_more_rows_are_appended_to_those_that_stand_and_fewer_are_not(self, tmp_path):
        place = tmp_path / "rows.duckdb"
        write_database(people(), place, "people")
        output = {"file": "rows.duckdb", "table": "drawn", "if_exists": "append"}
        data = {"file": "rows.duckdb", "table": "people"}
        for rows, new, standing in ((30, 30, 30), (35, 5, 35), (20, 0, 35), (20, 0, 35), (40, 5, 40), (40, 0, 40)):
            path = job_file(tmp_path, {"data": data, "sample": {"rows": rows, "seed": 3, "output": output}})
            result = run(path)
            assert result.error is None
            assert (result.rows, len(read_database(place, "drawn"))) == (new, standing)
            if new != standing and result.status == "done":
                assert "appends none twice" in result.warnings[-1]
        alone = {"rows": 40, "seed": 3, "output": output | {"table": "alone"}}
        run(job_file(tmp_path, {"data": data, "sample": alone}))
        both = [
            read_database(place, table).sort_values(["age", "sex"]).to_numpy().tolist() for table in ("drawn", "alone")
        ]
        assert both[0] == both[1]

    def test_rows_are_not_appended_again_where_a_sample_before_them_has_another_length(self, tmp_path):
        place = tmp_path / "rows.duckdb"
        write_database(people(), place, "people")
        metadata = {"continuous": ["age"], "categorical": ["sex"], "id": [{"name": "id", "regenerate": "sequence"}]}
        first = {"rows": 5, "output": "first.csv", "seed": 1}
        second = {"rows": 6, "seed": 2, "output": {"file": "rows.duckdb", "table": "drawn", "if_exists": "append"}}
        for n_first, n_second, new, standing in ((5, 6, 11, 6), (8, 6, 8, 6), (8, 7, 1, 7), (3, 7, 3, 7)):
            samples = [first | {"rows": n_first}, second | {"rows": n_second}]
            data = {"file": "rows.duckdb", "table": "people"}
            result = run(job_file(tmp_path, {"data": data, "metadata": metadata, "sample": samples}))
            assert (result.error, result.rows, len(read_database(place, "drawn"))) == (None, new, standing)
            if standing == 6 and new == 8:
                assert "may bear too" in result.warnings[-1]
        numbers = read_database(place, "drawn")["id"].tolist()
        assert numbers == [*range(6, 12), 15]

    def test_each_run_reads_the_rows_once(self, tmp_path):
        write_database(people(), tmp_path / "rows.sqlite", "people")
        path = job_file(tmp_path, {"data": {"file": "rows.sqlite", "table": "people"}, "holdout": 0.2})
        read = []

        def look(connection, cursor, statement, *rest) -> None:
            read.extend([statement] if "ORDER BY" in statement or 'FROM "people"' in statement else [])

        sa.event.listen(sa.Engine, "before_cursor_execute", look)
        try:
            for status in ("done", "up to date"):
                read.clear()
                assert run(path).status == status
                assert len([statement for statement in read if "LIMIT" not in statement]) == 1
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", look)

    def test_a_variable_that_names_another_database_now(self, tmp_path, monkeypatch):
        write_database(people(), tmp_path / "rows.sqlite", "people")
        output = {"url_from": "RESEARCH_DB", "table": "drawn", "if_exists": "replace"}
        data = {"file": "rows.sqlite", "table": "people"}
        path = job_file(tmp_path, {"data": data, "sample": {"rows": 5, "output": output}})
        for name in ("one", "two"):
            write_database(people(2), tmp_path / f"{name}.sqlite", "drawn")
            monkeypatch.setenv("RESEARCH_DB", f"sqlite:///{tmp_path}/{name}.sqlite")
            assert run(path).status == "done"
            assert len(read_database(tmp_path / f"{name}.sqlite", "drawn")) == 5
        assert run(path).status == "up to date"

    def test_a_table_that_exists_is_told_before_training(self, tmp_path):
        write_database(people(), tmp_path / "rows.sqlite", "people")
        write_database(people(2), tmp_path / "rows.sqlite", "drawn")
        data, output = (
            {"file": "rows.sqlite", "query": "select * from people"},
            {"file": "rows.sqlite", "table": "drawn"},
        )
        result = run(job_file(tmp_path, {"data": data, "sample": {"rows": 5, "output": output}}))
        assert result.status == "failed"
        assert "table 'drawn' of rows.sqlite: the table exists" in result.error.message
        assert not result.trained
        assert not (tmp_path / "out").exists()

    def test_a_report_and_a_holdout_of_rows_of_a_database(self, tmp_path):
        write_database(people(400), tmp_path / "rows.sqlite", "people")
        job = {
            "data": {"file": "rows.sqlite", "table": "people"},
            "holdout": 0.3,
            "limits": {"fidelity.shape": {"max": 100.0}},
        }
        result = run(job_file(tmp_path, {**job, "sample": {"rows": 5, "output": "out/rows.csv"}}))
        assert (result.status, result.error) == ("done", None)

    def test_rows_that_stand_in_a_table_are_measured_again_and_not_written_twice(self, tmp_path):
        write_database(people(400), tmp_path / "rows.sqlite", "people")
        data = {"file": "rows.sqlite", "table": "people"}
        output = {"file": "out.sqlite", "table": "drawn", "if_exists": "append"}

        def limited(most: float):
            limits = {"fidelity.shape": {"max": most}}
            job = {"data": data, "limits": limits, "synthesizer": {"epochs": 1, "decoder": "independent"}}
            return run(job_file(tmp_path, {**job, "sample": {"rows": 5, "output": output}}))

        assert limited(100.0).outputs == ("table 'drawn' of out.sqlite",)
        again = limited(99.0)
        assert (again.status, again.outputs, again.error) == ("done", (), None)
        assert len(read_database(tmp_path / "out.sqlite", "drawn")) == 5
        beyond = limited(0.001)
        assert beyond.error.exit_code == 6
        assert "still stand in table 'drawn' of out.sqlite" in beyond.error.message

    def test_in_another_process(self, tmp_path):
        write_database(people(), tmp_path / "rows.sqlite", "people")
        jobs = [
            {"data": {"file": "rows.sqlite", "table": "people"}, "generator_filepath": f"g{i}.pkl"} for i in range(2)
        ]
        results = run_jobs(load_jobs([job_file(tmp_path, *jobs)], tables="due"), workers=2)
        assert [result.status for result in results] == ["done", "done"]

    def test_a_generator_that_is_there_needs_no_database(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RESEARCH_DB", f"sqlite:///{tmp_path}/rows.sqlite")
        write_database(people(), "RESEARCH_DB", "people")
        data = {"url_from": "RESEARCH_DB", "table": "people"}
        assert run(job_file(tmp_path, {"data": data})).trained
        monkeypatch.delenv("RESEARCH_DB")
        result = run(job_file(tmp_path, {"data": data, "sample": {"rows": 3, "output": "out/rows.csv"}}))
        assert (result.status, result.trained, result.error) == ("done", False, None)

    def test_problems_are_told_together_and_no_url_is_shown(self, tmp_path, monkeypatch):
        monkeypatch.delenv("NOT_SET", raising=False)
        url = f"postgresql://u:{PASSWORD}@h/d"
        text = told(
            job_file(
                tmp_path,
                {"data": url},
                {"data": {"url_from": url, "table": "t"}},
                {"data": {"url": url, "table": "t"}},
                {"data": {"url_from": "NOT_SET", "table": "t"}, "missing": ["NA"], "generator_filepath": "a.pkl"},
                {"data": {"url_from": "NOT_SET", "table": "t", "query": "select 1"}},
                {"data": {"file": "../rows.sqlite", "table": "t"}, "generator_filepath": "b.pkl"},
                {
                    "data": {"dataset": "sklearn.iris"},
                    "sample": {"rows": 1, "output": {"url_from": "NOT_SET", "table": "t", "if_exists": "drop"}},
                },
            )
        )
        for part in (
            "data: must be a file; for a database, write the URL into an environment variable, and here {url_from: ITS_NAME",
            "data: must be the name of an environment variable, or a .duckdb",
            "unknown key 'url'; known: url_from, file",
            "data: the environment variable NOT_SET is not set",
            "missing belongs to a CSV file; a table of a database has real missing cells",
            "data: must name one of table and query",
            "file: the path holds '..'",
            "if_exists: must be 'fail', 'replace' or 'append'",
        ):
            assert part in text, part
        assert "w/rd" not in text

    def test_the_columns_and_cells_are_held_against_the_metadata(self, tmp_path):
        write_database(people().rename(columns={"age": "agee"}).assign(sex=1.5), tmp_path / "rows.sqlite", "people")
        data = {"file": "rows.sqlite", "table": "people"}
        assert "column 'age': the table has no such column" in told(job_file(tmp_path, {"data": data}))
        assert "no such table that the user may see; did you mean 'people'" in told(
            job_file(tmp_path, {"data": data | {"table": "peopel"}})
        )

    def test_the_table_that_is_learnt_is_never_written(self, tmp_path, monkeypatch):
        write_database(people(), tmp_path / "rows.sqlite", "people")
        data, output = (
            {"file": "rows.sqlite", "table": "people"},
            {"file": "rows.sqlite", "table": "people", "if_exists": "replace"},
        )
        sample = {"rows": 5, "output": output}
        assert "output: the table is the data of job 'job0'" in told(
            job_file(tmp_path, {"data": data, "sample": sample})
        )
        other = {"rows": 5, "output": {**output, "table": "drawn"}}
        assert "output: the table is output of job 'job0'" in told(
            job_file(tmp_path, {"data": data, "sample": [other, other]})
        )

    def test_the_schema_knows_it(self, tmp_path):
        schema = job_schema()
        good = {"name": "a", "data": {"url_from": "X", "table": "t", "schema": "s"}}
        good["sample"] = {"rows": 1, "output": {"url_from": "X", "table": "u", "if_exists": "append"}}
        jsonschema.validate({"version": 1, "jobs": [good]}, schema)
        for wrong in ({"data": {"url": "x"}}, {"sample": {"rows": 1, "output": {"table": "t", "if_exists": "drop"}}}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"version": 1, "jobs": [good | wrong]}, schema)

    def test_no_file_holds_the_password(self, postgresql, tmp_path, caplog):
        caplog.set_level(logging.DEBUG)
        write_database(people(), "HOSPITAL_DB", "people")
        output = {"url_from": "HOSPITAL_DB", "table": "drawn", "if_exists": "replace"}
        data = {"url_from": "HOSPITAL_DB", "table": "people"}
        path = job_file(tmp_path, {"data": data, "sample": {"rows": 30, "output": output}})
        result = run(path)
        assert result.status == "done"
        everything = repr(result) + caplog.text
        everything += "".join(file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file())
        for secret in (PASSWORD, quote(PASSWORD, safe=""), "w/rd"):
            assert secret not in everything


class TestParquetFolders:
    def test_a_small_folder_is_learnt_in_memory_and_again_when_a_file_changes(self, tmp_path):
        (tmp_path / "visits").mkdir()
        for part in range(2):
            people().to_parquet(tmp_path / "visits" / f"{part}.parquet")
        job = {"data": "visits/", "holdout": 0.2, "limits": {"fidelity.shape": {"max": 100.0}}}
        path = job_file(tmp_path, {**job, "sample": {"rows": 5, "output": "out/rows.csv"}})
        assert [run(path).status, run(path).status] == ["done", "up to date"]
        people(10).to_parquet(tmp_path / "visits" / "2.parquet")
        assert run(path).reason == "changed since the last training: data"

    def test_a_large_folder_is_learnt_as_a_dataset(self, tmp_path, monkeypatch):
        monkeypatch.setattr("clover_tvae.tables.dataset.MOST_ROWS", 100)
        monkeypatch.setattr("clover_tvae.tables.dataset.SAMPLE_ROWS", 80)
        (tmp_path / "visits").mkdir()
        for part in range(2):
            people().to_parquet(tmp_path / "visits" / f"{part}.parquet")
        path = job_file(tmp_path, {"data": "visits", "sample": {"rows": 5, "output": "out/rows.csv"}})
        lines: list[str] = []
        assert run(path, tell=lines.append).status == "done"
        assert any(line.startswith("learnt 120 rows") for line in lines)

    def test_its_columns_are_checked_and_nothing_is_written_into_it(self, tmp_path):
        (tmp_path / "visits").mkdir()
        people().rename(columns={"age": "agee"}).to_parquet(tmp_path / "visits" / "0.parquet")
        sample = {"rows": 5, "output": "visits/rows.parquet"}
        text = told(job_file(tmp_path, {"data": "visits", "sample": sample}))
        assert "column 'age': the table has no such column" in text
        assert "output: the file lies in the data of job 'job0'; it would be read as part of it" in text

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "visits").mkdir()
        assert "the folder holds no Parquet file" in told(job_file(tmp_path, {"data": "visits"}))


def test_the_command_line_describes_and_learns_a_table(tmp_path, monkeypatch):
    def cli(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, arguments)
        return result.exit_code, " ".join(result.output.split())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESEARCH_DB", f"duckdb:///{tmp_path}/rows.duckdb")
    write_database(people(), "RESEARCH_DB", "people")
    assert cli("metadata", "infer", "main.people", "--database", "RESEARCH_DB", "-o", "m.json", "-q")[0] == 0
    fit = ("fit", "people", "--database", "rows.duckdb", "-m", "m.json", "-o", "g.pkl", "--epochs", "1", "-q")
    assert cli(*fit)[0] == 0
    code, told = cli(*fit, "--force", "--missing", "NA")
    assert (code, "--missing: belongs to a CSV file; a table of a database has" in told) == (2, True)
    code, told = cli("metadata", "infer", "peple", "--database", "RESEARCH_DB")
    assert (code, "did you mean 'people'?" in told) == (2, True)


def test_the_how_to_runs(tmp_path):
    text = (ROOT / "docs" / "databases.md").read_text()
    blocks = dict(re.findall(r"```(sh|yaml)\n(.*?)```", text, re.DOTALL))
    (tmp_path / "clinic.yaml").write_text(blocks["yaml"])
    script = (
        blocks["sh"]
        .replace("clover-tvae", f"{sys.executable} -m clover_tvae")
        .replace("python -c", f"{sys.executable} -c")
    )
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"species +n\n", done.stdout)


class TestDigest:
    def test_the_order_of_the_rows_does_not_count_and_their_cells_do(self):
        df = read_frame(pa.table({"a": [1, 2, None], "b": ["x", "y", "z"]}))[0]
        assert row_digest(df) == row_digest(df.iloc[::-1])
        for other in (df.assign(a=[1, 2, 3]), df.iloc[:2], df[["b", "a"]], df.rename(columns={"a": "c"})):
            assert row_digest(df) != row_digest(other)
        assert row_digest(pd.DataFrame({"a": [[1], [2]]})) != row_digest(pd.DataFrame({"a": [[1], [3]]}))
