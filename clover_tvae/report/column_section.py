"""What the page shows of single columns: a card each, and the tables of rare categories, missing cells and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.report.charts import bar_chart, histogram_chart
from clover_tvae.report.distributions import Bar, Marginal
from clover_tvae.report.formatting import count_text, percent_text, real_share_text
from clover_tvae.report.svg import Chart

_MAX_BARS = 9


def column_charts(marginal: Marginal) -> list[Chart]:
    """Return the charts of one column: its bars and its histogram, as far as it has them."""
    charts = []
    if marginal.bars:
        bars = _few(marginal.bars) if marginal.kind == "categorical" else marginal.bars
        charts.append(bar_chart(bars, f"{marginal.title}: share of each value, real and synthetic"))
    if marginal.histogram is not None:
        words = f"{marginal.title}: histogram of real and synthetic numbers"
        charts.append(histogram_chart(marginal.histogram, words))
    return charts


def _few(bars: Sequence[Bar]) -> list[Bar]:
    """Return the bars that a chart has room for; the table beneath it has them all."""
    named = [bar for bar in bars if bar.is_value]
    if len(named) <= _MAX_BARS:
        return list(bars)
    kept, rest = named[: _MAX_BARS - 1], named[_MAX_BARS - 1 :]
    real, synthetic = sum(bar.real for bar in rest), sum(bar.synthetic for bar in rest)
    others = [bar for bar in bars if not bar.is_value]
    return [*kept, Bar(f"{len(rest)} further values", real, synthetic, False), *others]


def column_card(marginal: Marginal, disclosure: Disclosure) -> dict[str, Any]:
    """Return the card of one column: its error, its charts, their table and notes."""
    rows = [(bar.label, percent_text(bar.real), percent_text(bar.synthetic)) for bar in marginal.bars]
    notes = []
    histogram = marginal.histogram
    if histogram is not None:
        rows += [
            (histogram.bin_label(position), percent_text(real), percent_text(synthetic))
            for position, (real, synthetic) in enumerate(zip(histogram.real, histogram.synthetic, strict=True))
        ]
        if marginal.bars:
            notes.append("The histogram shows the other values.")
        if histogram.logarithmic:
            notes.append("Logarithmic axis.")
    elif not marginal.bars:
        notes.append("Too few real rows to draw anything without showing a small group.")
    if marginal.missing["real"] or marginal.missing["synthetic"]:
        real, synthetic, _ = _missing_texts(marginal, disclosure)
        notes.append(f"Missing: real {real}, synthetic {synthetic}; shares above are of the cells that are there.")
    return {
        "title": marginal.title,
        "kind": marginal.kind,
        "error": percent_text(marginal.error),
        "holdout_error": None if marginal.holdout_error is None else percent_text(marginal.holdout_error),
        "charts": column_charts(marginal),
        "rows": rows,
        "notes": notes,
    }


def _missing_texts(marginal: Marginal, disclosure: Disclosure) -> tuple[str, str, str]:
    real, holdout = (real_share_text(marginal.missing.get(role), disclosure) for role in ("real", "holdout"))
    return real, percent_text(marginal.missing["synthetic"]), holdout


def column_tables(shown: Sequence[Marginal], disclosure: Disclosure) -> dict[str, Any]:
    """Return the tables of all columns: ``rare`` categories, ``missing`` cells, and what is ``suppressed``."""

    def missing_gap(marginal: Marginal) -> float:
        return float(np.nan_to_num(abs(marginal.missing["real"] - marginal.missing["synthetic"])))

    rare = []
    for marginal in sorted(shown, key=lambda marginal: -marginal.n_lost):
        n_all, n_lost = marginal.n_categories, marginal.n_lost
        counts = map(count_text, (n_all, n_all - n_lost, n_lost, marginal.n_invented))
        shares = map(percent_text, (marginal.real_suppressed, marginal.synthetic_suppressed))
        rare += [(marginal.title, *counts, *shares)] if n_all else []
    missing = [
        (marginal.title, *_missing_texts(marginal, disclosure))
        for marginal in sorted(shown, key=missing_gap, reverse=True)
        if marginal.missing["real"] or marginal.missing["synthetic"]
    ]
    suppressed = []
    for marginal in sorted(shown, key=lambda marginal: (-marginal.n_suppressed, -marginal.merged_bins)):
        beyond = None if marginal.histogram is None else marginal.histogram.real_beyond
        if marginal.n_suppressed or marginal.merged_bins or beyond:
            share = percent_text(marginal.real_suppressed) if marginal.n_suppressed else "–"
            few, merged = count_text(marginal.n_suppressed), count_text(marginal.merged_bins)
            suppressed.append((marginal.title, few, share, merged, percent_text(beyond)))
    return {"rare": rare, "missing": missing, "suppressed": suppressed}
