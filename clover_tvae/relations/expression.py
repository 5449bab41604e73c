"""Expressions over the columns of a table, such as ``low <= high or is_missing(high)``: read by a grammar, never run.

Names are columns (in backticks where they are no Python names; ``column(0)`` where the name is a number). There are numbers, texts, ``True``, ``False``;
``+ - * / // %``, comparisons, ``in`` a list of values, ``and``, ``or``, ``not``; ``abs``, ``floor``, ``ceil``, ``log``, ``log10``,
``round``, ``min``, ``max``; ``is_missing``; parts of dates (``year``, ``weekday``: Monday is 0, ...), ``date``, the day
of a time, and ``age(birth, date)``, the complete years between. A date minus another is a number of days. A time such as
1730 is ``clock(minutes)`` (``clock24``: midnight is 2400, not 0), and ``minutes_of(clock)`` are its minutes. Nothing else
is an expression.
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
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.errors import ColumnTypeError
from clover_tvae.relations.reading import cells_read, holds

MAX_CHARACTERS = 2_000
_MAX_DEPTH = 40
TARGET = "quoted_0_"  # a name in a tree that no text can hold: quoted names have odd numbers
PARTS = ("year", "quarter", "month", "day", "dayofyear", "weekday", "hour", "minute")
"""The parts of a date that are functions."""
_OF_PANDAS = {"dayofyear": "day_of_year", "weekday": "day_of_week"}  # what pandas calls otherwise

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Mod: np.mod,
    ast.FloorDiv: np.floor_divide, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "abs": ("abs(number)", lambda x: np.abs(_number(x))),
    # 2.9999999999 is a 3 that was computed
    "floor": ("floor(number)", lambda x: np.floor(_number(x) + 1e-9 * np.maximum(np.abs(_number(x)), 1))),
    "ceil": ("ceil(number)", lambda x: np.ceil(_number(x) - 1e-9 * np.maximum(np.abs(_number(x)), 1))),
    "log": ("log(number)", lambda x: _log(np.log, x)),
    "log10": ("log10(number)", lambda x: _log(np.log10, x)),
    "round": ("round(number)", lambda x: np.round(_number(x))),
    "min": ("min(number, number ...)", lambda *xs: functools.reduce(np.minimum, map(_number, xs))),
    "max": ("max(number, number ...)", lambda *xs: functools.reduce(np.maximum, map(_number, xs))),
    "clock": ("clock(minutes)", lambda x: hours_and_minutes(_number(x) % 1_440)),
    "clock24": ("clock24(minutes)", lambda x: hours_and_minutes((_number(x) - 1) % 1_440 + 1)),
    "minutes_of": ("minutes_of(clock)", lambda x: _number(x) // 100 * 60 + _number(x) % 100),
    "date": ("date(time)", lambda x: _days(_date(x))),
    "age": ("age(birth, date)", lambda birth, date: _complete_years(birth, date)),
}
_FUNCTIONS |= {
    part: (f"{part}(date)", functools.partial(lambda name, x: np.asarray(getattr(_date(x), name), float), name))
    for part, name in ((part, _OF_PANDAS.get(part, part)) for part in PARTS)
}
"""How each function is written, and what it computes."""
_HINTS = {"=": "==", "&": "and", "&&": "and", "|": "or", "||": "or", "~": "not", "!": "not"}

_INNER = re.compile(r"quoted_\d+_")
# Texts, in which backticks are no names; names in backticks; names that are numbers.
_PARTS = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`]|``)+`|\bcolumn\(\s*-?\d+\s*\))""")
_WORD = re.compile(r"\w+|\*\*|//|<<|>>|&&|\|\||[^\w\s]")

Rule = Callable[[pd.DataFrame], Any]


def quoted(name: Any) -> str:
    """Return a column's name as expressions write it."""
    if isinstance(name, int):
        return f"column({name})"
    if name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and not _INNER.search(name):
        return name
    return "`" + name.replace("`", "``") + "`"


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
        self._quoted: dict[str, Any] = {}  # the names that Python could not read
        self._given: dict[str, str] = {}  # and how they are written
        self._needed: dict[Any, bool] = {}
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"must have at most {MAX_CHARACTERS} characters, found {len(text)}")
        parts = _PARTS.split(text)
        for i, part in enumerate(parts):
            if i % 2 == 0:
                parts[i] = part.replace("\n", " ")
            elif part[0] not in "'\"":
                parts[i], name = f"quoted_{i}_", part[1:-1].replace("``", "`")
                self._given[parts[i]], self._quoted[parts[i]] = part, name if part[0] == "`" else int(part[7:-1])
        if any(_INNER.search(part) for part in parts[::2]):
            raise ValueError("must write a name such as quoted_1_ in backticks, found it without")
        self._source = "".join(parts).strip()
        self._n_before = len(text) - len(text.lstrip())
        if "#" in (odd := "".join(parts[::2])):
            raise ValueError(f"must hold no comments, found '#' {odd.count('#')} times")
        try:
            with warnings.catch_warnings():  # one would quote the expression
                warnings.simplefilter("ignore")
                self.tree: ast.expr = ast.parse(self._source, mode="eval").body
        except SyntaxError as error:
            at = error.offset - 1 if error.offset else len(self._source)
            raise self._fault("must be an expression over columns", at) from None
        except (ValueError, RecursionError, MemoryError):
            raise ValueError("must be an expression over columns, found text that cannot be read as one") from None
        self._rule = self._read(self.tree)
        if not self._needed:
            raise ValueError("must name a column, found none")

    def _fault(self, rule: str, at: int | ast.expr, *, after: bool = False) -> ValueError:
        """Return the error that says what must be, the word that is found instead, and its place in the text.

        Args:
            at: The place in the text that is read, or a part of the tree.
            after: Whether the word is the one after that part.
        """
        if isinstance(at, ast.expr):
            n_bytes = (at.end_col_offset or 0) if after else at.col_offset
            at = len(self._source.encode()[:n_bytes].decode(errors="ignore"))
        word = _WORD.search(self._source.replace(")", " ") if after else self._source, at)
        if word is None:
            return ValueError(f"{rule}, found the end of the text")
        before = _INNER.sub(lambda match: self._given.get(match[0], match[0]), self._source[: word.start()])
        hint = f"; write {_HINTS[word[0]]!r}" if word[0] in _HINTS else ""
        found = self._given.get(word[0], word[0])
        return ValueError(f"{rule}, found {found!r} at character {self._n_before + len(before) + 1}{hint}")

    @property
    def columns(self) -> tuple[Any, ...]:
        """The columns that it names."""
        return tuple(self._needed)

    @property
    def needed(self) -> tuple[Any, ...]:
        """The columns whose cells must be there: all but those of which it only asks whether they are missing."""
        return tuple(name for name, needed in self._needed.items() if needed)

    @property
    def is_truth(self) -> bool:
        """Whether it is true or false in each row; of a column alone, its cells tell."""
        return _is_truth(self.tree)

    def evaluate(self, df: pd.DataFrame, read: Callable[[Any], Any] = lambda value: value) -> Any:
        """Return the value in each row.

        Args:
            read: Reads the values as what they must be; raises ``TypeError`` where they are not.

        Raises:
            ColumnTypeError: A column holds cells of which the expression cannot be true or false, or computed.
        """
        try:
            with np.errstate(all="ignore"):
                return np.broadcast_to(read(self._rule(df)), len(df))
        except (TypeError, ValueError, OverflowError) as error:
            found = ", ".join(f"{holds(df[name])}s in {name!r}" for name in self.columns)
            message = f"must compute with numbers or dates, compare like with like and join what is true or false, found {found}"
            raise ColumnTypeError(message, "expression") from error

    def numbers(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """Return the number in each row; raises as :meth:`evaluate` does."""
        return self.evaluate(df, _number)

    def truth(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Return whether it is true in each row; raises as :meth:`evaluate` does."""
        return self.evaluate(df, _true)

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
                return lambda df: cells_read(df[name])
            case ast.Constant(value=str() | bool() as value):
                return lambda df: value
            case ast.Constant(value=int() | float() as number) if abs(number) < 2**53:
                return lambda df: float(number)
            case ast.BinOp(right=ast.Constant(value=0), op=ast.Div() | ast.FloorDiv() | ast.Mod()):
                raise self._fault("must divide by something that is not always 0", node.right)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                if isinstance(node.op, ast.Sub) and _is_day(node.left) and _is_day(node.right):
                    one, other = (_clock_day(read(side.args[0])) for side in (node.left, node.right))
                    return _arithmetic(ast.Sub, one, other)
                return _arithmetic(type(node.op), read(node.left), read(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return _arithmetic(ast.Sub, lambda df: 0.0, read(node.operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand) | ast.BoolOp(values=[operand, *_]):
                operands = node.values if isinstance(node, ast.BoolOp) else [operand]
                for part in operands:
                    if not _is_truth(part):
                        raise self._fault("must join comparisons by 'and', 'or', 'not'", part)
                rules = [read(part) for part in operands]
                if isinstance(node, ast.UnaryOp):
                    return lambda df: ~_true(rules[0](df))
                both = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                return lambda df: functools.reduce(both, [_true(rule(df)) for rule in rules])
            case ast.Compare():
                return self._compared(node, read)
            case ast.Call(func=ast.Name(id="is_missing")):
                if len(node.args) != 1 or not isinstance(node.args[0], ast.Name) or node.keywords:
                    raise self._fault("must be written as is_missing(column)", node)
                asked = self.name(node.args[0])
                self._needed.setdefault(asked, False)
                return lambda df: df[asked].isna().to_numpy(dtype=bool)
            case ast.Call(func=ast.Name(id=called)) if called in _FUNCTIONS:
                written, compute = _FUNCTIONS[called]
                n_least = written.count(",") + 1
                if node.keywords or len(node.args) < n_least or (len(node.args) > n_least and "..." not in written):
                    raise self._fault(f"must be written as {written}", node)
                arguments = [read(argument) for argument in node.args]
                return lambda df: compute(*(argument(df) for argument in arguments))
        parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        first = min(parts, key=lambda part: part.col_offset, default=node)
        is_between = isinstance(node, ast.BinOp | ast.IfExp | ast.Attribute | ast.Subscript)
        rule = (
            "must be made of columns, numbers, texts, + - * / // %, comparisons, 'and', 'or', 'not' and known functions"
        )
        raise self._fault(rule, first if is_between else node, after=is_between)

    def _compared(self, node: ast.Compare, read: Callable[[ast.expr], Rule]) -> Rule:
        """Return what compares each value with the next; every value is read and computed once."""
        sides: list[Rule] = [read(node.left)]
        steps: list[Callable[[Any, Any], Any]] = []
        for op, (left, right) in zip(node.ops, itertools.pairwise([node.left, *node.comparators]), strict=True):
            if not any(isinstance(part, ast.Name) for side in (left, right) for part in ast.walk(side)):
                raise self._fault("must compare with a column", left)
            match op, right:
                case ast.In() | ast.NotIn(), ast.Tuple(elts=[_, *_] as items) | ast.List(elts=[_, *_] as items):
                    if len(node.ops) > 1:
                        raise self._fault("must end a comparison with 'in' and a list; join others with 'and'", left)
                    values = [item.value for item in items if isinstance(item, ast.Constant)]
                    if len(values) < len(items):
                        raise self._fault("must list plain values after 'in'", right)
                    return lambda df: pd.Series(sides[0](df)).isin(values).to_numpy() == isinstance(op, ast.In)
                case _ if type(op) in _OPERATORS:
                    sides.append(read(right))
                    steps.append(functools.partial(_comparison, _OPERATORS[type(op)]))
                case _:
                    raise self._fault("must compare by < <= > >= == != or 'in' a list of values", left, after=True)

        def rule(df: pd.DataFrame) -> Any:
            values = [side(df) for side in sides]
            held = [step(*pair) for step, pair in zip(steps, itertools.pairwise(values), strict=True)]
            return functools.reduce(np.logical_and, held)

        return rule


def _is_truth(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.BoolOp() | ast.Name() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Call(func=ast.Name(id="is_missing")):
            return True
    return False


def _is_day(node: ast.expr) -> TypeGuard[ast.Call]:
    """Return whether an expression is ``date(time)``."""
    match node:
        case ast.Call(func=ast.Name(id="date"), args=[_], keywords=[]):
            return True
    return False


def _clock_day(time: Rule) -> Rule:
    """Return the day as the clocks of its zone tell it: one of 23 or 25 hours counts as any other."""
    return lambda df: _date(time(df)).tz_localize(None).normalize()


def _true(value: Any) -> NDArray[np.bool_]:
    """Return what is true or false as such: comparisons, and cells of 0 and 1."""
    made = np.asarray(value)
    if made.dtype != bool and not (np.isnan(cells := _number(made)) | (cells == 0) | (cells == 1)).all():
        raise TypeError(made.dtype)
    return made.astype(bool)


def _arithmetic(op: type, left: Rule, right: Rule) -> Rule:
    def rule(df: pd.DataFrame) -> Any:
        first, second = left(df), right(df)
        if op is ast.Sub and (_is_date(first) or _is_date(second)):
            # Nanoseconds would end in 292 years.
            later, earlier = _date(first, second).as_unit("us"), _date(second, first).as_unit("us")
            return np.asarray((later - earlier) / np.timedelta64(1, "D"))
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
        each_row = np.zeros(len(np.atleast_1d(beside)), int)
        return pd.DatetimeIndex([value]).tz_localize(getattr(beside, "tz", None))[each_row]
    if not _is_date(value) and not (isinstance(value, np.ndarray) and pd.isna(value).all()):
        raise TypeError(type(value))
    return value if _is_date(value) else pd.DatetimeIndex(np.full(len(value), "NaT", "M8[s]"))


def _days(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return when the day of each time begins in its zone: of two midnights the first, and of none what comes after it."""
    days = times.tz_localize(None).normalize()
    if times.tz is None:
        return days
    # pandas looks at the days around each, and years are those of Python: clocks of 400 years on, or before, are the same.
    aside = (146_097 * 86_400 * np.subtract(days.year <= 1, days.year >= 9999, dtype=int)).astype("m8[s]")
    first = np.ones(len(days), dtype=bool)
    return (days + aside).tz_localize(times.tz, ambiguous=first, nonexistent="shift_forward") - aside


def hours_and_minutes(minutes: Any) -> Any:
    """Return minutes since midnight as a time of the clock, such as 1730."""
    return minutes // 60 * 100 + minutes % 60


def _complete_years(birth: Any, date: Any) -> Any:
    first, last = _date(birth, date), _date(date, birth)
    born, now = (np.asarray(at.month * 100 + at.day) for at in (first, last))
    return np.asarray(last.year, dtype=np.float64) - np.asarray(first.year, dtype=np.float64) - (now < born)


def _log(of: Callable[..., Any], value: Any) -> Any:
    """Return a logarithm, missing of what has none."""
    number = _number(value)
    return of(np.where(number > 0, number, np.nan))


def _number(value: Any) -> Any:
    made = np.asarray(value)
    if made.dtype == object and pd.isna(made).all():
        return np.full(made.shape, np.nan)
    if made.dtype.kind not in "bif":
        raise TypeError(made.dtype)
    return made.astype(np.float64)
