"""Learning curves as plain lists, from whatever form a history has.

Knows the columns that a history may have. Must not know charts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["CURVES", "history_columns"]

CURVES = {
    "loss": "training",
    "validation_loss": "validation",
    "reconstruction": "reconstruction",
    "validation_reconstruction": "reconstruction (validation)",
    "kl": "KL",
    "validation_kl": "KL (validation)",
}


def history_columns(history: Any) -> dict[str, list[float]]:
    """Return a history (a DataFrame, a list of dicts, or a dict of lists) as lists of floats by column, epochs first."""
    if history is None or len(history) == 0:
        return {}
    if isinstance(history, Mapping):
        raw = {str(name): list(values) for name, values in history.items()}
    elif hasattr(history, "columns"):
        raw = {str(name): history[name].tolist() for name in history.columns}
    else:
        raw = {
            name: [row.get(name) for row in history] for name in dict.fromkeys(key for row in history for key in row)
        }
    columns = {}
    for name, values in raw.items():
        if name == "epoch" or name == "seconds" or name in CURVES:
            numbers = [float("nan") if value is None else float(value) for value in values]
            if any(math.isfinite(number) for number in numbers):
                columns[name] = numbers
    length = len(next(iter(raw.values()), []))
    columns.setdefault("epoch", [float(epoch) for epoch in range(1, length + 1)])
    return columns if any(name in columns for name in CURVES) else {}
