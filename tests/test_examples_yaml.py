"""The YAML examples, the employees, the notebook and the README: all of them do what they say."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from clover_tvae.jobs import load_jobs, run_jobs
from clover_tvae.metadata import Metadata
from clover_tvae.relations.document import RELATION_KEYS
from clover_tvae.workflows import builtin_table, make_employees

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def copied(name: str, folder: Path, short: bool) -> Path:
    """Copy an example to where it may write; ``short`` trains one epoch of the small decoder."""
    text = (EXAMPLES / name).read_text()
    if short:
        quick = text.replace("{random_state: 42}", "{random_state: 42, epochs: 1, decoder: independent}")
        assert quick != text
        text = quick
    (folder / name).write_text(text)
    return folder / name


def check_patients(folder: Path, job_file: Path) -> None:
    (result,) = run_jobs(load_jobs([job_file]))
    assert (result.status, result.trained) == ("done", True)
    rows = pd.read_csv(folder / "output/patients.csv")
    real = builtin_table("sklearn.breast_cancer")
    assert rows.shape == (1000, 31)
    assert rows.columns.tolist() == real.columns.tolist()
    assert set(rows["diagnosis"]) == {"malignant", "benign"}
    (again,) = run_jobs(load_jobs([job_file]))
    assert again.status == "up to date"
    (folder / "output/patients.csv").unlink()
    (drawn,) = run_jobs(load_jobs([job_file]))
    assert (drawn.status, drawn.trained, "without training" in drawn.reason) == ("done", False, True)
    assert pd.read_csv(folder / "output/patients.csv").equals(rows)


def check_employees(folder: Path, job_file: Path) -> None:
    (result,) = run_jobs(load_jobs([job_file]))
    assert (result.status, result.rows) == ("done", 1700)
    staff = make_employees()
    rows = pd.read_csv(folder / "output/employees.csv")
    women = pd.read_csv(folder / "output/women.csv")
    well_paid = pd.read_csv(folder / "output/well_paid_women.csv")
    assert [len(rows), len(women), len(well_paid)] == [1000, 500, 200]
    assert rows.columns.tolist() == staff.columns.tolist()
    assert set(women["gender"]) == {"F"}
    assert set(well_paid["gender"]) == {"F"}
    assert set(well_paid["department"]) <= {"Development", "Operations"}
    assert well_paid["salary"].min() >= 60_000
    assert rows["employee_id"].is_unique
    assert rows["hire_date"].str.fullmatch(r"\d{4}-\d{2}-\d{2}").all()


def test_patients_in_short(tmp_path: Path) -> None:
    check_patients(tmp_path, copied("patients.yaml", tmp_path, short=True))


def test_employees_in_short(tmp_path: Path) -> None:
    check_employees(tmp_path, copied("employees.yaml", tmp_path, short=True))


def check_release(folder: Path, job_file: Path) -> None:
    (folder / "limits").mkdir()
    shutil.copy(EXAMPLES / "limits/release.yaml", folder / "limits")
    (result,) = run_jobs(load_jobs([job_file]))
    assert result.trained
    page = (folder / "output/release_report.html").read_text(encoding="utf-8")
    assert "114 real holdout" in page
    if result.error is None:
        assert pd.read_csv(folder / "output/release.csv").shape == (1000, 31)
    else:  # what one epoch learnt is not let out
        assert (result.error.exit_code, result.rows) == (6, 0)
        assert not (folder / "output/release.csv").exists()


def test_release_in_short_is_stopped_by_its_limits(tmp_path: Path) -> None:
    job_file = copied("release.yaml", tmp_path, short=True)
    check_release(tmp_path, job_file)
    assert not (tmp_path / "output/release.csv").exists()


@pytest.mark.slow
def test_release_passes_its_limits(tmp_path: Path) -> None:
    check_release(tmp_path, copied("release.yaml", tmp_path, short=False))
    assert (tmp_path / "output/release.csv").exists()


@pytest.mark.slow
def test_patients(tmp_path: Path) -> None:
    check_patients(tmp_path, copied("patients.yaml", tmp_path, short=False))


@pytest.mark.slow
def test_employees(tmp_path: Path) -> None:
    check_employees(tmp_path, copied("employees.yaml", tmp_path, short=False))
    rows = pd.read_csv(tmp_path / "output/employees.csv")
    assert rows["rating"].isna().mean() == pytest.approx(make_employees()["rating"].isna().mean(), abs=0.06)


def test_examples_are_valid_where_they_lie() -> None:
    jobs = load_jobs([EXAMPLES / "patients.yaml", EXAMPLES / "employees.yaml"])
    assert [job.name for job in jobs] == ["patients", "employees"]
    # The metadata in the job, in the metadata folder and of the table itself are one.
    described = jobs[1].metadata
    assert described == Metadata.load(ROOT / "metadata/employees.json")
    described.validate(make_employees())
    Metadata.load(ROOT / "metadata/patients.json").validate(builtin_table("sklearn.breast_cancer"))


def test_the_script_writes_the_employees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    path = tmp_path / "employees.csv"
    monkeypatch.setattr(sys, "argv", ["make_employees.py", str(path)])
    runpy.run_path(str(EXAMPLES / "make_employees.py"), run_name="__main__")
    assert "5,000 made-up employees" in capsys.readouterr().out
    assert pd.read_csv(path, keep_default_na=False, na_values=[""]).shape == (5000, 10)


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = json.loads((EXAMPLES / "quickstart.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 8
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_the_code_of_the_notebook_runs_in_short() -> None:
    cells = json.loads((EXAMPLES / "quickstart.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    *blocks, last = "\n".join(code).replace("epochs=20", "epochs=1").rpartition("\n")
    names: dict = {}
    exec(compile("".join(blocks), "quickstart.ipynb", "exec"), names)
    assert eval(last, names)  # the rows of the file are those of the notebook


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", 4)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert notebook.cells[-1].outputs[0]["data"]["text/plain"] == "True"
    assert list(tmp_path.iterdir()) == []


def readme_blocks(language: str, page: str = "README.md") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_readme_shows_python_before_line_40() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    start = lines.index("```python")
    end = lines.index("```", start)
    assert end < 40
    assert end - start - 1 <= 12


def test_the_job_file_in_the_docs_is_valid(tmp_path: Path) -> None:
    (block,) = readme_blocks("yaml", "docs/jobs.md")
    builtin_table("sklearn.breast_cancer").to_csv(tmp_path / "patients.csv", index=False)
    shutil.copy(ROOT / "metadata/patients.json", tmp_path)
    (tmp_path / "jobs.yaml").write_text(block)
    assert len(load_jobs([tmp_path / "jobs.yaml"])) == 1


@pytest.mark.long
def test_the_relations_in_the_docs_are_kept() -> None:
    (block,) = readme_blocks("python", "docs/relations.md")
    names: dict = {}
    exec(compile(block, "relations.md", "exec"), names)
    assert "bill = room + drugs" in {str(relation) for relation in names["found"].relations}
    assert "room < 90 or drugs > 0" in {str(relation) for relation in names["synth"].metadata.relations}


@pytest.mark.filterwarnings("ignore::clover_tvae.metadata.MetadataWarning")
def test_the_columns_of_text_in_the_docs_are_read() -> None:
    (block,) = readme_blocks("python", "docs/text_columns.md")
    exec(compile(block, "docs/text_columns.md", "exec"), {})


def test_each_kind_of_relation_in_the_docs_is_one_that_a_table_keeps() -> None:
    n = np.arange(300)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(n * 7 % 90, unit="D")
    order = pd.Series(np.where(n % 2, "yes", "no"))
    gone = pd.Series(n % 5.0).mask(n % 7 == 0)
    df = pd.DataFrame(
        {
            "billed_to": np.array(["Rome", "Oslo"])[n % 2], "patient_city": np.array(["Rome", "Oslo"])[n % 2],
            "room": n % 89, "drugs": n % 53, "bill": n % 89 + n % 53, "clock": n % 24 * 100, "hour": n % 24,
            "city": np.array(["Rome", "Oslo"])[n % 2], "region": np.array(["south", "north"])[n % 2],
            "ward": np.array(["a", "b"])[n % 2], "shift": np.array(["day", "night"])[n % 2],
            "test": np.array(["k", "na"])[n % 2], "result": n % 2 * 100 + n % 9,
            "born": born, "admitted": born + pd.to_timedelta(n % 30, unit="D"),
            "discharged": born + pd.to_timedelta(n % 30 + n % 4, unit="D"),
            "is_a": (n % 3 == 0).astype(int), "is_b": (n % 3 == 1).astype(int), "is_c": (n % 3 == 2).astype(int),
            "dose": n % 4 * 0.5, "died": gone, "cause": gone, "has_order": order,
            "order_day": pd.Series(n % 9.0).mask(order == "no"),
        }
    )  # fmt: skip
    (block,) = readme_blocks("yaml", "docs/relations.md")
    relations = yaml.safe_load(block)
    assert {relation["kind"] for relation in relations} == set(RELATION_KEYS)
    dates = ["born", "admitted", "discharged"]
    texts = [name for name in df if df[name].dtype.kind not in "iufM"]
    numbers = [name for name in df if name not in (*dates, *texts)]
    kinds = {"continuous": numbers, "categorical": texts, "datetime": dates, "relations": relations}
    assert len(Metadata.of(kinds).with_relations(df).relations) == len(relations)


@pytest.mark.slow
def test_the_python_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in readme_blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert len(names["rows"]) == 1000


def test_every_yaml_file_beside_the_examples_is_a_job_file() -> None:
    """``clover-tvae run examples/*.yaml`` meets no file of limits."""
    assert {job.name for job in load_jobs(sorted(EXAMPLES.glob("*.yaml")))} == {"employees", "patients", "release"}
