"""The command line, ``clover-tvae``: the only room that prints."""

from __future__ import annotations

from clover_tvae.cli.app import app, main

__all__ = ["app", "main"]
