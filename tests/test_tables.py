"""Tables come back from files as they went in, broken files say what is broken, and old files outlive failures."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import os
import signal
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from csv import reader as csv_rows
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attacks.children import AS_OTHERS, Child
from conftest import TEXT, UNIT, refuses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from clover_tvae.errors import (
    ArtifactError,
    ColumnTypeError,
    ConfigError,
    DataError,
    DuplicateColumnsError,
    MissingExtraError,
    TableFileError,
)
from clover_tvae.files import atomic_write, inside
from clover_tvae.metadata import Metadata
from clover_tvae.tables import Dialect, column_names, dialect_of, read_as, read_table, write_table
from clover_tvae.tables.parts import write_manifest

CANARY = "CANARY-7f3a"
EXTENSIONS = [".csv", ".csv.gz", ".parquet", ".pq"]
same_folder = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def csv(tmp_path):
    """Write a CSV file and read it."""

    def read(text: str | bytes, metadata=None, name: str = "t.csv", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(path, None if metadata is None else Metadata.of(metadata), **options)

    return read


def fault(csv, *args, error=TableFileError, **options) -> str:
    with pytest.raises(error) as raised:
        csv(*args, **options)
    assert type(raised.value) is error
    assert CANARY not in str(raised.value)
    return str(raised.value)


# ------------------------------------------------------------------------------------------- reading CSV


def test_without_metadata_columns_are_what_they_look_like(csv):
    df = csv("whole,gaps,real,truth,maybe,code,land,text\n1,1,1.5,true,True,007,NA,a\n-2,,2e3,false,,010,DE,\n")
    assert df.dtypes.astype(str).to_dict() == {
        "whole": "int64", "gaps": "Int64", "real": "float64", "truth": "bool", "maybe": "boolean",
        "code": TEXT, "land": TEXT, "text": TEXT,
    }  # fmt: skip
    assert df["code"].tolist() == ["007", "010"]
    assert df["land"].tolist() == ["NA", "DE"]
    assert df["gaps"].isna().tolist() == [False, True]
    assert df["text"].isna().tolist() == [False, True]
    assert df["real"].tolist() == [1.5, 2000.0]
    assert df.index.equals(pd.RangeIndex(2))


def test_with_metadata_columns_are_what_they_are_declared(csv):
    metadata = {
        "continuous": ["age", "dose"],
        "categorical": ["ward", "land"],
        "boolean": ["smoker", "flag"],
        "ordinal": [{"name": "stage", "order": [1, 2, 3]}, {"name": "grade", "order": ["1", "2"]}, "free"],
        "datetime": [{"name": "born", "format": "%d/%m/%Y"}, "seen"],
        "id": ["patient", {"name": "row", "regenerate": "sequence"}],
        "ignore": ["notes"],
    }
    df = csv(
        "age,dose,ward,land,smoker,flag,stage,grade,free,born,seen,patient,row,notes\n"
        "70, 1.5 ,007,NA,TRUE,1,2,1,5,01/02/1990,2024-01-02,0012,1,9\n"
        ",,12,,,0,1,,4,,,0013,2,\n",
        metadata,
    )
    assert df.dtypes.astype(str).to_dict() == {
        "age": "Int64", "dose": "float64", "ward": TEXT, "land": TEXT, "smoker": "boolean", "flag": "int64",
        "stage": "int64", "grade": TEXT, "free": TEXT, "born": TEXT, "seen": f"datetime64[{UNIT}]",
        "patient": TEXT, "row": "int64", "notes": TEXT,
    }  # fmt: skip
    assert df["ward"].tolist() == ["007", "12"]
    assert df.loc[0, ["grade", "born", "patient", "notes", "land"]].tolist() == ["1", "01/02/1990", "0012", "9", "NA"]
    assert df.loc[1].isna().sum() == 8
    Metadata.of(metadata).validate(df)


def test_missing_tokens_are_declared(csv):
    text = "a,b\n1,x\nNA,NA\n?,\n 7 ,y\n"
    df = csv(text, {"continuous": ["a"], "categorical": ["b"]}, missing=["", "NA", "?"])
    assert df["a"].isna().tolist() == [False, True, True, False]
    assert df["b"].isna().tolist() == [False, True, True, False]
    assert csv(text)["a"].tolist() == ["1", "NA", "?", " 7 "]
    with refuses(ConfigError, "missing"):
        csv(text, missing="NA")
    with pytest.raises(ConfigError):
        csv(text, missing=[None])


def test_a_cell_that_is_no_number_is_an_error_with_a_count_and_rows(csv):
    text = fault(
        csv,
        f"age,bmi,smoker\n1,x,true\n{CANARY},2,maybe\n{CANARY},NaN,\n",
        {"continuous": ["age", "bmi"], "boolean": ["smoker"]},
        error=ColumnTypeError,
    )
    assert (
        "column 'age': must hold numbers, found 2 of 3 cells that are none (data rows 2, 3); mend them, declare the tokens"
        in text
    )
    assert "column 'bmi': must hold numbers, found 2 of 3 cells that are none (data rows 1, 3)" in text
    assert "column 'smoker': must hold true or false, found 1 of 3 cells that are none (data row 2)" in text


def test_many_misfits_are_listed_in_part(csv):
    text = fault(csv, "age\n" + "x\n" * 100, {"continuous": ["age"]}, error=ColumnTypeError)
    assert "found 100 of 100 cells that are none (data rows 1, 2, 3, 4, 5, ...)" in text


def test_infinite_numbers_are_read_for_validation_to_refuse(csv):
    assert csv("a\ninf\n-Infinity\n+1\n", {"continuous": ["a"]})["a"].tolist() == [np.inf, -np.inf, 1.0]


def test_whole_numbers_keep_every_digit_or_are_refused(csv):
    assert csv(f"a\n{2**63 - 1}\n{-(2**63)}\n")["a"].tolist() == [2**63 - 1, -(2**63)]
    assert csv(f"a\n{2**64 - 1}\n\n")["a"].tolist() == [2**64 - 1, pd.NA]
    assert csv(f"a\n{10**30}\n")["a"].tolist() == [str(10**30)]
    assert "beyond 64 bits" in fault(csv, f"a\n{10**30}\n", {"continuous": ["a"]}, error=ColumnTypeError)


def test_columns_without_a_cell_and_files_without_a_row(csv):
    df = csv("a,b,c\n,,\n,,\n", {"continuous": ["a"], "boolean": ["b"], "datetime": ["c"]})
    assert df.isna().all().all()
    assert df.shape == (2, 3)
    assert csv("a,b\n").shape == (0, 2)
    assert csv("a,b\n", {"continuous": ["a"], "datetime": ["b"]}).shape == (0, 2)
    assert csv("a\n1\n\n3\n")["a"].isna().tolist() == [False, True, False]


def test_names_that_are_numbers_fit_their_header(csv):
    df = csv("0,1,x\n1,007,2\n", {"continuous": [0, "x"], "categorical": [1]})
    assert df.columns.tolist() == [0, 1, "x"]
    assert df[1].tolist() == ["007"]
    assert csv("1,2\n3,4\n").columns.tolist() == ["1", "2"]
    both = csv("1\n3\n", {"continuous": [1], "categorical": ["1"]})
    assert both["1"].tolist() == ["3"]


def test_every_common_way_to_write_csv(csv):
    expected = {"a": ["x, y", 'say "hi"'], "b\nc": [1, 2]}
    for end in ("\n", "\r\n"):
        for text in (
            f'a,"b\nc"{end}"x, y",1{end}"say ""hi""",2{end}',
            f'\ufeffa,"b\nc"{end}{end}"x, y","1"{end}"say ""hi""",2',
        ):
            assert csv(text).to_dict("list") == expected
    assert csv("a,b\r1,2\r").to_dict("list") == {"a": [1], "b": [2]}
    assert csv("\n\na,b\n1,2\n").to_dict("list") == {"a": [1], "b": [2]}


def test_dates_in_iso_are_read_and_kept_in_range(csv):
    def dates(*cells, **options):
        return csv("d\n" + "\n".join(cells) + "\n", {"datetime": [{"name": "d", **options}]})["d"]

    assert dates("2024-01-02", "2024-01-02T03:04:05", "2024-01-02 03:04").dt.hour.tolist() == [0, 3, 3]
    assert dates("2024-01-02T03:04:05.123456789")[0].nanosecond == 789
    old = dates("1520-05-05", "2800-01-01")
    assert old.dt.year.tolist() == [1520, 2800]
    paris = dates("2024-01-02T00:00:00Z", "2024-07-02T00:00:00+02:00", time_zone="Europe/Paris")
    assert str(paris.dtype) == f"datetime64[{UNIT}, Europe/Paris]"
    assert paris.dt.hour.tolist() == [1, 0]
    assert str(dates("2024-01-02T00:00:00Z").dtype) == f"datetime64[{UNIT}, UTC]"
    assert dates("2024-01-02", time_zone="Europe/Paris")[0] == pd.Timestamp("2024-01-02", tz="Europe/Paris")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ((CANARY, "2024-01-01"), r"must hold dates as in 2024-12-31"),
        (("2024-13-01", "2024-01-01"), "shape of a date and are none"),
        (("2024-01-01T00:00:00Z", "2024-01-01T00:00:00"), "1 of 2 dates have a time zone"),
        (
            ("2024-03-31T02:30:00", "2024-01-01"),
            "dates of the time zone 'Europe/Paris', found some that do not exist or are ambiguous",
        ),
    ],
)
def test_dates_that_are_none(csv, cells, said):
    meta = {"datetime": [{"name": "d", "time_zone": "Europe/Paris"}]}
    assert said in fault(csv, "d\n" + "\n".join(cells), meta, error=ColumnTypeError)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n \n", "is empty"),
        (f"a;b\n{CANARY};2\n1\n", "seems to be separated by semicolons, but lines have other numbers of cells"),
        (f"a;b,c\n{CANARY};2,3\n", "can be read as separated by commas or by semicolons"),
        (f"a|b;c\n{CANARY}|2;3\n", "can be read as separated by semicolons or by bars"),
        (f"a,b\n1\n2,3\n{CANARY},5,6\n", "must have 2 cells in each row, as its header, found 2 with another number (row 2, 4"),
        (f"a,b\n{CANARY}\n", "found 1 with another number (row 2"),
        ('a,b\n"1,2\n3,4\n', "row"),
        (",a\n1,2\n", "found 1 without a name (1); a first one is often the row index"),
        ("a,,\n1,2,3\n", "must name every column, found 2 without a name (2, 3)"),
        ("1.5,2\n3.5,4\n", "has no header"),
        (b"a,b\n1,\xff\xfe\n", "is not UTF-8 text"),
        (b"a;b\nGr\xf6\xdfe;2\n", "such as read: {encoding: cp1252}"),
        (b"\xff\xfea\x00,\x00b", "is not utf-16 text"),
        (b"PAR1aaaa", "is Parquet inside"),
        (b"PK\x03\x04aaaa", "is a zip or Excel file inside"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is gzip inside"),
    ],
)  # fmt: skip
def test_a_broken_csv_says_how(csv, content, said):
    assert said in fault(csv, content)


def test_numbers_are_written_with_the_decimals_that_all_have(tmp_path):
    content = "two;some;zero;power;gap\n12,50;1,5;3,0;1,5e3;\n7,00;1,50;4,0;2,5e3;-2,500\n"
    (tmp_path / "t.csv").write_text(content)
    df, dialect = read_as(tmp_path / "t.csv", missing=[""])
    df.loc[2] = [1.125, 2.5, 1.5, 5.0, 1e-9]
    write_table(df, tmp_path / "again.csv", dialect)
    assert (tmp_path / "again.csv").read_text().splitlines()[1:] == [
        "12,50;1,5;3,0;1500,0;",
        "7,00;1,5;4,0;2500,0;-2,500",
        "1,125;2,5;1,5;5,0;1e-09",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"a;b\n1.234;{CANARY}\n", "column 'a': numbers such as 1.234 can have a decimal point, or be 1234"),
        (f"a\tb\n1,234\t{CANARY}\n", "column 'a': numbers such as 1,234 can have a decimal comma, or be 1234"),
        (f"a;b;{CANARY[:1]}\n1,5;1.234;x\n", "read: {decimal: ',', thousands: '.'} or, for text, {decimal: ',', thousands: ''}"),
        ("a;b\n1,5;2.5\n", "column 'b' has decimal points and column 'a' decimal commas"),
    ],
)  # fmt: skip
def test_numbers_that_can_be_read_in_two_ways_are_not_guessed(csv, content, said):
    assert said in fault(csv, content, error=ColumnTypeError)


def test_a_dialect_is_found_or_refused_and_told(tmp_path):
    def read(text, how=None, encoding="utf-8", name="t.csv", metadata=None):
        (tmp_path / name).write_bytes(text.encode(encoding))
        df, dialect = read_as(tmp_path / name, metadata, read=how)
        assert dialect == dialect_of(tmp_path / name, metadata, read=how)
        assert column_names(tmp_path / name, metadata, how) == df.columns.tolist()
        return df.to_dict("list"), str(dialect)

    assert read("a,b\n1,x\n") == ({"a": [1], "b": ["x"]}, "")
    assert read("a;b\n1;x,y\n2;z\n") == ({"a": [1, 2], "b": ["x,y", "z"]}, "separator ';'")
    assert read("a|b\n0.5|x\n") == ({"a": [0.5], "b": ["x"]}, "separator '|'")
    assert read("a\tb\n1\t2\n", name="t.tsv") == ({"a": [1], "b": [2]}, "separator '\\t'")
    german = "Größe, cm;Gehalt;n\n1,80;1.234,50;7\n;-12.345.678,5;8\n"
    cells, told = read(german)
    assert cells["Gehalt"] == [1234.5, -12345678.5]
    assert np.array_equal(cells["Größe, cm"], [1.8, np.nan], equal_nan=True)
    assert told == "separator ';', decimal ',', thousands '.'"
    assert read(german, {"encoding": "cp1252"}, "cp1252")[1] == f"{told}, encoding cp1252"
    assert (
        read(german, None, "utf-16")[1]
        == read(german, {"encoding": "utf-16"}, "utf-16")[1]
        == f"{told}, encoding utf-16"
    )
    assert read(german, None, "utf-8-sig")[1].endswith("utf-8-sig")
    assert str(read(german, None, "utf-16")[0]) == str(cells)
    # A comma in the only marked column is a decimal one, as 0,123 is, and 1.234 beside points is a decimal, too.
    assert read("a;b\n0,123;1\n1,234;2\n")[0]["a"] == [0.123, 1.234]
    assert read("a;b\n1.234;2.5\n")[0] == {"a": [1.234], "b": [2.5]}
    assert read("a;b\n1.234;2\n", {"decimal": "."})[0] == {"a": [1.234], "b": [2]}
    assert read("a;b\n1.234;2\n", {"thousands": "."})[0] == {"a": [1234], "b": [2]}
    assert read("a;b\n1.234;2,5\n", {"decimal": ",", "thousands": ""})[0] == {"a": ["1.234"], "b": [2.5]}
    assert read("a;b\n1\u202f234,5;2\n", {"thousands": " ", "decimal": ","})[0]["a"] == [1234.5]
    assert read('a,b\n"1\'234",2\n', {"thousands": "'"})[0]["a"] == [1234]
    assert read('a,b\n"1,234",2\n')[0]["a"] == ["1,234"]
    assert read("a;b;\n1;2;\n")[0] == {"a": [1], "b": [2]}
    assert read("a, b\n1, x\n", {"blank": True})[0] == {"a": [1], "b": ["x"]}
    assert read("'a';b\n'x;y';2\n", {"quote": "'", "separator": ";"})[0] == {"a": ["x;y"], "b": [2]}
    # Labels and dates keep their commas and points, and say nothing of numbers.
    labels = Metadata.of({"categorical": ["v"], "continuous": ["x"]})
    assert read("v;x\n1.5;2,5\n", metadata=labels)[0] == {"v": ["1.5"], "x": [2.5]}
    assert read("d;x\n01.02.2024;2,5\n")[0] == {"d": ["01.02.2024"], "x": [2.5]}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"seperator": ";"}, "read.seperator: unknown key; did you mean 'separator'"),
        ({"decimal": "x"}, r"read.decimal: must be '\.' or ','"),
        ({"decimal": ",", "thousands": ","}, "two different marks"),
        ({"blank": 1}, "read.blank: must be a valid boolean"),
        ("tab", "read: must be"),
    ],
)
def test_what_is_no_dialect_is_refused(tmp_path, how, said):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match=said):
        read_table(tmp_path / "t.csv", read=how)


def test_a_number_of_another_dialect_is_no_number(csv):
    metadata = {"continuous": ["x"]}
    text = fault(csv, "x;y\n1,5;a\n2.5;b\n", metadata, error=ColumnTypeError, read={"decimal": ","})
    assert "column 'x': must hold numbers, found 1 of 2 cells that are none (data row 2)" in text
    assert csv("x;y\n1,5;a\n2.5;b\n", read={"decimal": ",", "thousands": ""})["x"].tolist() == ["1,5", "2.5"]
    assert "must name every column, found cells" in fault(csv, "a;b;\n1;2;x\n", read={"trailing": True})
    assert "a quote after a blank" in fault(csv, 'a, b\n1, "x"\n', read={"blank": True})


@same_folder
@given(
    st.sampled_from([*",;\t|"]), st.sampled_from([".", ","]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.sampled_from(["'", '"']),
    st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text("aö,;|\t'\"=€\r\n .1"), st.integers(0, 9**9)), min_size=1),
)  # fmt: skip
def test_what_is_written_in_a_dialect_comes_back(tmp_path, separator, decimal, encoding, quote, rows):
    df = pd.DataFrame(rows, columns=["x;y", "größe, cm", "n"])
    df["label"] = pd.Categorical(df["x;y"])
    df["gaps"] = df["x;y"].astype("Float64").where(df["n"] > 5)
    dialect = Dialect(separator=separator, decimal=decimal, encoding=encoding, quote=quote)
    write_table(df, tmp_path / "t.csv.gz", dialect)
    metadata = Metadata.of({"continuous": ["x;y", "n", "label", "gaps"], "categorical": ["größe, cm"]})
    back, found = read_as(tmp_path / "t.csv.gz", metadata, read=dialect)
    assert found.model_dump() == dialect.but(thousands="", trailing=False, blank=False).model_dump()
    assert back["x;y"].tolist() == back["label"].tolist() == df["x;y"].tolist()
    assert back["größe, cm"].fillna("").tolist() == df["größe, cm"].tolist()
    assert back["n"].tolist() == df["n"].tolist()
    assert back["gaps"].astype("Float64").equals(df["gaps"])


def test_names_are_quoted_only_where_every_line_could_be_of_another_separator(tmp_path):
    for cells, header in (["1;2", "3;4"], '"a;b","n"'), (["1;2", "3"], "a;b,n"), ([1, 2], "a;b,n"):
        df = pd.DataFrame({"a;b": cells, "n": [1, 2]})
        write_table(df, tmp_path / "t.csv")
        assert (tmp_path / "t.csv").read_text().splitlines()[0] == header
        assert read_table(tmp_path / "t.csv").equals(df)


def test_letters_that_an_encoding_lacks_are_not_written(tmp_path):
    with refuses(TableFileError, str(tmp_path / "t.csv")) as caught:
        write_table(pd.DataFrame({"a": ["Łódź"]}), tmp_path / "t.csv", Dialect(encoding="cp1252"))
    assert "letters that cp1252 lacks" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_two_columns_of_one_name(csv):
    text = fault(csv, "a,b,a\n1,2,3\n", error=DuplicateColumnsError)
    assert "column 'a': 2 columns have this name" in text


def test_a_cell_as_long_as_a_book_is_read(csv):
    book = "word " * 10**6
    assert csv(f"a,b\n{book},1\n")["a"][0] == book


@pytest.mark.parametrize("name", ["t.numbers", "t.txt", "t", "t.gz", "csv", "t.parquet.gz"])
def test_other_extensions_are_refused(tmp_path, name):
    with refuses(TableFileError, str(tmp_path / name)) as caught:
        read_table(tmp_path / name)
    assert all(extension in str(caught.value) for extension in EXTENSIONS)
    with refuses(TableFileError, str(tmp_path / name)):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_files_that_are_no_files(tmp_path, extension):
    (tmp_path / f"folder{extension}").mkdir()
    for name in (f"none{extension}", f"folder{extension}", f"{'x' * 300}{extension}", f"a\0b{extension}"):
        with refuses(TableFileError, f"{tmp_path}/{name}"):
            read_table(f"{tmp_path}/{name}")
    with refuses(TableFileError, f"{tmp_path}/folder{extension}"):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / f"folder{extension}")


def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with refuses(TableFileError, str(tmp_path / "t.csv")):
        read_table(tmp_path / "t.csv")


# ------------------------------------------------------------------------------------------------ bombs


@pytest.mark.long
def test_a_gzip_bomb_is_not_unpacked(csv):
    bomb = gzip.compress(b"a,b\n" + b"0,0\n" * (25 * 2**20))
    assert len(bomb) < 2**20
    tracemalloc.start()
    try:
        assert "must unpack to at most 33,554,432 bytes" in fault(csv, bomb, name="t.csv.gz")
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_the_cap_is_the_callers_to_choose(csv, tmp_path):
    text = b"a,b\n" + b"0,0\n" * 1000
    assert len(csv(gzip.compress(text), name="t.csv.gz", max_bytes=10_000)) == 1000
    assert "at most 1,000 bytes, found more" in fault(csv, gzip.compress(text), name="t.csv.gz", max_bytes=1000)
    assert "at most 1,000 bytes, found more" in fault(csv, text, max_bytes=1000)
    write_table(pd.DataFrame({"a": np.zeros(10**6)}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 20_000
    with pytest.raises(TableFileError, match=r"t\.parquet: .* 100,000 bytes"):
        read_table(tmp_path / "t.parquet", max_bytes=100_000)


@pytest.mark.parametrize("cut", [0, 5, 12, -4])
def test_a_truncated_gzip_file(csv, cut):
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 500)
    text = fault(csv, whole[:cut] if cut else b"no gzip at all", name="t.csv.gz")
    assert "gzip" in text or "empty" in text


# -------------------------------------------------------------------------------------------- writing CSV


def test_formulas_are_written_inert_and_numbers_untouched(tmp_path):
    texts = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "＝1",
        "-5",
        "+3.5",
        "-1e-7",
        "-",
        "plain",
        "'q",
        "",
    ]
    df = pd.DataFrame(
        {
            "=name": texts,
            "dtype": pd.array(texts, "string"),
            "label": pd.Categorical(texts),
            "mixed": [*texts[:-1], -5],
            "number": np.linspace(-7, 7, len(texts)),
            "whole": -np.arange(len(texts)),
            "nullable": pd.array([None, *range(-13, 1)], "Int64"),
        }
    )
    before = df.copy(deep=True)
    write_table(df, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(df, before)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv_rows(file)
    assert header[0] == "'=name"
    escaped = ["'" + text for text in texts[:8]] + texts[8:]
    assert [row[0] for row in rows] == [row[1] for row in rows] == [row[2] for row in rows] == escaped
    back = read_table(tmp_path / "t.csv")
    assert back.columns[0] == "=name"
    for name in ("=name", "dtype", "label"):
        assert back[name].fillna("").tolist() == texts
    assert back["mixed"].tolist() == [*texts[:-1], "-5"]
    assert back["number"].tolist() == df["number"].tolist()
    assert back["whole"].tolist() == df["whole"].tolist()
    assert back["nullable"].equals(df["nullable"])


#: The csv of Python 3.10 knows no NUL.
NUL = "\x00" if sys.version_info >= (3, 11) else "\x01"
HIDDEN = ["", *f"\ufeff\u200b\u2060\xad\xa0 \u3000\t'\"{NUL}\x1b\x85\u202e", '"\u200b', "' ", "\U000e0001"]


@pytest.mark.parametrize("hidden", HIDDEN, ids=ascii)
def test_a_sign_that_comes_first_to_the_eye_starts_no_formula_in_a_cell_or_a_name(tmp_path, hidden):
    texts = [hidden + sign + "1+1" for sign in "=+-@＝＠"]
    df = pd.DataFrame({text: [*texts, f"a{hidden}=1", hidden + "-"] for text in texts})
    write_table(df, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv_rows(file)
    assert header == ["'" + text for text in texts]
    assert [row[0] for row in rows[:-2]] == header
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), df)


def test_a_byte_order_mark_is_kept_where_it_belongs_to_a_name(tmp_path):
    df = pd.DataFrame({"\ufeffname": ["\ufeffx", f"\x1b[31mred{NUL}\x07"]})
    write_table(df, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), df)


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="of Python 3.10 alone")
def test_a_nul_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(TableFileError, match=r"NUL.*Python 3.11"):
        write_table(pd.DataFrame({"x": ["a\x00"]}), tmp_path / "t.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@given(st.lists(st.text(max_size=6), min_size=1, max_size=5))
@same_folder
def test_no_text_cell_starts_a_formula(tmp_path, cells):
    df = pd.DataFrame({"x": cells, "y": 1})
    try:
        write_table(df, tmp_path / "t.csv")
    except TableFileError:
        assert any(0xD800 <= ord(letter) < 0xE000 or letter == "\x00" != NUL for cell in cells for letter in cell)
        return
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        written = [row[0] for row in csv_rows(file)][1:]
    for cell in written:
        number = cell in ("+", "-") or cell.lstrip("+-").replace(".", "").replace("e", "").replace("E", "").isdigit()
        assert (
            not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
            or number
            or cell[1:].split("e")[0].strip("0123456789.+-eE") == ""
        )


def test_dates_are_written_in_iso(tmp_path):
    df = pd.DataFrame(
        {
            "day": pd.to_datetime(["2024-01-02", None]),
            "time": pd.to_datetime(["2024-01-02 03:04:05.25", "2024-01-02"], format="ISO8601"),
            "zone": pd.to_datetime(["2024-01-02", "2024-07-02"]).tz_localize("Europe/Paris"),
            "date": [datetime.date(1500, 1, 2), None],
            "long": np.array(["1500-01-02", "2024-01-02"], "datetime64[s]"),
            "label": pd.Categorical(pd.to_datetime(["2024-01-02", "2024-01-03"])),
        }
    )
    write_table(df, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == [
        "2024-01-02,2024-01-02T03:04:05.250000,2024-01-02T00:00:00+01:00,1500-01-02,1500-01-02,2024-01-02",
        ",2024-01-02T00:00:00,2024-07-02T00:00:00+02:00,,2024-01-02,2024-01-03",
    ]
    meta = {
        "datetime": ["day", "time", {"name": "zone", "time_zone": "Europe/Paris"}, "long"],
        "categorical": ["date", "label"],
    }
    back = read_table(tmp_path / "t.csv", Metadata.of(meta))
    for name in ("day", "time", "zone"):
        pd.testing.assert_series_equal(back[name], df[name])


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_diabetes])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_real_tables_come_back_to_the_last_digit(tmp_path, load, extension):
    df = load(as_frame=True).frame
    write_table(df, tmp_path / f"t{extension}")
    pd.testing.assert_frame_equal(read_table(tmp_path / f"t{extension}"), df, check_exact=True)


plain_text = st.text(
    st.characters(codec="utf-8", exclude_characters="" if NUL == "\x00" else "\x00"), min_size=1, max_size=6
)
# A header of nothing but numbers such as 0E0 is taken for a missing header, and refused: the names here start with a letter.
names = st.lists(plain_text.map("n".__add__), min_size=1, max_size=4, unique=True)


@pytest.mark.long
@given(names, st.data())
@same_folder
def test_csv_round_trips_any_names_and_cells(tmp_path, names, data):
    metadata: dict[str, list[str]] = {"continuous": [], "categorical": [], "boolean": []}
    n_rows = data.draw(st.integers(0, 5))
    columns = {}
    for name in names:
        kind = data.draw(st.sampled_from(["whole", "real", "text", "truth", "gaps"]))
        cells = {
            "whole": st.integers(-(2**63), 2**63 - 1), "real": st.floats(allow_nan=True), "text": st.none() | plain_text,
            "truth": st.booleans(), "gaps": st.none() | st.integers(-5, 5),
        }[kind]  # fmt: skip
        dtype = {"whole": "int64", "real": "float64", "text": "object", "truth": "bool", "gaps": "Int64"}[kind]
        columns[name] = pd.Series(data.draw(st.lists(cells, min_size=n_rows, max_size=n_rows)), dtype=dtype)
        metadata[{"text": "categorical", "truth": "boolean"}.get(kind, "continuous")].append(name)
    df = pd.DataFrame(columns)
    path = tmp_path / "t.csv"
    write_table(df, path)
    meta = Metadata.of({kind: [inert(name) for name in found] for kind, found in metadata.items()})
    back = read_table(path, meta)
    assert back.columns.tolist() == [inert(name) for name in names]
    for name in names:
        told, cells = back[inert(name)], df[name]
        assert told.isna().tolist() == cells.isna().tolist()
        assert [*map(str, told.dropna())] == [
            str(cell) if cells.dtype == object else spelt(cell, told) for cell in cells.dropna()
        ]


def inert(text: str) -> str:
    """Say by the parser of Python, not by ours, what a spreadsheet must not run."""
    if not text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) or text in ("+", "-"):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text if set(text) <= set("0123456789+-.eE") else "'" + text


def spelt(cell: object, told: pd.Series) -> str:
    return str(int(cell)) if told.dtype.kind in "iu" else str(cell)


def test_odd_tables_are_not_written(tmp_path):
    path = tmp_path / "t.csv"
    for wrong in (
        [1],
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        pd.DataFrame(index=[1, 2]),
    ):
        with pytest.raises(DataError):
            write_table(wrong, path)
    with refuses(DuplicateColumnsError, "column 'a'"):
        write_table(pd.DataFrame([[1, 2]], columns=["a", "a"]), path)
    for extension in EXTENSIONS:
        for frame in (
            pd.DataFrame({"a": ["\ud800", "x"]}, dtype=object),
            pd.DataFrame([1], columns=pd.Index(["\ud800"], dtype=object)),
        ):
            with refuses(TableFileError, str(tmp_path / f"t{extension}")):
                write_table(frame, tmp_path / f"t{extension}")
    assert not list(tmp_path.iterdir())


def test_gzipped_files_are_the_same_every_time(tmp_path):
    df = load_iris(as_frame=True).frame
    for name in ("a.csv.gz", "b.csv.gz"):
        write_table(df, tmp_path / name)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).decode().count("\n") == 151


# --------------------------------------------------------------------------------------------- Parquet


def test_parquet_keeps_every_dtype(tmp_path):
    day = pd.DatetimeIndex(pd.date_range("2024-01-01", periods=3), freq=None)
    df = pd.DataFrame(
        {
            "int8": np.array([1, 2, 3], "int8"), "uint64": np.array([2**64 - 1, 0, 1], "uint64"),
            "float32": np.array([1.5, np.nan, 2], "float32"), "bool": [True, False, True],
            "Int64": pd.array([1, None, 3], "Int64"), "Float64": pd.array([1.5, None, 3], "Float64"),
            "boolean": pd.array([True, None, False], "boolean"), "object": ["a", None, "007"],
            "string": pd.array(["a", None, "c"], "string"), "arrow": pd.array(["a", None, "c"], "string[pyarrow]"),
            "int64[pyarrow]": pd.array([1, None, 3], "int64[pyarrow]"), "bool[pyarrow]": pd.array([True, None, False], "bool[pyarrow]"),
            "stamp": pd.Series(day).astype("timestamp[ms][pyarrow]"),
            "category": pd.Categorical(["a", None, "b"], ["b", "a", "unused"]),
            "ordered": pd.Categorical(["lo", "hi", None], ["lo", "mid", "hi"], ordered=True), "numbers": pd.Categorical([1, 2, 1]),
            "stamps": pd.Categorical(day, ordered=True), "float16": np.array([1.5, 2, 3], "float16"), "truths": pd.Categorical([True, False, None]),
            "nan text": pd.array(["a", None, "c"], pd.StringDtype("python", na_value=np.nan)),
            "strings": pd.Categorical(pd.array(["x", None, "y"], "string")),
            "day": day, "zone": day.tz_localize("Europe/Paris"), "seconds": np.array(["1500-01-01", "2024-01-01", "NaT"], "datetime64[s]"),
            "date": list(day.date), "decimal": [Decimal("1.50"), None, Decimal("2.25")], "nothing": [None] * 3,
        }
    )  # fmt: skip
    write_table(df, tmp_path / "t.parquet")
    back = read_table(tmp_path / "t.parquet")
    assert back.dtypes.astype(str).to_dict() == df.dtypes.astype(str).to_dict()
    pd.testing.assert_frame_equal(back, df)
    assert back["ordered"].cat.ordered
    assert back["category"].cat.categories.tolist() == ["b", "a", "unused"]


@pytest.mark.parametrize("columns", [[0, 1, 2], ["a", 1, "💊"], ["", "a b", "é"]])
def test_parquet_keeps_names(tmp_path, columns):
    df = pd.DataFrame(np.eye(3), columns=pd.Index(columns, dtype=object))
    write_table(df, tmp_path / "t.pq")
    back = read_table(tmp_path / "t.pq")
    assert back.columns.tolist() == columns
    assert [type(name) for name in back.columns] == [type(name) for name in columns]


@pytest.mark.long
@given(st.data())
@same_folder
def test_parquet_round_trips_any_cells(tmp_path, data):
    cells = st.lists(st.none() | data.draw(st.sampled_from([st.text(st.characters(codec="utf-8")), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.dates()])), min_size=1, max_size=6)  # fmt: skip
    df = pd.DataFrame({"x": pd.Series(data.draw(cells), dtype=object)}).infer_objects()
    write_table(df, tmp_path / "t.parquet")
    back = read_table(tmp_path / "t.parquet")["x"]
    assert back.isna().tolist() == df["x"].isna().tolist()
    assert back.dropna().tolist() == df["x"].dropna().tolist()


def test_an_index_is_left_out_and_one_in_the_file_becomes_columns(tmp_path):
    df = load_iris(as_frame=True).frame.head(4)
    write_table(df.set_index(pd.Index([9, 8, 7, 6])), tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), df)
    df.set_index(pd.Index(list("abcd"), name="who")).to_parquet(tmp_path / "u.parquet")
    assert read_table(tmp_path / "u.parquet").columns[0] == "who"
    df.set_index(pd.Index(list("abcd"))).to_parquet(tmp_path / "v.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "v.parquet"), df)


def test_cells_that_parquet_has_no_type_for(tmp_path):
    df = pd.DataFrame({"x": [1, CANARY], "ok": [1, 2], "y": [CANARY, 2.5], "z": [1j, 2j]})
    with pytest.raises(ColumnTypeError) as error:
        write_table(df, tmp_path / "t.parquet")
    assert [problem.where for problem in error.value.problems] == ["column 'x'", "column 'y'", "column 'z'"]
    assert CANARY not in str(error.value)
    for columns in ([1.5, "b"], [1, "1"]):
        with pytest.raises(TableFileError):
            write_table(pd.DataFrame([[1, 2]], columns=pd.Index(columns, tupleize_cols=False)), tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_broken_parquet_file_says_so_whatever_is_broken(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(pd.DataFrame({"a": [1.5, 2.5] * 50, "b": pd.Categorical(["x", CANARY] * 50)}), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in [0, 1, 4, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:cut])
        with refuses(TableFileError, str(path)):
            read_table(path)
    for _ in range(150):
        broken = bytearray(whole)
        broken[rng.integers(len(broken))] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(broken))
        with contextlib.suppress(DataError):
            read_table(path)


def test_parquet_with_repeated_names_or_lying_names(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with refuses(DuplicateColumnsError, f"{path}: column 'a'"):
        read_table(path)
    lies = [
        b"{", b"3", b'{"names": ["b"], "columns": {}}', b'{"names": [1, 2], "columns": {}}', b'{"names": ["a"], "columns": {"b": {}}}',
        b'{"names": ["a"], "columns": {"a": {"unit": "s"}}}', b'{"names": ["a"], "columns": {"a": {"storage": "x", "nan": 1}}}', b'{"names": ["a"], "columns": {"a": 3}}', b'{"names": ["a"]}',
        b'{"names": ["a"], "columns": {"a": {"levels": [7], "of": "int64", "ordered": false}}}',
        b'{"names": ["a"], "columns": {"a": {"levels": [1], "of": "datetime64[ns]", "ordered": false}}}',
    ]  # fmt: skip
    for lie in lies:
        pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({b"clover_tvae": lie}), path)
        with pytest.raises(TableFileError):
            read_table(path)


# ------------------------------------------------------------------------------------------ atomic writing


def only(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_atomic_write_writes_and_replaces(tmp_path):
    path = tmp_path / "f"
    for content in (b"one", b"two"):
        atomic_write(path, lambda file, content=content: file.write(content) and None)
        assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert only(tmp_path) == ["f"]


def test_tables_are_as_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.csv")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "t.csv").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, ArtifactError, OSError])
def test_a_failure_while_writing_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise error("broken")

    with pytest.raises(TableFileError if error is OSError else error):
        atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert only(tmp_path) == ["f"]


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "a\n1\n"


def test_the_longest_names_can_be_written(tmp_path):
    for stem in ("x" * 251, "é" * 125):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / f"{stem}.csv")
    assert len(only(tmp_path)) == 2


@pytest.mark.parametrize("path", ["/proc/none/t.csv", "/dev/null/t.csv", "a\0b.csv", "x" * 300 + ".csv"])
def test_paths_that_cannot_be_written(path):
    with refuses(TableFileError, path):
        write_table(pd.DataFrame({"a": [1]}), path)


def run_python(code: str, *args: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.long
@pytest.mark.parametrize("extension", [".csv.gz", ".parquet"])
def test_a_full_disk_leaves_the_old_file(tmp_path, extension):
    resource = pytest.importorskip("resource", reason="needs POSIX limits")
    path = tmp_path / f"t{extension}"
    write_table(pd.DataFrame({"a": [1]}), path)
    old = path.read_bytes()
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from clover_tvae.errors import TableFileError\n"
        "from clover_tvae.tables import write_table\n"
        "df = pd.DataFrame(np.random.default_rng(0).normal(size=(20000, 3)), columns=list('abc'))\n"
        "try:\n    write_table(df, sys.argv[1])\n"
        "except TableFileError as error:\n    print(error)\n"
    )
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # noqa: E731
    done = run_python(code, path, preexec_fn=limit)
    assert "cannot be written: File too large; whatever was there before still stands" in done.stdout, done.stderr
    assert path.read_bytes() == old
    assert only(tmp_path) == [path.name]


@pytest.mark.long
@pytest.mark.skipif(
    sys.platform != "linux" and getattr(os, "geteuid", lambda: 0)() == 0,
    reason="root writes everywhere, and Windows knows no such folder",
)
def test_a_read_only_folder_leaves_the_old_file(tmp_path):
    path = tmp_path / "closed" / "t.csv"
    path.parent.mkdir()
    path.write_text("old")
    path.parent.chmod(0o500)
    ended = Child(tmp_path, write_table, pd.DataFrame({"a": [1]}), path, before=AS_OTHERS).ended()
    assert "TableFileError" in ended.err
    assert path.read_text() == "old"
    assert only(path.parent) == ["t.csv"]


WRITER = """
import sys
from clover_tvae.files import atomic_write
path, letter, n_times = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
print("ready", flush=True)
for _ in range(n_times):
    atomic_write(path, lambda file: [file.write(letter * 1000) for _ in range(200)] and None)
"""


@pytest.mark.long
def test_two_writers_never_mix_their_files(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"a" * 200_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter, "60"]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        content = path.read_bytes()
        assert len(content) == 200_000
        assert len(set(content)) == 1
        seen.add(content[0])
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {*b"ab"}
    assert only(tmp_path) == ["f"]


@pytest.mark.slow
def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"a" * 200_000)
    rng = np.random.default_rng(0)
    for _ in range(40):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), "b", "100000"], stdout=subprocess.PIPE
        ) as writer:
            writer.stdout.readline()
            try:
                writer.wait(timeout=float(rng.uniform(0, 0.05)))
            except subprocess.TimeoutExpired:
                writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) == 200_000
        assert len(set(content)) == 1


# ----------------------------------------------------------------------------------------------- inside


def test_inside_gives_the_resolved_path(tmp_path):
    assert inside(tmp_path, "a/b.csv") == tmp_path.resolve() / "a" / "b.csv"
    assert inside(str(tmp_path), Path("a")) == tmp_path.resolve() / "a"
    assert inside(tmp_path, "./a//b") == tmp_path.resolve() / "a" / "b"
    assert inside(tmp_path, "a b…é.csv").name == "a b…é.csv"
    assert inside(tmp_path, "2024:01.csv").name == "2024:01.csv"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "//host/share", "\\\\host\\share", "~/x", "C:\\x", "c:x", "..", "a/../../b", "a\\..\\b", "a/..",
        "https://example.org/x", "file:///etc/passwd", "s3://bucket", "data:text", "", "a\0b", "\ud800" * 2000,
    ],
)  # fmt: skip
def test_inside_refuses_what_leaves(tmp_path, path):
    with refuses(TableFileError, ascii(path)[1:-1]):
        inside(tmp_path, path)


def test_inside_sees_through_links(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "out").symlink_to(outside)
    (root / "passwd").symlink_to("/etc/passwd")
    (root / "in").symlink_to(root)
    (root / "loop").symlink_to("loop")
    assert inside(root, "in/x") == root.resolve() / "x"
    for path in ("out/x", "passwd", "in/out", "loop/x"):
        with refuses(TableFileError, path):
            inside(root, path)


@given(st.lists(st.sampled_from(["..", ".", "a", "", "~", "C:", "\\", "\\..", "x:", "http:", "/", "link"]), max_size=6))
@same_folder
def test_inside_never_gives_a_path_outside(tmp_path, parts):
    if not (tmp_path / "link").is_symlink():
        (tmp_path / "link").symlink_to("/")
    try:
        found = inside(tmp_path, "/".join(parts))
    except TableFileError:
        return
    assert found == tmp_path.resolve() or tmp_path.resolve() in found.parents


@pytest.mark.long
@given(st.lists(st.text(alphabet="'\"\ufeff\u200b\xa0=+-@\t\r\n＝1x ", min_size=1, max_size=5), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_text_that_looks_like_a_formula_is_read_as_it_was_written(tmp_path, cells):
    df = pd.DataFrame({"=n": cells, "'=n": "x", "label": pd.Categorical(cells)})
    path = tmp_path / "t.csv"
    write_table(df, path)
    back = read_table(path, Metadata.of({"categorical": ["=n", "'=n", "label"]}))
    assert back.columns.tolist() == ["=n", "'=n", "label"]
    assert back["=n"].tolist() == back["label"].tolist() == cells


def test_a_row_of_too_many_cells_that_is_no_text_is_told_as_no_text(tmp_path, capfd):
    """Arrow prints a traceback where it cannot decode the row that it would hand over."""
    path = tmp_path / "t.csv"
    for data in (b"a,b\n1,2\n\xf6,2,3\n", b"a,b\n" + b"1,2\n" * 2**19 + b"\xf6,2,3\n", b"\xf6,b\n1,2\n"):
        path.write_bytes(data)
        with pytest.raises(TableFileError, match="is not UTF-8 text"):
            read_table(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_a_folder_of_parts_is_read_in_the_order_of_its_rows(tmp_path, suffix):
    frames = [
        pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "text": ["b", "=1"]}),
        pd.DataFrame({"n": pd.array([3, 4], dtype="Int64"), "text": ["007", "a"]}),
    ]
    parts = [tmp_path / f"part-{i:05d}.{suffix}" for i in (1, 0)]
    for frame, part in zip(frames, parts, strict=True):
        write_table(frame, part)
    with refuses(TableFileError, str(tmp_path)):  # nothing says that they belong together
        read_table(tmp_path)
    write_manifest(tmp_path, parts)
    pd.testing.assert_frame_equal(
        read_table(tmp_path), pd.concat(frames, ignore_index=True), check_dtype=suffix == "parquet"
    )
    parts[1].write_bytes(b"another")
    assert column_names(tmp_path) == ["n", "text"]  # told without a digest of gigabytes, which only reading compares
    with refuses(TableFileError, str(parts[1])):
        read_table(tmp_path)
    for other in (frames[0].rename(columns={"n": "m"}), frames[0].astype({"n": "float64"})):
        write_table(other, parts[1])
        write_manifest(tmp_path, parts)
        if suffix == "parquet" or "m" in other:
            with refuses(TableFileError, str(tmp_path)):
                read_table(tmp_path)
    write_manifest(tmp_path, [])
    for read in (read_table, column_names):
        with refuses(TableFileError, str(tmp_path)):
            read(tmp_path)
    write_manifest(tmp_path, None)
    with refuses(TableFileError, str(tmp_path)) as error:
        read_table(tmp_path)
    assert "broken off" in str(error.value)


@pytest.mark.parametrize(
    "cell", ["9007199254740993", "1.00000000000000000001", "1e400", "-1e400", "1e-400", "123456789.1234567891"]
)
def test_numbers_that_a_float_does_not_hold_are_refused_by_row_and_text_where_nothing_is_declared(
    tmp_path: Path, cell: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"a\n1.5\n{cell}\n")
    assert read_table(path)["a"].tolist() == ["1.5", cell]
    with pytest.raises(ColumnTypeError, match=r"1 of 2 cells with more digits, or beyond its range .*row 2"):
        read_table(path, Metadata.of({"continuous": ["a"]}))


def test_numbers_that_a_float_holds_are_read_however_long(tmp_path: Path) -> None:
    cells = [
        "0.30000000000000004",
        "5.00000000000000000000",
        "0.00000000000000000000012",
        "9007199254740992",
        "1e300",
        "inf",
        "0e5",
        "-0.0000000",
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a", *cells]))
    found = read_table(tmp_path / "t.csv", Metadata.of({"continuous": ["a"]}))["a"]
    assert found.tolist() == [float(cell) for cell in cells]


# -------------------------------------------------------------------------------- files of other programs


@pytest.fixture
def workbook(tmp_path):
    """Write a workbook of sheets, a list of rows each, and return its path."""
    excel = pytest.importorskip("xlsxwriter")
    pytest.importorskip("python_calamine")

    def written(merged: str | None = None, **sheets) -> Path:
        book = excel.Workbook(str(tmp_path / "t.xlsx"))
        day = book.add_format({"num_format": "dd.mm.yyyy"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for position, cell in enumerate(row):
                    if isinstance(cell, datetime.date):
                        sheet.write_datetime(number, position, cell, day)
                    elif cell is not None:
                        sheet.write(number, position, cell)
            if merged:
                sheet.merge_range(merged, CANARY)
        book.close()
        return tmp_path / "t.xlsx"

    return written


def test_a_sheet_is_read_by_the_types_of_its_cells(workbook):
    born = datetime.date(1990, 2, 1)
    rows = [
        ["born", "n", "x", "ward", "ok", 2020],
        [born, 1, 1.5, 7, True, "a"],
        [],
        [born, None, 2, "7b", False, "NA"],
    ]
    path = workbook(Tabelle1=rows)
    metadata = Metadata.of(
        {"continuous": ["n", "x"], "categorical": ["ward", 2020], "boolean": ["ok"], "datetime": ["born"]}
    )
    df = read_table(path, metadata, missing=["NA"])
    assert df.dtypes.astype(str).to_dict() == {
        "born": f"datetime64[{UNIT}]", "n": "Int64", "x": "float64", "ward": TEXT, "ok": "bool", 2020: TEXT,
    }  # fmt: skip
    assert df["born"].tolist() == [pd.Timestamp("1990-02-01")] * 2
    assert df["ward"].tolist() == ["7", "7b"]
    assert df[2020].isna().tolist() == [False, True]
    metadata.validate(df)
    assert column_names(path) == ["born", "n", "x", "ward", "ok", "2020"]
    with pytest.raises(ColumnTypeError, match=r"column 'ward': must hold cells of one type, found numbers and text"):
        read_table(path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[CANARY], ["a", "b"], [1, 2]], "found 1 columns without a name in the first row; .*delete rows above it, such as a title"),
        ([["a", "a"], [1, 2]], "2 columns have this name"),
        ([["a"], [1], [2], [CANARY]], r"column 'a': must hold cells of one type, found numbers and text \(text in data row 3\)"),
        ([[1.5, 2], [3, 4]], "must name the columns by text"),
        ([], "is empty"),
    ],
)  # fmt: skip
def test_a_sheet_that_is_no_table_says_how(workbook, rows, said):
    with pytest.raises(DataError, match=said) as caught:
        read_table(workbook(A=rows))
    assert CANARY not in str(caught.value)


def test_a_sheet_is_asked_for_where_there_are_several(workbook):
    path = workbook(first=[["a"], [1]], second=[["b"], [2]])
    with pytest.raises(TableFileError, match=r"holds several sheets; say which: .* it has 'first', 'second'"):
        read_table(path)
    assert read_table(path, read={"sheet": "second"}).to_dict("list") == {"b": [2]}
    assert read_table(path, read={"sheet": 1}).to_dict("list") == {"a": [1]}
    assert column_names(path, read={"sheet": "2"}) == ["b"]
    for wrong in ("third", 0, 3):
        with pytest.raises(TableFileError, match="has no such sheet"):
            read_table(path, read={"sheet": wrong})
    assert read_table(workbook(empty=[], full=[["a"], [1]])).to_dict("list") == {"a": [1]}
    with pytest.raises(TableFileError, match="found 1 merged ones; unmerge them") as caught:
        read_table(workbook("A1:B1", A=[]))
    assert CANARY not in str(caught.value)


OPEN_DOCUMENT = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'office:version="1.2"><office:body><office:spreadsheet><table:table table:name="A"><table:table-row>'
    '<table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell></table:table-row>'
    "{}</table:table></office:spreadsheet></office:body></office:document-content>"
)


def test_a_cell_far_off_the_table_is_told_and_ends_no_process(workbook, tmp_path):
    """The parser holds a whole rectangle, and ends the process where it has no memory for it."""
    path = workbook(A=[["a"], [1]])
    with zipfile.ZipFile(path) as parts:
        files = {name: parts.read(name) for name in parts.namelist()}
    beside = b'<row r="1048576">' + b"<c><v>1</v></c>" * 99 + b"</row>"
    for far in (b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', beside):
        with zipfile.ZipFile(path, "w") as book:
            for name, content in files.items():
                book.writestr(name, content.replace(b"</sheetData>", far + b"</sheetData>"))
        with pytest.raises(TableFileError, match="delete what stands far off the table"):
            read_table(path)
    row = '<table:table-row{}><table:table-cell{} office:value-type="float" office:value="1"/></table:table-row>'
    many, wide = (f' table:number-{what}-repeated="{n}"' for what, n in (("rows", 1_048_000), ("columns", 16_384)))
    blank = f"<table:table-row{many}><table:table-cell{wide}/></table:table-row>"
    for far in (blank + row.format("", wide), row.format(many, wide), None):
        with zipfile.ZipFile(tmp_path / "t.ods", "w") as book:
            book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
            book.writestr("content.xml", OPEN_DOCUMENT.format(far or row.format("", "") + blank))
            manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
            book.writestr("META-INF/manifest.xml", manifest)
        if far is not None:
            with pytest.raises(TableFileError, match="delete what stands far off the table"):
                read_table(tmp_path / "t.ods")
    assert read_table(tmp_path / "t.ods").to_dict("list") == {"a": [1]}


@same_folder
@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.floats(-1e9, 1e9).map(lambda x: round(x, 3)), st.integers(-(2**53), 2**53)),
        min_size=1,
    )
)
def test_what_is_written_to_excel_comes_back(tmp_path, rows):
    pytest.importorskip("xlsxwriter")
    pytest.importorskip("python_calamine")
    df = pd.DataFrame([("=1+1", 0.5, 1), *rows], columns=["=text", "x", "n"])
    df["at"] = pd.Timestamp("2024-01-02 03:04:05.678")
    write_table(df, tmp_path / "t.xlsx")
    back = read_table(
        tmp_path / "t.xlsx", Metadata.of({"categorical": ["=text"], "continuous": ["x", "n"], "datetime": ["at"]})
    )
    assert back["=text"].fillna("").tolist() == df["=text"].tolist()
    assert back["x"].tolist() == pytest.approx(df["x"].tolist(), rel=1e-15)
    assert back["at"].tolist() == df["at"].tolist()
    assert back["n"].tolist() == df["n"].tolist()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("x" * 40_000, "a text of more than 32,767 letters"),
        (np.inf, "infinite"),
        (2**60, "beyond 2\\^53"),
        (pd.Timestamp("1850-01-01"), "a date before 1901"),
        (pd.Timestamp("2024-01-01", tz="UTC"), "a time zone"),
        (pd.Timestamp("2024-01-01 00:00:00.000001"), "finer than a thousandth"),
        (Path("x"), "a cell of type PosixPath"),
    ],
)
def test_what_excel_cannot_hold_is_refused_and_the_old_file_stands(tmp_path, cell, said):
    pytest.importorskip("xlsxwriter")
    (tmp_path / "t.xlsx").write_text("old")
    with pytest.raises(ColumnTypeError, match=rf"column 'a': Excel cannot hold .*{said}.* \(row 2\); write CSV"):
        write_table(pd.DataFrame({"a": pd.Series([cell], dtype=object)}), tmp_path / "t.xlsx")
    assert (tmp_path / "t.xlsx").read_text() == "old"


def test_feather_keeps_what_parquet_keeps(tmp_path):
    df = pd.DataFrame(
        {"c": pd.Categorical(["a", None], ["b", "a"], ordered=True), 7: pd.array([1, None], dtype="Int64")}
    )
    write_table(df, tmp_path / "t.feather")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.feather"), df)
    assert column_names(tmp_path / "t.feather") == ["c", 7]


@pytest.mark.parametrize("extension", [".dta", ".sav"])
def test_value_labels_become_categories_where_every_value_has_one(tmp_path, extension):
    package = pytest.importorskip("pyreadstat")
    df = pd.DataFrame(
        {"sex": [2.0, 1.0, None], "age": [30.0, 99.0, 40.0], "t": ["a", "", "c"], "d": [datetime.date(2024, 1, 2)] * 3}
    )
    labels = {"sex": {1: "f", 2: "m"}, "age": {99: "unknown"}}
    write = package.write_dta if extension == ".dta" else package.write_sav
    write(
        df.astype({"sex": "Int64", "age": "int64"}) if extension == ".dta" else df,
        str(tmp_path / f"t{extension}"),
        variable_value_labels=labels,
    )
    back = read_table(tmp_path / f"t{extension}")
    assert back["sex"].cat.categories.tolist() == ["f", "m"]
    assert back["sex"].tolist() == ["m", "f", np.nan]
    assert back["age"].tolist() == [30, 99, 40]
    assert back["t"].fillna("missing").tolist() == ["a", "missing", "c"]
    assert back["d"].tolist() == [pd.Timestamp("2024-01-02")] * 3
    assert column_names(tmp_path / f"t{extension}") == ["sex", "age", "t", "d"]
    with refuses(TableFileError, str(tmp_path / f"o{extension}")):
        write_table(df, tmp_path / f"o{extension}")


@pytest.mark.parametrize("extension", [".xlsx", ".xls", ".ods", ".feather", ".dta", ".sav"])
def test_a_broken_file_of_another_program_says_so(tmp_path, extension):
    pytest.importorskip("python_calamine")
    pytest.importorskip("pyreadstat")
    for junk in (b"", b"PK\x03\x04aaaa", CANARY.encode() * 100):
        (tmp_path / f"t{extension}").write_bytes(junk)
        with refuses(TableFileError, str(tmp_path / f"t{extension}")) as caught:
            read_table(tmp_path / f"t{extension}")
        assert CANARY not in str(caught.value)


def test_what_is_not_installed_is_told_with_the_line_that_installs_it(tmp_path, monkeypatch):
    for package, extension in [("python_calamine", ".xlsx"), ("pyreadstat", ".sav"), ("pyreadstat", ".dta")]:
        monkeypatch.setitem(sys.modules, package, None)
        (tmp_path / f"t{extension}").write_bytes(b"PK")
        with pytest.raises(MissingExtraError, match=rf"needs {package}, .* pip install '\.\[files\]'"):
            read_table(tmp_path / f"t{extension}")
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(MissingExtraError, match="needs xlsxwriter"):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / "o.xlsx")
