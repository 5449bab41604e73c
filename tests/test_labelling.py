"""What is to be predicted is written anew, given the rest of each row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.backends import labelling
from clover_tvae.backends.labelling import labelled
from clover_tvae.backends.lesson import TARGET_COUNTS
from clover_tvae.model.autoregressive import AutoregressiveDecoder

SEED = np.random.SeedSequence(1)


def people(n_rows: int, seed: int, *, is_crossed: bool = False) -> pd.DataFrame:
    """Who leaves, of whom every column tells a little; or two columns together, and none alone."""
    rng = np.random.default_rng(seed)
    numbers = pd.DataFrame(rng.normal(size=(n_rows, 8)), columns=[f"x{i}" for i in range(8)])
    town = rng.choice(["A", "B", "C"], n_rows)
    told = 4 * np.sign(numbers["x0"] * numbers["x1"]) if is_crossed else numbers.sum(axis=1) + (town == "A")
    left = rng.random(n_rows) < 1 / (1 + np.exp(-told))
    return numbers.assign(town=town, left=np.where(left, "yes", "no"))


METADATA = Metadata.infer(people(500, 0), variable_to_predict="left")


def shuffled(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a teacher that knows all columns but nothing of the target."""
    return rows.assign(left=np.random.default_rng(1).permutation(rows["left"]))


@pytest.mark.parametrize(("is_crossed", "least"), [(False, 0.9), (True, 0.85)])
def test_a_target_that_a_teacher_lost_comes_back_and_the_other_cells_stay(is_crossed, least) -> None:
    learnt, written = people(600, 2, is_crossed=is_crossed), shuffled(people(3_000, 3, is_crossed=is_crossed))
    told = -written["x0"] * written["x1"] if is_crossed else -written.filter(like="x").sum(axis=1)
    found = labelled(written, learnt, METADATA, SEED, 5)
    pd.testing.assert_frame_equal(found.drop(columns="left"), written.drop(columns="left"))
    assert roc_auc_score(written["left"] == "no", told) < 0.55
    assert roc_auc_score(found["left"] == "no", told) > least - 0.05
    assert (found["left"] == "yes").mean() == pytest.approx((learnt["left"] == "yes").mean(), abs=0.05)
    assert found.equals(labelled(written, learnt, METADATA, SEED, 5))


def test_missing_cells_and_rare_classes_stay_where_they_are() -> None:
    learnt, written = people(600, 4), shuffled(people(2_000, 5))
    learnt.loc[:3, "left"], written.loc[:9, "left"], written.loc[10:19, "left"] = "retired", "retired", np.nan
    described = Metadata.infer(learnt, variable_to_predict="left", set={"left": "categorical"})
    found = labelled(written, learnt, described, SEED, 5)["left"]
    assert (found[:10] == "retired").all()
    assert found[10:20].isna().all()
    assert found.isna().sum() == 10
    assert set(found[20:]) == {"yes", "no"}
    assert not found[20:].equals(written["left"][20:])


def test_of_many_people_some_are_learnt_and_a_class_that_few_of_them_have_stays(monkeypatch) -> None:
    monkeypatch.setattr(labelling, "_MOST_LEARNT", 200)
    learnt, written = people(3_000, 4), shuffled(people(2_000, 5))
    learnt.loc[:14, "left"], written.loc[:9, "left"] = "a few", "a few"
    described = Metadata.infer(learnt, variable_to_predict="left", set={"left": "categorical"})
    found = labelled(written, learnt, described, SEED, 5)
    assert (found["left"] == "a few").tolist() == (written["left"] == "a few").tolist()
    assert roc_auc_score(found["left"][10:] == "yes", found.filter(like="x").sum(axis=1)[10:]) > 0.8


@pytest.mark.parametrize("dtype", ["category", "string", "int64", "boolean"])
def test_cells_keep_their_type(dtype) -> None:
    learnt, written = people(400, 6), shuffled(people(900, 7))
    coded = {"int64": {"yes": 1, "no": 0}, "boolean": {"yes": True, "no": False}}.get(dtype, {"yes": "yes", "no": "no"})
    learnt, written = (rows.assign(left=rows["left"].map(coded).astype(dtype)) for rows in (learnt, written))
    described = Metadata.infer(learnt, variable_to_predict="left", set={"left": "categorical"})
    found = labelled(written, learnt, described, SEED, 5)
    assert found["left"].dtype == written["left"].dtype
    assert not found["left"].equals(written["left"])


def test_rows_stay_as_they_are_where_nothing_is_to_be_won() -> None:
    learnt, written = people(600, 8), people(1_200, 9)
    number = Metadata.infer(learnt, variable_to_predict="x0")
    ruled = Metadata.of({**METADATA.to_dict(), "relations": [{"kind": "combinations", "among": ["town", "left"]}]})
    for described in (Metadata.infer(learnt), number, ruled):
        assert labelled(written, learnt, described, SEED, 5) is written
    alone = Metadata.of({"categorical": ["left"], "variable_to_predict": "left"})
    assert labelled(only := written[["left"]], learnt[["left"]], alone, SEED, 5) is only
    assert labelled(written, learnt[:99], METADATA, SEED, 5) is written
    assert labelled(written, shuffled(learnt), METADATA, SEED, 5) is written  # nothing tells it


def test_rows_of_one_person_are_in_one_part() -> None:
    """A person's rows are alike: were they in two parts, models would pass that know people by heart and nobody else."""
    rng = np.random.default_rng(10)
    rows = people(120, 11).assign(left=rng.permutation(["yes", "no"] * 60), no=np.arange(120))
    rows, written = pd.concat([rows] * 6, ignore_index=True), people(600, 12).assign(no=0)
    described = METADATA.to_dict()
    described = {**described, "categorical": [*described["categorical"]], "id": ["no"]}
    assert labelled(written, rows, Metadata.of({**described, "unit": "no"}), SEED, 5) is written
    assert labelled(written, rows, Metadata.of(described), SEED, 5) is not written


@pytest.mark.parametrize(("n_rows", "n_classes"), [([100, 1, 1, 1, 1], 2), ([25, 25, 25, 25], 3)])
def test_classes_are_learnt_of_enough_people_whoever_has_most_rows(n_rows, n_classes, monkeypatch) -> None:
    monkeypatch.setattr(labelling, "_MOST_LEARNT", 300)
    no = np.repeat(np.arange(300), [*n_rows, *[3] * (300 - len(n_rows))])  # the first have a class of their own
    rows = people(len(no), 14).assign(no=no)
    rows.loc[no < len(n_rows), "left"] = "a few"
    if n_classes == 2:
        rows["left"] = rows["left"].replace("no", "yes")
    written = pd.concat([rows] * 3, ignore_index=True)
    described = Metadata.of({
        "continuous": [f"x{i}" for i in range(8)], "categorical": ["town", "left"], "id": ["no"], "unit": "no",
        "variable_to_predict": "left",
    })  # fmt: skip
    for seed in range(6):
        found = labelled(written, rows, described, np.random.SeedSequence(seed), 5)["left"]
        assert ((found == "a few") == (written["left"] == "a few")).all()


def test_a_class_whose_people_are_all_in_one_fold_is_not_drawn_anew(monkeypatch) -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    def one_apart(self, features, answers, groups):
        others = np.flatnonzero(answers == 0)
        for part in (np.flatnonzero(answers == 1), *np.array_split(others, 4)):
            yield np.setdiff1d(np.arange(len(answers)), part), part

    monkeypatch.setattr(StratifiedGroupKFold, "split", one_apart)
    rows = people(600, 15).assign(left=["yes"] * 60 + ["no"] * 540)
    assert labelled(shuffled(rows), rows, METADATA, SEED, 5)["left"].tolist() == shuffled(rows)["left"].tolist()


def test_a_target_drawn_anew_is_told_as_well_as_that_of_the_people(monkeypatch) -> None:
    """A model of few people is cautious: drawn from its probabilities, a target would be noisier than theirs."""

    def told(rows: pd.DataFrame) -> float:
        folds, cells = StratifiedKFold(5, shuffle=True, random_state=0), rows.filter(like="x")
        return cross_val_score(LogisticRegression(C=0.01), cells, rows["left"], cv=folds, scoring="roc_auc").mean()

    monkeypatch.setattr(labelling, "_STUDENT", 1.0)
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = pd.DataFrame(rng.normal(size=(1_650, 10)), columns=[f"x{i}" for i in range(10)])
        chance = 1 / (1 + np.exp(-0.45 * rows.sum(axis=1)))
        rows["left"] = np.where(rng.random(len(rows)) < chance, "yes", "no")
        learnt, written = rows[:150], shuffled(rows[150:].reset_index(drop=True))
        described = Metadata.infer(learnt, variable_to_predict="left")
        for most in (1.0, 2.0):
            monkeypatch.setattr(labelling, "_SHARPEST", most)
            drawn = labelled(written, learnt, described, SEED, 5)
            found.append(np.mean([told(drawn[i : i + 150]) for i in range(0, 1_500, 150)]) - told(learnt))
    assert np.mean(found[::2]) < -0.03
    assert abs(np.mean(found[1::2])) < 0.03


def test_probabilities_are_sharpened_and_each_class_stays_as_frequent() -> None:
    shares = np.random.default_rng(0).dirichlet([5, 2, 0.5], 2_000)
    sharp = labelling._sharpened(shares, 1.7)
    np.testing.assert_allclose(sharp.sum(axis=1), 1)
    np.testing.assert_allclose(sharp.mean(axis=0), shares.mean(axis=0), atol=1e-3)
    logs, before = (np.log(one[:, 0] / one[:, 1]) for one in (sharp, shares))
    np.testing.assert_allclose(np.diff(logs), 1.7 * np.diff(before), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(labelling._sharpened(shares, 1.0), shares, atol=1e-6)


def test_cells_that_one_person_alone_has_beside_the_target_are_no_crash() -> None:
    rows = people(400, 16).assign(today=np.nan)
    rows.loc[0, "today"] = 31.4
    rows.loc[300:, "left"], rows.loc[300:, "today"] = None, np.arange(100.0)
    described = Metadata.infer(rows, variable_to_predict="left")
    assert not labelled(shuffled(rows), rows, described, SEED, 5)["left"].equals(shuffled(rows)["left"])


def test_a_fit_with_a_student_writes_the_target_anew(caplog) -> None:
    caplog.set_level("INFO", "clover_tvae")
    options = {"random_state": 1, "epochs": 2, "verbose": False}
    for privacy, is_told in (("none", False), (None, True)):
        TVAESynthesizer(people(200, 13), METADATA, privacy=privacy, **options).fit()
        assert ("drew the target of written rows anew" in caplog.text) is is_told


def test_a_target_that_was_written_anew_counts_more_while_a_student_learns(monkeypatch) -> None:
    found = []
    emphasise = AutoregressiveDecoder.emphasise
    monkeypatch.setattr(
        AutoregressiveDecoder, "emphasise", lambda self, *what: (found.append(what), emphasise(self, *what))
    )
    TVAESynthesizer(people(200, 13), METADATA, random_state=1, epochs=2, verbose=False).fit()
    assert found == [(9, TARGET_COUNTS)]
    TVAESynthesizer(people(200, 13), Metadata.infer(people(200, 13)), random_state=1, epochs=2, verbose=False).fit()
    assert len(found) == 1
