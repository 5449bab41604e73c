"""From a DataFrame to choices and numbers, and back."""

from __future__ import annotations

from clover_tvae.transforms.column import Allowed, ColumnCodes, ColumnTransform
from clover_tvae.transforms.table import TableTransform

__all__ = ["Allowed", "ColumnCodes", "ColumnTransform", "TableTransform"]
