"""Round edges for the bins of a histogram: even, logarithmic, or of whole hours, days, months and years."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.date_formats import DAY_OF_TIMES
from clover_tvae.report.formatting import edge_labels, number_text

_MAX_BINS = 24
_LOG_RATIO = 100.0  # positive numbers whose 99% quantile is this many times their 10% quantile get log-spaced bins


def bin_counts(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    """Count the values in each bin; those beyond the outer edges fall in the outer bins."""
    inner = edges[1:-1]
    return np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1)


def number_edges(low: float, high: float, tenth: float, *, whole: bool) -> tuple[NDArray[Any], list[str], bool]:
    """Return edges for numbers, one label an edge, and whether they are evenly spaced on a log scale.

    Args:
        tenth: What a tenth of the numbers lie below.

    Example:
        >>> number_edges(18.0, 41.0, 20.0, whole=True)[1][:4]
        ['18', '19', '20', '21']
    """
    if low > 0 and tenth > 0 and high / tenth > _LOG_RATIO:
        edges = _log_edges(low, high)
        return edges, [number_text(edge) for edge in edges], True
    edges = _even_edges(low, high, whole)
    return edges, edge_labels(edges.tolist()), False


def nice_step(width: float, whole: bool) -> float:
    """Return the least of 1, 2, 2.5, 5 times a power of ten that is at least ``width``."""
    power = 10.0 ** math.floor(math.log10(width))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        step = factor * power
        if step >= width * (1 - 1e-9) and not (whole and step != round(step)):
            return step
    return 10.0 * power


def _even_edges(low: float, high: float, whole: bool) -> NDArray[Any]:
    if high <= low:
        # More than 98% of the rows hold one value: one bin on either side of it.
        step = nice_step(abs(low) or 1.0, whole=False)
        return step * np.array([math.floor(low / step) - 1, math.floor(low / step) + 2], dtype=np.float64)
    width = high / _MAX_BINS - low / _MAX_BINS
    step = nice_step(max(width, 1.0) if whole else width, whole)
    first, last = math.floor(low / step), math.floor(high / step) + 1
    with np.errstate(over="ignore"):
        return np.nan_to_num(step * np.arange(first, last + 1, dtype=np.float64))


def _log_edges(low: float, high: float) -> NDArray[Any]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors: tuple[float, ...] = (1, 2, 5) if last - first > 3 else (1, 1.5, 2, 3, 5, 7)
    if last - first > 12:
        factors = (1,)
    powers = range(first, last + 1, max(1, (last - first) // _MAX_BINS))
    edges = np.array([factor * 10.0**power for power in powers for factor in factors])
    start = max(int(np.searchsorted(edges, low, side="right")) - 1, 0)
    stop = min(int(np.searchsorted(edges, high, side="right")), len(edges) - 1)
    return edges[start : max(stop, start + 1) + 1]


def date_edges(low: float, high: float) -> tuple[NDArray[Any], list[str]]:
    """Return round dates as nanoseconds since 1970, and their labels."""
    days = (high - low) / 1e9 / 86400
    spans = (
        (2, "h", math.ceil(24 * days / _MAX_BINS)),
        (60, "D", math.ceil(days / _MAX_BINS)),
        (2 * 365.25, "M", 1),
        (6 * 365.25, "M", 3),
        (12 * 365.25, "M", 6),
        (math.inf, "Y", int(nice_step(max(days / 365.25 / _MAX_BINS, 1.0), whole=True))),
    )
    unit, step = next((unit, max(1, step)) for longest, unit, step in spans if days <= longest)
    whole = (np.datetime64(math.floor(end / 1e9), "s").astype(f"datetime64[{unit}]") for end in (low, high))
    start, stop = (int(date.astype(np.int64)) for date in whole)
    dates = np.arange(step * (start // step), stop + step + 1, step).astype(f"datetime64[{unit}]")
    edges = dates.astype("datetime64[s]").astype(np.float64) * 1e9
    if unit == "h" and str(dates[0])[:10] == DAY_OF_TIMES and high < edges[0] + 86_400e9:  # times of a day
        return edges, [f"{hour:02d}:00" for hour in (dates - dates[0]).astype(int) + step * (start // step) % 24]
    return edges, [str(date).replace("T", " ") for date in dates]
