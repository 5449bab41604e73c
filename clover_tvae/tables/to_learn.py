"""The table that is to be learnt: a DataFrame, or a Parquet dataset of which only a sample is in memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from clover_tvae.columns.frames import FrameKind, read_frame
from clover_tvae.metadata import Metadata
from clover_tvae.seeds import Call, generator, root
from clover_tvae.tables.dataset import Beyond, read_dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableToLearn:
    """A table that is held until it is learnt.

    Args:
        df: The rows in memory, or their sample; ``None``: there is no table.
        beyond: What reads all rows of a table that is larger than memory.
        kind: The library that it came from.
    """

    df: pd.DataFrame | None = None
    beyond: Beyond | None = None
    kind: FrameKind = field(default_factory=FrameKind)

    @classmethod
    def of(cls, given: Any, random_state: int | None, kind: FrameKind | None = None) -> TableToLearn:
        """Return a table as the user gives it; ``random_state`` draws the sample of one that is larger than memory."""
        if not isinstance(given, str | Path):
            table, found = read_frame(given)
            return cls(table, None, found or kind or FrameKind())
        df, beyond = read_dataset(given, generator(root(random_state or 0), Call.DATASET))
        if beyond is not None:
            text = "%s rows: quantiles, categories and relations are learnt of %s of them, drawn at random"
            logger.info(text, f"{beyond.n_rows:,}", f"{len(df):,}")
        return cls(df, beyond)

    def read_by(self, metadata: Metadata) -> TableToLearn:
        """Return the table with the texts of its cells read as the metadata says."""
        beyond = None if self.beyond is None else self.beyond.mapped(metadata.read)
        return replace(self, df=None if self.df is None else metadata.read(self.df), beyond=beyond)

    @property
    def n_rows(self) -> int:
        """Rows of the whole table."""
        return self.beyond.n_rows if self.beyond is not None else 0 if self.df is None else len(self.df)
