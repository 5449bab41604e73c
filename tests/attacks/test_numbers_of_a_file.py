"""Sets every number of a generator file to 0, 1, -1, a huge one and NaN, digest recomputed.

Each file is refused as an ``ArtifactError``, or it is a generator that draws rows: nothing loads and fails later.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attacks.patients import METADATA as OF_PATIENTS
from attacks.patients import patients
from clover_tvae import TVAESynthesizer
from clover_tvae.artifact import dump_artifact, read_artifact
from clover_tvae.errors import ArtifactError

PARTS = ("metadata", "transforms", "model", "training", "privacy", "relations")
_KINDS = {"<f8": np.float64, "<f4": np.float32, "<i8": np.int64, "<u8": np.uint64, "<i4": np.int32}


METADATA = {**OF_PATIENTS, "categorical": ["sex", "grade"]}


def table(n: int = 120) -> pd.DataFrame:
    """One column of every kind, a category of numbers too, and two relations."""
    grades = np.random.default_rng(6).choice([1, 2, 3], n)
    return patients(n).assign(grade=pd.Series(grades, dtype="category"))


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every number, and to the first number of every packed array."""
    if isinstance(part, dict) and part.keys() == {"dtype", "length", "data"} and part["length"]:
        yield (*path, "data")
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        if type(value) in (int, float):
            yield (*path, key)
        else:
            yield from places(value, (*path, key))


def changed(content: dict[str, Any], path: tuple[Any, ...], value: float) -> dict[str, Any]:
    """Return the content with another number at a place, of the type that stands there."""
    made = copy.deepcopy({name: content[name] for name in PARTS}) | {
        name: content[name] for name in content if name not in PARTS
    }
    owner: Any = made
    for step in path[:-1]:
        owner = owner[step]
    found = owner[path[-1]]
    if isinstance(found, bytes):
        kind = _KINDS[owner["dtype"]]
        with np.errstate(all="ignore"):
            value = value if np.dtype(kind).kind == "f" else 0 if math.isnan(value) else int(min(value, 2**63 - 1))
            number = np.array([value], "f8" if isinstance(value, float) else "i8").astype(kind)
        owner[path[-1]] = number.tobytes() + found[number.itemsize :]
    elif type(found) is int and not math.isnan(value):
        owner[path[-1]] = int(min(value, 2**63 - 1))
    else:
        owner[path[-1]] = float(value)
    return made


def outcome(data: dict[str, Any], folder: Any) -> str:
    """Load a file and use it: ``refused``, ``works``, or what goes wrong."""
    path = folder / "changed.pkl"
    path.write_bytes(dump_artifact(data))
    try:
        loaded = TVAESynthesizer.load(path)
    except ArtifactError:
        return "refused"
    except Exception as error:
        return f"load: {type(error).__name__}: {str(error)[:120]}"
    try:
        rows = loaded.sample(20, random_state=1)
        assert len(rows) == 20
        loaded.sample(5, conditions={"sex": "F"}, random_state=1)
        loaded.save(folder / "again.pkl")
        loaded.card()
    except Exception as error:
        return f"use: {type(error).__name__}: {str(error)[:120]}"
    return "works"


@pytest.fixture(scope="module", params=["autoregressive", "independent"])
def content(request, tmp_path_factory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("file") / "generator.pkl"
    synth = TVAESynthesizer(
        table(), METADATA, random_state=1, epochs=1, decoder=request.param, privacy="none", min_count=2, verbose=False
    )
    synth.fit().save(path)
    return read_artifact(path)


@pytest.mark.parametrize(
    "n_tried", [pytest.param(60, marks=pytest.mark.long), pytest.param(None, marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore")
def test_every_number_is_checked_or_does_no_harm(content, tmp_path, n_tried):
    assert outcome(dict(content), tmp_path) == "works"
    tries = [
        (path, value)
        for path in places({name: content[name] for name in PARTS})
        for value in (0.0, 1.0, -1.0, 1.7e308, math.nan)
    ]
    assert len(tries) > 300
    if n_tried:
        tries = [tries[i] for i in np.random.default_rng(0).choice(len(tries), n_tried, replace=False)]
    found = {(path, value): outcome(changed(content, path, value), tmp_path) for path, value in tries}
    wrong = {key: text for key, text in found.items() if text not in ("refused", "works")}
    assert not wrong, "\n".join(f"{path} = {value}: {text}" for (path, value), text in list(wrong.items())[:40])
    assert "refused" in found.values()
