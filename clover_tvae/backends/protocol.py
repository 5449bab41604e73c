"""The seam between the synthesizer and what learns the table: what a backend offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError
from typing_extensions import Self

from clover_tvae.columns.dtypes import where_of
from clover_tvae.columns.frames import require_pandas
from clover_tvae.errors import (
    ColumnsMismatchError,
    ConditionError,
    ConfigError,
    CorruptArtifactError,
    DataError,
    MetadataError,
    Problem,
    data_rows,
    did_you_mean,
)
from clover_tvae.metadata import Metadata
from clover_tvae.metadata.validate import repeated_names
from clover_tvae.tables import Beyond
from clover_tvae.transforms import TableTransform

if TYPE_CHECKING:
    from clover_tvae.training import Checkpoint


class Backend(Protocol):
    """What learns one table and draws rows from what it learnt.

    A backend is made from parameters of ``TVAESynthesizer`` alone, ``None`` meaning "my own default". One that knows the
    probability of a cell given the others offers :class:`ReadsRows` as well.
    """

    name: str

    @property
    def held_out(self) -> NDArray[np.int64]:
        """Places of the rows of the table learnt last that no weight was trained on; none in a generator that was loaded."""
        return np.empty(0, dtype=np.int64)

    def __init__(self, **given: Any) -> None: ...

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters in force, defaults resolved: plain values."""

    @property
    def history(self) -> list[dict[str, float]]:
        """One dict an epoch: epoch, seconds, loss, reconstruction, kl and validation_loss, _reconstruction, _kl."""

    @property
    def facts(self) -> dict[str, Any]:
        """Rows, best epoch, why training ended, the device and, where they are known, the seconds."""

    @property
    def transform(self) -> TableTransform:
        """What the table was learnt as.

        Raises:
            NotFittedError: Nothing was learnt yet.
        """

    @property
    def kinds(self) -> dict[Hashable, str]:
        """The kind of every column that was learnt or left out."""
        return {**{column.name: column.kind for column in self.transform.transforms}, **dict(self.transform.left_out)}

    def fit(
        self,
        df: pd.DataFrame,
        metadata: Metadata,
        *,
        seed: np.random.SeedSequence,
        verbose: bool = False,
        checkpoint: Checkpoint | None = None,
        beyond: Beyond | None = None,
    ) -> Self:
        """Learn a table.

        Args:
            df: The table, which must have passed ``metadata.validate``. It is not changed.
            metadata: What its columns are. ``id`` and ``ignore`` columns are not learnt.
            seed: Fixes the result.
            checkpoint: Where trainings are saved as they go, and go on from, by backends that can.
            beyond: All rows, where ``df`` is only a sample of them, for backends that can.

        Returns:
            The backend itself.

        Raises:
            DataError: The table cannot be learnt.
            TrainingError: Training failed.
        """

    def sample_frames(
        self,
        n_rows: int,
        *,
        seed: np.random.SeedSequence,
        conditions: Mapping[Hashable, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
        first_id: int = 0,
        steps: int | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield rows in frames of flat size, with the columns, order and dtypes of the table that was learnt.

        What is not told here is told by ``Synthesizer.sample``.

        Args:
            n_rows: How many, at least 0.
            seed: Fixes every row: a longer sample of the same seed starts with the shorter one.
            first_id: How many identifiers are passed over before the first.

        Raises:
            NotFittedError: Nothing was learnt yet.
            ConditionError: The conditions name an unknown column or a value never seen, or no row can meet them.
        """

    def sample_rest(
        self, skip: int, n_rows: int, *, seed: np.random.SeedSequence, **how: Any
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows of :meth:`sample_frames` after the first ``skip``, at least 1, as they are in the whole.

        Here all rows are drawn, and the first ones thrown away.
        """
        for frame in self.sample_frames(n_rows, seed=seed, **how):
            if len(frame) > skip:
                yield frame.iloc[skip:]
            skip = max(0, skip - len(frame))

    @property
    def mended_cells(self) -> Counter[Any]:
        """Cells of each column that were mended in the rows given out so far, where the table was learnt as it is."""
        return Counter()

    def sigmas(self) -> dict[Hashable, list[float]]:
        """Learned standard deviations of each numeric column, in units of its modes' scale, where the decoder has such."""

    def set_device(self, device: str) -> None:
        """Move what was learnt to ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``.

        Raises:
            ConfigError: This machine has no such device.
        """

    def state(self) -> dict[str, Any]:
        """Return the backend's parts of the generator file: ``transforms``, ``model``, ``weights``, ``training``."""


@runtime_checkable
class ReadsRows(Protocol):
    """What reads rows that are given, too: it knows the probability of their cells."""

    def prepare(
        self, df: pd.DataFrame, metadata: Metadata, *, seed: np.random.SeedSequence, is_sample: bool = False
    ) -> None:
        """Take the first step of ``fit``, which goes on from it; ``is_sample`` says that there are more rows than ``df``."""

    def check_conditions(self, conditions: Mapping[Hashable, Any]) -> None:
        """Refuse conditions that no row could meet, as far as the table that is prepared or learnt tells.

        Raises:
            ConditionError: A column or a value was never seen, or a range holds no value.
        """

    def complete(
        self,
        df: pd.DataFrame,
        *,
        seed: np.random.SeedSequence,
        missing: bool = True,
        decode: str | None = None,
        first_id: int = 0,
    ) -> pd.DataFrame:
        """Draw the empty cells of ``df`` (and the columns that it lacks) from the model, given the others.

        Args:
            df: Rows with some or all of the modelled columns; what is missing is drawn.
            missing: Whether cells of the columns that ``df`` lacks may be missing; gaps of its own columns are filled.
            first_id: How many identifiers are passed over before the first.

        Raises:
            ConditionError: A column is unknown, or cells hold values that were never seen in training.
        """

    def impute(
        self, df: pd.DataFrame, *, seed: np.random.SeedSequence, may_lack: Collection[Hashable] = ()
    ) -> pd.DataFrame:
        """Fill the missing cells of ``df`` with draws from the model given the rest of the row; all else is untouched.

        In the columns ``may_lack`` a cell may turn out to be missing.
        """

    def outside(self, df: pd.DataFrame) -> dict[Hashable, int]:
        """Return how many cells of each column lie outside of its range, or are of no category that was learnt."""

    def encode(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the mean of ``q(z | x)`` of every row, on ``df``'s index."""

    def reconstruct(self, df: pd.DataFrame, *, seed: np.random.SeedSequence) -> pd.DataFrame:
        """Decode the latent mean of every row: what the latent space keeps of it."""

    def anomaly_scores(
        self, df: pd.DataFrame, *, seed: np.random.SeedSequence, most_parts: int | None = None
    ) -> pd.DataFrame:
        """Return ``-log p(cell | rest of the row)`` of every cell, in nats, and their sum a row first.

        With ``most_parts``, the columns of a wide table are left out in so many parts instead of one by one.
        """


@contextmanager
def reading(part: str) -> Iterator[None]:
    """Refuse a generator file whose ``part`` cannot be read as what it should be."""
    try:
        yield
    except (ValueError, TypeError, KeyError, MetadataError) as error:
        found = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False, include_url=False)[0]
            found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise CorruptArtifactError(f"the file's {part} part is not valid: {found}") from None


def reader(backend: Backend, df: Any, called: str) -> ReadsRows:
    """Return what reads the rows of ``df``, for the method that the user ``called``.

    Raises:
        DataError: ``df`` is no DataFrame whose columns have names of their own.
        ConfigError: The backend cannot read rows.
    """
    require_pandas(df, "df")
    DataError.raise_any(repeated_names(df.columns))
    if not isinstance(backend, ReadsRows):
        raise ConfigError(f"the {backend.name!r} backend cannot do this; fit with backend='native'", called)
    return backend


def require_columns(df: pd.DataFrame, names: Sequence[Hashable]) -> None:
    """Refuse rows that lack a column that was learnt.

    Raises:
        ColumnsMismatchError: With every such column.
    """
    if lacking := [name for name in names if name not in df.columns]:
        text = "is not in the table, and was learnt; add it, with missing cells where nothing is known"
        others = [name for name in df.columns if name not in names]
        raise ColumnsMismatchError([Problem(f"column {n!r}", text + did_you_mean(n, others)) for n in lacking])


def never_seen(places: Mapping[Any, Sequence[int]], cure: str = "leave them empty to have them drawn") -> list[Problem]:
    """Return the problems of partial rows, by their places, of which a column holds values that were not learnt."""
    text = "cells hold values that were never seen in training, or lie outside of its range"
    told = {name: f"{len(rows)} {text} ({data_rows(rows)}); {cure}" for name, rows in places.items() if len(rows)}
    return [Problem(where_of(name), message) for name, message in told.items()]


def refuse_unknown(df: pd.DataFrame, names: Sequence[Hashable]) -> None:
    """Refuse partial rows with a column that was not learnt.

    Raises:
        ConditionError: With every such column.
    """
    unknown = [name for name in df.columns if name not in names]
    ConditionError.raise_any([Problem(where_of(n), f"not a modelled column{did_you_mean(n, names)}") for n in unknown])
