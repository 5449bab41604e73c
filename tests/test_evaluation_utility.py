"""Utility: train on synthetic, test on real."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import make_people
from evaluation_tables import hospital, shuffled
from sklearn.datasets import load_diabetes, load_wine

from clover_tvae.errors import ColumnsMismatchError
from clover_tvae.evaluation import fidelity, measure, tstr, utility


@pytest.mark.long
def test_a_fresh_sample_is_as_useful_as_the_real_rows_and_shuffled_columns_are_useless():
    train, test = hospital(1000, 0), hospital(1000, 1)
    fresh = utility(train, hospital(1000, 2), test, target="sick")
    assert abs(fresh["utility.loss"].value) < 0.03
    assert fresh["utility.trees_auc"].value > 0.9
    assert fresh["utility.linear_auc"].perfect > 0.9
    broken = utility(train, shuffled(train, 3), test, target="sick")
    assert broken["utility.loss"].value > 0.3
    assert broken["utility.linear_auc"].value == pytest.approx(0.5, abs=0.1)


@pytest.mark.long
@pytest.mark.usefixtures("few_rounds")
def test_figures_do_not_hang_on_the_order_of_the_synthetic_rows():
    real, rows, held = hospital(300, 0), hospital(400, 1), hospital(200, 2)
    first, second = (
        fidelity(real, table, held) | utility(real, table, held, target="sick") for table in (rows, rows[::-1])
    )
    assert first == second


@pytest.mark.long
def test_training_on_the_training_rows_loses_nothing():
    wine = load_wine(as_frame=True).frame.rename(columns={"target": "sort"}).sample(frac=1, random_state=0)
    wine["sort"] = wine["sort"].map({0: "a", 1: "b", 2: "c"})
    train, test = wine.head(110), wine.tail(68)
    scores = tstr(train, train, test, "sort")
    assert (scores["synthetic"] - scores["real"]).abs().max() < 0.05
    assert scores.set_index(["model", "score"]).loc[("linear", "auc"), "real"] > 0.95


@pytest.mark.long
def test_numbers_are_regressed():
    table = load_diabetes(as_frame=True).frame
    train, test = table.head(300), table.tail(142)
    figures = utility(train, train, test, target="target")
    assert figures["utility.linear_r2"].value > 0.3
    assert figures["utility.linear_mae"].value < 60
    assert "utility.trees_auc" not in figures
    assert figures["utility.loss"].value == pytest.approx(0, abs=1e-9)


def test_the_target_comes_from_the_metadata():
    table = hospital(200, 0)[["age", "sick"]]
    described = {"continuous": ["age"], "categorical": ["sick"], "variable_to_predict": "sick"}
    assert "utility.loss" in utility(table, table, table, described)
    assert "target" not in utility(table, table, table, described).tables["utility"]
    assert "test" in utility(table, table, None, target="sick").notes[0]


def test_without_a_target_columns_that_can_be_predicted_are_predicted_in_turn():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 3)), columns=["noise 1", "noise 2", "x"])
    table = table.assign(y=table["x"] + 0.1 * rng.normal(size=400), is_high=np.where(table["x"] > 0, "yes", "no"))
    train, test = table.head(250), table.tail(150)
    shuffled = train.apply(lambda column: rng.permutation(column.to_numpy()))
    alike, useless = utility(train, train, test), utility(train, shuffled, test)
    for figures in (alike, useless):
        assert list(figures) == ["utility.loss"]
        assert set(figures.tables["utility"]["target"]) == {"x", "y", "is_high"}
        assert "the median of 3, drawn by the seed" in figures["utility.loss"].note
    assert alike["utility.loss"].value == pytest.approx(0, abs=1e-9)
    assert useless["utility.loss"].value > 0.4
    assert utility(train, train, test).tables["utility"].equals(alike.tables["utility"])


def test_where_no_column_can_be_predicted_nothing_is_measured():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=list("abc"))
    nothing = utility(table.head(100), table.head(100), table.tail(100))
    assert len(nothing) == 0
    assert "none can be predicted from the others" in nothing.notes[0]


def test_of_a_wide_table_five_columns_are_drawn_by_the_seed():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(300, 1)) + 0.3 * rng.normal(size=(300, 12)), columns=list("abcdefghijkl"))
    drawn = [set(utility(table, table, table, seed=seed).tables["utility"]["target"]) for seed in (0, 1)]
    assert [len(names) for names in drawn] == [5, 5]
    assert drawn[0] != drawn[1]


def test_an_unknown_target_is_named():
    table = hospital(50, 0)
    with pytest.raises(ColumnsMismatchError, match="did you mean 'sick'"):
        tstr(table, table, table, "sik")


@pytest.mark.long
def test_one_class_missing_classes_and_many_classes_give_honest_scores():
    train, test = hospital(300, 0), hospital(300, 1)
    one_class = utility(train, hospital(300, 2).assign(sick="yes"), test, target="sick")
    assert one_class["utility.trees_auc"].value == 0.5
    assert one_class["utility.trees_accuracy"].value == pytest.approx((test["sick"] == "yes").mean())
    unseen = utility(train, hospital(300, 2).assign(sick="never"), test, target="sick")
    assert unseen["utility.trees_accuracy"].value == 0
    single = utility(train, train, test.assign(sick="yes"), target="sick")
    assert single["utility.trees_auc"].value is None
    rng = np.random.default_rng(0)
    many = pd.DataFrame({"x": rng.normal(size=400), "code": rng.integers(0, 60, 400).astype(str)})
    assert utility(many, many, many, target="code")["utility.trees_auc"].value > 0.5


def test_missing_answers_and_empty_columns_are_left_out():
    train = hospital(300, 0).assign(empty=np.nan)
    gaps = train.assign(sick=train["sick"].where(train.index % 2 == 0))
    assert utility(gaps, gaps, train, target="sick")["utility.trees_auc"].value > 0.8
    only_target = train[["sick"]]
    assert utility(only_target, only_target, only_target, target="sick")["utility.trees_auc"].value is None


@pytest.mark.long
def test_the_recall_of_a_class_of_few_test_rows_is_withheld():
    def rows(n_rare: int, shift: float = 0.0) -> pd.DataFrame:
        return pd.DataFrame(
            {"x": np.arange(120.0) + shift, "sort": np.where(np.arange(120) < n_rare, "rare", "common")}
        )

    names = ["utility.trees_rarest_recall", "utility.linear_rarest_recall"]
    few, more = (utility(rows(30), rows(30), rows(n_rare, 0.5), target="sort") for n_rare in (4, 5))
    for name in names:
        assert (few[name].value, few[name].perfect) == (None, None)
        assert more[name].value is not None
        assert more[name].perfect is not None
    shown = few.tables["utility"].set_index("score")[["synthetic", "real"]]
    assert shown.loc["rarest_recall"].isna().all(axis=None)
    assert shown.drop("rarest_recall").notna().all(axis=None)
    described = {"continuous": ["x"], "categorical": ["sort"], "variable_to_predict": "sort"}
    assert utility(rows(30), rows(30), rows(9, 0.5), described, min_count=9)[names[0]].value is not None
    assert measure(rows(30), rows(30), rows(9, 0.5), described, min_count=10)[names[0]].value is None
    recalls = tstr(rows(30), rows(30), rows(9, 0.5), "sort").set_index("score").loc["rarest_recall"]
    assert recalls[["synthetic", "real"]].notna().all(axis=None)


NARROW = {"continuous": ["age", "bmi"], "categorical": ["sex"]}


@pytest.mark.long
@pytest.mark.parametrize("factor", [1e305, 1e200])
def test_numbers_whose_squares_overflow_are_measured(factor):
    table = make_people(80)[["age", "bmi", "sex"]]
    huge = table.assign(bmi=table["bmi"] * factor)
    halves = huge[:40], huge[40:]
    scores = tstr(*halves, huge[:40], "bmi", NARROW).set_index(["model", "score"])
    assert np.isfinite(scores.to_numpy()).all()
    scores = tstr(*halves, huge[:40], "sex", NARROW).set_index(["model", "score"])
    assert np.isfinite(scores.to_numpy()).all()
    assert fidelity(*halves, metadata=NARROW)["fidelity.shape"].value > 0
