"""Assessing and comparing generators: by function, in jobs with reports and limits, and by `evaluate` and `compare`."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import refuses
from sklearn.datasets import load_breast_cancer
from typer.testing import CliRunner

from clover_tvae import TVAESynthesizer
from clover_tvae.cli.app import app
from clover_tvae.errors import ConfigError, TooFewRowsError
from clover_tvae.evaluation import measure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.limits import check_limits, passed_limits
from clover_tvae.jobs import load_jobs, plan_job, run_job
from clover_tvae.jobs.read import load_limits
from clover_tvae.metadata import Metadata
from clover_tvae.workflows.assessment import as_learnt, split_holdout
from clover_tvae.workflows.comparison import compare_generators

JOB = """\
version: 1
jobs:
  - name: patients
    data: patients.csv
    metadata: patients.json
    synthesizer: {random_state: 1, epochs: 1, batch_size: 64}
    generator_filepath: patients.pkl
    sample: {rows: 10, output: rows.csv}
"""


pytestmark = pytest.mark.usefixtures("few_rounds")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = load_breast_cancer(as_frame=True).frame.iloc[:260, [0, 1, 2, -1]]
    data.columns = ["radius", "texture", "perimeter", "target"]
    data.to_csv(tmp_path / "patients.csv", index=False)
    metadata = {"continuous": list(data.columns[:3]), "categorical": ["target"], "variable_to_predict": "target"}
    (tmp_path / "patients.json").write_text(json.dumps(metadata))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job_of(folder: Path, more: str = "", text: str = JOB):
    (folder / "job.yaml").write_text(text + more)
    return load_jobs([folder / "job.yaml"])[0]


def command(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


# ---------------------------------------------------------------- splitting


def test_a_split_is_a_partition_that_the_seed_fixes() -> None:
    df = pd.DataFrame({"x": np.arange(1000)})
    train, holdout = split_holdout(df, 0.2, seed=5)
    assert len(holdout) == 200
    assert sorted([*train["x"], *holdout["x"]]) == list(range(1000))
    assert train["x"].is_monotonic_increasing
    pd.testing.assert_frame_equal(holdout, split_holdout(df, 0.2, seed=5)[1])
    assert not holdout.equals(split_holdout(df, 0.2, seed=6)[1])


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(TooFewRowsError, match=r"0\.1 of 10 rows"):
        split_holdout(pd.DataFrame({"x": range(10)}), 0.1)
    with refuses(ConfigError, "holdout"):
        split_holdout(pd.DataFrame({"x": range(10)}), 1.0)


# ---------------------------------------------------------------- limits


def test_limits_are_read_strictly_with_places(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text("fidelity.shap: {max: 2}\nprivacy.dcr_share: {maximum: 1, min: x}\nfidelity.c2st: 3\n")
    with pytest.raises(ConfigError) as caught:
        load_limits(path)
    text = str(caught.value)
    assert (
        "limits.yaml:1:1: must be a figure of the catalogue, found 'fidelity.shap'; did you mean 'fidelity.shape'?"
        in text
    )
    assert "limits.yaml:2:1: a bound must be max or min, found 'maximum'" in text
    assert "limits.yaml:2:33: must be a finite number" in text
    assert "limits.yaml:3:1: must be max: number" in text


@pytest.mark.parametrize(
    "text", ["", "- 1\n", "{}\n", "a: &x {max: 1}\nb: *x\n", "fidelity.shape: {max: 1}\nfidelity.shape: {max: 9}\n"]
)
def test_files_that_are_no_limits_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"limits\.yaml"):
        load_limits(path)


def test_a_figure_beyond_its_limit_or_not_measured_passes_it() -> None:
    figures = Figures.of([Figure.of("fidelity.shape", 2.0), Figure.of("privacy.dcr_share", None)])
    assert not check_limits(figures, {"fidelity.shape": {"max": 2.0, "min": 1}})
    limits = {"fidelity.shape": {"max": 1}, "privacy.dcr_share": {"max": 1}, "fidelity.c2st": {"max": 1}}
    breaches = [str(breach) for breach in check_limits(figures, limits)]
    assert passed_limits(breaches).startswith("3 limits are passed")
    assert breaches[1].startswith("privacy.dcr_share: not measured")


# ---------------------------------------------------------------- jobs


def test_the_example_of_a_release_is_valid_where_it_lies() -> None:
    (job,) = load_jobs([Path(__file__).parents[1] / "examples/release.yaml"])
    assert job.holdout_fraction == 0.2
    assert set(job.limits) >= {"privacy.membership_auc", "fidelity.c2st_heldout", "utility.loss"}


@pytest.mark.parametrize("metadata", ["infer", "{continuous: [age], categorical: [sex]}"])
@pytest.mark.parametrize("in_a_file", [False, True])
def test_a_limit_that_needs_a_column_to_predict_is_refused_before_training(
    tmp_path: Path, metadata: str, in_a_file: bool
) -> None:
    (tmp_path / "people.csv").write_text("age,sex\n1,a\n2,b\n", encoding="utf-8")
    (tmp_path / "limits.yaml").write_text("utility.loss: {max: 0.1}\n", encoding="utf-8")
    limits = "limits.yaml" if in_a_file else "{utility.loss: {max: 0.1}}"
    (tmp_path / "jobs.yaml").write_text(
        "version: 1\njobs:\n  - name: people\n    data: people.csv\n"
        f"    metadata: {metadata}\n    limits: {limits}\n"
        "    sample: {rows: 5, output: out.csv}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"'utility\.loss' cannot be measured without a column to predict") as caught:
        load_jobs([tmp_path / "jobs.yaml"])
    assert caught.value.problems[0].where.startswith(str(tmp_path / "jobs.yaml") + ":6:")


@pytest.mark.long
def test_a_job_holds_rows_out_reports_and_is_up_to_date_afterwards(folder: Path) -> None:
    keys = "    report: out/report.html\n    limits: {fidelity.shape: {max: 100}}\n"
    job = job_of(folder, keys, JOB.replace("rows: 10,", "rows: 50,"))
    told: list[str] = []
    result = run_job(job, tell=told.append)
    assert [re.sub(r"[0-9.]+ s$", "1 s", line) for line in told] == [
        "learnt 234 rows in 1 s",
        "it learnt from 240 rows that a teacher wrote, not from people; not differentially private",
        "drew 50 rows for rows.csv in 1 s",
        "measured 50 rows in 1 s",
        "wrote the report in 1 s",
        "wrote rows.csv in 1 s",
    ]
    assert result.error is None
    assert result.report == "out/report.html"
    page = (folder / "out/report.html").read_text(encoding="utf-8")
    assert "patients: synthetic data report" in page
    assert "234 real training, 50 synthetic and 26 real holdout rows" in page
    assert "Latent space" in page
    assert result.sha256 is not None
    assert result.sha256 in page
    assert plan_job(job).up_to_date
    assert run_job(job).status == "up to date"

    (folder / "out/report.html").unlink()
    again = plan_job(job)
    assert (again.train, again.samples, again.assess) == (False, (0,), True)


@pytest.mark.long
def test_a_job_writes_a_dossier_and_its_json_and_guards_both(folder: Path) -> None:
    keys = "    dossier: out/dossier.html\n    about: {purpose: a test}\n"
    job = job_of(folder, keys)
    result = run_job(job)
    assert result.error is None
    assert (result.dossier, result.report) == ("out/dossier.html", None)
    assert "a test" in (folder / "out/dossier.html").read_text(encoding="utf-8")
    assert "a test" in (folder / "out/dossier.json").read_text(encoding="utf-8")
    assert plan_job(job).up_to_date
    assert plan_job(job_of(folder, keys.replace("a test", "another"))).assess
    (folder / "out/dossier.json").write_text("changed by hand", encoding="utf-8")
    with pytest.raises(ConfigError, match="changed after this job wrote it"):
        plan_job(job_of(folder, keys.replace("a test", "another")))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "    dossier: d.html\n    about: {purpos: x}\n",
            "must be a field of the dossier, did you mean|must be a field",
        ),
        ("    about: {purpose: x}\n", "about needs the key 'dossier'"),
        ("    dossier: d.txt\n", "dossier: must be a file name that ends in .html"),
    ],
)
def test_a_dossier_that_cannot_be_written_is_refused_before_training(folder: Path, keys: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        job_of(folder, keys)


@pytest.mark.long
def test_beyond_a_limit_no_row_is_drawn_however_often_the_job_is_run(folder: Path) -> None:
    (folder / "limits.yaml").write_text("fidelity.shape: {max: 0.001}\n")
    job = job_of(folder, "    report: report.html\n    limits: limits.yaml\n")
    for _ in range(2):
        result = run_job(job)
        assert result.status == "failed"
        assert result.error is not None
        assert result.error.exit_code == 6
        assert "fidelity.shape" in result.error.message
        assert not (folder / "rows.csv").exists()
        assert (folder / "report.html").exists()
    (folder / "report.html").unlink()
    (folder / "limits.yaml").write_text("fidelity.shape: {max: 100}\n")
    result = run_job(job_of(folder, "    report: report.html\n    limits: limits.yaml\n"))
    assert result.error is None
    assert not result.trained
    assert (folder / "rows.csv").exists()
    assert "26 real holdout rows" in (folder / "report.html").read_text(encoding="utf-8")


LOOSE, TIGHT = (f"    limits: {{fidelity.shape: {{max: {most}}}}}\n" for most in (100, 0.001))


def dossier_of_job(path: Path) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Return the rows of all sections of a dossier, and its figures."""
    content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    rows = {row[0]: row[1:] for section in content["sections"] for row in section["rows"]}
    return rows, content["figures"]["figures"]


@pytest.mark.long
def test_limits_hold_for_the_very_rows_that_are_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[pd.DataFrame] = []

    def noted(train: pd.DataFrame, rows: pd.DataFrame, *args: Any, **options: Any) -> Figures:
        measured.append(rows)
        return measure(train, rows, *args, **options)

    monkeypatch.setattr("clover_tvae.workflows.assessment.measure", noted)
    text = JOB.replace("rows: 10,", "rows: 700,")
    assert run_job(job_of(folder, TIGHT, text)).error is not None
    assert not (folder / "rows.csv").exists()
    assert run_job(job_of(folder, LOOSE, text)).error is None
    written = pd.read_csv(folder / "rows.csv")
    assert len(written) == 700
    for rows in measured:
        pd.testing.assert_frame_equal(written.iloc[:, :3], rows.iloc[:, :3])


@pytest.mark.long
def test_the_log_of_a_job_tells_of_its_own_training_and_not_of_an_attackers(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clover_tvae")
    assert (
        run_job(job_of(folder, "    holdout: 0.3\n    report: report.html\n", JOB.replace("10,", "100,"))).error is None
    )
    assert "known attacks" in (folder / "report.html").read_text(encoding="utf-8")
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in told if " rows x " in line] == ["training", "student"]
    assert sum("were held out" in line or "tells" in line for line in told) == 1


@pytest.mark.long
@pytest.mark.parametrize("seeded", [True, False])
def test_a_limit_that_is_tightened_holds_for_rows_that_stand_and_takes_them_back(folder: Path, seeded: bool) -> None:
    text = JOB if seeded else JOB.replace("random_state: 1, ", "")
    assert run_job(job_of(folder, LOOSE, text)).status == "done"
    rows = (folder / "rows.csv").read_bytes()
    assert run_job(job_of(folder, LOOSE.replace("100", "99"), text)).status == "done"
    assert (folder / "rows.csv").read_bytes() == rows
    for _ in range(2):
        result = run_job(job_of(folder, TIGHT, text))
        assert result.error is not None
        assert (result.error.exit_code, result.trained) == (6, False)
        assert not (folder / "rows.csv").exists()
    again = run_job(job_of(folder, LOOSE, text))
    assert (again.status, again.trained) == ("done", False)
    assert ((folder / "rows.csv").read_bytes() == rows) is seeded
    assert run_job(job_of(folder, LOOSE, text)).status == "up to date"


@pytest.mark.parametrize("change", ["", "mine"])
def test_rows_of_an_output_that_a_job_names_no_more_are_taken_back_beyond_a_limit(folder: Path, change: str) -> None:
    assert run_job(job_of(folder, LOOSE)).status == "done"
    if change:  # another's rows by now
        (folder / "rows.csv").write_text(change)
    result = run_job(job_of(folder, TIGHT, JOB.replace("rows.csv", "renamed.csv")))
    assert result.error is not None
    assert result.error.exit_code == 6
    assert (folder / "rows.csv").exists() is bool(change)
    assert not (folder / "renamed.csv").exists()


def test_a_file_that_is_not_the_jobs_own_stays_beyond_a_limit_and_is_named(folder: Path) -> None:
    assert run_job(job_of(folder, LOOSE)).status == "done"
    (folder / "rows.csv").write_text("mine")
    result = run_job(job_of(folder, TIGHT), force=True)
    assert result.error is not None
    assert result.error.exit_code == 6
    assert "still stand in rows.csv" in result.error.message
    assert (folder / "rows.csv").read_text() == "mine"


@pytest.mark.long
def test_pages_are_of_the_very_rows_that_are_written_and_say_how_they_were_drawn(folder: Path) -> None:
    text = JOB.replace("rows: 10,", "rows: 300, decode: stratified,").replace("patients.pkl", "g.pkl")
    keys = "    holdout: 0.3\n    report: report.html\n    dossier: dossier.html\n"
    assert run_job(job_of(folder, keys, text)).error is None
    rows, figures = dossier_of_job(folder / "dossier.html")
    data, written = pd.read_csv(folder / "patients.csv"), pd.read_csv(folder / "rows.csv")
    train, holdout = split_holdout(data, 0.3, seed=1)
    metadata = json.loads((folder / "patients.json").read_text())
    measured = measure(train, written, holdout, metadata, seed=1)
    for key in ("privacy.copies", "privacy.copied_rare", "privacy.attribute_gain", "fidelity.shape_heldout"):
        assert figures[key]["n"] == measured[key].n
        assert figures[key]["value"] == pytest.approx(measured[key].value), key
    assert (rows["learnt"], rows["held out"]) == (["182 rows, each a person"], ["78 rows, each a person"])
    assert rows["synthetic rows attacked"] == ["300"]
    attacks = (folder / "dossier.json").read_text().replace("_", " ")
    assert "learn the rows" in attacks  # and score people by that likelihood
    assert "300 to rows.csv, decoded as 'stratified'" in rows["which rows these are"][0]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "182 real training, 300 synthetic and 78 real holdout rows" in page
    assert "stratified" in page


@pytest.mark.long
def test_a_training_cut_by_the_clock_is_told_whenever_rows_of_it_are_made(folder: Path) -> None:
    text = JOB.replace("epochs: 1", "max_minutes: 0.001, privacy: none")
    keys = "    holdout: 0.3\n    report: report.html\n    dossier: dossier.html\n"
    told = "training was stopped by max_minutes=0.001 before it converged; with more minutes the rows may be better"
    for options in ({}, {"force": True}):
        result = run_job(job_of(folder, keys, text), **options)
        assert (result.error, result.trained) == (None, not options)
        assert result.warnings.count(told) == 1
        for page in ("report.html", "dossier.html"):
            html = (folder / page).read_text(encoding="utf-8")
            assert f"The {told}." in html[: html.index("<table")], page


def test_a_checkpoint_that_does_not_fit_a_job_is_refused_with_the_way_out(folder: Path) -> None:
    text = JOB.replace("generator_filepath", "checkpoint: true\n    generator_filepath")
    job = job_of(folder, text=text)
    (folder / ".clover-tvae").mkdir()
    job.checkpoint.write_bytes(b"something else")
    refused = run_job(job).error
    assert refused is not None
    assert "no checkpoint of this version, or a broken one" in refused.message
    assert f"it lies in .clover-tvae{os.sep}, and --retrain removes it" in refused.message
    assert run_job(job_of(folder, text=text), retrain=True).error is None


@pytest.mark.long
def test_rows_under_conditions_are_attacked_too_and_judged_by_privacy_alone(folder: Path) -> None:
    samples = """\
    sample:
      - {rows: 90, output: a.csv}
      - {rows: 60, output: b.csv, conditions: {target: 1}}
"""
    text = JOB.replace("    sample: {rows: 10, output: rows.csv}\n", samples)
    keys = "    holdout: 0.3\n    dossier: d.html\n    limits: {fidelity.shape: {max: 60}, privacy.copies: {max: 99}}\n"
    assert run_job(job_of(folder, keys, text)).outputs == ("a.csv", "b.csv")
    rows, figures = dossier_of_job(folder / "d.html")
    assert (figures["privacy.copies"]["n"], figures["fidelity.shape_heldout"]["n"]) == (150, 90)
    assert "60 to b.csv under conditions" in rows["which rows these are"][0]
    strict = run_job(job_of(folder, keys.replace("max: 99", "max: -1"), text))
    assert strict.error is not None
    assert "b.csv: privacy.copies: 0 is above the limit -1" in strict.error.message
    assert not {"a.csv", "b.csv"} & {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_another_share_held_out_trains_again_and_a_given_holdout_does_not_split(folder: Path) -> None:
    assert run_job(job_of(folder, "    holdout: 0.2\n")).error is None
    assert plan_job(job_of(folder, "    holdout: 0.2\n")).up_to_date
    changed = plan_job(job_of(folder, "    holdout: 0.3\n"))
    assert changed.train
    assert "holdout" in changed.reason
    data = pd.read_csv(folder / "patients.csv")
    data.iloc[200:].to_csv(folder / "test.csv", index=False)
    data.iloc[:200].to_csv(folder / "patients.csv", index=False)
    result = run_job(job_of(folder, "    holdout: test.csv\n    report: report.html\n"))
    assert result.error is None
    # Ten rows are too few to be told of: as many as were learnt stand on the page.
    assert "200 real training, 200 synthetic and 60 real holdout rows" in (folder / "report.html").read_text()


@pytest.mark.long
def test_a_generator_from_elsewhere_may_have_seen_the_rows_held_out_and_keeps_no_limit_of_privacy(folder: Path) -> None:
    assert run_job(job_of(folder)).error is None
    text = JOB.replace("name: patients", "name: other").replace(
        "rows: 10, output: rows.csv", "rows: 60, output: others.csv"
    )
    pages = "    holdout: 0.3\n    report: report.html\n    dossier: dossier.html\n"
    result = run_job(job_of(folder, pages, text))
    assert (result.error, result.trained) == (None, False)
    doubt = "not trained by this job and may have seen the rows held out"
    assert any(doubt in warning for warning in result.warnings)
    rows, figures = dossier_of_job(folder / "dossier.html")
    for verdict in (rows["The rows"], rows["The file"]):
        assert verdict[0].startswith("Not judged")
        assert doubt in verdict[0]
    assert figures["privacy.file_auc"]["value"] is None
    assert (folder / "report.html").read_text(encoding="utf-8").count(doubt) > 1

    stopped = run_job(job_of(folder, "    holdout: 0.3\n    limits: {privacy.file_auc: {max: 0.99}}\n", text))
    assert stopped.error is not None
    assert stopped.error.exit_code == 6
    assert f"privacy.file_auc: not measured (the generator was {doubt}" in stopped.error.message
    assert not (folder / "others.csv").exists()
    # A table of people whom it never saw is the word of the user, which is passed on.
    pd.read_csv(folder / "patients.csv").iloc[180:].to_csv(folder / "held.csv", index=False)
    pd.read_csv(folder / "patients.csv").iloc[:180].to_csv(folder / "patients.csv", index=False)
    keys = "    holdout: held.csv\n    dossier: dossier.html\n    limits: {privacy.file_auc: {max: 0.99}}\n"
    said = run_job(job_of(folder, keys, text), force=True)
    assert said.error is None
    assert "cannot tell whether it never saw the rows held out" in (folder / "dossier.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_report_of_somebody_else_is_not_overwritten(folder: Path) -> None:
    (folder / "report.html").write_text("mine")
    result = run_job(job_of(folder, "    report: report.html\n"))
    assert result.error is not None
    assert "was not written by this job" in result.error.message
    assert (folder / "report.html").read_text() == "mine"
    assert run_job(job_of(folder, "    report: report.html\n"), force=True).error is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("    report: report.txt\n", "report: must be a file name that ends in .html"),
        ("    report: ../report.html\n", "report: the path holds '..'"),
        ("    report: /tmp/report.html\n", "report: the path is absolute"),
        ("    holdout: 1.5\n", "holdout: must be less than 1"),
        ("    holdout: 0.0\n", "holdout: must be greater than 0"),
        ("    holdout: none.csv\n", "holdout: none.csv: the file does not exist"),
        ("    holdout: true\n", "holdout: must be a number"),
        ("    limits: none.yaml\n", "limits: "),
        ("    limits: {fidelity.shap: {max: 1}}\n", "did you mean 'fidelity.shape'"),
        ("    limits: {fidelity.shape: {max: yes}}\n", "yes"),
        ("    limits: 3\n", "limits: must be text"),
        ("    report: rows.html\n    reprt: x\n", "unknown key 'reprt'; did you mean 'report'?"),
    ],
)
def test_mistakes_are_found_before_anything_starts(folder: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        job_of(folder, more)
    assert message in str(caught.value)
    assert "job.yaml:" in str(caught.value)


def test_a_report_needs_data(folder: Path) -> None:
    assert run_job(job_of(folder)).error is None
    text = JOB.replace("    data: patients.csv\n", "").replace("    metadata: patients.json\n", "")
    with refuses(ConfigError, "job.yaml:7:5"):
        job_of(folder, "    report: report.html\n", text)


def test_the_report_may_not_be_written_over_another_file_of_the_jobs(folder: Path) -> None:
    second = JOB.split("jobs:\n")[1].replace("patients", "second").replace("rows.csv", "b.csv")
    second = second.replace("second.csv", "patients.csv").replace("second.json", "patients.json")
    with refuses(ConfigError, "job.yaml:16:5"):
        job_of(folder, f"    report: r.html\n{second}    report: r.html\n")


# ---------------------------------------------------------------- the command line


def split_files(folder: Path) -> None:
    data = pd.read_csv(folder / "patients.csv")
    data.iloc[:130].to_csv(folder / "train.csv", index=False)
    data.iloc[130:].to_csv(folder / "test.csv", index=False)
    data.sample(130, replace=True, random_state=0).to_csv(folder / "synthetic.csv", index=False)


@pytest.mark.long
def test_evaluate_writes_the_report_and_the_figures(folder: Path) -> None:
    split_files(folder)
    tables = ("--real", "train.csv", "--holdout", "test.csv", "--synthetic", "synthetic.csv", "-m", "patients.json")
    (folder / "limits.yaml").write_text("privacy.copies: {max: 100}\n")
    written = ("-o", "report.html", "--json", "figures.json", "--title", "<b>Mine")
    code, out, err = command("evaluate", *tables, "--limits", "limits.yaml", *written)
    assert code == 0, err
    assert "no proof of anonymity" in out
    assert "fidelity.shape" in out
    assert "&lt;b&gt;Mine" in (folder / "report.html").read_text()
    figures = Figures.from_plain(json.loads((folder / "figures.json").read_text()))
    assert figures["privacy.copies"].value is not None

    (folder / "limits.yaml").write_text("privacy.copies: {max: 0.5}\n")
    alone = ("--real", "train.csv", "--synthetic", "synthetic.csv", "-m", "patients.json")
    code, out, err = command("evaluate", *alone, "--limits", "limits.yaml", "-q")
    assert code == 6
    assert "privacy.copies" in err


@pytest.mark.long
def test_evaluate_judges_nothing_by_a_holdout_that_was_exchanged_with_the_learnt_rows(folder: Path) -> None:
    split_files(folder)
    exchanged = ("--real", "test.csv", "--holdout", "train.csv", "--synthetic", "train.csv", "-m", "patients.json")
    code, _, err = command("evaluate", *exchanged, "-o", "r.html", "--json", "f.json", "--dossier", "d.html")
    assert code == 0, err
    sentence = (
        "130 of the 130 synthetic rows stand word for word in the holdout: either it and the learnt rows were exchanged"
    )
    assert err.count(sentence) == 1
    assert (folder / "r.html").read_text().count(f"Cannot be said where {sentence}") == 3
    assert f"Not judged: {sentence}" in (folder / "d.html").read_text()
    figures = Figures.from_plain(json.loads((folder / "f.json").read_text()))
    assert [note for note in figures.notes if sentence in note] == list(figures.notes)
    for key in ("fidelity.c2st_heldout", "utility.loss", "privacy.membership_auc"):
        assert figures[key].value is None
        assert sentence in figures[key].why_unmeasured


@pytest.mark.long
def test_evaluate_judges_nothing_by_a_holdout_that_the_generator_may_have_learnt(folder: Path) -> None:
    split_files(folder)
    metadata = json.loads((folder / "patients.json").read_text())
    options = {"random_state": 1, "epochs": 1, "privacy": "none", "verbose": False}
    everyone = pd.read_csv("patients.csv")
    for name, learnt in (("all", everyone), ("most", everyone.head(135)), ("some", everyone.head(100))):
        TVAESynthesizer(learnt, metadata, **options).fit().save(f"{name}.pkl")
    tables = ("--real", "train.csv", "--holdout", "test.csv", "--synthetic", "synthetic.csv", "-m", "patients.json")
    asked = ("--generator", "all.pkl", "-o", "r.html", "--dossier", "d.html")
    code, _, err = command("evaluate", *tables, *asked)
    assert code == 0, err
    sentence = f"130 rows of the real table are fewer than the {len(everyone):,} that the generator learnt"
    assert err.count(sentence) == 1
    assert (folder / "r.html").read_text().count(f"Cannot be said where {sentence}") == 2  # copies are a leak
    assert f"Not judged: {sentence}" in (folder / "d.html").read_text()  # the file
    for name in ("most", "some"):
        code, _, err = command("evaluate", *tables, "--generator", f"{name}.pkl", "-q")
        assert code == 0, err
        assert "are fewer than" not in err


@pytest.mark.long
def test_categories_of_whole_numbers_are_those_that_the_generator_learnt_from_a_data_frame(folder: Path) -> None:
    split_files(folder)
    metadata = json.loads((folder / "patients.json").read_text())
    synth = TVAESynthesizer(pd.read_csv("train.csv"), metadata, random_state=1, epochs=1, verbose=False).fit()
    synth.save("patients.pkl")
    # In a CSV file a category is text.
    tables = ("--real", "train.csv", "--holdout", "test.csv", "--synthetic", "synthetic.csv", "-m", "patients.json")
    code, _, err = command("evaluate", *tables, "--generator", "patients.pkl", "--dossier", "d.html")
    assert code == 0, err
    assert dossier_of_job(folder / "d.html")[1]["privacy.file_auc"]["value"] is not None
    read = as_learnt(synth, pd.read_csv("train.csv", dtype={"target": str}))
    pd.testing.assert_frame_equal(synth.anomaly_scores(read), synth.anomaly_scores(pd.read_csv("train.csv")))
    result = run_job(job_of(folder, "    report: report.html\n", JOB.replace("patients.csv", "train.csv")))
    assert result.error is None
    assert not result.trained


@pytest.mark.long
def test_evaluate_says_what_is_wrong_and_where(folder: Path) -> None:
    split_files(folder)
    (folder / "limits.yaml").write_text("fidelity.shap: {max: 2}\n")
    tables = ("--real", "train.csv", "--synthetic", "synthetic.csv", "-m", "patients.json")
    code, _, err = command("evaluate", *tables, "--limits", "limits.yaml")
    assert code == 2
    assert "limits.yaml:1:1" in err
    (folder / "there.html").write_text("old")
    code, _, err = command("evaluate", *tables, "-o", "there.html")
    assert code == 2
    assert "--force overwrites it" in err
    for target in ("report.txt", "nowhere/report.html"):
        assert command("evaluate", *tables, "-o", target)[0] == 2
    pd.read_csv("synthetic.csv").rename(columns={"radius": "radios"}).to_csv("other.csv", index=False)
    code, _, err = command("evaluate", "--real", "train.csv", "--synthetic", "other.csv", "-m", "patients.json")
    assert code == 2
    assert "radius" in err


@pytest.mark.slow
def test_evaluate_shows_the_generator(folder: Path) -> None:
    assert run_job(job_of(folder)).error is None
    split_files(folder)
    tables = ("--real", "train.csv", "--synthetic", "synthetic.csv", "-m", "patients.json")
    code, _, err = command("evaluate", *tables, "-o", "report.html", "--generator", "patients.pkl", "-q")
    assert code == 0, err
    page = (folder / "report.html").read_text()
    assert "Latent space" in page
    assert "epochs" in page


@pytest.mark.slow
def test_shadow_models_attack_the_pipeline_of_the_generator(folder: Path) -> None:
    assert run_job(job_of(folder)).error is None
    split_files(folder)
    tables = ("--real", "train.csv", "--holdout", "test.csv", "--synthetic", "synthetic.csv", "-m", "patients.json")
    code, _, err = command(
        "evaluate", *tables, "--shadow-models", "4", "--generator", "patients.pkl", "--json", "f.json"
    )
    assert code == 0, err
    figures = Figures.from_plain(json.loads((folder / "f.json").read_text()))
    assert figures["privacy.shadow_auc"].interval is not None


def test_shadow_models_need_the_generator(folder: Path) -> None:
    tables = ("--real", "patients.csv", "--synthetic", "patients.csv", "-m", "patients.json")
    code, _, err = command("evaluate", *tables, "--shadow-models", "4")
    assert code == 2
    assert "needs --generator" in err


@pytest.mark.long
def test_compare_holds_generators_side_by_side(folder: Path) -> None:
    arguments = (
        "compare",
        "patients.csv",
        "-m",
        "patients.json",
        "--epochs",
        "1",
        "--max-minutes",
        "5",
        "--backends",
        "autoregressive,independent",
    )
    code, out, err = command(*arguments, "-o", "compare.html", "--json", "compare.json")
    assert code == 0, err
    assert "fidelity.shape" in out
    assert "Fit, seconds" in out
    assert re.search("autoregressive +A student of written rows", out)
    assert re.search("independent +The table itself: the file is as sensitive as the data", out)
    stages = [re.sub(r"[0-9.]+ s$", "1 s", line) for line in err.splitlines() if line.startswith("independent")]
    assert stages == [
        "independent: learning ...",
        "independent: learnt 234 rows in 1 s",
        "independent: drew 234 rows in 1 s",
        "independent: measured them in 1 s",
    ]
    page = (folder / "compare.html").read_text()
    assert "Learned sigma of each continuous column" in page
    content = json.loads((folder / "compare.json").read_text())
    assert [(made["name"], made["has_student"]) for made in content["generators"]] == [
        ("autoregressive", True),
        ("independent", False),
    ]
    assert {entry["column"] for entry in content["generators"][1]["sigmas"]} == {"radius", "texture", "perimeter"}


def test_compare_refuses_unknown_generators(folder: Path) -> None:
    code, _, err = command("compare", "patients.csv", "-m", "patients.json", "--backends", "independant")
    assert code == 2
    assert "did you mean 'independent'" in err
    code, _, err = command("compare", "patients.csv", "-m", "patients.json", "--backends", "sdv,sdv")
    assert code == 2


def test_a_generator_that_fails_does_not_stop_the_others(folder: Path) -> None:
    df = pd.read_csv(folder / "patients.csv")
    metadata = Metadata.load(folder / "patients.json")
    seen: list[str] = []
    comparison = compare_generators(
        df,
        metadata,
        generators=["independent", "autoregressive"],
        holdout=df.iloc[:60],
        seed=3,
        parameters={"epochs": 1, "embedding_dim": -1},
        tell=seen.append,
    )
    assert [line.partition(":")[0] for line in seen] == ["independent"] * 2 + ["autoregressive"] * 2
    assert [line.endswith(": learning ...") for line in seen] == [True, False] * 2
    assert all("embedding_dim" in result["error"] for result in comparison.results)
    assert comparison.facts["Holdout rows"] == 60
    assert json.loads(json.dumps(comparison.to_plain()))["generators"][0]["figures"] is None


@pytest.mark.long
def test_a_limit_on_minutes_holds_for_the_backends_that_know_one(folder: Path) -> None:
    pytest.importorskip("sdv")
    df = pd.read_csv(folder / "patients.csv").head(80)
    comparison = compare_generators(
        df,
        Metadata.load(folder / "patients.json"),
        generators=["sdv"],  # the test above gives others the limit
        seed=1,
        parameters={"epochs": 1, "max_minutes": 5},
    )
    assert all("error" not in result for result in comparison.results)
    assert all(result["sigmas"] for result in comparison.results)


@pytest.mark.long
def test_a_fitted_generator_can_be_reported_on(folder: Path) -> None:
    from clover_tvae import TVAESynthesizer
    from clover_tvae.report import report_on

    df = pd.read_csv(folder / "patients.csv")
    synth = TVAESynthesizer(df, folder / "patients.json", random_state=1, epochs=1, verbose=False).fit()
    report = report_on(synth, df, figures=(), title="Mine")
    page = report.html()
    assert "Latent space" in page
    assert "260 real training and 260 synthetic rows" in page
    assert report.title == "Mine"
    with pytest.warns(UserWarning, match="its number of rows, 160"):
        measured = report_on(synth, df[:160], df[160:]).figures
    assert measured["privacy.file_auc"].value is not None, "who holds the file is tried"


@pytest.mark.long
def test_a_synthesizer_reports_and_draws_itself(folder: Path) -> None:
    from clover_tvae import TVAESynthesizer
    from clover_tvae.errors import NotFittedError

    df = pd.read_csv(folder / "patients.csv")
    synth = TVAESynthesizer(df, folder / "patients.json", random_state=1, epochs=2, verbose=False)
    with pytest.raises(NotFittedError):
        synth.plot_pairs()
    synth.fit()
    assert "no proof of anonymity" in synth.report(df, figures=()).html()
    for figure in (
        synth.plot_history(),
        synth.plot_marginals(df, columns=["radius"]),
        synth.plot_pairs(df),
        synth.plot_latent(df),
    ):
        assert figure._repr_svg_().startswith("<svg")
    before = synth.card()["writer"]
    synth.save(folder / "g.pkl")
    loaded = TVAESynthesizer.load(folder / "g.pkl")
    assert loaded.card()["writer"] == synth.card()["writer"] == before
    with refuses(ConfigError, "real"):
        loaded.report()
    assert "Latent space" in loaded.report(df, figures=()).html()
