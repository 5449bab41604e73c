"""From a DataFrame to choices and numbers, and back."""

from __future__ import annotations

from clover_tvae.transforms.codes import ColumnCodes, ConditionCodes
from clover_tvae.transforms.table_transform import TableTransform

__all__ = ["ColumnCodes", "ConditionCodes", "TableTransform"]
