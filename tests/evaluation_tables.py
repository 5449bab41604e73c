"""Tables with known structure for the tests of the evaluation: every draw comes from one distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd

COUNTRIES = {"Lyon": "FR", "Paris": "FR", "Rome": "IT", "Milan": "IT", "Bern": "CH"}


def hospital(n_rows: int, seed: int) -> pd.DataFrame:
    """Patients: mixed types, missing cells, a zero-inflated amount, dates in order, a city that settles its country."""
    rng = np.random.default_rng(seed)
    age = rng.gamma(9, 6, n_rows).round()
    city = rng.choice(list(COUNTRIES), n_rows, p=[0.3, 0.3, 0.25, 0.145, 0.005])
    sick = rng.random(n_rows) < 1 / (1 + np.exp((60 - age) / 10))
    admitted = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 60, n_rows), unit="D")
    stay = rng.integers(0, 30, n_rows)
    cost = np.where(rng.random(n_rows) < 0.4, 0.0, (rng.lognormal(6, 1, n_rows) * (1 + stay)).round(2))
    weight = 40 + 0.5 * age + rng.normal(0, 8, n_rows)
    weight[rng.random(n_rows) < 0.1] = np.nan
    ward = np.where(sick, rng.choice(["ICU", "surgery"], n_rows), rng.choice(["surgery", "day"], n_rows)).astype(object)
    ward[rng.random(n_rows) < 0.05] = None
    return pd.DataFrame(
        {
            "age": age.astype("int64"),
            "weight": weight,
            "cost": cost,
            "city": city,
            "country": [COUNTRIES[name] for name in city],
            "ward": ward,
            "sick": np.where(sick, "yes", "no"),
            "insured": rng.random(n_rows) < 0.8,
            "admitted": admitted,
            "discharged": admitted + pd.to_timedelta(stay, unit="D"),
        }
    )


def shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same columns, made independent of each other: right marginals, wrong table."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: table[name].to_numpy()[rng.permutation(len(table))] for name in table.columns})
