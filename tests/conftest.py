"""Tables that the tests share: small, mixed, and made here or shipped by scikit-learn."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from pyarrow import fs

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import UserError

needs_sdv = pytest.mark.skipif(importlib.util.find_spec("sdv") is None, reason="needs SDV")
IS_PANDAS_3 = int(pd.__version__.split(".")[0]) >= 3
# What pandas makes of texts and dates.
TEXT, UNIT = ("str", "us") if IS_PANDAS_3 else ("object", "ns")

# The same examples in every run: what fails once fails again. A longer search is a matter of max_examples, not of luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-4711",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark as long what waits for the fitted generators, and as fast what is neither long nor slow."""
    if {"fitted", "people"} <= set(getattr(item, "fixturenames", ())):
        item.add_marker("long")
    if not any(item.get_closest_marker(name) for name in ("long", "slow")):
        item.add_marker("fast")


@pytest.fixture(autouse=True)
def _hasty_attacker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who learns the released rows takes few steps: a job must let them try, and how well they do is for slow tests."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("clover_tvae.workflows.attackers._QUICK_STEPS", 20)


@pytest.fixture(scope="module")
def few_rounds() -> Iterator[None]:
    """Boost the trees of C2ST for fewer rounds, and draw fewer tables, where figures must be there and need not be good."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clover_tvae.evaluation.two_sample.C2ST_ITERATIONS", 10)
        patch.setattr("clover_tvae.workflows.assessment._N_DRAWS", 2)
        yield


@contextlib.contextmanager
def refuses(error: type[UserError], *places: str) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Check that exactly this class is raised, with one problem at each of these places, whatever the words."""
    with pytest.raises(error) as caught:
        yield caught
    assert type(caught.value) is error, f"{type(caught.value).__name__}: {caught.value}"
    assert sorted(problem.where for problem in caught.value.problems) == sorted(places), str(caught.value)


def make_people(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """A mixed table: skewed and zero-inflated numbers, rare categories, gaps, dates, booleans, an identifier."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["F", "M"], n, p=[0.3, 0.7])
    age = rng.integers(18, 91, n)
    income = np.round(np.exp(rng.normal(10 + 0.01 * age, 0.4)), 2)
    bonus = np.where(rng.random(n) < 0.6, 0.0, np.round(rng.gamma(2.0, 500.0, n), 1))
    bmi = np.round(rng.normal(25, 4, n), 1)
    bmi[rng.random(n) < 0.15] = np.nan
    city = rng.choice(["Bonn", "Cork", "Graz", "Oslo"], n, p=[0.5, 0.3, 0.18, 0.02])
    start = pd.Timestamp("2001-01-01") + pd.to_timedelta(rng.integers(0, 8000, n), unit="D")
    return pd.DataFrame(
        {
            "number": [f"P{i:05d}" for i in range(n)],
            "age": age,
            "sex": sex,
            "income": income,
            "bonus": bonus,
            "bmi": bmi,
            "city": pd.Categorical(city, categories=["Bonn", "Cork", "Graz", "Oslo"]),
            "start": start,
            "smoker": rng.random(n) < np.where(age > 50, 0.4, 0.1),
        }
    )


PEOPLE = {
    "continuous": ["age", "income", "bonus", "bmi"],
    "categorical": ["sex", "city"],
    "boolean": ["smoker"],
    "datetime": ["start"],
    "id": [{"name": "number", "regenerate": "pattern", "pattern": "P#####"}],
    "variable_to_predict": "smoker",
}


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    return make_people()


@pytest.fixture(scope="session")
def metadata() -> dict:
    return PEOPLE


@pytest.fixture(scope="session", params=["autoregressive", "independent"])
def fitted(request: pytest.FixtureRequest, people: pd.DataFrame) -> TVAESynthesizer:
    """One fitted synthesizer a decoder, shared by all tests that only read it."""
    return TVAESynthesizer(
        people, PEOPLE, random_state=7, epochs=30, batch_size=100, decoder=request.param, privacy="none", verbose=False
    ).fit()


@pytest.fixture(scope="session")
def quick(people: pd.DataFrame) -> TVAESynthesizer:
    """A generator that has learnt as good as nothing, for tests that need any: to draw from, to save, to hand over."""
    return TVAESynthesizer(
        people.drop(columns="number"),
        {key: value for key, value in PEOPLE.items() if key != "id"},
        random_state=7,
        epochs=1,
        decoder="independent",
        verbose=False,
    ).fit()


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, str]]:
    """A bucket of an S3 server on this machine: the address of the server, and what a URL needs to find it."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("needs moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address.rpartition(":")[2]]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(address))
        key, secret = CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
        where = {"endpoint_override": address, "scheme": "http", "allow_bucket_creation": True}
        fs.S3FileSystem(access_key=key, secret_key=secret, **where).create_dir("rows")
        yield address, f"?endpoint_override={address}&scheme=http"
    finally:
        server.kill()
        server.wait()


def answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
        return True
    return False


def until(told: Callable[[], object], seconds: float = 120) -> None:
    start = time.monotonic()
    while not told():
        assert time.monotonic() - start < seconds
        time.sleep(0.05)
