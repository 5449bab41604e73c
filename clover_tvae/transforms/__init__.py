"""From a DataFrame to choices and numbers, and back."""

from __future__ import annotations

from clover_tvae.transforms.column import ColumnCodes, ColumnTransform, ConditionCodes
from clover_tvae.transforms.table import TableTransform

__all__ = ["ConditionCodes", "ColumnCodes", "ColumnTransform", "TableTransform"]
