"""The plain form of a description: Clover's dict, its JSON file, and the JSON Schema of both.

This module knows dicts, JSON and pydantic. It must not know pandas.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clover_tvae.errors import MetadataError, Problem, did_you_mean
from clover_tvae.files import atomic_write
from clover_tvae.metadata.column import KINDS, OPTIONS, Column, Kind, option_problems, plain_scalar

__all__ = [
    "duplicate_problems",
    "load_document",
    "metadata_schema",
    "read_document",
    "save_document",
    "target_fault",
    "write_document",
]

_MAX_BYTES = 64 * 2**20
_SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"

_Place = tuple[str | int, ...]


class _Entry(BaseModel):
    """A column without options."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Ordinal(_Entry):
    """A column whose values have an order."""

    order: list[str | bool | int | float] | None = Field(
        default=None,
        min_length=1,
        description="The values, lowest first. Left out: sorted, or the category's own order.",
    )


class _Datetime(_Entry):
    """A column of dates or times."""

    format: str | None = Field(
        default=None,
        description="How the text is written, in strptime's letters. Left out: the column holds dates, not text.",
        examples=["%Y-%m-%d", "%d/%m/%Y %H:%M"],
    )
    time_zone: str | None = Field(
        default=None, description="The IANA name of the time zone.", examples=["Europe/Paris", "UTC"]
    )


class _Id(_Entry):
    """An identifier: never learnt. Dropped, or made anew."""

    regenerate: Literal["sequence", "uuid", "pattern"] | None = Field(
        default=None, description="How to make new identifiers. Left out: the column is dropped."
    )
    pattern: str | None = Field(
        default=None,
        pattern="^[^#]*#+[^#]*$",
        description="Text with one run of '#', which becomes the row's running number.",
        examples=["E-######"],
    )


_ENTRIES: dict[str, type[_Entry]] = {"ordinal": _Ordinal, "datetime": _Datetime, "id": _Id}

_ABOUT: dict[Kind, str] = {
    "continuous": "Columns of numbers to measure or count with: ages, doses, salaries.",
    "categorical": "Columns of labels without an order: a diagnosis, a department, a code.",
    "boolean": "Columns of true and false.",
    "ordinal": "Columns of labels with an order, such as low, medium, high.",
    "datetime": "Columns of dates or times.",
    "id": "Identifiers of rows or people: never learnt; dropped, or made anew.",
    "ignore": "Columns that are neither learnt nor given back, such as free text.",
}


# ---------------------------------------------------------------------------------------------- reading


def read_document(obj: Any) -> tuple[tuple[Column, ...], Hashable | None]:
    """Return the columns and the variable to predict that a plain document says.

    Raises:
        MetadataError: With every problem and its place in the document.
    """
    columns, target, problems = _read(obj)
    if problems:
        raise MetadataError([Problem(_spell(place), text) for place, text in problems])
    return columns, target


def _read(obj: Any) -> tuple[tuple[Column, ...], Hashable | None, list[tuple[_Place, str]]]:
    problems: list[tuple[_Place, str]] = []
    if not isinstance(obj, Mapping):
        return (), None, [((), f"metadata must be an object with the keys {', '.join(KINDS)}, found {_type_name(obj)}")]
    if "METADATA_SPEC_VERSION" in obj or "tables" in obj:
        return (), None, [((), "this is metadata of SDV; read it with Metadata.from_sdv")]
    known = (*KINDS, "variable_to_predict")
    for key in obj:
        if key not in (*known, "$schema"):
            problems.append(((_step(key),), f"unknown key; use {', '.join(known)}{did_you_mean(key, known)}"))
    listed: list[tuple[Hashable, Kind, _Place]] = []
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


def _entries(kind: Kind, value: Any, problems: list[tuple[_Place, str]]) -> Iterator[tuple[_Place, Mapping[Any, Any]]]:
    """Yield each column of one kind with its place, in whichever of the three ways it is written."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for name, options in value.items():
            place: _Place = (kind, _step(name))
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


def _read_entry(
    kind: Kind, place: _Place, entry: Mapping[Any, Any], problems: list[tuple[_Place, str]]
) -> Column | None:
    options = {key: value for key, value in entry.items() if key != "name"}
    found: list[tuple[_Place, str]] = []
    for key in [key for key in options if key not in OPTIONS[kind]]:
        options.pop(key)
        homes = [other for other in KINDS if key in OPTIONS[other]]
        if homes:
            text = f"a column of kind {kind!r} takes no {key!r}; it belongs to {' and '.join(homes)}"
        else:
            takes = ", ".join(OPTIONS[kind]) or "no options"
            text = f"unknown option; a column of kind {kind!r} takes {takes}{did_you_mean(key, OPTIONS[kind])}"
        found.append(((*place, _step(key)), text))
    if isinstance(options.get("order"), list | tuple):
        options["order"] = [plain_scalar(value) for value in options["order"]]
    faults = option_problems(entry["name"], kind, options)
    found += [((*place, option) if option else place, text) for option, text in faults]
    if not found:
        # Our own rules speak in our words; pydantic has the last word on types, so that schema and reader agree.
        try:
            _ENTRIES.get(kind, _Entry).model_validate(options)
        except ValidationError as error:
            found += [((*place, *fault["loc"][:1]), fault["msg"]) for fault in error.errors(include_input=False)]
    problems += found
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


# ---------------------------------------------------------------------------------------------- writing


def write_document(columns: Iterable[Column], target: Hashable | None) -> dict[str, Any]:
    """Return the shortest plain document that says this."""
    document: dict[str, Any] = {"continuous": [], "categorical": []}
    for column in columns:
        options = {key: list(value) if key == "order" else value for key, value in column.options.items()}
        document.setdefault(column.kind, []).append({"name": column.name, **options} if options else column.name)
    document["variable_to_predict"] = target
    return document


def save_document(document: dict[str, Any], path: Path) -> None:
    """Write a plain document as JSON, atomically."""
    problems = []
    for kind in KINDS:
        for position, entry in enumerate(document.get(kind, ())):
            name = entry["name"] if isinstance(entry, dict) else entry
            if not isinstance(name, str | int):
                problems.append(
                    Problem(
                        f"{kind}[{position}]",
                        f"a name of type {type(name).__name__} cannot be written as JSON; rename the column to text",
                    )
                )
    if problems:
        raise MetadataError(problems)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: only an escape can carry it
        data = json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False).encode("ascii")
    atomic_write(path, lambda file: file.write(data + b"\n") and None, mode=0o666)


# ------------------------------------------------------------------------------------------------- files


def load_document(path: Path) -> tuple[tuple[Column, ...], Hashable | None]:
    """Read a JSON file.

    Raises:
        MetadataError: With every problem as ``file:line:column``.
    """
    text = _read_text(path)
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        repeated.extend(dict.fromkeys(key for key in keys if keys.count(key) > 1) if len(set(keys)) < len(keys) else ())
        return dict(items)

    try:
        obj = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise MetadataError(Problem(f"{path}:{error.lineno}:{error.colno}", f"not valid JSON: {error.msg}")) from None
    except (ValueError, RecursionError):
        raise MetadataError(
            Problem(str(path), "not valid JSON: nested too deeply, or a number that is NaN, infinite or too long")
        ) from None
    problems: list[tuple[_Place, str]] = [
        ((), f"the key {key!r} is given twice in one object; keep one") for key in repeated
    ]
    columns, target, found = _read(obj)
    problems += found
    if problems:
        places = _positions(text)
        raise MetadataError([_place_in_file(path, places, place, message) for place, message in problems])
    return columns, target


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise MetadataError(Problem(str(path), f"the metadata file {what}; give the path of a JSON file"))
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise MetadataError(Problem(str(path), f"the metadata file cannot be read: {reason}")) from None
    if len(data) > _MAX_BYTES:
        raise MetadataError(Problem(str(path), f"the file is over {_MAX_BYTES // 2**20} MiB, too large for metadata"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MetadataError(
            Problem(str(path), f"not UTF-8 text (byte {error.start}); save the file as UTF-8")
        ) from None


def _refuse_constant(_: str) -> Any:
    raise ValueError


def _place_in_file(path: Path, places: Mapping[_Place, tuple[int, int]], place: _Place, message: str) -> Problem:
    known = place
    while known not in places:
        known = known[:-1]
    line, column = places[known]
    spelt = _spell(place)
    return Problem(f"{path}:{line}:{column}", f"{spelt}: {message}" if spelt else message)


_SPACE = re.compile(r"[ \t\n\r]*")
_ATOM = re.compile(r"[^\s,\]}]+")


def _positions(text: str) -> dict[_Place, tuple[int, int]]:
    """Return the line and column of every key and entry of a text that is known to be valid JSON."""
    offsets: dict[_Place, int] = {}

    def skip(at: int) -> int:
        return _SPACE.match(text, at).end()  # type: ignore[union-attr]

    def value(at: int, place: _Place) -> int:
        at = skip(at)
        offsets.setdefault(place, at)
        if text[at] == '"':
            return scanstring(text, at + 1)[1]
        if text[at] not in "[{":
            return _ATOM.match(text, at).end()  # type: ignore[union-attr]
        closing, position, start = ("]" if text[at] == "[" else "}"), 0, at
        at = skip(at + 1)
        while text[at] != closing:
            if text[start] == "{":
                key, end = scanstring(text, at + 1)
                offsets.setdefault((*place, key), at)
                at = value(skip(end) + 1, (*place, key))
            else:
                at = value(at, (*place, position))
            position += 1
            at = skip(at)
            if text[at] == ",":
                at = skip(at + 1)
        return at + 1

    value(0, ())
    starts = [0] + [match.end() for match in re.finditer("\n", text)]
    lines = {place: bisect.bisect_right(starts, at) for place, at in offsets.items()}
    return {place: (line, offsets[place] - starts[line - 1] + 1) for place, line in lines.items()}


# ------------------------------------------------------------------------------------------------ schema


def metadata_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a metadata file, for editors.

    Example:
        >>> metadata_schema()["title"]
        'Metadata of a table for clover_tvae'
    """
    properties: dict[str, Any] = {
        "$schema": {"type": "string", "description": "The address of this schema, for editors."},
    }
    name = {"$ref": "#/$defs/name"}
    for kind in KINDS:
        entry = _ENTRIES.get(kind, _Entry).model_json_schema()
        options = {key: _without_null(option) for key, option in entry.get("properties", {}).items()}
        with_name = {
            "type": "object",
            "description": entry["description"],
            "properties": {"name": name, **options},
            "required": ["name"],
            "additionalProperties": False,
        }
        by_name = {"type": ["object", "null"], "properties": options, "additionalProperties": False}
        properties[kind] = {
            "description": _ABOUT[kind],
            "anyOf": [
                {"type": "array", "items": {"anyOf": [name, with_name]}},
                {"type": "object", "additionalProperties": by_name},
                {"type": "null"},
            ],
        }
    properties["variable_to_predict"] = {
        "type": ["string", "integer", "null"],
        "description": "The column that a downstream model predicts, used for balancing and for the figures of use.",
    }
    return {
        "$schema": _SCHEMA_ID,
        "title": "Metadata of a table for clover_tvae",
        "description": "What each column of the table is. List every column under one kind.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": {
            "name": {
                "type": ["string", "integer"],
                "description": "The name of the column, exactly as the table spells it.",
            }
        },
        "examples": [{"continuous": ["age"], "categorical": ["sex"], "variable_to_predict": "sex"}],
    }


def _without_null(option: dict[str, Any]) -> dict[str, Any]:
    """Flatten pydantic's ``anyOf [X, null]`` into X-or-null, with its title and default left out."""
    plain = {key: value for key, value in option.items() if key not in ("title", "default", "anyOf")}
    chosen = next(part for part in option["anyOf"] if part.get("type") != "null")
    if "enum" in chosen:
        return {**plain, "enum": [*chosen["enum"], None]}
    return {**plain, **chosen, "type": [chosen["type"], "null"]}


# ----------------------------------------------------------------------------------------------- helpers


def _spell(place: _Place) -> str:
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
