"""The how-to pages do what they say; the examples come with the package; the list without SDV is that of the package."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

import clover_tvae
from clover_tvae.jobs import load_jobs
from clover_tvae.tables import write_table

tomllib = pytest.importorskip("tomllib")  # of Python 3.11

ROOT = Path(__file__).parent.parent
HOW_TO = sorted((ROOT / "docs" / "howto").glob("*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in HOW_TO if blocks(page, "python")], ids=lambda page: page.stem)
def test_the_python_of_a_how_to_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, but for two epochs in the place of as many as the table wants."""

    class Quick(clover_tvae.TVAESynthesizer):  # type: ignore[misc, name-defined]
        def __init__(self, df=None, metadata=None, **given) -> None:  # type: ignore[no-untyped-def]
            super().__init__(df, metadata, **{"epochs": 2, "verbose": False, **given})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clover_tvae, "TVAESynthesizer", Quick)
    names: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


def test_the_job_of_the_hospital_is_valid(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "howto" / "hospital.md", "yaml")
    (tmp_path / "ward.json").write_text('{"continuous": ["age"]}')
    write_table(pd.DataFrame({"age": range(30)}), tmp_path / "ward.xlsx")
    (tmp_path / "ward.yaml").write_text(block)
    (job,) = load_jobs([tmp_path / "ward.yaml"])
    assert set(job.limits) == {"privacy.membership_auc", "privacy.file_auc"}


def test_the_list_without_sdv_is_what_the_package_needs_otherwise() -> None:
    listed = {line for line in (ROOT / "light.txt").read_text().splitlines() if line and not line.startswith("#")}
    assert listed == {one for one in PROJECT["project"]["dependencies"] if not one.startswith("sdv")}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_every_example_but_its_pictures_comes_with_the_package() -> None:
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    found = subprocess.run(["git", "ls-files", "examples"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert listed == {name: f"clover_tvae/{name}" for name in found.split() if "/pictures/" not in name}
