"""The distribution of each column as it may be shown: bars of its values and a histogram of its numbers, real beside synthetic.

Page and notebook draw the same :class:`Marginal`. What may be told of the real rows is asked of ``Disclosure``: rare
categories share one bar, "other (suppressed)", and bins of few rows are merged into their neighbour. Numbers are shown in
bins with round edges, chosen between the 1% and 99% quantiles; the outer bins are open.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.date_formats import DAY_OF_TIMES
from clover_tvae.evaluation.diagnostics import missing_rates
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.shape_and_trend import shape_errors
from clover_tvae.report.bins import bin_counts, date_edges, number_edges
from clover_tvae.report.formatting import number_text, printable, unique_labels

_OTHER = "other (suppressed)"
_MAX_BARS = 30
_MAX_DISCRETE = 16  # numbers with at most this many distinct values are drawn as bars
_SPIKE_SHARE = 0.1  # a value that this share of the rows repeats is drawn apart from the histogram
_MAX_SPIKES = 3
_TAIL = 0.01


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
    """

    edges: tuple[float, ...]
    labels: tuple[str, ...]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    logarithmic: bool = False
    real_beyond: float = 0.0

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
        kind: ``continuous``, ``datetime``, ``categorical``, ``boolean`` or ``ordinal``.
        error: Shape error of the synthetic table, 0 to 1; NaN if it has none.
        holdout_error: Shape error of the real holdout, 0 to 1; ``None`` without a holdout.
        missing: Share of missing cells by role; NaN where it may not be told.
        bars: Categories, or numbers that repeat.
        histogram: The other numbers; ``None`` for categories and where too few rows are left.
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
    missing: Mapping[str, float]
    bars: tuple[Bar, ...] = ()
    histogram: Histogram | None = None
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
    """Return the marginal of every column, the worst shape error first."""
    errors, missing = {}, {}
    for role, table in tables.tables.items():
        told = disclosure.shares(missing_rates(tables, table), tables, role)
        missing[role] = dict(zip(tables.names, told.tolist(), strict=True))
        if role != "real":
            told = disclosure.errors(shape_errors(tables, role), tables, role)
            errors[role] = dict(zip(tables.names, told.tolist(), strict=True))
    real, synthetic = tables["real"], tables["synthetic"]
    found = []
    for name in (*tables.number_names, *tables.category_names):
        if name in tables.number_names:
            at, kind = tables.number_names.index(name), "datetime" if name in tables.dates else "continuous"
            shown = _of_numbers(real.numbers[:, at], synthetic.numbers[:, at], disclosure, name in tables.dates)
        else:
            column = None if metadata is None else metadata.column(name)
            at, kind = tables.category_names.index(name), "categorical" if column is None else column.kind
            values, order = tables.categories[at], None
            if kind == "ordinal":
                order = getattr(column, "order", None) or sorted(values, key=lambda value: (str(type(value)), value))
            shown = _of_categories(real.codes[:, at], synthetic.codes[:, at], values, disclosure, order)
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


class _Bars:
    """The bars of one column, and what every one of them asks of the disclosure rule."""

    def __init__(self, n_real: int, n_rows: int, n_synthetic: int, disclosure: Disclosure) -> None:
        self.bars: list[Bar] = []
        self.told = disclosure.told_present(int(n_real), n_rows)
        self._n_real, self._n_synthetic, self._disclosure = int(n_real), max(n_synthetic, 1), disclosure

    def real_share(self, count: int) -> float:
        return self._disclosure.part(int(count), self._n_real, self.told)

    def add(self, label: str, real: int, synthetic: int, *, is_value: bool = False) -> None:
        self.bars.append(Bar(label, self.real_share(real), float(synthetic / self._n_synthetic), is_value))

    def with_rest(self, n_real: int, n_synthetic: int, n_suppressed: int) -> dict[str, Any]:
        """What a marginal shows of the bars, with one more for the rows whose values are not named, if there are any."""
        if n_real or n_synthetic:
            self.add(_OTHER, n_real, n_synthetic)
        shares = {"real_suppressed": self.real_share(n_real), "synthetic_suppressed": n_synthetic / self._n_synthetic}
        return {"bars": tuple(self.bars), "n_suppressed": n_suppressed, **shares}


def _of_categories(
    x: NDArray[Any], y: NDArray[Any], values: NDArray[Any], disclosure: Disclosure, order: Sequence[Any] | None
) -> dict[str, Any]:
    x_counts = np.bincount(x[x >= 0], minlength=len(values))
    y_counts = np.bincount(y[y >= 0], minlength=len(values))
    hidden, invented = disclosure.is_small(x_counts), (x_counts == 0) & (y_counts > 0)
    named = np.flatnonzero(disclosure.may_name(x_counts))
    ranking = named[np.argsort(-x_counts[named], kind="stable")]
    kept, further = ranking[:_MAX_BARS], ranking[_MAX_BARS:]
    if order is not None:
        rank = {value: position for position, value in enumerate(order)}
        kept = np.array(sorted(kept, key=lambda code: rank.get(values[code], len(rank))), dtype=kept.dtype)
    bars = _Bars(x_counts.sum(), len(x), y_counts.sum(), disclosure)
    for code, label in zip(kept, unique_labels([values[code] for code in kept]), strict=True):
        bars.add(label, x_counts[code], y_counts[code], is_value=True)
    if len(further):
        bars.add(f"{len(further)} further values", x_counts[further].sum(), y_counts[further].sum())
    n_hidden, n_beyond = x_counts[hidden].sum(), y_counts[hidden | invented].sum()
    return {
        **bars.with_rest(n_hidden, n_beyond, int(hidden.sum())),
        "n_categories": int((x_counts > 0).sum()),
        "n_lost": int(((x_counts > 0) & (y_counts == 0)).sum()),
        "n_invented": int(invented.sum()),
    }


def _of_numbers(x: NDArray[Any], y: NDArray[Any], disclosure: Disclosure, is_date: bool) -> dict[str, Any]:
    n_rows, x, y = len(x), x[~np.isnan(x)], y[~np.isnan(y)]
    if len(x) < 2 * disclosure.min_count:
        return {"n_suppressed": int(len(x) > 0)}
    values, counts = np.unique(x, return_counts=True)
    bars = _Bars(len(x), n_rows, len(y), disclosure)
    if len(values) <= _MAX_DISCRETE:
        named = disclosure.may_name(counts)
        for value, count in zip(values[named], counts[named], strict=True):
            bars.add(_value_label(value, is_date), count, (y == value).sum(), is_value=True)
        n_hidden, n_beyond = int(counts[~named].sum()), int((~np.isin(y, values[named])).sum())
        return bars.with_rest(n_hidden, n_beyond, int((~named).sum()))
    frequent = np.flatnonzero(counts >= max(disclosure.min_count, _SPIKE_SHARE * len(x)))
    spikes = np.sort(values[frequent[np.argsort(-counts[frequent], kind="stable")][:_MAX_SPIKES]])
    for value in spikes:
        bars.add(f"exactly {_value_label(value, is_date)}", (x == value).sum(), (y == value).sum(), is_value=True)
    rest, y_rest = x[~np.isin(x, spikes)], y[~np.isin(y, spikes)]
    few = len(rest) < 2 * disclosure.min_count
    if len(rest) and len(spikes):
        bars.add(_OTHER if few else "all other values", len(rest), len(y_rest))
    if few:
        return {"bars": tuple(bars.bars)}
    told = disclosure.rounded(len(rest) * bars.told / len(x)) if len(spikes) else bars.told
    histogram, n_merged = _histogram(rest, y_rest, told, disclosure, is_date)
    return {"bars": tuple(bars.bars), "histogram": histogram, "merged_bins": n_merged}


def _value_label(value: float, is_date: bool) -> str:
    if not is_date:
        return number_text(float(value))
    moment = str(np.datetime64(round(value / 1e9), "s")).removesuffix("T00:00:00")
    return moment.replace("T", " ").removeprefix(f"{DAY_OF_TIMES} ")


def _histogram(
    x: NDArray[Any], y: NDArray[Any], told: float, disclosure: Disclosure, is_date: bool
) -> tuple[Histogram, int]:
    """Return the histogram, and how many of its bins were merged; ``told`` is what may be told of the rows of ``x``."""
    ordered = np.sort(x)
    beyond = min(max(disclosure.min_count, math.ceil(_TAIL * len(x))), (len(x) - 1) // 2)
    low, high, tenth = (float(ordered[place]) for place in (beyond, len(x) - 1 - beyond, len(x) // 10))
    edges, labels, logarithmic = (
        (*date_edges(low, high), False)
        if is_date
        else number_edges(low, high, tenth, whole=bool((x == np.round(x)).all()))
    )
    keep = disclosure.merged_bins(bin_counts(x, edges))
    n_merged = len(edges) - len(keep)
    edges = edges[keep]
    outside = int(((x < edges[0]) | (x >= edges[-1])).sum())
    histogram = Histogram(
        edges=tuple(edges.tolist()),
        labels=tuple(labels[position] for position in keep),
        real=tuple(disclosure.part(int(count), len(x), told) for count in bin_counts(x, edges)),
        synthetic=tuple((bin_counts(y, edges) / max(len(y), 1)).tolist()),
        logarithmic=logarithmic,
        real_beyond=disclosure.part(outside, len(x), told),
    )
    return histogram, n_merged
