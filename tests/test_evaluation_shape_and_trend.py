"""Shape and Trend: against sdmetrics, and on tables whose answers are known."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import hospital, shuffled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats.contingency import association
from sklearn.datasets import load_iris

from clover_tvae.evaluation import column_shapes, pair_trends, shape_error, trend_error
from clover_tvae.evaluation.frames import column_kinds


def sdmetrics_scores(real: pd.DataFrame, synthetic: pd.DataFrame, *, thresholds: bool) -> tuple[np.ndarray, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the path that all versions since 0.20 have is deprecated in 0.32
        reports = pytest.importorskip("sdmetrics.reports.single_table")
    sdtypes = {"continuous": "numerical"}
    kinds = column_kinds(real)
    metadata = {"columns": {name: {"sdtype": sdtypes.get(kind, kind)} for name, kind in kinds.items()}}
    report = reports.QualityReport()
    if not thresholds:
        report.real_correlation_threshold = report.real_association_threshold = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.generate(real, synthetic, metadata, verbose=False)
    shapes, pairs = report.get_details("Column Shapes"), report.get_details("Column Pair Trends")
    return shapes["Score"].to_numpy(dtype=float), pairs["Score"].to_numpy(dtype=float)


@pytest.fixture(scope="module")
def odd_pair() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Real-like tables with a constant, an all-missing and a category seen on one side only."""
    tables = []
    for seed, n_rows in ((0, 900), (1, 700)):
        table = hospital(n_rows, seed)
        table["constant"] = 3.0
        table["nothing"] = np.nan
        table["rare"] = np.where(np.arange(n_rows) < 5, f"only {seed}", "common")
        table.loc[::17, "admitted"] = pd.NaT
        tables.append(table)
    return tables[0], tables[1]


@pytest.mark.long
@pytest.mark.parametrize("thresholds", [False, True])
def test_agrees_with_sdmetrics_on_mixed_columns_with_gaps(odd_pair, thresholds):
    real, synthetic = odd_pair
    shape_scores, pair_scores = sdmetrics_scores(real, synthetic, thresholds=thresholds)
    np.testing.assert_allclose(1 - column_shapes(real, synthetic).to_numpy(), shape_scores, atol=1e-9)
    pairs = pair_trends(real, synthetic, edges="own")
    ours = (1 - pairs["error"]).where(pairs["strong"]) if thresholds else 1 - pairs["error"]
    np.testing.assert_allclose(ours.to_numpy(), pair_scores, atol=1e-9)


@pytest.mark.long
def test_agrees_with_sdmetrics_on_a_real_table():
    iris = load_iris(as_frame=True).frame
    iris["target"] = iris["target"].map({0: "setosa", 1: "versicolor", 2: "virginica"})
    real, synthetic = iris.iloc[::2], iris.iloc[1::2]
    shape_scores, pair_scores = sdmetrics_scores(real, synthetic, thresholds=False)
    np.testing.assert_allclose(1 - column_shapes(real, synthetic).to_numpy(), shape_scores, atol=1e-9)
    np.testing.assert_allclose(
        1 - pair_trends(real, synthetic, edges="own")["error"].to_numpy(), pair_scores, atol=1e-9
    )


def test_hand_made_shapes():
    real = pd.DataFrame({"number": [0.0, 1.0, 2.0, 3.0], "letter": list("aabb"), "flag": [True, True, False, False]})
    other = pd.DataFrame({"number": [2.0, 3.0, 4.0, 5.0], "letter": list("aaaa"), "flag": [True, False, False, False]})
    assert column_shapes(real, other).to_dict() == pytest.approx({"number": 0.5, "letter": 0.5, "flag": 0.25})
    assert shape_error(real, other) == pytest.approx(100 * (0.5 + 0.5 + 0.25) / 3)


def test_hand_made_trends():
    real = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": [1.0, 2, 3, 4], "a": list("uuvv"), "b": list("uuvv")})
    other = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": [4.0, 3, 2, 1], "a": list("uuvv"), "b": list("vvuu")})
    errors = pair_trends(real, other).set_index(["column_1", "column_2"])["error"]
    assert errors["x", "y"] == pytest.approx(1.0)  # r of 1 against -1
    assert errors["a", "b"] == pytest.approx(1.0)  # no cell in common
    assert errors["x", "a"] == pytest.approx(0.0)
    assert errors["y", "a"] == pytest.approx(1.0)


def test_own_edges_move_with_one_outlier_and_shared_edges_do_not():
    rng = np.random.default_rng(0)
    real = pd.DataFrame({"x": rng.normal(size=2000), "label": rng.choice(list("ab"), 2000)})
    other = real.copy()
    other.loc[0, "x"] = 1e6
    assert trend_error(real, other, edges="own") > 40
    assert trend_error(real, other, edges="shared") < 0.1


def test_missing_number_is_its_own_bin_with_shared_edges():
    real = pd.DataFrame({"x": [0.0] * 5 + [10.0] * 5, "label": ["a"] * 10})
    other = pd.DataFrame({"x": [0.0] * 5 + [np.nan] * 5, "label": ["a"] * 10})
    error = pair_trends(real, other)["error"].item()
    assert error == pytest.approx(0.5)


def test_undefined_pairs_and_columns_are_nan_and_left_out_of_the_mean():
    real = pd.DataFrame({"x": [1.0, 2, 3], "constant": [1.0, 1, 1], "empty": [np.nan] * 3})
    assert column_shapes(real, real).isna().to_dict() == {"x": False, "constant": False, "empty": True}
    assert pair_trends(real, real)["error"].isna().all()
    assert shape_error(real, real) == 0.0


def test_dates_of_any_calendar_and_time_zone_are_compared_as_moments():
    utc = pd.date_range("2020-01-01", periods=50, freq="D", tz="UTC")
    real = pd.DataFrame({"when": utc, "long_ago": np.datetime64("1200-01-01", "s") + np.arange(50) * 86_400})
    other = real.assign(when=utc.tz_convert("Europe/Paris"))
    assert column_shapes(real, other).to_dict() == {"when": 0.0, "long_ago": 0.0}


def test_ten_thousand_categories_need_little_memory():
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame({name: rng.integers(0, 10_000, 20_000).astype(str) for name in ("first", "second")})
        for _ in range(2)
    ]
    assert 0.9 < pair_trends(*tables)["error"].item() <= 1.0


@pytest.mark.long
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e300, 1e300)), min_size=2, max_size=30),
    st.lists(st.sampled_from(["a", "b", None, ""]), min_size=2, max_size=30),
)
def test_a_table_is_no_way_from_itself_and_errors_are_shares(numbers, letters):
    size = min(len(numbers), len(letters))
    table = pd.DataFrame({"x": pd.Series(numbers[:size], dtype=float), "y": pd.Series(letters[:size], dtype=object)})
    other = table.iloc[: size // 2 + 1]
    assert column_shapes(table, table).fillna(0).eq(0).all()
    assert pair_trends(table, table)["error"].fillna(0).eq(0).all()
    assert column_shapes(table, other).dropna().between(0, 1).all()
    assert pair_trends(table, other, edges="own")["error"].dropna().between(0, 1 + 1e-12).all()


def test_categories_go_together_as_scipy_says():
    real, other = hospital(300, 0), hospital(200, 1)
    pairs = pair_trends(real, other).query("metric == 'contingency'").set_index(["column_1", "column_2"])
    categories = [name for name in real if real[name].dtype.kind not in "fiM"]
    for pair in itertools.combinations(categories, 2):
        counts = pd.crosstab(*(real[name].astype(object).map(repr) for name in pair))
        assert pairs.loc[pair, "real"] == pytest.approx(association(counts.to_numpy(), method="cramer"), abs=1e-9)


def test_shuffled_columns_keep_their_shapes_and_lose_their_trends():
    real = hospital(1500, 0)
    assert shape_error(real, shuffled(real, 1)) == pytest.approx(0.0, abs=1e-9)
    assert trend_error(real, shuffled(real, 1)) > 1.5 * trend_error(real, hospital(1500, 2))
