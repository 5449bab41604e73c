"""Teacher and student: what is kept learns from written rows, keeps no table, and says what it is."""

from __future__ import annotations

import copy
import io
import logging
import math
import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import refuses

from clover_tvae import TVAESynthesizer
from clover_tvae.artifact import read_artifact
from clover_tvae.backends import card_of_file, teaching
from clover_tvae.backends.lesson import Lesson, ToTeach
from clover_tvae.backends.sizing import forecast, plan_training
from clover_tvae.backends.teaching import Membership, membership, rows_to_write
from clover_tvae.errors import (
    CloverError,
    CloverWarning,
    ConfigError,
    IdentifierColumnError,
    NotFittedError,
    PrivacyWarning,
)
from clover_tvae.evaluation import Figures
from clover_tvae.model.copula import copula_rows
from clover_tvae.model.schedule import Schedule
from clover_tvae.parameters import Parameters
from clover_tvae.report import build_dossier, build_report
from clover_tvae.report.model_card import card_markdown
from clover_tvae.sampling import Sampler
from clover_tvae.training import TrainingConfig

METADATA = {"continuous": ["age", "pay"], "categorical": ["team"]}


def table(n: int = 200, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 66, n)
    return pd.DataFrame(
        {"age": age, "pay": np.round(900 + 20 * age + rng.normal(0, 80, n), 2), "team": rng.choice(list("abc"), n)}
    )


def short(df: pd.DataFrame, **parameters: Any) -> TVAESynthesizer:
    return TVAESynthesizer(df, METADATA, **{"random_state": 1, "epochs": 2, "verbose": False, **parameters})


@pytest.fixture(scope="module")
def learnt() -> TVAESynthesizer:
    return short(table()).fit()


def test_a_small_table_has_a_student_that_says_so(learnt: TVAESynthesizer) -> None:
    card = learnt.card()
    assert card["privacy"]["mode"] == "student"
    assert card["rows"] == card["privacy"]["written_rows"] == 400
    assert (
        card["privacy"]["meaning"]
        == "it learnt from 400 rows that a teacher wrote, not from people; not differentially private"
    )
    assert len(learnt.history) == 2
    assert "400 written rows" in repr(learnt)


def test_without_one_the_file_is_as_sensitive_as_the_data(tmp_path: Path) -> None:
    synth = short(table(), privacy="none").fit()
    assert synth.card()["rows"] == 200
    assert "as sensitive as the data" in synth.card()["privacy"]["meaning"]
    synth.save(tmp_path / "g.pkl")
    assert TVAESynthesizer.load(tmp_path / "g.pkl").card()["privacy"] == synth.card()["privacy"]


@pytest.mark.parametrize(
    ("guard", "asked"), [({"min_count": 1}, "min_count=1"), ({"exact_values": True}, "exact_values=True")]
)
@pytest.mark.parametrize("how", [{}, {"privacy": "none"}, {"decoder": "independent"}])
def test_a_file_without_guards_is_said_to_hold_values_of_single_people(
    guard: dict[str, Any], asked: str, how: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    df, told = table(), f"values of single people may stand in the file, as {asked} asked"
    with pytest.warns(PrivacyWarning, match=told):
        synth = short(df, **guard, **how).fit()
    card = synth.card()
    assert card["privacy"]["meaning"].endswith(told)
    assert told in synth._html_repr()
    with caplog.at_level(logging.INFO):
        synth.save(tmp_path / "g.pkl")
    assert told in caplog.text
    assert (
        card_of_file(tmp_path / "g.pkl")["privacy"]
        == TVAESynthesizer.load(tmp_path / "g.pkl").card()["privacy"]
        == card["privacy"]
    )


@pytest.mark.parametrize("other", [{"decoder": "independent"}, {"backend": "sdv"}])
def test_only_the_autoregressive_decoder_has_a_student(other: dict[str, str]) -> None:
    with refuses(ConfigError, "privacy"):
        TVAESynthesizer(table(), METADATA, privacy="student", **other)
    if "decoder" in other:
        assert short(table(), **other).fit().card()["privacy"]["mode"] == "none"


def test_the_student_is_given_written_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    df = table()
    seen: list[pd.DataFrame] = []
    from clover_tvae.backends.native import NativeBackend

    fit = NativeBackend.fit

    def watched(self: NativeBackend, rows: pd.DataFrame, *args: Any, **options: Any) -> NativeBackend:
        seen.append(rows)
        return fit(self, rows, *args, **options)

    monkeypatch.setattr(NativeBackend, "fit", watched)
    synth = short(df).fit()
    assert [len(rows) for rows in seen] == [200, 400]
    # Pay has a hundred thousand values: rows that were written share next to none with the people.
    assert np.isin(seen[1]["pay"], df["pay"]).mean() < 0.1
    again = NativeBackend(**synth._backend.given.given(), lesson=synth._backend.lesson)
    assert again.lesson is not None
    assert again.lesson.n_people == 200


def test_the_same_seed_gives_the_same_student(learnt: TVAESynthesizer) -> None:
    pd.testing.assert_frame_equal(short(table()).fit().sample(50, random_state=3), learnt.sample(50, random_state=3))


@pytest.mark.long
@pytest.mark.parametrize("privacy", ["student", "none"])
def test_a_fitted_synthesizer_keeps_no_table(privacy: str) -> None:
    df = table()
    df["pay"] = np.random.default_rng(1).uniform(1e5, 2e5, len(df))  # patterns of bytes that no other number has
    synth = short(df, privacy=privacy).fit()
    held = pickle.dumps(synth)
    assert df["pay"].to_numpy().tobytes() not in held
    assert sum(np.float64(value).tobytes() in held for value in df["pay"]) == 0
    pd.testing.assert_frame_equal(
        pickle.load(io.BytesIO(held)).sample(20, random_state=1), synth.sample(20, random_state=1)
    )
    with pytest.raises(NotFittedError, match="keeps no table"):
        synth.fit()
    for call in (synth.report, synth.plot_marginals, lambda: synth.balance("team")):
        with pytest.raises(ConfigError, match="keeps no table"):
            call()


def test_a_seed_that_nobody_gave_is_not_kept() -> None:
    df = pd.DataFrame({"x": np.arange(60) % 7, "sex": ["f", "m"] * 30})
    synth = TVAESynthesizer(df, epochs=1, privacy="none", verbose=False)
    seed = synth._seed
    again = pickle.loads(pickle.dumps(synth.fit()))
    assert again._seed.entropy != seed.entropy
    given = TVAESynthesizer(df, random_state=3, epochs=1, privacy="none", verbose=False).fit()
    assert given._seed.entropy == 3


def holds_rows(synth: Any, df: pd.DataFrame) -> bool:
    """Whether a pickle of it, or of a copy of it, holds a cell of the column ``pay``."""
    contents = [pickle.dumps(one) for one in (synth, copy.copy(synth), copy.deepcopy(synth))]
    marks = [np.float64(value).tobytes() for value in df["pay"]]
    return any(mark in content or mark[::-1] in content for mark in marks for content in contents)


@pytest.mark.parametrize("metadata", [METADATA, None])
def test_no_pickle_and_no_copy_holds_a_table_before_a_fit(metadata: dict[str, Any] | None) -> None:
    df = table().assign(pay=np.random.default_rng(1).uniform(1e5, 2e5, len(table())))
    how: dict[str, Any] = {"random_state": 1, "epochs": 2, "verbose": False, "privacy": "none"}
    synth = TVAESynthesizer(df, metadata, **how)
    for _ in range(2):
        assert not holds_rows(synth, df)
        again = pickle.loads(pickle.dumps(synth))
        with refuses(NotFittedError, "df") as told:
            again.fit()
        assert "a pickle or a copy holds none); give the table to learn: fit(df)" in str(told.value)
        synth.prepare()
    expected = synth.fit().sample(20, random_state=1)  # here it is held
    pd.testing.assert_frame_equal(again.fit(df).sample(20, random_state=1), expected)


def test_a_table_that_a_guard_refuses_is_let_go_and_one_whose_fit_was_interrupted_is_in_no_pickle(monkeypatch) -> None:
    df = table().assign(pay=np.random.default_rng(1).uniform(1e5, 2e5, len(table())))
    named = df.assign(mail=[f"{i}@example.org" for i in range(len(df))])
    metadata = {**METADATA, "categorical": [*METADATA["categorical"], "mail"]}
    synth = TVAESynthesizer(named, metadata, random_state=1, verbose=False)
    with refuses(IdentifierColumnError, "column 'mail'"):
        synth.fit()
    assert synth.table is None
    assert not holds_rows(synth, df)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    synth = TVAESynthesizer(df, METADATA, random_state=1, epochs=2, verbose=False, privacy="none")
    with monkeypatch.context() as patch:
        patch.setattr("clover_tvae.training.trainer.Trainer.fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            synth.fit()
    assert not holds_rows(synth, df)
    assert synth.fit().fitted


@pytest.mark.parametrize("metadata", [METADATA, None])
def test_a_table_that_is_prepared_after_a_fit_is_in_no_pickle_and_no_copy(metadata: dict[str, Any] | None) -> None:
    df = table()
    synth = TVAESynthesizer(metadata=metadata, random_state=1, epochs=2, verbose=False).fit(df)
    expected = synth.sample(20, random_state=1)
    df["pay"] = np.random.default_rng(1).uniform(1e5, 2e5, len(df))
    synth.prepare(df)
    for held in (synth, copy.copy(synth), copy.deepcopy(synth)):
        content = pickle.dumps(held)
        assert sum(np.float64(value).tobytes() in content for value in df["pay"]) == 0
        pd.testing.assert_frame_equal(pickle.loads(content).sample(20, random_state=1), expected)
    assert copy.copy(synth).table is None
    assert synth.table is not None  # and can be learnt here
    with refuses(NotFittedError, "df"):
        copy.copy(synth).fit()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:held by fewer than 5 people")
def test_relations_learnt_of_the_table_are_let_go_with_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    team = rng.integers(0, 3, 600)
    df = pd.DataFrame(
        {
            "team": pd.Series(team).map({0: "red", 1: "green", 2: "blue"}),
            "floor": pd.Series(team).map({0: "first", 1: "second", 2: "third"}),
            "level": 100 * team + rng.normal(0, 9, 600),
        }
    )
    df.loc[5, ["team", "floor"]] = "only one"
    synth = TVAESynthesizer(df, random_state=1, epochs=1, privacy="student", verbose=False)
    constraints = [
        {"kind": "combinations", "among": ["team", "floor"], "handling": "learn"},
        {"kind": "ranges", "category": "floor", "number": "level", "handling": "learn"},
    ]
    synth.add_constraints(constraints).prepare()
    ranges = next(one.ranges for one in synth.metadata.relations or () if one.kind == "ranges")
    synth.fit().save(tmp_path / "g.pkl")
    held = pickle.dumps(synth)
    assert b"only one" not in held
    for relation in synth._described.relations or ():
        assert relation == relation.declared() or relation in (synth.metadata.relations or ())
    ends, file = {struct.pack(">d", end).hex() for _, *both in ranges for end in both}, held.hex()
    of_file = pickle.dumps(read_artifact(tmp_path / "g.pkl")).hex()
    assert [end for end in ends if end in file and end not in of_file] == []
    assert synth.metadata.reasons == {}


@pytest.mark.long
def test_names_that_are_numbers_of_two_types_stay_what_they_are() -> None:
    df = pd.DataFrame(np.random.default_rng(0).integers(0, 9, (60, 2)))
    df.columns = pd.Index([2**63, 2.5], dtype=object)
    synth = TVAESynthesizer(df, {"continuous": [2**63, 2.5]}, 1, epochs=1, verbose=False).fit()
    assert [(type(name), name) for name in synth.sample(2)] == [(int, 2**63), (float, 2.5)]


def test_it_learns_another_table_that_is_given(learnt: TVAESynthesizer) -> None:
    synth = short(table()).fit()
    other = table(300, seed=5)
    other["pay"] += 1_000_000
    synth.fit(other)
    assert synth.sample(20)["pay"].min() > 900_000
    assert synth.card()["rows"] == 600


@pytest.mark.parametrize("privacy", ["student", "none"])
def test_learning_curves_have_no_more_digits_than_they_show(privacy: str) -> None:
    synth = short(table(), privacy=privacy).fit()
    losses = synth.history[["loss", "reconstruction", "kl", "validation_loss"]].to_numpy()
    assert (losses == losses.round(4)).all()


def test_the_file_holds_the_rows_of_the_student_only(learnt: TVAESynthesizer, tmp_path: Path) -> None:
    learnt.save(tmp_path / "g.pkl")
    content = read_artifact(tmp_path / "g.pkl")
    assert content["privacy"] == {
        "mode": "student",
        "written_rows": 400,
        "membership": learnt._generator.privacy.membership,
    }
    assert content["privacy"]["membership"] in ("told", "not told")  # no figure, which would tell of people
    assert content["training"]["backend"]["facts"]["rows"] == 400


@pytest.mark.parametrize(
    ("n", "epochs", "expected"), [(60, None, 600), (300, None, 3_300), (1_000, None, 20_000), (5_000, None, 60_000)]
)
def test_a_teacher_writes_many_rows_for_few_people(n: int, epochs: int | None, expected: int) -> None:
    assert rows_to_write(n, epochs) == expected


@pytest.mark.parametrize(("n", "held_out"), [(60, 9), (300, 45), (455, 50), (1_000, 50), (20_000, 1_000)])
def test_enough_people_of_a_small_table_are_held_out_to_judge(n: int, held_out: int) -> None:
    assert round(n * plan_training(Parameters(), n, 10).training.validation_fraction) == held_out


@pytest.mark.long
def test_relations_are_learnt_anew_from_the_written_rows() -> None:
    rng = np.random.default_rng(1)
    city = rng.choice(["Graz", "Wien", "Linz"], 300)
    df = pd.DataFrame(
        {"city": city, "code": pd.Series(city).map({"Graz": 8010, "Wien": 1010, "Linz": 4020}).astype(str)}
    )
    df["a"], df["b"] = rng.integers(0, 50, 300), rng.integers(0, 50, 300)
    df["sum"] = df["a"] + df["b"]
    kinds = {"categorical": ["city", "code"], "continuous": ["a", "b", "sum"]}
    synth = TVAESynthesizer(df, kinds, random_state=1, epochs=3, verbose=False).fit()
    drawn = synth.sample(500)
    assert (drawn["sum"] == drawn["a"] + drawn["b"]).all()
    assert set(zip(drawn["city"], drawn["code"], strict=True)) <= set(zip(df["city"], df["code"], strict=True))


class _Telling:
    """A stand-in for what was learnt: it knows its people, or knows nobody."""

    def __init__(self, knows: bool) -> None:
        self.knows = knows

    def anomaly_scores(self, df: pd.DataFrame, *, seed: Any, most_parts: int) -> pd.DataFrame:
        noise = np.random.default_rng(0).normal(size=len(df))
        return pd.DataFrame({"score": noise + 2.0 * self.knows * (df.index.to_numpy() >= 300)}, index=df.index)


@pytest.mark.parametrize("knows", [True, False])
def test_the_check_tells_a_model_that_knows_its_people_from_one_that_does_not(
    knows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "ReadsRows", _Telling)
    found = membership(_Telling(knows), table(400), np.arange(300, 400))  # type: ignore[arg-type]
    assert found is not None
    assert found.is_told is knows
    assert membership(_Telling(knows), table(400), np.arange(10)) is None  # type: ignore[arg-type]


def test_the_check_counts_people_and_not_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    class OfAPerson(_Telling):
        def anomaly_scores(self, df: pd.DataFrame, *, seed: Any, most_parts: int) -> pd.DataFrame:
            of_person = np.random.default_rng(10).normal(size=100)
            return pd.DataFrame({"score": of_person[df.index.to_numpy() // 40]}, index=df.index)

    monkeypatch.setattr(teaching, "ReadsRows", OfAPerson)
    df, people = table(4_000), np.repeat(np.arange(100), 40)
    found = membership(OfAPerson(False), df, np.arange(3_000, 4_000), people)  # type: ignore[arg-type]
    assert found is not None
    assert (found.n_learnt, found.n_held_out, found.is_told) == (75, 25, False)
    # By its rows the same chance reads as knowledge.
    assert membership(OfAPerson(False), df, np.arange(3_000, 4_000)).is_told  # type: ignore[arg-type,union-attr]
    assert membership(OfAPerson(False), df, np.arange(3_600, 4_000), people) is None  # type: ignore[arg-type]


def test_columns_left_out_in_parts_score_rows_much_as_one_by_one(learnt: TVAESynthesizer) -> None:
    df, seed, backend = table(200), np.random.SeedSequence(1), learnt._backend
    alone, in_parts = (backend.anomaly_scores(df, seed=seed, most_parts=n) for n in (None, 2))
    assert list(in_parts) == list(alone)
    assert in_parts.notna().all(axis=None)
    assert np.corrcoef(alone["score"], in_parts["score"])[0, 1] > 0.8
    assert not np.allclose(alone["score"], in_parts["score"])
    assert backend.anomaly_scores(df, seed=seed, most_parts=9).equals(alone)  # no fewer parts than columns


@pytest.mark.long
def test_no_weight_learns_from_the_rows_that_are_held_out(tmp_path: Path) -> None:
    """Else those who are held against the learnt would be half learnt themselves, and the check would see too little."""
    df, weights = table(400), []
    for turns in (0, 1):
        synth = short(df, privacy="none", epochs=1).fit()
        synth.save(tmp_path / "a.pkl")
        weights.append(read_artifact(tmp_path / "a.pkl")["weights"])
        held_out = synth._backend.held_out
        df.loc[held_out, "pay"] = np.roll(df.loc[held_out, "pay"], turns + 1)  # other people, the same column
    assert len(held_out) == 50
    assert weights[0] == weights[1]


def test_a_model_that_remembers_its_people_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"epochs": None, "max_minutes": 1e-3, "compress_dims": (8,), "decompress_dims": (8,), "embedding_dim": 2}
    monkeypatch.setattr(teaching, "membership", lambda *args, **kwargs: Membership(0.9, 0.6, 100, 20))
    with (
        pytest.warns(PrivacyWarning, match="AUC of 0.900"),
        pytest.warns(CloverWarning, match="max_minutes=0.001 before it converged"),
    ):
        cut = short(table(60), **quick).fit()
    assert cut.card()["training"]["stopped"] == "minutes"  # of the teacher: told, though the student had its time
    assert cut.card()["parameters"]["max_minutes"] == 1e-3
    monkeypatch.setattr(teaching, "membership", lambda *args, **kwargs: Membership(0.5, 0.6, 100, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CloverWarning)  # of the minutes
        warnings.simplefilter("error", PrivacyWarning)
        short(table(60), **quick).fit()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Membership(0.9, 0.6, 100, 20), "told people who were learnt from others"),
        (Membership(0.5, 0.6, 100, 20), "did not tell who was learnt"),
        (None, "too few people were held out"),
    ],
)
def test_what_the_check_found_stands_in_file_card_report_and_dossier(
    found: Membership | None, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(teaching, "membership", lambda *args, **kwargs: found)
    df = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivacyWarning)
        synth = short(df, privacy="none").fit()
    synth.save(tmp_path / "g.pkl")
    card = TVAESynthesizer.load(tmp_path / "g.pkl").card()
    assert (
        said in card["privacy"]["membership_check"] == card_of_file(tmp_path / "g.pkl")["privacy"]["membership_check"]
    )
    assert said in card_markdown(card)
    rows = synth.sample(200, random_state=0)
    report = build_report(df, rows, table(100, 2), METADATA, card=card, figures=())
    assert any(said in remark for remark in report.content["summary"]["remarks"])
    dossier = build_dossier(df, rows, table(100, 2), METADATA, card=card, figures=Figures.of([]))
    assert said in str(next(one for one in dossier.content["sections"] if one["title"] == "Verdicts")["rows"][1])
    assert "0.9" not in str(card["privacy"])


@pytest.mark.long
def test_a_large_table_has_a_student_where_the_check_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "STUDENT_BELOW", 100)
    monkeypatch.setattr(teaching, "membership", lambda *args, **kwargs: Membership(0.5, 0.6, 100, 20))
    assert short(table()).fit().card()["privacy"]["mode"] == "none"
    monkeypatch.setattr(teaching, "membership", lambda *args, **kwargs: Membership(0.9, 0.6, 100, 20))
    assert short(table()).fit().card()["privacy"]["mode"] == "student"


def test_rows_of_the_copula_have_the_columns_and_their_correlation() -> None:
    from clover_tvae.metadata import Metadata
    from clover_tvae.transforms import TableTransform

    df, rng = table(2_000), np.random.default_rng(0)
    transform = TableTransform.fit(df, Metadata.of(METADATA), numbers="rank", copies=False, rng=rng)
    encoded = transform.encode(df, rng)
    drawn = transform.decode(copula_rows(encoded, transform.layout, 4_000, rng), rng=rng)
    assert abs(drawn["team"].value_counts(normalize=True) - df["team"].value_counts(normalize=True)).max() < 0.05
    assert abs(drawn["age"].corr(drawn["pay"]) - df["age"].corr(df["pay"])) < 0.08
    assert abs(drawn["pay"].mean() - df["pay"].mean()) < 20


@pytest.mark.long
def test_rows_are_independent_unless_they_are_asked_to_be_stratified() -> None:
    synth = short(table(400), privacy="none", epochs=4).fit()
    shares = {
        how: np.std([(synth.sample(500, random_state=i, decode=how)["team"] == "a").mean() for i in range(40)])
        for how in ("sample", "stratified")
    }
    binomial = np.sqrt(1 / 3 * 2 / 3 / 500)
    assert 0.7 < shares["sample"] / binomial < 1.4
    assert shares["stratified"] < 0.8 * shares["sample"]


def test_a_fit_that_fails_leaves_no_table_in_a_synthesizer_that_had_learnt() -> None:
    synth = short(table(60), privacy="none").fit()
    secret = table(60)
    first = secret.columns[0]
    with pytest.raises(CloverError):
        synth.fit(secret.assign(**{first: "MARKED-CELL"}))
    assert b"MARKED-CELL" not in pickle.dumps(synth)


def steps_of(training: TrainingConfig, n_rows: int) -> int:
    return training.epochs * math.ceil(n_rows / training.batch_rows)


@pytest.mark.parametrize(("n_people", "n_rows"), [(3_000, 9_900), (9_500, 9_900), (12_000, 30_000)])
def test_a_student_of_many_people_takes_as_many_steps_as_a_large_table(n_people: int, n_rows: int) -> None:
    taught = plan_training(Parameters(), rows_to_write(n_people), 15, lesson=Lesson(n_people)).training
    assert taught.rows_an_epoch == n_people
    large = plan_training(Parameters(), n_rows, 15).training
    assert steps_of(taught, n_people) == pytest.approx(steps_of(large, n_rows), rel=0.05)


def test_tables_of_more_people_are_trained_in_more_steps() -> None:
    steps = [
        steps_of(plan_training(Parameters(), n, 15).training, n) for n in (20_000, 30_000, 60_000, 120_000, 1_000_000)
    ]
    assert [count / steps[1] for count in steps] == pytest.approx([1, 1, 2**0.5, 2, 2], rel=0.05)


def forecast_of(n_rows: int, minutes: float | None = None, *, is_sure: bool = True) -> Any:
    given = Parameters(max_minutes=minutes and (0.6 * minutes if is_sure else minutes))
    to_teach = ToTeach(rows_to_write(n_rows), Lesson(n_rows, minutes), is_sure)
    return forecast(plan_training(given, n_rows, 15), given, n_rows, 15, to_teach=to_teach)


def test_the_time_that_is_told_holds_that_of_the_student_and_is_corrected_with_it() -> None:
    told = forecast_of(3_000)
    start, training, student = *told.trainings, told.student
    assert student.seconds() > training.seconds() / 2 > start.seconds()
    alone = told.written.seconds() + student.seconds()
    assert told.after(1, training.a_step) == pytest.approx(alone + told.check)
    assert told.after(1, 3 * training.a_step) == pytest.approx(3 * (alone + told.check))
    assert told.after(0, start.a_step) == pytest.approx(training.seconds() + alone + told.check)
    assert "its student included" in str(told)
    assert "more if it needs a student" in str(forecast_of(20_000, is_sure=False))
    without = forecast_of(20_000, is_sure=False)
    assert without.after(0, without.trainings[0].a_step) == without.check


@pytest.mark.parametrize("is_sure", [True, False])
def test_no_more_minutes_are_told_than_were_given(is_sure: bool) -> None:
    told = forecast_of(30_000, 0.5, is_sure=is_sure)
    assert str(told).startswith("about 40 seconds at most, its" if is_sure else "about 35 seconds at most, and")
    if is_sure:
        training = told.trainings[0]
        most = 0.4 * 30 + 10 * (told.written.seconds() + told.check)
        assert told.after(0, 10 * training.a_step) == pytest.approx(most)


def test_the_check_of_a_wide_table_is_told_with_it() -> None:
    given = Parameters(privacy="none")
    told = forecast(plan_training(given, 300, 600), given, 300, 600)
    assert told.check == pytest.approx(6.0, rel=0.3)  # CPU seconds, measured
    fixed = Parameters(privacy="none", epochs=2)
    assert forecast(plan_training(fixed, 300, 600), fixed, 300, 600).check == pytest.approx(told.check, rel=0.5)


def test_the_dealing_of_rows_beyond_memory_is_told_with_it() -> None:
    given = Parameters(max_minutes=0.4)
    plan = plan_training(given, 4_000_000, 14)
    there, dealt = (forecast(plan, given, 4_000_000, 14, n_dealt=n) for n in (0, 4_000_000))
    assert dealt.dealt == pytest.approx(24, rel=0.2)  # CPU seconds, measured
    assert (str(there)[:16], str(dealt)[:16]) == ("about 30 seconds", "about 55 seconds")
    assert dealt.after(0, plan.stretches(4_000_000, 14)[0].a_step) == there.check


@pytest.mark.parametrize("privacy", ["none", "student"])
def test_a_fit_of_so_many_epochs_is_checked_too(privacy: str, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"x": rng.normal(size=400), "y": rng.normal(size=400)})
    with caplog.at_level("INFO"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        TVAESynthesizer(df, random_state=1, epochs=2, privacy=privacy, verbose=False).fit()
    told = [record.message for record in caplog.records] + [str(one.message) for one in caught]
    assert sum("what was learnt tells 350 people who were learnt from 50 who were not" in text for text in told) == 1


def test_the_decoder_of_the_paper_is_told_to_be_as_fast_as_it_is() -> None:
    given = Parameters(decoder="independent")
    told = forecast(plan_training(given, 100_000, 15), given, 100_000, 15).trainings[0]
    assert told.seconds() / told.n_steps == pytest.approx(0.0048, rel=0.1)  # measured: 0.0047


@pytest.mark.parametrize("kind", ["continuous", "categorical"])
def test_a_column_of_which_the_teacher_writes_next_to_nothing_is_missing_and_said(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    df = table()
    df["rare"] = df["pay"].where(np.arange(200) < 60) if kind == "continuous" else df["team"].where(np.arange(200) < 60)
    described = METADATA | {kind: [*METADATA[kind], "rare"]}
    chosen = teaching.chosen_rows

    def few(*args: Any) -> pd.DataFrame:  # a teacher after one epoch may write few of its cells
        rows = chosen(*args)
        return rows.assign(rare=rows["rare"].where(rows["rare"].notna().cumsum() < 4))

    monkeypatch.setattr(teaching, "chosen_rows", few)
    monkeypatch.setattr(teaching, "rows_to_choose_from", lambda n, *_: n + 1)
    with pytest.warns(CloverWarning, match="next to no cell of 'rare'"):
        synth = TVAESynthesizer(df, described, random_state=1, epochs=2, verbose=False).fit()
    assert synth.sample(50)["rare"].isna().all()
    assert synth.sample(50)["rare"].dtype == df["rare"].dtype
    assert len(synth.impute(df)) == len(synth.anomaly_scores(df)) == 200


def test_a_teacher_writes_each_learnt_column_for_itself(monkeypatch):
    """Orders with gaps are learnt as more columns than the table has: whether a date is there, and how much later it is."""
    rng, n = np.random.default_rng(0), 400
    first = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    dates = {"a": pd.Series(first)}
    for name, before in (("b", "a"), ("c", "b"), ("d", "a")):
        length = rng.integers(0, 30, n) + 60 * (name == "d")
        dates[name] = (dates[before] + pd.to_timedelta(length, "D")).where(rng.random(n) < 0.8)
    relations = [{"kind": "inequality", "ascending": list(dates)}]
    asked, steps = [], Schedule.steps

    def noted(self, columns, n_steps=None):
        asked.append((len(columns), len(steps(self, columns, n_steps))))
        return steps(self, columns, n_steps)

    monkeypatch.setattr(Schedule, "steps", noted)
    monkeypatch.setattr(Sampler, "learn_to_judge", lambda *given: 0.0)  # for it the student draws as it always will
    kinds = {"datetime": list(dates), "relations": relations}
    TVAESynthesizer(pd.DataFrame(dates), kinds, random_state=1, epochs=2, privacy="student", verbose=False).fit()
    assert asked[0][0] > len(dates)
    assert all(n_steps == n_columns for n_columns, n_steps in asked)
