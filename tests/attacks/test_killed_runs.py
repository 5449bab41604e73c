"""Kills ``clover-tvae run`` at any time, training included: the next run ends as one that was never killed.

Whatever stands under its own name after a kill is whole: the very bytes of the run that was not killed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.children import QUICK, Child, clover_tvae, command, files_of, iris_job, write_jobs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and POSIX signals")

#: Every kind of file that a job writes rows to.
SAMPLES = [
    {"rows": 700, "output": "out/rows.csv", "seed": 1},
    {"rows": 300, "output": "out/rows.parquet", "seed": 2},
    {"rows": 300, "output": "out/rows.csv.gz", "seed": 3},
]


def attack(tmp_path: Path, n_kills: int, synthesizer: dict, shares: tuple[float, float], **keys: object) -> int:
    """Kill runs at times spread over this part of a run's length; return how many were killed before their end."""
    job = iris_job(synthesizer=QUICK | synthesizer, sample=SAMPLES, **keys)
    expected, seconds = {}, 0.0
    for folder in ("first", "whole"):
        jobs = write_jobs(tmp_path / folder, job)
        started = time.monotonic()
        assert clover_tvae(tmp_path / "logs", "run", jobs).code == 0
        seconds, expected = time.monotonic() - started, files_of(tmp_path / folder)
    assert set(expected) >= {"out/iris.pkl", *(sample["output"] for sample in SAMPLES)}
    n_killed, folder = 0, tmp_path / "killed"
    for kill in range(n_kills):
        jobs = write_jobs(folder, job)
        child = Child(tmp_path / "logs", command, "run", jobs)
        time.sleep(seconds * (shares[0] + (shares[1] - shares[0]) * kill / n_kills))
        child.kill()
        n_killed += child.ended().code == -9
        left = files_of(folder)
        for name, content in left.items():
            is_hidden = any(part.startswith(".") for part in Path(name).parts)
            assert is_hidden or content == expected[name], f"{name} is not whole"
        again = clover_tvae(tmp_path / "logs", "run", jobs)
        assert again.code == 0, again.err
        assert files_of(folder) == expected
        if kill % 3:  # else the next run is killed over whole files
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        else:
            for sample in SAMPLES[:2]:
                (folder / sample["output"]).unlink()
    return n_killed


@pytest.mark.parametrize(
    "n_kills", [pytest.param(3, marks=pytest.mark.long), pytest.param(100, marks=pytest.mark.slow)]
)
def test_a_run_that_was_killed_is_done_again_to_the_same_bytes(tmp_path, n_kills):
    assert attack(tmp_path, n_kills, {}, (0.05, 1.0)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{}, {"checkpoint": True}], ids=["begins_again", "goes_on"])
def test_a_training_that_was_killed_gives_the_same_bytes(tmp_path, keys):
    assert attack(tmp_path, 50, {"epochs": 40, "batch_size": 20}, (0.3, 0.9), **keys) >= 25
