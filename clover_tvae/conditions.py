"""Conditions on the cells of one column: what users ask of the rows that are drawn.

A condition is written in Python (``(">=", 65)``), in YAML (``{">=": 65}``) or as text (``age>=65``). All three become one
``Condition``, and ``Condition.check`` is the one check of a condition against what a column holds. Which cells were seen in
training, the transform of the column knows.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import re
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from clover_tvae.columns.cells import is_missing, is_number, plain_cell
from clover_tvae.columns.dtypes import located
from clover_tvae.errors import ColumnTypeError, ConditionError, Problem, did_you_mean
from clover_tvae.metadata import Metadata
from clover_tvae.metadata.readings import has_reading, read_column

__all__ = ["OPERATORS", "Condition", "as_read", "conditions_of", "number_of", "read_conditions"]

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "between", "in", "missing", "not missing")
_N_OPERANDS = {"between": 2, "missing": 0, "not missing": 0}
# In text, longer operators first: "a>=1" is not "a" > "=1".
_TEXT_OPERATORS = ">=|<=|!=|==|=|>|<"


@dataclass(frozen=True)
class Condition:
    """What a cell must be.

    Args:
        form: ``in`` (one of ``values``), ``not in``, ``range`` or ``not missing``.
        values: The values of ``in`` and ``not in``, none of them missing.
        missing: Whether a missing cell meets the condition too (only with ``in``).
        low: Lower end of a range, ``None`` for open.
        high: Upper end of a range, ``None`` for open.
        above: Whether the lower end itself is left out.
        below: Whether the upper end itself is left out.
    """

    form: Literal["in", "not in", "range", "not missing"]
    values: tuple[Any, ...] = ()
    missing: bool = False
    low: Any = None
    high: Any = None
    above: bool = False
    below: bool = False

    @classmethod
    def of(cls, condition: Any) -> Condition:
        """Read a condition as it is written in Python.

        Args:
            condition: A value, a list or set of values, ``None`` (missing), or a tuple that starts with an operator.

        Raises:
            ConditionError: An unknown operator, or the wrong values after it.

        Example:
            >>> Condition.of((">=", 65)).low
            65
            >>> Condition.of(["F", None]).missing
            True
        """
        if isinstance(condition, Condition):
            return condition
        if isinstance(condition, Mapping):
            rule = 'a comparison must be a tuple, such as (">=", 65) or ("between", 18, 30)'
            raise ConditionError(f"{rule}, found a dict")
        if isinstance(condition, np.ndarray) and condition.ndim == 0:
            condition = condition.item()
        if not isinstance(condition, tuple):
            several = isinstance(condition, list | Set | np.ndarray | pd.Series | pd.Index)
            condition = ("in" if several else "==", condition)
        operator, operands = next(iter(condition), None), list(condition[1:])
        if not isinstance(operator, str) or operator not in OPERATORS:
            found = type(operator).__name__
            if isinstance(operator, str):
                found = f"{operator!r}{did_you_mean(operator, OPERATORS)}"
            message = f"the operator of a tuple must be one of {', '.join(OPERATORS)}, found {found}"
            raise ConditionError(f"{message}; write several values as a list")
        if len(operands) != (expected := _N_OPERANDS.get(operator, 1)):
            form = f": write ({operator!r}, LOW, HIGH)" if expected == 2 else ""
            raise ConditionError(f"{operator!r} must have {expected} value(s), found {len(operands)}{form}")
        if operator == "in":
            if isinstance(operands[0], str | bytes | Mapping) or not hasattr(operands[0], "__iter__"):
                raise ConditionError(f"'in' must have a list of values, found {type(operands[0]).__name__}")
            operands = list(operands[0])
            if not operands:
                raise ConditionError("a list must hold at least one value, found none: no row can meet it")
        for operand in operands:
            if isinstance(operand, list | tuple | Set | Mapping | np.ndarray):
                raise ConditionError(f"{operator!r} must have single values, found {type(operand).__name__}")
        known = tuple(operand for operand in operands if not is_missing(operand))
        match operator:
            case "in" | "==" | "missing":
                return cls("in", known, missing=len(known) < len(operands) or operator == "missing")
            case "not missing":
                return cls("not missing")
            case "!=":
                return cls("not in", known) if known else cls("not missing")
        if len(known) < len(operands):
            raise ConditionError(f"{operator!r} must have values to compare with, found a missing value")
        low = operands[0] if operator in ("between", ">=", ">") else None
        high = operands[-1] if operator in ("between", "<=", "<") else None
        return cls("range", low=low, high=high, above=operator == ">", below=operator == "<")

    @classmethod
    def of_yaml(cls, written: Any) -> Condition:
        """Read a condition as it is written in a job file.

        Args:
            written: A value, a list of values, ``None`` (missing), or a mapping of one operator: ``{">=": 65}``,
                ``{"between": [18, 30]}``, ``{"missing": False}``.

        Raises:
            ConditionError: Another mapping, or what :meth:`of` refuses.

        Example:
            >>> Condition.of_yaml({"between": [18, 30]}) == Condition.of(("between", 18, 30))
            True
        """
        if not isinstance(written, Mapping):
            return cls.of(list(written) if isinstance(written, tuple) else written)
        if len(written) != 1:
            raise ConditionError(f'a comparison must be one operator, such as {{">=": 65}}, found {len(written)}')
        ((operator, operand),) = written.items()
        if operator == "missing":
            if not isinstance(operand, bool):
                raise ConditionError(f"'missing' must be true or false, found {type(operand).__name__}")
            return cls.of(("missing",) if operand else ("not missing",))
        operands = operand if operator == "between" and isinstance(operand, list) else [operand]
        return cls.of((operator, *operands))

    def check(self, kind: str, cells: Literal["number", "truth", "other"] | None = None) -> None:
        """Refuse a condition that no cell of such a column can meet, whatever the values of the column are.

        Args:
            kind: Kind of the column in the metadata; ``ordinal`` for every column whose categories have an order.
            cells: What the cells are; ``None`` where it is not known yet.

        Raises:
            ConditionError: A range without an order, or values of another type than the column's.
        """
        ends = [end for end in (self.low, self.high) if end is not None]
        for value in (*self.values, *ends):
            # These are the user's own words: data stand in no condition.
            found, wanted = f"{value!r:.60}" if isinstance(value, str) else type(value).__name__, None
            is_date = isinstance(value, str | datetime.date | np.datetime64)
            if kind == "datetime" and not is_date and not (cells == "number" and is_number(value)):
                wanted = "a date, such as 2024-12-31"
            elif kind == "continuous":
                if not (is_number(value) or (cells != "number" and isinstance(value, bool | np.bool_))):
                    wanted = "a number, such as 65"
                elif isinstance(value, int) and abs(value) > sys.float_info.max:
                    wanted, found = "within the range of 64-bit floats", "one beyond it"
                elif not math.isfinite(value):
                    wanted, found = "finite", "an infinite one"
            if wanted is not None:
                raise ConditionError(f"the value must be {wanted}, found {found}")
        if kind in ("categorical", "boolean") and ends and cells is not None:
            if cells != "number":
                raise ConditionError(
                    f"a range must be of numbers, dates or ordered categories, found {kind} cells; list the categories"
                )
            if odd := {type(end).__name__ for end in ends if not is_number(end)}:
                raise ConditionError(f"the ends of the range must be numbers, found {', '.join(sorted(odd))}")
        if kind == "continuous" and len(ends) == 2 and ends[0] > ends[1]:
            raise ConditionError("a range must have its lower end first, found the higher one")


def conditions_of(conditions: Mapping[Hashable, Any]) -> dict[Hashable, Condition]:
    """Return what was asked of each column.

    Raises:
        ConditionError: With the column of every condition that is none.

    Example:
        >>> conditions_of({"age": (">=", 65)})["age"].low
        65
    """
    found, problems = dict[Hashable, Condition](), list[Problem]()
    for name, condition in conditions.items():
        try:
            found[name] = Condition.of(condition)
        except ConditionError as error:
            problems += located(error, name)
    ConditionError.raise_any(problems)
    return found


def as_read(metadata: Metadata, conditions: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
    """Return conditions with their texts as the columns read them: ``"70 kg"`` is 70 where the column says so.

    Example:
        >>> from clover_tvae.metadata import Metadata
        >>> meta = Metadata.of({"boolean": {"smokes": {"true": "yes", "false": "no"}}})
        >>> as_read(meta, {"smokes": "Yes"})["smokes"].values
        (True,)
    """
    columns = {column.name: column for column in metadata.columns if has_reading(column)}

    def asked(name: Hashable, condition: Any) -> Any:
        def read(value: Any) -> Any:
            if not isinstance(value, str):
                return value
            try:
                cell = read_column(pd.Series([value], dtype=object), columns[name]).iloc[0]
            except ColumnTypeError:
                return value
            return None if is_missing(cell) else plain_cell(cell)

        if name not in columns:
            return condition
        try:
            made = Condition.of(condition)
        except ConditionError:  # told with the others
            return condition
        values = [read(value) for value in made.values]
        known = tuple(value for value in values if value is not None)
        missing = made.missing or (made.form == "in" and len(known) < len(values))
        return replace(made, values=known, missing=missing, low=read(made.low), high=read(made.high))

    return {name: asked(name, condition) for name, condition in conditions.items()}


def number_of(cell: Any) -> Any:
    """Return a cell as a number: itself, or what its text reads as; ``None`` for anything else.

    Example:
        >>> [number_of(cell) for cell in (3, "3", "-2.5", "1_0", "nan", "x")]
        [3, 3, -2.5, None, None, None]
    """
    if not isinstance(cell, str):
        return cell if is_number(cell) else None
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            number = kind(cell)
            return number if math.isfinite(number) and "_" not in cell else None
    return None


def read_conditions(
    texts: Sequence[str],
    metadata: Metadata,
    dtypes: Mapping[Any, Any] | None = None,
    check: Callable[[Mapping[Hashable, Condition]], object] = lambda conditions: None,
) -> dict[Hashable, Condition]:
    """Return the conditions that texts state together.

    ``COLUMN=VALUE``, ``COLUMN=A|B`` (any of them), ``COLUMN=`` (missing), ``COLUMN!=`` (not missing), and ``!=``, ``<``,
    ``<=``, ``>``, ``>=``. Two bounds on one column, ``age>=18`` and ``age<=30``, make a range.

    Args:
        texts: One condition each.
        metadata: The columns of the generator.
        dtypes: The dtypes of the table, where they are known: codes that are numbers, 1, are not the text "1".
        check: Refuses conditions that no row could meet, such as ``TVAESynthesizer.check_conditions``.

    Raises:
        ConditionError: With every problem.

    Example:
        >>> from clover_tvae.metadata import Metadata
        >>> meta = Metadata.of({"continuous": ["age"], "categorical": ["sex"]})
        >>> read_conditions(["age>=65", "sex=F|M"], meta)["sex"].values
        ('F', 'M')
    """
    found: dict[Hashable, Condition] = {}
    problems: list[Problem] = []
    columns = {str(column.name): column for column in metadata.modelled}
    # The longest name that fits: a column may be called "a" and another one "a=b".
    names = "|".join(map(re.escape, sorted(columns, key=len, reverse=True)))
    pattern = re.compile(f"({names}) *({_TEXT_OPERATORS}) *(.*?) *", re.DOTALL)
    for number, text in enumerate(texts, start=1):
        where = f"--where {number} ({text!r:.80})"
        if (parts := pattern.fullmatch(text)) is None:
            guess = re.match(f"(.*?)({_TEXT_OPERATORS})", text, re.DOTALL)
            message = "a condition must be COLUMN=VALUE, or with !=, <, <=, >, >= in place of =, found none of them"
            if guess is not None:
                name = guess[1].strip()
                message = f"the generator has no modelled column {name!r}{did_you_mean(name, columns)}"
            problems.append(Problem(where, message))
            continue
        column = columns[parts[1]]
        try:
            condition = _of_text(parts[2], parts[3], column.kind, None if dtypes is None else dtypes.get(column.name))
            condition = _both(found[column.name], condition) if column.name in found else condition
            check({column.name: condition})
            found[column.name] = condition
        except ConditionError as error:
            problems += [Problem(where, problem.message) for problem in error.problems]
    ConditionError.raise_any(problems)
    return found


def _of_text(operator: str, operand: str, kind: str, dtype: Any) -> Condition:
    equal, cells = operator in ("=", "=="), getattr(getattr(dtype, "categories", dtype), "dtype", dtype)
    code = getattr(cells, "kind", "O")
    if operand == "" and (equal or operator == "!="):
        return Condition.of(("missing",) if equal else ("not missing",))
    if operand == "":
        raise ConditionError(f"{operator} must have a value after it, found none")
    family: Literal["number", "truth"] | None = "truth" if code == "b" else "number" if code in "iuf" else None
    if getattr(dtype, "ordered", False):
        kind = "ordinal"

    def read(text: str) -> Any:
        if family == "truth" or (kind == "boolean" and family is None):
            return {"true": True, "false": False}.get(text.lower(), text)
        # A range of categories that have no order can only be one of numbers.
        if kind == "continuous" or family == "number" or (kind == "categorical" and not equal and operator != "!="):
            return text if (number := number_of(text)) is None else number
        return text

    condition = Condition.of([read(part) for part in operand.split("|")] if equal else (operator, read(operand)))
    condition.check(kind, family)
    return condition


def _both(first: Condition, second: Condition) -> Condition:
    """Join a lower and an upper bound of one column."""
    lower, upper = (first, second) if first.high is None else (second, first)
    if first.form == second.form == "range" and lower.high is None and upper.low is None:
        return replace(lower, high=upper.high, below=upper.below)
    raise ConditionError(
        "a column must have one condition, or a lower and an upper bound, found others; A|B gives several values"
    )
