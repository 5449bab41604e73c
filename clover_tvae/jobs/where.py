"""Conditions written as text, ``age>=65`` or ``sex=F``, read against the columns that they speak of.

This module knows the kinds of columns and the forms of conditions that the synthesizer takes. It knows no network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clover_tvae.errors import ConditionError, Problem, did_you_mean

if TYPE_CHECKING:
    from clover_tvae.metadata import Metadata

__all__ = ["parse_where"]

# Longer operators first: "a>=1" is not "a" > "=1".
_OPERATORS = (">=", "<=", "!=", "==", "=", ">", "<")


def parse_where(
    texts: Sequence[str], metadata: Metadata, dtypes: Mapping[Any, Any] | None = None
) -> dict[Hashable, Any]:
    """Return the conditions that ``texts`` state together.

    ``COLUMN=VALUE``, ``COLUMN=A|B`` (any of them), ``COLUMN=`` (missing), ``COLUMN!=`` (not missing), and ``!=``, ``<``,
    ``<=``, ``>``, ``>=``. Two bounds on one column, ``age>=18`` and ``age<=30``, make a range.

    Args:
        texts: One condition each.
        metadata: The columns of the generator.
        dtypes: The dtypes of the table, where they are known: codes that are numbers, 1, are not the text "1".

    Raises:
        ConditionError: With every problem; no message quotes a value.

    Example:
        >>> from clover_tvae.metadata import Metadata
        >>> meta = Metadata.of({"continuous": ["age"], "categorical": ["sex"]})
        >>> parse_where(["age>=65", "sex=F|M"], meta)
        {'age': ('>=', 65), 'sex': ['F', 'M']}
    """
    found: dict[Hashable, Any] = {}
    problems: list[Problem] = []
    names = {str(column.name): column for column in metadata.modelled}
    for number, text in enumerate(texts, start=1):
        where = f"--where {number}"
        name, operator, operand = _split(text, names)
        if operator is None:
            problems.append(Problem(where, _no_column(text, names), ConditionError))
            continue
        column = names[name]
        try:
            read = _reader(column.kind, None if dtypes is None else dtypes.get(column.name))
            condition = _condition(operator, operand, column.kind, read)
            if column.name in found:
                condition = _range(found[column.name], condition)
            found[column.name] = condition
        except ValueError as error:
            problems.append(Problem(f"{where} (column {name!r})", str(error), ConditionError))
    if problems:
        raise ConditionError(problems)
    return found


def _split(text: str, names: Collection[str]) -> tuple[str, str | None, str]:
    # The longest name that fits: a column may be called "a" and another one "a=b".
    for name in sorted(names, key=len, reverse=True):
        if text.startswith(name):
            rest = text[len(name) :].lstrip(" ") if name else text
            for operator in _OPERATORS:
                if rest.startswith(operator):
                    return name, operator, rest[len(operator) :].strip(" ")
    return "", None, ""


def _no_column(text: str, names: Collection[str]) -> str:
    at = min((position for operator in _OPERATORS if (position := text.find(operator)) >= 0), default=-1)
    if at < 0:
        return "expected COLUMN=VALUE, or !=, <, <=, >, >= in place of ="
    guess = text[:at].strip()
    return f"the generator has no modelled column {guess!r}{did_you_mean(guess, names)}"


def _condition(operator: str, operand: str, kind: str, read: Callable[[str], Any]) -> Any:
    if operand == "":
        if operator in ("=", "=="):
            return None
        if operator == "!=":
            return ("not missing",)
        raise ValueError(f"expected a value after {operator}")
    if operator in ("=", "=="):
        values = [read(part) for part in operand.split("|")]
        return values[0] if len(values) == 1 else values
    if kind in ("categorical", "boolean") and operator != "!=":
        raise ValueError(f"a {kind} column has no order; use = or !=")
    return (operator, read(operand))


def _reader(kind: str, dtype: Any) -> Callable[[str], Any]:
    """Return what turns the text of an operand into a cell of the column."""
    cells = getattr(getattr(dtype, "categories", dtype), "dtype", dtype)
    code = getattr(cells, "kind", "O")
    if kind == "boolean" or code == "b":
        return _truth
    return _number if kind == "continuous" or code in "iuf" else str


def _number(text: str) -> int | float:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    raise ValueError("expected a number")


def _truth(text: str) -> bool | str:
    return text.lower() == "true" if text.lower() in ("true", "false") else text


def _range(first: Any, second: Any) -> Any:
    """Join ``>=`` and ``<=`` of one column."""
    bounds = {c[0]: c[1] for c in (first, second) if isinstance(c, tuple) and len(c) == 2}
    if set(bounds) == {">=", "<="}:
        return ("between", bounds[">="], bounds["<="])
    raise ValueError("two conditions on one column; only >= with <= go together, and A|B gives several values")
