"""Fidelity on tables whose answers are known: a fresh sample, a copy, shuffled columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import hospital, shuffled

from clover_tvae.evaluation import CATALOGUE, c2st, column_shapes, fidelity, utility
from clover_tvae.metadata import Metadata

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    return hospital(800, 0)


@pytest.fixture(scope="module")
def fresh(real):
    return fidelity(real, hospital(800, 2), hospital(800, 1), min_count=10)


@pytest.fixture(scope="module")
def broken(real):
    return fidelity(real, shuffled(real, 1), hospital(800, 1))


def test_every_figure_of_the_catalogue_is_there_beside_the_holdouts(fresh):
    assert set(fresh) == {key for key in CATALOGUE if key.startswith("fidelity.")}
    few = fresh["fidelity.rare_frequency"]
    assert few.value is None  # fewer than 10 of the 800 real rows hold a rare category
    assert "fewer than 10 real rows" in few.note
    for figure in fresh.values():
        assert figure.n > 0
        if figure is not few:
            assert figure.value is not None
            assert figure.holdout is not None


def test_a_fresh_sample_scores_near_perfect_everywhere(fresh):
    assert fresh["fidelity.c2st"].value == pytest.approx(0.5, abs=0.04)
    for name in ("shape", "trend_shared"):
        figure = fresh[f"fidelity.{name}"]
        assert 0.6 * figure.perfect < figure.value < 1.5 * figure.perfect
        assert figure.bootstrap < figure.value
    for name in ("relations_broken", "relations_worst", "unseen_categories", "decimals", "dtypes", "duplicates"):
        assert fresh[f"fidelity.{name}"].value == 0
    assert fresh["fidelity.categories_present"].value == 100
    assert fresh["fidelity.missing_rate"].value < 4


def test_held_out_rows_judge_and_a_copy_gains_nothing_by_them(real, fresh):
    assert list(fresh)[:3] == ["fidelity.c2st_heldout", "fidelity.shape_heldout", "fidelity.trend_heldout"]
    low, high = fresh["fidelity.c2st_heldout"].interval
    assert low < 0.5 < high
    for name in ("shape", "trend"):
        figure = fresh[f"fidelity.{name}_heldout"]
        assert 0.6 < figure.value / figure.holdout < 1.6
    copy = fidelity(real, real.copy(), hospital(800, 1))
    assert copy["fidelity.shape"].value == 0
    assert copy["fidelity.shape_heldout"].value == copy["fidelity.shape_heldout"].holdout > 0


def test_a_weak_yardstick_is_said_to_be_one(fresh):
    def weak(figures):
        return [note for note in figures.notes if "weak yardstick" in note]

    assert not weak(fresh)
    real, synthetic = hospital(300, 0), hospital(300, 2)
    assert "60 people" in weak(fidelity(real, synthetic, hospital(60, 1)))[0]
    older = hospital(800, 1).query("age > 50")
    assert "not of one population" in weak(fidelity(real, synthetic, older))[0]
    alike = pd.concat([hospital(180, 1), real.head(20)], ignore_index=True)
    assert "20 of the 200 held-out rows equal learnt ones" in weak(fidelity(real, synthetic, alike))[0]
    assert fidelity(real, synthetic, alike).weak_holdout == "20 of the 200 held-out rows equal learnt ones"
    coarse = [pd.DataFrame(np.random.default_rng(i).integers(0, 5, (300, 4)).astype(str)) for i in range(3)]
    assert not weak(fidelity(*coarse)), "of few answers strangers are alike"
    alone = fidelity(real, synthetic)
    assert alone["fidelity.c2st_heldout"].value is None
    assert alone.notes == ("No real holdout was given: nothing can be judged but closeness to what was learnt.",)


def test_the_floor_is_what_a_fresh_sample_scores():
    values, floors = [], []
    for seed in range(3):
        real, synthetic = hospital(200, 10 + seed), hospital(400, 20 + seed)
        figures = fidelity(real, synthetic)
        values.append(figures["fidelity.trend_shared"].value)
        floors.append(figures["fidelity.trend_shared"].perfect)
    assert np.mean(values) == pytest.approx(np.mean(floors), rel=0.15)


def test_shuffled_columns_are_caught(broken):
    assert broken["fidelity.shape"].value == pytest.approx(0, abs=1e-9)  # the marginals say nothing of it
    assert broken["fidelity.c2st"].value > 0.85
    assert broken["fidelity.trend_heldout"].value > 1.5 * broken["fidelity.trend_heldout"].holdout
    assert broken["fidelity.relations_worst"].value > 20


def test_a_copy_is_shown_as_one(real):
    copy = fidelity(real, real.sample(frac=1, random_state=0), hospital(800, 1))
    assert copy["fidelity.shape"].value == 0
    assert copy["fidelity.c2st"].value < 0.3


def test_only_a_relation_to_be_kept_counts_as_broken():
    def measured(handling):
        orders = [
            {"kind": "inequality", "ascending": ["low", "high"]},
            {"kind": "inequality", "ascending": ["low", "top"], "handling": handling},
        ]
        kinds = {"continuous": ["low", "high", "top"], "relations": orders}
        real = pd.DataFrame({"low": range(100), "high": range(1, 101), "top": range(2, 102)})
        return fidelity(real, real.assign(top=0), real, metadata=Metadata.of(kinds))

    kept, learnt = measured("keep"), measured("learn")
    assert (kept["fidelity.relations_broken"].value, learnt["fidelity.relations_broken"].value) == (49.5, 0)
    assert (kept["fidelity.relations_worst"].n, learnt["fidelity.relations_worst"].n) == (2, 1)
    assert list(learnt.tables["relations"]["broken_synthetic"] > 0.9) == [True, False]


def test_relations_are_found_and_named(broken):
    relations = broken.tables["relations"].set_index("relation")
    assert relations.loc["city determines country", "kind"] == "determines"
    assert relations["broken_synthetic"].is_monotonic_decreasing
    assert (relations["broken_holdout"] == 0).all()
    assert (relations["broken_synthetic"] > 5).all()


def test_diagnostics_count_what_a_generator_got_wrong(real):
    wrong = hospital(800, 2)
    wrong["cost"] = wrong["cost"] + 0.00123
    wrong["age"] = wrong["age"] + 500
    wrong["insured"] = wrong["insured"].map({True: 1, False: 0})
    wrong["city"] = "Oslo"
    wrong["weight"] = np.nan
    figures = fidelity(real, wrong)
    assert figures["fidelity.decimals"].value == 1
    assert "'cost'" in figures["fidelity.decimals"].note
    assert figures["fidelity.dtypes"].value == 1
    assert "'insured'" in figures["fidelity.dtypes"].note
    assert figures["fidelity.missing_rate"].value == pytest.approx(100 * (1 - real["weight"].isna().mean()))
    assert figures["fidelity.unseen_categories"].value == pytest.approx(100 / 4.95, rel=0.05)
    assert figures["fidelity.out_of_range"].value > 20
    assert figures["fidelity.categories_present"].value < 100
    assert figures["fidelity.shape"].holdout is None
    assert figures.tables["column_shapes"]["column"].iloc[0] in ("age", "city")
    assert any("holdout" in note for note in figures.notes)


def test_the_frequency_of_rare_categories_is_told_and_no_value_of_theirs():
    real = hospital(1600, 0)
    real["disease"] = ["unique-case"] * 3 + ["rare"] * 13 + ["common"] * 1584
    figures = fidelity(real, real.assign(disease="common"))
    assert "unique-case" not in str(figures.to_plain())
    assert figures["fidelity.rare_frequency"].value < 1


def test_no_table_counts_a_cell_of_fewer_than_k_real_people():
    real, holdout = hospital(800, 0), hospital(400, 1)
    for table, n_missing in ((real, 3), (holdout, 7)):
        table["weight"] = table["weight"].fillna(60.0)
        table.loc[: n_missing - 1, "weight"] = np.nan
        # Few are discharged before they are admitted: the relation holds, and its exceptions are few people.
        table.loc[:1, "discharged"] = table.loc[:1, "admitted"] - pd.Timedelta(days=2)
    for min_count in (10, 20):
        tables = fidelity(real, real.copy(), holdout, min_count=min_count).tables
        gaps = tables["missing_rates"].set_index("column").loc["weight"]
        assert gaps[["real", "holdout"]].isna().all()
        assert gaps["synthetic"] == pytest.approx(100 * 3 / 800)
        ordered = tables["relations"].set_index("relation").filter(like="discharged", axis=0).iloc[0]
        assert ordered[["broken_real", "broken_holdout"]].isna().all()
        assert ordered["broken_synthetic"] > 0
        for name, columns in (
            ("missing_rates", ("real", "holdout")),
            ("relations", ("broken_real", "broken_holdout")),
        ):
            for column, n_rows in zip(columns, (800, 400), strict=True):
                counts = tables[name][column] / 100 * n_rows
                assert not ((counts > 1e-9) & (counts < min_count - 1e-9)).any()


def test_figures_and_tables_hold_no_cell_of_the_data():
    real = hospital(200, 0)
    real["cost"] = np.arange(200) + 0.8675309
    real["name"] = [f"CANARY-{row}" for row in range(200)]
    plain = str(fidelity(real, real.copy(), real.copy()).to_plain())
    assert "CANARY" not in plain
    assert "8675309" not in plain


def test_seeds_fix_the_figures_and_leave_the_global_generator_alone(real):
    synthetic = hospital(200, 5)
    np.random.seed(7)
    state = np.random.get_state()[1].copy()
    first, second = (fidelity(real.head(200), synthetic, seed=1) for _ in range(2))
    assert first == second
    assert (np.random.get_state()[1] == state).all()
    assert c2st(real, synthetic, seed=1) != c2st(real, synthetic, seed=2)


def test_c2st_groups_more_categories_than_trees_can_take():
    rng = np.random.default_rng(0)
    tables = [pd.DataFrame({"code": rng.integers(0, 2000, 3000).astype(str)}) for _ in range(2)]
    assert c2st(*tables) == pytest.approx(0.5, abs=0.05)


def test_constant_empty_and_unseen_columns_give_an_honest_figure(real):
    odd = real.assign(constant=1, empty=np.nan, nothing=pd.Series([None] * len(real), dtype=object))
    figures = fidelity(odd, odd.assign(ward="elsewhere"), odd)
    assert figures["fidelity.shape"].value > 0
    assert figures["fidelity.c2st"].value > 0.9


def with_small_cells(n: int, n_yes: int, n_missing: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    df = pd.DataFrame({"x": rng.normal(size=n), "sex": rng.choice(["F", "M"], n), "hiv": "no", "y": rng.normal(size=n)})
    df.loc[: n_yes - 1, "hiv"] = "yes"
    df.loc[100 : 99 + n_missing, "y"] = np.nan
    return df


def test_no_figure_or_table_tells_how_many_rows_a_small_cell_has():
    synthetic, holdout = with_small_cells(700, 20, 17, 3), with_small_cells(300, 12, 11, 2)
    told = [
        fidelity(with_small_cells(700, n_yes, n_missing, 1), synthetic, holdout)
        for n_yes, n_missing in ((3, 2), (4, 4))
    ]
    for table, key in (("column_shapes", "column"), ("missing_rates", "column")):
        one, other = (figures.tables[table].set_index(key).loc[:, :] for figures in told)
        for name in one.index.intersection(["hiv", "y"]):
            columns = [column for column in ("synthetic", "real") if column in one]
            pd.testing.assert_series_equal(one.loc[name, columns], other.loc[name, columns])
    for name in ("missing_rate", "rare_frequency"):
        assert told[0][f"fidelity.{name}"].value == told[1][f"fidelity.{name}"].value


def test_errors_are_exact_where_no_cell_is_small():
    real, synthetic = with_small_cells(700, 50, 40, 1), with_small_cells(700, 70, 60, 2)
    table = fidelity(real, synthetic).tables["column_shapes"].set_index("column")["synthetic"]
    assert table.to_dict() == {name: 100 * error for name, error in column_shapes(real, synthetic).items()}


@pytest.mark.parametrize("figures", [fidelity, utility])
def test_trees_on_small_tables_keep_to_one_thread(figures, monkeypatch) -> None:
    """Threads that wait for each other cost a busy machine fifteen times the work."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_info, threadpool_limits

    seen: set[int] = set()
    fit = HistGradientBoostingClassifier.fit

    def counted(*given: object) -> object:
        seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
        return fit(*given)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", counted)
    table = pd.DataFrame({"x": range(60), "sex": ["F", "M"] * 30})
    metadata = {"continuous": ["x"], "categorical": ["sex"], "variable_to_predict": "sex"}
    with threadpool_limits(2, "openmp"):
        figures(table, table, table, metadata)
    assert seen == {1}
