"""Columns drawn in one step: what the model says that they tell of each other, and what drawing them together loses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import ConfigError
from clover_tvae.model.schedule import FREE_NATS, Schedule, one_by_one

N_ROWS = 3_000


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    """Two columns that go together, each of them with nothing else."""
    rng = np.random.default_rng(0)
    ward = rng.integers(0, 4, N_ROWS)
    nurse = np.where(rng.random(N_ROWS) < 0.95, ward, rng.integers(0, 4, N_ROWS))
    age, dose = rng.normal(size=(2, N_ROWS))
    both = pd.DataFrame({"ward": ward, "nurse": nurse}).map("abcd".__getitem__)
    return both.assign(age=age.round(3), bmi=(age + 0.2 * dose).round(3), hair=rng.choice(["x", "y"], N_ROWS))


@pytest.fixture(scope="module")
def synth(df: pd.DataFrame) -> TVAESynthesizer:
    names = {"categorical": ["ward", "nurse", "hair"], "continuous": ["age", "bmi"]}
    return TVAESynthesizer(df, names, random_state=1, privacy="none", epochs=15).fit()


def agreeing(rows: pd.DataFrame) -> float:
    return float((rows["ward"] == rows["nurse"]).mean())


def schedule_of(synth: TVAESynthesizer) -> Schedule:
    return synth._learnt().backend._known.vae.schedule  # type: ignore[attr-defined]


def test_what_goes_together_is_measured_and_drawn_apart(synth: TVAESynthesizer, df: pd.DataFrame) -> None:
    names, gains = list(df), schedule_of(synth).gains.mean(0)
    ward, nurse = names.index("ward"), names.index("nurse")
    assert gains[ward, nurse] > 10 * FREE_NATS
    assert gains[ward, nurse] > 5 * gains[ward, names.index("hair")]
    assert torch.equal(gains, gains.t())
    for seed in range(20):
        columns = np.random.default_rng(seed).permutation(5).tolist()
        steps = schedule_of(synth).steps(columns)
        assert sorted(column for step in steps for column in step) == list(range(5))
        assert not any({ward, nurse} <= set(step) for step in steps)
        assert schedule_of(synth).lost(steps) <= FREE_NATS


def test_fewer_steps_lose_what_columns_tell_of_each_other(synth: TVAESynthesizer, df: pd.DataFrame) -> None:
    drawn = {steps: synth.sample(8_000, random_state=3, steps=steps) for steps in (None, 5, 1)}
    assert agreeing(drawn[5]) == pytest.approx(agreeing(df), abs=0.05)
    assert agreeing(drawn[None]) == pytest.approx(agreeing(drawn[5]), abs=0.03)
    assert agreeing(drawn[1]) < agreeing(df) - 0.1, "in one step nothing is known of the other column but what z tells"
    for name in ("ward", "hair"):  # each column for itself is right
        shares = [rows[name].value_counts(normalize=True) for rows in (df, drawn[1])]
        assert float((shares[0] - shares[1]).abs().max()) < 0.05


def test_never_more_steps_than_asked_for(synth: TVAESynthesizer) -> None:
    schedule = schedule_of(synth)
    for n_steps in range(1, 6):
        for seed in range(10):
            columns = np.random.default_rng(seed).permutation(5).tolist()
            assert len(schedule.steps(columns, n_steps)) <= n_steps
    assert schedule.steps([3, 1, 4], 9) == one_by_one([3, 1, 4])
    assert schedule.steps([], 1) == []


def test_a_shorter_sample_is_the_beginning_and_the_file_keeps_the_schedule(synth: TVAESynthesizer, tmp_path) -> None:
    whole = synth.sample(3_000, random_state=5, steps=2)
    pd.testing.assert_frame_equal(whole.head(700), synth.sample(700, random_state=5, steps=2))
    synth.save(tmp_path / "generator.clover")
    loaded = TVAESynthesizer.load(tmp_path / "generator.clover")
    assert torch.equal(schedule_of(loaded).gains, schedule_of(synth).gains)
    pd.testing.assert_frame_equal(whole, loaded.sample(3_000, random_state=5, steps=2))


def test_conditions_hold_in_one_step(synth: TVAESynthesizer) -> None:
    rows = synth.sample(500, {"age": (">=", 1.0), "ward": "a"}, random_state=1, steps=1)
    assert (rows["age"] >= 1.0).all()
    assert (rows["ward"] == "a").all()
    assert agreeing(rows) > 0.8, "what is conditioned on is known before the step"


def test_without_levels_every_column_is_drawn_alone() -> None:
    assert Schedule(3).steps([2, 0, 1]) == one_by_one([2, 0, 1])
    assert Schedule(3).steps([2, 0, 1], 1) == one_by_one([2, 0, 1])
    assert not Schedule(3).state_dict(), "files of before have none"


@pytest.mark.parametrize("steps", [0, -1, 1.5, "two"])
def test_steps_are_whole_numbers(synth: TVAESynthesizer, steps: object) -> None:
    with pytest.raises(ConfigError, match="steps"):
        synth.sample(10, steps=steps)  # type: ignore[arg-type]
