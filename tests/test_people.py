"""Several rows a person: who is counted, divided and drawn is people, wherever real rows are."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refuses
from torch import nn

from clover_tvae import TVAESynthesizer
from clover_tvae.backends.sizing import plan_training
from clover_tvae.columns.people import bootstrapped, drawn_people, least_rows, one_row_each, people_of
from clover_tvae.errors import CloverWarning, DataError, MetadataError, TooFewRowsError
from clover_tvae.evaluation import measure
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import code_tables
from clover_tvae.evaluation.membership import attack_membership
from clover_tvae.evaluation.shadow_models import membership_shadow
from clover_tvae.evaluation.two_sample import two_sample_auc
from clover_tvae.metadata import Column, Metadata
from clover_tvae.metadata.infer import inferred
from clover_tvae.model.elbo import ElboTerms
from clover_tvae.parameters import Parameters
from clover_tvae.training import Trainer, TrainingConfig
from clover_tvae.transforms import TableTransform
from clover_tvae.workflows.assessment import split_holdout

N_PEOPLE, N_VISITS = 120, 5
META = {"continuous": ["x", "y"], "categorical": ["ward"], "id": ["patient"], "unit": "patient"}


def visits(seed: int = 0, n_people: int = N_PEOPLE) -> pd.DataFrame:
    """A table in which all visits of a person are nearly alike, and people are not."""
    rng = np.random.default_rng(seed)
    of_person = rng.normal(size=(n_people, 2)).repeat(N_VISITS, axis=0) * 100
    noise = rng.normal(size=of_person.shape) * 0.01
    frame = pd.DataFrame(np.round(of_person + noise, 3), columns=["x", "y"])
    frame["ward"] = rng.choice(["a", "b", "c"], n_people).repeat(N_VISITS)
    frame["patient"] = [f"P{seed}-{i}" for i in range(n_people) for _ in range(N_VISITS)]
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


def test_rows_without_a_value_are_people_of_their_own() -> None:
    df = pd.DataFrame({"id": [7, None, 7, None]})
    assert people_of(df, "id").tolist() == [0, 1, 0, 2]
    assert people_of(df, None) is None


def test_any_rows_of_the_least_number_are_of_so_many_people() -> None:
    rng = np.random.default_rng(0)
    people = rng.integers(0, 30, 200)
    for k in (1, 2, 5, 10):
        n_rows = least_rows(people, k)
        assert all(len(np.unique(rng.permutation(people)[:n_rows])) >= k for _ in range(50))
        largest = np.argsort(-np.bincount(people))[: k - 1]
        assert np.isin(people, largest).sum() == n_rows - 1  # one row less may be of fewer people


@pytest.mark.parametrize("numbers", ["rank", "raw", "mode"])
@pytest.mark.parametrize("n_rows", [1, 40, 80])
@pytest.mark.parametrize("most", [211.0, 2110.0])
def test_who_has_many_rows_weighs_no_more_in_an_average_than_the_others(numbers: str, n_rows: int, most: float) -> None:
    """A patient taller than all others, who comes oftener than all others; the others have one to five visits, up to 192 cm."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, 200)
    sizes[0] = n_rows
    heights = np.round(np.random.default_rng(1).normal(170, 8, 200).clip(150, 192))
    heights[0] = most
    people = np.repeat(np.arange(200), sizes)
    df = pd.DataFrame({"patient": people, "height": heights[people]})
    meta = Metadata.of({"continuous": ["height"], "id": ["patient"], "unit": "patient"})
    made = TableTransform.fit(df, meta, numbers=numbers, copies=False, rng=rng, min_count=5)
    shown = made.decode(made.encode(df, rng, "fold"))["height"]
    assert shown.max() <= (
        197 if most == 211 else 205
    )  # as high as the mean of five people of whom he is one, pulled in


@pytest.mark.parametrize("min_count", [2, 3, 5])
def test_one_far_from_all_others_is_pulled_in_at_any_min_count(min_count: int) -> None:
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"wage": np.append(np.round(rng.normal(4000, 600, 300)), 10_000_000.0)})
    made = TableTransform.fit(
        df, Metadata.of({"continuous": ["wage"]}), numbers="rank", copies=False, rng=rng, min_count=min_count
    )
    assert made.decode(made.encode(df, rng, "fold"))["wage"].max() < 10_000


def test_a_unit_in_which_a_value_stands_for_nobody_is_warned_of() -> None:
    df = pd.DataFrame({"patient": [f"P{i // 2}" for i in range(200)] + ["unknown"] * 40, "age": np.arange(240) % 60})
    meta = Metadata.of({"continuous": ["age"], "id": ["patient"], "unit": "patient"})
    with pytest.warns(UserWarning, match="'patient': one value of the unit"):
        meta.validate(df)
    meta.validate(df.replace({"patient": {"unknown": None}}))
    meta.validate(df.head(200))


def test_draws_take_people_whole() -> None:
    people, rng = np.repeat(np.arange(50), 4), np.random.default_rng(1)
    drawn = drawn_people(people, 200, 42, rng)
    assert drawn.sum() == 40
    assert set(np.bincount(people[drawn])) == {0, 4}
    alone = drawn_people(None, 200, 42, np.random.default_rng(2))
    assert np.flatnonzero(alone).tolist() == sorted(np.random.default_rng(2).permutation(200)[:42].tolist())
    each = one_row_each(people, 200, rng)
    assert sorted(people[each]) == list(range(50))
    again = people[bootstrapped(people, 200, 200, rng)]
    assert len(again) == 200
    assert set(np.bincount(again) % 4) == {0}


def test_a_person_is_held_out_whole() -> None:
    df = visits()
    train, held = split_holdout(df, 0.2, 3, "patient")
    assert len(held) == 120
    assert not set(train["patient"]) & set(held["patient"])
    with pytest.raises(TooFewRowsError):
        split_holdout(df.assign(patient="the same"), 0.2, 3, "patient")


class _Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: torch.Tensor, generator: torch.Generator | None = None) -> ElboTerms:
        return ElboTerms((x - self.mean).square(), torch.zeros(len(x)))


def test_training_watches_people_whom_it_does_not_train_on() -> None:
    people = np.random.default_rng(0).permutation(np.repeat(np.arange(20), 5))
    config = TrainingConfig(epochs=1, batch_rows=10, validation_fraction=0.2)
    training = Trainer(config, verbose=False).fit(_Mean(), (torch.zeros(100),), seed=1, people=people)
    watched = people[training.validation_rows]
    assert len(watched) == 20
    assert not set(watched) & set(np.delete(people, training.validation_rows))


@pytest.mark.parametrize(("n_people", "held_out"), [(60, 9), (220, 33), (1_000, 50), (20_000, 1_000)])
def test_as_many_people_are_watched_as_where_each_is_one_row(n_people: int, held_out: int) -> None:
    share = plan_training(Parameters(), n_people * N_VISITS, 10, n_people=n_people).training.validation_fraction
    assert round(n_people * share) == held_out
    assert share == plan_training(Parameters(), n_people, 10).training.validation_fraction


@pytest.mark.long
def test_who_was_learnt_can_be_checked_of_two_hundred_people_with_several_visits() -> None:
    synth = TVAESynthesizer(visits(n_people=220), META, random_state=1, epochs=1, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CloverWarning)
        synth.fit()
    assert "could not be made" not in synth.card()["privacy"]["membership_check"]


@pytest.mark.long
def test_folds_keep_people_together() -> None:
    """Trees that know a person's other visits tell copies of people apart from others: group folds take that away."""
    first, second = visits(0), visits(1)
    both = {"real": first, "holdout": second}
    by_row, by_person = (
        two_sample_auc(*code_tables(both, meta).tables.values(), seed=0)[0] for meta in ({**META, "unit": None}, META)
    )
    assert by_row > 0.9
    assert by_person < 0.7


def test_small_counts_are_of_people() -> None:
    df = visits()
    tables = code_tables({"real": df, "synthetic": df.drop(columns="patient")}, META)
    rule = Disclosure.of(10, tables)
    assert rule.min_count == 9 * N_VISITS + 1
    assert Disclosure.of(10, code_tables({"real": df}, {**META, "unit": None})).min_count == 10


@pytest.mark.long
def test_attacks_are_on_people() -> None:
    train, held = visits(0), visits(1)
    tables = code_tables({"real": train, "holdout": held, "synthetic": train.drop(columns="patient")}, META)
    score = attack_membership(tables, seed=0)["membership"]["random"]["chosen"]
    assert (score.n_members, score.n_others) == (N_PEOPLE, N_PEOPLE // 2)
    assert score.values[0] > 0.9  # copies


def test_shadow_halves_are_of_people() -> None:
    df, seen = visits(n_people=60), list[pd.DataFrame]()

    def fit_and_sample(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        seen.append(rows)
        return rows.drop(columns="patient")

    figures = membership_shadow(fit_and_sample, df, META, k=4)
    assert all(set(rows["patient"].value_counts()) == {N_VISITS} for rows in seen)
    assert figures.tables["shadow"]["n"].max() <= 4 * 60
    with pytest.raises(TooFewRowsError, match="people"):
        membership_shadow(fit_and_sample, visits(n_people=30), META, k=4)


@pytest.mark.long
def test_the_same_people_on_both_sides_are_warned_of() -> None:
    df = visits(n_people=20)
    with pytest.warns(UserWarning, match="some people are in the training rows and in the held-out rows"):
        figures = measure(df, df.drop(columns="patient"), df.assign(x=df["x"] + 0.001), META)
    assert any("20 people" in note for note in figures.notes)  # too few for any figure of privacy


def test_real_tables_must_have_the_unit() -> None:
    df = visits()
    with pytest.raises(DataError, match=r"holdout table.*'patient' is missing"):
        measure(df, df.drop(columns="patient"), df.drop(columns="patient"), META)


def infer_of_visits(cells: pd.Series, own: str | list[str], n_people: int) -> Column:
    """Return what a column is taken for, whose cells the first people, of five visits each, write otherwise."""
    visits = pd.DataFrame({"patient": [f"P{i // 5:03d}" for i in range(600)], "c": cells})
    rows = np.arange(5 * n_people)
    visits.loc[rows, "c"] = np.resize(np.array(own, dtype=object), len(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = Metadata.infer(visits)
    assert meta.unit == "patient"
    return meta.column("c")


NUMBERS = pd.Series(np.arange(600) % 80 + 10).astype(str)
DAYS = pd.Series(pd.date_range("2020-01-01", periods=600))


@pytest.mark.parametrize(
    ("option", "cells", "own"),
    [
        ("missing", NUMBERS, "n/a"),
        ("missing", NUMBERS, "refused by her"),
        ("below", NUMBERS, "<7"),
        ("above", NUMBERS, ">123"),
        ("false", pd.Series(["Yes"] * 600), "No"),
        ("formats", DAYS.dt.strftime("%d.%m.%Y"), [*DAYS[:9].dt.strftime("%Y/%m/%d")]),
    ],
)
def test_words_of_one_person_do_not_stand_in_the_metadata(option: str, cells: pd.Series, own: str | list[str]) -> None:
    assert option not in infer_of_visits(cells, own, 1).options
    assert option not in infer_of_visits(cells, own, 4).options
    if own != "refused by her":  # which is asked about
        assert option in infer_of_visits(cells, own, 5).options


def test_a_unit_of_measure_is_spelt_as_enough_people_spell_it() -> None:
    cells = [f"{i % 80 + 10}.5 kg" for i in range(300)] + [f"{i % 80 + 10}.5kG" for i in range(400)]
    visits = pd.DataFrame({"patient": [*np.repeat(np.arange(60), 5), *[60] * 400], "c": cells})
    visits["patient"] = "P" + visits["patient"].astype(str).str.zfill(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert Metadata.infer(visits).column("c").unit == "kg"


def test_a_unit_of_measure_that_nobody_spells_as_others_do_is_in_small_letters() -> None:
    spellings = [f"{x}{y}{z}" for x in ("m", "M") for y in ("m", "M") for z in ("hg", "hG", "Hg")]
    cells = pd.Series([f"{i % 80 + 10}.5{spellings[i // 50]}" for i in range(600)])
    visits = pd.DataFrame({"patient": [f"P{i // 50:03d}" for i in range(600)], "c": cells})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert Metadata.infer(visits).column("c").unit == "#mmhg"


@pytest.mark.parametrize("own", ["12.75", "12", "1.2e1"])
def test_how_many_decimals_numbers_are_written_with_is_that_of_enough_people(own: str) -> None:
    cells = pd.Series([f"{i % 80 + 10}.5" for i in range(600)])
    usual = infer_of_visits(cells, cells.head(5).tolist(), 1)
    assert usual.decimals == 1
    assert infer_of_visits(cells, own, 1) == infer_of_visits(cells, own, 4) == usual
    assert infer_of_visits(cells, own, 5).decimals is None


def test_the_offset_from_utc_is_that_of_enough_people() -> None:
    winter = [f"{day} 08:00:00+01:00" for day in DAYS.dt.strftime("%Y-%m-%d")]
    summer = [f"{day} 08:00:00+02:00" for day in DAYS[:9].dt.strftime("%Y-%m-%d")]
    usual = infer_of_visits(pd.Series(winter), winter[:9], 1)
    assert usual.time_zone == "UTC+01:00"
    assert infer_of_visits(pd.Series(winter), summer, 1) == infer_of_visits(pd.Series(winter), summer, 4) == usual
    assert infer_of_visits(pd.Series(winter), summer, 5).time_zone == "UTC"


@pytest.mark.parametrize("unit", ["", " kg"])
def test_numbers_that_mean_missing_are_those_of_enough_people(unit: str) -> None:
    visits = pd.DataFrame({"patient": [f"P{i // 5:03d}" for i in range(600)], "c": np.arange(600) % 80 + 10})
    for n_people in (4, 5):
        visits.loc[: 5 * n_people - 1, "c"] = 999
        df = visits.assign(c=visits["c"].astype(str) + unit) if unit else visits
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            Metadata.infer(df)
        assert any("cells 999" in str(one.message) for one in said) == (n_people == 5)
        if n_people == 4:
            with refuses(MetadataError, "set"):
                inferred(df, {"c": "missing"})


def test_digits_are_dates_with_leading_zeros_where_enough_people_have_one() -> None:
    late = pd.Series([day.strftime("%d%m%Y") for day in DAYS if day.day > 9] * 2).head(600)
    cells = late.reindex(range(600)).fillna("11112020")
    own = [day.strftime("%d%m%Y") for day in DAYS if day.day < 6][:5]
    found = [infer_of_visits(cells, own, n_people).kind for n_people in (1, 4, 5)]
    assert found[0] == found[1] == infer_of_visits(cells, cells[:5].tolist(), 1).kind
    assert found[2] == "datetime"


def test_the_hundred_years_of_short_years_are_those_of_enough_people() -> None:
    cells = pd.Series([f"{day % 28 + 1:02d}.03.{40 + day % 50}" for day in range(600)])
    own = [f"{day:02d}.05.{year}" for day in range(1, 29) for year in (20, 21)]
    usual = infer_of_visits(cells, cells[:5].tolist(), 1).century_starts
    assert infer_of_visits(cells, own, 1).century_starts == infer_of_visits(cells, own, 4).century_starts == usual
    assert infer_of_visits(cells, own, 5).century_starts == 1920


@pytest.mark.long
@pytest.mark.parametrize("decoder", ["autoregressive", "independent"])
def test_a_table_of_visits_is_learnt_and_its_unit_is_not(decoder: str, tmp_path) -> None:
    df = visits().assign(total=lambda rows: rows["x"] + rows["y"])
    meta = Metadata.from_dict({**META, "continuous": ["x", "y", "total"]})
    synth = TVAESynthesizer(df, meta, random_state=0, epochs=2, decoder=decoder, verbose=False)
    synth.add_constraints([{"kind": "predicate", "expression": "ward != 'd'"}]).fit()
    synth.save(tmp_path / "g.pkl")
    again = TVAESynthesizer.load(tmp_path / "g.pkl")
    assert again.metadata.unit == "patient"
    rows = again.sample(200, random_state=1)
    pd.testing.assert_frame_equal(rows, synth.sample(200, random_state=1))
    assert list(rows) == ["x", "y", "ward", "total"]
    assert np.allclose(rows["x"] + rows["y"], rows["total"])
    assert {"total = x + y", "ward != 'd'"} & {str(relation) for relation in again.metadata.relations}
