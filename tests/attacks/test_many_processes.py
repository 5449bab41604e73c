"""Starts one job file many times at once, and writes one file twice at once: one does it, the others say so; every file is whole."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.children import QUICK, Child, clover_tvae, command, files_of, iris_job, write_jobs

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and locks")]


def wait_until(path: str) -> None:
    """Start together: when the file is there."""

    while not Path(path).exists():
        time.sleep(0.005)


@pytest.mark.parametrize("n", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_one_job_file_started_many_times(tmp_path, n):
    folder = tmp_path / "work"
    jobs = write_jobs(folder, iris_job(synthesizer=QUICK | {"epochs": 30, "batch_size": 10}))
    go = tmp_path / "go"
    children = [Child(tmp_path / "logs", command, "run", jobs, before=[(wait_until, (str(go),))]) for _ in range(n)]
    time.sleep(0.5)
    go.touch()
    ended = [child.ended() for child in children]
    n_done = sum(end.code == 0 and "done in" in end.out for end in ended)
    for end in ended:
        if end.code != 0:
            assert end.code == 2, end.err
            assert "another process" in end.err, end.err
        else:  # it came when the job was done
            assert "done in" in end.out or "up to date" in end.out
    assert n_done == 1
    assert sum(end.code == 2 for end in ended) >= 1
    assert not list(folder.rglob("*.lock"))
    found = files_of(folder)
    assert set(found) == {"jobs.yaml", "out/iris.pkl", "out/iris.csv"}
    again = clover_tvae(tmp_path / "logs", "run", jobs)
    assert "up to date" in again.out
    assert files_of(folder) == found


@pytest.mark.parametrize("n", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_many_writers_of_one_file(tmp_path, n):
    """Each draws other rows to one file: it holds those of one of them."""
    logs, go, target = tmp_path / "logs", tmp_path / "go", tmp_path / "out/rows.csv"
    jobs = write_jobs(tmp_path, iris_job())
    assert clover_tvae(logs, "run", jobs).code == 0
    lines = [
        ("sample", tmp_path / "out/iris.pkl", "-n", 2000, "--seed", seed, "-o", target, "--force") for seed in range(n)
    ]
    possible = []
    for line in lines:
        assert clover_tvae(logs, *line).code == 0
        possible.append(target.read_bytes())
    children = [Child(logs, command, *line, before=[(wait_until, (str(go),))]) for line in lines]
    go.touch()
    for child in children:
        end = child.ended()
        assert end.code == 0, end.err
    assert target.read_bytes() in possible
    assert set(os.listdir(target.parent)) == {"iris.pkl", "iris.csv", "rows.csv"}
