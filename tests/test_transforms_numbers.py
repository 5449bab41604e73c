"""Numbers come back with their dtype, decimals, range and distribution, whether coded by mode or by rank."""

from __future__ import annotations

import math
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import refuses
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes

from clover_tvae.columns.dtypes import CellType
from clover_tvae.conditions import Condition
from clover_tvae.errors import ColumnTypeError, ConditionError, DataError, NonFiniteError
from clover_tvae.transforms.grid import Grid, fraction
from clover_tvae.transforms.mode_codec import _clusters
from clover_tvae.transforms.numbers import NumberTransform
from clover_tvae.transforms.rank_codec import MAX_KNOTS

RNG = np.random.default_rng(7)


def columns() -> dict[str, pd.Series]:
    whole = RNG.integers(0, 120, 400)
    gaps = pd.Series(RNG.integers(0, 100, 400)).mask(RNG.random(400) < 0.1)
    made = {name: pd.Series(whole, dtype=name) for name in "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()}
    made |= {name: pd.Series(np.round(RNG.normal(size=400), 2), dtype=name) for name in ("float32", "float64")}
    made["float16"] = pd.Series(RNG.integers(0, 300, 400) / 2, dtype="float16")
    made |= {name: gaps.astype(name) for name in "Int8 Int16 Int64 UInt8 UInt64 Float32 Float64".split()}
    made["bool"] = pd.Series(whole > 60)
    made["boolean"] = (gaps > 50).astype("boolean").mask(gaps.isna())
    made["object int"] = gaps.astype("Int64").astype(object).where(gaps.notna(), None)
    made["object float"] = (gaps / 4).astype(object).where(gaps.notna(), None)
    made["object bool"] = pd.Series([True, None, False] * 100, dtype=object)
    made["decimals"] = pd.Series([None if np.isnan(v) else Decimal(int(v)) / 100 for v in gaps], dtype=object)
    for name in ("int32", "uint8", "float", "double"):
        made[f"arrow {name}"] = gaps.astype("Int64").astype(pd.ArrowDtype(pa.type_for_alias(name)))
    made["arrow bool"] = made["boolean"].astype(pd.ArrowDtype(pa.bool_()))
    money = [None if np.isnan(v) else Decimal(int(v)) / 100 for v in gaps]
    made["arrow decimal"] = pd.Series(money, dtype=pd.ArrowDtype(pa.decimal128(10, 2)))
    made["constant"] = pd.Series([7.5] * 100)
    made["constant or missing"] = pd.Series([7.5, np.nan] * 50)
    made["missing"] = pd.Series([np.nan] * 50)
    made["nothing at all"] = pd.Series([None] * 50, dtype=object)
    made["one row"] = pd.Series([3])
    made["two rows"] = pd.Series([3.25, -1.5])
    made["huge"] = pd.Series(RNG.choice([1e300, -1e300, 1.5e308, 0.0, -1.7e308], 300))
    made["int64 ends"] = pd.Series([2**63 - 1, -(2**63), 0, 5] * 30)
    made["uint64 ends"] = pd.Series(np.array([2**64 - 1, 0, 2**63] * 30, dtype=np.uint64))
    made["zero-inflated"] = pd.Series(np.where(RNG.random(3000) < 0.9, 0, RNG.integers(1, 5000, 3000)))
    made["artefacts"] = pd.Series([0.1 + 0.2, 0.7, 1.1 + 2.2] * 40)
    made["few rows, all different"] = pd.Series(np.arange(40) / 10)
    return made


COLUMNS = columns()
INEXACT = {"mode": {"huge", "int64 ends", "uint64 ends", "float16"}, "rank": set()}


def fit(column: pd.Series, numbers: str, least: int = 1) -> NumberTransform:
    fitted = NumberTransform.fit(column, "x", numbers, least=least)
    plain = pickle.loads(pickle.dumps(fitted.to_plain()))
    again = NumberTransform.from_plain(plain, numbers)
    assert again.to_plain() == plain
    return again


def round_trip(fitted: NumberTransform, column: pd.Series) -> pd.Series:
    codes = fitted.encode(column, np.random.default_rng(1), "error")
    middle = codes.scalars if codes.spreads is None else codes.scalars + codes.spreads / 2
    return fitted.decode(codes.choices, middle)


@pytest.mark.parametrize("numbers", ["mode", "rank"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_numbers_comes_back(name: str, numbers: str) -> None:
    column = COLUMNS[name]
    before = column.copy()
    decoded = round_trip(fit(column, numbers), column)
    assert decoded.dtype == column.dtype
    assert decoded.isna().equals(column.isna())
    if name == "artefacts":
        assert set(decoded) == {0.3, 0.7, 3.3}
    elif name not in INEXACT[numbers]:
        pd.testing.assert_series_equal(decoded, column)
    if len(column.dropna()) and name != "artefacts":
        assert decoded.min() >= column.min()
        assert decoded.max() <= column.max()
    assert [type(v) for v in decoded[:20]] == [type(v) for v in column[:20]]
    pd.testing.assert_series_equal(column, before)


numbers_in_python = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=80).map(lambda v: pd.Series(v, dtype="int64")),
    st.lists(st.integers(-5, 5), min_size=1, max_size=200).map(lambda v: pd.Series(v, dtype="Int16")),
    st.lists(st.floats(allow_infinity=False), min_size=1, max_size=80).map(lambda v: pd.Series(v, dtype="float64")),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=80).map(lambda v: pd.Series(v, dtype="float32")),
    st.lists(st.decimals(-999, 999, places=2), min_size=1, max_size=80).map(lambda v: pd.Series(v, dtype=object)),
)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(numbers_in_python)
@example(pd.Series([65536.015625], dtype="float32"))
def test_ranks_of_any_numbers_stay_in_range_and_type(column: pd.Series) -> None:
    fitted = fit(column, "rank")
    decoded = round_trip(fitted, column)
    assert decoded.dtype == column.dtype
    assert decoded.isna().equals(column.isna())
    if not column.isna().all():
        anywhere = fitted.decode(np.zeros(50, np.int32), np.linspace(0, 1, 50, dtype=np.float32)).dropna()
        for values in (decoded.dropna(), anywhere):
            assert len(values) == 0 or (values.min() >= column.min() and values.max() <= column.max())


@settings(max_examples=30, deadline=None)
@given(numbers_in_python)
def test_modes_of_any_numbers_stay_in_range_and_type(column: pd.Series) -> None:
    fitted = fit(column, "mode")
    decoded = round_trip(fitted, column)
    assert decoded.dtype == column.dtype
    assert decoded.isna().equals(column.isna())
    if not column.isna().all():
        anywhere = fitted.decode(np.zeros(50, np.int32), np.linspace(-1, 1, 50, dtype=np.float32)).dropna()
        for values in (decoded.dropna(), anywhere):
            assert len(values) == 0 or (values.min() >= column.min() and values.max() <= column.max())


def distance(left: np.ndarray, right: np.ndarray) -> float:
    """Largest distance of two empirical distribution functions (Kolmogorov-Smirnov)."""
    at = np.unique(np.concatenate([left, right]))
    return float(np.abs(*[
        np.searchsorted(np.sort(left), at, "right") / len(left) - np.searchsorted(np.sort(right), at, "right") / len(right)
    ]).max())  # fmt: skip


def real_columns() -> dict[str, np.ndarray]:
    cancer, diabetes = load_breast_cancer(as_frame=True).data, load_diabetes(as_frame=True).data
    made = {name: cancer[name].to_numpy() for name in ("mean radius", "mean area", "mean concavity")}
    made |= {name: diabetes[name].to_numpy() for name in ("bmi", "s6", "age")}
    rng = np.random.default_rng(3)
    made["heavy tail"] = np.round(np.exp(rng.normal(8, 2, 30_000)), 2)
    made["rounded pay"] = np.where(
        rng.random(30_000) < 0.5, np.round(rng.exponential(5000, 30_000), -2), rng.exponential(5000, 30_000).round()
    )
    made["holes"] = np.concatenate([rng.normal(-50, 1, 5000), rng.normal(50, 1, 5000)])
    made["ages"] = rng.integers(18, 91, 5000)
    return made


@pytest.mark.parametrize("name", real_columns())
def test_uniform_ranks_decode_to_the_training_distribution(name: str) -> None:
    values = real_columns()[name]
    fitted = fit(pd.Series(values), "rank")
    codes = fitted.encode(pd.Series(values), np.random.default_rng(0), "error")
    n = int((codes.choices == 0).sum())
    # The midpoints of n equal pieces of [0, 1]: the decoded cells then have no sampling noise of their own.
    scalars = np.zeros(len(values), np.float32)
    scalars[codes.choices == 0] = (np.arange(n) + 0.5) / max(n, 1)
    decoded = fitted.decode(codes.choices, scalars).to_numpy()
    assert distance(decoded, values) <= max(2 / MAX_KNOTS, 4 / len(values))
    assert decoded.min() >= values.min()
    assert decoded.max() <= values.max()


@pytest.mark.parametrize("name", real_columns())
def test_training_ranks_are_uniform(name: str) -> None:
    values = pd.Series(real_columns()[name])
    codes = fit(values, "rank").encode(values, np.random.default_rng(0), "error")
    rows = (codes.choices == 0) & (codes.scalars is not None)
    if rows.any():
        q = codes.scalars[rows] + codes.spreads[rows] * np.random.default_rng(5).random(rows.sum())
        assert distance(q, np.linspace(0, 1, 2001)) < 1.7 / math.sqrt(rows.sum()) + 0.003
        assert q.min() >= 0
        assert q.max() <= 1


def test_a_share_of_a_range_of_the_tiniest_floats_does_not_overflow() -> None:
    found = fraction(np.array([-1e300, 0.0, 5e-323, 1e-322, 1e300]), 0.0, 1e-322)
    assert found.tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_values_that_repeat_are_choices_and_the_rest_is_continuous() -> None:
    few = fit(pd.Series(RNG.integers(0, 60, 2000)), "rank")
    assert few.layout.n_numbered == 0
    assert few.layout.n_choices == 60
    zeros = fit(pd.Series(np.r_[np.zeros(900), np.arange(1, 101)]), "rank")
    assert zeros.layout.n_numbered == 1
    assert zeros.layout.n_choices == 2
    many = fit(COLUMNS["few rows, all different"], "rank")
    assert many.layout.n_numbered == 1
    assert many.layout.n_choices == 1


def test_a_file_holds_no_more_of_a_column_than_its_quantiles() -> None:
    values = RNG.normal(size=50_000)
    knots = fit(pd.Series(values), "rank").codec.values
    assert len(knots) <= MAX_KNOTS + 200
    assert len(knots) < 0.05 * len(values)


def test_modes_are_drawn_from_their_responsibilities() -> None:
    rng = np.random.default_rng(0)
    values = pd.Series(np.r_[rng.normal(0, 1, 4000), rng.normal(3, 1, 4000)])
    fitted = fit(values, "mode")
    codec = fitted.codec
    # Where two neighbouring modes overlap: half-way between their means.
    nearest = np.sort(codec.means)[len(codec.means) // 2 - 1 :][:2].mean() * codec.scale + codec.centre
    one_value = pd.Series(np.full(20_000, nearest))
    drawn = np.bincount(fitted.encode(one_value, rng, "error").choices, minlength=len(codec.weights)) / 20_000
    z = (nearest - codec.centre) / codec.scale
    density = codec.weights / codec.sigmas * np.exp(-0.5 * ((z - codec.means) / codec.sigmas) ** 2)
    expected = density / density.sum()
    assert (expected > 0.1).sum() >= 2
    assert np.abs(drawn - expected).max() < 0.015


def test_modes_follow_the_density() -> None:
    rng = np.random.default_rng(1)
    values = pd.Series(np.r_[rng.normal(-20, 1, 6000), rng.normal(0, 0.1, 3000), rng.normal(300, 50, 1000)])
    fitted = fit(values, "mode")
    codec = fitted.codec
    assert 3 <= len(codec.weights) <= 10
    assert codec.weights.sum() == pytest.approx(1)
    codes = fitted.encode(values, rng, "error")
    draws = np.clip(rng.normal(size=len(values)) / 4, -1, 1).astype(np.float32)
    assert distance(fitted.decode(codes.choices, draws).to_numpy(), values.to_numpy()) < 0.02
    assert np.abs(codes.scalars).max() <= 0.99


def test_a_rare_cap_keeps_a_mode_of_its_own() -> None:
    values = pd.Series(np.r_[np.zeros(9000), np.arange(960), np.full(40, 99_999)])
    pd.testing.assert_series_equal(round_trip(fit(values, "mode"), values), values)


def test_the_same_generator_gives_the_same_modes() -> None:
    values = pd.Series(RNG.normal(size=2000))
    plain = [fit(values, "mode").to_plain() for _ in range(2)]
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([1.0, 2.0], 0),
        ([0.1 + 0.2, 0.5], 1),
        ([1e300, 0.25], 2),
        ([123456.789012], 6),
        ([1 / 3, 2 / 3], None),
        ([1e-15], 15),
        ([1e-300], None),
        (list(np.random.default_rng(0).random(1000)), None),
        (list(np.round(np.random.default_rng(0).random(200_000), 12)), 12),
        ([], 0),
    ],
)
def test_decimals_are_those_of_the_column(values: list[float], decimals: int | None) -> None:
    assert Grid.of(np.array(values, dtype=float), CellType("numpy", "float64")).decimals == decimals


def test_decimals_of_short_floats_are_those_that_they_can_hold() -> None:
    column = pd.Series([0.1, 0.25, 1.3], dtype="float32")
    assert fit(column, "rank").grid.decimals == 2
    assert fit(pd.Series([1 / 3, 0.7], dtype="float32"), "rank").grid.decimals is None


def test_floats_that_were_short_when_they_were_written_have_the_decimals_of_those():
    column = pd.Series((RNG.integers(0, 400, 300) / 10).astype("float32").astype("float64"))
    fitted = fit(column, "rank")
    assert fitted.grid.decimals == 1
    drawn = fitted.decode(np.zeros(2000, np.int32), np.linspace(0, 1, 2000, dtype=np.float32))
    assert drawn.dtype == "float64"
    assert (drawn.astype("float32").round(1) == drawn.astype("float32")).all()
    assert (drawn.astype("float32") == drawn).all()


@pytest.mark.parametrize("numbers", ["mode", "rank"])
def test_numbers_that_training_never_saw(numbers: str) -> None:
    rng = np.random.default_rng(0)
    column = pd.Series(rng.normal(size=500).round(3))
    fitted = fit(column, numbers)
    new = pd.Series([column.max() + 5, column.min() - 5, 0.0123, np.nan])
    masked = fitted.encode(new, rng, "mask")
    assert masked.choices.tolist()[:2] == [-1, -1]
    assert masked.choices[2] >= 0
    assert masked.choices[3] == -1
    assert (masked.choices == -1).sum() == 3
    assert (masked.scalars[masked.choices < 0] == 0).all()
    clipped = round_trip(fitted, new[:3])
    assert clipped.tolist() == [column.max(), column.min(), pytest.approx(0.012, abs=0.0011)]
    with pytest.raises(DataError, match="column 'x': 1 cells are missing"):
        fitted.encode(new, rng, "error")
    always_missing = fit(COLUMNS["missing"], numbers)
    assert always_missing.encode(new, rng, "mask").choices.tolist() == [-1, -1, -1, 0]
    with pytest.raises(DataError, match="3 cells hold numbers"):
        always_missing.encode(new, rng, "error")


def test_a_number_that_is_no_choice_of_a_column_of_choices() -> None:
    fitted = fit(pd.Series([1, 5, 9] * 30), "rank")
    new = pd.Series([2, 8, 100, -4, 5])
    assert fitted.decode(fitted.encode(new, RNG, "error").choices, None).tolist() == [1, 9, 9, 1, 5]
    assert fitted.encode(new, RNG, "mask").choices.tolist() == [-1, -1, -1, -1, 1]


def test_a_column_is_encoded_in_whatever_dtype_it_comes() -> None:
    column = pd.Series(RNG.integers(-500, 500, 1000))
    fitted = fit(column, "rank")
    expected = fitted.encode(column, RNG, "error")
    for dtype in ("float64", "Int64", "int16", object, pd.ArrowDtype(pa.int32())):
        assert (fitted.encode(column.astype(dtype), RNG, "error").scalars == expected.scalars).all()
    mixed = pd.Series([1, 2.5, None], dtype=object)
    assert fitted.encode(mixed, RNG, "mask").choices.tolist() == [0, 0, -1]
    beyond = pd.Series([1e300, -1e300])
    assert fitted.encode(beyond, RNG, "mask").choices.tolist() == [-1, -1]
    unsigned = fit(pd.Series([0, 2**64 - 1] * 5, dtype="uint64"), "rank")
    assert unsigned.encode(pd.Series([-1, 0]), RNG, "mask").choices.tolist()[1] == 0
    assert fitted.encode(pd.Series([2**64 - 1], dtype="uint64"), RNG, "mask").choices.tolist() == [-1]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["CANARY", "2"]),
        pd.Series(["1", "2"], dtype="string"),
        pd.Series([1, "CANARY"], dtype=object),
        pd.Series([1, 2], dtype="category"),
        pd.Series(pd.to_datetime(["2020-01-01"])),
        pd.Series([2**70, -1], dtype=object),
        pd.Series([-(2**70), 1], dtype=object),
        pd.Series([2**70, 1], dtype=object),
        pd.Series([1j]),
    ],
    ids=lambda column: f"{column.dtype} {column.tolist()}"[:40],
)
def test_cells_that_are_no_numbers_are_refused(column: pd.Series) -> None:
    with refuses(ColumnTypeError, "column 'x'") as caught:
        fit(column, "rank")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "back"),
    [
        (pd.Series([1, 2.5, None], dtype=object), float),
        (pd.Series([Decimal("1.50"), 2, None], dtype=object), Decimal),
        (pd.Series([Decimal("1.5"), 2.5, None], dtype=object), float),
    ],
)
def test_numbers_of_several_types_are_given_back_as_one(column: pd.Series, back: type) -> None:
    made = round_trip(fit(column, "rank"), column)
    assert {type(cell) for cell in made.dropna()} == {back}
    assert made.dropna().tolist() == column.dropna().tolist()


def test_decimals_of_more_digits_than_floats_hold_are_refused() -> None:
    column = pd.Series([Decimal("1e40"), Decimal("2.5"), Decimal("1e40")] * 10, dtype=object)
    with pytest.raises(ColumnTypeError, match=r"15 digits in all, found 41 before and 1 behind"):
        fit(column, "rank")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_numbers_are_refused(value: float) -> None:
    for column in (pd.Series([1.0, value, value]), pd.Series([1.0, value, value], dtype=object)):
        with pytest.raises(NonFiniteError, match="column 'x': must hold finite numbers, found 2 infinite"):
            fit(column, "mode")


def changed(plain: dict, path: str, value: object) -> dict:
    head, _, rest = path.partition(".")
    return plain | {head: changed(plain[head], rest, value) if rest else value}


@pytest.mark.parametrize("numbers", ["mode", "rank"])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("codec.grid.minimum", float("nan")),
        ("codec.grid.minimum", 1e9),
        ("codec.grid.minimum", 0),
        ("codec.grid.kind", "object"),
        ("codec.grid.kind", "int64"),
        ("codec.grid.decimals", 99),
        ("codec.grid.single", "float8"),
        ("codec.missing", 1),
        ("codec.surprise", 1),
        ("cells.name", "int8"),
        ("cells.name", "str"),
        ("name", ["str", 5]),
        ("name", ["tuple", []]),
        ("name", "x"),
    ],
)
def test_a_changed_column_is_refused(numbers: str, path: str, value: object) -> None:
    plain = fit(pd.Series(np.arange(500) / 4), numbers).to_plain()
    with pytest.raises(ValueError):
        NumberTransform.from_plain(changed(plain, path, value), numbers)


def array(*values: float, dtype: str = "<f8", length: int | None = None) -> dict[str, object]:
    return {
        "dtype": dtype,
        "length": len(values) if length is None else length,
        "data": np.array(values, dtype).tobytes(),
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("codec.values", array(3.0, 2.0, 1.0)),
        ("codec.values", array(1.0, 2.0, 1e99)),
        ("codec.values", array(1.0, 2.0)),
        ("codec.values", array(1.0, float("nan"), 2.0)),
        ("codec.values", array(1, 2, 3, dtype="<i8")),
        ("codec.values", {"dtype": "|O", "length": 3, "data": b"x" * 24}),
        ("codec.values", array(1.0, 2.0, 3.0, length=2**39)),
        ("codec.lower", array(0.0, 0.9, 0.5)),
        ("codec.lower", array(0.1, 0.2, 0.5)),
        ("codec.upper", array(0.1, 0.2, 0.5)),
        ("codec.upper", array(0.1, 0.2, 2.0)),
        ("codec.atoms", array(5.0, 5.0)),
    ],
)
def test_changed_knots_are_refused(path: str, value: object) -> None:
    plain = fit(pd.Series(np.arange(500) / 4), "rank").to_plain()
    small = plain | {"codec": plain["codec"] | {
        "values": array(1.0, 2.0, 3.0), "lower": array(0.0, 0.2, 0.5), "upper": array(0.1, 0.2, 1.0),
    }}  # fmt: skip
    NumberTransform.from_plain(small, "rank")
    with pytest.raises(ValueError):
        NumberTransform.from_plain(changed(small, path, value), "rank")
    empty = small["codec"] | {"values": array(), "lower": array(), "upper": array(), "atoms": array()}
    with pytest.raises(ValueError, match="at least one choice"):
        NumberTransform.from_plain(small | {"codec": empty}, "rank")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("codec.weights", array(0.0)),
        ("codec.weights", array(0.5, 0.5)),
        ("codec.sigmas", array(-1.0)),
        ("codec.means", array(float("inf"))),
        ("codec.scale", 0.0),
        ("codec.scale", float("nan")),
        ("codec.centre", 1),
    ],
)
def test_changed_modes_are_refused(path: str, value: object) -> None:
    plain = fit(pd.Series([2.5] * 50), "mode").to_plain()
    with pytest.raises(ValueError):
        NumberTransform.from_plain(changed(plain, path, value), "mode")
    with pytest.raises(ValueError):
        NumberTransform.from_plain(plain, "rank")


def test_clusters_on_a_line_are_at_least_as_tight_as_those_of_many_restarts():
    rng = np.random.default_rng(3)
    x = np.sort(np.concatenate([rng.lognormal(0, 1.5, 150), [80.0, 81.0, 500.0]]))
    rows = rng.integers(1, 9, len(x)).astype(np.float64)
    found = _clusters(x, rows, 7)
    means = np.array([np.average(x[found == k], weights=rows[found == k]) for k in range(7)])
    squares = (rows * (x - means[found]) ** 2).sum()
    best = KMeans(7, n_init=50, random_state=1).fit(x[:, None], sample_weight=rows).inertia_
    assert squares <= best * (1 + 1e-9)
    assert (np.diff(found) >= 0).all()
    assert set(found) == set(range(7))


@pytest.mark.parametrize("numbers", ["rank", "mode"])
@pytest.mark.parametrize(
    ("start", "step", "dtype"),
    [
        (17_300, 100, "int64"),
        (-50_007, 10, "int64"),
        (0.25, 0.05, "float64"),
        (-1e6, 500.0, "float64"),
        (1, 7, "uint8"),
    ],
)
def test_values_on_a_coarse_grid_stay_on_it(numbers, start, step, dtype):
    """Wages in hundreds, prices in steps of 0.05: what is drawn between two seen values is on the same grid."""
    rng = np.random.default_rng(2)
    most = 34 if dtype == "uint8" else 5000
    steps = np.unique(np.concatenate([[0, 1, most], rng.integers(0, most, 700)]))
    column = pd.Series(start + step * np.concatenate([steps, steps[: len(steps) // 3]])).round(2).astype(dtype)
    fitted = fit(column, numbers)
    assert fitted.codec.grid.unit == round(step * 10**fitted.codec.grid.decimals)
    n = 4000
    choices = np.zeros(n, np.int32) if numbers == "rank" else rng.integers(0, fitted.layout.n_numbered, n)
    low = 0.0 if numbers == "rank" else -1.0
    drawn = fitted.decode(choices, rng.uniform(low, 1.0, n).astype(np.float32))
    places = (drawn.to_numpy(dtype=float) - start) / step
    assert np.abs(places - np.rint(places)).max() < 1e-6
    assert drawn.between(column.min(), column.max()).all()
    if most > 100:
        assert len(set(drawn) - set(column)) > 0  # and not only values that were seen


def weighed(n: int, seed: int = 3) -> pd.Series:
    """Weights in pounds, of which two thirds end in 0 or 5 and one in ten in 00; each is told by few people."""
    rng = np.random.default_rng(seed)
    exact = rng.normal(30_000, 6_000, n)
    unit = rng.choice([1, 5, 100], n, p=[0.35, 0.55, 0.1])
    return pd.Series((np.rint(exact / unit) * unit).astype(np.int64))


@pytest.mark.parametrize("scale", [1, 0.01, -0.1])
def test_round_numbers_are_drawn_as_often_as_they_came(scale: float) -> None:
    column = weighed(800)
    column = column if scale == 1 else (column * scale).round(2)
    fitted = fit(column, "rank", least=5)
    assert 5 in fitted.codec.units
    ranks = np.random.default_rng(0).random(5000).astype(np.float32)
    drawn = fitted.decode(np.zeros(5000, np.int32), ranks)
    steps, seen = (np.rint(cells / scale).astype(np.int64) for cells in (drawn, column))
    for unit in (5, 100):
        assert (steps % unit == 0).mean() == pytest.approx((seen % unit == 0).mean(), abs=0.04)
    # Each value still has ranks of its own, which give it back.
    inside = column[column.between(fitted.grid.minimum, fitted.grid.maximum)]
    assert round_trip(fitted, inside).tolist() == inside.tolist()


def test_times_at_quarters_of_an_hour_come_as_often_as_they_did() -> None:
    rng = np.random.default_rng(5)
    minutes = rng.integers(0, 60 * 24 * 400, 900)
    minutes = np.where(rng.random(900) < 0.5, minutes // 15 * 15, minutes)
    admitted = pd.Series(pd.Timestamp("2021-01-01") + pd.to_timedelta(minutes, unit="min"))
    fitted = NumberTransform.fit(admitted, "x", "rank", "datetime", least=5)
    drawn = fitted.decode(np.zeros(3000, np.int32), rng.random(3000).astype(np.float32))
    assert 15 in fitted.codec.units
    assert (drawn.dt.minute % 15 == 0).mean() == pytest.approx((admitted.dt.minute % 15 == 0).mean(), abs=0.05)


def test_numbers_that_are_nearly_all_round_can_be_written_and_read() -> None:
    """Every step has some ranks, also where the multiples of a unit are all that came."""
    values = pd.Series(np.r_[np.arange(0, 1500, 15), np.arange(0, 1500, 15)])
    for odd in ([], [7], [7, 22, 301]):
        fitted = fit(pd.concat([values, pd.Series(odd, dtype=np.int64)], ignore_index=True), "rank", least=5)
        inside = values[values.between(fitted.grid.minimum, fitted.grid.maximum)]
        assert round_trip(fitted, inside).tolist() == inside.tolist()


def test_numbers_of_which_none_is_rounder_have_no_units() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for cells in (rng.integers(0, 3000, 500), rng.exponential(8, 900).round(1), rng.geometric(0.05, 700)):
            assert fit(pd.Series(cells), "rank", least=5).codec.units.tolist() == []


def test_a_range_of_round_numbers_holds_no_others() -> None:
    fitted = fit(weighed(800), "rank", least=5)
    allowed = fitted.allow(Condition.of(("between", 28_001, 28_099)))
    ranks = np.linspace(allowed.lower[0], allowed.upper[0], 4000, dtype=np.float32)
    drawn = fitted.decode(np.zeros(4000, np.int32), ranks)
    assert drawn.between(28_001, 28_099).all()
    assert set(drawn) == set(range(28_001, 28_100))


def test_ranks_written_before_there_were_round_numbers_are_read() -> None:
    plain = fit(weighed(800), "rank").to_plain()
    codec = {name: part for name, part in plain["codec"].items() if name not in ("units", "weights")}
    assert NumberTransform.from_plain(plain | {"codec": codec}, "rank").codec.units.tolist() == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("codec.units", array(1, 5, dtype="<i8")),
        ("codec.units", array(5, 1, 100, dtype="<i8")),
        ("codec.units", array(2, 5, 100, dtype="<i8")),
        ("codec.weights", array(0.0, 1.0, 1.0)),
        ("codec.weights", array(1.0, float("inf"), 1.0)),
        ("codec.weights", array(1.0, -1.0, 1.0)),
        ("codec.weights", array(1.0, 1e300, 1.0)),
    ],
)
def test_changed_units_are_refused(path: str, value: object) -> None:
    plain = fit(weighed(800), "rank", least=5).to_plain()
    three = {"units": array(1, 5, 100, dtype="<i8"), "weights": array(0.5, 2.0, 9.0)}
    plain = plain | {"codec": plain["codec"] | three}
    NumberTransform.from_plain(plain, "rank")
    with pytest.raises(ValueError):
        NumberTransform.from_plain(changed(plain, path, value), "rank")


def test_a_range_between_two_values_of_a_coarse_grid_is_empty():
    fitted = fit(pd.Series(np.arange(0, 100_000, 100)), "rank")
    allowed = fitted.allow(Condition.of(("between", 1_950, 2_450)))
    drawn = fitted.decode(
        np.zeros(500, np.int32), np.linspace(allowed.lower[0], allowed.upper[0], 500, dtype=np.float32)
    )
    assert set(drawn) == {2_000, 2_100, 2_200, 2_300, 2_400}
    with pytest.raises(ConditionError):
        fitted.allow(Condition.of(("between", 1_910, 1_990)))


def test_a_grid_written_before_there_were_units_is_read():
    plain = Grid("int64", 0, 900, 0, unit=100).to_plain()
    assert Grid.from_plain(plain).unit == 100
    del plain["unit"]
    assert Grid.from_plain(plain).unit == 1
