"""Learning curves, from whatever form a training history has: as a table of numbers, as charts, as a section of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.report.charts import line_chart, spread
from clover_tvae.report.formatting import count_text, decimal_text, listed
from clover_tvae.report.svg import Chart

_CURVES = {
    "loss": "training",
    "validation_loss": "validation",
    "reconstruction": "reconstruction",
    "validation_reconstruction": "reconstruction (validation)",
    "kl": "KL",
    "validation_kl": "KL (validation)",
}
_PARTS = {
    "Loss: negative ELBO, nats a row": ("loss", "validation_loss"),
    "Its two parts, nats a row": ("reconstruction", "validation_reconstruction", "kl", "validation_kl"),
}


def history_table(history: Any) -> pd.DataFrame:
    """Return the curves of a history as numbers, ``epoch`` first; empty where there is no curve.

    Args:
        history: A DataFrame, a list of dicts, a dict of lists, or ``None``; one row an epoch.

    Raises:
        ConfigError: ``history`` is something else, such as a synthesizer.

    Example:
        >>> history_table([{"loss": 3.0, "device": "cpu"}, {"loss": 2.0, "device": "cpu"}]).to_dict("list")
        {'epoch': [1.0, 2.0], 'loss': [3.0, 2.0]}
    """
    if isinstance(history, str) or not isinstance(history, pd.DataFrame | Mapping | Sequence | None):
        found = f"must be a table of epochs, such as synth.history, found {type(history).__name__}"
        raise ConfigError(Problem("history", found))
    frame = pd.DataFrame([] if history is None else history).reset_index(drop=True)
    known = [name for name in ("epoch", "seconds", *_CURVES) if name in frame]
    frame = frame[known].astype(np.float64).replace([np.inf, -np.inf], np.nan).dropna(axis=1, how="all")
    if not any(name in frame for name in _CURVES):
        return pd.DataFrame()
    if "epoch" not in frame:
        frame.insert(0, "epoch", np.arange(1.0, len(frame) + 1))
    return frame


def curve_charts(frame: pd.DataFrame, parts: Mapping[str, tuple[str, ...]] = _PARTS) -> list[Chart]:
    """Return one chart of what ``history_table`` returns for each part: words above the y axis, and names of curves."""
    charts = []
    for words, names in parts.items():
        lines = {_CURVES[name]: frame[["epoch", name]].dropna() for name in names if name in frame}
        series = {name: list(line.itertuples(index=False, name=None)) for name, line in lines.items()}
        if series:
            charts.append(line_chart(series, f"{words}, by epoch: {listed(list(series))}", words))
    return charts


def learning_curves(history: Any) -> dict[str, Any]:
    """Return what the page shows of a history: its charts, a note on the validation rows, and up to 20 epochs as a table."""
    frame = history_table(history)
    if frame.empty:
        return {"charts": []}
    note = f"{len(frame)} epochs."
    if "validation_loss" in frame:
        best = frame["epoch"].iloc[int(np.nanargmin(frame["validation_loss"]))]
        note += f" The validation loss is lowest at epoch {count_text(best)}."
        note += " Where training keeps falling while validation rises, the model learns rows by heart."
    else:
        note += " No validation rows: these curves cannot show whether the model learns rows by heart."
    shown = spread(len(frame), 20)
    rows = frame.drop(columns="epoch").iloc[shown].itertuples(index=False, name=None)
    return {
        "charts": curve_charts(frame),
        "note": note,
        "head": [str(name).replace("_", " ") for name in frame],
        "rows": [
            [count_text(epoch), *(decimal_text(value, 4) for value in row)]
            for epoch, row in zip(frame["epoch"].iloc[shown], rows, strict=True)
        ],
    }
