"""Tables as the command line names them: a file, or a built-in table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clover_tvae.errors import ConfigError, Problem

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.metadata import Metadata

__all__ = ["read", "require_files"]


def require_files(*paths: str | Path | None) -> None:
    """Refuse all paths at which there is nothing, together, before anything is read."""
    from clover_tvae.workflows import DATASETS

    asked = dict.fromkeys(str(path) for path in paths if path is not None)
    lacking = [path for path in asked if path not in (*DATASETS, "infer") and not Path(path).exists()]
    if lacking:
        raise ConfigError([Problem(path, "no such file", ConfigError) for path in lacking])


def read(table: str, metadata: Metadata | None, missing: Sequence[str] | None) -> pd.DataFrame:
    """Read the file ``table``, or the built-in table of that name where there is no such file."""
    from clover_tvae.tables import read_table
    from clover_tvae.workflows import DATASETS, builtin_table

    if table in DATASETS and not Path(table).exists():
        if missing:
            raise ConfigError(Problem("--missing", "belongs to a CSV file; a built-in table has real missing cells"))
        return builtin_table(table)
    return read_table(table, metadata=metadata, missing=tuple(missing) if missing else ("",))
