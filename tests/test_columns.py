"""The dtype of a column, and the type of every cell, survive being written down as plain data."""

from __future__ import annotations

import datetime
import pickle
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from clover_tvae.columns.cells import is_missing, typed_key, values_from_plain, values_to_plain
from clover_tvae.columns.dtypes import CellType, with_cells
from clover_tvae.columns.labels import factorize
from clover_tvae.errors import ColumnTypeError, IdentifierColumnError
from clover_tvae.transforms.categorical import CategoricalTransform

DAY = datetime.date(1500, 2, 3)
TIME = datetime.datetime(2020, 5, 6, 7, 8, 9, 10)
ZONE = ZoneInfo("Europe/Paris")


def columns() -> dict[str, pd.Series]:
    numbers = [3, 1, 2, 3, 1]
    made = {
        name: pd.Series(numbers, dtype=name) for name in "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
    }
    made |= {name: pd.Series([0.5, 0.25, np.nan, 0.5], dtype=name) for name in "float16 float32 float64".split()}
    made |= {name: pd.Series([3, None, 2, 3], dtype=name) for name in "Int8 Int16 Int32 Int64 UInt8 UInt64".split()}
    made |= {name: pd.Series([0.5, None, 2, 0.5], dtype=name) for name in ("Float32", "Float64")}
    made |= {"bool": pd.Series([True, False, True]), "boolean": pd.Series([True, None, False], dtype="boolean")}
    text = ["b", None, "", "nan", "NA", "b", "\N{GRINNING FACE}"]
    made |= {name: pd.Series(text, dtype=name) for name in ("string[python]", "string[pyarrow]", "object")}
    made["str"] = pd.Series(text, dtype=pd.StringDtype("python", na_value=np.nan))
    made["str[pyarrow]"] = pd.Series(text, dtype=pd.StringDtype("pyarrow", na_value=np.nan))
    arrow = {
        "int8": [1, None, 2], "uint64": [2**63, None, 1], "float": [0.5, None, 1.5], "double": [0.1, None, 1.5],
        "bool": [True, None, False], "string": text, "large_string": text,
    }  # fmt: skip
    made |= {f"arrow {name}": pd.Series(v, dtype=pd.ArrowDtype(pa.type_for_alias(name))) for name, v in arrow.items()}
    made["arrow date"] = pd.Series([DAY, None, DAY], dtype=pd.ArrowDtype(pa.date32()))
    made["arrow time"] = pd.Series([TIME, None], dtype=pd.ArrowDtype(pa.timestamp("us")))
    made["arrow zone"] = pd.Series(
        [TIME.replace(tzinfo=ZONE), None], dtype=pd.ArrowDtype(pa.timestamp("ms", "Europe/Paris"))
    )
    made["arrow decimal"] = pd.Series([Decimal("1.50"), None], dtype=pd.ArrowDtype(pa.decimal128(10, 2)))
    for unit in ("s", "ms", "us", "ns"):
        made[f"datetime {unit}"] = pd.Series(["2020-01-02", None, "2021-01-01"]).astype(f"M8[{unit}]")
        made[f"datetime {unit} zone"] = made[f"datetime {unit}"].dt.tz_localize("Europe/Paris")
    made["zoneinfo"] = made["datetime ns"].dt.tz_localize(ZONE)
    made["fixed offset"] = made["datetime ns"].dt.tz_localize(
        datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
    )
    made["utc"] = made["datetime ns"].dt.tz_localize("UTC")
    made["category"] = pd.Series(pd.Categorical(["b", None, "a"], categories=["unused", "b", "a"]))
    made["ordered"] = pd.Series(pd.Categorical([2, 3, 2], categories=[3, 2, 1], ordered=True))
    made["category of dates"] = pd.Series(pd.Categorical(made["datetime s zone"]))
    made["category without cells"] = pd.Series(pd.Categorical([None, None]))
    made["object int"] = pd.Series([2**70, None, 5, 2**70], dtype=object)
    made["object float"] = pd.Series([0.5, None, 1.5], dtype=object)
    made["object bool"] = pd.Series([True, pd.NA, False], dtype=object)
    made["decimals"] = pd.Series([Decimal("1.0"), Decimal("1.00"), None, Decimal("1.0")], dtype=object)
    made["dates"] = pd.Series([DAY, None, DAY], dtype=object)
    made["times"] = pd.Series(
        [TIME, pd.NaT, TIME.replace(tzinfo=ZONE), TIME.replace(tzinfo=datetime.timezone.utc)], dtype=object
    )
    made["stamps"] = pd.Series([pd.Timestamp(TIME, tz="Asia/Tokyo"), pd.Timestamp("2020-01-01")], dtype=object)
    made["mixed"] = pd.Series([1, "1", 1.0, True, "", "nan", None, DAY, Decimal("1"), 1, "1"], dtype=object)
    made["nothing"] = pd.Series([None, None], dtype=object)
    made["surrogates"] = pd.Series(["\ud800", "\udfff", "'\\ud800'", "a\0b", "a\0c", "a"], dtype=object)
    return made


COLUMNS = columns()


def same_cells(left: pd.Series, right: pd.Series) -> bool:
    return left.dtype == right.dtype and all(
        (is_missing(a) and is_missing(b) and type(a) is type(b))
        or (typed_key(a) == typed_key(b) and type(a) is type(b))
        for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_categories_comes_back_with_its_dtype_and_types(name: str) -> None:
    column = COLUMNS[name]
    before = column.copy()
    fitted = CategoricalTransform.fit(column, name)
    plain = pickle.loads(pickle.dumps(fitted.to_plain()))
    again = CategoricalTransform.from_plain(plain)
    assert again.to_plain() == plain
    codes = again.encode(column, np.random.default_rng(0), "error").choices
    decoded = again.decode(codes)
    assert same_cells(decoded, column)
    if column.dtype == "category":
        assert decoded.cat.categories.equals(column.cat.categories)
    pd.testing.assert_series_equal(column, before)


def test_equal_looking_cells_of_other_types_are_other_categories() -> None:
    column = pd.Series([1, "1", 1.0, True, "", "nan", None], dtype=object)
    assert CategoricalTransform.fit(column, "x").layout.n_choices == 7


def test_strings_that_pandas_takes_for_equal_are_kept_apart() -> None:
    for dtype in (object, "string[python]"):
        column = pd.Series(["a", "a\0b", "a\0c"], dtype=dtype)
        assert len(CategoricalTransform.fit(column, "x").categories) == 3


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1j]),
        pd.Series(pd.to_timedelta([1, 2])),
        pd.Series(pd.period_range("2020", periods=2, freq="D")),
        pd.Series(pd.interval_range(0, 2)),
        pd.Series(pd.cut([1, 2, 3], 2)),
        pd.Series([[1], [2]]),
        pd.Series([{"a": 1}]),
        pd.Series([b"bytes"]),
        pd.Series([(1, 2)]),
        pd.Series([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        pd.Series(pd.arrays.SparseArray([1, 0, 0])),
        pd.Series(pd.to_datetime(["2020-01-01"])).dt.tz_localize("dateutil/Europe/Paris"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_cells_that_cannot_be_learnt_are_refused_by_name(column: pd.Series) -> None:
    with refuses(ColumnTypeError, "column 'odd'"):
        CategoricalTransform.fit(column, "odd")


def test_text_that_differs_in_every_row_is_an_identifier() -> None:
    names = pd.Series([f"person {i} CANARY" for i in range(60)])
    with refuses(IdentifierColumnError, "column 'name'") as caught:
        CategoricalTransform.fit(names, "name")
    assert "CANARY" not in str(caught.value)
    assert CategoricalTransform.fit(names[:14], "name").layout.n_choices == 14
    assert CategoricalTransform.fit(pd.concat([names, names[:40]]), "shown").layout.n_choices == 60


cells = st.one_of(
    st.text(max_size=5),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(ZONE)),
    st.none(),
)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.lists(cells, min_size=1, max_size=14))  # from 15 cells on, values of one cell each are an identifier
def test_any_mixture_of_cells_comes_back_cell_by_cell(values: list[object]) -> None:
    column = pd.Series(values, dtype=object)
    fitted = CategoricalTransform.from_plain(CategoricalTransform.fit(column, "x").to_plain())
    decoded = fitted.decode(fitted.encode(column, np.random.default_rng(0), "error").choices)
    assert all((a is None and b is None) or typed_key(a) == typed_key(b) for a, b in zip(column, decoded, strict=True))


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.one_of(cells, st.binary(max_size=3)),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    )
)
def test_hostile_plain_data_is_refused(hostile: object) -> None:
    for read in (CellType.from_plain, values_from_plain, CategoricalTransform.from_plain):
        with pytest.raises(ValueError):
            read(hostile)


@pytest.mark.parametrize(
    ("types", "values"),
    [
        ("int", ["1"]),
        ("int", [True]),
        ("float", [1]),
        ("float", [float("nan")]),
        ("bool", [1]),
        ("str", [1]),
        ("Decimal", ["one"]),
        ("Decimal", ["NaN"]),
        ("Decimal", ["sNaN"]),
        ("Decimal", [""]),
        ("date", ["2020"]),
        ("datetime", ["2020"]),
        ("datetime", [["2020-01-01", "../../etc/passwd", 0]]),
        ("datetime", [["2020-01-01", "No/Zone", 0]]),
        ("datetime", [["2020-01-01", None, 2]]),
        ("Timestamp", [[0, "ns"]]),
        ("Timestamp", [[0, "Y", None]]),
        ("Timestamp", [[2**63, "s", None]]),
        ("Timestamp", [[2**62, "s", "Europe/Paris"]]),
        ("object", ["x"]),
        ("str", ["twice", "twice"]),
        (["str"], ["a", "b"]),
        (5, []),
    ],
)
def test_values_with_wrong_tags_are_refused(types: object, values: list[object]) -> None:
    with pytest.raises(ValueError):
        values_from_plain({"types": types, "values": values})


@pytest.mark.parametrize(
    "change",
    [
        {"family": "numpy", "name": "object"},
        {"family": "arrow", "name": "list<int64>"},
        {"family": "arrow", "name": "decimal128(99, 0)"},
        {"family": "arrow", "name": "timestamp[us, tz=No/Zone]"},
        {"family": "pickle"},
        {"time_zone": "Europe/Paris"},
        {"missing": "gone"},
        {"ordered": 1},
        {"family": "category"},
        {"categories": {"types": "str", "values": ["a"]}},
        {"surprise": 1},
    ],
)
def test_a_changed_dtype_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        CellType.from_plain(CellType("object", "str", "none").to_plain() | change)


def test_categories_must_fit_the_dtype_they_claim() -> None:
    plain = CategoricalTransform.fit(pd.Series([1, 2], dtype="int8"), "x").to_plain()
    for values in ([1, 300], [1, 2**80]):
        with pytest.raises(ValueError, match="do not fit"):
            CategoricalTransform.from_plain(plain | {"categories": {"types": "int", "values": values}})
    with pytest.raises(ValueError):
        CategoricalTransform.from_plain(plain | {"missing": True})
    with pytest.raises(ValueError, match="at least one choice"):
        CategoricalTransform.from_plain(plain | {"categories": {"types": [], "values": []}})
    ordered = CategoricalTransform.fit(COLUMNS["ordered"], "x").to_plain()
    with pytest.raises(ValueError):
        CategoricalTransform.from_plain(ordered | {"categories": {"types": "int", "values": [9]}})
    cells_plain = ordered["cells"] | {"categories": {"types": "str", "values": ["a"]}}
    with pytest.raises(ValueError):
        CategoricalTransform.from_plain(ordered | {"cells": cells_plain})


def test_plain_values_share_one_tag_where_they_can() -> None:
    assert values_to_plain([1, 2])["types"] == "int"
    assert values_to_plain([1, "2"])["types"] == ["int", "str"]


def test_numpy_scalars_in_object_columns_are_read_as_python_values() -> None:
    column = pd.Series(
        [np.int64(1), np.float32(0.5), np.bool_(True), np.str_("x"), np.datetime64("2020-01-01")], dtype=object
    )
    codes, found = factorize(column, CellType.of(column))
    assert [type(v) for v in found] == [int, float, bool, str, pd.Timestamp]
    assert codes.tolist() == [0, 1, 2, 3, 4]


def test_cells_of_a_category_that_the_dtype_lacks_are_kept() -> None:
    column = pd.Series(pd.Categorical(["a", None], ["a", "b"]))
    for cell, dtype in (("b", column.dtype), ("c", np.dtype(object))):
        for values in (pd.Series([cell]), pd.Series(pd.Categorical([cell]))):
            filled = with_cells(column, np.array([1]), values)
            assert filled.tolist() == ["a", cell]
            assert filled.dtype == dtype
