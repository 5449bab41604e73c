"""What ``validate`` passes, ``fit`` learns; what ``fit`` refuses for its cells, ``validate`` refuses with the same words."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clover_tvae.errors import DataError, MetadataError
from clover_tvae.metadata import Column, Metadata
from clover_tvae.transforms.table_transform import TableTransform

N = 24
PARIS = ZoneInfo("Europe/Paris")
DAY, NOON = datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, 12)
DATES = ["2024-01-01", "2024-03-05", "2024-02-29"]


def objects(*cells: Any) -> pd.Series:
    return pd.Series([cells[i % len(cells)] for i in range(N)], dtype=object)


def typed(dtype: Any, *cells: Any) -> pd.Series:
    return pd.Series([cells[i % len(cells)] for i in range(N)], dtype=dtype)


def arrow(kind: pa.DataType, *cells: Any) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array([cells[i % len(cells)] for i in range(N)], type=kind)))


def category(*cells: Any, **options: Any) -> pd.Series:
    return pd.Series(pd.Categorical([cells[i % len(cells)] for i in range(N)], **options))


COLUMNS: dict[str, pd.Series] = {
    "int64": typed("int64", 1, 2, 3),
    "Int64": typed("Int64", 1, 2, None),
    "uint64": typed("uint64", 1, 2, 2**63 + 5),
    "zeros and ones": typed("int64", 0, 1),
    "float64": typed("float64", 1.5, np.nan),
    "float32": typed("float32", 1.5, np.nan),
    "Float64": typed("Float64", 1.5, None),
    "infinite": typed("float64", 1.5, np.inf),
    "bool": typed("bool", True, False),
    "boolean": typed("boolean", True, None),
    "text": objects("a", "b", None),
    "string": typed("string[python]", "a", None),
    "string[pyarrow]": typed("string[pyarrow]", "a", None),
    "numbers as text": objects("1", "2.5"),
    "dates as text": objects(*DATES, None),
    "dates as string": typed("string[pyarrow]", *DATES),
    "several offsets": objects("2024-01-01T00:00:00+0100", "2024-07-01T00:00:00+0200"),
    "category": category("a", "b", None),
    "category of numbers": category(1, 2),
    "category of dates": category(*pd.to_datetime(DATES)),
    "category of dates as text": category(*DATES),
    "category of several types": category("a", 1),
    "category of timedeltas": category(*pd.to_timedelta([1, 2])),
    "category of intervals": category(pd.Interval(0, 1), pd.Interval(1, 2)),
    "ordered": category("lo", "hi", categories=["lo", "hi"], ordered=True),
    "datetime64[ns]": typed("datetime64[ns]", *DATES),
    "datetime64[s]": typed("datetime64[s]", *DATES),
    "Paris": typed("datetime64[ns]", *DATES).dt.tz_localize("Europe/Paris"),
    "fixed offset": pd.Series(pd.to_datetime([f"{day}T10:00:00+02:00" for day in DATES] * 8)),
    "date": objects(DAY, None),
    "datetime": objects(NOON, None),
    "datetime in Paris": objects(NOON.replace(tzinfo=PARIS), None),
    "datetimes of two zones": objects(NOON.replace(tzinfo=PARIS), NOON.replace(tzinfo=datetime.timezone.utc)),
    "datetimes with a zone and without": objects(NOON.replace(tzinfo=PARIS), NOON),
    "Timestamp": objects(pd.Timestamp("2024"), pd.Timestamp("2025")),
    "date and datetime": objects(DAY, NOON),
    "Timestamp and datetime": objects(pd.Timestamp("2024"), NOON),
    "datetime64 cells": objects(np.datetime64("2024-01-01"), np.datetime64("2024-01-03")),
    "date of the year 9999": objects(datetime.date(9999, 1, 1), DAY),
    "date and text": objects(DAY, "x"),
    "Decimal": objects(Decimal("1.50"), None),
    "signalling NaN": objects(Decimal("1.50"), Decimal("sNaN")),
    "infinite Decimal": objects(Decimal("1.50"), Decimal("Infinity")),
    "Decimal of 15 digits": objects(Decimal("1234567890.12345"), Decimal("-2.50")),
    "Decimal of 20 digits": objects(Decimal("12345678901.123456789"), Decimal(2), pd.NA),
    "Decimal 1E-30": objects(Decimal("1E-30"), Decimal("2E-30")),
    "arrow decimal of 38 digits": arrow(pa.decimal128(38, 10), Decimal("1234567890123.0123456789"), None),
    "arrow halffloat": arrow(pa.float16(), np.float16(1.5), None),
    "Decimal and float": objects(Decimal("1.50"), 2.5),
    "Decimal and int": objects(Decimal("1.50"), 2),
    "int": objects(1, 2, None),
    "int of 70 bits": objects(1, 2**70),
    "int of 64 bits": objects(1, 2**63 + 1),
    "int and float": objects(1, 2.5, None),
    "bool and int": objects(True, 2),
    "text and int": objects("a", 2),
    "arrow int": arrow(pa.int8(), 1, None),
    "arrow double": arrow(pa.float64(), 1.5, None),
    "arrow NaN": arrow(pa.float64(), 1.5, float("nan"), None),
    "arrow bool": arrow(pa.bool_(), True, False, None),
    "arrow string": arrow(pa.string(), "a", None),
    "arrow string_view": arrow(pa.string_view(), "a", None),
    "arrow timestamp": arrow(pa.timestamp("us"), NOON, None),
    "arrow timestamp in Paris": arrow(pa.timestamp("ns", tz="Europe/Paris"), NOON, None),
    "arrow timestamp of an offset": arrow(pa.timestamp("ns", tz="+02:00"), NOON, None),
    "arrow date32": arrow(pa.date32(), DAY, None),
    "arrow date64": arrow(pa.date64(), DAY, None),
    "arrow decimal": arrow(pa.decimal128(10, 2), Decimal("1.5"), None),
    "arrow decimal256": arrow(pa.decimal256(40, 2), Decimal("1.5"), None),
    "arrow time": arrow(pa.time64("us"), datetime.time(1), None),
    "arrow dictionary": pd.Series(pd.arrays.ArrowExtensionArray(pa.array(["a", "b"] * 12).dictionary_encode())),
    "arrow null": arrow(pa.null(), None),
    "timedelta": pd.Series(pd.to_timedelta([1, 2] * 12)),
    "clock times": pd.Series([datetime.time(hour) for hour in (8, 9)] * 12),
    "period": pd.Series(pd.period_range("2020", periods=N, freq="M")),
    "complex": pd.Series([1j] * N),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 1] * 12)),
    "bytes": objects(b"a", b"b"),
    "lists": objects([1], [2]),
    "all None": objects(None),
    "all NaT": objects(pd.NaT),
    "all missing float64": typed("float64", np.nan),
    "all missing Int64": typed("Int64", None),
    "all missing boolean": typed("boolean", None),
    "all missing string": typed("string[python]", None),
    "all missing datetime64": typed("datetime64[s]", None),
    "all missing in Paris": typed("datetime64[ns, Europe/Paris]", None),
    "all missing category": category(None, categories=["a", "b"]),
    "category without levels": category(None),
    "all missing timedelta": typed("timedelta64[ns]", None),
    "all missing arrow int": arrow(pa.int64(), None),
    "all missing arrow string": arrow(pa.string(), None),
    "all missing arrow timestamp": arrow(pa.timestamp("us"), None),
    "all missing arrow decimal": arrow(pa.decimal128(30, 20), None),
    "all missing arrow bool": arrow(pa.bool_(), None),
    "all missing arrow date": arrow(pa.date32(), None),
    "all missing arrow time": arrow(pa.time64("us"), None),
}

DECLARED = [
    Column("x", "continuous"),
    Column("x", "categorical"),
    Column("x", "boolean"),
    Column("x", "ordinal"),
    Column("x", "ordinal", order=("a", "b")),
    Column("x", "ordinal", order=(1, 2, 3)),
    Column("x", "datetime"),
    Column("x", "datetime", format="%Y-%m-%d"),
    Column("x", "datetime", format="%Y-%m-%dT%H:%M:%S%z", time_zone="Europe/Paris"),
    Column("x", "datetime", time_zone="Europe/Paris"),
    Column("x", "datetime", format="%Y%m%d"),
    Column("x", "id", regenerate="sequence"),
    Column("x", "id", regenerate="uuid"),
    Column("x", "datetime", format="%d/%m/%y", century_starts=1930),
]


def problems_of(action: Any) -> set[str]:
    try:
        action()
    except DataError as error:
        return {str(problem) for problem in error.problems}
    return set()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::clover_tvae.metadata.MetadataWarning")
@pytest.mark.parametrize(
    "column", DECLARED, ids=lambda column: " ".join(map(str, [column.kind, *column.options.values()]))
)
@pytest.mark.parametrize("name", COLUMNS)
def test_validate_and_fit_say_the_same_of_a_column(name: str, column: Column) -> None:
    df = pd.DataFrame({"x": COLUMNS[name], "y": np.arange(N) % 2 + 0.5})
    metadata = Metadata((column, Column("y", "continuous")))
    for numbers in ("rank", "mode"):
        fitted: list[TableTransform] = []

        def fit(numbers: str = numbers, fitted: list[TableTransform] = fitted) -> None:
            fitted.append(TableTransform.fit(df, metadata, numbers=numbers, rng=np.random.default_rng(0)))

        assert problems_of(fit) <= problems_of(lambda: metadata.validate(df))
        if fitted and column.modelled:
            loaded = TableTransform.from_plain(fitted[0].to_plain())
            made = loaded.decode(loaded.encode(df, np.random.default_rng(1)))["x"]
            assert made.dtype == df["x"].dtype
            assert name == "arrow NaN" or made.isna().equals(df["x"].isna())


UNFIT = (
    "infinite",
    "infinite Decimal",
    "datetimes of two zones",
    "datetimes with a zone and without",
)


@pytest.mark.filterwarnings("ignore::clover_tvae.metadata.MetadataWarning")
@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in UNFIT])
def test_what_is_inferred_of_a_column_is_valid_for_it(name: str) -> None:
    df = pd.DataFrame({"x": COLUMNS[name], "y": np.arange(N) % 2 + 0.5})
    Metadata.infer(df).validate(df)


@pytest.mark.parametrize("name", [name for name in COLUMNS if "Decimal" in name or "decimal" in name])
def test_decimals_come_back_exactly_or_are_refused(name: str) -> None:
    df = pd.DataFrame({"x": COLUMNS[name]})
    metadata = Metadata((Column("x", "continuous"),))
    if not problems_of(lambda: metadata.validate(df)):
        table = TableTransform.fit(df, metadata, numbers="raw", rng=np.random.default_rng(0))
        back = table.decode(table.encode(df, np.random.default_rng(1)))["x"]
        assert back.dropna().tolist() == df["x"].dropna().tolist()
        assert name != "Decimal" or list(map(str, back.dropna().unique())) == ["1.50"]


CURES = {
    "Decimal of 20 digits": lambda cells: cells.map(float, na_action="ignore"),
    "Decimal 1E-30": lambda cells: cells.map(float, na_action="ignore"),
    "arrow decimal of 38 digits": lambda cells: cells.map(float, na_action="ignore"),
    "arrow halffloat": lambda cells: cells.astype("float32"),
    "timedelta": lambda cells: cells.dt.total_seconds(),
    "clock times": lambda cells: cells.astype(str),
    "arrow dictionary": lambda cells: cells.astype("category"),
    "sparse": lambda cells: cells.sparse.to_dense(),
    "period": lambda cells: cells.dt.to_timestamp(),
    "numbers as text": lambda cells: pd.to_numeric(cells),
}


@pytest.mark.filterwarnings("ignore::clover_tvae.metadata.MetadataWarning")
@pytest.mark.parametrize("name", CURES)
def test_the_cure_that_a_message_names_works(name: str) -> None:
    kind = (
        "datetime"
        if name in ("period", "clock times")
        else "categorical"
        if name == "arrow dictionary"
        else "continuous"
    )
    metadata = Metadata((Column("x", kind, format="%H:%M:%S" if name == "clock times" else None),))
    words = {
        "clock": "astype(str)",
        "Decimal": "map(float, na",
        "decimal": "map(float, na",
        "half": "astype('float32')",
        "sparse": "to_dense",
        "time": "total_seconds",
    }
    said = next((word for part, word in words.items() if part in name), "convert it with")
    assert any(
        said in problem for problem in problems_of(lambda: metadata.validate(pd.DataFrame({"x": COLUMNS[name]})))
    )
    mended = pd.DataFrame({"x": CURES[name](COLUMNS[name])})
    metadata.validate(mended)
    TableTransform.fit(mended, metadata, numbers="rank", rng=np.random.default_rng(0))


@pytest.mark.parametrize("names", [[True], [True, False], [1, np.True_]])
def test_a_column_named_true_is_refused_and_the_cure_works(names: list) -> None:
    df = pd.DataFrame(np.arange(2.0 * len(names)).reshape(2, -1), columns=pd.Index(names, dtype=object))
    with pytest.raises(DataError, match=r"columns: a column name must be text.*true or false.*rename\(columns=str\)"):
        Metadata.infer(df)
    Metadata.infer(df.rename(columns=str)).validate(df.rename(columns=str))
    with pytest.raises(MetadataError, match="found true or false"):
        Column(True, "continuous")


@pytest.mark.parametrize(
    "cells",
    [
        objects("Y", "N", None),
        objects("1", "0"),
        objects("TRUE", "FALSE", None),
        objects("True", "False"),
        typed("string[pyarrow]", "yes", "no", None),
        typed("int64", -1, 0),
        typed("float64", 1, 2, np.nan),
        typed("Int64", 1, 2, None),
        objects(Decimal(1), Decimal(0)),
        category("Y", "N", None),
        arrow(pa.string(), "J", "N", None),
        objects("Y", None),
    ],
    ids=lambda cells: f"{cells.dtype} {cells[0]}",
)
def test_both_cures_of_a_column_that_is_no_boolean_work(cells: pd.Series) -> None:
    boolean, categorical = (Metadata((Column("x", kind),)) for kind in ("boolean", "categorical"))
    df = pd.DataFrame({"x": cells})
    with pytest.raises(DataError) as caught:
        boolean.validate(df)
    cure = "declare it 'categorical', or say which value is true: (cells == VALUE).astype('boolean').mask(cells.isna())"
    assert str(caught.value).endswith(cure)
    categorical.validate(df)
    mended = pd.DataFrame({"x": (cells == cells[0]).astype("boolean").mask(cells.isna())})
    boolean.validate(mended)
    assert mended["x"].isna().equals(cells.isna())
    TableTransform.fit(mended, boolean, numbers="rank", rng=np.random.default_rng(0))


@pytest.mark.long
@pytest.mark.parametrize("decoder", ["autoregressive", "independent"])
@pytest.mark.parametrize("name", [name for name in COLUMNS if "all " in name or "without levels" in name])
def test_a_column_without_a_value_is_learnt_as_every_kind_that_validate_lets_through(name: str, decoder: str) -> None:
    from clover_tvae import TVAESynthesizer

    kept = {kind: Column(kind, kind) for kind in ("continuous", "categorical", "boolean", "ordinal", "datetime")}
    kept |= {form: Column(form, "datetime", format=form) for form in ("%Y-%m-%d", "%Y%m%d")}
    kept |= {way: Column(way, "id", regenerate=way) for way in ("sequence", "uuid")}
    df = pd.DataFrame(dict.fromkeys(kept, COLUMNS[name]) | {"y": np.arange(N) % 5 + 0.5})
    columns = [
        c
        for c in kept.values()
        if not problems_of(lambda c=c: Metadata((c, Column("y", "continuous"))).validate(df[[c.name, "y"]]))
    ]
    df = df[[*(c.name for c in columns), "y"]]
    metadata = Metadata((*columns, Column("y", "continuous")))
    synth = TVAESynthesizer(df, metadata, decoder=decoder, epochs=1, privacy="none", random_state=0, verbose=False)
    drawn = synth.fit().sample(6)
    for column in columns:
        assert drawn[column.name].isna().all() == column.modelled
        if "category" not in name:  # the levels of a category that nobody holds are not learnt
            assert drawn[column.name].dtype == df[column.name].dtype
