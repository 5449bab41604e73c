"""Takes memory and file descriptors away while tables are learnt and rows drawn.

Memory that runs out ends a command with exit code 4, and a call in Python with the package's own error; descriptors that run
out with a reason in words. In neither case is there a traceback, "a bug", or a half-written file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.children import Child, clover_tvae, files_of, iris_job, limit, limit_more_memory, write_jobs

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and its limits"),
]

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of some size, a generator of it and a job that learns it."""
    folder, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(20_000, 20)).round(3)).add_prefix("x")
    table.assign(group=rng.choice(list("abcdef"), len(table))).to_csv(folder / "table.csv", index=False)
    job = iris_job(data="table.csv", metadata=None, sample={"rows": 50_000, "output": "out/rows.csv", "seed": 1})
    write_jobs(folder, {key: value for key, value in job.items() if value is not None} | {"metadata": "infer"})
    fitted = (
        "fit",
        "sklearn.iris",
        "-m",
        "infer",
        "-o",
        folder / "iris.pkl",
        "--epochs",
        1,
        "--decoder",
        "independent",
    )
    assert clover_tvae(folder.with_name("logs"), *fitted).code == 0
    return folder


COMMANDS = {
    "fit": "fit {}/table.csv -m infer -o {}/out.pkl --epochs 1 --privacy none",
    "run": "run {}/jobs.yaml",
    "sample": "sample {}/iris.pkl -n 400000 -o {}/rows.csv",
    "sample parquet": "sample {}/iris.pkl -n 400000 -o {}/rows.parquet",
}
SIZES = {"fit": [8, 32, 64, 96, 128, 192, 256], "run": [48, 96, 160], "sample": [8, 32, 64, 96], "sample parquet": [48]}
CASES = [(what, size, pytest.mark.slow) for what, sizes in SIZES.items() for size in sizes]


@pytest.mark.parametrize(("what", "mebibytes"), [pytest.param(w, n, marks=m) for w, n, m in CASES])
def test_memory_runs_out_in_a_command(folder, tmp_path, what, mebibytes):
    old = files_of(folder)
    line = COMMANDS[what].replace("{}", str(folder)).split()
    ended = clover_tvae(tmp_path, *line, before=[(limit_more_memory, (mebibytes * MEBIBYTE,))])
    if ended.code != 0:
        assert "bug of clover_tvae" not in ended.err, ended.err
        assert "Traceback" not in ended.err, ended.err
        # A library in C++ that gets no thread ends the process on the spot; no program in Python can tell it better.
        assert ended.code == 4 or (ended.code == -6 and "terminate called" in ended.err), (ended.code, ended.err)
        assert ended.code == -6 or "memory" in ended.err
        assert {name: content for name, content in files_of(folder).items() if not name.endswith(".tmp")} == old
    for name in files_of(folder).keys() - old.keys():
        (folder / name).unlink()


def call(what: str, folder: str) -> None:
    """Fit or sample with little memory, in Python, and tell which error comes out."""
    from clover_tvae import TVAESynthesizer
    from clover_tvae.errors import TrainingError

    table = pd.read_csv(f"{folder}/table.csv")
    synth = TVAESynthesizer(table, epochs=1, decoder="independent", verbose=False)
    if what == "sample":
        synth = TVAESynthesizer(generator_filepath=f"{folder}/iris.pkl", verbose=False)
        synth.sample(10)
    limit_more_memory(4 * MEBIBYTE)
    told: object = "no error"
    try:
        synth.fit() if what == "fit" else synth.sample(1_500_000)
    except TrainingError as error:
        told = isinstance(error, MemoryError) and "memory" in str(error)
    print(told)


@pytest.mark.parametrize("what", ["fit", pytest.param("sample", marks=pytest.mark.slow)])
def test_memory_runs_out_in_python(folder, tmp_path, what):
    ended = Child(tmp_path, call, what, str(folder)).ended()
    assert ended.out == "True\n", ended.err


@pytest.mark.parametrize("n_more", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 2, 3, 4, 6, 8, 12))])
def test_descriptors_run_out(folder, tmp_path, n_more):
    jobs = write_jobs(tmp_path / "work", iris_job())
    ended = clover_tvae(tmp_path / "logs", "run", jobs, before=[(leave_descriptors, (n_more,))])
    if ended.code != 0:
        assert "bug of clover_tvae" not in ended.err, ended.err
        assert "Traceback" not in ended.err, ended.err
        assert ended.code in (2, 3), ended.err
        assert "open files" in ended.err, ended.err
        assert not [name for name in files_of(tmp_path / "work") if name.endswith(".tmp")]
    assert clover_tvae(tmp_path / "logs", "run", jobs).code == 0


def leave_descriptors(n_more: int) -> None:
    most = max(map(int, os.listdir("/proc/self/fd")))
    limit("RLIMIT_NOFILE", most + n_more)
