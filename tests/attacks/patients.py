"""A small table with a column of every kind and two relations, and its metadata: what attacks on readers start from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

METADATA: dict[str, Any] = {
    "continuous": ["low", "high", "weight"],
    "categorical": ["sex"],
    "ordinal": [{"name": "stage", "order": ["I", "II", "III"]}],
    "boolean": ["well"],
    "datetime": ["born"],
    "id": [{"name": "number", "regenerate": "pattern", "pattern": "P###"}],
    "variable_to_predict": "sex",
}


def patients(n: int) -> pd.DataFrame:
    """Return so many patients."""
    rng = np.random.default_rng(5)
    low = rng.integers(80, 120, n)
    return pd.DataFrame(
        {
            "number": [f"P{i:03d}" for i in range(n)],
            "low": low,
            "high": low + rng.integers(1, 40, n),
            "weight": np.where(rng.random(n) < 0.2, np.nan, rng.normal(70, 9, n).round(1)),
            "sex": rng.choice(["F", "M"], n),
            "stage": rng.choice(["I", "II", "III"], n),
            "well": rng.random(n) < 0.5,
            "born": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), unit="D"),
        }
    )
