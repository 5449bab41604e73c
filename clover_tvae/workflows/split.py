"""Real rows split once into those that a generator learns and those that it never sees.

This module knows rows. It knows no columns, no jobs and no synthesizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clover_tvae.errors import ConfigError, TooFewRowsError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEFAULT_HOLDOUT", "split_holdout"]

DEFAULT_HOLDOUT = 0.1  # share of the rows, as in the published protocols
_PURPOSE = 0x401D


def split_holdout(
    df: pd.DataFrame, fraction: float = DEFAULT_HOLDOUT, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to learn and the rows to hold out, both in their order, with fresh indices.

    Args:
        df: The real rows.
        fraction: Share of the rows to hold out, above 0 and below 1.
        seed: The same seed and table give the same split.

    Raises:
        ConfigError: ``fraction`` is out of range.
        TooFewRowsError: Less than two rows would be left on a side.

    Example:
        >>> import pandas as pd
        >>> train, holdout = split_holdout(pd.DataFrame({"x": range(10)}), 0.3)
        >>> len(train), len(holdout), set(train["x"]) & set(holdout["x"])
        (7, 3, set())
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"must be a share of the rows above 0 and below 1, found {fraction:g}", "holdout")
    n_held = round(len(df) * fraction)
    if n_held < 2 or len(df) - n_held < 2:
        message = f"{fraction:g} of {len(df)} rows leaves fewer than 2 rows on a side; give more rows or another share"
        raise TooFewRowsError(message, "holdout")
    held = np.zeros(len(df), dtype=bool)
    held[np.random.default_rng(np.random.SeedSequence([seed, _PURPOSE])).permutation(len(df))[:n_held]] = True
    return df[~held].reset_index(drop=True), df[held].reset_index(drop=True)
