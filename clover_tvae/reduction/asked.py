"""Conditions on the table as conditions on the reduced one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.conditions import Condition, conditions_of
from clover_tvae.errors import ConditionError, Problem, UserError
from clover_tvae.reduction.bounds import check_room
from clover_tvae.reduction.plan import DAY, Clock, Distance, Step, made_by
from clover_tvae.reduction.reduced import NO, YES, Reduction
from clover_tvae.relations.computed import Equal
from clover_tvae.relations.groups import MissingWhen, OneHot
from clover_tvae.relations.lookup import Dependency

_MOST_COMBINATIONS = 10_000
_ANY = Condition("not in")


def translated(
    plan: Reduction, conditions: Mapping[Any, Any], *, missing: bool = True
) -> tuple[dict[Any, Condition], dict[Any, Condition]]:
    """Return conditions on learnt columns, and those that rows are checked against once they are brought back.

    Every row that meets a condition on a made column meets those on learnt ones that stand for it: they only make the
    rows that are drawn meet it more often, or always.

    Raises:
        ConditionError: No row can meet them; the relation is named.
    """
    asked = conditions_of(conditions)
    outer = {name: condition for name, condition in asked.items() if name in plan.written}
    inner = {name: condition for name, condition in asked.items() if name not in plan.made}
    plan.columns.allow(outer | {name: inner[name] for name in inner if name in plan.columns.names})
    _check_values(plan, asked)
    check_room(plan, asked, missing=missing)
    wanted = dict(asked)
    for step in reversed(plan.steps):
        for name in made_by(step):
            if name in wanted:
                for source, condition in _stands_for(plan, step, name, wanted[name]).items():
                    wanted.setdefault(source, condition)
                    if source in plan.reduced and source not in plan.made | set(asked):
                        inner.setdefault(source, condition)
                    elif isinstance(step, OneHot | Clock):
                        inner[source] = condition
    for whole in plan.wholes if asked else ():
        if whole.name not in plan.made and (within := whole.asked(asked)):
            inner[whole.name] = within
    for name in () if plan.is_repair else plan.gaps:
        asks = outer.get(name)
        if not missing or (asks is not None and not asks.missing):
            inner[plan.flag(name)] = Condition.of(NO)
        elif asks is not None and not asks.values:
            inner.pop(name, None)
            if not any(isinstance(step, Distance) and step.made == name for step in plan.steps):
                inner[plan.flag(name)] = Condition.of([YES, NO])
    return inner, outer


def _check_values(plan: Reduction, asked: Mapping[Any, Condition]) -> None:
    """Refuse values that a relation all of whose columns are asked for allows in no combination."""
    values = {name: c.values for name, c in asked.items() if c.form == "in" and not c.missing}
    for relation in plan.kept:
        names, target = list(relation.columns), asked.get(relation.columns[-1], _ANY)
        if isinstance(relation, MissingWhen) and not target.values:
            names.remove(relation.target)
        if not set(names) <= set(values) or math.prod(len(values[name]) for name in names) > _MOST_COMBINATIONS:
            continue
        rows = pd.DataFrame(list(itertools.product(*(values[name] for name in names))), columns=names)
        try:
            cells = pd.DataFrame({name: plan.cells.asked(name, rows[name]) for name in names})
            if isinstance(relation, MissingWhen):  # of the cell that may be missing, all that counts is whether it is
                gaps = relation.must_be_missing(cells)
                contradicts = target is not _ANY and not bool((gaps if target.missing else ~gaps).any())
            else:
                contradicts = bool(relation.breaks(cells).all())
        except (UserError, TypeError, ValueError):  # values that no cell holds are refused elsewhere
            continue
        if contradicts:
            raise ConditionError(
                f"must be asked for so that {relation} can hold, found values that break it",
                f"column {relation.columns[-1]!r}",
            )


def _stands_for(plan: Reduction, step: Step, name: Any, condition: Condition) -> dict[Any, Condition]:
    match step:
        case Equal():
            return {step.source: plan.cells.asked_of_equal(step.source, step.target, condition)}
        case OneHot() if condition.form == "in" and len(condition.values) == 1 and condition.values[0] in (1, "1"):
            return {step.group[0]: Condition.of(str(name))}
        case Dependency(by=(by,)) if not plan.cells.is_number(by):
            rows = step.table or ()
            met = plan.cells.cells_that_meet(name, [row[-1] for row in rows], condition)
            keys = [row[0] for row, meets in zip(rows, met, strict=True) if meets]
            if not keys:
                raise ConditionError(Problem(f"column {name!r}", f"no row can meet the condition: {step}"))
            return {by: Condition.of(keys)}
        case Clock() if condition.form in ("range", "in") and not condition.missing:
            days = np.floor(np.array(plan.cells.ends(name, condition)) / DAY) * DAY
            return {name: Condition.of(("between", *plan.cells.write(name, days, inside=False).tolist()))}
        case Clock():
            return {name: condition}
        case Distance() if condition.form in ("range", "in") and not condition.missing:
            low, high = plan.cells.ends(name, condition)
            reach = step.reach * step.size
            low, high = (low - reach, high) if step.sign > 0 else (low, high + reach)
            ends = np.clip([low, high], *plan.cells.ends(step.base))
            return {step.base: Condition.of(("between", *plan.cells.write(step.base, ends).tolist()))}
    return {}
