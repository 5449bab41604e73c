"""What is done with a synthesizer from end to end: built-in tables, held-out rows, assessing, comparing, drawing to files."""

from __future__ import annotations

from clover_tvae.workflows.datasets import DATASETS, builtin_table, make_employees

__all__ = ["DATASETS", "builtin_table", "make_employees"]
