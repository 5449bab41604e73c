"""Tables that the tests share: small, mixed, and made here or shipped by scikit-learn."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import UserError

needs_sdv = pytest.mark.skipif(importlib.util.find_spec("sdv") is None, reason="needs SDV")
IS_PANDAS_3 = int(pd.__version__.split(".")[0]) >= 3
# What pandas makes of texts and dates.
TEXT, UNIT = ("str", "us") if IS_PANDAS_3 else ("object", "ns")

# The same examples in every run: what fails once fails again. A longer search is a matter of max_examples, not of luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark as long what waits for the fitted generators, and as fast what is neither long nor slow."""
    if {"fitted", "people"} <= set(getattr(item, "fixturenames", ())):
        item.add_marker("long")
    if not any(item.get_closest_marker(name) for name in ("long", "slow")):
        item.add_marker("fast")


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
