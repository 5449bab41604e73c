"""Candidates for computed columns: parts and differences of dates, parts of packed numbers, squares, logarithms, sums, products, ratios."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.relations.computed import Computed, Predicate
from clover_tvae.relations.expression import MAX_CHARACTERS, PARTS, quoted, read_expression
from clover_tvae.relations.finding.chance import chance_within
from clover_tvae.relations.finding.table import Candidate, Candidates, Table

_LOOSE = 0.02  # exceptions in the sample
_FEW_ROWS = 64  # in which all pairs of columns are tried
_PROBES = 3  # of these rows, in which they are tried first; all but one must agree
_PAIRS_AT_ONCE = 2**18
_BY_CHANCE = 0.95
_NARROW, _NARROW_STEPS = 2, 6  # from the least sum to the largest; fewer different values say little
_RELATIVE_ERROR = 1e-9
_OF_ONE_DATE = (
    *(f"{part}({{a}})" for part in PARTS), "weekday({a}) + 1", "(weekday({a}) + 1) % 7", "100 * hour({a}) + minute({a})",
    "100 * year({a}) + month({a})", "10000 * year({a}) + 100 * month({a}) + day({a})",
)  # fmt: skip
_OF_TWO_DATES = ("age({a}, {b})", "date({b}) - date({a})", "date({b}) - date({a}) + 1")
_UNITS = ("{b} - {a}", *(f"({{b}} - {{a}}) {unit}" for unit in ("* 24", "* 1440", "* 86400", "/ 7", "/ 365.25")))
_LENGTHS = (*_UNITS, *(f"floor({unit})" for unit in _UNITS), "ceil({b} - {a})", "{b} - {a} + 1")
_PACKED = (  # what a packed number is divided by, and what the rest is taken by
    *((divisor, None) for divisor in (10, 60, 100, 1000, 3600, 10000)),
    *((1, modulo) for modulo in (10, 12, 24, 60, 100, 1000, 10000)),
    *((60, 60), (60, 24), (3600, 24), (100, 100), (1000, 1000)),
)
_LATER = ("clock(minutes_of({a}) + {b})", "clock24(minutes_of({a}) + {b})")  # midnight is 0 or 2400
_MAX_CLOCKS = 20
_FEWEST_CLOCKS = 20  # distinct ones: by chance alone, the last two digits of all are below 60 once in 30,000 tables
_OF_TWO: dict[str, Callable[[Any, Any], Any]] = {  # those that divide are tried the other way round too
    "{a} + {b}": np.add,
    "{a} * {b}": np.multiply,
    "{a} / {b}": np.divide,
    "{a} * {b} / 100": lambda a, b: a * b / 100,
    "100 * {a} / {b}": lambda a, b: 100 * a / b,
    "{a} / {b} / {b}": lambda a, b: a / b / b,
    "10000 * {a} / {b} / {b}": lambda a, b: 10_000 * a / b / b,
}


def formulas(table: Table) -> Candidates:
    """Return columns of numbers that an expression over others gives."""
    made = Candidates()
    numeric = [name for name in table.numeric if len(table.levels[name]) > 1]
    amounts = [name for name in numeric if name in table.amounts or name in table.packed]
    rows = table.sample.iloc[:: max(1, len(table.sample) // _FEW_ROWS)]
    few = {name: table.values[name][rows.index] for name in table.values}
    cells = np.array([few[name] for name in numeric]).reshape(len(numeric), len(rows))
    slack = np.array([_slack(table, name) for name in numeric])
    for text, numbers in itertools.chain(
        _of_dates(table, rows, few), _of_packed(table, amounts, few), _of_clocks(table, amounts, few)
    ):
        made.n_tried += len(numeric)
        for j in np.flatnonzero(_fits(numbers, cells, slack[:, None])):
            _add(table, made, numeric[j], text)
    _of_pairs(table, numeric, few, made)
    _scaled(table, amounts, made)
    for target, text in _long_sums(table, numeric):
        if target in amounts:
            _add(table, made, target, text)
    made.n_tried += len(amounts)
    return made


def _of_dates(table: Table, rows: pd.DataFrame, few: dict[Any, Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield expressions and the numbers that they give in a few rows."""
    names = table.dates
    zoned = {name: table.frame[name].dt.tz is not None for name in names}
    pairs = [(a, b) for a, b in itertools.permutations(names, 2) if zoned[a] == zoned[b]]
    for parts, columns in ((_OF_ONE_DATE, [(a, a) for a in names]), (_OF_TWO_DATES, pairs)):
        for (a, b), part in itertools.product(columns, parts):
            text = part.format(a=quoted(a), b=quoted(b))
            yield text, read_expression(text).evaluate(rows)
    days = np.array([few[b] - few[a] for a, b in pairs]).reshape(-1) / 86_400
    for part in _LENGTHS:  # of all pairs at once
        made = read_expression(part.format(a="a", b="b")).evaluate(pd.DataFrame({"a": 0.0, "b": days}))
        for (a, b), numbers in zip(pairs, made.reshape(len(pairs), len(rows)), strict=True):
            yield part.format(a=quoted(a), b=quoted(b)), numbers


def _of_packed(table: Table, names: list[Any], few: dict[Any, Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in names:
        text, numbers = quoted(name), few[name]
        for formula in ("{a} * {a}", "log({a})", "log10({a})"):
            with np.errstate(over="ignore"):
                yield (
                    formula.format(a=text),
                    read_expression(formula.format(a="a")).numbers(pd.DataFrame({"a": numbers})),
                )
        if table.decimals(name) != 0:
            yield f"floor({text})", np.floor(numbers)
            continue
        largest = np.nanmax(table.values[name])
        for divisor, modulo in _PACKED:
            if largest <= (modulo if modulo and divisor == 1 else divisor):
                continue
            part, told = (numbers, text) if divisor == 1 else (numbers // divisor, f"({text} // {divisor})")
            yield (told[1:-1], part) if modulo is None else (f"{told} % {modulo}", part % modulo)


def _of_clocks(table: Table, names: list[Any], few: dict[Any, Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    whole = [name for name in names if table.decimals(name) == 0]
    for clock, name in itertools.product([name for name in whole if _is_clock(table, name)][:_MAX_CLOCKS], whole):
        for formula in _LATER if clock != name else ():
            made = read_expression(formula.format(a="a", b="b"))
            cells = made.numbers(pd.DataFrame({"a": few[clock], "b": few[name]}))
            yield formula.format(a=quoted(clock), b=quoted(name)), cells


def _is_clock(table: Table, name: Any, more_than: int = 60) -> bool:
    """Whether numbers, of more distinct ones than so many, are of 0 to 2400, and their last two digits below 60."""
    cells = table.values[name]
    is_some = len(table.levels[name]) > more_than and np.nanmin(cells) >= 0 and np.nanmax(cells) <= 2_400
    return bool(is_some and np.nanmax(cells % 100) < 60)


def clocks(table: Table) -> Candidates:
    """Return the numbers that are an hour and a minute, such as 1730: their last two digits are below 60."""
    made = Candidates()
    for name in table.amounts:
        if table.decimals(name) == 0 and _is_clock(table, name, _FEWEST_CLOCKS):
            made.n_tried += 1
            distinct = np.unique(table.values[name][~np.isnan(table.values[name])])
            whole = np.arange(distinct[0], distinct[-1] + 1, np.gcd.reduce(np.diff(distinct).astype(np.int64)))
            relation = Predicate(expression=f"{quoted(name)} % 100 < 60")
            if (chance := float(np.mean(whole % 100 < 60))) <= _BY_CHANCE:
                made.found.append(Candidate(relation, chance))
    return made


def narrow(table: Table) -> Candidates:
    """Return pairs of whole numbers whose sum or difference takes two or three neighbouring values: an age and a year of birth."""
    made, rng = Candidates(), np.random.default_rng(0)
    names = [name for name in table.amounts if table.decimals(name) == 0 and len(table.levels[name]) > _NARROW_STEPS]
    rows = table.rows[:: max(1, len(table.rows) // _FEW_ROWS)]
    few = np.array([table.values[name][rows] for name in names]).reshape(len(names), len(rows))
    for i, first in enumerate(names):
        sums = np.stack([few[i] + few[i + 1 :], few[i] - few[i + 1 :]], axis=1)  # with all others at once
        near = np.fmax.reduce(sums, axis=2) - np.fmin.reduce(sums, axis=2) <= _NARROW
        made.n_tried += near.size
        for j, is_difference in np.argwhere(near).tolist():
            second, sign, written = names[i + 1 + j], *((-1, "-") if is_difference else (1, "+"))
            a, b = table.values[first], sign * table.values[second]
            levels, counts = np.unique((a + b)[~np.isnan(a + b)], return_counts=True)
            held = levels[counts >= table.min_count]
            if not 1 < len(held) <= _NARROW + 1 or np.ptp(held) > _NARROW or (sign < 0 and held[0] * held[-1] >= 0):
                continue  # of a difference of one sign, the order says as much
            low, high = int(held[0]), int(held[-1])
            dealt = rng.permutation(a) + b
            chance = float(np.mean((dealt >= low) & (dealt <= high)))
            term = f"{quoted(first)} {written} {quoted(second)}"
            relation = Predicate(expression=f"{term} >= {low} and {term} <= {high}")
            if chance <= _BY_CHANCE / 2:
                made.found.append(Candidate(relation, chance))
    return made


def _slack(table: Table, name: Any) -> float:
    decimals = table.decimals(name)
    return 0.0 if decimals is None else 0.5 * 10.0**-decimals


def _reach(made: NDArray[Any], slack: Any) -> NDArray[Any]:
    return np.asarray(slack + _RELATIVE_ERROR * np.maximum(np.abs(made), 1))


def _close(made: NDArray[Any], found: NDArray[Any], slack: Any) -> NDArray[Any]:
    return np.abs(made - found) <= _reach(made, slack)


def _fits(made: NDArray[Any], found: NDArray[Any], slack: Any) -> NDArray[Any]:
    """Return where the numbers fit in nearly all of the rows, the last axis, with both there and not both zero."""
    with np.errstate(invalid="ignore"):
        telling = np.isfinite(made) & ~np.isnan(found) & ((made != 0) | (found != 0))
        n_close, n_telling = (_close(made, found, slack) & telling).sum(axis=-1), telling.sum(axis=-1)
    return (n_telling >= 4) & (n_close >= 0.95 * n_telling)


def _add(table: Table, made: Candidates, target: Any, text: str) -> None:
    """Add a formula that fits the sample, exactly or to the decimals of the column, and that says something."""
    if len(text) > MAX_CHARACTERS:  # a sum of many long names
        return
    relation = Computed(target=target, formula=text)
    found, exact = table.values[target][table.rows], relation.exact(table.sample)
    both = ~np.isnan(found) & ~np.isnan(exact)
    if both.sum() < 30:
        return
    found, exact = found[both], exact[both]
    for source in relation.sources:
        if source in table.values and np.mean(table.values[source][table.rows][both] == found) > 1 - _LOOSE:
            return  # it is, or equals, one of its sources
    for decimals in (None, table.decimals(target)):
        slack = 0.0 if decimals is None else 0.5 * 10.0**-decimals
        if _close(exact, found, slack).mean() >= 1 - _LOOSE:
            chance = chance_within(exact, found, _reach(exact, slack))
            if chance <= _BY_CHANCE:
                made.found.append(Candidate(relation.model_copy(update={"decimals": decimals}), chance))
            return


def _of_pairs(table: Table, names: list[Any], few: dict[Any, Any], made: Candidates) -> None:
    """Try what every two columns of numbers give against every third of amounts."""
    if len(names) < 3:
        return
    cells, amounts = np.array([few[name] for name in names]), set(table.amounts)
    targets = [k for k, name in enumerate(names) if name in amounts]
    i, j = np.triu_indices(len(names), 1)
    for (text, compute), (left, right) in itertools.product(_OF_TWO.items(), ((i, j), (j, i))):
        if left is j and "/ {b}" not in text:
            continue
        made.n_tried += len(targets) * (len(i) - (len(names) - 1))
        for start in range(0, len(i), _PAIRS_AT_ONCE):
            first, second = (side[start : start + _PAIRS_AT_ONCE] for side in (left, right))
            with np.errstate(all="ignore"):
                numbers = compute(cells[first], cells[second])
            ordered: dict[Any, Any] = {}
            for k in targets:
                slack = _slack(table, names[k])
                pairs = _near(numbers, ordered, cells[k], slack)
                pairs = pairs[(first[pairs] != k) & (second[pairs] != k)]
                for p in pairs[_fits(numbers[pairs], cells[k], slack)]:
                    _add(table, made, names[k], text.format(a=quoted(names[first[p]]), b=quoted(names[second[p]])))


def _near(numbers: NDArray[Any], ordered: dict[Any, Any], found: NDArray[Any], slack: float) -> NDArray[np.intp]:
    """Return which rows of numbers are close to those of a column in the probes.

    Args:
        numbers: What each pair gives. **Shape** ``(pairs, rows)``.
        ordered: The numbers of each probe in their order, so that only those near the column's are looked at; filled here.
        found: The column. **Shape** ``(rows,)``.
        slack: Half a step of its decimals.
    """
    n_close = np.zeros(len(numbers), dtype=np.int8)
    for probe in np.flatnonzero(np.nan_to_num(found))[:_PROBES]:
        if probe not in ordered:
            order = np.argsort(numbers[:, probe])
            ordered[probe] = order, numbers[order, probe]
        order, values = ordered[probe]
        reach = 2 * _reach(np.abs(found[probe]) + slack, slack)  # no less than any that is close is off
        start, end = np.searchsorted(values, (found[probe] - reach, found[probe] + reach))
        near = order[start:end]
        n_close[near[_close(numbers[near, probe], found[probe], slack)]] += 1
    return np.flatnonzero(n_close >= _PROBES - 1)


def _scaled(table: Table, names: list[Any], made: Candidates) -> None:
    """Try every column as another times a weight plus a constant (another unit of the same quantity)."""
    names = [name for name in names if len(table.levels[name]) > 5]
    made.n_tried += len(names) * (len(names) - 1) // 2
    cells = table.sample[names]
    for i, j in np.argwhere(np.triu(np.abs(cells.corr(min_periods=30).to_numpy()) >= 0.999, 1)):
        known = cells.iloc[:, [i, j]].dropna()
        for source, target in itertools.permutations((names[i], names[j])):
            weight, constant = np.polyfit(known[source], known[target], 1)
            for digits in (2, 4, 6):
                w, c = float(f"{weight:.{digits}g}"), round(constant, digits - 2)
                sign = "-" if c < 0 else "+"
                _add(table, made, target, f"{w:.10g} * {quoted(source)}" + (f" {sign} {abs(c):.10g}" if c else ""))


def _long_sums(table: Table, names: list[Any]) -> Iterator[tuple[Any, str]]:
    """Yield each column that is a weighted sum, with whole weights, of columns before it in the table."""
    names = [name for name in names if np.isnan(table.values[name][table.rows]).mean() < 0.2]
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
        weights = np.linalg.lstsq(np.column_stack([sample[:, free], np.ones(len(sample))]), column, rcond=None)[0]
        whole: Any = np.round(weights)
        terms = [(quoted(names[i]), int(w)) for i, w in zip(free, whole, strict=False) if w]
        if np.abs(weights - whole).max() < 1e-4 and 2 <= len(terms) <= 20 and np.abs(whole[:-1]).max() <= 1000:
            texts = [f"{'-' if w < 0 else '+'} {'' if abs(w) == 1 else f'{abs(w)} * '}{term}" for term, w in terms]
            constant = [f"{'-' if whole[-1] < 0 else '+'} {abs(int(whole[-1]))}"] if whole[-1] else []
            yield name, " ".join(texts + constant).removeprefix("+ ")
