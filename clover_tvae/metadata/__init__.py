"""What each column of a table is: declared, inferred, checked against a table, kept as JSON, exchanged with SDV."""

from __future__ import annotations

from clover_tvae.metadata.column import KINDS, Column, Kind
from clover_tvae.metadata.description import Metadata
from clover_tvae.metadata.infer import MetadataWarning
from clover_tvae.metadata.schema import metadata_schema

__all__ = ["KINDS", "Column", "Kind", "Metadata", "MetadataWarning", "metadata_schema"]
