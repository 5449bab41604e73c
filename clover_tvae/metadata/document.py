"""The plain form of a description: Clover's dict, read with every problem in its place, and written.

A document is a dict of kinds, each with its columns; ``json_file`` reads one from a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

from clover_tvae.errors import MetadataError, Problem, did_you_mean
from clover_tvae.metadata.column import KINDS, OPTIONS, Column, Kind, option_problems

__all__ = ["Place", "duplicate_problems", "read_document", "read_parts", "spell", "target_fault", "write_document"]

Place = tuple[str | int, ...]
"""The way to a part of a document: keys, and positions in lists."""


def read_document(obj: Any) -> tuple[tuple[Column, ...], Hashable | None]:
    """Return the columns and the variable to predict that a plain document says.

    Raises:
        MetadataError: With every problem and its place in the document.
    """
    columns, target, problems = read_parts(obj)
    if problems:
        raise MetadataError([Problem(spell(place), text) for place, text in problems])
    return columns, target


def read_parts(obj: Any) -> tuple[tuple[Column, ...], Hashable | None, list[tuple[Place, str]]]:
    """Return what a document says, and every problem with the way to it."""
    problems: list[tuple[Place, str]] = []
    if not isinstance(obj, Mapping):
        return (), None, [((), f"metadata must be an object with the keys {', '.join(KINDS)}, found {_type_name(obj)}")]
    if "METADATA_SPEC_VERSION" in obj or "tables" in obj:
        return (), None, [((), "this is metadata of SDV; read it with Metadata.from_sdv")]
    known = (*KINDS, "variable_to_predict")
    for key in obj:
        if key not in (*known, "$schema"):
            problems.append(((_step(key),), f"unknown key; use {', '.join(known)}{did_you_mean(key, known)}"))
    listed: list[tuple[Hashable, Kind, Place]] = []
    columns: list[Column] = []
    for kind in KINDS:
        for place, entry in _entries(kind, obj.get(kind), problems):
            column = _read_entry(kind, place, entry, problems)
            if column is not None:
                columns.append(column)
            # A broken entry still takes its name: it must not make the variable to predict look unknown.
            if "name" in entry and _hashable(entry["name"]):
                listed.append((column.name if column else entry["name"], kind, place))
    faults = dict(duplicate_problems((name, kind) for name, kind, _ in listed))
    for name, _, place in listed:
        if name in faults:
            problems.append((place, f"column {name!r}: {faults.pop(name)}"))
    target = obj.get("variable_to_predict")
    if fault := target_fault(target, {name: kind for name, kind, _ in listed}):
        problems.append((("variable_to_predict",), fault))
        target = None
    return tuple(columns), target, problems


def _entries(kind: Kind, value: Any, problems: list[tuple[Place, str]]) -> Iterator[tuple[Place, Mapping[Any, Any]]]:
    """Yield each column of one kind with its place, in whichever of the three ways it is written."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for name, options in value.items():
            place: Place = (kind, _step(name))
            if options is None:
                options = {}
            if not isinstance(options, Mapping):
                problems.append((place, f"must be an object of options, found {_type_name(options)}"))
            elif "name" in options:
                problems.append(((*place, "name"), "the key is the column's name already; leave 'name' out"))
            else:
                yield place, {"name": name, **options}
        return
    if not isinstance(value, list | tuple) and not _is_index(value):
        problems.append(((kind,), f"must be a list of column names, found {_type_name(value)}"))
        return
    for position, item in enumerate(value):
        place = (kind, position)
        if not isinstance(item, Mapping):
            yield place, {"name": item}
        elif "name" not in item:
            keys = ("name", *OPTIONS[kind])
            problems.append((place, f"the key 'name' is missing; a column of kind {kind!r} has {', '.join(keys)}"))
        else:
            yield place, item


def _read_entry(kind: Kind, place: Place, entry: Mapping[Any, Any], problems: list[tuple[Place, str]]) -> Column | None:
    options = {key: value for key, value in entry.items() if key != "name"}
    found = option_problems(entry["name"], kind, options)
    problems += [((*place, _step(option)) if option != "" else place, text) for option, text in found]
    return None if found else Column(entry["name"], kind, **options)


def duplicate_problems(listed: Iterable[tuple[Hashable, Kind]]) -> list[tuple[Hashable, str]]:
    """Return a message for every name that is listed more than once."""
    kinds: dict[Hashable, list[Kind]] = {}
    for name, kind in listed:
        kinds.setdefault(name, []).append(kind)
    problems: list[tuple[Hashable, str]] = []
    for name, found in kinds.items():
        if len(set(found)) > 1:
            problems.append((name, f"listed as {' and as '.join(dict.fromkeys(found))}; keep one"))
        elif len(found) > 1:
            problems.append((name, f"listed {len(found)} times as {found[0]}; keep one"))
    return problems


def target_fault(target: Any, kinds: Mapping[Hashable, str]) -> str:
    """Return what is wrong with a variable to predict, or an empty string."""
    if target is None:
        return ""
    if not _hashable(target):
        return f"must be the name of one column, or null, found {_type_name(target)}"
    if target not in kinds:
        return f"no column is called {target!r}{did_you_mean(target, kinds)}"
    if kinds[target] in ("id", "ignore"):
        return (
            f"column {target!r} is declared as {kinds[target]!r}, which is not modelled; declare it as a modelled kind"
        )
    return ""


def write_document(columns: Iterable[Column], target: Hashable | None) -> dict[str, Any]:
    """Return the shortest plain document that says this."""
    document: dict[str, Any] = {"continuous": [], "categorical": []}
    for column in columns:
        options = {key: list(value) if key == "order" else value for key, value in column.options.items()}
        document.setdefault(column.kind, []).append({"name": column.name, **options} if options else column.name)
    document["variable_to_predict"] = target
    return document


def spell(place: Place) -> str:
    """Write a place as ``continuous[2]`` or ``datetime.admitted.format``."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            step = step if re.fullmatch(r"[\w$-]+", step) else repr(step)
            text += f".{step}" if text else step
    return text


def _step(key: Any) -> str:
    return key if isinstance(key, str) else repr(key)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _is_index(value: Any) -> bool:
    """Whether ``value`` is a one-dimensional pandas index or numpy array, such as ``df.columns``."""
    return getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist")


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    return names.get(type(value), type(value).__name__)
