"""What learns a table: the native engine, or SDV's TVAE. Each is imported when it is first asked for."""

from __future__ import annotations

from clover_tvae.backends.protocol import (
    BACKENDS,
    LARGEST_WIDTH,
    NOT_IN_SDV,
    ONLY_IN_SDV,
    Backend,
    ability,
    load_backend,
    make_backend,
)

__all__ = [
    "BACKENDS",
    "LARGEST_WIDTH",
    "NOT_IN_SDV",
    "ONLY_IN_SDV",
    "Backend",
    "ability",
    "load_backend",
    "make_backend",
]
