"""What fewer than k people share is neither learnt nor stored: rare categories, numbers of one person, bounds."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import refuses

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.balancing import balanced, rows_to_add
from clover_tvae.conditions import Condition
from clover_tvae.errors import ConditionError, IdentifierColumnError, MetadataError, PrivacyWarning
from clover_tvae.metadata import Column, MetadataWarning
from clover_tvae.metadata.validate import KEEP_LESS
from clover_tvae.reduction import Reduction
from clover_tvae.relations.groups import MissingWhen
from clover_tvae.relations.lookup import Combinations, Ranges
from clover_tvae.transforms import TableTransform
from clover_tvae.transforms.categorical import CategoricalTransform
from clover_tvae.transforms.numbers import NumberTransform

RNG = np.random.default_rng(0)
K = 5


def learnt(values: Any, kind: str = "categorical", **options: Any) -> CategoricalTransform:
    return CategoricalTransform.fit(pd.Series(values), "x", kind, least=K, **options)


def folded(column: CategoricalTransform, values: Any) -> list[Any]:
    return column.decode(column.encode(pd.Series(values), np.random.default_rng(1), "fold").choices).tolist()


def test_a_rare_category_counts_to_the_others() -> None:
    values = ["a"] * 40 + ["b"] * 20 + ["rare"] * 4 + [None]
    column = learnt(values)
    assert column.categories == ("a", "b")
    assert not column.missing
    assert "rare" not in str(column.to_plain())
    back = folded(column, values)
    assert back[:60] == values[:60]
    assert set(back[60:]) <= {"a", "b"}
    assert column.encode(pd.Series(["rare"]), RNG, "mask").choices.tolist() == [-1]
    assert learnt([*values, "rare"]).categories == ("a", "b", "rare")


def test_a_rare_level_counts_to_the_nearest() -> None:
    order = ["none", "low", "middle", "high", "worst"]
    values = ["none"] * 30 + ["low"] * 20 + ["high"] * 10 + ["worst"] * 2
    column = learnt(values, "ordinal", order=order)
    assert column.categories == ("none", "low", "high")
    assert folded(column, values)[-2:] == ["high", "high"]


def test_rare_categories_count_to_a_named_one() -> None:
    values = ["a"] * 40 + ["b"] * 20 + [f"rare {i}" for i in range(6)]
    column = learnt(values, rest="other")
    assert column.categories == ("a", "b", "other")
    assert folded(column, values)[-6:] == ["other"] * 6
    loaded = CategoricalTransform.from_plain(column.to_plain())
    assert loaded.decode(loaded.encode(pd.Series(["never seen"]), RNG, "error").choices).tolist() == ["other"]
    assert learnt(values[:62], rest="other").categories == ("a", "b")  # of two people no rest is made
    dtype = learnt(pd.Series(values, dtype="category"), rest="other")
    assert dtype.cells.categories == ("a", "b", "other")


def test_a_dtype_does_not_tell_rare_categories() -> None:
    values = pd.Series(pd.Categorical(["a"] * 9 + ["b"] * 2, categories=["a", "b", "nobody"]))
    assert learnt(values).cells.categories == ("a",)


def test_a_column_in_which_all_are_rare_is_refused_and_one_of_two_sides_is_learnt() -> None:
    with refuses(IdentifierColumnError, "column 'x'"):
        learnt([f"{i % 20}" for i in range(40)])
    assert learnt([False] * 50 + [True] * 4, "boolean").categories == (False,)


@pytest.mark.parametrize("numbers", ["rank", "mode", "raw"])
def test_no_number_of_one_person_is_stored_or_drawn(numbers: str) -> None:
    values = pd.Series(np.random.default_rng(0).lognormal(8, 2, 500))
    exact = NumberTransform.fit(values, "x", numbers)
    shared = NumberTransform.fit(values, "x", numbers, least=K)
    assert exact.grid.maximum == values.max()
    ordered = values.sort_values().to_numpy()
    for end, outer in ((shared.grid.minimum, ordered[: 2 * K]), (shared.grid.maximum, ordered[: -2 * K - 1 : -1])):
        mean = outer[:K].mean()
        beyond = (mean - outer[K:].mean()) / 2  # of ranks, the outermost rows are spread about their mean
        assert end == pytest.approx(max(0.0, mean + beyond * (numbers == "rank")))  # and none crosses zero
    codes = shared.encode(values, RNG, "fold")
    spreads = 0.0 if codes.spreads is None else codes.spreads * RNG.random(500)
    drawn = shared.decode(codes.choices, codes.scalars + spreads)
    assert drawn.max() <= shared.grid.maximum
    if numbers == "rank":
        assert not set(shared.codec.values) & set(values)
        assert len(shared.codec.values) == 500 // K + 2
        assert pd.Series(drawn).value_counts().max() < 3  # no heap at either end
        assert set(exact.codec.values) <= set(values)


@pytest.mark.parametrize("numbers", ["rank", "mode", "raw"])
@pytest.mark.parametrize(
    "values",
    [RNG.integers(30_000, 60_000, 200), RNG.normal(30, 5, 200).round(1), -RNG.gamma(2, 50, 200)],
    ids=["whole", "decimal", "low"],
)
def test_a_number_far_from_all_others_is_not_told_by_the_mean_that_it_is_in(values: Any, numbers: str) -> None:
    """An average of five of which four are alike gives the fifth away (the p% rule)."""

    def learnt(sign: int, factor: float) -> dict[str, Any]:
        far = (sign * factor * np.abs(values).max()).round(1).astype(values.dtype)
        return NumberTransform.fit(pd.Series(np.r_[values, far]), "x", numbers, least=K).to_plain()

    for sign in (1, -1):
        assert learnt(sign, 40) == learnt(sign, 9000)


def test_no_bound_of_a_relation_tells_how_far_one_person_is_from_all_others() -> None:
    def plan_of(far: int, **how: Any) -> Reduction:
        rng = np.random.default_rng(0)
        df = pd.DataFrame(
            {
                "room": rng.integers(100, 900, 300),
                "drugs": rng.integers(10, 500, 300),
                "test": ["hb", "na", "crp"] * 100,
            }
        )
        df["value"], days = rng.integers(100, 200, 300), rng.integers(0, 20, 300)
        df.loc[0, ["room", "drugs", "value"]], days[0] = far, far
        df["bill"], df["in"] = (
            df["room"] + df["drugs"],
            pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 300), unit="D"),
        )
        df["out"] = df["in"] + pd.to_timedelta(days, unit="D")
        relations = [
            {"kind": "computed", "target": "bill", "formula": "room + drugs"},
            {"kind": "interval", "start": "in", "end": "out"},
            {"kind": "ranges", "category": "test", "number": "value"},
        ]
        kinds = {"continuous": ["room", "drugs", "value", "bill"], "datetime": ["in", "out"], "categorical": ["test"]}
        metadata = Metadata.of({**kinds, "relations": relations}).with_relations(df, min_count=K)
        return Reduction.fit(df, metadata, np.random.default_rng(0), is_repair=False, min_count=K, **how)

    plan = plan_of(50_000)
    assert plan.to_plain() == plan_of(80_000).to_plain()
    assert plan.cells.number("room").grid.maximum <= 2000
    assert plan.distances["out"].reach <= 50
    assert all(high <= 500 for *_, high in plan.kept[-1].ranges)
    assert plan_of(50_000, exact_values=True).cells.number("room").grid.maximum == 50_000


@pytest.mark.parametrize("far", [80.0, 120.0, 777.7])
@pytest.mark.parametrize("n_rows", [1, 3])
def test_one_person_moves_no_end_of_a_range_of_a_category(far: float, n_rows: int) -> None:
    rng = np.random.default_rng(3)
    test = rng.choice(["Na", "K", "CRP"], 360)
    low, high = {"Na": 135, "K": 3, "CRP": 0}, {"Na": 145, "K": 5, "CRP": 50}
    value = [round(float(rng.uniform(low[t], high[t])), 1) for t in test]
    df = pd.DataFrame({"patient": [f"K{i // 3}" for i in range(360)], "test": test, "value": value})
    df.loc[: n_rows - 1, "test"], df.loc[: n_rows - 1, "value"] = "CRP", far
    kinds = {"continuous": ["value"], "categorical": ["test"]}
    metadata = Metadata.of(kinds | ({"id": ["patient"], "unit": "patient"} if n_rows > 1 else {"ignore": ["patient"]}))
    (found,) = (one for one in metadata.with_relations(df).relations or () if one.kind == "ranges")
    ends = {category: high for category, _, high in found.ranges}
    assert 50 <= ends["CRP"] <= 70


@pytest.mark.parametrize(
    ("draw", "most"), [("exponential", 0.002), ("lognormal", 0.005), ("normal", 0.002), ("zeros", 0.03)]
)
def test_ends_of_ranges_cut_no_ordinary_tail(draw: str, most: float) -> None:
    rng, n_beyond = np.random.default_rng(1), 0
    for n in (8, 15, 30, 60) * 25:
        values = rng.exponential(1, n) * (rng.random(n) < 0.2) if draw == "zeros" else getattr(rng, draw)(size=n)
        df = pd.DataFrame({"of": ["a"] * n, "v": values})
        for k in (5, 10):
            n_beyond += int(Ranges(category="of", number="v").learnt(df, k).breaks(df).sum())
    assert n_beyond <= most * 2 * 25 * (8 + 15 + 30 + 60)


@pytest.mark.parametrize("n_odd", [0, 1, 4])
def test_a_status_of_one_person_decides_nothing_of_when_cells_are_missing(n_odd: int) -> None:
    rng = np.random.default_rng(0)
    status = rng.choice(["home", "dead"], 600, p=[0.7, 0.3])
    status[:n_odd] = "coma"
    df = pd.DataFrame({"status": status, "score": rng.normal(50, 9, 600).round(1), "age": rng.integers(20, 90, 600)})
    df.loc[status != "home", "score"] = np.nan
    metadata = Metadata.of({"categorical": ["status"], "continuous": ["score", "age"]}).with_relations(df)
    relations = [one for one in metadata.relations or () if one.kind == "missing_when"]
    assert relations == [MissingWhen(target="score", when="status", values=("dead",))]
    assert metadata.with_relations(df).relations == metadata.relations


def test_rare_combinations_are_no_exceptions_of_those_that_are_learnt() -> None:
    df = pd.DataFrame({"ward": list("abc") * 100, "shift": ["day", "night", "night"] * 100})
    df.loc[0] = ["z", "late"]
    metadata = Metadata.of({"categorical": ["ward", "shift"]})
    declared = replace(metadata, relations=(Combinations(among=("ward", "shift")),))
    (learnt,) = declared.with_relations(df).relations
    assert {row[0] for row in learnt.allowed} == set("abc")
    again = replace(metadata, relations=(learnt,))  # as it is read from a file
    assert again.with_relations(df).relations == (learnt,)
    df.loc[:2] = ["a", "night"], ["b", "day"], ["c", "day"]
    for made in (replace(metadata, relations=(learnt.model_copy(update={"allowed": learnt.allowed[:1]}),)), again):
        with pytest.raises(MetadataError, match="rows that break it"):
            made.with_relations(df if made is again else df[3:])


def test_values_that_are_rare_each_but_many_together_break_when_cells_are_missing() -> None:
    df = pd.DataFrame({"cig": [0] * 100 + [*range(1, 101)], "years": [np.nan] * 150 + [3.0] * 50})
    relation = MissingWhen(target="years", when="cig", values=(0,))
    with pytest.raises(MetadataError, match="found 50 rows that break it"):
        replace(Metadata.of({"continuous": ["cig", "years"]}), relations=(relation,)).with_relations(df)


def test_decimals_that_one_person_has_are_not_kept() -> None:
    column = NumberTransform.fit(pd.Series([*map(float, range(200)), 30.3725]), "x", "rank", least=K)
    assert column.grid.decimals == 0
    assert NumberTransform.fit(pd.Series([*map(float, range(200)), 30.3725]), "x", "rank").grid.decimals == 4
    decimals = pd.Series([Decimal(f"{i}.50") for i in range(200)] + [Decimal("30.3725")])
    assert NumberTransform.fit(decimals, "x", "rank", least=K).grid.decimals == 2


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("n", [K - 1, K])
def test_a_time_of_day_that_one_person_has_is_not_kept(zone: str | None, n: int) -> None:
    clock = pd.to_timedelta(np.where(np.arange(200) < n, 49_507_123, 0), unit="ms")
    days = pd.Series(pd.date_range("2020-01-01", periods=200) + clock, dtype="M8[us]").dt.tz_localize(zone)
    column = NumberTransform.fit(days, "admitted", "rank", "datetime", least=K)
    drawn = column.restore(*column.read(days))
    assert (drawn == (days.dt.normalize() if n < K else days)).all()


@pytest.mark.parametrize("kind", ["whole", "decimal", "datetime"])
@pytest.mark.parametrize("n", [1, K - 1, K])
def test_a_step_that_fewer_than_k_rows_break_is_kept(kind: str, n: int) -> None:
    rng = np.random.default_rng(0)
    steps = np.where(np.arange(400) < n, 82.5, rng.integers(40, 160, 400))
    first_monday = pd.Timestamp("2020-01-06")
    cells = {
        "whole": pd.Series((500 * steps).astype(int)),
        "decimal": pd.Series(0.5 * steps),
        "datetime": pd.Series(first_monday + pd.to_timedelta(np.floor(7 * steps), unit="D")),
    }[kind]

    def n_off_step(**options: Any) -> int:
        column = NumberTransform.fit(cells, "x", "rank", "datetime" if kind == "datetime" else "continuous", **options)
        codes = column.encode(cells, rng, "fold")
        drawn = column.decode(codes.choices, codes.scalars + codes.spreads * rng.random(400))
        days = (drawn - first_monday) / pd.Timedelta(days=7) if kind == "datetime" else drawn
        return int(((days / {"whole": 500, "decimal": 0.5, "datetime": 1}[kind]) % 1 != 0).sum())

    assert (n_off_step(least=K) == 0) == (n < K)
    assert n_off_step(least=K, exact=True) > 0
    assert n_off_step() > 0


@pytest.mark.parametrize("n", [0, 1, K - 1, K])
@pytest.mark.parametrize("factor", [13, 26, 221, 997])
def test_a_step_of_any_small_factors_that_fewer_than_k_rows_break_is_kept(factor: int, n: int) -> None:
    """One value that is no multiple of 13 took the step of a whole column away."""
    rng = np.random.default_rng(1)
    for most in (90, 90_000):
        steps = rng.integers(10, most, 400)
        cells = pd.Series(factor * np.r_[10, 11, steps] + np.r_[0, 0, np.arange(400) < n])
        assert NumberTransform.fit(cells, "x", "rank", least=K).grid.unit == (factor if n < K else 1)
        assert NumberTransform.fit(cells, "x", "rank").grid.unit == (1 if n else factor)


@pytest.mark.parametrize("n", [0, 1, K - 1, K])
def test_floats_of_full_precision_of_fewer_than_k_rows_leave_a_column_of_short_floats(n: int) -> None:
    rng = np.random.default_rng(2)
    short, full = rng.normal(5, 1, 400).astype("float32").astype(float), rng.normal(5, 1, 400)
    cells = pd.Series(np.where(np.arange(400) < n, full, short))
    assert NumberTransform.fit(cells, "x", "rank", least=K).grid.single == ("float32" if n < K else None)
    assert NumberTransform.fit(cells, "x", "rank").grid.single == (None if n else "float32")


@pytest.mark.parametrize("unit", [1, 500])
def test_whole_numbers_and_dates_of_one_person_are_means_on_their_grid(unit: int) -> None:
    rng = np.random.default_rng(0)
    values = pd.Series((rng.gamma(2, 30, 400).astype(int) + 3) * unit)
    column = NumberTransform.fit(values, "x", "rank", least=K)
    stored = np.r_[column.codec.values, column.codec.atoms]
    assert set(stored % unit) == {0}
    counts = values.value_counts()
    for far in (values.max(), 10 * values.max()):  # how far the last of them is, no more than its share of a mean says
        moved = NumberTransform.fit(values.replace(values.max(), far), "x", "rank", least=K).grid.maximum
        assert moved <= column.grid.maximum + 1.5 * (far - values.max()) / K + unit
    assert set(counts.index[counts >= K]) <= set(stored)
    days = pd.Series(pd.Timestamp("2000-01-01") + pd.to_timedelta(rng.integers(0, 10_000, 400), unit="D"))
    dates = NumberTransform.fit(days, "day", "rank", "datetime", least=K)
    assert dates.restore(np.array([dates.grid.maximum]), np.zeros(1, bool))[0] < days.max()
    again = NumberTransform.from_plain(dates.to_plain(), "rank", "datetime")
    assert again.codec.values.tolist() == dates.codec.values.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_dates_do_not_heap_up_where_their_range_ends(seed: int) -> None:
    """Neither as they are stored (even ranks are even dates) nor as they are learnt: rows beyond the end lie before it."""
    rng = np.random.default_rng(seed)
    days = pd.Series(pd.Timestamp("1930-01-01") + pd.to_timedelta(rng.integers(0, 29_000, 500), unit="D"))
    column = NumberTransform.fit(days, "born", "rank", "datetime", least=K)
    ends = column.restore(np.array([column.grid.minimum, column.grid.maximum]), np.zeros(2, bool))
    for of, end in zip((days.nsmallest(K), days.nlargest(K)), ends, strict=True):
        assert abs(of.mean() - end) <= pd.Timedelta(days=1)
    even = column.decode(np.zeros(50_000, int), rng.random(50_000))
    codes = column.encode(pd.concat([days] * 100), rng, "fold")
    learnt = column.decode(codes.choices, codes.scalars + codes.spreads * rng.random(50_000))
    for drawn, most in ((even, 30), (learnt, 100 * days.value_counts().max())):
        assert drawn.between(*ends).all()
        assert (drawn == drawn.dt.normalize()).all()
        assert drawn.isin(ends).sum() <= most
    assert (learnt > days.nlargest(2 * K).min()).mean() == pytest.approx(2 * K / 500, rel=0.2)


def test_every_stored_value_rests_on_k_rows() -> None:
    """Whatever the counts: brute force over random columns of few and of many repeats."""
    from clover_tvae.transforms.grid import Grid
    from clover_tvae.transforms.rank_codec import _pooled

    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = np.sort(rng.choice([rng.geometric(0.1, 200), rng.integers(0, 400, 200)][seed % 2], 60))
        distinct, counts = np.unique(values, return_counts=True)
        grid = Grid("int64", int(values.min()), int(values.max()), 0)
        made, rows, shared = _pooled(distinct, counts, K, grid)
        assert rows.min() >= K
        assert rows.sum() == len(values)
        assert (np.diff(made) > 0).all()
        assert set(made[shared]) == set(distinct[counts >= K])


def test_in_which_gap_one_person_is_leaves_no_trace() -> None:
    """Between values that many share, rows of gaps with few are spread over all of these gaps."""
    rng = np.random.default_rng(0)
    shared = np.repeat(np.arange(0, 3_000, 30), 12)
    files = []
    for _ in range(20):
        odd = 30 * rng.choice(np.arange(5, 95), 8, replace=False) + rng.choice([1, 7, 11, 13, 17, 19, 23, 29], 8)
        fitted = NumberTransform.fit(pd.Series(np.r_[shared, odd]), "x", "rank", least=K)
        files.append(str(fitted.to_plain()))
        drawn = fitted.decode(np.zeros(200_000, np.int32), rng.random(200_000))
        assert (drawn % 30 != 0).mean() == pytest.approx(8 / 1_208, rel=0.2)
        assert (drawn[drawn % 30 != 0] // 30).nunique() > 75
    assert len(set(files)) == 1


def test_a_number_beside_a_round_one_that_many_share_can_be_asked_for() -> None:
    rng = np.random.default_rng(0)
    hundreds = [x for x in range(100, 3_000, 100) if x % 30]
    shared, odd = np.r_[np.repeat(np.arange(0, 3_000, 30), 12), [600] * 300], rng.integers(30, 2_900, 30)
    column = NumberTransform.fit(pd.Series(np.r_[shared, np.repeat(hundreds, 4), odd]), "x", "rank", least=K)
    assert column.codec.atoms.tolist() == [600]
    assert 100 in column.codec.units
    for number in range(571, 660):
        column.allow(Condition.of(number))


def table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"salary": rng.lognormal(10, 1, n).round(2), "job": rng.choice(["nurse", "cook"], n)})
    df.loc[:1, "job"] = "chief of surgery"
    df.loc[:30, "patient"] = 1.0
    return df


META = {"continuous": ["salary"], "categorical": ["job"], "ignore": ["patient"]}


@pytest.mark.long
@pytest.mark.parametrize("options", [{}, {"decoder": "independent"}])
def test_a_fit_warns_once_and_stores_nothing_of_one_person(options: dict[str, Any], tmp_path: Any) -> None:
    df = table()
    synth = TVAESynthesizer(df, META, 0, epochs=1, verbose=False, **options)
    with pytest.warns(UserWarning, match="'job'") as caught:
        synth.prepare().fit()
    assert len(caught) == 1
    assert "surgery" not in str(caught[0].message)
    synth.save(tmp_path / "g.pkl")
    loaded = TVAESynthesizer.load(tmp_path / "g.pkl")
    assert loaded.card()["parameters"]["min_count"] == 5
    assert loaded.card()["parameters"]["exact_values"] is False
    drawn = loaded.sample(300)
    assert set(drawn["job"]) <= {"nurse", "cook"}
    assert drawn["salary"].max() <= df["salary"].nlargest(5).mean() + 0.01
    with refuses(ConditionError, "column 'job'"):
        loaded.sample(1, {"job": "chief of surgery"})
    content = str(loaded._learnt().backend.state()["transforms"])
    assert "surgery" not in content
    assert repr(df["salary"].max()) not in content


def test_guards_can_be_opened() -> None:
    df = table()
    with pytest.warns(PrivacyWarning, match="as min_count=1 asked") as told:
        synth = TVAESynthesizer(df, META, 0, epochs=1, verbose=False, min_count=1, privacy="none").fit()
    assert len(told) == 1  # none of rare categories
    assert set(synth._backend.transform.transforms[1].categories) == set(df["job"])
    assert synth._backend.transform.transforms[0].grid.maximum == df["salary"].max()
    with pytest.warns(UserWarning, match="'job'"), pytest.warns(PrivacyWarning, match="as exact_values=True asked"):
        synth = TVAESynthesizer(df, META, 0, epochs=1, verbose=False, exact_values=True, privacy="none").fit()
    assert synth._backend.transform.transforms[0].grid.maximum == df["salary"].max()


def test_people_are_counted_and_not_their_rows() -> None:
    df = pd.DataFrame({"who": np.repeat(np.arange(100), 4), "ward": ["A"] * 384 + ["B"] * 16})
    metadata = Metadata.of({"categorical": ["ward"], "id": ["who"], "unit": "who"})
    with pytest.warns(UserWarning, match="'ward'"):
        table = TableTransform.fit(df, metadata, rng=RNG, min_count=5)
    assert table.transforms[0].categories == ("A",)  # 16 rows, and four people


EMAILS = [f"person{i}@example.org" for i in range(880)]
NAMES = [f"{a} {b}" for a, b in zip(RNG.geometric(0.05, 523), RNG.geometric(0.02, 523), strict=True)]


@pytest.mark.parametrize(
    "values",
    [
        EMAILS + ["unknown"] * 120,
        EMAILS[:300] + ["unknown"] * 400 + ["none"] * 300,
        [*EMAILS[:19], *[None] * 1481],
        NAMES,
    ],
    ids=["placeholder", "two placeholders", "sparse", "names"],
)
def test_values_of_one_person_are_seen_behind_placeholders_and_at_any_count(values: list[Any]) -> None:
    df = pd.DataFrame({"contact": values, "age": np.arange(len(values)) % 60})
    with refuses(IdentifierColumnError, "column 'contact'"):
        Metadata.of({"categorical": ["contact"], "continuous": ["age"]}).validate(df)
    with pytest.warns(MetadataWarning, match="column 'contact': "):
        assert Metadata.infer(df).column("contact").kind == "id"


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        (RNG.permutation(500) + 1, "id", "every whole number"),
        (RNG.permutation(900)[:500] + 20_000, "id", "none of them twice"),
        (20_000 + 3 * RNG.permutation(500), "id", "none of them twice"),
        (RNG.choice(8 * 10**9, 500, replace=False) + 2 * 10**9, "id", "10 digits"),
        (np.r_[RNG.choice(10**8, 400) + 6 * 10**8, [0] * 100], "id", "9 digits"),
        ([int(f"{1940 + i % 60}{1 + i % 12:02}{1 + i % 28:02}") for i in range(500)], "datetime", "dates"),
        ([int(f"19{40 + i % 50}{1 + i % 10:02}{1 + i % 25:02}") for i in range(500)], "datetime", "dates"),
        (np.repeat(RNG.choice(8 * 10**9, 50, replace=False) + 2 * 10**9, 10), "id", "10 digits"),
        ([int(f"{40 + i % 50}{1 + i % 10:02}{1 + i % 25:02}") for i in range(500)], "ignore", "yymmdd"),
        ([int(f"{1 + i % 25}{1 + i % 10:02}{40 + i % 50}") for i in range(500)], "ignore", "ddmmyy"),
    ],
    ids=[
        "patient number",
        "staff of whom some left",
        "staff numbered in steps",
        "phone",
        "phone or 0",
        "birth",
        "birth, ten visits each",
        "phone, ten visits each",
        "birth, two digits of the year",
        "birth, day first",
    ],
)
def test_numbers_that_name_people_are_left_out_or_warned_of_where_declared(values: Any, kind: str, why: str) -> None:
    df = pd.DataFrame({"x": values, "sex": ["F", "M"] * 250})
    with pytest.warns(MetadataWarning, match=why):
        assert Metadata.infer(df).column("x").kind == kind
    with pytest.warns(UserWarning, match=f"'x' .*{why}"):
        Metadata.of({"continuous": ["x"], "categorical": ["sex"]}).validate(df)


@pytest.mark.parametrize(
    "values",
    [
        RNG.lognormal(10, 0.4, 500).round(),
        RNG.lognormal(17, 0.4, 500).round(-3),
        RNG.normal(1e9, 1e7, 500),
        1_500_000_000 + 86_400 * RNG.integers(0, 2_000, 500) + (3600 * RNG.normal(13, 3, 500)).round(),
        1_500_000_040 + 60 * RNG.integers(0, 3_000_000, 500),
        RNG.choice(10**7, 500) + 0.0 + RNG.integers(0, 2, 500) * 0.5,
        RNG.integers(18, 90, 500),
        RNG.integers(100, 1000, 500),
    ],
    ids=["salary", "salary of eight digits", "floats", "seconds by day", "whole minutes", "halves", "age", "rate"],
)
def test_measurements_are_no_identifiers(values: Any) -> None:
    df = pd.DataFrame({"x": values, "sex": ["F", "M"] * 250})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Metadata.infer(df).column("x").kind == "continuous"
        Metadata.of({"continuous": ["x"], "categorical": ["sex"]}).validate(df)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("year", np.arange(1900, 2020)),
        ("Jahr", np.repeat(np.arange(1960, 2024), 3)),
        ("année", np.arange(1950, 2024)),
        ("age", np.arange(18, 98)),
        ("Alter", RNG.permutation(100) + 1),
        ("edad", np.arange(20, 80)),
        ("ageMonths", RNG.choice(900, 300, replace=False)),
        ("month", np.arange(1, 61)),
        ("woche", np.arange(1, 53)),
        ("day_number", np.arange(1, 366)),
        ("Tag", np.arange(1, 366)),
        ("heure", np.arange(0, 24)),
    ],
)
def test_years_and_ages_that_are_counted_through_are_measures(name: str, values: Any) -> None:
    df = pd.DataFrame({name: values, "x": np.random.default_rng(0).normal(size=len(values)).round(2)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Metadata.infer(df).column(name).kind == "continuous"
        Metadata.of({"continuous": [name, "x"]}).validate(df)
    with pytest.warns(MetadataWarning, match="declared 'ignore'|numbers written as text"):
        assert Metadata.infer(df.astype({name: str})).column(name).kind == "continuous"


@pytest.mark.parametrize("name", ["patient", "nr", "age_id", "age", "year", "wage_no", "ear_tag"])
def test_what_no_age_or_year_can_be_stays_an_identifier(name: str) -> None:
    df = pd.DataFrame({name: RNG.permutation(400) + 1, "sex": ["F", "M"] * 200})
    with pytest.warns(MetadataWarning, match="every whole number"):
        assert Metadata.infer(df).column(name).kind == "id"


@pytest.mark.parametrize("name", ["visited_at_time", "created_at", "timestamp", "Datum"])
def test_long_numbers_whose_column_says_that_they_are_times_are_learnt(name: str) -> None:
    df = pd.DataFrame({name: RNG.integers(1_510_000_000, 1_799_999_999, 500)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Metadata.infer(df).column(name).kind == "continuous"


@pytest.mark.parametrize(
    "values",
    [
        RNG.integers(1_510_000_000, 1_799_999_999, 500),
        RNG.integers(2_012_000_000, 2_099_999_999, 500),
        RNG.integers(1_000, 2_099, 500) * 10**6
        + RNG.integers(1, 32, 500) * 10**4
        + RNG.integers(1, 13, 500) * 100
        + 50,
    ],
    ids=["mobile", "telephone", "insurance, with the birth"],
)
def test_numbers_that_could_be_seconds_since_1970_and_show_no_day_are_warned_of(values: Any) -> None:
    df = pd.DataFrame({"x": values + RNG.integers(0, 9, 500), "sex": ["F", "M"] * 250})
    with pytest.warns(MetadataWarning, match="'x': looks like an identifier .*10 digits"):
        assert Metadata.infer(df).column("x").kind == "id"
    with pytest.warns(UserWarning, match="'x' looks like an identifier"):
        Metadata.of({"continuous": ["x"], "categorical": ["sex"]}).validate(df)


@pytest.mark.parametrize(
    "numbers",
    [RNG.choice(10**9, 19) + 10**9, RNG.choice(10**9, 9) + 10**9, RNG.permutation(19) + 5_000],
    ids=["phone", "nine phones", "patient number"],
)
@pytest.mark.parametrize("rest", [np.nan, 0.0], ids=["missing", "zero"])
def test_a_sparse_column_of_numbers_that_name_people_is_left_out_or_warned_of(numbers: Any, rest: float) -> None:
    df = pd.DataFrame({"x": np.r_[numbers, [rest] * (1_500 - len(numbers))], "sex": ["F", "M"] * 750})
    with pytest.warns(MetadataWarning, match="'x': looks like an identifier.*dropped and never learnt"):
        assert Metadata.infer(df).column("x").kind == "id"
    with pytest.warns(UserWarning, match="'x' looks like an identifier"):
        Metadata.of({"continuous": ["x"], "categorical": ["sex"]}).validate(df)


NUMBERS_OF_PEOPLE = (
    "patient_id", "Matricule", "Legajo", "N° dossier", "Personalnummer", "Aktenzeichen", "case_no", "Num. expediente", "Fallnummer",
    "Numéro de sécurité sociale", "NHC", "MRN",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        *((name, rest) for name in NUMBERS_OF_PEOPLE for rest in (np.nan, 0.0)),
        *((name, np.nan) for name in ("badge", "Expediente", "Historia clínica")),
    ],
)
def test_sparse_numbers_of_people_by_their_heading_are_left_out_or_warned_of(name: str, rest: float) -> None:
    numbers = 100_000 + np.random.default_rng(1).choice(30_000, 18, replace=False)
    df = pd.DataFrame({name: np.r_[numbers, [rest] * 282], "sex": ["F", "M"] * 150})
    with pytest.warns(MetadataWarning, match=f"'{name}': looks like an identifier.*dropped and never learnt"):
        assert Metadata.infer(df).column(name).kind == "id"
    with pytest.warns(UserWarning, match=f"'{name}' looks like an identifier"):
        Metadata.of({"continuous": [name], "categorical": ["sex"]}).validate(df)


@pytest.mark.parametrize("gaps", [0.0, 0.12, 0.25])
def test_gaps_do_not_hide_that_five_digits_are_numbered(gaps: float) -> None:
    numbers = pd.Series(RNG.permutation(np.arange(10_000, 100_000))[:1_500])
    df = pd.DataFrame({"x": numbers.where(RNG.random(1_500) >= gaps), "y": RNG.normal(size=1_500)})
    with pytest.warns(MetadataWarning, match="'x': looks like an identifier"):
        assert Metadata.infer(df).column("x").kind == "id"


@pytest.mark.parametrize("numbers", [RNG.normal(7, 2, 19), RNG.lognormal(5, 1, 19).round(), np.arange(1, 8)])
def test_a_sparse_measurement_is_learnt(numbers: Any) -> None:
    df = pd.DataFrame({"x": np.r_[numbers, [np.nan] * (1_500 - len(numbers))], "sex": ["F", "M"] * 750})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Metadata.infer(df).column("x").kind == "continuous"
        Metadata.of({"continuous": ["x"], "categorical": ["sex"]}).validate(df)


def test_sparse_text_that_a_fit_would_refuse_is_named() -> None:
    df = pd.DataFrame({"x": [*(f"Ada{i}" for i in range(10)), *[None] * 1_490], "sex": ["F", "M"] * 750})
    for cells in (df, df.astype({"x": "category"})):
        with pytest.warns(MetadataWarning, match="'x': holds values of which none is in 5 cells"):
            assert Metadata.infer(cells).column("x").kind == "ignore"


def sparse(cells: Any, n_known: int) -> pd.Series:
    """Return 600 cells of which so many, at random places, are not missing."""
    return pd.Series(cells).where(pd.Series(RNG.permutation(600) < n_known))


@pytest.mark.parametrize("unit", [None, "patient"])
def test_what_infer_proposes_a_fit_takes(unit: str | None) -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=600))
    n = 4 if unit is None else 40  # numbers of five people are at least 4 * 20 + 1; categories count people
    left_out = {
        "death": sparse(days, n), "death_text": sparse(days.dt.strftime("%d.%m.%Y"), n), "lab": sparse(RNG.normal(size=600), n),
        "kg": sparse([f"{x:.1f} kg" for x in RNG.normal(70, 9, 600)], n), "answer": sparse(RNG.choice(["yes", "no"], 600), 4),
        "level": sparse(RNG.choice(["low", "normal", "high"], 600), 4), "flag": sparse(RNG.random(600) < 0.5, 4).astype("boolean"),
    }  # fmt: skip
    if unit is not None:  # each in 20 rows of one person
        left_out["diagnosis"] = pd.Series(
            [f"{'ABCDEFGH'[i % 8]}{i % 13:02d}" for i in np.repeat(RNG.permutation(30), 20)]
        )
    df = pd.DataFrame({"patient": np.repeat(np.arange(1, 31), 20), "sex": ["F", "M"] * 300, "void": np.nan, **left_out})
    df = df.drop(columns=[] if unit else "patient")
    with pytest.warns(MetadataWarning) as told:
        metadata = Metadata.infer(df)
    assert (metadata.unit, set(metadata.of_kind("ignore"))) == (unit, {*left_out})
    for name in left_out:
        assert sum(f"{name!r}: holds values" in str(one.message) for one in told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", MetadataWarning
        )  # the user may say that it is to be learnt, which then is refused
        said = Metadata.infer(df, set={"death": "date"})
    assert said.column("death").kind == "datetime"
    metadata.validate(df)
    TableTransform.fit(metadata.read(df), metadata, rng=RNG, min_count=5)


@pytest.mark.parametrize(
    "text",
    [
        [f"{2021 + i % 3}/{i}" for i in RNG.permutation(600)],
        [f"{a}/{b}" for a, b in zip(RNG.choice(10**5, 600), RNG.choice(10**5, 600), strict=True)],
        [f"{a}/{b}" for a, b in zip(RNG.choice(10**6, 600) + 10**6, RNG.integers(1, 99, 600), strict=True)],
        ["unknown"] * 60 + [f"{2021 + i % 3}/{i}" for i in range(540)],
        [
            f"{n}/{year}"
            for n, year in zip(RNG.choice(5_000, 600, replace=False), RNG.integers(18, 24, 600), strict=True)
        ],
    ],
    ids=["case", "policy", "account", "case or unknown", "case, year last"],
)
def test_numbers_of_two_parts_that_name_people_are_no_pairs(text: list[str]) -> None:
    with pytest.warns(MetadataWarning, match="'x': looks like an identifier"):
        assert Metadata.infer(pd.DataFrame({"x": text, "sex": ["F", "M"] * 300})).column("x").kind == "id"


def test_case_numbers_that_are_declared_as_pairs_are_warned_of() -> None:
    halves = [{"name": f"x_{part}", "read_as": "number", "part_of": "x", "part": part} for part in (1, 2)]
    meta = Metadata.of({"continuous": halves})
    parts = RNG.integers(10_000, 99_999, (600, 2))
    cases = pd.DataFrame({"x": [f"{a}/{b}" for a, b in parts]})  # of which no half tells anything
    with pytest.warns(UserWarning, match="'x' looks like case, account or policy numbers"):
        meta.validate(cases)
    pressures = pd.DataFrame({"x": [f"{a:.0f}/{b:.0f}" for a, b in RNG.normal((128, 78), (20, 12), (600, 2))]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meta.validate(pressures)


@pytest.mark.parametrize("n", [60, 500, 5_000])
def test_blood_pressures_stay_pairs(n: int) -> None:
    text = [f"{a:.0f}/{b:.0f}" for a, b in RNG.normal((128, 78), (20, 12), (n, 2))]
    with pytest.warns(MetadataWarning, match="'x': holds two numbers in each cell"):
        assert [column.name for column in Metadata.infer(pd.DataFrame({"x": text})).columns] == ["x_1", "x_2"]


@pytest.mark.parametrize(
    "form", ["{1:02d}/{0}", "{0}/{2:02d}", "{0}/{3}", "{0}-{3}"], ids=["weeks", "school years", "whole", "dashed"]
)
def test_weeks_and_school_years_are_categories_and_no_pairs(form: str) -> None:
    years = RNG.integers(1990 if "3" in form else 2001, 2012, 900)
    texts = [form.format(year, RNG.integers(1, 53), year - 1999, year + 1) for year in years]
    df = pd.DataFrame({"x": texts, "age": years % 9})
    metadata = Metadata.infer(df)
    assert metadata.column("x").kind == "categorical"
    metadata.validate(df)


@pytest.mark.parametrize("most", [3, 4, 6])
def test_quarters_of_years_are_no_months(most: int) -> None:
    text = [f"{RNG.integers(1, most + 1)}/{year}" for year in RNG.integers(2005, 2020, 400)]
    with pytest.warns(MetadataWarning, match="two numbers in each cell"):
        assert len(Metadata.infer(pd.DataFrame({"x": text})).columns) == 2


@pytest.mark.parametrize("n", [150, 400, 3_000])
@pytest.mark.parametrize("seed", range(3))
def test_millilitres_in_and_out_are_pairs_and_no_account_numbers(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    measured = [f"{a:.0f}/{b:.0f}" for a, b in rng.normal((2_000, 1_800), (300, 250), (n, 2))]
    with pytest.warns(MetadataWarning, match="'x': holds two numbers in each cell"):
        assert len(Metadata.infer(pd.DataFrame({"x": measured})).columns) == 2
    for low in ((1_000, 1_000), (1_990, 1_000)):
        given_out = [f"{a}/{b}" for a, b in rng.integers(low, (low[0] + 34, 9_999), (n, 2))]
        with pytest.warns(MetadataWarning, match="'x': looks like an identifier.*pair if they are two measurements"):
            assert Metadata.infer(pd.DataFrame({"x": given_out})).column("x").kind == "id"
    assert len(Metadata.infer(pd.DataFrame({"x": given_out}), set={"x": "pair"}).columns) == 2


@pytest.mark.parametrize("format", ["%Y-%m", "%m/%Y", "%Y/%m", "%m.%Y"])
@pytest.mark.parametrize("n", [45, 150, 3_000])
def test_months_are_dates_and_no_identifiers(format: str, n: int) -> None:
    months = pd.Timestamp("1990-01-01") + pd.to_timedelta(RNG.integers(0, 12_000, n), "D")
    with pytest.warns(MetadataWarning, match="'x': holds dates written as text"):
        column = Metadata.infer(pd.DataFrame({"x": months.strftime(format), "y": RNG.normal(size=n)})).column("x")
    assert (column.kind, column.format) == ("datetime", format)


def test_numbers_that_only_could_be_months_are_none() -> None:
    for text in ([f"{1 + i % 12}/2000" for i in range(120)], [f"{2020 + i % 3}/{1 + i % 40}" for i in range(120)]):
        with pytest.warns(MetadataWarning):
            metadata = Metadata.infer(pd.DataFrame({"x": text}))
        assert not metadata.of_kind("datetime")


def test_months_of_years_stay_pairs() -> None:
    text = [f"{month}/{year}" for year in range(80, 86) for month in range(1, 13)]
    with pytest.warns(MetadataWarning, match="'x': holds two numbers in each cell"):
        assert len(Metadata.infer(pd.DataFrame({"x": text})).columns) == 2


def test_a_patient_number_that_starts_anywhere_is_warned_of_where_declared() -> None:
    df = pd.DataFrame({"x": RNG.permutation(1_500) + 7_000, "sex": ["F", "M"] * 750})
    with pytest.warns(UserWarning, match="'x' looks like an identifier"):
        Metadata.of({"continuous": ["x"], "categorical": ["sex"]}).validate(df)


@pytest.mark.parametrize("name", ["birth_date", "dob", "Geburtsdatum", "geb", "BirthDate"])
@pytest.mark.parametrize("as_text", [False, True])
def test_packed_dates_of_birth_are_left_out_by_name(name: str, as_text: bool) -> None:
    days = [int(f"{1940 + i % 60}{1 + i % 12:02}{1 + i % 28:02}") for i in range(500)]
    df = pd.DataFrame({name: [*map(str, days)] if as_text else days, "admitted": days})
    births, others = f"'{name}': holds dates of birth.*; {KEEP_LESS}", "'admitted': holds dates or times"
    with pytest.warns(MetadataWarning, match=others), pytest.warns(MetadataWarning, match=births):
        meta = Metadata.infer(df)
    assert (meta.column(name).kind, meta.column("admitted").kind) == ("ignore", "datetime")
    with pytest.warns(MetadataWarning):
        assert Metadata.infer(df, set={name: "date"}).column(name).kind == "datetime"
    if not as_text:
        with pytest.warns(UserWarning, match=f"'{name}' looks like dates.*'ignore', and {KEEP_LESS}"):
            Metadata.of({"continuous": [name], "datetime": [{"name": "admitted", "format": "%Y%m%d"}]}).validate(df)


def test_births_with_the_day_first_are_left_out_beside_a_word_for_unknown() -> None:
    days = [f"{1 + i % 28}{1 + i % 12:02}{1940 + i % 60}" for i in range(300)]  # 1011940, without leading zeros
    cells = [day if i % 5 < 3 else "unbekannt" for i, day in enumerate(days)]
    df = pd.DataFrame({"geb_dat": cells, "x": RNG.normal(size=300)})
    with pytest.warns(MetadataWarning, match=f"'geb_dat': holds dates of birth.*{KEEP_LESS}"):
        assert Metadata.infer(df).column("geb_dat").kind == "ignore"
    assert Metadata.infer(df, set={"geb_dat": "number"}).column("geb_dat").kind == "continuous"


@pytest.mark.parametrize(
    "name", ["dob", "birth_date", "Geburtsdatum", "date_naissance", "née le", "DDN", "fecha_nacimiento", "fecha_nac"]
)
@pytest.mark.parametrize("format", ["%Y-%m-%d", "%d.%m.%Y", None], ids=str)
def test_real_dates_of_birth_are_learnt_with_a_word(name: str, format: str | None) -> None:
    days = pd.Series(pd.Timestamp("1930-01-01") + pd.to_timedelta(RNG.permutation(25_000)[:300], "D"))
    cells = days if format is None else days.dt.strftime(format)
    df = pd.DataFrame({name: cells, "seen": cells, "x": RNG.normal(size=300)})
    with pytest.warns(MetadataWarning) as told:
        metadata = Metadata.infer(df)
    assert [("dates of birth" in str(one.message), KEEP_LESS in str(one.message)) for one in told] == [
        (True, True), *[(False, False)] * (format is not None),
    ]  # fmt: skip
    assert metadata.column(name).kind == "datetime"
    with pytest.warns(UserWarning, match=f"column '{name}' holds dates of birth to the day.*'ignore', and {KEEP_LESS}"):
        metadata.validate(df)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = Metadata.infer(df, set={name: "keep", "seen": "drop"})
        assert Metadata.infer(df, set={name: "drop", "seen": "drop"}).column(name).kind == "ignore"
    assert kept.column(name).kind == "datetime"


def test_months_and_years_of_birth_are_learnt_without_a_word() -> None:
    months = pd.Series(pd.Timestamp("1930-01-01").to_period("M") + RNG.integers(0, 800, 300))
    df = pd.DataFrame(
        {"birth_month": months.dt.to_timestamp(), "birth_year": months.dt.year, "x": RNG.normal(size=300)}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Metadata.infer(df).validate(df)


def test_words_that_too_few_say_are_not_proposed_for_the_metadata() -> None:
    def inferred(n_yes: int) -> Column:
        answers = ["no"] * (100 - n_yes) + ["yes"] * n_yes
        return Metadata.infer(pd.DataFrame({"hiv": answers, "age": np.arange(100) % 37})).column("hiv")

    assert inferred(1) == inferred(K - 1) == Column("hiv", "categorical")
    assert inferred(K) == Column("hiv", "boolean", true="yes", false="no")


def visits() -> pd.DataFrame:
    """Visits of 150 patients, four of whom come twenty times; who is seen where hangs on the patient."""
    who = np.repeat(np.arange(150), [20] * 4 + [2] * 146)
    ward = np.where(who < 100, "surgery", np.where(who < 126, "neurology", "oncology"))
    ward[who == 3], ward[(who > 145) | (who == 0)] = "dialysis", "burns"  # one with 20 rows; five with 28
    return pd.DataFrame({"patient": who, "ward": ward, "age": RNG.normal(50, 9, len(who))})


def test_a_category_is_learnt_that_enough_people_hold_however_many_rows_others_have() -> None:
    df = visits()
    described = Metadata.of({"continuous": ["age"], "categorical": ["ward"], "id": ["patient"], "unit": "patient"})
    with pytest.warns(UserWarning, match="held by fewer than 5 people, and so not learnt: 'ward': fewer than 5 categ"):
        made = TableTransform.fit(df, described, rng=RNG, min_count=K)
    assert set(made.transforms[0].categories) == {"surgery", "neurology", "oncology", "burns"}
    with pytest.warns(UserWarning, match="not learnt"):
        made = TableTransform.fit(df, described, rng=RNG, min_count=K + 1)
    assert "burns" not in made.transforms[0].categories


def test_a_category_for_the_rest_counts_people_not_their_rows() -> None:
    df = visits()
    two = df.assign(ward=df["ward"].where(~df["patient"].isin([4, 5]), "rare"))  # with dialysis, three people
    for rows, is_there in ((two, False), (two.assign(ward=two["ward"].replace("burns", "scald")), False)):
        labels = CategoricalTransform.fit(
            rows["ward"], "ward", rest="other", least=K, people=rows["patient"].to_numpy()
        )
        assert ("other" in labels.categories) is is_there
    six = df.assign(ward=df["ward"].where(~df["patient"].isin([4, 5, 6, 7]), "rare"))
    labels = CategoricalTransform.fit(six["ward"], "ward", rest="other", least=K, people=six["patient"].to_numpy())
    assert "other" in labels.categories


def test_relations_of_people_with_many_rows_keep_their_categories(caplog) -> None:
    df = visits()
    df["floor"] = df["ward"].map({"surgery": "1", "neurology": "2", "oncology": "3", "burns": "3"})
    described = {"continuous": ["age"], "categorical": ["ward", "floor"], "id": ["patient"], "unit": "patient"}
    synth = TVAESynthesizer(df.dropna(), described, random_state=1, epochs=2, verbose=False, privacy="none").fit()
    assert set(synth.sample(2_000)["ward"]) == {"surgery", "neurology", "oncology", "burns"}


def test_a_class_of_too_few_people_is_not_balanced() -> None:
    values = pd.Series(["a"] * 50 + ["b"] * 20 + ["rare"] * 4)
    for strategy in ("equal", {"rare": 0.5}):
        with refuses(ConditionError, "column 'class'"):
            rows_to_add(values, strategy, "class", 5)
    people = np.r_[np.arange(50), np.arange(20), 0, 1, 2, 3]
    with pytest.raises(ConditionError, match="at least 21 people of each category"):
        rows_to_add(values, "equal", "class", 21, people)
    often = np.r_[np.arange(50), np.arange(20) % 7, 0, 1, 2, 3]  # a class of twenty rows, and seven people
    assert rows_to_add(values, {"b": 0.5, "a": 0.5}, "class", 7, often) == {"b": 30, "a": 0}
    with pytest.raises(ConditionError, match="at least 8 people of each category"):
        rows_to_add(values, {"b": 0.5, "a": 0.5}, "class", 8, often)
    assert rows_to_add(values, {"b": 0.5, "a": 0.5}, "class", 5) == {"b": 30, "a": 0}
    assert rows_to_add(values, {"b": 0.4}, "class", 5) == {"b": 13, "a": 0}
    assert rows_to_add(values, "equal", "class")["rare"] == 46


@pytest.mark.long
@pytest.mark.parametrize(("rest", "merged"), [("other", 8), ("b", 58)])
@pytest.mark.parametrize("dtype", ["object", "category"])
def test_a_column_is_balanced_after_rare_categories_count_to_the_rest(rest: str, merged: int, dtype: str) -> None:
    ward = ["a"] * 92 + ["b"] * 50 + ["rare"] * 4 + ["rarer"] * 4
    df = pd.DataFrame({"age": np.arange(150), "ward": pd.Series(ward, dtype=dtype)})
    metadata = {"continuous": ["age"], "categorical": [{"name": "ward", "rest": rest}]}
    with pytest.warns(UserWarning, match="'ward'"):
        synth = TVAESynthesizer(df, metadata, 0, epochs=1, verbose=False).fit()
    drawn = {}
    for strategy in ("equal", {rest: 92}):
        every = synth.balance("ward", strategy, df=df, random_state=1)
        assert every["ward"].head(150).tolist() == ward
        drawn[str(strategy)] = every.loc[every["is_synthetic"], "ward"].astype(str).value_counts().to_dict()
    assert drawn["equal"] == {rest: 92 - merged} | ({} if rest == "b" else {"b": 42})
    assert drawn[str({rest: 92})] == {rest: 92 - merged}
    with pytest.raises(ConditionError, match="count to the one for the rest"):
        synth.balance("ward", {"rare": 0.4}, df=df)


def test_categories_of_too_few_people_for_the_rest_are_not_balanced() -> None:
    values = pd.Series(["a"] * 50 + ["b"] * 20 + ["rare"] * 4)
    metadata = Metadata.of({"categorical": [{"name": "class", "rest": "other"}]})
    with refuses(ConditionError, "column 'class'"):
        balanced(values.to_frame("class"), metadata, "class", "equal", pytest.fail, np.random.SeedSequence(0), 5)


def test_rare_categories_are_told_in_people_and_not_in_rows() -> None:
    df = pd.DataFrame({"who": np.repeat(np.arange(100), 40), "ward": np.repeat(list("ab"), [3920, 80])})
    metadata = Metadata.of({"categorical": ["ward"], "id": ["who"], "unit": "who"})
    with pytest.warns(UserWarning, match="'ward': fewer than 5 categories in some rows"):
        TableTransform.fit(df, metadata, rng=RNG, min_count=5)


def test_rare_categories_that_count_to_a_rest_ask_for_none_and_conditions_say_what_became_of_them() -> None:
    df = pd.DataFrame({"dx": ["A"] * 80 + ["B"] * 15 + ["D"] * 3 + ["E"] * 4, "few": ["A"] * 98 + ["B"] * 4})

    def fitted(*columns: dict[str, str]) -> tuple[str, TableTransform]:
        names = [column["name"] for column in columns]
        with pytest.warns(UserWarning, match="and so not learnt") as told:
            made = TableTransform.fit(df[names], Metadata.of({"categorical": columns}), rng=RNG, min_count=5)
        return str(told.pop(UserWarning).message), made

    told, made = fitted({"name": "dx", "rest": "other"})
    assert "'dx': fewer than 5 categories in 7 rows, which count to the one for the rest" in told
    assert "merge categories" not in told
    refused = "1 of 1 values are not among the 3 categories of this file; categories of fewer than min_count people were not learnt"
    with refuses(ConditionError, "column 'dx'") as caught:
        made.allow({"dx": "D"})
    assert f"{refused}, and count to the one for the rest" in str(caught.value)
    told, made = fitted({"name": "dx"}, {"name": "few", "rest": "other"})
    assert "too few for the one for the rest as well" in told
    assert "name one for the rare ones" in told
    with pytest.raises(ConditionError, match=r"not among the 2 categories of this file.*not learnt"):
        made.allow({"dx": "D"})


def test_a_condition_on_missing_cells_of_few_people_says_that_they_were_not_learnt() -> None:
    values = pd.Series([*range(100), None, None, None])
    with pytest.warns(UserWarning, match="missing cells of 'x'"):
        made = TableTransform.fit(values.to_frame("x"), Metadata.of({"continuous": ["x"]}), rng=RNG, min_count=5)
    with pytest.raises(ConditionError, match="fewer than min_count, which are not learnt"):
        made.allow({"x": None})


@pytest.mark.long
def test_partial_rows_of_the_oldest_are_completed_as_they_are() -> None:
    """The range ends at means of five people, so the numbers of some of them lie outside."""
    df = table().drop(columns="patient")
    df.loc[:1, "job"] = "cook"
    synth = TVAESynthesizer(
        df, {key: META[key] for key in ("continuous", "categorical")}, 0, epochs=1, verbose=False
    ).fit()
    highest = df[["salary"]].nlargest(2, "salary")
    assert synth.sample(conditions=highest)["salary"].tolist() == highest["salary"].tolist()
    with refuses(ConditionError, "column 'salary'"):
        synth.sample(conditions=highest * 10)


VISITS = {
    "mail": [f"person{i}@example.org" for i in range(50)],
    "contact": [f"person{i}@example.org" for i in range(49)] + ["unknown"],
    "line": [f"+49 (170) {1_000_000 + i}" for i in range(50)],
}


@pytest.mark.parametrize("name", VISITS)
def test_addresses_of_people_with_many_rows_are_refused_however_often_they_are_there(name: str) -> None:
    df = pd.DataFrame({name: VISITS[name] * 12, "age": np.arange(600) % 60})
    for kind in ("categorical", "ordinal"):
        with refuses(IdentifierColumnError, f"column {name!r}"):
            Metadata.of({kind: [name], "continuous": ["age"]}).validate(df)
    with pytest.warns(MetadataWarning, match=f"column '{name}': "):
        assert Metadata.infer(df).column(name).kind == "id"
    with pytest.warns(MetadataWarning):
        assert Metadata.infer(df[:300]).unit == ("mail" if name == "mail" else None)  # six rows a person


@pytest.mark.parametrize(
    "text", ["K{}", "DE89 3704 {}", "F-2019/{}", "0{}"], ids=["insurance", "IBAN", "case", "phone"]
)
def test_long_numbers_of_people_with_many_rows_are_left_out_or_warned_of_where_declared(text: str) -> None:
    numbers = RNG.choice(10**9, 50, replace=False) + 10**9
    df = pd.DataFrame({"x": np.repeat([text.format(number) for number in numbers], 10), "sex": ["F", "M"] * 250})
    with pytest.warns(MetadataWarning, match="'x': holds long numbers"):
        assert Metadata.infer(df).column("x").kind == "id"
    with pytest.warns(UserWarning, match="'x' looks like insurance"):
        Metadata.of({"categorical": ["x", "sex"]}).validate(df)


@pytest.mark.parametrize("heading", ["full_name", "name", "employee", "Nachname"])
def test_names_most_of_which_are_rare_are_refused_by_their_heading(heading: str) -> None:
    first = ("Anna", "Bert", "Carla", "Dora", "Emil", "Fritz", "Gerda", "Hans", "Ida", "Jan", "Karl")
    people = [f"{name} Maier{letter}" for letter in "abcdefghij" for name in first]
    cells = [*people[:100], *people[100:] * 9]  # most people once, ten in nine visits
    df = pd.DataFrame({heading: cells, "age": np.arange(len(cells)) % 40})
    with pytest.raises(IdentifierColumnError, match=r"must not name people, as its heading says.*'id'"):
        Metadata.of({"categorical": [heading], "continuous": ["age"]}).validate(df)
    with pytest.warns(MetadataWarning):
        assert Metadata.infer(df).column(heading).kind == "id"
    with pytest.warns(MetadataWarning, match="looks like an identifier"):
        assert Metadata.infer(df.rename(columns={heading: "x"})).column("x").kind == "id"
    towns = pd.DataFrame({heading: [f"Firm {i % 12}" for i in range(200)], "age": np.arange(200) % 40})
    Metadata.of({"categorical": [heading], "continuous": ["age"]}).validate(towns)


def test_a_column_of_names_is_left_out_however_often_they_are_there() -> None:
    names = ["full_name", "Nachname", "Prénom", "apellidos", "cognome"]
    df = pd.DataFrame({name: [f"Ada {i}" for i in range(50)] * 12 for name in names} | {"firm name": ["A", "B"] * 300})
    with pytest.warns(MetadataWarning, match="looks like an identifier"):
        meta = Metadata.infer(df)
    assert [meta.column(name).kind for name in df] == ["id"] * 5 + ["categorical"]


FIRST, LAST = "Anna Bo Cem Dora Eva Finn Gerd".split(), "Schmidt Kaya Weiss Lang Ohm Hut Blum".split()
NAMES = [f"{first} {last}" for first in FIRST for last in LAST]
NUMBERS = [f"P-{i:03d}" for i in range(1, 50)]
UNKNOWN = [f"{start}{end}" for start in "Bav Cor Dun Fel Gor Hul Jut".split() for end in ("ar", "en", "ik", "os")]
MONTHS = "January February March April May June July August September October November December".split()


def rows_each(name: str, values: list[Any], n_rows: int) -> pd.DataFrame:
    """A table in which each value has so many rows."""
    cells = np.repeat(np.array(values, dtype=object), n_rows)
    return pd.DataFrame({name: cells, "x": np.random.default_rng(0).normal(size=len(cells)).round(2)}).infer_objects()


OF_PEOPLE: list[tuple[str, list[Any]]] = [
    ("patient_id", NUMBERS), ("patient_id", [*range(1, 50)]), ("patient_id", NAMES), ("patient_name", NAMES), ("patient", NUMBERS),
    ("full_name", NAMES), ("client", NAMES), ("patient", [*range(1, 50)]), ("name", NAMES),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values", "n_people", "n_rows"),
    [
        (*column, n_people, n_rows)
        for n_people, n_rows in [(3, 25), (5, 5), (12, 25), (30, 20), (30, 150)]
        for column in OF_PEOPLE
        if n_people >= 5 or column[0].startswith("patient_")  # three clients are as well categories
    ],
)
def test_headings_of_people_are_seen_however_few_they_are_and_however_many_rows_each_has(
    name: str, values: list[Any], n_people: int, n_rows: int
) -> None:
    df = rows_each(
        name, values[:: len(values) // n_people][:n_people] if name != "patient" else values[:n_people], n_rows
    )
    with pytest.warns(MetadataWarning) as told:
        metadata = Metadata.infer(df)
    assert (metadata.unit, metadata.column(name).kind) == (name, "id")
    assert any(f"{name!r}: looks like the identifier of people" in str(one.message) for one in told)
    declared = Metadata.of({"categorical": [name], "continuous": ["x"]})
    if name in ("patient_name", "full_name"):
        with pytest.raises(IdentifierColumnError, match="must not name people, as its heading says"):
            declared.validate(df)
    else:
        with pytest.warns(
            UserWarning, match=f"{name!r} holds names or numbers of people, as its heading or its cells say.*'unit'"
        ):
            declared.validate(df)


OF_NAMES = (
    "Nom du patient|nom_patient|NomPatient|Nom et prénom|NOM, PRÉNOM|Nom de famille|Nom de naissance|Nom d'usage|Nom de jeune fille|nom_usuel|"
    "Name des Patienten|Pat.-Name|Name, Vorname|Geburtsname|Mädchenname|Zuname|Geb.-Name|Rufname|Nachname Patient|NACHNAME1|Mitarbeitername|"
    "Name Angehöriger|Maedchenname|Vor- u. Nachname|Nombre del usuario|Nombre del paciente|Nombre y apellidos|Nombre completo|Apellido1|Primer apellido|1er apellido|Apellido paterno|"
    "maiden name|LNAME|FNAME|name_last|pt_name|PtName|name of patient|Mother's name|Nachname|Apellidos|surname|last name|Name des Hausarztes|"
    "child name|cust_name|nom enfant|f_name|l_name|applicant name|Patientenvorname|MA_Name|VP_Name|KD-Name|SurName|ForeName"
).split("|")


@pytest.mark.parametrize("name", OF_NAMES)
def test_headings_of_names_are_made_of_words_of_four_languages(name: str) -> None:
    for values in (LAST[:2], NAMES[::4][:12], [text.lower() for text in (NAMES * 2)[:40]]):
        df = rows_each(name, values, 25)
        with pytest.warns(MetadataWarning, match=re.escape(name)):
            assert Metadata.infer(df).column(name).kind == "id"
        with pytest.raises(IdentifierColumnError, match="must not name people, as its heading says"):
            Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


@pytest.mark.parametrize("n_rows", [25, 8])
@pytest.mark.parametrize(
    "name", ["Patient", "Bénéficiaire", "Usager", "Résident", "Mitarbeiter", "Bewohner", "Schüler", "Titular", "NOM"]
)
def test_full_names_under_headings_of_people_say_whose_a_row_is(name: str, n_rows: int) -> None:
    people = [*NAMES[::4][:12], *NAMES[1::2]] if n_rows == 8 else NAMES[::4][:12]
    df = rows_each(name, people, n_rows)
    with pytest.warns(MetadataWarning, match=f"'{name}': looks like the identifier of people"):
        assert Metadata.infer(df).unit == name
    with pytest.warns(UserWarning, match=f"'{name}' holds names or numbers of people"):
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


@pytest.mark.parametrize("name", ["First", "last"])
def test_halves_of_names_under_first_and_last_are_not_learnt_without_a_word(name: str) -> None:
    df = rows_each(name, [*FIRST, *LAST], 25)
    with pytest.warns(MetadataWarning, match=f"'{name}': holds names of people"):
        assert Metadata.infer(df).column(name).kind == "id"
    with pytest.warns(UserWarning, match=f"'{name}' holds names"):
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


@pytest.mark.parametrize(
    "name",
    ["nurse", "doctor", "Oberarzt", "doctor_name", "Behandler", "médecin traitant", "Vorgesetzter", "Ansprechpartner"],
)
def test_full_names_of_staff_are_not_learnt_without_a_word_and_are_no_unit(name: str) -> None:
    df = rows_each(name, NAMES[:30], 150)
    with pytest.warns(MetadataWarning, match=f"{name!r}: (holds names of people|looks like an identifier)"):
        metadata = Metadata.infer(df)
    assert (metadata.unit, metadata.column(name).kind) == (None, "id")
    declared = Metadata.of({"categorical": [name], "continuous": ["x"]})
    if name == "doctor_name":
        with pytest.raises(IdentifierColumnError, match="must not name people"):
            declared.validate(df)
    else:
        with pytest.warns(UserWarning, match=f"{name!r} holds names"):
            declared.validate(df)


FEW_SURNAMES = [f"{first} {last}" for last in LAST[:4] for first in FIRST]
HEADINGS_OF_ANYBODY = (
    "who|Sachbearbeiter|GP|Hebamme|midwife|caregiver|agent|Verkäufer|team lead|author|vendeur|signed by|Bezugsperson"
).split("|")


@pytest.mark.parametrize("name", HEADINGS_OF_ANYBODY)
@pytest.mark.parametrize(
    ("values", "n_rows"),
    [
        (FEW_SURNAMES, 8),
        (FEW_SURNAMES, 30),
        ([f"{x} {y}" for x, y in zip("Xor Yim Zev Wun".split() * 7, UNKNOWN, strict=True)], 8),
    ],
)
def test_full_names_are_asked_about_by_fit_as_by_infer_whatever_the_heading(
    name: str, values: list[str], n_rows: int
) -> None:
    df = rows_each(name, values, n_rows)
    with pytest.warns(MetadataWarning, match=f"{name!r}: looks like the identifier of people"):
        assert Metadata.infer(df).column(name).kind == "id"
    with pytest.warns(UserWarning, match=f"{name!r} holds names or numbers of people"):
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


@pytest.mark.parametrize("name", ["nurse", "client", "Hausarzt", "Angehörige", "patient"])
@pytest.mark.parametrize("n_rows", [20, 150])
def test_full_names_of_few_surnames_are_names_under_headings_of_people(name: str, n_rows: int) -> None:
    for values in (FEW_SURNAMES, [f"{last}, {first}" for first in FIRST for last in LAST[:2]]):
        df = rows_each(name, values, n_rows)
        with pytest.warns(MetadataWarning, match=name):
            assert Metadata.infer(df).column(name).kind == "id"
        with pytest.warns(UserWarning, match=f"{name!r} holds names or numbers of people"):
            Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


TEAM_FIRST = (
    "Anna Xaver Clara Umut Emma Felix Wanja Hans Ida Jonas Yll Lena Max Nina Otto Paula Quirin Rosa Simon".split()
)
TEAM = [f"{first} {last}" for first, last in zip(TEAM_FIRST, UNKNOWN, strict=False)]
SPELLINGS = {
    "plain": "{} {}", "titles": "Dr. {} {}", "surname first": "{1} {0}", "comma": "{1}, {0}", "no blank": "{1},{0}", "semicolon": "{1};{0}",
}  # fmt: skip


def told_of_names(name: str, values: list[str], n_rows: int) -> bool:
    """Return whether names are told; ``infer`` and the check of a fit must agree."""
    df = rows_each(name, values, n_rows)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        is_left_out = Metadata.infer(df).column(name).kind == "id"
        n_told = len(told)
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)
    asks = any("holds names or numbers of people" in str(one.message) for one in told[n_told:])
    assert asks == is_left_out == (n_told > 0)
    return asks


@pytest.mark.parametrize("name", ["reviewer", "kontrolliert von", "reviewer_name", "x1"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_few_full_names_are_asked_about_however_they_are_written(name: str, spelling: str) -> None:
    values = [SPELLINGS[spelling].format(*text.split()) for text in TEAM]
    for n_names, n_rows in ((8, 6), (12, 150), (19, 5), (19, 30)):
        assert told_of_names(name, values[:n_names], n_rows)
        assert told_of_names(name, [text.lower() for text in values[:n_names]], n_rows)
        assert told_of_names(name, [*values[:n_names], "unknown"], n_rows)


def test_full_names_are_no_unit_where_they_are_few_and_under_headings_of_staff() -> None:
    for name, values in (("reviewer", TEAM), ("nurse", NAMES[:30])):
        with pytest.warns(MetadataWarning, match=f"{name!r}: holds names"):
            assert Metadata.infer(rows_each(name, values, 8)).unit is None


@pytest.mark.parametrize("title", ["Frau", "Herr", "Mr", "Mrs.", "Mme", "Dr.", "Prof. Dr.", "Dr. med.", "Fr.", "Ms."])
def test_surnames_behind_titles_are_asked_about_under_any_heading(title: str) -> None:
    assert told_of_names("kontrolliert von", [f"{title} {last}" for last in LAST], 6)
    assert not told_of_names("title", [title, "none", "other", "unknown", "missing"], 30)


@pytest.mark.parametrize("name", ["nurse", "surgeon", "Behandler", "client", "patient", "name", "nom", "Nombre"])
@pytest.mark.parametrize("n_rows", [6, 60])
def test_twenty_surnames_are_asked_about_under_headings_of_people_and_staff(name: str, n_rows: int) -> None:
    assert told_of_names(name, UNKNOWN[:20], n_rows)
    assert not told_of_names(name, UNKNOWN[:19], n_rows)
    assert not told_of_names("what", UNKNOWN, n_rows)


@pytest.mark.parametrize("name", ["nurse", "who"])
def test_an_empty_cell_among_full_names_stops_nothing(name: str) -> None:
    assert told_of_names(name, [*NAMES[:30], " "], 8)


TWO_WORDS = {
    "job titles": [f"{grade} {job}" for grade in ("Senior", "Junior", "Lead", "Deputy", "Chief") for job in ("Engineer", "Analyst", "Manager", "Nurse", "Officer")],
    "places": "New York|San Diego|Los Angeles|Fort Worth|El Paso|Las Vegas|Long Beach|Santa Ana|St. Louis|Baton Rouge|Des Moines|San Jose".split("|"),
    "drugs": "Aspirin Protect|Aspirin Plus|Vitamin D|Vitamin C|Vitamin K|Insulin Glargin|Insulin Lispro|Insulin Aspart|Folic Acid".split("|"),
    "types": [f"{what} {letter}" for what in ("Type", "Grade", "Class") for letter in "ABCDE"],
    "departments": "Internal Medicine|General Surgery|Intensive Care|Emergency Department|Human Resources|Customer Service|Day Clinic".split("|"),
    "schools": "Primary School|High School|Middle School|Trade School|Night School|University Degree|Vocational Training".split("|"),
    "products": [f"{size} {what}" for size in ("Small", "Medium", "Large", "Extra", "Giant") for what in ("Box", "Bag", "Crate", "Tin")],
}  # fmt: skip


@pytest.mark.parametrize("kind", TWO_WORDS)
@pytest.mark.parametrize("name", ["what", "category", "position", "mother", "Contact"])
@pytest.mark.parametrize("n_rows", [9, 40])
def test_categories_of_two_words_with_capitals_are_no_names(kind: str, name: str, n_rows: int) -> None:
    df = rows_each(name, TWO_WORDS[kind], n_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Metadata.infer(df).column(name).kind == "categorical"
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


LIKE_NAMES = {
    "saints": [f"{saint} {name}" for saint in ("St.", "Santa", "Lake") for name in ("Anna", "Maria", "Clara", "Paul", "Peter", "Martin")],
    "chairs": [f"{name} Chair" for name in ("Anna", "Maria", "Clara", "Paul", "Peter", "Martin", "Otto", "Nina")],
    "firms": "Calvin Klein|Tommy Hilfiger|Hugo Boss|Louis Vuitton|Yves Rocher|Ralph Lauren|Jack Wolfskin|New Balance|North Face|Under Armour|Levi Strauss|Zara Home".split("|"),
    "plants": "Rosa Canina|Viola Odorata|Veronica Persica|Iris Sibirica|Salvia Nemorosa|Olea Europaea|Melissa Officinalis|Bellis Perennis".split("|"),
    "scans": "MR Head|MR Spine|MR Knee|CT Head|CT Chest|HR Mean|Ms Word|Fr Morning|Sr. Analyst|Prof Specialty".split("|"),
    "small letters": "heart failure|max power|max load|rose gold|jack plug|mark one|lung cancer|los angeles|san jose".split("|"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LIKE_NAMES)
@pytest.mark.parametrize("n_rows", [9, 150])
def test_things_that_are_called_like_people_are_no_names(kind: str, n_rows: int) -> None:
    assert not told_of_names("what", LIKE_NAMES[kind], n_rows)


@pytest.mark.parametrize("kind", ["job titles", "types", "departments", "schools"])
@pytest.mark.parametrize("name", ["employee", "nurse", "patient", "name"])
def test_titles_types_departments_and_schools_are_no_names_under_headings_of_people(kind: str, name: str) -> None:
    df = rows_each(name, TWO_WORDS[kind], 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


SPECIALITIES = [
    f"{start}olog{end}"
    for start in ("Cardi", "Neur", "Ur", "Radi", "Dermat", "Onc", "Path")
    for end in ("ist", "e", "y")
]


@pytest.mark.parametrize("name", ["doctor", "Arzt", "patient", "employee", "name"])
@pytest.mark.parametrize("values", [SPECIALITIES, TWO_WORDS["job titles"]], ids=["specialities", "job titles"])
def test_many_titles_and_specialities_are_no_names_for_infer_and_fit(name: str, values: list[str]) -> None:
    assert not told_of_names(name, values, 12)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("n dossier", 1, 3), ("nombre_medicos", 1, 39), ("Teilnehmer", 1, 39)]
)
def test_numbers_that_may_count_people_or_their_files_are_no_identifiers(name: str, low: int, high: int) -> None:
    rng = np.random.default_rng(1)
    df = pd.DataFrame({name: rng.integers(low, high + 1, 300), "x": rng.normal(size=300)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Metadata.infer(df).column(name).kind in ("continuous", "categorical")
        Metadata.of({"continuous": [name, "x"]}).validate(df)


@pytest.mark.parametrize("name", ["provider name", "owner_name", "birth name"])
def test_headings_of_names_of_people_or_things_ask_about_full_names(name: str) -> None:
    df = rows_each(name, NAMES[::4], 25)
    with pytest.warns(UserWarning, match=f"{name!r} holds names"):
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)


@pytest.mark.parametrize(
    ("name", "values"),
    [("customer_type", ["new", "old", "vip"]), ("patient_group", ["A", "B", "C"]), ("client", ["state", "firm", "person"]), ("member", [0, 1]),
     ("subject", ["Maths", "English", "History", "Physics", "Art"]), ("user", ["casual", "registered"]), ("patient", ["inpatient", "outpatient"]),
     ("employees", ["1-10", "11-50", "51-200", "201-500", "500+"]), ("employees", [*range(1, 9)]), ("name", ["Iris-setosa", "Iris-virginica"]),
     ("nurse", ["Ward Nurse", "Head Nurse", "Night Nurse", "Lead Nurse", "Student Nurse"]), ("client", [1, 2, 3]), ("doctor", ["GP", "none"]),
     ("patient_id_type", ["card", "passport", "none"]), ("name", ["A", "B", "C", "D", "E"]),
     ("product_name", LAST), ("Name des Medikaments", LAST), ("nombre del producto", NAMES[:12]), ("nom de la ville", LAST), ("Straßenname", LAST),
     ("hospital name", NAMES[:12]), ("file name", ["a.csv", "b.csv"]), ("subject_name", ["Maths", "Art"]), ("name_de", LAST), ("Nombre", LAST),
     ("first", [*range(1, 9)]), ("First", MONTHS), ("Last", ["Monday", "Friday"]), ("last result", ["positive", "negative"]), ("name_length", [3, 4, 5]),
     ("usage_name", ["Heating", "Cooling"]), ("birth name", ["Caesarean", "Forceps"]), ("provider name", ["Aetna", "Cigna", "Blue Cross"]),
     ("Nombre de enfants", [0, 1, 2]), ("nombre d'enfants", [0, 1, 2]), ("nombre de patients", [*range(1, 9)]), ("Mitarbeiterzahl", [1, 5, 20]),
     ("Titular", ["Titular uno", "Titular dos", "Beneficiario", "Otro titular", "Sin datos"]), ("Behandlung", ["Operation", "Physio"]),
     ("patient", ["in hospital", "day care", "at home", "nursing home", "still unknown"]), ("badge", ["gold", "silver", "bronze"])],
)  # fmt: skip
def test_categories_under_headings_of_people_are_learnt(name: str, values: list[Any]) -> None:
    df = rows_each(name, values, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metadata = Metadata.infer(df)
        Metadata.of({"categorical": [name], "continuous": ["x"]}).validate(df)
    assert (metadata.unit, metadata.column(name).kind) == (None, "categorical")


@pytest.mark.parametrize("name", ["patient_id", "case_number", "fallnummer"])
def test_numbers_with_a_slash_of_a_column_called_a_persons_are_no_pair_though_a_few_repeat(name: str) -> None:
    rng = np.random.default_rng(77)
    cells = [f"{n}/{year}" for n, year in zip(rng.integers(1, 2000, 300), rng.integers(20, 24, 300), strict=True)]
    assert len(set(cells)) < 300
    with pytest.warns(UserWarning, match="looks like an identifier"):
        metadata = Metadata.infer(pd.DataFrame({name: cells, "x": rng.normal(size=300).round(2)}))
    assert not any(column.part_of for column in metadata.columns)
    assert {column.name: column.kind for column in metadata.columns}[name] in ("id", "ignore")


def test_a_grid_of_settings_in_equal_shares_is_no_unit() -> None:
    doses = np.tile(np.arange(1_000, 6_000, 50), 4)
    metadata = Metadata.infer(pd.DataFrame({"dose": doses, "x": np.random.default_rng(0).normal(size=400).round(2)}))
    assert metadata.unit is None
    assert metadata.columns[0].kind == "continuous"


def many_rows(n_people: int, n_rows: int, odd: float) -> pd.DataFrame:
    """Visits of 300 patients, the first of whom come ``n_rows`` times, with an odd value and an odd length of stay each time."""
    rng = np.random.default_rng(n_rows + n_people)
    who = np.repeat(np.arange(300), [n_rows] * n_people + [*rng.integers(1, 6, 300 - n_people)])
    test = np.where(who < n_people, "K", rng.choice(["K", "Na"], len(who)))
    value = np.where(who < n_people, odd, rng.uniform(3, 5, len(who)).round(1) + 130 * (test == "Na"))
    days = np.where(who < n_people, odd // 1, rng.integers(1, 20, len(who)))
    came = pd.Series(pd.Timestamp("2010-01-01") + pd.to_timedelta(rng.integers(0, 4_700, len(who)), unit="D"))
    return pd.DataFrame({
        "patient": who, "test": test, "value": value, "came": came, "left": came + pd.to_timedelta(days, unit="D")
    })  # fmt: skip


STAYS = Metadata.of({
    "continuous": ["value"], "categorical": ["test"], "datetime": ["came", "left"], "id": ["patient"], "unit": "patient",
    "relations": [
        {"kind": "ranges", "category": "test", "number": "value"}, {"kind": "interval", "start": "came", "end": "left"},
    ],
})  # fmt: skip


@pytest.mark.parametrize(("n_people", "n_rows"), [(1, 5), (1, 100), (3, 50), (4, 20)])
def test_few_people_with_many_rows_move_no_end_of_a_relation(n_people: int, n_rows: int) -> None:
    plan, other = (
        Reduction.fit(df, STAYS.with_relations(df), np.random.default_rng(0), is_repair=False, min_count=K)
        for df in (many_rows(n_people, n_rows, odd) for odd in (987.6, 4567.8))
    )
    assert plan.kept == other.kept
    assert replace(plan.distances["left"], ends=None) == replace(other.distances["left"], ends=None)
    ends = {category: (low, high) for category, low, high in plan.kept[0].ranges}
    assert 2 <= ends["K"][0] <= 3
    assert 5 <= ends["K"][1] <= 6.5
    assert plan.distances["left"].reach <= 40
    assert plan.distances["left"].typical <= 20


def test_dates_of_a_unit_end_where_those_of_enough_people_do() -> None:
    df = many_rows(3, 50, 5.5)
    plan = Reduction.fit(df, STAYS.with_relations(df), np.random.default_rng(0), is_repair=False, min_count=K)
    first, last = pd.to_datetime(np.array(plan.distances["left"].ends), unit="s")
    assert first <= df["left"].min() + pd.Timedelta(
        days=45
    )  # before, a year later: those who came before stayed for months
    assert last >= df["left"].max() - pd.Timedelta(days=45)


def test_how_many_rows_few_people_have_is_not_told() -> None:
    df = many_rows(1, 60, 4.4).assign(ward="east")
    df.loc[df["patient"] == 0, "ward"] = "west"
    described = Metadata.of({"continuous": ["value"], "categorical": ["ward"], "id": ["patient"], "unit": "patient"})
    with pytest.warns(UserWarning, match="not learnt: 'ward': fewer than 5 categories in some rows"):
        TableTransform.fit(df, described, rng=RNG, min_count=K)


def with_one_person(n_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits of 60 patients, and of one more who comes often; and the same table without what holds in this one's rows alone."""
    rng = np.random.default_rng(1)
    who = np.r_[np.repeat(np.arange(60), 5), np.full(n_rows, 60)]
    a, b = rng.normal(60, 12, (2, len(who))).round(1)
    is_a = rng.random(len(who)) < 0.5
    odd = who == 60
    df = pd.DataFrame({"patient": who, "age": rng.integers(20, 90, len(who)), "a": np.where(is_a, a, np.nan)})
    df["b"] = np.where(is_a, np.nan, b)
    df.loc[odd, ["a", "b"]] = np.column_stack([a, b])[odd]
    return df, odd


FEW = Metadata.of({"continuous": ["age", "a", "b"], "id": ["patient"], "unit": "patient"})


@pytest.mark.parametrize("n_rows", [40, 120])
@pytest.mark.parametrize("kind", ["formula", "equal", "order"])
def test_what_holds_in_the_rows_of_one_person_is_no_relation(kind: str, n_rows: int) -> None:
    df, odd = with_one_person(n_rows)
    other = {"formula": (1.3719 * df["a"] + 7.77).round(1), "equal": df["a"], "order": df["a"] + 1 + df["age"] % 7}
    df.loc[odd, "b"] = other[kind][odd]
    assert FEW.with_relations(df).relations == ()
    shared = df.assign(patient=np.where(odd, 60 + np.arange(len(df)) % 9, df["patient"]))  # nine people have it
    assert len(FEW.with_relations(shared).relations or ()) == 1


def test_one_person_turns_over_no_rule_of_missing_cells_whatever_the_rows() -> None:
    rng = np.random.default_rng(2)
    who = np.r_[np.repeat(np.arange(60), 5), np.full(6, 60)]
    status = np.where(who == 60, "dead", rng.choice(["in", "out"], len(who), p=[0.6, 0.4]))
    df = pd.DataFrame({"patient": who, "status": status, "bed": rng.integers(1, 300, len(who)).astype(float)})
    df.loc[status != "in", "bed"] = np.nan
    described = Metadata.of({"categorical": ["status"], "continuous": ["bed"], "id": ["patient"], "unit": "patient"})
    others = described.with_relations(df[who < 60]).relations
    assert len(others or ()) == 1
    assert described.with_relations(df).relations == others


@pytest.mark.parametrize("is_known", [True, False])
def test_a_look_up_is_that_of_most_people_not_of_most_rows(is_known: bool) -> None:
    rng = np.random.default_rng(3)
    who = np.r_[np.repeat(np.arange(400), 2), np.full(800, 400)]
    city = np.where(who == 400, "Ulm" if is_known else "Genf", rng.choice(["Kiel", "Jena", "Ulm"], len(who)))
    region = (
        pd.Series(city).map({"Kiel": "N", "Jena": "O", "Ulm": "S", "Genf": "CH"}).mask((who == 400) & is_known, "N")
    )
    df = pd.DataFrame({"patient": who, "city": city, "region": region, "age": rng.integers(20, 90, len(who))})
    kinds = {"categorical": ["city", "region"], "continuous": ["age"], "id": ["patient"], "unit": "patient"}
    (found,) = Metadata.of(kinds).with_relations(df).relations or ()
    assert sorted(found.table) == [("Jena", "O"), ("Kiel", "N"), ("Ulm", "S")]
    assert found.handling == ("learn" if is_known else "keep")
    if not is_known:
        plan = Reduction.fit(df, replace(Metadata.of(kinds), relations=(found,)), RNG, is_repair=False, min_count=K)
        assert plan.kept == (found,)


@pytest.mark.parametrize("numbers", ["rank", "mode"])
@pytest.mark.parametrize("n_far", [1, 3, 4])
def test_a_range_is_that_of_people_whoever_has_most_rows(numbers: str, n_far: int) -> None:
    """Three people with sixty rows of 737 each ended the range at 737."""
    rng = np.random.default_rng(4)
    once = pd.DataFrame({"patient": np.arange(150), "x": rng.integers(0, 20, 150)})
    far = pd.DataFrame({"patient": 150 + np.arange(n_far), "x": 737})
    described = Metadata.of({"continuous": ["x"], "id": ["patient"], "unit": "patient"})
    alone = Metadata.of({"continuous": ["x"], "ignore": ["patient"]})

    def range_of(df: pd.DataFrame, metadata: Metadata) -> tuple[float, float]:
        grid = TableTransform.fit(df, metadata, numbers=numbers, rng=RNG, min_count=K).transforms[0].grid
        return grid.minimum, grid.maximum

    df = pd.concat([once] * 2 + [far] * 60, ignore_index=True)
    assert range_of(df, described) == range_of(pd.concat([once, far], ignore_index=True), alone)


@pytest.mark.parametrize("n_rows", [12, 100])
def test_cells_that_one_person_copies_are_no_copies_of_the_columns(n_rows: int) -> None:
    rng = np.random.default_rng(5)
    who = np.r_[np.repeat(np.arange(100), 4), np.full(n_rows, 100)]
    df = pd.DataFrame(
        {"patient": who, "x": rng.normal(50, 9, len(who)).round(2), "y": rng.normal(50, 9, len(who)).round(2)}
    )
    df.loc[who == 100, "y"] = df["x"]
    described = Metadata.of({"continuous": ["x", "y"], "id": ["patient"], "unit": "patient"})
    assert TableTransform.fit(df, described, rng=RNG, min_count=K).copies == ((), ())
    shared = df.assign(patient=np.where(who == 100, 100 + np.arange(len(df)) % 20, who))
    assert TableTransform.fit(shared, described, rng=RNG, min_count=K).copies == (
        ((1,), (0,)) if n_rows == 100 else ((), ())
    )
