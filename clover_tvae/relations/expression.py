"""Expressions over the columns of a table, such as ``low <= high or is_missing(high)``: read by a grammar, never run.

Names are columns (in backticks where they are no Python names). There are numbers, texts, ``True``, ``False``;
``+ - * / // %``, comparisons, ``in`` a list of values, ``and``, ``or``, ``not``; ``abs``, ``floor``, ``ceil``,
``round``, ``min``, ``max``; ``is_missing``; parts of dates (``year``, ``weekday``: Monday is 0, ...), ``date``, the day
of a time, and ``age(birth, date)``, the complete years between. A date minus another is a number of days. Nothing else is an expression.
"""

from __future__ import annotations

import ast
import functools
import itertools
import keyword
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.errors import ColumnTypeError, Problem
from clover_tvae.relations.reading import comparable, dates, holds

__all__ = ["MAX_CHARACTERS", "PARTS", "TARGET", "Expression", "quoted", "read_expression"]

MAX_CHARACTERS = 2_000
_MAX_DEPTH = 40
TARGET = "quoted_0_"  # a name in a tree that no text can hold: quoted names have odd numbers
PARTS = ("year", "quarter", "month", "day", "dayofyear", "weekday", "hour", "minute")
"""The parts of a date that are functions."""

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Mod: np.mod,
    ast.FloorDiv: np.floor_divide, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "floor": lambda x: np.floor(x + 1e-9 * np.maximum(np.abs(x), 1)),  # 2.9999999999 is a 3 that was computed
    "ceil": lambda x: np.ceil(x - 1e-9 * np.maximum(np.abs(x), 1)),
    "round": np.round,
}
_MANY: dict[str, Callable[..., Any]] = {"min": np.minimum, "max": np.maximum}

_INNER = re.compile(r"quoted_\d+_")
_PARTS = re.compile(r"(\"[^\"\\]*\"|'[^'\\]*'|`(?:[^`]|``)+`)")  # backticks inside a text are no names

Rule = Callable[[pd.DataFrame], Any]


def quoted(name: Any) -> str:
    """Return a column's name as expressions write it."""
    text = str(name)
    if text.isascii() and text.isidentifier() and not keyword.iskeyword(text) and not _INNER.search(text):
        return text
    return "`" + text.replace("`", "``") + "`"


@functools.lru_cache(maxsize=4096)
def read_expression(text: str) -> Expression:
    """Return an expression, read once."""
    return Expression(text)


class Expression:
    """An expression that was read.

    Args:
        text: The expression, of at most 2,000 characters.

    Raises:
        ValueError: It is no expression of this grammar.

    Example:
        >>> Expression("age >= 18 and `end date` > start").columns
        ('age', 'end date', 'start')
        >>> Expression("a * a").evaluate(pd.DataFrame({"a": [2, 3]}))
        array([4., 9.])
    """

    def __init__(self, text: str) -> None:
        self._quoted: dict[str, str] = {}
        self._needed: dict[str, bool] = {}
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"must have at most {MAX_CHARACTERS} characters, found {len(text)}")
        parts = _PARTS.split(text)
        if any(_INNER.search(part) for part in parts[::2]):
            raise ValueError("must write a name such as quoted_1_ in backticks, found it without")
        for i, part in enumerate(parts):
            if part.startswith("`"):
                parts[i] = f"quoted_{i}_"
                self._quoted[parts[i]] = part[1:-1].replace("``", "`")
        try:
            with warnings.catch_warnings(action="ignore"):  # one would quote the expression
                self.tree: ast.expr = ast.parse("".join(parts).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError("must be an expression over columns, found text that cannot be read as one") from None
        self._rule = self._read(self.tree)
        if not self._needed:
            raise ValueError("must name a column, found none")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names."""
        return tuple(self._needed)

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns whose cells must be there: all but those of which it only asks whether they are missing."""
        return tuple(name for name, needed in self._needed.items() if needed)

    def evaluate(self, df: pd.DataFrame) -> Any:
        """Return the value in each row.

        Raises:
            ColumnTypeError: A column holds cells of which the expression cannot be true or false, or computed.
        """
        try:
            with np.errstate(all="ignore"):
                return np.broadcast_to(self._rule(df), len(df))
        except (TypeError, ValueError) as error:
            message = "must compute with numbers or dates and compare like with like, found other cells"
            raise ColumnTypeError(Problem("expression", message, ColumnTypeError)) from error

    def name(self, node: ast.Name) -> str:
        """Return the column that a name in the tree means."""
        return self._quoted.get(node.id, node.id)

    def write(self, tree: ast.expr, target: Any) -> str:
        """Return a tree of these columns, and of the name ``TARGET`` for another, as text."""
        names = {**self._quoted, TARGET: target}
        return re.sub(r"quoted_\d+_", lambda match: quoted(names.get(match[0], match[0])), ast.unparse(tree))

    def _read(self, node: ast.expr, depth: int = 0) -> Rule:
        """Return what computes a part of the tree, if the grammar has it."""
        if depth > _MAX_DEPTH:
            raise ValueError(f"must be nested at most {_MAX_DEPTH} deep, found more")
        read = functools.partial(self._read, depth=depth + 1)
        match node:
            case ast.Name():
                name = self.name(node)
                self._needed[name] = True
                return lambda df: _cells(df[name])
            case ast.Constant(value=str() | bool() as value):
                return lambda df: value
            case ast.Constant(value=int() | float() as number) if abs(number) < 2**53:
                return lambda df: float(number)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return _arithmetic(type(node.op), read(node.left), read(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return _arithmetic(ast.Sub, lambda df: 0.0, read(node.operand))
            case ast.UnaryOp(op=ast.Not()):
                operand = read(node.operand)
                return lambda df: ~np.asarray(operand(df), dtype=bool)
            case ast.BoolOp():
                both = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                rules = [read(value) for value in node.values]
                return lambda df: functools.reduce(both, [np.asarray(rule(df), dtype=bool) for rule in rules])
            case ast.Compare():
                return self._compared(node, read)
            case ast.Call(func=ast.Name(id="is_missing"), args=[ast.Name() as argument], keywords=[]):
                asked = self.name(argument)
                self._needed.setdefault(asked, False)
                return lambda df: df[asked].isna().to_numpy(dtype=bool)
            case ast.Call(func=ast.Name(id=called), args=[argument], keywords=[]) if called in _FUNCTIONS:
                only = read(argument)
                return lambda df: _FUNCTIONS[called](_number(only(df)))
            case ast.Call(func=ast.Name(id=called), args=[_, _, *_], keywords=[]) if called in _MANY:
                values = [read(argument) for argument in node.args]
                return lambda df: functools.reduce(_MANY[called], [_number(value(df)) for value in values])
            case ast.Call(func=ast.Name(id=called), args=[argument], keywords=[]) if called in PARTS:
                moment = read(argument)
                return lambda df: np.asarray(getattr(_date(moment(df)), called), dtype=np.float64)
            case ast.Call(func=ast.Name(id="date"), args=[argument], keywords=[]):
                time = read(argument)
                return lambda df: _date(time(df)).normalize()
            case ast.Call(func=ast.Name(id="age"), args=[birth, at], keywords=[]):
                first, last = read(birth), read(at)
                return lambda df: _complete_years(first(df), last(df))
        raise ValueError(f"must be made of columns, values, operators and known functions, found {_told(node)}")

    def _compared(self, node: ast.Compare, read: Callable[[ast.expr], Rule]) -> Rule:
        """Return what compares each value with the next; every value is read and computed once."""
        sides: list[Rule] = [read(node.left)]
        steps: list[Callable[[Any, Any], Any]] = []
        for op, right in zip(node.ops, node.comparators, strict=True):
            match op, right:
                case ast.In() | ast.NotIn(), ast.Tuple(elts=[_, *_] as items) | ast.List(elts=[_, *_] as items):
                    if len(node.ops) > 1:
                        raise ValueError("must end a comparison with 'in' and a list, found more; join them with and")
                    values = [item.value for item in items if isinstance(item, ast.Constant)]
                    if len(values) < len(items):
                        raise ValueError("must list plain values after 'in', found others")
                    return lambda df: pd.Series(sides[0](df)).isin(values).to_numpy() == isinstance(op, ast.In)
                case _ if type(op) in _OPERATORS:
                    sides.append(read(right))
                    steps.append(functools.partial(_comparison, _OPERATORS[type(op)]))
                case _:
                    raise ValueError(f"must compare by < <= > >= == != or 'in' a list, found {type(op).__name__}")

        def rule(df: pd.DataFrame) -> Any:
            values = [side(df) for side in sides]
            return functools.reduce(
                np.logical_and, [step(*pair) for step, pair in zip(steps, itertools.pairwise(values), strict=True)]
            )

        return rule


def _told(node: ast.expr) -> str:
    return repr(node.func.id) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else type(node).__name__


def _cells(column: pd.Series) -> Any:
    return dates(column) if holds(column) == "date" else comparable(column)


def _arithmetic(op: type, left: Rule, right: Rule) -> Rule:
    def rule(df: pd.DataFrame) -> Any:
        first, second = left(df), right(df)
        if op is ast.Sub and (_is_date(first) or _is_date(second)):
            return np.asarray((_date(first, second) - _date(second, first)) / pd.Timedelta("1D"))
        return _OPERATORS[op](_number(first), _number(second))

    return rule


def _comparison(compare: Callable[..., Any], first: Any, second: Any) -> Any:
    """Compare two values row by row: a text beside a date is a date, a missing text is an empty one."""
    if _is_date(first) or _is_date(second):
        return np.asarray(compare(_date(first, second), _date(second, first)), dtype=bool)
    pair = [
        np.where(pd.isna(a), "", a) if isinstance(a, np.ndarray) and a.dtype == object else a for a in (first, second)
    ]
    return np.asarray(compare(*pair), dtype=bool)


def _is_date(value: Any) -> bool:
    return isinstance(value, pd.DatetimeIndex)


def _date(value: Any, beside: Any = None) -> pd.DatetimeIndex:
    """Return dates; a text is a date in the zone of what stands beside it, and a column of missing cells one of NaT."""
    if isinstance(value, str):
        return pd.DatetimeIndex([value]).tz_localize(getattr(beside, "tz", None))[
            np.zeros(len(np.atleast_1d(beside)), int)
        ]
    if not _is_date(value) and not (isinstance(value, np.ndarray) and pd.isna(value).all()):
        raise TypeError(type(value))
    return value if _is_date(value) else pd.DatetimeIndex(np.full(len(value), "NaT", "M8[s]"))


def _complete_years(birth: Any, date: Any) -> Any:
    first, last = _date(birth, date), _date(date, birth)
    born, now = (np.asarray(at.month * 100 + at.day) for at in (first, last))
    return np.asarray(last.year, dtype=np.float64) - np.asarray(first.year, dtype=np.float64) - (now < born)


def _number(value: Any) -> Any:
    made = np.asarray(value)
    if made.dtype == object and pd.isna(made).all():
        return np.full(made.shape, np.nan)
    if made.dtype.kind not in "bif":
        raise TypeError(made.dtype)
    return made.astype(np.float64)
