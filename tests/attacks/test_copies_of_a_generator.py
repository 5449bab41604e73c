"""Hands a fitted synthesizer over in every way that Python has: the copy draws the same rows, and the original goes on."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import sys

import pandas as pd
import pytest
from joblib import Parallel, delayed

from clover_tvae import TVAESynthesizer


def draw(synth: TVAESynthesizer) -> pd.DataFrame:
    return synth.sample(30, random_state=3)


def sent(synth: TVAESynthesizer, method: str) -> pd.DataFrame:
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply_async(draw, (synth,)).get(timeout=120)


WAYS = {
    "deepcopy": lambda synth: draw(copy.deepcopy(synth)),
    "copy": lambda synth: draw(copy.copy(synth)),
    **{f"pickle {p}": lambda synth, p=p: draw(pickle.loads(pickle.dumps(synth, p))) for p in range(2, 6)},
    "cloudpickle": lambda synth: draw(pickle.loads(pytest.importorskip("cloudpickle").dumps(synth))),
    "joblib": lambda synth: Parallel(2, "loky")(delayed(draw)(synth) for _ in range(2))[1],
    "threads": lambda synth: Parallel(2, "threading")(delayed(draw)(synth) for _ in range(2))[1],
    "spawn": lambda synth: sent(synth, "spawn"),
    "fork": lambda synth: sent(synth, "fork"),
    "forkserver": lambda synth: sent(synth, "forkserver"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_draws_the_same_rows(fitted, way, tmp_path):
    if way.startswith("fork") and sys.platform == "win32":
        pytest.skip("Windows has no fork")
    rows = draw(fitted)
    pd.testing.assert_frame_equal(WAYS[way](fitted), rows)
    pd.testing.assert_frame_equal(draw(fitted), rows)


def test_a_copy_goes_its_own_way(fitted):
    """Without a seed, rows depend on how often one was asked: a copy counts for itself."""
    one, two = copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))
    first, second = one.sample(20), one.sample(20)
    assert not first.equals(second)
    pd.testing.assert_frame_equal(two.sample(20), first)
    pd.testing.assert_frame_equal(two.sample(20), second)
