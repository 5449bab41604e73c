"""Attackers who need a synthesizer: one learns the released rows, one holds the generator file.

The evaluation knows no synthesizer: it takes these as scorers of people.
"""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.errors import CloverError
from clover_tvae.evaluation.membership import Scorer, file_scorers
from clover_tvae.metadata import Metadata

if TYPE_CHECKING:
    from clover_tvae.synthesizer import Synthesizer

_MAX_ROWS = 10_000  # of the released rows that the attacker learns
#: The attacker wants all that the rows give, and holds none of them out.
_OPTIONS: dict[str, Any] = {
    "privacy": "none",
    "exact_values": True,
    "min_count": 1,
    "validation_fraction": 0.0,
    "verbose": False,
}
_QUICK: dict[str, Any] = {
    "compress_dims": (64, 64),
    "decompress_dims": (96, 96),
    "embedding_dim": 4,
    "batch_size": 256,
    "max_minutes": 0.3,
}
_QUICK_STEPS = 250


def attackers(
    synthetic: pd.DataFrame, metadata: Metadata, synth: Synthesizer | None = None, *, full: bool = False, seed: int = 0
) -> dict[str, dict[str, Scorer]]:
    """Return the scorers that ``evaluation.measure`` takes.

    Args:
        synthetic: The rows that leave.
        synth: The generator, where its file leaves too.
        full: Learn the rows with a network of the ordinary size, without a limit of twenty seconds.

    References:
        The likelihood of a model of the released rows over that of a model of other people: DOMIAS (van Breugel et al.,
        2023, arXiv 2302.12580), with our own network as the density.
    """
    columns = tuple(column for column in metadata.columns if column.kind not in ("id", "ignore"))
    cells, names = Metadata(columns, relations=()), [column.name for column in columns]  # every column as it is

    def oddness_to(rows: pd.DataFrame, people: pd.DataFrame) -> NDArray[Any]:
        from clover_tvae.synthesizer import Synthesizer

        rows, people = cells.read(rows), cells.read(people)
        rows = rows[names].sample(min(len(rows), _MAX_ROWS), random_state=seed % 2**32).reset_index(drop=True)
        epochs = math.ceil(_QUICK_STEPS / math.ceil(len(rows) / _QUICK["batch_size"]))
        options = _OPTIONS if full else {**_OPTIONS, **_QUICK, "epochs": epochs}
        with warnings.catch_warnings(), _unlogged():
            warnings.simplefilter("ignore")  # of what such rows lack the user was told by the generator
            model = Synthesizer(rows, cells, random_state=seed, **options).fit()
        return model.anomaly_scores(people[names]).iloc[:, 0].to_numpy(dtype=float)

    def learnt(people: pd.DataFrame, others: pd.DataFrame) -> NDArray[Any]:
        try:
            return oddness_to(others, people) - oddness_to(synthetic, people)
        except CloverError:
            return np.zeros(len(people))  # rows that cannot be learnt tell nothing in this way

    return {"membership": {"learn_the_rows": learnt}, **file_attackers(synth)}


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Log nothing of a training: who reads the log would take it for that of the generator."""
    loggers = [logging.getLogger(f"clover_tvae.{room}") for room in ("backends", "synthesizer", "training")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def file_attackers(synth: Synthesizer | None) -> dict[str, dict[str, Scorer]]:
    """Return the scorers of who holds the file: how likely it says that a person is; none where it cannot say."""
    return file_scorers(synth.anomaly_scores) if synth is not None and synth.reads_rows else {}
