"""Several workers that train one network: the result of one worker, and an end in every case."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.long

#: What each process does first: ``rank`` is its number, ``people`` makes a table, ``QUICK`` has two shards a batch.
BEGINNING = """
import atexit, json, os, sys, time
import numpy as np, pandas as pd, torch, torch.distributed as dist
from clover_tvae import TVAESynthesizer
from clover_tvae.errors import CloverError
from clover_tvae.training import Trainer, TrainingConfig, checkpoint
from test_training import Line, data

rank = int(os.environ.get("RANK", 0))
if "RANK" in os.environ:
    dist.init_process_group("gloo")
    atexit.register(dist.destroy_process_group)  # else its threads may abort the process as it ends

def people(n=9000):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.integers(18, 90, n), "sex": rng.choice(["F", "M"], n)})

METADATA = {"continuous": ["age"], "categorical": ["sex"]}
QUICK = {"compress_dims": [8], "decompress_dims": [8], "privacy": "none", "verbose": False}

def unlearnt(df, **given):
    return TVAESynthesizer(df, METADATA, **{"random_state": 1, "epochs": 5} | QUICK | given)

def trained(shards, **given):
    line = Line()
    config = TrainingConfig(**{"epochs": 3, "batch_rows": 20, "learning_rate": 0.05, "shards": shards} | given)
    return line, Trainer(config, verbose=False).fit(line, data(), seed=1)
"""


def processes(script: str, n: int, *arguments: object) -> list[tuple[int, str, str]]:
    """Run a script in as many processes, with what torchrun tells them; return the exit code and the outputs of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [sys.executable, "-c", BEGINNING + textwrap.dedent(script), *map(str, arguments)]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(n)}
    ranks = [group | {"RANK": str(rank)} for rank in range(n)] if n > 1 else [{}]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(words, env=ENVIRONMENT | of, **pipes) for of in ranks]
    try:
        ended = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(running, ended, strict=True)]


def outputs(script: str, n: int, *arguments: object) -> list[dict[str, Any]]:
    """Return what each of the processes printed, which must end well."""
    ended = processes(script, n, *arguments)
    assert [code for code, *_ in ended] == [0] * n, ended
    return [json.loads(output or "{}") for _, output, _ in ended]


#: What one worker does, and two: (folder) -> what came out.
LEARN = """
folder, told = sys.argv[1], {}
synth = unlearnt(people(), generator_filepath=f"{folder}/{dist.is_initialized()}.pkl").fit()
if rank == 0:
    told["written"] = TVAESynthesizer.load(synth.generator_filepath).card()["sha256"]
told["table"] = synth.save(f"{folder}/{rank}.pkl")
# A teacher and a student, with batches that are not cut.
told["student"] = unlearnt(people(200), privacy="student", batch_size=64).fit().save(f"{folder}/{rank}.pkl")
for shards in (1, 3, 4):
    line, training = trained(shards)
    told[f"{shards} shards"] = [*line.weight.flatten().tolist(), training.history[-1].validation_loss]
if dist.is_initialized():
    try:
        unlearnt(people().replace({"age": {30: 30 + rank}}), random_state=1 + rank).fit()
    except CloverError as error:
        told["differs"] = str(error)
    if rank == 1:  # a clock that runs ahead
        now = time.monotonic
        time.monotonic = lambda: 1e6 * now()
    line, training = trained(2, epochs=10**6, max_minutes=0.02, schedule="trapezoid", optimizer="muon", average=0.9)
    told["clock"] = [training.stopped, len(training.history), line.weight.tolist()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outputs(LEARN, 1, tmp_path_factory.mktemp("one"))[0]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return outputs(LEARN, 2, tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("what", ["table", "student", "1 shards"])
def test_two_workers_come_to_the_bits_of_one(one: dict[str, Any], two: list[dict[str, Any]], what: str) -> None:
    assert [worker[what] for worker in two] == [one[what]] * 2


def test_the_first_worker_alone_writes_the_generator(one: dict[str, Any], two: list[dict[str, Any]]) -> None:
    assert two[0]["written"] == one["written"] == one["table"]


@pytest.mark.parametrize("what", ["3 shards", "4 shards"])
def test_more_parts_than_workers_give_the_sums_of_one(
    one: dict[str, Any], two: list[dict[str, Any]], what: str
) -> None:
    assert two[0][what] == two[1][what] == pytest.approx(one[what], rel=1e-5)


def test_the_clock_of_the_first_worker_ends_all_at_one_step(two: list[dict[str, Any]]) -> None:
    assert two[0]["clock"] == two[1]["clock"]
    assert two[0]["clock"][0] == "minutes"


def test_workers_that_do_not_learn_the_same_are_told_what_differs(two: list[dict[str, Any]]) -> None:
    cure = (
        "give all the same table, parameters and random_state, and a checkpoint that all see; where each is to learn a table "
        "of its own, fit before the process group is initialised"
    )
    assert two[0]["differs"] == f"workers: 1 of 2 workers differ from worker 0; {cure}"
    assert two[1]["differs"] == f"workers: worker 1 differs from worker 0 in table, random_state; {cure}"


def test_an_interrupted_group_goes_on_to_the_same_file_also_in_one_worker(tmp_path: Path, one: dict[str, Any]) -> None:
    script = """
        path, is_to_end = f"{sys.argv[1]}/fit.ckpt", sys.argv[2] == "end"
        save, saved, checkpoint.SECONDS_BETWEEN = checkpoint.Stage.save, [], 0.0

        def saves(self, state):
            save(self, state)
            saved.append(1)
            if is_to_end and len(saved) == 3:
                os._exit(0)

        checkpoint.Stage.save = saves
        synth = unlearnt(people()).fit(checkpoint=path, resume=not is_to_end)
        print(json.dumps({"digest": synth.save(f"{sys.argv[1]}/{rank}.pkl")}))
    """
    assert outputs(script, 2, tmp_path, "end") == [{}, {}]
    shutil.copy(tmp_path / "fit.ckpt", tmp_path / "kept")
    for n in (2, 1):
        shutil.copy(tmp_path / "kept", tmp_path / "fit.ckpt")
        assert outputs(script, n, tmp_path, "go on") == [{"digest": one["table"]}] * n
        assert not (tmp_path / "fit.ckpt").exists()


def test_the_end_of_one_worker_ends_all() -> None:
    script = """
        forward = Line.forward

        def failing(self, *batch, generator):
            if rank == 1 and len(self.seen) == 20:
                raise RuntimeError
            return forward(self, *batch, generator=generator)

        Line.forward = failing
        try:
            trained(2, epochs=10**6)
        except CloverError as error:
            print(f"{type(error).__name__}: {error}")
    """
    (code, output, _), (other, *_) = processes(script, 2)
    told = "WorkerLostError: another worker has ended, or cannot be reached: what it said last tells why"
    assert (code, output.strip()) == (0, told)
    assert other == 1
