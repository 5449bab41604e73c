"""The command line: what it prints where, its exit codes, and that it starts without the heavy packages."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from clover_tvae import TVAESynthesizer, __version__
from clover_tvae.backends import teaching
from clover_tvae.cli import app
from clover_tvae.errors import ArtifactError
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import ONLY_IN_SDV, Parameters
from clover_tvae.synthesizer import Synthesizer
from clover_tvae.tables import parts_of, read_table, write_table
from clover_tvae.tables.parts import write_manifest
from clover_tvae.training import Checkpoint
from clover_tvae.training.checkpoint import Stage
from clover_tvae.workflows import builtin_table

ROOT = Path(__file__).parents[1]
CANARY = "canary-7391"
IRIS = {
    "continuous": ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"],
    "categorical": ["species"],
}
QUICK = ["--epochs", "1", "--decoder", "independent", "--random-state", "3"]


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def text_of(result: Result) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of the iris table."""
    path = tmp_path_factory.mktemp("trained") / "iris.pkl"
    frame = builtin_table("sklearn.iris")
    TVAESynthesizer(frame, IRIS, random_state=3, epochs=1, decoder="independent", verbose=False).fit().save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job_file(folder: Path, trained: Path, **keys: object) -> Path:
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out/iris.pkl").write_bytes(trained.read_bytes())
    job = {
        "name": "iris",
        "generator_filepath": "out/iris.pkl",
        "sample": {"rows": 5, "output": "out/iris.csv", "seed": 1},
    }
    path = folder / "jobs.yaml"
    path.write_text(json.dumps({"version": 1, "jobs": [job | keys]}))
    return path


# --- help ----------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_help_teaches_every_command_by_example() -> None:
    overview = text_of(cli("--help"))
    for command in ("run", "validate", "schema", "fit", "sample", "impute", "inspect", "metadata"):
        assert re.search(rf"^│ {command} ", overview, re.MULTILINE), command
    assert "Exit codes: 0 done, 1 our bug, 2 your input is wrong" in overview
    for command in (
        ["run"],
        ["validate"],
        ["schema"],
        ["fit"],
        ["sample"],
        ["impute"],
        ["inspect"],
        ["metadata", "infer"],
    ):
        result = cli(*command, "--help")
        assert result.exit_code == 0
        assert f"clover-tvae {' '.join(command)} " in text_of(result), command
    assert text_of(cli("--version")).strip() == f"clover-tvae {__version__}"


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    code = (
        "import sys, clover_tvae, clover_tvae.cli;"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'sdv', 'pydantic', 'pyarrow', 'matplotlib'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.long
def test_a_job_that_only_draws_imports_only_what_draws(folder: Path, trained: Path) -> None:
    code = (
        "import sys\n"
        "from clover_tvae.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'scipy', 'sklearn', 'sdv', 'joblib', 'matplotlib', 'sympy'}\n"  # sympy comes with torch's compiler
        "    sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    run = [sys.executable, "-c", code, "run", str(job_file(folder, trained)), "--root", str(folder)]
    subprocess.run(run, check=True, cwd=ROOT)
    assert (folder / "out/iris.csv").exists()


# --- run, validate, schema -----------------------------------------------------------------------------------------------


@pytest.mark.long
def test_run_says_what_it_did_and_then_that_there_is_nothing_to_do(folder: Path, trained: Path) -> None:
    path = job_file(folder, trained)
    first = cli("run", path, "--summary", "summary.json")
    assert first.exit_code == 0
    assert "iris: done in" in first.stdout
    assert "sampling without training" in first.stdout
    assert "rows      out/iris.csv" in first.stdout
    assert re.fullmatch(r"[\d:]{8} iris \.\.\.\n[\d:]{8}   drew out/iris\.csv in [\d.]+ s\n", first.stderr)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["exit_code"], summary["jobs"][0]["status"], summary["jobs"][0]["rows"]) == (0, "done", 5)

    again = cli("run", path)
    assert "iris: up to date (nothing has changed since the last run)" in again.stdout
    assert cli("run", path, "--quiet").output == ""
    assert "done" in cli("run", path, "--force").stdout
    quiet = cli("run", path, "--json")
    assert quiet.stderr == ""
    assert json.loads(quiet.stdout)["counts"]["up to date"] == 1


def test_dry_run_says_what_would_be_done_and_does_nothing(folder: Path, trained: Path) -> None:
    path = job_file(folder, trained)
    assert cli("run", path, "--dry-run").stdout == (
        "iris: draw out/iris.csv (generator present (not trained by this job): sampling without training)\n"
    )
    plan = json.loads(cli("run", path, "--dry-run", "--json").stdout)
    assert plan["jobs"][0]["outputs"] == ["out/iris.csv"]
    assert not (folder / "out/iris.csv").exists()
    assert not (folder / ".clover-tvae").exists()


@pytest.mark.long
def test_run_trains_and_keeps_the_generator(folder: Path) -> None:
    job = {
        "name": "iris",
        "data": {"dataset": "sklearn.iris"},
        "metadata": IRIS,
        "synthesizer": {"epochs": 1, "decoder": "independent", "discriminator_steps": 1},
        "generator_filepath": "iris.pkl",
    }
    (folder / "jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
    assert cli("run", "jobs.yaml", "--dry-run").stdout == "iris: train (no generator file yet)\n"
    result = cli("run", "jobs.yaml")
    assert result.exit_code == 0
    digest = re.search(r"sha256 +([0-9a-f]{64})", result.stdout)
    assert digest is not None
    assert digest[1] == TVAESynthesizer.load("iris.pkl").card()["sha256"]
    assert "warning: iris: discriminator_steps" in result.stderr


@pytest.mark.long
def test_a_warning_from_the_depth_of_training_is_one_plain_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "membership", lambda *_, **__: teaching.Membership(0.9, 0.6, 100, 20))
    small = {"compress_dims": [8], "decompress_dims": [8], "embedding_dim": 2, "max_minutes": 1e-3}
    job = {
        "name": "iris",
        "data": {"dataset": "sklearn.iris"},
        "metadata": IRIS,
        "synthesizer": {"privacy": "none", **small},
        "generator_filepath": "iris.pkl",
    }
    (folder / "jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
    ran = cli("run", "jobs.yaml", "--summary", "summary.json")
    alone = cli("fit", "sklearn.iris", "-m", "infer", "-o", "x.pkl", "--privacy", "none", "--max-minutes", 1e-3)
    for result, where in ((ran, "iris: "), (alone, "")):
        assert result.exit_code == 0, result.output
        told = [line for line in result.stderr.splitlines() if "AUC of 0.900" in line]
        assert len(told) == 1
        assert told[0].startswith(f"warning: {where}what was learnt tells")
        assert ".py:" not in result.stderr
        assert f"warning: {where}training was stopped by max_minutes=0.001 before it converged" in result.stderr
        assert "training: 150 rows x 5 columns, about 5 seconds at most; " in result.stderr
    told, stopped = json.loads((folder / "summary.json").read_text())["jobs"][0]["warnings"]
    assert told.startswith("what was learnt tells")
    assert stopped.startswith("training was stopped by max_minutes")
    assert "by max_minutes, before it converged" in " ".join(cli("inspect", "x.pkl").stdout.split())


@pytest.mark.long
def test_problems_are_red_words_on_stderr_and_exit_code_2(folder: Path, trained: Path) -> None:
    path = job_file(folder, trained, sampel=1, synthesizer={"epoch": 1})
    for command in (["run"], ["validate"], ["run", "--json"]):
        result = cli(*command, path)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.count("error: jobs.yaml:1:") == 2
        assert "did you mean 'sample'?" in result.stderr
        assert "Traceback" not in result.output
    assert "Traceback" in cli("validate", path, "--debug").stderr
    assert cli("run").exit_code == 2
    assert cli("rum").exit_code == 2


def test_validate_and_only(folder: Path, trained: Path) -> None:
    path = job_file(folder, trained)
    assert cli("validate", path).stdout == "valid: 1 job (iris)\n"
    assert cli("validate", path, "--quiet").output == ""
    assert cli("validate", path, "--only", "iris").exit_code == 0
    result = cli("run", path, "--only", "irs")
    assert (result.exit_code, "did you mean 'iris'?" in result.stderr) == (2, True)


def test_a_failed_job_gives_its_exit_code(folder: Path, trained: Path) -> None:
    path = job_file(folder, trained)
    (folder / "out/iris.pkl").write_bytes(trained.read_bytes()[:-9])
    result = cli("run", path)
    assert result.exit_code == 3
    assert "iris: FAILED after" in result.stderr
    assert "error: " in result.stderr
    assert json.loads(cli("run", path, "--json").stdout)["exit_code"] == 3


@pytest.mark.parametrize("which", ["job", "metadata"])
def test_schemas_are_those_in_the_repository(which: str) -> None:
    result = cli("schema", which)
    assert json.loads(result.stdout) == json.loads((ROOT / f"metadata/{which}.schema.json").read_text())
    assert cli("schema", "jobs").exit_code == 2


# --- fit, sample, inspect ------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_fit_sample_inspect(folder: Path) -> None:
    builtin_table("sklearn.iris").to_csv("iris.csv", index=False)
    Metadata.of(IRIS).save("iris.json")
    fitted = cli("fit", "iris.csv", "--metadata", "iris.json", "-o", "iris.pkl", *QUICK)
    assert fitted.exit_code == 0, fitted.output
    digest = re.search(r"sha256 +([0-9a-f]{64})", fitted.stdout)[1]  # type: ignore[index]
    assert "learning 150 rows x 5 columns" in fitted.stderr

    drawn = cli("sample", "iris.pkl", "--rows", 20, "-o", "rows.parquet", "--seed", 1, "--expect-sha256", digest)
    assert drawn.exit_code == 0, drawn.output
    assert drawn.stdout == "rows      rows.parquet\n"
    assert len(pd.read_parquet("rows.parquet")) == 20
    assert cli("sample", "iris.pkl", "-n", 1, "-o", "x.csv", "--expect-sha256", "0" * 64).exit_code == 3

    shown = cli("inspect", "iris.pkl")
    assert shown.exit_code == 0, shown.output
    assert digest in shown.stdout
    assert "independent" in shown.stdout
    card = json.loads(cli("inspect", "iris.pkl", "--json").stdout)
    full = TVAESynthesizer.load("iris.pkl").card()
    assert {key: card[key] for key in full if key != "training"} == {k: v for k, v in full.items() if k != "training"}
    assert card["training"].items() <= full["training"].items()
    written = cli("inspect", "iris.pkl", "--card", "card.md")
    assert written.stdout == "card      card.md\ncard      card.json\n"
    assert digest in Path("card.md").read_text()
    assert json.loads(Path("card.json").read_text())["card"]["sha256"] == digest
    assert cli("inspect", "iris.pkl", "--card", "other.json").stdout == "card      other.json\n"


@pytest.mark.long
def test_impute_fills_the_gaps_of_a_file_and_nothing_else(folder: Path, trained: Path) -> None:
    table = builtin_table("sklearn.iris").head(30).copy()
    table.loc[:9, "petal width (cm)"], table.loc[20, "species"] = np.nan, None
    table.to_csv("gaps.csv", index=False)
    done = cli("impute", trained, "gaps.csv", "-o", "full.csv", "--seed", 1)
    assert done.exit_code == 0, done.output
    assert done.stdout == "rows      full.csv (11 cells filled)\n"
    full = pd.read_csv("full.csv")
    assert full.notna().all(axis=None)
    assert full.where(table.notna().to_numpy()).equals(pd.read_csv("gaps.csv"))
    assert cli("impute", trained, "gaps.csv", "-o", "full.csv").exit_code == 2
    assert cli("impute", trained, "gaps.csv", "-o", "again.csv", "--seed", 1).exit_code == 0
    assert Path("again.csv").read_bytes() == Path("full.csv").read_bytes()


@pytest.mark.long
def test_a_file_is_written_as_it_was_read(folder: Path, trained: Path) -> None:
    table = builtin_table("sklearn.iris").head(30).assign(note="größer")
    table.loc[:9, "petal width (cm)"] = np.nan
    how = {"index": False, "sep": ";", "decimal": ",", "encoding": "utf-16", "float_format": "%.2f"}
    table.drop(columns="note").to_csv("gaps.csv", **how)
    done = cli("impute", trained, "gaps.csv", "-o", "full.csv", "--seed", 1)
    assert done.exit_code == 0, done.output
    assert done.stderr == "read as: separator ';', decimal ',', encoding utf-16 (gaps.csv)\n"
    assert pd.read_csv("full.csv", sep=";", decimal=",", encoding="utf-16").notna().all(axis=None)
    gaps, full = (Path(name).read_text("utf-16").splitlines() for name in ("gaps.csv", "full.csv"))
    assert gaps[11:] == full[11:]  # 3,50 stays 3,50
    assert cli("impute", trained, "gaps.csv", "-o", "full.tsv.gz", "--seed", 1, "--quiet").stderr == ""
    assert "must be a file name that ends in .csv" in cli("impute", trained, "gaps.csv", "-o", "full.sav").stderr
    assert "--format: must be one of" in cli("sample", trained, "-n", 5, "-o", "parts", "--format", "xlsx").stderr
    table.to_csv("western.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    refused = cli("metadata", "infer", "western.csv")
    assert (refused.exit_code, "--read encoding=cp1252" in refused.stderr) == (2, True)
    read = cli("metadata", "infer", "western.csv", "--read", "encoding=cp1252", "--read", "separator=;")
    assert (read.exit_code, "separator ';', decimal ',', encoding cp1252" in read.stderr) == (0, True), read.output
    for wrong, message in [("encoding", "--read: must be KEY=VALUE"), ("sep=;", "read.sep: unknown key")]:
        told = cli("fit", "western.csv", "-m", "infer", "-o", "x.pkl", "--read", wrong)
        assert (told.exit_code, message in told.stderr) == (2, True), told.output


@pytest.mark.long
def test_rows_are_written_like_the_file_that_is_named(folder: Path, trained: Path) -> None:
    table = builtin_table("sklearn.iris").head(30)
    table = table.rename(columns={"species": "größe"})
    table.to_csv("learnt.csv", index=False, sep=";", decimal=",", encoding="utf-16")
    sample = ["sample", trained, "-n", 20, "--seed", 1, "-o"]
    assert cli(*sample, "plain.csv", "-q").exit_code == 0
    done = cli(*sample, "rows.csv", "--like", "learnt.csv")
    assert done.exit_code == 0, done.output
    assert "written as: separator ';', decimal ',', encoding utf-16" in done.stderr
    rows = pd.read_csv("rows.csv", sep=";", decimal=",", encoding="utf-16")
    pd.testing.assert_frame_equal(rows, pd.read_csv("plain.csv"))
    printed = cli(*sample, "-", "--like", "learnt.csv", "-q")
    assert printed.stdout_bytes == Path("rows.csv").read_bytes()
    # What cannot be found in the file is said; and all of it, where there is no such file.
    table.to_csv("western.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    marks = [part for mark in ("separator=;", "decimal=,", "encoding=cp1252") for part in ("--read", mark)]
    assert "--read encoding=cp1252" in cli(*sample, "no.csv", "--like", "western.csv").stderr
    for said in (["--like", "western.csv", "--read", "encoding=cp1252"], marks):
        done = cli(*sample, "western_rows.csv", "--force", *said)
        assert "written as: separator ';', decimal ',', encoding cp1252" in done.stderr
        assert Path("western_rows.csv").read_text("cp1252") == Path("rows.csv").read_text("utf-16")
    assert "--read: belongs to one CSV file" in cli(*sample, "parts", *marks).stderr
    arrows = builtin_table("sklearn.iris").assign(species=["→", "b"] * 75)
    TVAESynthesizer(arrows, random_state=3, epochs=1, decoder="independent", verbose=False).fit().save("arrows.pkl")
    for output in ("-", "no.csv"):
        refused = cli("sample", "arrows.pkl", "-n", 9, "-o", output, *marks)
        assert (refused.exit_code, "letters that cp1252 lacks" in refused.stderr) == (2, True), refused.output
    write_table(table, "learnt.parquet")
    for output, like, message in [
        ("parts", "learnt.csv", "--like: belongs to one CSV file"),
        ("no.parquet", "learnt.csv", "--like: belongs to one CSV file"),
        ("no.csv", "learnt.parquet", "--like: must be a CSV file"),
        ("no.csv", "learned.csv", "learned.csv: the file does not exist; did you mean"),
    ]:
        refused = cli(*sample, output, "--like", like)
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.output
        assert not Path(output).exists()


@pytest.mark.long
def test_a_workbook_is_imputed_into_a_workbook(folder: Path, trained: Path) -> None:
    pytest.importorskip("xlsxwriter")
    pytest.importorskip("python_calamine")
    table = builtin_table("sklearn.iris").head(30)
    table.loc[:9, "petal width (cm)"] = np.nan
    write_table(table, "gaps.xlsx")
    done = cli("impute", trained, "gaps.xlsx", "-o", "full.xlsx", "--seed", 1, "--read", "sheet=1")
    assert (done.exit_code, done.stdout) == (0, "rows      full.xlsx (10 cells filled)\n"), done.output
    assert read_table("full.xlsx").notna().all(axis=None)
    assert "has no such sheet" in cli("metadata", "infer", "gaps.xlsx", "--read", "sheet=2").stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["fit", "t.csv", "--epochs", "many"], "'--epochs': must be a whole number"),
        (["fit", "t.csv", "--max-minutes", "long"], "'--max-minutes': must be a number"),
        (["sample", "g.pkl", "-n", "many"], "'-n': must be a whole number"),
        (["sample", "g.pkl", "--epoch", "3"], "No such option: --epoch"),
        (["metadata", "infr"], "No such command 'infr'"),
        (["--foo"], "No such option: --foo"),
    ],
)
def test_options_that_cannot_be_read_are_told_in_one_line(folder: Path, command: list[object], told: str) -> None:
    result = cli(*command)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line


@pytest.mark.parametrize("command", [[], ["metadata"]])
def test_a_command_alone_shows_its_help(command: list[object]) -> None:
    assert "Usage:" in text_of(cli(*command))


@pytest.mark.long
def test_fit_reports_every_wrong_option_at_once(folder: Path) -> None:
    result = cli(
        "fit", "sklearn.iris", "-m", "infer", "-o", "x.pkl", "--epochs", 0, "--decoder", "auto", "--device", "gpu"
    )
    assert result.exit_code == 2
    for option in ("--epochs", "--decoder", "--device"):
        assert f"error: {option}: must be" in result.stderr
    for wrong, message in [
        (["-o", "x.bin"], "x.bin: must be a file name that ends in .pkl"),
        (["-o", "no/x.pkl"], "its folder does not exist"),
        (["-o", "x.pkl", "--missing", "NA"], "--missing: belongs to a CSV file"),
        (["-o", "x.pkl", "--read", "separator=;"], "--read: belongs to a CSV file"),
    ]:
        result = cli("fit", "sklearn.iris", "-m", "infer", *wrong)
        assert (result.exit_code, message in result.stderr) == (2, True), result.output
    Path("x.pkl").write_text("mine")
    result = cli("fit", "sklearn.iris", "-m", "infer", "-o", "x.pkl")
    assert (result.exit_code, "--force overwrites it" in result.stderr) == (2, True)
    assert Path("x.pkl").read_text() == "mine"


def test_a_closed_folder_is_told_before_the_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed")  # root may write everywhere
    result = cli("fit", "sklearn.iris", "-m", "infer", "-o", "closed/iris.pkl", *QUICK)
    assert result.exit_code == 2
    assert result.stderr == "error: closed/iris.pkl: nothing can be written in the folder 'closed'\n"


def test_fit_infers_and_warns(folder: Path) -> None:
    frame = pd.DataFrame({"day": ["2024-01-01", "2024-02-01", "2024-03-01"] * 20, "x": range(60)})
    frame.to_parquet("t.parquet")
    result = cli("fit", "t.parquet", "-m", "infer", "-o", "x.pkl", *QUICK, "--quiet")
    assert result.exit_code == 0, result.output
    assert "warning: column 'day'" in result.stderr
    assert "learning" not in result.stderr


def test_no_value_of_the_data_in_errors(folder: Path) -> None:
    pd.DataFrame({"age": ["1", CANARY] * 20}).to_csv("t.csv", index=False)
    Metadata.of({"continuous": ["age"]}).save("m.json")
    result = cli("fit", "t.csv", "-m", "m.json", "-o", "x.pkl")
    assert result.exit_code == 2
    assert "'age'" in result.stderr
    assert CANARY not in result.output


@pytest.mark.long
def test_a_run_that_was_killed_goes_on_from_its_parts_to_the_same_bytes(folder: Path, trained: Path) -> None:
    draw = ["sample", str(trained), "--rows", "30500", "--rows-per-part", "1000", "--seed", "4", "--format", "parquet"]
    assert cli(*draw, "-o", "whole").exit_code == 0
    command = [sys.executable, "-m", "clover_tvae", *draw, "-o", str(folder / "parts"), "--resume"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        assert any("part-00004" in line for line in process.stderr)
        process.kill()
    assert not parts_of_an_earlier_run("parts")
    again = cli(*draw, "-o", "parts", "--resume")
    assert int(re.search(r"resumed   after ([\d,]+) rows", again.stderr)[1].replace(",", "")) >= 5000  # type: ignore[index]
    assert Path("parts/_parts.json").read_bytes() == Path("whole/_parts.json").read_bytes()
    assert not list(Path("parts").glob(".clover*"))
    done = cli(*draw, "-o", "parts", "--resume")
    assert (done.exit_code, "up to date" in done.stderr) == (0, True)
    assert "--force replaces them" in cli(*draw, "--seed", "5", "-o", "parts", "--resume").stderr
    assert "needs --seed, and a folder" in cli("sample", trained, "--rows", 1, "-o", "one.csv", "--resume").stderr


def test_partial_rows_in_parts_that_have_changed_are_completed_again(folder: Path, trained: Path) -> None:
    partial = builtin_table("sklearn.iris")[["species"]]
    Path("partial").mkdir()

    def resumed(rows: pd.DataFrame) -> bool:
        write_table(rows, "partial/part-00000.csv")
        write_manifest(Path("partial"), [Path("partial/part-00000.csv")])
        done = cli("sample", trained, "--given", "partial", "-o", "rows", "--seed", 1, "--resume", "--force")
        assert done.exit_code == 0, done.output
        assert read_table("rows")["species"].tolist() == rows["species"].tolist()
        return "up to date" in done.stderr

    assert [resumed(partial[:20]), resumed(partial[:20]), resumed(partial[-20:])] == [False, True, False]


def test_waiting_parts_of_another_command_are_told(folder: Path, trained: Path) -> None:
    waiting = Path("rows/.clover-tvae-parts-0123")
    waiting.mkdir(parents=True)
    drawn = cli("sample", trained, "--rows", 5, "--seed", 1, "-o", "rows", "--resume")
    assert "parts of another command that ended early" in drawn.stderr
    assert not waiting.exists()
    assert "ended early" not in cli("sample", trained, "--rows", 5, "--seed", 1, "-o", "rows", "--force").stderr


def parts_of_an_earlier_run(folder: str) -> list[Path]:
    return [*Path(folder).glob("part-*")]


@pytest.mark.long
def test_parts_hold_the_same_rows_however_many_stand_in_a_part(folder: Path, trained: Path) -> None:
    cli("sample", trained, "-n", 2500, "-o", "whole.csv", "--seed", 4)
    whole = Path("whole.csv").read_text()
    for per_part, n_parts in ((700, 4), (1250, 2), (5000, 1)):
        result = cli("sample", trained, "-n", 2500, "-o", f"parts{per_part}", "--seed", 4, "--rows-per-part", per_part)
        assert result.exit_code == 0, result.output
        parts = parts_of(f"parts{per_part}")
        assert [part.name for part in parts] == [f"part-{index:05d}.csv" for index in range(n_parts)]
        texts = [part.read_text() for part in parts]
        header = texts[0].splitlines(keepends=True)[0]
        assert header + "".join(text.removeprefix(header) for text in texts) == whole
    # Parts that are there are not mixed with those of another run.
    assert cli("sample", trained, "-n", 10, "-o", "parts700").exit_code == 2
    assert cli("sample", trained, "-n", 0, "-o", "parts700", "--force", "--format", "parquet").exit_code == 0
    assert [part.name for part in parts_of("parts700")] == ["part-00000.parquet"]
    assert len(pd.read_parquet("parts700").columns) == 5  # other readers pass over the manifest


@pytest.mark.long
def test_conditions_on_the_command_line(folder: Path, trained: Path) -> None:
    where = ["--where", "species=setosa|virginica", "--where", "sepal width (cm)>=3", "--where", "sepal width (cm)<=4"]
    result = cli("sample", trained, "-n", 40, "-o", "rows.csv", *where)
    assert result.exit_code == 0, result.output
    rows = pd.read_csv("rows.csv")
    assert len(rows) == 40
    assert set(rows["species"]) <= {"setosa", "virginica"}
    assert rows["sepal width (cm)"].between(3, 4).all()
    for wrong in ([f"species={CANARY}"], ["specie=setosa", f"sepal width (cm)={CANARY}"]):
        result = cli(
            "sample", trained, "-n", 1, "-o", "no.csv", *(part for text in wrong for part in ("--where", text))
        )
        assert result.exit_code == 2
        assert all(repr(text) in result.stderr for text in wrong)  # as it was typed
        assert result.stderr.count("error: ") == len(wrong)
    assert not Path("no.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "rows.txt"], "no table is written as .txt"),
        (["-o", "no/rows.csv"], "its folder does not exist"),
        (["-o", "there.csv"], "--force overwrites it"),
        (["-o", "folder.csv"], "there is a folder of this name"),
        (["-o", "plain"], "must be a folder, or a file name"),
        (["-o", "parts", "--format", "xlsx"], "--format: must be one of csv"),
        (["-o", "x.csv", "--decode", "best"], "--decode: must be sample, stratified or argmax"),
    ],
)
def test_targets_that_rows_cannot_go_to(folder: Path, trained: Path, options: list[str], message: str) -> None:
    Path("there.csv").write_text("mine")
    Path("plain").write_text("mine")
    Path("folder.csv").mkdir()
    result = cli("sample", trained, "-n", 1, *options)
    assert (result.exit_code, message in result.stderr) == (2, True), result.output
    assert Path("there.csv").read_text() == "mine"


def test_a_file_that_would_run_code_is_refused_by_every_command(folder: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return os.system, ("touch pwned",)

    Path("evil.pkl").write_bytes(pickle.dumps(Attack()))
    for command in (["inspect", "evil.pkl"], ["sample", "evil.pkl", "-n", "1", "-o", "x.csv"]):
        result = cli(*command)
        assert result.exit_code == 3
        assert "error: " in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["evil.pkl"]


# --- metadata ------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_metadata_infer(folder: Path) -> None:
    result = cli("metadata", "infer", "clover.employees", "-o", "employees.json", "--predict", "salary")
    assert result.exit_code == 0, result.output
    assert re.search(r"^gender +categorical", result.stdout, re.MULTILINE)
    assert re.search(r"^employee_id +looks like an identifier", result.stdout, re.MULTILINE), "it is in the list"
    assert "warning: column 'employee_id'" in cli("metadata", "infer", "clover.employees", "--quiet").stderr
    assert Metadata.load("employees.json").variable_to_predict == "salary"
    again = cli("metadata", "infer", "clover.employees", "-o", "employees.json")
    assert (again.exit_code, "--force overwrites it" in again.stderr) == (2, True)
    Path("no_rows.csv").write_text("age,sex\n")
    without = cli("metadata", "infer", "no_rows.csv", "-o", "no_rows.json")
    assert (without.exit_code, without.stdout, Path("no_rows.json").exists()) == (2, "", False)
    assert without.stderr == "error: table: must have rows to tell what its columns are, found none\n"
    assert "nothing written" in cli("metadata", "infer", "sklearn.iris").stderr
    assert json.loads(cli("metadata", "infer", "sklearn.iris", "--quiet").stdout)["categorical"] == ["species"]
    assert cli("metadata", "infer", "nothing.csv").exit_code == 2


def test_names_cannot_command_the_terminal_or_the_markup(folder: Path) -> None:
    names = ["\x1b[2Jgone", "[bold]name[/bold]", "tab\there", "naïve 😀"]
    pd.DataFrame({name: [1.0, 2.5, 3.5] * 9 for name in names}).to_parquet("t.parquet")
    output = cli("metadata", "infer", "t.parquet").stdout
    assert "\x1b[2J" not in output
    assert "\\x1b[2Jgone" in output
    assert "[bold]name[/bold]" in output
    assert "naïve 😀" in output


# --- the process ---------------------------------------------------------------------------------------------------------


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **changes}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a cautious user does: no terminal, no colours, no home, optimised, warnings as errors."""
    return subprocess.run(
        [sys.executable, "-O", "-W", "error", "-m", "clover_tvae", *arguments],
        env=environment(HOME="/nonexistent", NO_COLOR="1", FORCE_COLOR="", LC_ALL="C"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.long
def test_checks_hold_in_optimised_python_with_warnings_as_errors_and_without_colour_or_home(
    folder: Path, trained: Path
) -> None:
    result = python("run", str(job_file(folder, trained, sample={"rows": -1, "output": "../x.csv"})))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "error: jobs.yaml:1:91: rows: must be greater than or equal to 0, found rows=-1\n"
        "error: jobs.yaml:1:103: output: the path holds '..', which could leave the folder; give a path below it\n"
    )


# Optimised Python compiles all of torch anew the first time.
@pytest.mark.slow
def test_jobs_run_in_optimised_python_with_warnings_as_errors_and_without_colour_or_home(
    folder: Path, trained: Path
) -> None:
    result = python("run", str(job_file(folder, trained)))
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert "iris: done" in result.stdout


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize(
    "struck",
    ["turned(lambda: os.kill(os.getpid(), signal.SIGTERM))", "exec('os.kill(os.getpid(), signal.SIGTERM)')"],
    ids=["native code makes an error of it", "in a text that runs"],
)
def test_a_signal_that_strikes_an_import_ends_with_its_code(struck: str) -> None:
    code = f"""
import os, signal, sys, typer
from clover_tvae.cli.console import command, end_like_an_interrupt
def turned(strike):
    try:
        strike()
        sum(range(1000))
    except KeyboardInterrupt:
        raise ImportError("generic_type is already registered") from None
@command
def run(): {struck}
end_like_an_interrupt()
try:
    run()
except typer.Exit as end:
    sys.exit(end.exit_code)
"""
    ended = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.strip()) == (143, "ended by SIGTERM")


@pytest.mark.parametrize(
    ("where", "is_saved", "told"),
    [
        ((Checkpoint, "begin"), False, "fit.ckpt was not written yet: the same command begins anew"),
        ((Stage, "save"), False, "fit.ckpt is kept, and holds no training yet: the same command with --resume begins"),
        ((Stage, "save"), True, "fit.ckpt is kept: the same command with --resume goes on from it"),
    ],
)
def test_what_an_interrupted_fit_says_of_its_checkpoint_is_true(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], is_saved: bool, told: str
) -> None:
    method = getattr(*where)

    def ended(*arguments: object) -> None:
        if is_saved:
            method(*arguments)
        raise KeyboardInterrupt

    fit = ["fit", "sklearn.iris", "-m", "infer", "-o", "iris.pkl", "--checkpoint", "fit.ckpt", *QUICK]
    with monkeypatch.context() as patched:
        patched.setattr(*where, ended)
        done = cli(*fit)
    assert (done.exit_code, f"checkpoint {told}" in done.stderr) == (130, True), done.output
    assert cli(*fit, *(["--resume"] if "--resume" in told else [])).exit_code == 0


def test_a_fit_whose_file_cannot_be_written_says_that_its_checkpoint_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **how: object) -> str:
        raise ArtifactError("iris.pkl cannot be written: No space left on device")

    fit = ["fit", "sklearn.iris", "-m", "infer", "-o", "iris.pkl", "--checkpoint", "fit.ckpt", *QUICK]
    with monkeypatch.context() as patched:
        patched.setattr(Synthesizer, "save", full)
        done = cli(*fit)
    assert (done.exit_code, "fit.ckpt is kept: the same command with --resume goes on" in done.stderr) == (3, True)
    assert cli(*fit, "--resume").exit_code == 0
    assert not Path("fit.ckpt").exists()


def test_a_fit_that_was_killed_before_its_checkpoint_was_removed_goes_on_over_its_own_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = ["fit", "sklearn.iris", "-m", "infer", "-o", "iris.pkl", "--checkpoint", "fit.ckpt", *QUICK]
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "remove", lambda checkpoint: None)
        assert cli(*fit).exit_code == 0
    before = Path("iris.pkl").read_bytes()
    assert "--force overwrites it" in cli(*fit).stderr
    assert cli(*fit, "--resume").exit_code == 0
    assert (Path("iris.pkl").read_bytes(), Path("fit.ckpt").exists()) == (before, False)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM"), (signal.SIGHUP, "ended by SIGHUP")],
)
def test_ctrl_c_and_its_like_leave_no_half_file(folder: Path, number: signal.Signals, words: str) -> None:
    job = {
        "name": "long",
        "data": {"dataset": "clover.employees"},
        "metadata": "infer",
        "synthesizer": {"epochs": 100_000},
        "generator_filepath": "long.pkl",
    }
    (folder / "jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
    process = subprocess.Popen(
        [sys.executable, "-m", "clover_tvae", "run", "jobs.yaml"],
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().endswith(" long ...\n")
        process.send_signal(number)
        _, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert errors.strip().endswith(words)
    assert "Traceback" not in errors
    assert [path.name for path in folder.iterdir()] == ["jobs.yaml"]


@pytest.mark.parametrize(
    "command",
    [
        ["sample", "no.pkl", "-n", 3, "-o", "rows.csv"],
        ["inspect", "no.pkl"],
        ["fit", "no.csv", "-m", "no.json", "-o", "new.pkl"],
        [
            "evaluate",
            "--real",
            "no.csv",
            "--synthetic",
            "no2.csv",
            "--holdout",
            "no3.csv",
            "-m",
            "no.json",
            "-o",
            "r.html",
        ],
        ["compare", "no.csv", "-m", "no.json", "-o", "c.html"],
    ],
)
def test_every_file_that_is_not_there_is_named_at_once(folder: Path, command: list[object]) -> None:
    result = cli(*command)
    assert result.exit_code == 2
    asked = {str(word) for word in command if str(word).startswith("no")}
    assert set(result.stderr.splitlines()) == {f"error: {path}: the file does not exist" for path in asked}


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
@pytest.mark.parametrize("words", ["schema job", "--help", "fit --help", "--version"])
def test_a_full_disk_behind_standard_output_is_no_bug_of_ours(words: str) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "clover_tvae", *words.split()],
            env=environment(LC_ALL="C"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 2
    assert result.stderr == "error: cannot write: No space left on device; make room, or write elsewhere\n"


@pytest.mark.long
def test_parts_are_replaced_only_once_all_new_ones_are_there(folder: Path, trained: Path) -> None:
    draw = ["sample", trained, "--rows", 6, "-o", "parts", "--rows-per-part", 2, "--seed", 1]
    assert cli(*draw).exit_code == 0
    before = {path.name: path.read_bytes() for path in (folder / "parts").iterdir()}
    assert sorted(before) == ["_parts.json", "part-00000.csv", "part-00001.csv", "part-00002.csv"]
    failed = cli(*draw, "--force", "--where", "petal width (cm)>=5000")
    assert failed.exit_code == 2
    assert {path.name: path.read_bytes() for path in (folder / "parts").iterdir()} == before
    assert cli(*draw[:3], 3, *draw[4:], "--force").exit_code == 0
    assert [path.name for path in parts_of(folder / "parts")] == ["part-00000.csv", "part-00001.csv"]
    assert len(os.listdir(folder / "parts")) == 3


@pytest.mark.long
def test_without_a_seed_every_run_draws_other_rows_and_says_which(folder: Path, trained: Path) -> None:
    runs = [cli("sample", trained, "--rows", 20, "-o", f"{name}.csv") for name in "ab"]
    assert (folder / "a.csv").read_bytes() != (folder / "b.csv").read_bytes()
    seed = re.search(r"seed +(\d+)", text_of(runs[0]))
    assert seed is not None
    assert cli("sample", trained, "--rows", 20, "-o", "c.csv", "--seed", seed[1]).exit_code == 0
    assert (folder / "a.csv").read_bytes() == (folder / "c.csv").read_bytes()


def test_a_card_overwrites_nothing_unasked(folder: Path, trained: Path) -> None:
    (folder / "iris.json").write_text("{}")
    generator = folder / "copy.pkl"
    generator.write_bytes(trained.read_bytes())
    assert cli("inspect", trained, "--card", "iris.md").exit_code == 2
    assert (folder / "iris.json").read_text() == "{}"
    assert not (folder / "iris.md").exists()
    assert cli("inspect", trained, "--card", "iris.md", "--force").exit_code == 0
    assert cli("inspect", generator, "--card", generator, "--force").exit_code == 2
    assert generator.read_bytes() == trained.read_bytes()


@pytest.mark.long
def test_a_summary_overwrites_only_a_summary_and_is_refused_before_any_job_runs(folder: Path, trained: Path) -> None:
    jobs = job_file(folder, trained)
    text = jobs.read_text()
    (folder / "data.json").write_text("[1]")
    for place in (jobs, "data.json", "nowhere/summary.json", "rows.csv"):
        assert cli("run", jobs, "--summary", place).exit_code == 2
    assert jobs.read_text() == text
    assert not list((folder / "out").glob("*.csv"))
    for _ in range(2):
        assert cli("run", jobs, "--summary", "summary.json").exit_code == 0
    assert json.loads((folder / "summary.json").read_text())["counts"]["up to date"] == 1


def test_infer_lists_and_writes_relations(folder: Path) -> None:
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(range(400), "D")
    pd.DataFrame({"admitted": start, "year": start.year, "x": [i * i % 97 for i in range(400)]}).to_parquet("t.parquet")
    listed = text_of(cli("metadata", "infer", "t.parquet", "-o", "m.json"))
    assert "year(admitted)" in listed
    assert "no exception" in listed
    written = json.loads(Path("m.json").read_text())["relations"]
    assert {"kind": "computed", "target": "year", "formula": "year(admitted)"} in written
    without = cli("metadata", "infer", "t.parquet", "-o", "n.json", "--no-relations")
    assert "year(admitted)" not in text_of(without)
    assert "relations" not in json.loads(Path("n.json").read_text())


# --- hostile places, names and surroundings ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a\nerror: b.csv", "a\x1b[31m.csv", "a\u202e.csv"])
def test_a_path_ends_no_line_and_gives_the_terminal_no_order(folder: Path, name: str) -> None:
    result = cli("fit", name, "--metadata", "infer", "-o", "x.pkl")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line == f"error: {ascii(name)[1:-1]}: the file does not exist"


def test_a_file_that_is_not_there_is_told_with_the_one_that_is_nearly_called_so(folder: Path) -> None:
    Path("patients.csv").write_text("a\n1\n")
    result = cli("fit", "patiens.csv", "--metadata", "infer", "-o", "x.pkl")
    assert result.stderr == "error: patiens.csv: the file does not exist; did you mean 'patients.csv'?\n"
    job = {"name": "a", "data": "patient.csv", "metadata": "infer", "generator_filepath": "x.pkl"}
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
    told = "data: patient.csv: the file does not exist; did you mean 'patients.csv'?"
    assert told in cli("run", "jobs.yaml").stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_and_the_name_of_a_device_are_refused_before_any_row_is_drawn(folder: Path, trained: Path) -> None:
    os.mkfifo("pipe.csv")
    for name, text in (
        ("pipe.csv", "found a device or a pipe"),
        ("con.csv", "the name of a device"),
        ("LPT1.csv.gz", ""),
    ):
        result = cli("sample", trained, "-n", 1, "-o", name, "--force")
        assert result.exit_code == 2
        assert "seed" not in result.stderr
        assert text in result.stderr
        job = {
            "name": "a",
            "data": {"dataset": "sklearn.iris"},
            "metadata": "infer",
            "sample": {"rows": 1, "output": name},
        }
        Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
        assert "output: must be a file" in cli("validate", "jobs.yaml").stderr
    assert cli("sample", trained, "-n", 1, "-o", "console.csv").exit_code == 0


def test_rows_go_to_standard_output_as_csv_and_nothing_else_does(folder: Path, trained: Path) -> None:
    result = cli("sample", trained, "-n", 5, "--seed", 1, "-o", "-")
    assert result.exit_code == 0
    assert cli("sample", trained, "-n", 5, "--seed", 1, "-o", "rows.csv").exit_code == 0
    assert result.stdout == Path("rows.csv").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["rows.csv"]


def test_progress_in_a_file_tells_the_time_of_day_whatever_the_number_of_workers(folder: Path, trained: Path) -> None:
    table = {"dataset": "sklearn.iris"}
    jobs = [
        {"name": name, "data": table, "metadata": "infer", "generator_filepath": f"{name}.pkl",
         "synthesizer": {"epochs": 1, "decoder": "independent"}}
        for name in "ab"
    ]  # fmt: skip
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": jobs}))
    for workers, pattern in (
        ("1", r"(?m)^\d\d:\d\d:\d\d   learnt 150 rows in"),
        ("2", r"(?m)^\d\d:\d\d:\d\d   b: learnt 150 rows in"),
    ):
        command = [sys.executable, "-m", "clover_tvae", "run", "jobs.yaml", "--retrain", "--jobs", workers]
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert re.search(pattern, told.stderr)
        assert "as sensitive as the data" in told.stderr
        assert re.search(r"(?m)^\d\d:\d\d:\d\d a \.\.\.$", told.stderr)


def test_fit_has_an_option_for_every_parameter_but_those_of_sdv(folder: Path) -> None:
    options = {option.name for option in get_command(app).commands["fit"].params}
    assert {*Parameters.model_fields} - options == {"trust_pickle", "discriminator_steps", *ONLY_IN_SDV}
    how = [
        "--exact-values",
        "--learning-rate",
        "0.01",
        "--weight-decay",
        "0",
        "--precision",
        "float32",
        "--embedding-dim",
        "4",
    ]
    widths = ["--compress-dims", "32", "--compress-dims", "16", "--decompress-dims", "32"]
    told = cli("fit", "sklearn.iris", "-m", "infer", "-o", "x.pkl", *how, *widths, *QUICK)
    assert "values of single people may stand in the file, as exact_values=True asked" in told.stderr
    parameters = json.loads(cli("inspect", "x.pkl", "--json").stdout)["parameters"]
    expected = {
        "exact_values": True,
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "precision": "float32",
        "embedding_dim": 4,
    }
    assert {name: parameters[name] for name in expected} == expected
    assert (parameters["compress_dims"], parameters["decompress_dims"]) == ([32, 16], [32])


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locales")
def test_a_locale_that_knows_ascii_alone_is_no_obstacle(folder: Path, trained: Path) -> None:
    ascii_only = os.environ | {
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(ROOT),
    }
    name = "\xe9\n\xfc.csv"
    command = [sys.executable, "-m", "clover_tvae", "sample", str(trained), "-n", "3", "-o", name]
    drawn = subprocess.run(command, capture_output=True, env=ascii_only, check=False)
    assert (drawn.returncode, Path(name).exists()) == (0, True), drawn.stderr
    command[-1] = "\xe9.xyz"
    refused = subprocess.run(command, capture_output=True, env=ascii_only, check=False)
    assert refused.returncode == 2
    assert b"no table is written as .xyz" in refused.stderr


def test_one_odd_cell_under_numbers_is_told_by_its_row(folder: Path) -> None:
    Path("t.csv").write_text("age\n" + "".join(f"{age}\n" for age in range(20, 70)) + "Total\n")
    result = cli("metadata", "infer", "t.csv")
    assert "written as text, but for 1 cells (data row 51)" in " ".join(result.stdout.split())
    assert "Total" not in result.output
    Path("m.json").write_text('{"continuous": ["age"]}')
    assert "1 of 51 cells that are none (data row 51)" in cli("fit", "t.csv", "-m", "m.json", "-o", "x.pkl").stderr


def test_values_out_of_range_are_told_to_be_outside(folder: Path, trained: Path) -> None:
    for asked in ("sepal width (cm)=5000", "sepal width (cm)>=5000"):
        told = cli("sample", trained, "-n", 1, "-o", "x.csv", "--where", asked).stderr
        assert "outside what was seen in training" in told
        assert "never seen" not in told
        assert asked in told


def test_wrong_metadata_of_one_job_does_not_hide_that_of_another(folder: Path) -> None:
    Path("t.csv").write_text("age\n" + "".join(f"{age}\n" for age in range(20, 70)))
    Path("bad.json").write_text('{"continuos": ["age"]}')
    metadata = ["bad.json", "none.json", {"continuous": ["agee"]}, {"datetime": {"age": {"time_zone": "localtime"}}}]
    jobs = [
        {"name": f"job{i}", "data": "t.csv", "metadata": said, "generator_filepath": f"{i}.pkl"}
        for i, said in enumerate(metadata)
    ]
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": jobs}, indent=1))
    told = cli("validate", "jobs.yaml").stderr
    for text in (
        "did you mean 'continuous'?",
        "none.json: the file does not exist",
        "did you mean 'age'?",
        "'localtime'",
    ):
        assert text in told


@pytest.mark.long
def test_the_samples_of_a_job_and_two_files_of_rows_share_no_identifier(folder: Path) -> None:
    frame = builtin_table("sklearn.iris").assign(nr=range(150))
    frame.to_csv("t.csv", index=False)
    described = {**IRIS, "id": {"nr": {"regenerate": "sequence"}}}
    samples = [{"rows": rows, "output": f"{rows}.csv", "seed": 1} for rows in (5, 7)]
    job = {"name": "a", "data": "t.csv", "metadata": described, "generator_filepath": "g.pkl", "sample": samples}
    quick = {"synthesizer": {"epochs": 1, "decoder": "independent"}}
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job | quick]}))
    assert cli("run", "jobs.yaml").exit_code == 0
    assert cli("sample", "g.pkl", "-n", 3, "-o", "more.csv", "--first-id", 13).exit_code == 0
    numbers = [pd.read_csv(name)["nr"].tolist() for name in ("5.csv", "7.csv", "more.csv")]
    assert [number for part in numbers for number in part] == list(range(1, 16))


def test_examples_are_copied_into_a_folder_of_the_user(folder: Path) -> None:
    assert cli("examples", "copy", "mine/first").exit_code == 0
    assert {"patients.yaml", "quickstart.ipynb", "limits/release.yaml"} <= {
        path.relative_to("mine/first").as_posix() for path in Path("mine/first").rglob("*")
    }
    assert not Path("mine/first/output").exists()
    assert cli("validate", "mine/first/patients.yaml").exit_code == 0
    refused = cli("examples", "copy", "mine/first")
    assert (refused.exit_code, "--force" in refused.stderr) == (2, True)
    assert cli("examples", "copy", "mine/first", "--force").exit_code == 0
    Path("file").touch()
    assert "found a file" in cli("examples", "copy", "file").stderr


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "folder"])
@pytest.mark.parametrize("option", [["--missing", "NA"], ["--read", "decimal=,"]])
def test_marks_of_text_are_refused_for_files_of_types(folder: Path, name: str, option: list[str]) -> None:
    Path("folder").mkdir()
    df = pd.DataFrame({"age": range(40)})
    for path in ("t.parquet", "folder/a.parquet"):
        df.to_parquet(path)
    df.to_feather("t.feather")
    refused = cli("fit", name, "-m", "infer", "-o", "g.pkl", *option)
    assert (refused.exit_code, f"{option[0]}: belongs to a CSV file" in refused.stderr) == (2, True)
