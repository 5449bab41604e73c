"""The options of each kind as pydantic models, and the JSON Schema that editors read.

This module knows what a document may hold, and no document.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clover_tvae.metadata.column import KINDS, Kind

__all__ = ["ENTRIES", "Entry", "metadata_schema"]

_SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


class Entry(BaseModel):
    """A column without options."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Ordinal(Entry):
    """A column whose values have an order."""

    order: list[str | bool | int | float] | None = Field(
        default=None,
        min_length=1,
        description="The values, lowest first. Left out: sorted, or the category's own order.",
    )


class _Datetime(Entry):
    """A column of dates or times."""

    format: str | None = Field(
        default=None,
        description="How the text is written, in strptime's letters. Left out: the column holds dates, not text.",
        examples=["%Y-%m-%d", "%d/%m/%Y %H:%M"],
    )
    time_zone: str | None = Field(
        default=None, description="The IANA name of the time zone.", examples=["Europe/Paris", "UTC"]
    )


class _Id(Entry):
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


ENTRIES: dict[str, type[Entry]] = {"ordinal": _Ordinal, "datetime": _Datetime, "id": _Id}

_ABOUT: dict[Kind, str] = {
    "continuous": "Columns of numbers to measure or count with: ages, doses, salaries.",
    "categorical": "Columns of labels without an order: a diagnosis, a department, a code.",
    "boolean": "Columns of true and false.",
    "ordinal": "Columns of labels with an order, such as low, medium, high.",
    "datetime": "Columns of dates or times.",
    "id": "Identifiers of rows or people: never learnt; dropped, or made anew.",
    "ignore": "Columns that are neither learnt nor given back, such as free text.",
}


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
        entry = ENTRIES.get(kind, Entry).model_json_schema()
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
