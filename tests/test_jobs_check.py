"""What a job is checked for before any job starts, and what stays of one that fails."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import ConfigError, did_you_mean
from clover_tvae.files import not_there
from clover_tvae.jobs import load_jobs, run_job


def job(tmp_path: Path, text: str) -> Path:
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


def test_cells_and_conditions_are_checked_before_any_job_starts(tmp_path: Path) -> None:
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
        load_jobs([path], tables="always")
    found = [str(problem) for problem in caught.value.problems]
    for part in (
        ":7:5: holdout: ",
        ":9:47: conditions: column 'species': 1 of 1 values are not among the",
        ":10:47: conditions: column 'species': asks for missing cells",
        ":10:62: conditions: column 'petal width (cm)': the range must hold a value",
        ":11:15: data: column 'species': must hold numbers, found text",
    ):
        assert any(part in text for text in found), "\n".join(found)
    assert not any("rose" in text for text in found)


def test_one_wrong_sample_does_not_hide_the_others(tmp_path: Path) -> None:
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


@pytest.mark.long
def test_what_was_done_before_a_job_failed_stays_in_its_result(tmp_path: Path) -> None:
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


def told_in_one_round(path: Path, parts: list[str], n: int) -> None:
    """Ask that ``n`` problems are told, those parts among them, whether the tables are read because they are due or anyway."""
    for tables in ("due", "always"):
        with pytest.raises(ConfigError) as caught:
            load_jobs([path], tables=tables)
        found = [str(problem) for problem in caught.value.problems]
        for part in parts:
            assert any(part in text for text in found), part + "\n".join(["", *found])
        assert len(found) == n, "\n".join(found)


def test_cells_conditions_parameters_outputs_and_limits_are_told_in_one_round(tmp_path: Path) -> None:
    path = job(
        tmp_path,
        f"""\
{JOB_A}    synthesizer: {{backend: sdv, patience: 3}}
    limits: {{fidelity.shap: {{max: 1}}}}
    sample:
      - {{rows: 1, output: ../b.csv, conditions: {{species: rose, "petal width (cm)": {{between: [5, 2]}}}}}}
      - {{rows: -1, output: c.csv, conditions: {{specis: setosa, "petal width (cm)": {{">=": 99}}}}}}
  - name: b
    data: {{dataset: sklearn.iris}}
    metadata: {IRIS.replace("width (cm)], categorical: [species]", "width (cm), species]")}
    report: report.txt
  - {{name: c, data: {{dataset: sklearn.iris}}, metadata: {IRIS}, generator_filepath: c.pkl}}
""",
    )
    parts = [
        ":6:33: patience: the sdv backend has no such parameter",
        ":7:14: limits: must be a figure of the catalogue, found 'fidelity.shap'",
        ":9:19: output: the path holds '..'",
        ":9:50: conditions: column 'species': 1 of 1 values are not among the",
        ":9:65: petal width (cm): a range must have its lower end first",
        ":10:10: rows: must be greater than or equal to 0",
        ":10:48: the metadata has no modelled column 'specis'",
        ":10:64: conditions: column 'petal width (cm)': the range must hold a value",
        ":12:5: data: column 'species': must hold numbers, found text",
        ":14:5: report: must be a file name that ends in .html",
    ]
    told_in_one_round(path, parts, 10)


@pytest.mark.parametrize("in_a_file", [True, False])
def test_a_wrong_key_of_the_metadata_does_not_hide_a_wrong_column(tmp_path: Path, in_a_file: bool) -> None:
    (tmp_path / "t.csv").write_text("age,sex\n30,F\n40,M\n")
    metadata = '{"continuous": ["agee"], "categoricall": ["sex"]}'
    (tmp_path / "m.json").write_text(metadata)
    text = f"  - {{name: a, data: t.csv, metadata: {'m.json' if in_a_file else metadata}, generator_filepath: a.pkl}}\n"
    with pytest.raises(ConfigError) as caught:
        load_jobs([job(tmp_path, text)])
    assert len(caught.value.problems) == 2, caught.value
    assert "unknown key" in str(caught.value)
    assert "column 'agee': the table has no such column" in str(caught.value)
    assert "column 'sex'" not in str(caught.value)  # it may be described under the wrong key


#: Beside a misspelt name, of a table with the columns age, sex and day.
MISSPELT = "{continuous: [agee], categorical: [sex], datetime: [{name: day, format: '%Y-%m-%d'}]}"


def people(tmp_path: Path) -> None:
    day = pd.date_range("2024-01-01", periods=60).strftime("%d/%m/%Y")
    pd.DataFrame({"age": range(20, 80), "sex": ["F", "M"] * 30, "day": day}).to_csv(tmp_path / "t.csv", index=False)


@pytest.mark.parametrize(
    "metadata",
    [
        MISSPELT,
        MISSPELT.replace("agee", "age").replace("[sex]", "[sex], boolean: [{name: s, order: 1}]"),
        MISSPELT.replace("agee", "age, sex").replace("[sex]", "[]"),
    ],
    ids=["a misspelt column", "a wrong option", "text among numbers"],
)
def test_one_column_that_is_wrong_hides_no_other_nor_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str
) -> None:
    people(tmp_path)
    (tmp_path / "mine.csv").write_text("not of the job")
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed")  # root may write everywhere
    path = job(
        tmp_path,
        f"""\
  - name: a
    data: t.csv
    metadata: {metadata}
    sample:
      - {{rows: 1, output: mine.csv, conditions: {{day: {{">": "2024-01-05"}}}}}}
      - {{rows: 1, output: closed/x.csv, conditions: {{{"sex: X" if "[sex]" in metadata else "age: {'>': 99}"}}}}}
""",
    )
    parts = [
        ":4:5: data: column 'day': must hold dates of the format '%Y-%m-%d', found 60 of 60",
        ":7:19: output: the file exists and was not written by this job",
        ":8:19: output: nothing can be written in the folder 'closed'",
        ": conditions: column '",
    ]
    n_of_the_column = 2 if metadata == MISSPELT else 1  # what the table lacks, and what the metadata lacks
    told_in_one_round(path, parts, 4 + n_of_the_column)


def test_wrong_cells_are_told_beside_a_file_of_somebody_else(tmp_path: Path) -> None:
    people(tmp_path)
    (tmp_path / "mine.csv").write_text("not of the job")
    described = MISSPELT.replace("agee", "age")
    text = "  - {name: a, data: t.csv, metadata: %s, sample: {rows: 1, output: mine.csv}}\n"
    with pytest.raises(ConfigError) as caught:
        load_jobs([job(tmp_path, text % described)], tables="due")
    assert len(caught.value.problems) == 2
    sound = job(tmp_path, text % described.replace("%Y-%m-%d", "%d/%m/%Y"))
    result = run_job(load_jobs([sound], tables="due")[0])  # alone, it is told when the job has its turn
    assert "was not written by this job" in str(result.error)


@pytest.mark.parametrize(
    "more", ["variable_to_predict: age", "relations: [{kind: predicate, expression: age > 3}]", "ignore: [aged]"]
)
def test_no_name_that_the_table_lacks_is_suggested(tmp_path: Path, more: str) -> None:
    people(tmp_path)
    described = MISSPELT.replace("%Y-%m-%d", "%d/%m/%Y").removesuffix("}") + f", {more}}}"
    sample = "{rows: 1, output: rows.csv, conditions: {age: {'>': 3}, sexx: F}}"
    path = job(tmp_path, f"  - {{name: a, data: t.csv, metadata: {described}, sample: {sample}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_jobs([path], tables="always")
    told = str(caught.value)
    assert "column 'agee': the table has no such column, declared 'continuous'; did you mean 'age'?" in told
    assert "mean 'agee'" not in told
    assert "no column is called 'age'" in told or "found 'age'" in told or "no modelled column 'age'" in told
    assert ("'sexx'; did you mean 'sex'?" in told) == more.startswith("ignore")


def test_what_was_typed_is_no_suggestion(tmp_path: Path) -> None:
    (tmp_path / "t.csv").symlink_to(tmp_path / "nowhere.csv")
    assert not_there(tmp_path / "t.csv") == "the file does not exist"
    assert did_you_mean("age", ["age", "sage"]) == "; did you mean 'sage'?"


def test_limits_that_too_few_people_leave_unmeasured_are_told_before_a_job_starts(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("privacy.copies: {max: 1}\nprivacy.file_auc: {max: 0.6}\n")
    text = f"""\
  - name: a
    data: {{dataset: sklearn.iris}}
    metadata: {IRIS}
    holdout: SHARE
    limits: {{privacy.copies: {{max: 1}}, privacy.membership_auc: {{max: 0.6}}}}
    sample: [{{rows: 500, output: a.csv}}, {{rows: FEW, output: b.csv}}]
  - {{name: b, data: {{dataset: sklearn.iris}}, metadata: {IRIS}, holdout: SHARE, limits: limits.yaml, sample: [{{rows: 9, output: c.csv}}]}}
"""
    enough = job(tmp_path, text.replace("SHARE", "0.3").replace("FEW", "40"))
    assert len(load_jobs([enough], tables="always")) == 2
    with pytest.raises(ConfigError) as caught:
        load_jobs([job(tmp_path, text.replace("SHARE", "0.2").replace("FEW", "39"))], tables="always")
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == 3
    assert (
        ":7:40: limits: 'privacy.membership_auc' cannot be measured: the job holds out 30 rows, and needs 40; hold out"
        in found[0]
    )
    assert ":8:43: rows: 39 rows are too few to measure 'privacy.membership_auc' (40 at least)" in found[1]
    assert "limits: 'privacy.file_auc' cannot be measured: the job holds out 30 rows" in found[2]
    with pytest.raises(ConfigError, match="the job learns 30 rows, and needs 40"):
        load_jobs([job(tmp_path, text.replace("SHARE", "0.8").replace("FEW", "40"))], tables="always")
    held = pd.DataFrame({"sepal length (cm)": 1.0, "species": "setosa", "flower": [*range(39)] * 10})
    held.to_csv(tmp_path / "held.csv", index=False)
    keys = "data: held.csv, metadata: {continuous: [sepal length (cm)], categorical: [species], id: [flower], unit: flower}"
    text = f"  - {{name: a, {keys}, holdout: held.csv, limits: limits.yaml, sample: [{{rows: 500, output: a.csv}}]}}\n"
    with pytest.raises(ConfigError, match="the job holds out 39 people, and needs 40"):
        load_jobs([job(tmp_path, text)], tables="always")


def test_a_file_of_limits_is_told_from_a_job_file(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("privacy.copies: {max: 1}\nfidelity.shape: {max: 2}\n")
    with pytest.raises(ConfigError) as caught:
        load_jobs([tmp_path / "limits.yaml"])
    assert len(caught.value.problems) == 1
    assert "limits.yaml:1:1: this is a file of limits, not of jobs" in str(caught.value)


def test_relations_written_in_the_job_are_told_by_their_line(tmp_path: Path) -> None:
    path = job(
        tmp_path,
        f"""\
  - name: a
    data: {{dataset: sklearn.iris}}
    metadata:
      continuous: [{", ".join(f"{part} {size} (cm)" for part in ("sepal", "petal") for size in ("length", "width"))}]
      categorical: [species]
      unit: species
      relations:
        - {{kind: inequality, ascending: [petal width (cm), petal length (cm)]}}
        - kind: predicate
          expression: open('x') == species
        - {{kind: interval, start: petal widht (cm), end: petal length (cm)}}
    generator_filepath: a.pkl
""",
    )
    with pytest.raises(ConfigError) as caught:
        load_jobs([path])
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == 3
    for part in (
        ":8:7: metadata: unit: must name a column of kind 'id'",
        ":12:11: metadata: relations[1].expression: must be made of columns",
        ":13:11: metadata: relations[2]: must name columns that are learnt",
    ):
        assert any(part in text for text in found), "\n".join(found)


def test_conditions_that_no_row_meets_together_are_told_before_a_job_starts(tmp_path: Path) -> None:
    path = job(
        tmp_path,
        f"""\
  - name: a
    data: {{dataset: sklearn.iris}}
    metadata: {IRIS[:-1]}, relations: [{{kind: inequality, ascending: [petal width (cm), petal length (cm)]}}]}}
    generator_filepath: a.pkl
    sample:
      - {{rows: 1, output: b.csv, conditions: {{"petal width (cm)": {{">=": 2}}, "petal length (cm)": {{"<=": 1.5}}}}}}
""",
    )
    with pytest.raises(ConfigError, match=r":8:34: conditions: columns .* must leave room for the relation"):
        load_jobs([path], tables="always")


def test_of_thousands_of_faults_the_first_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_jobs([job(tmp_path, "  - {name: a, roows: 1}\n" * 2_000)])
    assert len(caught.value.problems) == 501
    assert "there may be more" in str(caught.value)
