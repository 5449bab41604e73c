"""The table that is learnt in place of the real one: without what relations determine, and how rows are brought back."""

from __future__ import annotations

from clover_tvae.reduction.reduced import Reduction

__all__ = ["Reduction"]
