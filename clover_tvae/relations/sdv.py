"""The constraints of SDV's metadata as relations, and the other way, one to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from clover_tvae.errors import MetadataError, did_you_mean
from clover_tvae.relations.computed import Predicate
from clover_tvae.relations.expression import quoted
from clover_tvae.relations.groups import Increments, OneHot
from clover_tvae.relations.lookup import Combinations
from clover_tvae.relations.order import Inequality
from clover_tvae.relations.relation import Relation

_MADE: dict[str, tuple[tuple[str, ...], bool | None, Callable[..., Relation]]] = {
    "Inequality": (("low_column_name", "high_column_name"), False, lambda s, *names: Inequality(ascending=names, strict=s == "<")),
    "Range": (
        ("low_column_name", "middle_column_name", "high_column_name"), True,
        lambda s, *names: Inequality(ascending=names, strict=s == "<"),
    ),
    "FixedCombinations": (("column_names",), None, lambda s, names: Combinations(among=tuple(names))),
    "FixedIncrements": (("column_name", "increment_value"), None, lambda s, name, step: Increments(column=name, step=step)),
    "OneHotEncoding": (("column_names",), None, lambda s, names: OneHot(group=tuple(names))),
    "ScalarInequality": (
        ("column_name", "relation", "value"), None, lambda s, name, sign, value: _predicate(quoted(name), sign, repr(value)),
    ),
    "ScalarRange": (
        ("column_name", "low_value", "high_value"), True,
        lambda s, name, low, high: _predicate(repr(low), s, quoted(name), s, repr(high)),
    ),
    "Positive": (("column_name",), False, lambda s, name: _predicate("0", s, quoted(name))),
    "Negative": (("column_name",), False, lambda s, name: _predicate(quoted(name), s, "0")),
}  # fmt: skip
"""The parameters of each constraint, what ``strict_boundaries`` is where it is left out, and how it is made of its sign."""

CONSTRAINTS = {name: parameters for name, (parameters, _, _) in _MADE.items()}
"""SDV's constraints that are relations here, and the parameters that each must have."""


def _predicate(*parts: str) -> Predicate:
    return Predicate(expression=" ".join(parts))


def from_constraint(name: str, parameters: Mapping[str, Any]) -> Relation:
    """Return the relation that a constraint of SDV says, of a class such as ``"Inequality"``.

    Raises:
        MetadataError: There is no such constraint, or a parameter is missing or unknown.
    """
    name = name.rpartition(".")[2]  # such as sdv.constraints.tabular.Inequality
    if name not in CONSTRAINTS:
        cure = "; write what it says as {'kind': 'predicate', 'expression': 'low <= high'}"
        hint = did_you_mean(name, CONSTRAINTS) or cure
        raise MetadataError(f"a constraint must be one of {', '.join(CONSTRAINTS)}, found {name!r}{hint}")
    given = {key: value for key, value in parameters.items() if key != "table_name"}
    _, strict, make = _MADE[name]
    sign = "<" if strict is not None and given.pop("strict_boundaries", strict) else "<="
    if set(given) != set(CONSTRAINTS[name]):
        raise MetadataError(f"must have {', '.join(CONSTRAINTS[name])}, found {', '.join(given) or 'none'}", name)
    try:
        return make(sign, *(given[key] for key in CONSTRAINTS[name]))
    except (ValidationError, TypeError, AttributeError) as error:
        text = "must have names of columns, positive increments, < <= > >= == != and plain values, found others"
        raise MetadataError(text, name) from error


def read_constraint(given: Any) -> Relation:
    """Return the relation that SDV's dict of a constraint says, or one of its objects; a relation is returned as it is.

    Raises:
        MetadataError: It is none of these.
    """
    if isinstance(given, Relation):
        return given
    name = type(given).__name__
    if isinstance(given, Mapping):
        name, parameters = given.get("constraint_class", ""), given.get("constraint_parameters", {})
        if isinstance(name, str) and isinstance(parameters, Mapping):
            return from_constraint(name, parameters)
    elif type(given).__module__.startswith("sdv."):
        held = {key.lstrip("_"): value for key, value in vars(given).items()}
        keys = (*CONSTRAINTS.get(name, ()), "strict_boundaries")
        return from_constraint(name, {key: held[key] for key in keys if key in held})
    elif callable(given):
        raise MetadataError(
            "a constraint must be an expression over columns, found a Python function: a generator file runs no code; "
            "write {'kind': 'predicate', 'expression': 'low <= high'}"
        )
    raise MetadataError(
        "a constraint must be a dict with constraint_class and constraint_parameters, a constraint of SDV or a relation, "
        f"found {name if not isinstance(given, Mapping) else 'a dict without them'}"
    )


def to_constraint(relation: Relation) -> dict[str, Any] | None:
    """Return a relation as SDV writes a constraint, ``None`` where SDV has no such constraint."""
    match relation:
        case Inequality(ascending=columns) if len(columns) in (2, 3):
            name = "Inequality" if len(columns) == 2 else "Range"
            parameters: dict[str, Any] = dict(zip(CONSTRAINTS[name], columns, strict=True))
            parameters["strict_boundaries"] = relation.strict
        case Combinations():
            name, parameters = "FixedCombinations", {"column_names": list(relation.among)}
        case Increments():
            name, parameters = "FixedIncrements", {"column_name": relation.column, "increment_value": relation.step}
        case OneHot():
            name, parameters = "OneHotEncoding", {"column_names": list(relation.group)}
        case _:
            return None
    return {"constraint_class": name, "constraint_parameters": parameters}
