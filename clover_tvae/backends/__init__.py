"""What learns a table: the native engine, or SDV's TVAE. Each is imported when it is first asked for."""

from __future__ import annotations

from clover_tvae.backends.protocol import (
    BACKENDS,
    Backend,
    ability,
    load_backend,
    make_backend,
)

__all__ = [
    "BACKENDS",
    "Backend",
    "ability",
    "load_backend",
    "make_backend",
]
