"""Candidates for computed columns: parts and differences of dates, parts of packed numbers, sums, products, ratios."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.relations.computed import Computed
from clover_tvae.relations.expression import PARTS, quoted, read_expression
from clover_tvae.relations.finding.chance import chance_within
from clover_tvae.relations.finding.table import Candidate, Candidates, Table

__all__ = ["formulas"]

_LOOSE = 0.02  # exceptions in the sample
_FEW_ROWS = 64  # in which all pairs of columns are tried
_PROBES = 3  # rows in which results of pairs are looked up; all but one must agree
_BY_CHANCE = 0.95
_RELATIVE_ERROR = 1e-9
_UNITS = ("{b} - {a}", *(f"({{b}} - {{a}}) {unit}" for unit in ("* 24", "* 1440", "* 86400", "/ 7", "/ 365.25")))
_LENGTHS = (*_UNITS, *(f"floor({unit})" for unit in _UNITS), "ceil({b} - {a})", "{b} - {a} + 1")
_PACKED = (  # what a packed number is divided by, and what the rest is taken by
    *((divisor, None) for divisor in (10, 60, 100, 1000, 3600, 10000)),
    *((1, modulo) for modulo in (10, 12, 24, 60, 100, 1000, 10000)),
    *((60, 60), (60, 24), (3600, 24), (100, 100), (1000, 1000)),
)


def formulas(table: Table) -> Candidates:
    """Return columns of numbers that an expression over others gives."""
    made = Candidates()
    numeric = [name for name in table.numeric if type(name) is str and len(table.levels[name]) > 1]
    amounts = [name for name in numeric if name in table.amounts]
    dated = [name for name in table.dates if type(name) is str]
    slack = np.array([_slack(table, name) for name in numeric])
    every = slice(None, None, max(1, len(table.sample) // _FEW_ROWS))
    rows, few = table.sample.iloc[every], table.matrix(numeric)[every]
    for text, source, numbers in itertools.chain(_of_dates(table, dated, rows), _of_packed(table, amounts, rows)):
        made.n_tried += len(numeric)
        for j in np.flatnonzero(_fits(numbers[:, None], few, slack)):
            if numeric[j] != source:
                _add(table, made, numeric[j], text, (source,))
    _pairs(table, amounts, made)
    _scaled(table, amounts, made)
    for target, text, sources in _long_sums(table, amounts):
        _add(table, made, target, text, sources)
    made.n_tried += len(amounts)
    return made


def _of_dates(table: Table, names: list[Any], rows: pd.DataFrame) -> Iterator[tuple[str, Any, NDArray[Any]]]:
    """Yield expressions, a column of each, and the numbers that they give."""
    for a in names:
        for part in (*(f"{part}({{a}})" for part in PARTS), "weekday({a}) + 1", "(weekday({a}) + 1) % 7"):
            text = part.format(a=quoted(a))
            yield text, a, read_expression(text).evaluate(rows)
    pairs = [
        (a, b)
        for a, b in itertools.permutations(names, 2)
        if (table.frame[a].dt.tz is None) == (table.frame[b].dt.tz is None)
    ]
    seconds = {name: table.values[name][rows.index] for name in names}
    lengths = np.array([seconds[b] - seconds[a] for a, b in pairs]).reshape(-1) / 86_400
    for part in _LENGTHS:  # of all pairs at once
        made = read_expression(part.format(a="a", b="b")).evaluate(pd.DataFrame({"a": 0.0, "b": lengths}))
        for (a, b), numbers in zip(pairs, made.reshape(len(pairs), len(rows)), strict=True):
            yield part.format(a=quoted(a), b=quoted(b)), a, numbers
    for (a, b), part in itertools.product(
        pairs, ("age({a}, {b})", "date({b}) - date({a})", "date({b}) - date({a}) + 1")
    ):
        text = part.format(a=quoted(a), b=quoted(b))
        yield text, a, read_expression(text).evaluate(rows)


def _of_packed(table: Table, names: list[Any], rows: pd.DataFrame) -> Iterator[tuple[str, Any, NDArray[Any]]]:
    for name in names:
        numbers = rows[name].to_numpy(float)
        if table.decimals(name) != 0:
            yield f"floor({quoted(name)})", name, np.floor(numbers)
            continue
        largest = np.nanmax(table.values[name])
        for divisor, modulo in _PACKED:
            if largest > (modulo if divisor == 1 and modulo else divisor):
                text = quoted(name) if divisor == 1 else f"{quoted(name)} // {divisor}"
                if modulo is not None:
                    text = f"{text if divisor == 1 else f'({text})'} % {modulo}"
                yield text, name, numbers // divisor if modulo is None else numbers // divisor % modulo


def _slack(table: Table, name: Any) -> float:
    decimals = table.decimals(name)
    return 0.0 if decimals is None else 0.5 * 10.0**-decimals


def _fits(made: NDArray[Any], found: NDArray[Any], slack: NDArray[Any]) -> NDArray[Any]:
    """Return for which columns the numbers fit in nearly all of the rows where both are there and not both zero."""
    with np.errstate(invalid="ignore"):
        close = np.abs(made - found) <= slack + _RELATIVE_ERROR * np.maximum(np.abs(made), 1)
        telling = np.isfinite(made) & ~np.isnan(found) & ((made != 0) | (found != 0))
    n_telling = telling.sum(axis=0)
    return (n_telling >= 4) & ((close & telling).sum(axis=0) >= 0.95 * n_telling)


def _add(
    table: Table, made: Candidates, target: Any, text: str, sources: tuple[Any, ...], *, sums: bool = False
) -> None:
    """Add a formula that fits the sample, exactly or to the decimals of the column, and that says something."""
    found = table.values[target][table.rows]
    relation = Computed(target=target, formula=text)
    exact = relation.exact(table.sample)
    both = ~np.isnan(found) & ~np.isnan(exact)
    if both.sum() < 30:
        return
    found, exact = found[both], exact[both]
    if any(
        source in table.values and np.mean(table.values[source][table.rows][both] == found) > 1 - _LOOSE
        for source in sources
    ):
        return  # it equals one of its sources
    for decimals in (None, table.decimals(target)):
        slack = 0.0 if decimals is None else 0.5 * 10.0**-decimals
        close = np.abs(found - exact) <= slack + _RELATIVE_ERROR * np.maximum(np.abs(exact), 1)
        if close.mean() >= 1 - _LOOSE:
            chance = chance_within(exact, found, slack)
            if chance <= _BY_CHANCE:
                made.found.append(Candidate(relation.model_copy(update={"decimals": decimals}), chance))
            return


def _pairs(table: Table, names: list[Any], made: Candidates) -> None:
    """Try the sum, the product and both ratios of every two columns against every third."""
    if len(names) < 3:
        return
    sample = table.matrix(names)[:: max(1, len(table.rows) // _FEW_ROWS)]
    i, j = np.triu_indices(len(names), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = sample[:, i], sample[:, j]
        tried = {"{a} + {b}": a + b, "{a} * {b}": a * b, "{a} / {b}": a / b, "{b} / {a}": b / a}
    for text, results in tried.items():
        ordered = functools.cache(lambda row, results=results: (order := np.argsort(results[row]), results[row, order]))
        for k, name in enumerate(names):
            made.n_tried += len(i)
            slack, target = _slack(table, name), sample[:, k]
            close = np.concatenate([np.zeros(0, dtype=np.int64), *_close(ordered, target, slack)])
            pairs = np.flatnonzero(np.bincount(close, minlength=len(i)) >= _PROBES - 1)
            for p in pairs[_fits(results[:, pairs], target[:, None], np.array([slack]))]:
                if k not in (i[p], j[p]):
                    first, second = names[i[p]], names[j[p]]
                    _add(table, made, name, text.format(a=quoted(first), b=quoted(second)), (first, second))


def _close(ordered: Callable[[int], Any], target: NDArray[Any], slack: float) -> Iterator[NDArray[Any]]:
    """Yield, for a few rows, which of the results of that row are the number of the target."""
    for row in np.flatnonzero(np.nan_to_num(target))[:_PROBES]:
        order, results = ordered(int(row))
        reach = slack + _RELATIVE_ERROR * max(abs(target[row]), 1)
        first = np.searchsorted(results, target[row] - reach, side="left")
        yield order[first : np.searchsorted(results, target[row] + reach, side="right")]


def _scaled(table: Table, names: list[Any], made: Candidates) -> None:
    """Try every column as another times a weight plus a constant (another unit of the same quantity)."""
    names = [name for name in names if len(table.levels[name]) > 5]
    made.n_tried += len(names) * (len(names) - 1) // 2
    alike = np.abs(table.sample[names].corr(min_periods=30).to_numpy()) >= 0.999
    for i, j in np.argwhere(np.triu(alike, 1)):
        first, second = names[i], names[j]
        x, y = table.values[first][table.rows], table.values[second][table.rows]
        both = ~np.isnan(x) & ~np.isnan(y)
        x, y = x[both], y[both]
        for source, target, u, v in ((first, second, x, y), (second, first, y, x)):
            weight, constant = np.polyfit(u, v, 1)
            for digits in (2, 4, 6):
                w, c = float(f"{weight:.{digits}g}"), round(constant, digits - 2)
                text = f"{w:.10g} * {quoted(source)}" + (f" {'-' if c < 0 else '+'} {abs(c):.10g}" if c else "")
                _add(table, made, target, text, (source,))


def _long_sums(table: Table, names: list[Any]) -> Iterator[tuple[Any, str, tuple[Any, ...]]]:
    """Yield each column that is a weighted sum, with whole weights, of columns before it in the table."""
    sample = table.matrix(names)
    names = [name for name, column in zip(names, sample.T, strict=True) if np.isnan(column).mean() < 0.2]
    sample = table.matrix(names)
    sample = sample[~np.isnan(sample).any(axis=1)]
    if len(sample) < 3 * len(names) + 30:
        return
    basis, free = np.full((len(sample), 1), len(sample) ** -0.5), list[int]()
    for j, name in enumerate(names):
        column = sample[:, j]
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        if np.linalg.norm(rest) > 1e-8 * np.linalg.norm(column):
            basis, free = np.column_stack([basis, rest / np.linalg.norm(rest)]), [*free, j]
            continue
        design = np.column_stack([sample[:, free], np.ones(len(sample))])
        weights = np.linalg.lstsq(design, column, rcond=None)[0]
        whole: Any = np.round(weights)
        terms = [(names[i], int(w)) for i, w in zip(free, whole, strict=False) if w]
        if np.abs(weights - whole).max() < 1e-4 and 2 <= len(terms) <= 20 and np.abs(whole[:-1]).max() <= 1000:
            text = " ".join(
                f"{'-' if w < 0 else '+'} {'' if abs(w) == 1 else f'{abs(w)} * '}{quoted(n)}" for n, w in terms
            )
            constant = f" {'-' if whole[-1] < 0 else '+'} {abs(int(whole[-1]))}" if whole[-1] else ""
            yield name, text.removeprefix("+ ") + constant, tuple(n for n, _ in terms)
