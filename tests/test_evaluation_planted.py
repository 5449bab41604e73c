"""Planted leaks: the page's verdict finds them, and does not accuse rows of nobody."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import hospital, shuffled

from clover_tvae.evaluation import Figure, privacy
from clover_tvae.evaluation.copies import copies_of, without_learnt_holdout
from clover_tvae.evaluation.frames import code_tables
from clover_tvae.report import readings

pytestmark = pytest.mark.long

ROWS = 300
Plant = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]


def copies(n: int) -> Plant:
    return lambda fresh, train: pd.concat([fresh.iloc[n:], train.iloc[:n]], ignore_index=True)


def noisy(fresh: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """A third of the learnt rows, with a little noise on their two real numbers."""
    rng, n = np.random.default_rng(0), len(fresh) // 3
    near = train.iloc[:n].assign(
        cost=(train["cost"].iloc[:n] * rng.normal(1, 0.01, n)).round(2),
        weight=train["weight"].iloc[:n] + rng.normal(0, 0.1, n),
    )
    return pd.concat([fresh.iloc[n:], near], ignore_index=True)


def outlier(fresh: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([fresh.iloc[1:], train.nlargest(1, "cost")], ignore_index=True)


LEAKS: dict[str, Plant] = {
    "1 copy": copies(1),
    "7 copies": copies(7),
    "1% copies": copies(ROWS // 100),
    "10% copies": copies(ROWS // 10),
    "all copies": copies(ROWS),
    "noisy copies": noisy,
    "a copied outlier": outlier,
}
NONE: dict[str, Plant] = {
    "fresh rows": lambda fresh, train: fresh,
    "shuffled columns": lambda fresh, train: shuffled(fresh, 1),
}


def found(plant: Plant, n_tables: int) -> list[set[str]]:
    """The figures that read "leak found", table by table."""
    results = []
    for seed in range(n_tables):
        train, holdout, fresh = (hospital(ROWS, 1_000 * seed + part) for part in range(3))
        read = readings(privacy(train, plant(fresh, train), holdout, seed=seed))
        results.append({reading.key for reading in read if reading.counts and reading.verdict == "worse"})
    return results


@pytest.mark.parametrize("case", LEAKS)
def test_what_is_planted_is_found(case: str) -> None:
    assert found(LEAKS[case], 1)[0]


@pytest.mark.slow
@pytest.mark.parametrize("case", LEAKS)
def test_what_is_planted_is_found_in_nearly_all_of_40_tables(case: str) -> None:
    assert sum(map(bool, found(LEAKS[case], 40))) >= (30 if case == "noisy copies" else 39)


# At a rate of 5%, more than 1 of 3 have a chance of one in 138, more than 5 of 40 of one in 70.
@pytest.mark.parametrize(("n_tables", "at_most"), [(3, 1), pytest.param(40, 5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", NONE)
def test_rows_of_nobody_are_rarely_accused(case: str, n_tables: int, at_most: int) -> None:
    assert sum(map(bool, found(NONE[case], n_tables))) <= at_most


def told_to_be_learnt(*tables: pd.DataFrame) -> bool:
    coded = code_tables(dict(zip(("real", "synthetic", "holdout"), tables, strict=True)))
    return "holdout" not in without_learnt_holdout(coded).tables


@pytest.mark.parametrize("case", [*LEAKS, *NONE])
def test_a_holdout_whose_rows_are_copied_was_learnt_and_no_other_of_40_tables(case: str) -> None:
    for seed in range(40):
        real, holdout, fresh = (hospital(ROWS, 1_000 * seed + part) for part in range(3))
        assert not told_to_be_learnt(real, (LEAKS | NONE)[case](fresh, real), holdout)
        exchanged = told_to_be_learnt(holdout, (LEAKS | NONE)[case](fresh, real), real)
        assert exchanged == (case in ("10% copies", "all copies"))


@pytest.mark.parametrize("n_columns", [3, 5, 8])
def test_few_distinct_rows_and_commoner_ones_are_no_sign_that_a_holdout_was_learnt(n_columns: int) -> None:
    rng = np.random.default_rng(n_columns)

    def answers(n: int, common: float = 0.6) -> pd.DataFrame:
        shares = [common, 0.7 * (1 - common), 0.3 * (1 - common)]
        return pd.DataFrame({f"q{i}": rng.choice([1, 2, 3], n, p=shares) for i in range(n_columns)})

    for _ in range(40):
        for common in (0.6, 0.8):
            assert not told_to_be_learnt(answers(300), answers(300, common), answers(600, common))


def test_copies_are_counted_beside_those_of_held_out_people_and_rare_ones_named() -> None:
    train, holdout, fresh = (hospital(ROWS, part) for part in range(3))
    figures = privacy(train, pd.concat([fresh, train.head(7), holdout.head(2)], ignore_index=True), holdout)
    assert "7 of 309 rows equal a training row, 2 one of 300 held-out rows." in figures["privacy.copies"].note
    assert figures["privacy.copies"].p == pytest.approx(0.089, abs=0.002)  # Fisher: 7 of 9 are learnt ones
    assert figures["privacy.copied_rare"].value == 7
    alone = privacy(train, pd.concat([fresh, train.head(1)]), None)
    assert alone["privacy.copies"].p is None
    assert alone["privacy.copied_rare"].p == 0


def test_copies_that_chance_explains_are_no_leak() -> None:
    rng = np.random.default_rng(0)

    def answers(n: int) -> pd.DataFrame:
        return pd.DataFrame({f"q{i}": rng.choice([1, 2, 3], n, p=[0.6, 0.3, 0.1]) for i in range(8)})

    for n_holdout in (30, 300):
        tables = {"real": answers(300), "synthetic": answers(300), "holdout": answers(n_holdout)}
        counted = copies_of(code_tables(tables), 5)
        assert counted.rare > 5
        assert counted.p_rare > 0.01
    assert copies_of(code_tables({"real": answers(300), "synthetic": answers(300)}), 5).p_rare > 0.01


def test_a_common_row_is_not_rare_and_a_person_is_counted_once() -> None:
    train = pd.DataFrame({"x": [1.0] * 5 + [2.0, np.nan], "s": ["a"] * 5 + ["b", None]})
    drawn = pd.DataFrame({"x": [1.0, 2.0, np.nan, 3.0], "s": ["a", "b", None, "b"]})
    assert copies_of(code_tables({"real": train, "synthetic": drawn}), 5).rare == 2
    visits = {"continuous": ["x"], "categorical": ["s"], "id": ["who"], "unit": "who"}
    of_one = code_tables({"real": train.assign(who=[1] * 5 + [2, 3]), "synthetic": drawn.assign(who=0)}, visits)
    assert copies_of(of_one, 5).rare == 3  # five rows of one person are shared by nobody


def test_verdicts_are_corrected_for_their_number() -> None:
    keys = [
        f"privacy.membership_{measure}{group}" for group in ("", "_outliers") for measure in ("auc", "tpr1", "tpr10")
    ]
    one = [Figure.of(key, 0.6, n=9, p=0.02 if key == keys[0] else 0.5) for key in keys]
    assert {reading.verdict for reading in readings(one)} == {"equal"}
    assert readings(one[:1])[0].verdict == "worse"
    steps = [Figure.of(key, 0.6, n=9, p=p) for key, p in zip(keys, (0.008, 0.009, 0.012, 0.9, 0.9, 0.9), strict=True)]
    assert [reading.verdict for reading in readings(steps)].count("worse") == 3  # step by step the rest is fewer
