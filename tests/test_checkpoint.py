"""Checkpoints: an interrupted fit goes on to the same weights, and from nothing else than what it was made from."""

from __future__ import annotations

import itertools
import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import needs_sdv
from safetensors.torch import save
from test_training import Line, data

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.backends import made_from
from clover_tvae.errors import ConfigError
from clover_tvae.jobs import load_jobs, run_job
from clover_tvae.training import Checkpoint, Trainer, TrainingConfig, checkpoint
from clover_tvae.training.checkpoint import Stage

METADATA = {"continuous": ["age"], "categorical": ["sex"]}
QUICK = {"epochs": 5, "batch_size": 16, "compress_dims": [8], "decompress_dims": [8], "verbose": False}


def people(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.integers(18, 90, n), "sex": rng.choice(["F", "M"], n)})


@pytest.fixture
def interrupt(monkeypatch):
    """Save at every occasion, and interrupt after so many."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    save = Stage.save

    def after(n_saves: float) -> None:
        counted = itertools.count(1)

        def saves(self: Stage, state: dict) -> None:
            save(self, state)
            if next(counted) >= n_saves:
                raise KeyboardInterrupt

        monkeypatch.setattr(Stage, "save", saves)

    return after


@pytest.mark.parametrize(
    "config",
    [
        TrainingConfig(epochs=3, batch_rows=3, learning_rate=0.05),
        TrainingConfig(
            epochs=30, batch_rows=6, learning_rate=0.05, optimizer="muon", schedule="trapezoid", average=0.9, patience=3, shards=2,
            rows_an_epoch=100,
        ),
    ],
    ids=["adam", "muon"],
)  # fmt: skip
def test_a_training_goes_on_to_the_same_weights_wherever_it_stood(tmp_path, interrupt, config):
    whole = Line()
    expected = Trainer(config, verbose=False).fit(whole, data(), seed=1)
    n_cut = 0
    for n_saves in (1, 2, 5, 9, 40):
        path = tmp_path / f"{n_saves}.ckpt"
        for n in (n_saves, math.inf):
            interrupt(n)
            saved = Checkpoint(path, resume=True)
            saved.begin(1, {"table": "t"})
            again = Line()
            try:
                found = Trainer(config, verbose=False, stage=saved.stage("training")).fit(again, data(), seed=1)
            except KeyboardInterrupt:
                n_cut += 1
        assert [row._replace(seconds=0) for row in found.history] == [
            row._replace(seconds=0) for row in expected.history
        ]
        assert (found.best_epoch, found.stopped) == (expected.best_epoch, expected.stopped)
        for mine, theirs in zip(whole.parameters(), again.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    assert n_cut >= 3


@pytest.mark.parametrize(("n_saves", "seed"), [(1, None), (4, 5), (7, 5), (7, None)])  # five are the teacher's
def test_teacher_and_student_go_on_to_the_same_file(tmp_path, interrupt, n_saves, seed):
    path, digests = tmp_path / "fit.ckpt", []
    synth = TVAESynthesizer(people(), METADATA, random_state=seed, **QUICK)
    entropy = synth._seed.entropy
    interrupt(n_saves)
    with pytest.raises(KeyboardInterrupt):
        synth.fit(checkpoint=path)
    assert path.stat().st_mode & 0o777 == 0o600
    interrupt(math.inf)
    for checkpoint_path in (path, None):
        again = TVAESynthesizer(people(), METADATA, random_state=seed, **QUICK)
        if checkpoint_path is None:
            again._seed = np.random.SeedSequence(entropy)
        again.fit(checkpoint=checkpoint_path, resume=checkpoint_path is not None)
        digests.append(again.save(tmp_path / "g.pkl"))
    assert digests[0] == digests[1]
    assert not path.exists()


def test_what_differs_is_named_and_nothing_is_trained(tmp_path, interrupt):
    path = tmp_path / "fit.ckpt"
    interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        TVAESynthesizer(people(), METADATA, random_state=1, **QUICK).fit(checkpoint=path)
    content = path.read_bytes()

    def refused(df: pd.DataFrame, metadata: dict, resume: bool = True, **changed: object) -> str:
        synth = TVAESynthesizer(df, metadata, **{"random_state": 1} | QUICK | changed)
        with pytest.raises(ConfigError) as error:
            synth.fit(checkpoint=path, resume=resume)
        assert path.read_bytes() == content
        return str(error.value)

    assert "resume=True" in refused(people(), METADATA, resume=False)
    other = people()
    other.loc[3, "age"] += 1
    assert "differs in table" in refused(other, METADATA)
    assert "differs in metadata;" in refused(people(), METADATA | {"variable_to_predict": "sex"})
    both = refused(people(), METADATA, epochs=6, random_state=2)
    assert "differs in epochs;" in both
    assert "differs in random_state;" in both
    assert "differs in decode;" in refused(people(), METADATA, decode="stratified")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pd.Categorical(["F", "M"] * 60, ["F", "M"]), pd.Categorical(["F", "M"] * 60, ["M", "F"])),
        (pd.Series([1, "1"] * 60, dtype=object), pd.Series(["1", 1] * 60, dtype=object)),
    ],
    ids=["order of categories", "numbers and text"],
)
def test_tables_that_pandas_hashes_alike_are_told_apart(one, other):
    made = [
        made_from(people().assign(sex=sex), Metadata.of(METADATA), {}, np.random.SeedSequence(1))["table"]
        for sex in (one, other, one)
    ]
    assert made[0] == made[2] != made[1]


def changed(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_what_is_broken_is_told_before_anything_is_trained(tmp_path, interrupt):
    path = tmp_path / "fit.ckpt"
    interrupt(3)
    with pytest.raises(KeyboardInterrupt):
        TVAESynthesizer(people(), METADATA, random_state=1, **QUICK).fit(checkpoint=path)
    interrupt(math.inf)
    content = path.read_bytes()
    broken = [changed(content, place) for place in (0, 40, len(content) // 2, len(content) - 1)]
    for edit in (
        lambda saved: saved["stages"]["training"].pop("is_over"),
        lambda saved: saved["stages"]["training"].pop("module"),
        lambda saved: saved["stages"]["training"]["optimizers"].clear(),
        lambda saved: saved["stages"]["training"]["noise"].clear(),
        lambda saved: saved["stages"]["training"]["module"].update({"of no module": torch.zeros(3)}),
        lambda saved: saved.update(stages=[]),
        lambda saved: saved.update(seed="one"),
    ):
        path.write_bytes(content)
        saved = Checkpoint(path, resume=True)
        edit(saved._content)
        saved.write()
        broken.append(path.read_bytes())
    for one in (*broken, content[:-1], content + b"0"):
        path.write_bytes(one)
        with pytest.raises(
            ConfigError, match="no checkpoint of this version, or a broken one; remove it to begin anew"
        ):
            TVAESynthesizer(people(), METADATA, random_state=1, **QUICK).fit(checkpoint=path, resume=True)


def test_no_other_file_is_lost(tmp_path, interrupt):
    data, generator, link, target = (tmp_path / name for name in ("t.parquet", "g.pkl", "link", "fit.ckpt"))
    people().to_parquet(data, index=False)
    content = data.read_bytes()
    for resume in (False, True):
        with pytest.raises(ConfigError, match="no checkpoint"):
            TVAESynthesizer(data, METADATA, **QUICK).fit(checkpoint=data, resume=resume)
    assert data.read_bytes() == content
    with pytest.raises(ConfigError, match="another file than generator_filepath"):
        TVAESynthesizer(people(), METADATA, generator_filepath=generator, **QUICK).fit(checkpoint=generator)
    with pytest.raises(ConfigError, match="resume: needs a checkpoint"):
        TVAESynthesizer(people(), METADATA, **QUICK).fit(resume=True)
    link.symlink_to(target)
    interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        TVAESynthesizer(people(), METADATA, random_state=1, **QUICK).fit(checkpoint=link)
    assert target.exists()
    interrupt(math.inf)
    TVAESynthesizer(people(), METADATA, random_state=1, **QUICK).fit(checkpoint=link, resume=True)
    assert not target.exists()


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize(
    "content", [b"", b"text", pickle.dumps(Trap()), save({}, {"content": "{}"}), save({}, {"other": ""}), save({})]
)
def test_a_file_that_is_no_checkpoint_is_refused_and_never_run(tmp_path, content):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="no checkpoint"):
        TVAESynthesizer(people(), METADATA, random_state=1, **QUICK).fit(checkpoint=path, resume=True)


@needs_sdv
def test_sdv_cannot_go_on(tmp_path):
    with pytest.raises(ConfigError, match="sdv"):
        TVAESynthesizer(people(), METADATA, backend="sdv", epochs=1).fit(checkpoint=tmp_path / "fit.ckpt")


def test_a_job_goes_on_unless_it_is_to_train_again(tmp_path, interrupt, monkeypatch):
    people().to_csv(tmp_path / "people.csv", index=False)

    def job(epochs: int = 5):
        (tmp_path / "job.yaml").write_text(
            f"""version: 1
jobs:
  - name: people
    data: people.csv
    metadata: {{continuous: [age], categorical: [sex]}}
    generator_filepath: people.pkl
    checkpoint: true
    synthesizer: {{random_state: 1, epochs: {epochs}, batch_size: 16, decompress_dims: [8], compress_dims: [8]}}
"""
        )
        return load_jobs([tmp_path / "job.yaml"])[0]

    interrupt(math.inf)
    assert run_job(job()).status == "done"
    expected, there = (tmp_path / "people.pkl").read_bytes(), sorted(p.name for p in tmp_path.rglob("*"))
    (tmp_path / "people.pkl").unlink()
    interrupt(7)
    with pytest.raises(KeyboardInterrupt):
        run_job(job())
    (kept,) = (tmp_path / ".clover-tvae").glob("*.checkpoint")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".clover-tvae" / ".gitignore").read_text() == "*\n"
    interrupt(math.inf)
    changed = run_job(job(epochs=6))
    assert changed.status == "failed"
    assert "differs in epochs" in changed.error.message
    lines: list[str] = []
    assert run_job(job(), tell=lines.append).status == "done"
    assert any("going on" in line for line in lines)
    assert (tmp_path / "people.pkl").read_bytes() == expected
    assert sorted(p.name for p in tmp_path.rglob("*")) == there
    (tmp_path / "people.pkl").unlink()
    interrupt(7)
    with pytest.raises(KeyboardInterrupt):
        run_job(job())
    interrupt(math.inf)
    assert run_job(job(epochs=6), retrain=True).status == "done"
    assert not Path(kept).exists()
    kept.mkdir()
    told = run_job(job(epochs=6), retrain=True)
    assert "folder" in told.error.message
    kept.rmdir()
    kept.write_bytes(b"of a run that was killed once its generator was there")
    assert run_job(job(epochs=6)).status == "up to date"
    assert not Path(kept).exists()
    kept.write_bytes(b"of a run that was killed, before checkpoint: true was taken out of the job")
    job(epochs=7)
    text = (tmp_path / "job.yaml").read_text().replace("    checkpoint: true\n", "")
    (tmp_path / "job.yaml").write_text(text)
    assert run_job(load_jobs([tmp_path / "job.yaml"])[0]).status == "done"
    assert not Path(kept).exists()
