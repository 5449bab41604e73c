"""The marginals of a table as they may be shown: the page and the notebook plots draw the same :class:`Marginal`.

Knows coded tables and how to lay out bars and round bins. What may be told of the real rows is asked of ``Disclosure``:
rare categories share one bar, "other (suppressed)", and bins of few rows are merged into their neighbour. Numbers are
shown in bins with round edges, chosen between the 1% and 99% quantiles; the outer bins are open.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clover_tvae.evaluation.diagnostics import missing_rates
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.marginals import shape_errors
from clover_tvae.report.text import edge_labels, number_text, printable, unique_labels

__all__ = ["OTHER_SUPPRESSED", "Bar", "Histogram", "Marginal", "marginals"]

OTHER_SUPPRESSED = "other (suppressed)"

_MAX_BINS = 24
_MAX_BARS = 30
_MAX_DISCRETE = 16  # numbers with at most this many distinct values are drawn as bars
_SPIKE_SHARE = 0.1  # a value that this share of the rows repeats is drawn apart from the histogram
_MAX_SPIKES = 3
_TAIL = 0.01
_LOG_RATIO = 100.0  # positive numbers whose 99% quantile is this many times their 10% quantile get log-spaced bins


@dataclass(frozen=True)
class Bar:
    """A named value, or a group of values, and its share of the rows of each table.

    Args:
        label: What the bar stands for.
        real: Share of the real rows, 0 to 1, of a rounded count.
        synthetic: Share of the synthetic rows, 0 to 1.
        is_value: Whether the label is a value of the data (else it is our words).
    """

    label: str
    real: float
    synthetic: float
    is_value: bool = True


@dataclass(frozen=True)
class Histogram:
    """Counts in bins as shares of the rows that are in one of them.

    Args:
        edges: Edges of the bins, one more than there are bins; the outer bins are open beyond theirs.
        labels: One label an edge.
        real: Shares of the real rows, of rounded counts; sum to about 1.
        synthetic: Shares of the synthetic rows; sum to 1.
        logarithmic: Whether the edges are evenly spaced on a log scale.
        real_beyond: Share of these real rows beyond the outer edges, of a rounded count.
        synthetic_beyond: The same of the synthetic rows.
    """

    edges: tuple[float, ...]
    labels: tuple[str, ...]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    logarithmic: bool = False
    real_beyond: float = 0.0
    synthetic_beyond: float = 0.0

    def positions(self) -> tuple[float, ...]:
        """Return the edges on the axis, from 0 to 1."""
        values = [math.log10(edge) for edge in self.edges] if self.logarithmic else list(self.edges)
        span = values[-1] - values[0] or 1.0
        return tuple((value - values[0]) / span for value in values)

    def bin_label(self, position: int) -> str:
        """Return the words for one bin."""
        if len(self.real) == 1:
            return "all values"
        if position == 0:
            return f"under {self.labels[1]}"
        if position == len(self.real) - 1:
            return f"{self.labels[-2]} and over"
        return f"{self.labels[position]} to {self.labels[position + 1]}"


@dataclass(frozen=True)
class Marginal:
    """What may be shown of one column.

    Args:
        name: The column.
        kind: ``continuous``, ``datetime``, ``categorical``, ``boolean`` or ``ordinal``.
        error: Shape error of the synthetic table, 0 to 1; NaN if it has none.
        holdout_error: Shape error of the real holdout, 0 to 1; ``None`` without a holdout.
        bars: Categories, or numbers that repeat.
        histogram: The other numbers; ``None`` for categories and where too few rows are left.
        missing: Share of missing cells by role; NaN where it may not be told.
        n_categories: Real categories; 0 for numbers.
        n_suppressed: Real categories or repeated values that fewer than k rows hold, not named.
        n_lost: Real categories that no synthetic row holds.
        n_invented: Categories that only synthetic rows hold.
        real_suppressed: Share of real rows in suppressed categories, of a rounded count.
        synthetic_suppressed: Share of synthetic rows in categories that are suppressed or invented.
        merged_bins: Bins merged because they held fewer than k real rows.
    """

    name: Hashable
    kind: str
    error: float
    holdout_error: float | None
    bars: tuple[Bar, ...]
    histogram: Histogram | None
    missing: Mapping[str, float]
    n_categories: int = 0
    n_suppressed: int = 0
    n_lost: int = 0
    n_invented: int = 0
    real_suppressed: float = 0.0
    synthetic_suppressed: float = 0.0
    merged_bins: int = 0

    @property
    def title(self) -> str:
        """The column's name as printable text."""
        return printable(self.name)


def marginals(tables: CodedTables, metadata: Any, disclosure: Disclosure) -> list[Marginal]:
    """Return the marginal of every column, the worst shape error first.

    Args:
        tables: Coded tables with the roles ``real``, ``synthetic`` and, where rows were held out, ``holdout``.
        metadata: A ``Metadata``, or ``None``: kinds by dtype.
        disclosure: What may be shown of the real rows.
    """
    errors, missing = {}, {}
    for role, table in tables.tables.items():
        rates = missing_rates(tables, table).to_numpy()
        told = rates if role == "synthetic" else disclosure.shares(rates, table.n_rows)
        missing[role] = dict(zip(tables.names, told.tolist(), strict=True))
        if role != "real":
            told = disclosure.errors(shape_errors(tables, "real", role).to_numpy(), tables, role)
            errors[role] = dict(zip(tables.names, told.tolist(), strict=True))
    found = []
    for name in (*tables.number_names, *tables.category_names):
        column = None if metadata is None else metadata.column(name)
        if name in tables.number_names:
            kind, position = "datetime" if name in tables.dates else "continuous", tables.number_names.index(name)
            x, y = (tables[role].numbers[:, position] for role in ("real", "synthetic"))
            shown = _of_numbers(x, y, disclosure, is_date=name in tables.dates)
        else:
            kind, position = "categorical" if column is None else column.kind, tables.category_names.index(name)
            x, y = (tables[role].codes[:, position] for role in ("real", "synthetic"))
            order = getattr(column, "order", None)
            shown = _of_categories(x, y, tables.categories[position], disclosure, order, kind == "ordinal")
        found.append(
            Marginal(
                name=name,
                kind=kind,
                error=errors["synthetic"][name],
                holdout_error=errors["holdout"][name] if "holdout" in errors else None,
                missing={role: shares[name] for role, shares in missing.items()},
                **shown,
            )
        )
    return sorted(found, key=lambda marginal: -marginal.error if not math.isnan(marginal.error) else 1.0)


def _of_categories(
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    disclosure: Disclosure,
    order: Sequence[Any] | None = None,
    is_ordinal: bool = False,
) -> dict[str, Any]:
    size = len(values)
    x_counts = np.bincount(x[x >= 0], minlength=size)
    y_counts = np.bincount(y[y >= 0], minlength=size)
    named = np.flatnonzero(disclosure.may_name(x_counts))
    hidden = disclosure.is_small(x_counts)
    invented = (x_counts == 0) & (y_counts > 0)
    ranking = named[np.argsort(-x_counts[named], kind="stable")]
    kept, merged = ranking[:_MAX_BARS], ranking[_MAX_BARS:]
    if is_ordinal:
        kept = _in_order(kept, values, order)
    bars = _bars(kept, unique_labels([values[code] for code in kept]), x_counts, y_counts, disclosure)
    n_real, n_synthetic = max(x_counts.sum(), 1), max(y_counts.sum(), 1)
    if len(merged):
        label = f"{len(merged)} further values"
        bars.append(
            Bar(
                label,
                disclosure.rounded(int(x_counts[merged].sum())) / n_real,
                y_counts[merged].sum() / n_synthetic,
                False,
            )
        )
    real_hidden = disclosure.rounded(int(x_counts[hidden].sum())) / n_real
    synthetic_hidden = float(y_counts[hidden | invented].sum() / n_synthetic)
    if hidden.any() or invented.any():
        bars.append(Bar(OTHER_SUPPRESSED, real_hidden, synthetic_hidden, False))
    return {
        "bars": tuple(bars),
        "histogram": None,
        "n_categories": int((x_counts > 0).sum()),
        "n_suppressed": int(hidden.sum()),
        "n_lost": int(((x_counts > 0) & (y_counts == 0)).sum()),
        "n_invented": int(invented.sum()),
        "real_suppressed": real_hidden,
        "synthetic_suppressed": synthetic_hidden,
    }


def _in_order(codes: np.ndarray, values: np.ndarray, order: Sequence[Any] | None) -> np.ndarray:
    if order is not None:
        rank = {value: position for position, value in enumerate(order)}
        return np.array(sorted(codes, key=lambda code: rank.get(values[code], len(rank))), dtype=codes.dtype)
    try:
        return np.array(sorted(codes, key=lambda code: values[code]), dtype=codes.dtype)
    except TypeError:
        return codes


def _bars(
    codes: np.ndarray, labels: Sequence[str], x_counts: np.ndarray, y_counts: np.ndarray, disclosure: Disclosure
) -> list[Bar]:
    n_real, n_synthetic = max(x_counts.sum(), 1), max(y_counts.sum(), 1)
    return [
        Bar(label, disclosure.rounded(int(x_counts[code])) / n_real, float(y_counts[code] / n_synthetic))
        for code, label in zip(codes, labels, strict=True)
    ]


def _of_numbers(x: np.ndarray, y: np.ndarray, disclosure: Disclosure, *, is_date: bool) -> dict[str, Any]:
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    if len(x) < 2 * disclosure.min_count:
        return {"bars": (), "histogram": None, "n_suppressed": int(len(x) > 0)}
    values, counts = np.unique(x, return_counts=True)
    if len(values) <= _MAX_DISCRETE:
        return _discrete(values, counts, y, disclosure, is_date)
    frequent = np.flatnonzero(counts >= max(disclosure.min_count, _SPIKE_SHARE * len(x)))
    spikes = frequent[np.argsort(-counts[frequent], kind="stable")][:_MAX_SPIKES]
    spike_values = np.sort(values[spikes])
    bars = [
        Bar(
            f"exactly {_value_label(value, is_date)}",
            disclosure.rounded(int((x == value).sum())) / len(x),
            float((y == value).mean()) if len(y) else 0.0,
        )
        for value in spike_values
    ]
    rest, y_rest = x[~np.isin(x, spike_values)], y[~np.isin(y, spike_values)]
    if len(rest) < 2 * disclosure.min_count:
        if len(rest):
            y_share = len(y_rest) / max(len(y), 1)
            bars.append(Bar(OTHER_SUPPRESSED, disclosure.rounded(len(rest)) / len(x), y_share, False))
        return {"bars": tuple(bars), "histogram": None}
    if bars:
        y_share = len(y_rest) / max(len(y), 1)
        bars.append(Bar("all other values", disclosure.rounded(len(rest)) / len(x), y_share, False))
    histogram, merged = _histogram(rest, y_rest, disclosure, is_date)
    return {"bars": tuple(bars), "histogram": histogram, "merged_bins": merged}


def _discrete(
    values: np.ndarray, counts: np.ndarray, y: np.ndarray, disclosure: Disclosure, is_date: bool
) -> dict[str, Any]:
    n_real, n_synthetic = counts.sum(), max(len(y), 1)
    named = disclosure.may_name(counts)
    bars = [
        Bar(
            _value_label(value, is_date),
            disclosure.rounded(int(count)) / n_real,
            float((y == value).sum() / n_synthetic),
        )
        for value, count in zip(values[named], counts[named], strict=True)
    ]
    hidden = int(counts[~named].sum())
    beyond = float((~np.isin(y, values[named])).sum() / n_synthetic)
    real_hidden = disclosure.rounded(hidden) / n_real
    if hidden or beyond:
        bars.append(Bar(OTHER_SUPPRESSED, real_hidden, beyond, False))
    return {
        "bars": tuple(bars),
        "histogram": None,
        "n_suppressed": int((~named).sum()),
        "real_suppressed": real_hidden,
        "synthetic_suppressed": beyond,
    }


def _value_label(value: float, is_date: bool) -> str:
    if not is_date:
        return number_text(float(value))
    return str(np.datetime64(round(value / 1e9), "s")).replace("T00:00:00", "").replace("T", " ")


def _histogram(x: np.ndarray, y: np.ndarray, disclosure: Disclosure, is_date: bool) -> tuple[Histogram, int]:
    ordered = np.sort(x)
    beyond = max(disclosure.min_count, math.ceil(_TAIL * len(x)))
    beyond = min(beyond, (len(x) - 1) // 2)
    low, high = float(ordered[beyond]), float(ordered[len(x) - 1 - beyond])
    logarithmic = False
    if is_date:
        edges, labels = _date_edges(low, high)
    else:
        tenth = float(ordered[len(x) // 10])
        logarithmic = low > 0 and tenth > 0 and high / tenth > _LOG_RATIO
        edges = _log_edges(low, high) if logarithmic else _even_edges(low, high, bool((x == np.round(x)).all()))
        labels = [number_text(edge) for edge in edges] if logarithmic else edge_labels(edges.tolist())
    counts = _binned(x, edges)
    keep = disclosure.merged_bins(counts)
    merged = len(edges) - len(keep)
    edges, labels = edges[keep], [labels[position] for position in keep]
    x_counts, y_counts = _binned(x, edges), _binned(y, edges)
    rounded = np.array([disclosure.rounded(int(count)) for count in x_counts])
    outside = int((x < edges[0]).sum() + (x >= edges[-1]).sum())
    return (
        Histogram(
            edges=tuple(float(edge) for edge in edges),
            labels=tuple(labels),
            real=tuple(float(share) for share in rounded / len(x)),
            synthetic=tuple(float(share) for share in y_counts / max(len(y), 1)),
            logarithmic=logarithmic,
            real_beyond=disclosure.rounded(outside) / len(x),
            synthetic_beyond=float(((y < edges[0]) | (y >= edges[-1])).mean()) if len(y) else 0.0,
        ),
        merged,
    )


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count the values in each bin; those beyond the outer edges fall in the outer bins."""
    inner = edges[1:-1]
    return np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1)


def _nice_step(width: float, whole: bool) -> float:
    """Return the least of 1, 2, 2.5, 5 times a power of ten that is at least ``width``."""
    power = 10.0 ** math.floor(math.log10(width))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        step = factor * power
        if step >= width * (1 - 1e-9) and not (whole and step != round(step)):
            return step
    return 10.0 * power


def _even_edges(low: float, high: float, whole: bool) -> np.ndarray:
    if high <= low:
        # More than 98% of the rows hold one value: one bin on either side of it.
        step = _nice_step(abs(low) or 1.0, whole=False)
        return step * np.array([math.floor(low / step) - 1, math.floor(low / step) + 2], dtype=np.float64)
    width = high / _MAX_BINS - low / _MAX_BINS
    step = _nice_step(max(width, 1.0) if whole else width, whole)
    first, last = math.floor(low / step), math.floor(high / step) + 1
    with np.errstate(over="ignore"):
        return np.nan_to_num(step * np.arange(first, last + 1, dtype=np.float64))


def _log_edges(low: float, high: float) -> np.ndarray:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors: tuple[float, ...] = (1, 2, 5) if last - first > 3 else (1, 1.5, 2, 3, 5, 7)
    if last - first > 12:
        factors = (1,)
    powers = range(first, last + 1, max(1, (last - first) // _MAX_BINS))
    edges = np.array([factor * 10.0**power for power in powers for factor in factors])
    start = max(int(np.searchsorted(edges, low, side="right")) - 1, 0)
    stop = min(int(np.searchsorted(edges, high, side="right")), len(edges) - 1)
    return edges[start : max(stop, start + 1) + 1]


def _date_edges(low: float, high: float) -> tuple[np.ndarray, list[str]]:
    """Return round dates as nanoseconds since 1970, and their labels."""
    seconds = (low / 1e9, high / 1e9)
    days = (seconds[1] - seconds[0]) / 86400
    unit, step = "Y", max(1, int(_nice_step(max(days / 365.25 / _MAX_BINS, 1.0), whole=True)))
    if days <= 2:
        unit, step = "h", max(1, math.ceil(24 * days / _MAX_BINS))
    elif days <= 60:
        unit, step = "D", max(1, math.ceil(days / _MAX_BINS))
    elif days <= 2 * 365.25:
        unit, step = "M", 1
    elif days <= 6 * 365.25:
        unit, step = "M", 3
    elif days <= 12 * 365.25:
        unit, step = "M", 6
    whole = [np.datetime64(math.floor(second), "s").astype(f"datetime64[{unit}]") for second in seconds]
    start, stop = (int(date.astype(np.int64)) for date in whole)
    start = step * (start // step)
    dates = np.arange(start, stop + step + 1, step).astype(f"datetime64[{unit}]")
    edges = dates.astype("datetime64[s]").astype(np.float64) * 1e9
    return edges, [str(date).replace("T", " ") for date in dates]
