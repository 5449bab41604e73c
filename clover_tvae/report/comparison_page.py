"""The comparison page: several generators of one table, same split, same seed, side by side."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.report.charts import dot_plot
from clover_tvae.report.formatting import count_text, decimal_text, printable
from clover_tvae.report.html_document import render, write_document
from clover_tvae.report.learning_curves import curve_charts, history_table
from clover_tvae.report.model_card import NO_PROOF
from clover_tvae.report.wording import figure_text

__all__ = ["build_comparison", "comparison_rows", "learned_sigmas", "write_comparison"]

DEFAULT_TITLE = "Comparison of generators"

_SECTIONS = (
    ("fidelity", "Fidelity: do the rows look real?"),
    ("utility", "Utility: does a model trained on them work on real rows?"),
    ("privacy", "Privacy: what do the rows give away of the people in training?"),
)
_COSTS: tuple[tuple[str, str, str], ...] = (
    ("fit_seconds", "Fit, seconds", "decimal"),
    ("sample_seconds", "Sample, seconds", "decimal"),
    ("sampled_rows", "Rows sampled", "count"),
    ("rows_per_second", "Rows sampled a second", "count"),
    ("file_bytes", "Generator file, MB", "megabytes"),
    ("parameters", "Parameters of the networks", "count"),
    ("epochs", "Epochs", "count"),
)


def build_comparison(
    results: Sequence[Mapping[str, Any]],
    *,
    title: str = DEFAULT_TITLE,
    facts: Mapping[str, Any] | None = None,
) -> str:
    """Return the page.

    Args:
        results: One mapping a generator, the order of the columns: ``name``; ``figures`` (a ``Figures`` or its plain
            form); ``fit_seconds``, ``sample_seconds``, ``sampled_rows``, ``file_bytes``; ``history`` (as in
            ``build_report``); ``sigmas`` (column to learned standard deviations, or ``None``); ``error`` (why there is
            nothing else). All but ``name`` may be missing.
        title: The page's title.
        facts: What all share, by name: the table, rows, split, seed, machine.

    Raises:
        ConfigError: A result has no name, or two have the same.
        MissingExtraError: jinja2 is not installed.

    Example:
        >>> page = build_comparison([{"name": "native", "fit_seconds": 81.5}, {"name": "sdv", "fit_seconds": 160.0}])
        >>> "81.5" in page and "160" in page
        True
    """
    names = _names(results)
    shown = [printable(name) for name in names]
    by_name: dict[Hashable, Mapping[str, Figure]] = {
        name: _figures(result.get("figures")) for name, result in zip(names, results, strict=True)
    }
    sections = []
    for key, heading in _SECTIONS:
        rows = comparison_rows(by_name, key)
        if rows:
            sections.append({"anchor": key, "title": heading, "rows": rows})
    content = {
        "title": printable(title),
        "facts": [(printable(key), _fact(value)) for key, value in (facts or {}).items()],
        "names": shown,
        "errors": [
            (name, printable(result["error"]))
            for name, result in zip(shown, results, strict=True)
            if result.get("error")
        ],
        "costs": _costs(results),
        "sections": sections,
        "sigmas": learned_sigmas(results),
        "curves": [
            chart
            for name, result in zip(shown, results, strict=True)
            for chart in curve_charts(
                history_table(result.get("history")), {f"{name}: loss a row": ("loss", "validation_loss")}
            )
        ],
        "notice": NO_PROOF,
    }
    return render("compare.html.j2", content)


def write_comparison(path: str | Path, results: Sequence[Mapping[str, Any]], **options: Any) -> None:
    """Build the page and write it, atomically.

    Args:
        path: Where to write the HTML file.
        results: See ``build_comparison``.
        **options: The other arguments of ``build_comparison``.
    """
    write_document(path, build_comparison(results, **options))


def comparison_rows(by_name: Mapping[Hashable, Mapping[str, Figure]], section: str) -> list[dict[str, Any]]:
    """Return one row a figure of a section: its text for each generator, the best marked, and the floor.

    Args:
        by_name: The figures of each generator.
        section: ``fidelity``, ``utility`` or ``privacy``.

    Returns:
        Mappings with ``key``, ``label``, ``says``, ``cells`` (``text``, ``interval``, ``best``), ``holdout``,
        ``perfect``.
    """
    keys = dict.fromkeys(
        key for figures in by_name.values() for key, figure in figures.items() if figure.section == section
    )
    rows = []
    for key in keys:
        found = [figures.get(key) for figures in by_name.values()]
        known = [figure for figure in found if figure is not None]
        best = _best(found)
        first = known[0]
        floors = [figure.holdout for figure in known if figure.holdout is not None]
        perfect = [figure.perfect for figure in known if figure.perfect is not None]
        cells = [
            {
                "text": "–" if figure is None else figure_text(figure.value, figure.unit),
                "interval": _interval(figure),
                "best": position in best,
            }
            for position, figure in enumerate(found)
        ]
        rows.append(
            {
                "key": key,
                "label": first.title or key,
                "says": first.note,
                "cells": cells,
                "holdout": figure_text(floors[0] if floors else None, first.unit),
                "perfect": figure_text(perfect[0] if perfect else None, first.unit),
            }
        )
    return rows


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [result.get("name") for result in results]
    problems = [
        Problem(f"results[{position}].name", "expected a name, found none")
        for position, name in enumerate(names)
        if not isinstance(name, str) or not name
    ]
    problems += [
        Problem("results", f"two generators are named {name!r}") for name in {n for n in names if names.count(n) > 1}
    ]
    if not results:
        problems.append(Problem("results", "expected at least one generator, found none"))
    if problems:
        raise ConfigError(problems)
    return [str(name) for name in names]


def _figures(given: Any) -> Mapping[str, Figure]:
    if given is None:
        return {}
    if isinstance(given, Mapping) and "format" in given and not isinstance(given, Figures):
        return Figures.from_plain(given)
    return given


def _best(found: Sequence[Figure | None]) -> set[int]:
    """Return which generators are best; none where nobody can be better than another."""
    scores = {}
    for position, figure in enumerate(found):
        if figure is None or figure.value is None:
            continue
        target = figure.perfect if figure.perfect is not None else figure.holdout
        if figure.better == "target":
            if target is None:
                return set()
            scores[position] = abs(figure.value - target)
        else:
            scores[position] = figure.value if figure.better == "lower" else -figure.value
    if len(scores) < 2 or max(scores.values()) == min(scores.values()):
        return set()
    least = min(scores.values())
    return {position for position, score in scores.items() if score == least}


def _interval(figure: Figure | None) -> str:
    if figure is None or figure.interval is None:
        return ""
    low, high = figure.interval
    return f"{figure_text(low, figure.unit)} to {figure_text(high, figure.unit)}"


def _fact(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return count_text(value)
    return decimal_text(value, 4) if isinstance(value, float) else printable(value)


def _costs(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for key, label, form in _COSTS:
        values = [_cost(result, key) for result in results]
        if any(value is not None for value in values):
            rows.append((label, *(_cost_text(value, form) for value in values)))
    return rows


def _cost(result: Mapping[str, Any], key: str) -> float | None:
    if key == "rows_per_second":
        rows, seconds = result.get("sampled_rows"), result.get("sample_seconds")
        return rows / seconds if rows and seconds else None
    if key == "epochs" and key not in result:
        return float(len(history_table(result.get("history")))) or None
    value = result.get(key)
    return None if value is None else float(value)


def _cost_text(value: float | None, form: str) -> str:
    if value is None:
        return "–"
    if form == "megabytes":
        return decimal_text(value / 1e6)
    return count_text(value) if form == "count" else decimal_text(value)


def learned_sigmas(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the learned standard deviations of the generators that have them, one row a column.

    Args:
        results: See ``build_comparison``.

    Returns:
        ``head``, the names of the columns of the table; ``rows``, its texts; ``chart``.
    """
    learned = {printable(result["name"]): result["sigmas"] for result in results if result.get("sigmas")}
    columns = list(dict.fromkeys(column for sigmas in learned.values() for column in sigmas))
    rows, points = [], []
    for column in columns:
        cells, values = [printable(column)], {}
        for name, sigmas in learned.items():
            numbers = [float(sigma) for sigma in _as_list(sigmas.get(column)) if math.isfinite(float(sigma))]
            cells.append(_sigma_text(numbers))
            if numbers:
                values[name] = sorted(numbers)[len(numbers) // 2]
        rows.append(tuple(cells))
        points.append((printable(column), values))
    chart = dot_plot(points, list(learned), "Learned sigma of each continuous column") if rows else ""
    return {"head": ("column", *learned), "rows": rows, "chart": chart}


def _as_list(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    if hasattr(value, "tolist"):
        value = value.tolist()
    return value if isinstance(value, list | tuple) else (value,)


def _sigma_text(numbers: Sequence[float]) -> str:
    if not numbers:
        return "–"
    if len(numbers) == 1:
        return decimal_text(numbers[0])
    middle = sorted(numbers)[len(numbers) // 2]
    return (
        f"{decimal_text(middle)} ({decimal_text(min(numbers))} to {decimal_text(max(numbers))}, {len(numbers)} scalars)"
    )
