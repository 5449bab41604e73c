"""Lets commands and jobs write where nobody may: closed folders, folders that are files, a home that is not there or closed.

The command ends with exit code 2 and the reason, and leaves what was there; without a home it works as ever.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.children import (
    AS_OTHERS,
    Step,
    become_nameless,
    clover_tvae,
    files_of,
    iris_job,
    own_disk,
    set_environment,
    write_jobs,
)

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX rights")]

COMMANDS = {
    "fit": "fit sklearn.iris -m infer -o {}/new.pkl --epochs 1 --decoder independent",
    "sample": "sample {}/out/iris.pkl -n 5 -o {}/rows.csv",
    "sample parts": "sample {}/out/iris.pkl -n 5 -o {}/parts",
    "metadata": "metadata infer sklearn.iris -o {}/metadata.json",
    "summary": "run {}/jobs.yaml --summary {}/summary.json",
    "retrain": "run {}/jobs.yaml --retrain",
    "run": "run {}/jobs.yaml --force",
    "evaluate": "evaluate --real sklearn.iris --synthetic {}/out/iris.csv -m infer -o {}/report.html",
}
each = pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what == "run" else pytest.mark.slow) for what in COMMANDS]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which a job has been run."""
    jobs = write_jobs(tmp_path / "work", iris_job())
    assert clover_tvae(tmp_path / "logs", "run", jobs).code == 0
    return tmp_path / "work"


def refused(folder: Path, what: str, logs: Path, *before: Step) -> None:
    old, line = files_of(folder), COMMANDS[what].replace("{}", str(folder)).split()
    ended = clover_tvae(logs, *line, before=before)
    assert "bug of clover_tvae" not in ended.err, ended.err
    assert "Traceback" not in ended.err
    assert ended.code in (2, 3), ended.err
    assert "error: " in ended.err
    assert files_of(folder) == old


@each
def test_a_disk_that_is_read_only(tmp_path, what):
    (tmp_path / "disk").mkdir()
    with own_disk(tmp_path / "disk") as disk:
        jobs = write_jobs(disk, iris_job())
        assert clover_tvae(tmp_path / "logs", "run", jobs).code == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        refused(disk, what, tmp_path / "logs")
        again = clover_tvae(tmp_path / "logs", "run", jobs)
        assert (again.code, "up to date" in again.out) == (0, True), again.err


@each
@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="to root no folder is closed")
def test_a_folder_that_is_closed(folder, what):
    for path in (folder, folder / "out"):
        path.chmod(0o555)
    try:
        refused(folder, what, folder.parent / "logs", *AS_OTHERS)
    finally:
        for path in (folder, folder / "out"):
            path.chmod(0o755)


@each
def test_a_folder_that_is_a_file(folder, what):
    """Where each command would make or want a folder, there is a file."""
    (folder / "no").write_text("a file")
    line = COMMANDS[what].replace("-o {}", "-o {}/no").replace("--summary {}", "--summary {}/no")
    if what in ("retrain", "run"):
        write_jobs(folder, iris_job(sample={"rows": 7, "output": "no/rows.csv", "seed": 1}))
    old = files_of(folder)
    ended = clover_tvae(folder.parent / "logs", *line.replace("{}", str(folder)).split())
    assert (ended.code, "bug of clover_tvae" in ended.err) == (2, False), ended.err
    assert files_of(folder) == old


@pytest.mark.parametrize("home", [None, "/dev/null/home", pytest.param("/proc", marks=pytest.mark.slow)])
def test_no_home(tmp_path, home):
    jobs = write_jobs(tmp_path / "work", iris_job())
    names = ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")
    ended = clover_tvae(tmp_path / "logs", "run", jobs, before=[(set_environment, (name, home)) for name in names])
    assert ended.code == 0, ended.err
    assert set(files_of(tmp_path / "work")) == {"jobs.yaml", "out/iris.pkl", "out/iris.csv"}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may be somebody else")
def test_a_user_without_a_name_or_a_home(tmp_path):
    jobs = write_jobs(tmp_path / "work", iris_job())
    before = [(set_environment, (name, None)) for name in ("HOME", "USER", "LOGNAME")]
    before += [(open_to_all, (str(tmp_path),)), (become_nameless, (str(tmp_path / "work"),))]
    ended = clover_tvae(tmp_path / "logs", "run", jobs, before=before)
    assert ended.code == 0, ended.err
    assert set(files_of(tmp_path / "work")) == {"jobs.yaml", "out/iris.pkl", "out/iris.csv"}


def open_to_all(folder: str) -> None:
    # pytest closes every folder of its own, of which there is one more where tests run side by side.
    for path in (Path(folder), *Path(folder).parents[:3]):
        if path != Path(tempfile.gettempdir()) and path.is_relative_to(tempfile.gettempdir()):
            path.chmod(0o755)
