"""Odd calls of the synthesizer, such as a newcomer makes: each is answered by an error that says what was expected, or works."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import make_people, refuses
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.artifact import dump_artifact, read_artifact
from clover_tvae.errors import (
    ArtifactError,
    CloverWarning,
    ColumnsMismatchError,
    ConditionError,
    ConfigError,
    CorruptArtifactError,
    DataError,
    DuplicateColumnsError,
)
from clover_tvae.workflows.shards import shard_frames

METADATA = {"continuous": ["age", "bmi"], "categorical": ["sex"]}
READERS = ("impute", "encode", "reconstruct", "anomaly_scores")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return make_people(80)[["age", "bmi", "sex"]]


@pytest.fixture(scope="module")
def synth(table) -> TVAESynthesizer:
    return TVAESynthesizer(table, METADATA, random_state=1, epochs=1, verbose=False).fit()


@pytest.mark.parametrize("number", [10**400, -(10**400)], ids=["above", "below"])
@pytest.mark.parametrize("operator", [">=", "==", "<"])
def test_a_condition_beyond_every_float_is_a_condition_error(synth, operator, number):
    with refuses(ConditionError, "column 'age'"):
        synth.sample(3, conditions={"age": (operator, number)})


@pytest.mark.parametrize("conditions", ["sex", 5, [("sex", "F")], ["sex"]])
def test_conditions_are_a_dict_or_a_frame(synth, conditions):
    with pytest.raises(ConditionError, match=f"dict.*found {type(conditions).__name__}"):
        synth.sample(3, conditions=conditions)


@pytest.mark.parametrize("method", READERS)
def test_what_reads_rows_reads_frames_of_unique_columns(synth, table, method):
    for no_frame in ([1], None, {"age": [40]}):
        with refuses(DataError, "df"):
            getattr(synth, method)(no_frame)
    twice = pd.concat([table, table[["sex"]]], axis=1)
    with refuses(DuplicateColumnsError, "column 'sex'"):
        getattr(synth, method)(twice)


def test_partial_rows_are_frames_of_unique_columns_too(synth, table):
    assert len(synth.sample(0, table.head(0))) == 0
    with refuses(DuplicateColumnsError, "column 'sex'"):
        synth.sample(len(table), pd.concat([table, table[["sex"]]], axis=1))


@pytest.mark.parametrize("method", READERS)
def test_no_rows_in_no_rows_out(synth, table, method):
    assert len(getattr(synth, method)(table.head(0))) == 0


@pytest.mark.parametrize("relations", [[], [{"kind": "inequality", "ascending": ["age", "bmi"]}]], ids=["none", "kept"])
@pytest.mark.parametrize(("n_rows", "skip"), [(0, 0), (0, 5), (7, 7), (7, 9), (1024, 1024), (16_384, 16_384)])
def test_where_no_row_is_left_there_is_one_empty_frame(table, relations, n_rows, skip):
    table = table.assign(bmi=table["age"] + table["bmi"])
    synth = TVAESynthesizer(table, {**METADATA, "relations": relations}, random_state=1, epochs=1, verbose=False).fit()
    partial = pd.DataFrame({"sex": [table["sex"].iloc[0]] * n_rows})
    for conditions in (None, {"age": (">=", 30)}, partial):
        (frame,) = synth.sample_frames(n_rows, conditions, random_state=1, skip=skip)
        assert len(frame) == 0
        pd.testing.assert_series_equal(frame.dtypes, synth.sample(3, random_state=1).dtypes)
    (shard,) = shard_frames(synth, n_rows, 0, 1)
    assert list(shard) == list(frame)


@pytest.mark.parametrize("strategy", [5, None, ["F"], {"F": "much", "M": "little"}, {"F": None, "M": 0.5}])
def test_a_strategy_is_a_word_or_shares(synth, table, strategy):
    with refuses(ConfigError, "strategy"):
        synth.balance("sex", strategy, df=table)


@pytest.mark.parametrize("method", ["anomaly_scores", "reconstruct"])
@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_a_seed_is_a_seed_everywhere(synth, table, method, seed):
    with refuses(ConfigError, "random_state"):
        getattr(synth, method)(table, random_state=seed)


def test_a_path_is_a_path(synth, table):
    with refuses(ConfigError, "path"):
        synth.save(None)
    with refuses(ConfigError, "path"):
        TVAESynthesizer.load(None)
    with refuses(ConfigError, "generator_filepath"):
        TVAESynthesizer(table, METADATA, generator_filepath=5)


def refuse_history(synth, path, history):
    synth.save(path)
    content = read_artifact(path)
    content["training"]["backend"]["history"] = history
    path.write_bytes(dump_artifact(content))
    with pytest.raises(CorruptArtifactError, match="history"):
        TVAESynthesizer.load(path)


@pytest.mark.parametrize("epoch", [float("nan"), float("inf"), -1.0])
def test_a_file_whose_history_counts_no_epochs_is_refused(synth, tmp_path, epoch):
    refuse_history(synth, tmp_path / "odd.pkl", np.array([epoch, *range(7)], "<f8").tobytes())
    refuse_history(synth, tmp_path / "odd.pkl", [[epoch, *map(float, range(7))]])


@pytest.mark.parametrize("history", [[], b"", b"12345", b"12345678", [[1.0]], None, 5])
def test_a_file_without_a_whole_epoch_is_refused(synth, tmp_path, history):
    refuse_history(synth, tmp_path / "odd.pkl", history)


@pytest.mark.long
def test_a_history_of_any_length_is_kept_by_a_file(synth, tmp_path, monkeypatch):
    monkeypatch.setattr("clover_tvae.artifact.plain._MAX_VALUES", 10_000)
    known = synth._generator.backend._known
    monkeypatch.setattr(synth._generator.backend, "_known", replace(known, history=known.history * 10_001))
    synth.save(tmp_path / "long.pkl")
    assert len(TVAESynthesizer.load(tmp_path / "long.pkl").history) == 10_001


def test_what_no_file_can_hold_is_told_by_name(synth, tmp_path, monkeypatch):
    monkeypatch.setattr("clover_tvae.artifact.plain._MAX_VALUES", 100)
    with pytest.raises(ArtifactError, match="cannot be written"):
        synth.save(tmp_path / "g.pkl")
    assert not list(tmp_path.iterdir())


def test_a_frame_of_partial_rows_says_how_many(synth, table):
    pd.testing.assert_frame_equal(
        synth.sample(conditions=table[["sex"]], random_state=2), synth.sample(80, table[["sex"]], random_state=2)
    )
    for conditions in (None, {"sex": "F"}):
        with refuses(ConfigError, "n_rows"):
            synth.sample(conditions=conditions)
    with refuses(ConfigError, "n_rows"):
        synth.sample(-(10**5000))


def test_no_backend_named_is_the_native_one(table):
    assert TVAESynthesizer(table, METADATA, backend=None, verbose=False)._backend.name == "native"


def test_a_generator_file_that_cannot_be_written_is_told_before_training(table, tmp_path):
    path = tmp_path / "nowhere" / "x.pkl"
    synth = TVAESynthesizer(table, METADATA, generator_filepath=path, epochs=1, verbose=False)
    with refuses(ConfigError, "generator_filepath"):
        synth.fit()
    assert "not fitted" in repr(synth)


@pytest.mark.parametrize("method", ["impute", "encode", "reconstruct", "anomaly_scores"])
def test_a_column_that_was_learnt_and_is_not_there_is_named_with_its_cure(synth, table, method):
    with refuses(ColumnsMismatchError, "column 'bmi'"):
        getattr(synth, method)(table.drop(columns="bmi"))


@pytest.fixture(scope="module")
def wine():
    df = load_wine(as_frame=True).frame
    metadata = {"continuous": list(df.columns[:-1]), "categorical": ["target"]}
    synth = TVAESynthesizer(df, metadata, random_state=1, epochs=1, decoder="independent", verbose=False)
    return synth.fit()


@pytest.mark.long
def test_a_condition_costs_no_more_than_its_candidates(wine):
    def cpu_seconds(**options):
        taken = []
        for seed in range(3):
            started = time.process_time()
            wine.sample(1000, random_state=seed, **options)
            taken.append(time.process_time() - started)
        return min(taken)

    cpu_seconds()
    # 64 candidates a row: 48 times as long when all of them were stratified, some 6 times since.
    assert cpu_seconds(conditions={"target": 1}) < 20 * cpu_seconds()


@pytest.mark.parametrize("change", ["kind", "identifier"])
def test_metadata_that_contradict_what_was_learnt_are_refused(tmp_path, wine, change):
    wine.save(tmp_path / "g.pkl")
    content = read_artifact(tmp_path / "g.pkl")
    if change == "kind":
        content["metadata"]["categorical"].append(content["metadata"]["continuous"].pop())
    else:
        content["metadata"]["id"] = [{"name": "no such column", "regenerate": "sequence"}]
    (tmp_path / "g.pkl").write_bytes(dump_artifact({k: v for k, v in content.items() if k != "sha256"}))
    with pytest.raises(CorruptArtifactError, match="metadata"):
        TVAESynthesizer.load(tmp_path / "g.pkl")


def test_parameters_first_and_the_table_at_fit(table, tmp_path):
    given = {"epochs": 1, "random_state": 3, "decoder": "independent", "verbose": False}
    synth = TVAESynthesizer(metadata=METADATA, **given)
    assert not synth.fitted
    expected = TVAESynthesizer(table, METADATA, **given).fit().save(tmp_path / "a.pkl")
    assert synth.fit(table).save(tmp_path / "b.pkl") == expected
    with refuses(DataError, "metadata"):  # an empty description is none that is left out
        TVAESynthesizer(metadata={"continuous": [], "categorical": []}, **given).fit(table[[]])
    inferred = TVAESynthesizer(**given)
    assert "those of the table" in repr(inferred)
    for columns in (["age", "sex"], ["bmi", "sex"]):
        assert list(inferred.fit(table[columns]).sample(3)) == columns


def test_a_clone_has_the_parameters_and_no_table(table):
    metadata = Metadata.of(METADATA)
    synth = TVAESynthesizer(table, metadata, epochs=3, compress_dims=[8], verbose=False)
    other = clone(synth)
    assert other.get_params() == synth.get_params()
    assert other.get_params()["compress_dims"] == [8]
    assert other.table is None
    assert clone(other.set_params(epochs=1, random_state=2)).fit(table).get_params()["epochs"] == 1
    assert synth.set_params(epochs=2).table is table
    assert synth.fit().history["epoch"].max() == 2
    with refuses(ConfigError, "epoch"):
        synth.set_params(epoch=2)
    assert make_pipeline(clone(other)).fit(table)[-1].fitted
    with pytest.warns(CloverWarning, match="y is not learnt"):
        other.fit(table, table["sex"])


def test_sdv_s_own_description_is_one(table):
    described = pytest.importorskip("sdv.metadata").Metadata.load_from_dict(Metadata.of(METADATA).to_sdv())
    synth = TVAESynthesizer(table, described, epochs=1, decoder="independent", verbose=False)
    assert set(synth.metadata.names) == set(table)
