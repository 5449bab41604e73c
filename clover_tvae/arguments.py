"""Checks of what a caller hands to the public face, before any work begins.

It knows pandas and the errors; it must not know models, files or what happens with the arguments.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.errors import ConfigError, DataError, DuplicateColumnsError, Problem

__all__ = ["check_decode", "check_frame", "check_path", "check_row_count", "check_seed", "check_writable"]


def check_seed(random_state: Any) -> None:
    """Raise ``ConfigError`` unless this is a seed: an integer from 0 to 2^64 - 1, or ``None``."""
    if random_state is None:
        return
    whole = isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool)
    if not whole or not 0 <= random_state < 2**64:
        raise ConfigError(
            Problem(
                "random_state", f"must be an integer from 0 to 2^64 - 1 or None, found {type(random_state).__name__}"
            )
        )


def check_frame(df: Any) -> None:
    """Raise ``DataError`` unless this is a DataFrame whose columns have names of their own."""
    if not isinstance(df, pd.DataFrame):
        raise DataError(Problem("df", f"must be a pandas DataFrame, found {type(df).__name__}"))
    if not df.columns.is_unique:
        twice = list(dict.fromkeys(df.columns[df.columns.duplicated()]))
        raise DuplicateColumnsError(
            [
                Problem(f"column {name!r}", "several columns have this name; rename or drop all but one")
                for name in twice
            ]
        )


def check_path(path: Any, name: str) -> Path:
    """Return ``path`` as a ``Path``, or raise ``ConfigError`` with the parameter's ``name``."""
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(Problem(name, f"must be the path of a file, found {type(path).__name__}"))
    return Path(path)


def check_writable(path: Path, name: str) -> None:
    """Raise ``ConfigError`` where no file could be written at ``path``, as far as can be told without writing it."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(Problem(name, f"the folder of {str(path)!r} does not exist; make it first"))
    if path.is_dir():
        raise ConfigError(Problem(name, f"{str(path)!r} is a folder; give the name of a file"))
    if not os.access(path.absolute().parent, os.W_OK):
        raise ConfigError(Problem(name, f"the folder of {str(path)!r} cannot be written to"))


def check_decode(decode: Any) -> None:
    """Raise ``ConfigError`` unless this is a way to decode."""
    if decode not in ("sample", "argmax"):
        raise ConfigError(Problem("decode", f"must be 'sample' or 'argmax', however: decode={decode!r}"))


def check_row_count(n_rows: Any) -> int:
    """Return ``n_rows`` as an ``int``, or raise ``ConfigError``."""
    if isinstance(n_rows, bool) or not isinstance(n_rows, (int, np.integer)) or n_rows < 0:
        raise ConfigError(Problem("n_rows", f"must be an integer of at least 0, however: n_rows={n_rows!r}"))
    return int(n_rows)
