"""The JSON Schema of a metadata file, which editors read.

What a document means, and every fault of one, is said by ``document`` and ``column``.
"""

from __future__ import annotations

from typing import Any

from clover_tvae.metadata.column import KINDS, OPTIONS, Kind
from clover_tvae.relations.document import relations_schema

__all__ = ["metadata_schema"]

_ABOUT: dict[Kind, str] = {
    "continuous": "Columns of numbers to measure or count with: ages, doses, salaries.",
    "categorical": "Columns of labels without an order: a diagnosis, a department, a code.",
    "boolean": "Columns of true and false.",
    "ordinal": "Columns of labels with an order, such as low, medium, high.",
    "datetime": "Columns of dates or times.",
    "id": "Identifiers of rows or people: never learnt; dropped, or made anew.",
    "ignore": "Columns that are neither learnt nor given back, such as free text.",
}

_TEXT = {"type": ["string", "null"]}
_OPTION_SCHEMAS: dict[str, dict[str, Any]] = {
    "rest": {
        "description": "The category that those of fewer than min_count people count to. Left out: to the others as they are.",
        "type": ["string", "integer", "null"],
    },
    "order": {
        "description": "The values, lowest first. Left out: sorted, or the category's own order.",
        "type": ["array", "null"],
        "items": {"anyOf": [{"type": kind} for kind in ("string", "boolean", "integer", "number")]},
        "minItems": 1,
    },
    "format": {
        **_TEXT,
        "description": "How text or whole numbers are written, in strptime's letters. Left out: the column holds dates.",
        "examples": ["%Y-%m-%d", "%d/%m/%Y %H:%M", "%Y%m%d"],
    },
    "century_starts": {
        "description": "Of years of two digits: the first of the hundred years that they mean. 1930: 30 is 1930, 29 is 2029.",
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 9900,
        "examples": [1930],
    },
    "time_zone": {**_TEXT, "description": "The IANA name of the time zone.", "examples": ["Europe/Paris", "UTC"]},
    "regenerate": {
        "description": "How to make new identifiers. Left out: the column is dropped.",
        "enum": ["sequence", "uuid", "pattern", None],
    },
    "pattern": {
        **_TEXT,
        "description": "Text with one run of '#', which becomes the row's running number.",
        "pattern": "^[^#]*#+[^#]*$",
        "examples": ["E-######"],
    },
    "missing": {
        "description": "Texts and numbers that mean missing.",
        "type": ["array", "null"],
        "items": {"type": ["string", "number"]},
        "minItems": 1,
        "examples": [["unknown", 999]],
    },
    "odd": {
        "description": "missing: cells that cannot be read, at most one in twenty, are missing.",
        "enum": ["missing", None],
    },
    "read_as": {
        "description": "number: texts are read as numbers, and numbers are written as such texts.",
        "enum": ["number", None],
    },
    "decimal": {"description": "The decimal mark of the texts. Left out: a point.", "enum": [".", ",", None]},
    "thousands": {
        "description": "What stands between thousands in the texts. Left out: nothing.",
        "enum": [".", ",", " ", "'", None],
    },
    "decimals": {
        "description": "How many decimals all numbers are written with. Left out: as many as each needs.",
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 15,
    },
    "unit": {
        **_TEXT,
        "description": "What stands around the number, which is #; without #, it follows a blank.",
        "examples": ["kg", "$#", "#%"],
    },
    "below": {"description": "The limit L of cells <L; numbers below it are written so.", "type": ["number", "null"]},
    "above": {"description": "The limit L of cells >L; numbers above it are written so.", "type": ["number", "null"]},
    "part_of": {
        **_TEXT,
        "description": "The column of the table whose cells are two numbers with / between them, such as 120/80.",
    },
    "part": {"description": "Which of the two numbers of part_of this column is.", "enum": [1, 2, None]},
    "true": {**_TEXT, "description": "The text that means true, whatever its case.", "examples": ["yes"]},
    "false": {**_TEXT, "description": "The text that means false, whatever its case.", "examples": ["no"]},
    "formats": {
        "description": "Further formats that some cells have. All dates are written by 'format'.",
        "type": ["array", "null"],
        "items": {"type": "string"},
        "minItems": 1,
    },
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
    name = {"$ref": "#/$defs/name"}
    for kind in KINDS:
        options = {option: _OPTION_SCHEMAS[option] for option in OPTIONS[kind]}
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
