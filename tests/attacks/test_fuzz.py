"""Runs ``fuzz`` for a minute on each reader, and checks that a second run goes on where the first one ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(reader: str, folder: Path, minutes: float) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "tests.attacks.fuzz",
        reader,
        "--minutes",
        str(minutes),
        "--seed",
        "1",
        "--folder",
        str(folder),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode in (0, 1), made.stderr[-2000:]
    return json.loads((folder / f"{reader}-1.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["generator", "json", "yaml", "csv"])
def test_changed_files_are_refused_in_time_or_work(reader, tmp_path):
    first = run(reader, tmp_path, 0.2)
    assert first["next"] > 0
    found = run(reader, tmp_path, 1)
    assert found["next"] == sum(found["ends"].values()) > first["next"]
    assert found["ends"]["refused"] > 0
    assert found["ends"]["works"] > 0
    assert found["faults"] == {}
