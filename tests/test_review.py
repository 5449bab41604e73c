"""Odd calls that a newcomer makes: each is answered by an error of ours that says what was expected, or simply works."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import make_people

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.artifact import dump_artifact, parse_artifact
from clover_tvae.clover import TVAEGenerator
from clover_tvae.errors import (
    ColumnsMismatchError,
    ConditionError,
    ConfigError,
    CorruptArtifactError,
    DataError,
    DuplicateColumnsError,
)
from clover_tvae.evaluation import check_limits, fidelity, tstr
from clover_tvae.jobs import load_jobs, run_job
from clover_tvae.metadata import MetadataWarning

METADATA = {"continuous": ["age", "bmi"], "categorical": ["sex"]}
READERS = ("impute", "encode", "reconstruct", "anomaly_scores", "sample_remaining")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return make_people(80)[["age", "bmi", "sex"]]


@pytest.fixture(scope="module")
def synth(table) -> TVAESynthesizer:
    return TVAESynthesizer(table, METADATA, random_state=1, epochs=1, verbose=False).fit()


def test_what_infer_says_of_a_category_of_intervals_can_be_learnt(table):
    df = table.assign(group=pd.cut(table["age"], 4))
    with pytest.warns(MetadataWarning, match=r"group.*interval"):
        metadata = Metadata.infer(df)
    assert metadata.column("group").kind == "ignore"
    metadata.validate(df)


@pytest.mark.parametrize("number", [10**400, -(10**400)], ids=["above", "below"])
@pytest.mark.parametrize("operator", [">=", "==", "<"])
def test_a_condition_beyond_every_float_is_a_condition_error(synth, operator, number):
    with pytest.raises(ConditionError, match="age"):
        synth.sample(3, conditions={"age": (operator, number)})


@pytest.mark.parametrize("conditions", ["sex", 5, [("sex", "F")], ["sex"]])
def test_conditions_are_a_dict_or_a_frame(synth, conditions):
    with pytest.raises(ConditionError, match=f"dict.*found {type(conditions).__name__}"):
        synth.sample(3, conditions=conditions)


@pytest.mark.parametrize("method", READERS)
def test_what_reads_rows_reads_frames_of_unique_columns(synth, table, method):
    for no_frame in ([1], None, {"age": [40]}):
        with pytest.raises(DataError, match="DataFrame"):
            getattr(synth, method)(no_frame)
    twice = pd.concat([table, table[["sex"]]], axis=1)
    with pytest.raises(DuplicateColumnsError, match="sex"):
        getattr(synth, method)(twice)


@pytest.mark.parametrize("method", READERS)
def test_no_rows_in_no_rows_out(synth, table, method):
    assert len(getattr(synth, method)(table.head(0))) == 0


@pytest.mark.parametrize("strategy", [5, None, ["F"], {"F": "much", "M": "little"}, {"F": None, "M": 0.5}])
def test_a_strategy_is_a_word_or_shares(synth, strategy):
    with pytest.raises(ConfigError, match="strategy"):
        synth.balance("sex", strategy)


@pytest.mark.parametrize("method", ["anomaly_scores", "reconstruct"])
@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_a_seed_is_a_seed_everywhere(synth, table, method, seed):
    with pytest.raises(ConfigError, match="random_state"):
        getattr(synth, method)(table, random_state=seed)


def test_a_path_is_a_path(synth, table):
    with pytest.raises(ConfigError, match="path"):
        synth.save(None)
    with pytest.raises(ConfigError, match="path"):
        TVAESynthesizer.load(None)
    with pytest.raises(ConfigError, match="generator_filepath"):
        TVAESynthesizer(table, METADATA, generator_filepath=5)


@pytest.mark.parametrize("epoch", [float("nan"), float("inf"), -1.0])
def test_a_file_whose_history_counts_no_epochs_is_refused(synth, tmp_path, epoch):
    content = parse_artifact(synth.to_bytes())
    content["training"]["backend"]["history"][0][0] = epoch
    kept = {key: content[key] for key in ("metadata", "transforms", "model", "weights", "training", "privacy")}
    (tmp_path / "odd.pkl").write_bytes(dump_artifact(kept))
    with pytest.raises(CorruptArtifactError, match="history"):
        TVAESynthesizer.load(tmp_path / "odd.pkl")


def test_a_generator_file_that_cannot_be_written_is_told_before_training(table, tmp_path):
    path = tmp_path / "nowhere" / "x.pkl"
    synth = TVAESynthesizer(table, METADATA, generator_filepath=path, epochs=1, verbose=False)
    with pytest.raises(ConfigError, match=r"generator_filepath.*does not exist; make it first"):
        synth.fit()
    assert "not fitted" in repr(synth)


@pytest.mark.parametrize("method", ["impute", "encode", "reconstruct", "anomaly_scores"])
def test_a_column_that_was_learnt_and_is_not_there_is_named_with_its_cure(synth, table, method):
    with pytest.raises(ColumnsMismatchError, match=r"'bmi'.*was learnt; add it"):
        getattr(synth, method)(table.drop(columns="bmi"))


def test_codes_with_an_e_are_no_numbers():
    df = pd.DataFrame({"icd10": ["E10", "E11", "E78"] * 20, "price": ["1.5", "2e3", ".5"] * 20})
    with pytest.warns(MetadataWarning) as caught:
        metadata = Metadata.infer(df)
    assert metadata.column("icd10").kind == "categorical"
    assert [str(warning.message).split(":")[0] for warning in caught] == ["column 'price'"]


def test_clovers_face_warns_of_nothing_that_the_caller_did_not_say(table, tmp_path):
    path = tmp_path / "g.pkl"
    TVAESynthesizer(table, METADATA, generator_filepath=path, epochs=1, verbose=False).fit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TVAEGenerator(None, None, generator_filepath=path)
    with pytest.warns(UserWarning, match="other values of epochs$"):
        TVAEGenerator(None, None, generator_filepath=path, epochs=7)


def test_limits_that_nothing_can_meet_are_refused():
    with pytest.raises(ConfigError, match="min is above max"):
        check_limits({}, {"fidelity.shape": {"min": 5, "max": 1}})


@pytest.mark.parametrize("factor", [1e305, 1e200])
def test_numbers_whose_squares_overflow_are_measured(table, factor):
    huge = table.assign(bmi=table["bmi"] * factor)
    halves = huge[:40], huge[40:]
    scores = tstr(*halves, huge[:40], "bmi", METADATA).set_index(["model", "score"])
    assert np.isfinite(scores.to_numpy()).all()
    scores = tstr(*halves, huge[:40], "sex", METADATA).set_index(["model", "score"])
    assert np.isfinite(scores.to_numpy()).all()
    assert fidelity(*halves, metadata=METADATA)["fidelity.shape"].value > 0


def job(tmp_path, text: str):
    path = tmp_path / "jobs.yaml"
    path.write_text("version: 1\njobs:\n" + text)
    return path


IRIS = (
    "{continuous: [sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)], categorical: [species]}"
)


JOB_A = f"""\
  - name: a
    data: {{dataset: sklearn.iris}}
    metadata: {IRIS}
"""


def test_cells_and_conditions_are_checked_before_any_job_starts(tmp_path):
    pd.DataFrame({"other": [1.0, 2.0]}).to_csv(tmp_path / "other.csv", index=False)
    path = job(
        tmp_path,
        f"""\
  - {{name: a, data: {{dataset: sklearn.iris}}, metadata: {IRIS}, generator_filepath: a.pkl}}
  - name: b
    data: {{dataset: sklearn.iris}}
    metadata: {IRIS}
    holdout: other.csv
    sample:
      - {{rows: 1, output: b.csv, conditions: {{species: rose}}}}
      - {{rows: 1, output: c.csv, conditions: {{species: null, "petal width (cm)": {{">=": 99}}}}}}
  - {{name: c, data: {{dataset: sklearn.iris}}, metadata: {IRIS.replace("width (cm)], categorical: [species]", "width (cm), species]")}, generator_filepath: c.pkl}}
""",
    )
    assert len(load_jobs([path])) == 3  # without reading a row, nothing is wrong
    with pytest.raises(ConfigError) as caught:
        load_jobs([path], read=lambda _: True)
    found = [str(problem) for problem in caught.value.problems]
    for part in (
        ":7:5: holdout: ",
        ":9:47: conditions: column 'species': 1 of 1 values were never seen",
        ":10:47: conditions: column 'species': asks for missing cells",
        ":10:62: conditions: column 'petal width (cm)': no value of the range",
        ":11:15: data: column 'species': declared 'continuous', but",
    ):
        assert any(part in text for text in found), "\n".join(found)
    assert not any("rose" in text for text in found)


def test_one_wrong_sample_does_not_hide_the_others(tmp_path):
    path = job(
        tmp_path,
        f"""\
{JOB_A}    sample:
      - {{rows: 10, output: p.csv}}
      - {{rows: 10, output: p.csv, conditions: {{species: {{"~": 1}}, specis: setosa}}}}
      - {{rows: 10, output: /tmp/zz.csv}}
      - {{rows: -1, output: a.txt}}
""",
    )
    with pytest.raises(ConfigError) as caught:
        load_jobs([path])
    text = "\n".join(map(str, caught.value.problems))
    for part in (
        "is written as",
        "must be one of ==",
        "'specis'",
        "is absolute",
        "greater than or equal to 0",
        ".parquet",
    ):
        assert part in text, (part, text)
    assert len(caught.value.problems) == 6


def test_what_was_done_before_a_job_failed_stays_in_its_result(tmp_path):
    path = job(
        tmp_path,
        f"""\
{JOB_A}    synthesizer: {{epochs: 1, random_state: 1}}
    generator_filepath: a.pkl
    sample:
      - {{rows: 10, output: p.csv}}
      - {{rows: 10, output: q.csv, conditions: {{species: rose}}}}
""",
    )
    result = run_job(load_jobs([path])[0])
    assert (result.status, result.trained, result.outputs, result.rows) == ("failed", True, ("p.csv",), 10)
    assert result.error is not None
    assert result.error.kind == "ConditionError"
    assert result.sha256 is not None
    assert TVAESynthesizer.load(tmp_path / "a.pkl", expected_sha256=result.sha256).metadata.names


def test_clovers_generator_filepath_is_a_path(table):
    with pytest.raises(ConfigError, match="generator_filepath"):
        TVAEGenerator(table, METADATA, generator_filepath=5)
