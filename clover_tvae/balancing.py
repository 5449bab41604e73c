"""How many rows of each category a balanced table lacks.

It knows pandas and the errors; it must not know how rows are drawn.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.errors import ConditionError, ConfigError, Problem

__all__ = ["rows_to_add"]

#: No more rows than that for each real one: a share of 1e-9 is a slip, not a wish.
_MOST_ROWS_A_REAL_ROW = 1_000


def rows_to_add(values: pd.Series, strategy: str | Mapping[Any, float], column: Hashable) -> dict[Any, int]:
    """Return how many rows of each category bring ``values`` to the wanted shares, without dropping any.

    Args:
        values: The column as it is; missing cells count for nothing.
        strategy: ``"equal"``, or shares in (0, 1) of some or all categories; the others keep their proportions.
        column: Its name, for messages.

    Raises:
        ConfigError: The shares are none, or would take more than 1,000 rows for each real one.
        ConditionError: A category was never seen.

    Example:
        >>> rows_to_add(pd.Series(list("aaab")), "equal", "letter")
        {'a': 0, 'b': 2}
        >>> rows_to_add(pd.Series(list("aaab")), {"b": 0.4}, "letter")
        {'b': 1, 'a': 0}
    """
    counts = values.value_counts(dropna=True)
    counts = counts[counts > 0]
    if isinstance(strategy, str):
        if strategy != "equal":
            raise ConfigError(
                Problem("strategy", f"must be 'equal' or a dict of shares, however: strategy={strategy!r}")
            )
        return {category: int(counts.max() - n) for category, n in counts.items()}
    if not isinstance(strategy, Mapping):
        raise ConfigError(Problem("strategy", f"must be 'equal' or a dict of shares, found {type(strategy).__name__}"))
    if not all(isinstance(s, (int, float, np.number)) and not isinstance(s, bool) for s in strategy.values()):
        raise ConfigError(Problem("strategy", "shares must be numbers between 0 and 1"))
    shares = {category: float(share) for category, share in strategy.items()}
    if not shares or any(not 0 < share < 1 for share in shares.values()):
        raise ConfigError(Problem("strategy", "shares must be numbers between 0 and 1, both left out"))
    unseen = [category for category in shares if category not in counts.index]
    if unseen:
        raise ConditionError(Problem(f"column {column!r}", f"{len(unseen)} of the categories were never seen"))
    left = 1.0 - sum(shares.values())
    others = counts[[category for category in counts.index if category not in shares]]
    if left < -1e-6 or (left > 1e-6 and others.empty):
        raise ConfigError(Problem("strategy", f"shares must sum to 1, found {1.0 - left:g}"))
    if left > 1e-6:
        shares.update({category: left * int(n) / int(others.sum()) for category, n in others.items()})
    # The total that leaves no category above its share.
    total = max(counts[category] / share for category, share in shares.items())
    if total > _MOST_ROWS_A_REAL_ROW * len(values):
        raise ConfigError(
            Problem(
                "strategy", f"such shares take {total:.2g} rows, as no real row is dropped; the table has {len(values)}"
            )
        )
    return {category: max(0, round(total * share) - int(counts[category])) for category, share in shares.items()}
