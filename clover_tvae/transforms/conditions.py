"""Conditions on one column, read from the forms that users write.

This module knows the grammar ``"F"``, ``["F", "M"]``, ``(">=", 65)``, ``("between", 18, 30)``, ``None``,
``("not missing",)`` and single cells. It knows no column: what a condition means for its cells is the transform's business.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.cells import is_missing
from clover_tvae.errors import ConditionError, did_you_mean

__all__ = ["OPERATORS", "Requirement"]

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "between", "in", "missing", "not missing")


@dataclass(frozen=True)
class Requirement:
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

    form: str
    values: tuple[Any, ...] = ()
    missing: bool = False
    low: Any = None
    high: Any = None
    above: bool = False
    below: bool = False

    @classmethod
    def of(cls, condition: Any) -> Requirement:
        """Read a condition.

        Args:
            condition: A value, a list or set of values, ``None`` (missing), or a tuple that starts with an operator.

        Raises:
            ConditionError: An unknown operator, or the wrong number of values after it.

        Example:
            >>> Requirement.of((">=", 65)).low
            65
            >>> Requirement.of(["F", None]).missing
            True
        """
        if isinstance(condition, Requirement):
            return condition
        if isinstance(condition, np.ndarray) and condition.ndim == 0:
            condition = condition.item()
        if not isinstance(condition, tuple):
            if isinstance(condition, (list, Set, np.ndarray, pd.Series, pd.Index)):
                return cls._in(list(condition))
            return cls._in([condition])
        if not condition or not isinstance(condition[0], str) or condition[0] not in OPERATORS:
            guess = did_you_mean(condition[0], OPERATORS) if condition and isinstance(condition[0], str) else ""
            raise ConditionError(
                f"a tuple must start with one of the operators {', '.join(OPERATORS)}{guess}; write several values as a list"
            )
        operator, operands = condition[0], condition[1:]
        expected = {"between": 2, "missing": 0, "not missing": 0}.get(operator, 1)
        if len(operands) != expected:
            raise ConditionError(f"operator {operator!r} takes {expected} value(s), found {len(operands)}")
        match operator:
            case "missing":
                return cls("in", missing=True)
            case "not missing":
                return cls("not missing")
            case "in":
                if isinstance(operands[0], (str, bytes)) or not hasattr(operands[0], "__iter__"):
                    raise ConditionError("operator 'in' takes a list of values")
                return cls._in(list(operands[0]))
            case "==":
                return cls._in([operands[0]])
            case "!=":
                return cls("not missing") if is_missing(operands[0]) else cls("not in", values=(operands[0],))
        if any(is_missing(operand) for operand in operands):
            raise ConditionError(f"operator {operator!r} cannot be used with a missing value")
        match operator:
            case "between":
                return cls("range", low=operands[0], high=operands[1])
            case ">=" | ">":
                return cls("range", low=operands[0], above=operator == ">")
            case _:
                return cls("range", high=operands[0], below=operator == "<")

    @classmethod
    def _in(cls, values: list[Any]) -> Requirement:
        if not values:
            raise ConditionError("an empty list of values: no row can meet it")
        known = tuple(value for value in values if not is_missing(value))
        return cls("in", values=known, missing=len(known) < len(values))
