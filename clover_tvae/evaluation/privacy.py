"""Privacy: what do the synthetic rows give away of the training rows?"""

from __future__ import annotations

from typing import Any

import pandas as pd

from clover_tvae.evaluation.closest import ClosestRecords, closest_records
from clover_tvae.evaluation.frames import code_tables

__all__ = ["dcr"]


def dcr(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    metadata: Any = None,
    seed: int = 0,
    max_rows: int = 5_000,
) -> ClosestRecords:
    """Return the distances to the closest records: ``share`` (0.5 is perfect) and ``quantile_share`` (0.02 is)."""
    tables = code_tables({"train": train, "holdout": holdout, "synthetic": synthetic}, metadata)
    return closest_records(tables, seed=seed, max_rows=max_rows)
