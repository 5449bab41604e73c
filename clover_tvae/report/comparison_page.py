"""The comparison page: several generators of one table, same split, same seed, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.files import write_text
from clover_tvae.report.answers import Answer, answers
from clover_tvae.report.charts import dot_plot
from clover_tvae.report.formatting import count_text, decimal_text, printable
from clover_tvae.report.html_document import render
from clover_tvae.report.learning_curves import curve_charts, history_table
from clover_tvae.report.model_card import NO_PROOF, plain_text
from clover_tvae.report.readings import figure_text, interval_text, readings

DEFAULT_TITLE = "Comparison of generators"

_LOSSES = ("loss", "validation_loss")
_COSTS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("fit_seconds", "Fit, seconds", decimal_text),
    ("sample_seconds", "Sample, seconds", decimal_text),
    ("sampled_rows", "Rows sampled", count_text),
    ("rows_per_second", "Rows sampled a second", count_text),
    ("mended_cells", "Cells mended to keep relations", count_text),
    ("file_bytes", "Generator file, MB", lambda size: decimal_text(size / 1e6)),
    ("parameters", "Parameters of the networks", count_text),
    ("epochs", "Epochs", count_text),
)


def build_comparison(
    results: Sequence[Mapping[str, Any]], *, title: str = DEFAULT_TITLE, facts: Mapping[str, Any] | None = None
) -> str:
    """Return the page.

    Args:
        results: One mapping a generator, the order of the columns: ``name``; ``figures`` (a ``Figures`` or its plain
            form); ``fit_seconds``, ``sample_seconds``, ``sampled_rows``, ``mended_cells``, ``file_bytes``; ``history`` (as in
            ``build_report``); ``sigmas`` (column to learned standard deviations, or ``None``); ``has_student`` (whether its network
            learnt rows that a teacher wrote, and not the table); ``error`` (why there is nothing else). All but ``name`` may be missing.
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
    named = list(zip(shown, results, strict=True))
    by_name = {
        name: Figures.from_plain(given) if isinstance(given, Mapping) and "format" in given else given or {}
        for name, given in zip(names, (result.get("figures") for result in results), strict=True)
    }
    sections = [{"anchor": key, "rows": comparison_rows(by_name, key)} for key in ("fidelity", "utility", "privacy")]
    content = {
        "title": printable(title),
        "facts": [(printable(key), plain_text(value)) for key, value in (facts or {}).items()],
        "names": shown,
        "errors": [(name, printable(result["error"])) for name, result in named if result.get("error")],
        "answers": _answers(by_name),
        "learnt": what_was_learnt(results),
        "costs": cost_rows(results),
        "sections": [section for section in sections if section["rows"]],
        "sigmas": learned_sigmas(results),
        "curves": [
            chart
            for name, result in named
            for chart in curve_charts(history_table(result.get("history")), {f"{name}: loss a row": _LOSSES})
        ],
        "notice": NO_PROOF,
    }
    return render("compare.html.j2", content)


def _answers(by_name: Mapping[str, Mapping[str, Figure]]) -> list[tuple[Answer, ...]]:
    """Return the three questions, each with the answer of every generator; none where nothing was measured."""
    if not any(by_name.values()):
        return []
    told = [answers(figures, readings(figures), has_fresh=True) for figures in by_name.values()]
    return list(zip(*told, strict=True))


def what_was_learnt(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the network of each generator learnt, in a few words; nothing where none tells."""
    told = {
        True: "A student of written rows",
        False: "The table itself: the file is as sensitive as the data",
        None: "–",
    }
    found = [told[result.get("has_student")] for result in results]
    return found if {*found} != {told[None]} else []


def write_comparison(path: str | Path, results: Sequence[Mapping[str, Any]], **options: Any) -> None:
    """Build the page and write it, atomically; the arguments are those of ``build_comparison``."""
    write_text(path, build_comparison(results, **options))


def comparison_rows(by_name: Mapping[str, Mapping[str, Figure]], section: str) -> list[dict[str, Any]]:
    """Return one row a figure of a section: its text for each generator, the best marked, and the floor.

    Returns:
        Mappings with ``key``, ``label``, ``says``, ``cells`` (``text``, ``interval``, ``best``), ``holdout``,
        ``perfect``.
    """
    rows = []
    for key in dict.fromkeys(key for figures in by_name.values() for key in figures):
        found = [figures.get(key) for figures in by_name.values()]
        known = [figure for figure in found if figure is not None]
        first, best = known[0], _best(found)
        if first.section != section:
            continue
        cells = [
            {"text": "–", "interval": "", "best": False}
            if figure is None
            else {"text": figure_text(figure.value, figure.unit), "interval": interval_text(figure), "best": at in best}
            for at, figure in enumerate(found)
        ]
        floors = {
            field: next((value for figure in known if (value := getattr(figure, field)) is not None), None)
            for field in ("holdout", "perfect")
        }
        texts = {field: figure_text(value, first.unit) for field, value in floors.items()}
        rows.append({"key": key, "label": first.title or key, "says": first.note, "cells": cells, **texts})
    return rows


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [result.get("name") for result in results]
    problems = [
        Problem(f"results[{position}].name", f"must be a name, found {'none' if not name else type(name).__name__}")
        for position, name in enumerate(names)
        if not isinstance(name, str) or not name
    ]
    twice = {name for name in names if names.count(name) > 1}
    problems += [Problem("results", f"must have one name each, found two generators named {name!r}") for name in twice]
    if not results:
        problems.append(Problem("results", "must be at least one generator, found none"))
    ConfigError.raise_any(problems)
    return [str(name) for name in names]


def _best(found: Sequence[Figure | None]) -> set[int]:
    """Return which generators are best; none where nobody can be better than another."""
    scores = {}
    for position, figure in enumerate(found):
        if figure is None or figure.value is None:
            continue
        target = figure.perfect if figure.perfect is not None else figure.holdout
        if figure.better != "target":
            scores[position] = figure.value if figure.better == "lower" else -figure.value
        elif target is not None:
            scores[position] = abs(figure.value - target)
    best = {position for position, score in scores.items() if score == min(scores.values())}
    return set() if len(best) == len(scores) else best


def cost_rows(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return one row a cost that some generator tells of: its label, and its text for each generator."""
    rows = []
    for key, label, text in _COSTS:
        values = [_cost(result, key) for result in results]
        if any(value is not None for value in values):
            rows.append((label, *("–" if value is None else text(value) for value in values)))
    return rows


def _cost(result: Mapping[str, Any], key: str) -> float | None:
    if key == "rows_per_second":
        rows, seconds = result.get("sampled_rows"), result.get("sample_seconds")
        return rows / seconds if rows and seconds else None
    if key == "epochs" and key not in result:
        return len(history_table(result.get("history"))) or None
    return None if result.get(key) is None else float(result[key])


def learned_sigmas(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the learned standard deviations, one row a column: the ``head`` and ``rows`` of a table, and a ``chart``."""
    learned = {printable(result["name"]): result["sigmas"] for result in results if result.get("sigmas")}
    columns = dict.fromkeys(column for sigmas in learned.values() for column in sigmas)
    rows, points = [], []
    for column in columns:
        cells, medians = [printable(column)], {}
        for name, sigmas in learned.items():
            numbers = np.sort(np.ravel(np.asarray(sigmas.get(column, ()), dtype=np.float64)))
            numbers = numbers[np.isfinite(numbers)]
            text = "–"
            if len(numbers):
                medians[name] = float(numbers[len(numbers) // 2])
                text = decimal_text(medians[name])
            if len(numbers) > 1:
                text += f" ({decimal_text(numbers[0])} to {decimal_text(numbers[-1])}, {len(numbers)} scalars)"
            cells.append(text)
        rows.append(tuple(cells))
        points.append((cells[0], medians))
    chart = dot_plot(points, list(learned), "Learned sigma of each continuous column")
    return {"head": ("column", *learned), "rows": rows, "chart": chart or ""}
