"""Of a teacher's rows those are chosen that look like the table's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.backends import teaching
from clover_tvae.backends.choosing import chosen_rows, log_ratios, rows_to_choose_from
from clover_tvae.ratios import picked

SEED = np.random.SeedSequence(1)


def people(n_rows: int, seed: int) -> pd.DataFrame:
    """A number that nearly tells another, and a town that tells both."""
    rng = np.random.default_rng(seed)
    town = rng.choice(["A", "B", "C"], n_rows, p=[0.6, 0.3, 0.1])
    size = rng.normal(pd.Series(town).map({"A": 0.0, "B": 3.0, "C": 6.0}))
    return pd.DataFrame({"town": town, "size": size, "weight": size + rng.normal(0, 0.1, n_rows)})


METADATA = Metadata.infer(people(500, 0))


def test_exactly_as_many_are_picked_each_in_proportion_to_its_ratio() -> None:
    ratio = np.repeat([1.0, 3.0], [3_000, 1_000])
    places = [picked(np.log(ratio), 600, np.random.default_rng(seed)) for seed in range(20)]
    assert all(len(np.unique(found)) == 600 for found in places)
    assert np.mean([(found >= 3_000).mean() for found in places]) == pytest.approx(0.5, abs=0.02)


def test_rows_of_large_ratios_are_sure_and_the_others_share_what_is_left() -> None:
    ratio = np.array([1.0] * 8 + [1e6, 1e9])
    assert {8, 9} <= set(picked(np.log(ratio), 4, np.random.default_rng(3)))
    assert picked(np.zeros(5), 5, np.random.default_rng(3)).tolist() == [0, 1, 2, 3, 4]


def test_rows_that_contradict_themselves_are_chosen_less_often(caplog) -> None:
    caplog.set_level("INFO", "clover_tvae")
    good, bad = people(3_000, 2), people(3_000, 3)
    bad["weight"] = np.random.default_rng(4).permutation(bad["weight"])
    written = pd.concat([good, bad], ignore_index=True).sample(frac=1, random_state=1, ignore_index=True)
    chosen = chosen_rows(written[:2_400], lambda: written[2_400:], people(600, 5), METADATA, SEED)
    assert len(chosen) == 2_400
    assert "chose 2,400 of 6,000 written rows, those oftener that look like the table's" in caplog.text
    off = [(rows["size"] - rows["weight"]).abs().gt(0.5).mean() for rows in (written, chosen)]
    assert off[0] > 0.4
    assert off[1] < 0.1


def test_rows_of_the_same_kind_are_kept_as_they_come_and_no_more_are_written(caplog) -> None:
    caplog.set_level("INFO", "clover_tvae")
    written, learnt = people(4_000, 6), people(2_000, 7)
    assert chosen_rows(written, lambda: pytest.fail("more were written"), learnt, METADATA, SEED) is written
    assert "took the 4,000 written rows as they are: trees hardly tell them from the table's" in caplog.text
    every = people(10_000, 8)
    rows = every.iloc[picked(log_ratios(every, learnt, METADATA, SEED), 4_000, np.random.default_rng(1))]
    shares = [rows["town"].value_counts(normalize=True) for rows in (every, rows)]
    assert (shares[0] - shares[1]).abs().max() < 0.03
    assert abs(every["size"].mean() - rows["size"].mean()) < 0.1


def test_all_rows_of_a_person_are_judged_by_trees_that_saw_none_of_them() -> None:
    described = Metadata.of(
        {"continuous": ["size", "weight"], "categorical": ["town"], "id": ["person"], "unit": "person"}
    )
    learnt = people(200, 8).loc[np.repeat(np.arange(200), 5)].reset_index(drop=True)
    learnt["person"] = np.repeat(np.arange(200), 5)
    written = people(4_000, 9).assign(person=range(4_000))
    # Five like rows of each: trees that saw four of them would know the fifth (a spread of 1.8), and believe themselves too much.
    assert log_ratios(written, learnt, described, SEED).std() < 0.3


def test_few_people_many_people_few_epochs_and_many_columns_leave_no_choice() -> None:
    assert rows_to_choose_from(600, 30, 5) == 600
    assert rows_to_choose_from(60_000, 10_000, 5) == 60_000
    assert rows_to_choose_from(60_000, 4_000, 40) == 150_000
    assert rows_to_choose_from(1_200, 300, 5) == 1_200  # of four epochs
    assert rows_to_choose_from(20_000, 1_000, 300) == 36_666
    assert rows_to_choose_from(20_000, 1_000, 900) == 20_000


def test_a_fit_lets_its_student_learn_what_was_chosen_and_shows_the_trees_no_row_that_was_held_out(monkeypatch) -> None:
    seen = []

    def spy(written, write_more, learnt, metadata, seed):
        seen.append((written, write_more(), learnt.index))
        return chosen_rows(written, write_more, learnt, metadata, seed)

    monkeypatch.setattr(teaching, "chosen_rows", spy)
    df = people(250, 10)
    TVAESynthesizer(
        df, METADATA, random_state=1, epochs=6, privacy="student", decompress_dims=(16, 16), verbose=False
    ).fit()
    ((written, more, learnt),) = seen
    assert len(more) == 1.5 * len(written)
    # Another draw; a few rows lie at the bounds in both.
    assert len(written.merge(more.drop_duplicates())) < 0.2 * len(written)
    assert 0.8 * len(df) < len(learnt) < len(df)


def test_many_categories_are_judged_the_rarest_together() -> None:
    rng = np.random.default_rng(11)
    described = Metadata.of({"continuous": ["size"], "categorical": ["town"]})

    def towns(n_rows: int, shift: float) -> pd.DataFrame:
        town = np.minimum(rng.geometric(0.05, n_rows), 90)
        return pd.DataFrame(
            {"town": np.char.add("t", town.astype(str)), "size": town + shift + rng.normal(0, 1, n_rows)}
        )

    # What a frequent town tells of the size is off in the one table, and right in the other.
    assert log_ratios(towns(2_000, 3.0), towns(500, 0.0), described, SEED).std() > 0.5
    assert log_ratios(towns(2_000, 0.0), towns(500, 0.0), described, SEED).std() < 0.3
