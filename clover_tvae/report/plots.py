"""The charts of the page for a notebook: each function returns one ``Chart``, drawn by the page's own functions.

What the page withholds, these withhold.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.frames import takes_frames
from clover_tvae.errors import ColumnsMismatchError, Problem, TooFewRowsError, did_you_mean
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import code_tables, resolve_metadata
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.report.charts import panels
from clover_tvae.report.column_section import column_charts
from clover_tvae.report.distributions import marginals
from clover_tvae.report.formatting import percent_text
from clover_tvae.report.learning_curves import curve_charts, history_table
from clover_tvae.report.pair_section import PairTrends
from clover_tvae.report.space_section import frequent_classes, row_space
from clover_tvae.report.svg import CLASSES, REAL, SYNTHETIC, Chart


def plot_history(history: Any) -> Chart:
    """Draw the learning curves: the loss, and its two parts.

    Args:
        history: ``TVAESynthesizer.history``, or a list of dicts, one row an epoch.

    Returns:
        A chart: a notebook shows it, ``save`` writes it as ``.svg`` or ``.html``.

    Raises:
        ConfigError: ``history`` is something else, such as a synthesizer.
        TooFewRowsError: The history holds no loss.

    Example:
        >>> plot_history([{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}])
        Chart('Learning curves')
    """
    charts = curve_charts(history_table(history))
    if not charts:
        raise TooFewRowsError(Problem("history", "must hold at least one epoch with a loss, found none; fit first"))
    return panels([("", [chart]) for chart in charts], "Learning curves", across=2)


@takes_frames
def plot_marginals(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Sequence[Hashable] | None = None,
    *,
    metadata: Any = None,
    min_count: int = MIN_COUNT,
) -> Chart:
    """Draw the distribution of every column in real and in synthetic rows, the worst column first.

    Args:
        columns: The columns to draw, in this order; ``None`` means all.
        metadata: A ``Metadata``, Clover's dict, a path, or ``None``: kinds by dtype.
        min_count: Fewest real rows that a bar or bin may show.

    Raises:
        DataError: The tables do not fit each other, or a column is unknown.
    """
    metadata = resolve_metadata(metadata)
    tables = code_tables({"real": real, "synthetic": synthetic}, metadata)
    shown = {column.name: column for column in marginals(tables, metadata, Disclosure.of(min_count, tables))}
    names = list(shown if columns is None else columns)
    unknown = {name: did_you_mean(name, shown) for name in names if name not in shown}
    texts = [f"{name!r} is none of the columns compared{hint}" for name, hint in unknown.items()]
    ColumnsMismatchError.raise_any([Problem("columns", text) for text in texts])
    drawn = [shown[name] for name in names]
    parts = [(f"{column.title}: error {percent_text(column.error)}", column_charts(column)) for column in drawn]
    legend = {"real": REAL, "synthetic": SYNTHETIC}
    return panels(parts, "Distribution of each column, real and synthetic", across=3, legend=legend)


@takes_frames
def plot_pairs(
    real: pd.DataFrame, synthetic: pd.DataFrame, *, metadata: Any = None, min_count: int = MIN_COUNT
) -> Chart:
    """Draw how strongly every two columns go together in real and in synthetic rows, and the trend error of each pair.

    Args:
        min_count: Errors are rounded to half of so many real rows where some column has a smaller group.

    Raises:
        DataError: The tables do not fit each other.
    """
    tables = code_tables({"real": real, "synthetic": synthetic}, resolve_metadata(metadata))
    parts = [(caption, [chart]) for caption, chart in PairTrends.of(tables, Disclosure.of(min_count, tables)).maps()]
    title, empty = "Pairs of columns, real and synthetic", "fewer than two columns: there are no pairs"
    return panels(parts or [(title, [])], title, across=3, empty=empty)


@takes_frames
def plot_latent(
    latent_real: Any,
    latent_synthetic: Any,
    labels: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    *,
    min_count: int = MIN_COUNT,
) -> Chart:
    """Draw real and synthetic rows in latent space, as densities: no point is a person.

    Args:
        latent_real: Latent means of the real rows, as ``encode`` returns them.
        latent_synthetic: Latent means of the synthetic rows.
        labels: The class of each real row, or ``{"real": ..., "synthetic": ...}``; the six most frequent get colours.
            Real rows alone: their classes colour the real panel only.
        min_count: Fewest rows of one class that a hexagon may show.

    Raises:
        ColumnsMismatchError: There are not as many labels as rows.
        TooFewRowsError: There are too few rows to draw without showing single ones.

    Shape:
        ``latent_real`` and ``latent_synthetic`` are (rows, dimensions).
    """
    disclosure = Disclosure(min_count)
    given_points = {"real": latent_real, "synthetic": latent_synthetic}
    points = {role: np.asarray(part, dtype=np.float64) for role, part in given_points.items()}
    given = labels if isinstance(labels, Mapping) else {"real": labels}
    parts = {role: np.asarray(given[role], dtype=object) for role in points if given.get(role) is not None}
    problems = [
        Problem(f"labels of the {role} rows", f"must be {len(points[role])} labels, found {len(part)}")
        for role, part in parts.items()
        if len(part) != len(points[role])
    ]
    ColumnsMismatchError.raise_any(problems)
    classes = frequent_classes(parts.get("real"), parts.get("synthetic"), disclosure)
    maps, _ = row_space(points["real"], points["synthetic"], classes, disclosure)
    if not maps:
        found = f"must hold at least {2 * min_count} rows that vary, found {len(points['real'])} rows"
        raise TooFewRowsError(Problem("latent_real", found))
    legend = dict(zip(classes.names, CLASSES, strict=False))
    panes = [(caption, [chart]) for caption, chart in maps]
    return panels(panes, "Latent space, real and synthetic", across=2, legend=legend)
