"""What a job is checked for before any job starts, and what stays of one that fails."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import ConfigError
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
        ":9:47: conditions: column 'species': 1 of 1 values were never seen",
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
