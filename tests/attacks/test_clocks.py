"""Sets the clock back, at every look, and dates files in the future: what is due, and what is drawn, does not follow the clock."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.children import clover_tvae, files_of, iris_job, set_clock, write_jobs

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


def test_jobs_do_not_follow_the_clock(tmp_path):
    logs = tmp_path / "logs"
    table = "\n".join(["a,b", *(f"{i % 7},{'xyz'[i % 3]}" for i in range(60))]) + "\n"
    folders = [tmp_path / name for name in ("right", "wrong")]
    for folder in folders:
        jobs = write_jobs(
            folder,
            iris_job(
                data="table.csv", metadata="infer", synthesizer={"epochs": 2, "random_state": 1, "max_minutes": 5}
            ),
        )
        (folder / "table.csv").write_text(table)
    assert clover_tvae(logs, "run", folders[0] / "jobs.yaml").code == 0
    back = [(set_clock, (-3600.0,))]
    ended = clover_tvae(logs, "run", jobs, before=back)
    assert ended.code == 0, ended.err
    assert files_of(folders[0]) == files_of(folders[1])
    for path in (*folders[1].rglob("*"),):
        os.utime(path, (time.time() + 10**8, time.time() + 10**8))
    for before in ((), back):
        again = clover_tvae(logs, "run", jobs, before=before)
        assert (again.code, "up to date" in again.out) == (0, True), again.err
    (folders[1] / "table.csv").write_text(table.replace("6", "5"))
    os.utime(folders[1] / "table.csv", (0, 0))  # changed, and older than all that was made of it
    assert "changed since the last training: data" in clover_tvae(logs, "run", jobs, before=back).out
