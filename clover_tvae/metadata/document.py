"""The plain form of a description: Clover's dict, read with every problem in its place, and written.

A document is a dict of kinds, each with its columns; ``json_file`` reads one from a file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

from clover_tvae.errors import MOST_PROBLEMS, MetadataError, Problem, did_you_mean
from clover_tvae.metadata.column import KINDS, OPTIONS, Column, Kind, is_hashable, option_problems
from clover_tvae.relations.document import Place, parse_relations, spell, write_relations
from clover_tvae.relations.relation import Relation

__all__ = ["Place", "column_faults", "duplicate_problems", "read_document", "spell", "write_document"]


def in_document(found: list[tuple[Place, str]]) -> list[Problem]:
    """Return problems with the way to each."""
    return [Problem(spell(place) or "metadata", message) for place, message in found]


def read_document(
    obj: Any,
    problems: Iterable[tuple[Place, str]] = (),
    tell: Callable[[list[tuple[Place, str]]], list[Problem]] = in_document,
) -> tuple[tuple[Column, ...], Hashable | None, dict[Hashable, str], tuple[Relation, ...] | None, Hashable | None]:
    """Return what a plain document says, as ``Metadata`` takes it: a document gives no reasons.

    Args:
        problems: What is wrong with it already, and where.
        tell: Says problems and their places.

    Raises:
        MetadataError: With every problem.
    """
    problems, known = [*problems], (*KINDS, "variable_to_predict", "relations", "unit")
    if not isinstance(obj, Mapping):
        rule = f"must be an object with the keys {', '.join(KINDS)}"
        problems, obj = [*problems, ((), f"{rule}, found {_type_name(obj)}")], {}
    if of_sdv := [key for key in ("METADATA_SPEC_VERSION", "tables") if key in obj]:
        problems, obj = [*problems, ((of_sdv[0],), "this is metadata of SDV; read it with Metadata.from_sdv")], {}
    for key in [key for key in obj if key not in (*known, "$schema")][:MOST_PROBLEMS]:
        problems.append(((_step(key),), f"unknown key; use {', '.join(known)}{did_you_mean(key, known)}"))
    listed: list[tuple[Hashable, Kind, Place]] = []
    columns: list[Column] = []
    for kind in KINDS:
        for place, name, options in _entries(kind, obj.get(kind), problems):
            if len(problems) >= MOST_PROBLEMS:
                break
            faults = option_problems(name, kind, options) if options else ()
            try:
                if not faults:
                    columns.append(Column(name, kind, **options))
                    name = columns[-1].name
            except MetadataError:  # the name
                faults = option_problems(name, kind, options)
            problems += [((*place, _step(option)) if option != "" else place, text) for option, text in faults]
            # A broken entry still takes its name: it must not make the variable to predict look unknown.
            if is_hashable(name):
                listed.append((name, kind, place))
    repeated = dict(duplicate_problems((name, kind) for name, kind, _ in listed))
    for name, _, place in listed:
        if name in repeated:
            problems.append((place, f"column {name!r}: {repeated.pop(name)}"))
    target, kinds = obj.get("variable_to_predict"), {name: kind for name, kind, _ in listed}
    unit, relations = obj.get("unit"), None
    problems += [((key,), fault) for key, fault in column_faults(target, unit, kinds).items()]
    if obj.get("relations") is not None:
        names = [name for name, kind, _ in listed if kind not in ("id", "ignore")]
        relations, wrong = parse_relations(obj["relations"], names)
        problems += [(("relations", *place), text) for place, text in wrong]
    if problems:
        if len(problems) >= MOST_PROBLEMS:
            problems = [*problems[:MOST_PROBLEMS], ((), "there may be more; mend these first")]
        error = MetadataError(tell(problems))
        error.columns = tuple(columns)
        raise error
    return tuple(columns), target, {}, relations, unit


def _entries(
    kind: Kind, value: Any, problems: list[tuple[Place, str]]
) -> Iterator[tuple[Place, Any, Mapping[Any, Any]]]:
    """Yield place, name and options of each column of one kind, in whichever of the three ways it is written."""
    if isinstance(value, Mapping):
        for name, options in value.items():
            place: Place = (kind, _step(name))
            if not isinstance(options, Mapping | None):
                problems.append((place, f"must be an object of options, found {_type_name(options)}"))
            elif "name" in (options or {}):
                problems.append(((*place, "name"), "the key is the column's name already; leave 'name' out"))
            else:
                yield place, name, options or {}
    # A pandas index or a numpy array, such as ``df.columns``, is a list, too.
    elif isinstance(value, list | tuple) or (getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist")):
        for position, item in enumerate(value):
            if not isinstance(item, Mapping):
                yield (kind, position), item, {}
            elif "name" in item:
                yield (kind, position), item["name"], {key: value for key, value in item.items() if key != "name"}
            else:
                keys = ", ".join(("name", *OPTIONS[kind]))
                text = f"the key 'name' is missing; a column of kind {kind!r} has {keys}"
                problems.append(((kind, position), text))
    elif value is not None:
        problems.append(((kind,), f"must be a list of column names, found {_type_name(value)}"))


def duplicate_problems(listed: Iterable[tuple[Hashable, Kind]]) -> list[tuple[Hashable, str]]:
    """Return a message for every name that is listed more than once."""
    listed, problems = [*listed], []
    times = Counter(name for name, _ in listed)
    kinds: dict[Hashable, list[Kind]] = {name: [] for name, count in times.items() if count > 1}
    for name, kind in listed if kinds else ():
        if name in kinds:
            kinds[name].append(kind)
    for name, found in kinds.items():
        several = " and as ".join(dict.fromkeys(found)) if len(set(found)) > 1 else ""
        told = f"as {several}" if several else f"{len(found)} times as {found[0]}"
        problems.append((name, f"listed {told}; keep one"))
    return problems


def column_faults(target: Any, unit: Any, kinds: Mapping[Hashable, str]) -> dict[str, str]:
    """Return what is wrong with a variable to predict, and with the column that tells people apart, by their keys."""
    faults = {"variable_to_predict": _target_fault(target, kinds), "unit": _unit_fault(unit, kinds)}
    return {key: fault for key, fault in faults.items() if fault}


def _name_fault(name: Any, kinds: Mapping[Hashable, str]) -> str:
    if not is_hashable(name):
        return f"must be the name of one column, or null, found {_type_name(name)}"
    return "" if name in kinds else f"no column is called {name!r}{did_you_mean(name, kinds)}"


def _target_fault(target: Any, kinds: Mapping[Hashable, str]) -> str:
    if target is None:
        return ""
    if fault := _name_fault(target, kinds):
        return fault
    if kinds[target] in ("id", "ignore"):
        return f"must name a modelled column, found {target!r}: {kinds[target]!r} is not modelled"
    return ""


def _unit_fault(unit: Any, kinds: Mapping[Hashable, str]) -> str:
    if unit is None:
        return ""
    if fault := _name_fault(unit, kinds):
        return fault
    if kinds[unit] not in ("id", "ignore"):
        return f"must name a column of kind 'id', which is never learnt, found {kinds[unit]!r}"
    return ""


def write_document(
    columns: Iterable[Column], target: Hashable | None, relations: Iterable[Relation] | None, unit: Hashable | None
) -> dict[str, Any]:
    """Return the shortest plain document that says this."""
    document: dict[str, Any] = {"continuous": [], "categorical": []}
    for column in columns:
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in column.options.items()}
        document.setdefault(column.kind, []).append({"name": column.name, **options} if options else column.name)
    document["variable_to_predict"] = target
    if unit is not None:
        document["unit"] = unit
    if relations is not None:
        document["relations"] = write_relations(relations)
    return document


def _step(key: Any) -> str:
    return key if isinstance(key, str) else repr(key)


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    return names.get(type(value), type(value).__name__)
