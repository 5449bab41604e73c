"""Fills the disk under whatever the package writes: the old file stands, nothing is left beside it, and the user is told.

Full is a small file system of its own, where one may be mounted (as root), and a limit on the size of a file.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.children import Ended, Step, clover_tvae, files_of, iris_job, limit, own_disk, write_jobs

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and POSIX limits")]

#: What each command writes, the command, and how many bytes it may write before there is no more room.
COMMANDS: dict[str, tuple[str, int]] = {
    "generator": ("fit sklearn.iris -m infer -o {}/given.pkl --epochs 1 --decoder independent --force", 20_000),
    "csv": ("sample {}/given.pkl -n 3000 --seed 1 -o {}/rows.csv --force", 20_000),
    "csv.gz": ("sample {}/given.pkl -n 3000 --seed 1 -o {}/rows.csv.gz --force", 9_000),
    "parquet": ("sample {}/given.pkl -n 3000 --seed 1 -o {}/rows.parquet --force", 9_000),
    "parts": ("sample {}/given.pkl -n 3000 --seed 1 -o {}/parts --rows-per-part 300 --force", 5_000),
    "standard output": ("sample {}/given.pkl -n 3000 --seed 1 -o -", 20_000),
    "report and figures": (
        "evaluate --real sklearn.iris --synthetic {}/rows.csv -m infer -o {}/r.html --json {}/f.json --force", 20_000
    ),
    "metadata": ("metadata infer sklearn.iris -o {}/metadata.json --force", 100),
    "summary": ("run {}/jobs.yaml --summary {}/summary.json", 600),
    "job": ("run {}/jobs.yaml --retrain", 20_000),
}  # fmt: skip
IN_SHORT = ("parts", "summary")


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_disk(tmp_path_factory.mktemp("disk")) as folder:
        yield folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a job has been run."""
    folder = tmp_path_factory.mktemp("made")
    write_jobs(folder, iris_job(generator_filepath="given.pkl"))
    assert run("first job", folder, folder.with_name("logs")).code == 0
    return folder


def run(what: str, folder: Path, logs: Path, *before: Step) -> Ended:
    line = "run {}/jobs.yaml" if what == "first job" else COMMANDS[what][0]
    return clover_tvae(logs, *line.replace("{}", str(folder)).split(), before=before)


def attack(what: str, folder: Path, logs: Path, *before: Step, fill: Callable[[], object] = lambda: None) -> None:
    """Write what the command writes, and then write it again with less room; the old must stand."""
    if what == "report and figures":
        assert run("csv", folder, logs).code == 0
    assert run(what.replace("job", "first job"), folder, logs).code == 0
    fill()
    old = files_of(folder)
    ended = run(what, folder, logs, *before)
    assert ended.code == (3 if what in ("generator", "job") else 2), ended.err
    assert "bug of clover_tvae" not in ended.err
    assert "Traceback" not in ended.err
    assert any(words in ended.err for words in ("No space left", "File too large")), ended.err
    left = files_of(folder)
    assert [name for name in left if left[name] != old.get(name)] == []
    assert left.keys() == old.keys()


def write_to_full() -> None:
    """Have standard output go to a device that is always full."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


@pytest.mark.slow
@pytest.mark.parametrize("what", COMMANDS)
def test_a_full_disk(what, made, small_disk, tmp_path):
    for path in small_disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder = small_disk / "made"
    shutil.copytree(made, folder)

    def fill() -> None:
        with open(small_disk / "rest", "wb", buffering=0) as file:
            file.write(bytes(shutil.disk_usage(small_disk).free - COMMANDS[what][1] // 4096 * 4096))

    full_output = [(write_to_full, ())] if what == "standard output" else []
    attack(what, folder, tmp_path / "logs", *full_output, fill=fill)


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what in IN_SHORT else pytest.mark.slow) for what in COMMANDS]
)
def test_files_that_may_grow_no_more(what, made, tmp_path):
    shutil.copytree(made, tmp_path / "made")
    attack(what, tmp_path / "made", tmp_path / "logs", (limit, ("RLIMIT_FSIZE", COMMANDS[what][1])))
