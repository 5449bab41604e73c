"""The same description in SDV's words: its metadata dict, to and from.

This module knows the plain dict that SDV 2 documents and never imports sdv.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from clover_tvae.columns.dtypes import where_of
from clover_tvae.errors import MetadataError, Problem
from clover_tvae.metadata.column import Column

_TABLE = "table"
_SDTYPES = {"continuous": "numerical", "ignore": "unknown"}
"""The kinds that SDV calls otherwise."""
_INFER = "write Metadata.infer(df); infer proposes, the file is yours to edit"
_ANOTHER = "write a new description: Metadata.from_dict({**metadata.to_dict(), ...})"
_METHODS_INSTEAD = {
    "detect_from_dataframe": _INFER,
    "detect_from_dataframes": _INFER,
    "detect_from_csv": _INFER,
    "detect_from_csvs": _INFER,
    "load_from_dict": "write Metadata.from_sdv(dict)",
    "load_from_json": "write Metadata.from_sdv(json.load(file)), and Metadata.load(path) for our own files",
    "save_to_json": "write metadata.save(path)",
    "add_column": _ANOTHER,
    "update_column": _ANOTHER,
    "update_columns": _ANOTHER,
    "update_columns_metadata": _ANOTHER,
    "set_primary_key": "list the column among 'id': {'id': [{'name': 'no', 'regenerate': 'sequence'}]}",
    "remove_primary_key": _ANOTHER,
    "set_sequence_key": "rows are learnt as if independent; 'unit' says which are of one person",
    "set_sequence_index": "rows are learnt as if independent; 'unit' says which are of one person",
    "get_column_names": "write metadata.names, or metadata.of_kind('continuous')",
    "validate_data": "write metadata.validate(df)",
    "validate_table": "write metadata.validate(df)",
    "visualize": "print(metadata) tells it in one line; a notebook shows it as a table",
    "anonymize": "write a new description with other names",
}
"""SDV's methods that have another name here, or none."""


class NamesOfSDV(type):
    """Tells who calls one of SDV's methods, of the class or of an object, what it is called here."""

    def __getattr__(cls, name: str) -> Any:
        raise no_attribute(repr(cls.__name__), name)


def no_attribute(of: str, name: str, methods: Mapping[str, str] = _METHODS_INSTEAD) -> AttributeError:
    """Return the error of an attribute that is not there, with what to write instead where it is one of SDV's."""
    text = f"{of} has no attribute {name!r}"
    return AttributeError(f"{text}: it is SDV's; {methods[name]}" if name in methods else text)


def to_sdv(columns: Iterable[Column]) -> dict[str, Any]:
    """Return SDV's metadata dict of one table."""
    columns = [*columns]
    if odd := [column.name for column in columns if not isinstance(column.name, str)]:
        rule = "must have a name that is text for SDV, found"
        raise MetadataError([Problem(where_of(name), f"{rule} {type(name).__name__}; rename it") for name in odd])
    described = {}
    for column in columns:
        options: dict[str, Any] = {"pii": column.kind == "ignore", "range_values": list(column.order or ())}
        options |= {"datetime_format": column.format, "regex_format": None}
        if column.pattern:
            before, digits, after = re.split("(#+)", column.pattern)
            options["regex_format"] = f"{re.escape(before)}[0-9]{{{len(digits)}}}{re.escape(after)}"
        sdtype = _SDTYPES.get(column.kind, column.kind)
        described[column.name] = {"sdtype": sdtype} | {key: value for key, value in options.items() if value}
    return {"tables": {_TABLE: {"columns": described}}, "relationships": [], "METADATA_SPEC_VERSION": "V2"}


def from_sdv(obj: Any) -> tuple[tuple[Column, ...], dict[Hashable, str]]:
    """Return the columns, and why each is what it is, of SDV's metadata."""
    document = obj.to_dict() if callable(getattr(obj, "to_dict", None)) else obj
    columns: list[Column] = []
    reasons: dict[Hashable, str] = {}
    problems: list[Problem] = []
    for name, described in _one_table(document).items():
        sdtype = described.get("sdtype") if isinstance(described, Mapping) else None
        if not isinstance(sdtype, str):
            problems.append(Problem(where_of(name), "must have an 'sdtype' in SDV's metadata, found none"))
            continue
        try:
            columns.append(_from_sdv_column(name, sdtype, described))
        except MetadataError as error:
            problems += error.problems
            continue
        reasons[name] = f"SDV's sdtype {sdtype!r}"
        if columns[-1].kind == "ignore":
            reasons[name] += ": personal data or an unknown kind, which is not learnt"
        elif columns[-1].kind == "id":
            reasons[name] += ": an identifier, which is not learnt"
    MetadataError.raise_any(problems)
    return tuple(columns), reasons


def _one_table(document: Any) -> Mapping[Hashable, Any]:
    if isinstance(document, Mapping) and isinstance(document.get("tables"), Mapping):
        tables = document["tables"]
        if len(tables) != 1:
            raise MetadataError(f"must hold one table, found {len(tables)}; give the metadata of one", "tables")
        document = next(iter(tables.values()))
    if not isinstance(document, Mapping) or not isinstance(document.get("columns"), Mapping):
        raise MetadataError(
            "must be metadata of SDV (its dict, or an object with to_dict(), with 'tables' or 'columns'), "
            f"found {type(document).__name__}",
            "metadata",
        )
    return document["columns"]


def _from_sdv_column(name: Hashable, sdtype: str, described: Mapping[str, Any]) -> Column:
    match sdtype:
        case "numerical":
            return Column(name, "continuous")
        case "ordinal":
            return Column(name, "ordinal", order=described.get("range_values"))
        case "categorical" if "order" in described or "order_by" in described:  # as SDV 1 wrote it
            return Column(name, "ordinal", order=described.get("order"))
        case "categorical" | "boolean":
            return Column(name, sdtype)
        case "datetime":
            return Column(name, "datetime", format=described.get("datetime_format"))
        case "id":
            return Column(name, "id", pattern=_pattern(described.get("regex_format")))
        case _:
            return Column(name, "ignore")


def _pattern(regex: Any) -> str | None:
    """Return our pattern for the one form of regular expression that is a running number, else ``None``."""
    if not isinstance(regex, str):
        return None
    match = re.fullmatch(r"((?:[\w ]|\\[^\w]|[-:/_])*?)(?:\[0-9\]|\\d)\{(\d{1,2})\}((?:[\w ]|\\[^\w]|[-:/_])*)", regex)
    if match is None or int(match[2]) == 0:
        return None
    before, after = (re.sub(r"\\(.)", r"\1", part) for part in (match[1], match[3]))
    return f"{before}{'#' * int(match[2])}{after}" if "#" not in before + after else None
