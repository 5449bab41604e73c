"""The JSON Schema of a metadata file, which editors read.

What a document means, and every fault of one, is said by ``document`` and ``column``.
"""

from __future__ import annotations

from typing import Any

from clover_tvae.metadata.column import KINDS, OPTIONS, Column, Kind
from clover_tvae.relations.document import arguments_told, relations_schema

_ABOUT: dict[Kind, str] = {
    "continuous": "Columns of numbers to measure or count with: ages, doses, salaries.",
    "categorical": "Columns of labels without an order: a diagnosis, a department, a code.",
    "boolean": "Columns of true and false.",
    "ordinal": "Columns of labels with an order, such as low, medium, high.",
    "datetime": "Columns of dates or times.",
    "id": "Identifiers of rows or people: never learnt; dropped, or made anew.",
    "ignore": "Columns that are neither learnt nor given back, such as free text.",
}

_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_LIST: dict[str, Any] = {"type": ["array", "null"], "minItems": 1}
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_WHOLE: dict[str, Any] = {"type": ["integer", "null"]}
# What each option may be; what it means, the docstring of ``Column`` says.
_OPTION_SCHEMAS: dict[str, dict[str, Any]] = {
    "rest": {"type": ["string", "integer", "null"]},
    "order": _LIST | {"items": {"anyOf": [{"type": kind} for kind in ("string", "boolean", "integer", "number")]}},
    "format": _TEXT | {"examples": ["%Y-%m-%d", "%d/%m/%Y %H:%M", "%Y%m%d"]},
    "century_starts": _WHOLE | {"minimum": 1, "maximum": 9900, "examples": [1930]},
    "time_zone": _TEXT | {"examples": ["Europe/Paris", "UTC"]},
    "regenerate": {"enum": ["sequence", "uuid", "pattern", None]},
    "pattern": _TEXT | {"pattern": "^[^#]*#+[^#]*$", "examples": ["E-######"]},
    "missing": _LIST | {"items": {"type": ["string", "number"]}, "examples": [["unknown", 999]]},
    "odd": {"enum": ["missing", None]},
    "read_as": {"enum": ["number", None]},
    "decimal": {"enum": [".", ",", None]},
    "thousands": {"enum": [".", ",", " ", "'", None]},
    "decimals": _WHOLE | {"minimum": 0, "maximum": 15},
    "unit": _TEXT | {"examples": ["kg", "$#", "#%"]},
    "below": _NUMBER,
    "above": _NUMBER,
    "part_of": _TEXT,
    "part": {"enum": [1, 2, None]},
    "true": _TEXT | {"examples": ["yes"]},
    "false": _TEXT | {"examples": ["no"]},
    "formats": _LIST | {"items": {"type": "string"}},
}


def metadata_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a metadata file, for editors.

    Example:
        >>> metadata_schema()["title"]
        'Metadata of a table for clover_tvae'
    """
    properties: dict[str, Any] = {
        "$schema": {"type": "string", "description": "The address of this schema, for editors."}
    }
    name, told = {"$ref": "#/$defs/name"}, arguments_told(Column)
    for kind in KINDS:
        options = {option: {"description": told[option], **_OPTION_SCHEMAS[option]} for option in OPTIONS[kind]}
        with_name = {
            "type": "object",
            "description": "A column with its options.",
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
        "type": ["string", "number", "null"],
        "description": "The column that a downstream model predicts, used for balancing and for the figures of use.",
    }
    properties["unit"] = {
        "type": ["string", "number", "null"],
        "description": "The id of the people, where a person has several rows: every later step then counts people.",
    }
    relation = relations_schema()
    definitions = relation.pop("$defs")
    properties["relations"] = {
        "description": "What holds between columns. Left out: fit looks for it; an empty list: nothing.",
        "type": ["array", "null"],
        "items": relation,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Metadata of a table for clover_tvae",
        "description": "What each column of the table is. List every column under one kind.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": {
            **definitions,
            "name": {
                "type": ["string", "number"],
                "description": "The name of the column, exactly as the table spells it.",
            },
        },
        "examples": [{"continuous": ["age"], "categorical": ["sex"], "variable_to_predict": "sex"}],
    }
