"""Between which ends relations leave each column room, given conditions: interval arithmetic before a row is drawn.

References:
    Benhamou et al. 1999, Revising hull and box consistency (HC4): a comparison narrows each of its terms.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from clover_tvae.conditions import Condition
from clover_tvae.errors import ConditionError
from clover_tvae.reduction.plan import Distance, changed_by, made_by
from clover_tvae.reduction.reduced import Reduction
from clover_tvae.relations.computed import INVERSE, Computed, Equal, Predicate
from clover_tvae.relations.expression import MAX_CHARACTERS, Expression, hours_and_minutes, quoted, read_expression
from clover_tvae.relations.groups import OneHot
from clover_tvae.relations.lookup import Ranges
from clover_tvae.relations.order import Order
from clover_tvae.relations.relation import Relation, listed
from clover_tvae.transforms.numbers import OUTSIDE

_ROUNDS, _YEAR, _ALL = 8, 365.2425, (-math.inf, math.inf)
_Ends = tuple[float, float]


def check_room(plan: Reduction, asked: Mapping[Any, Condition], *, missing: bool = True) -> None:
    """Refuse conditions that leave a column no value, as far as orders, formulas and ranges tell.

    Args:
        missing: Whether cells may be missing; a relation says nothing of rows in which one of its cells is.

    Raises:
        ConditionError: With the relation and the columns that are asked for.
    """
    cells, free = plan.cells, set(map(changed_by, plan.corrected))  # these may lie beyond all that was seen
    free |= {name for step in plan.steps if not isinstance(step, Distance | OneHot) for name in made_by(step)}
    sure = {name for name, condition in asked.items() if not condition.missing}
    sure |= {c.name for c in plan.columns.transforms if not missing or c.layout.missing is None}
    for step in reversed(plan.steps):  # what is made of a missing cell is missing
        sure |= {*step.sources} if isinstance(step, Computed | Equal) and sure.issuperset(made_by(step)) else set()
    room = {name: _ALL if name in free or plan.is_repair else cells.bounds(name) for name in plan.columns.names}
    room |= {name: _both(room[name], cells.bounds(name, asked[name])) for name in asked if name in room}
    told = [
        (relation, read_expression(text), slack)
        for relation in plan.kept if sure.issuperset(relation.columns)
        for text, slack in _told(plan, relation, asked) if len(text) <= MAX_CHARACTERS
    ]  # fmt: skip
    for relation, of, slack in told * _ROUNDS if asked else ():
        if not all(_narrowed(of, *pair, room, slack) for pair in _comparisons(of.tree)):
            inside = asked.keys() & {*relation.columns}
            names = [name for name in asked if name in inside or len(inside) < 2]
            place = f"column{'s' * (len(names) > 1)} {listed(map(repr, names))}"
            text = f"must leave room for the relation '{relation}', found conditions that contradict it"
            raise ConditionError(text, place)
    for name, step in plan.distances.items():  # dates that are given may lie beyond these ends, but none is drawn there
        if step.ends and name in asked and asked[name].form == "range" and not asked[name].missing:
            low, high = cells.ends(name, asked[name])
            if low > step.ends[1] or high < step.ends[0]:
                raise ConditionError(OUTSIDE, f"column {name!r}")


def _told(plan: Reduction, relation: Relation, asked: Mapping[Any, Condition]) -> Iterator[tuple[str, float]]:
    """Yield what a relation says of numbers, as comparisons, and how far they may be off."""
    match relation:
        case Order(pairs=pairs):
            yield from ((f"{quoted(low)} <= {quoted(high)}", 0.0) for low, high in pairs)
        case Equal(share=1, when=None):
            yield f"{quoted(relation.source)} == {quoted(relation.target)}", 0.0
        case OneHot():
            yield f"{' + '.join(map(quoted, relation.group))} == 1", 0.0
        case Computed(words=None, decimals=decimals):
            slack = 0.0 if decimals is None else 0.5 * 10.0**-decimals
            yield f"{quoted(relation.target)} == ({relation.formula})", slack
        case Predicate():
            yield relation.expression, 0.0
        case Ranges(category=category, ranges=[*rows]) if category in asked and asked[category].form == "in":
            met = plan.cells.cells_that_meet(category, [row[0] for row in rows], asked[category])
            ends = [row[1:] for row, meets in zip(rows, met, strict=True) if meets]
            if len(ends) == len(set(asked[category].values)):  # of the others there is no range
                low, high = min(low for low, _ in ends), max(high for _, high in ends)
                yield f"{low!r} <= {quoted(relation.number)} <= {high!r}", 0.0


def _comparisons(tree: ast.expr) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    """Yield the comparisons that are all true: the lower side, the higher, and whether they are equal."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        yield from itertools.chain.from_iterable(map(_comparisons, tree.values))
    elif isinstance(tree, ast.Compare):
        for op, (left, right) in zip(tree.ops, itertools.pairwise([tree.left, *tree.comparators]), strict=True):
            if isinstance(op, ast.Lt | ast.LtE | ast.Eq):
                yield left, right, isinstance(op, ast.Eq)
            elif isinstance(op, ast.Gt | ast.GtE):
                yield right, left, False


def _narrowed(of: Expression, low: ast.expr, high: ast.expr, equal: bool, room: dict[Any, _Ends], slack: float) -> bool:
    """Narrow the columns of a comparison to where it can be true; whether that leaves room."""
    most, least = _wide(_ends(of, high, room), slack), _wide(_ends(of, low, room), slack)
    return _within(of, low, most if equal else (-math.inf, most[1]), room) and _within(
        of, high, least if equal else (least[0], math.inf), room
    )


def _ends(of: Expression, node: ast.expr, room: Mapping[Any, _Ends]) -> _Ends:
    """Return between which ends a term lies; dates are in days."""
    match node:
        case ast.Name():
            return room.get(of.name(node), _ALL)
        case ast.Constant(value=int() | float() as number):
            return number, number
        case ast.UnaryOp(op=ast.USub(), operand=term):
            return _computed(ast.Sub, (0.0, 0.0), _ends(of, term, room))
        case ast.BinOp(left=left, op=op, right=right):
            return _computed(type(op), _ends(of, left, room), _ends(of, right, room))
        case ast.Call(func=ast.Name(id="floor" | "ceil" | "round" | "date"), args=[term]):
            return _wide(_ends(of, term, room), 1.0)
        case ast.Call(func=ast.Name(id="clock" | "clock24" as called), args=[term]):
            least = int(called == "clock24")
            (first, low), (last, high) = (divmod(end - least, 1_440) for end in _ends(of, term, room))
            low, high = (hours_and_minutes(end + least) for end in (low, high))
            return (low, high) if first == last else (0.0, 2_400.0)
        case ast.Call(func=ast.Name(id="minutes_of"), args=[term]):
            low, high = (end // 100 * 60 + min(end % 100, 60) for end in _ends(of, term, room))
            return (low, high) if math.isfinite(high - low) else _ALL
        case ast.Call(func=ast.Name(id="year" | "quarter" | "month" as part), args=[date]):
            low, high = map(_months, _ends(of, date, room))
            years, size = np.floor(np.divide((low, high), 12)).tolist(), 3 if part == "quarter" else 1
            within = (low % 12, high % 12) if years[0] == years[1] else (0, 11)
            return (years[0], years[1]) if part == "year" else (within[0] // size + 1, within[1] // size + 1)
        case ast.Call(func=ast.Name(id="age"), args=[birth, date]):
            low, high = _computed(ast.Sub, _ends(of, date, room), _ends(of, birth, room))
            return float(np.floor(low / _YEAR - 0.01)), float(np.floor(high / _YEAR + 0.01))
    return _ALL


def _months(day: float) -> float:
    """Return the months from the year 0 to a day."""
    if not math.isfinite(day):
        return day
    moment = np.datetime64(int(np.floor(np.clip(day, -1e9, 1e9))), "D")
    return 1_970.0 * 12 + int(moment.astype("M8[M]").astype(np.int64))


def _computed(op: type, one: _Ends, other: _Ends) -> _Ends:
    """Return between which ends a sum, difference, product or ratio of two terms lies."""
    if op in (ast.Mult, ast.Div) and not (op is ast.Div and other[0] <= 0 <= other[1]):
        with np.errstate(invalid="ignore"):
            corners = np.nan_to_num(
                (np.multiply if op is ast.Mult else np.divide).outer(one, other), posinf=math.inf, neginf=-math.inf
            )
        return _wide((float(corners.min()), float(corners.max())))
    if op in (ast.Add, ast.Sub):
        low, high = other if op is ast.Add else (-other[1], -other[0])
        return _wide((one[0] + low, one[1] + high), 0.0, *one, *other)
    return _ALL


def _wide(ends: _Ends, slack: float = 0.0, *scale: float) -> _Ends:
    """Return ends moved apart, by the last digits of floats at least."""
    slack += 1e-9 * max([1.0, *(abs(end) for end in (*ends, *scale) if math.isfinite(end))])
    return ends[0] - slack, ends[1] + slack


def _both(one: _Ends, other: _Ends) -> _Ends:
    return max(one[0], other[0]), min(one[1], other[1])


def _within(of: Expression, node: ast.expr, wanted: _Ends, room: dict[Any, _Ends]) -> bool:
    """Narrow the columns of a term to where it lies between these ends; whether that leaves room."""
    wanted = _both(_ends(of, node, room), wanted)
    if wanted[0] > wanted[1]:
        return False
    match node:
        case ast.Name() if of.name(node) in room:
            room[of.name(node)] = wanted
        case ast.Call(func=ast.Name(id="floor" | "ceil" | "round" | "date"), args=[term]):
            return _within(of, term, _wide(wanted, 1.0), room)
        case ast.Call(func=ast.Name(id="year"), args=[date]):
            days = (wanted[0] - 1970) * _YEAR, (wanted[1] - 1969) * _YEAR
            return _within(of, date, _wide(days, 4.0), room)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in INVERSE:
            first, second = _ends(of, left, room), _ends(of, right, room)
            if not isinstance(op, ast.Div) or not second[0] <= 0 <= second[1]:  # a ratio to nothing is no number
                commutes = isinstance(op, ast.Add | ast.Mult)
                turned = (INVERSE[type(op)], wanted, first) if commutes else (type(op), first, wanted)
                back = _computed(INVERSE[type(op)], wanted, second), _computed(*turned)
                return _within(of, left, back[0], room) and _within(of, right, back[1], room)
    return True
