"""Attackers who need a synthesizer: one learns the released rows, one holds the generator file.

The evaluation knows no synthesizer: it takes these as scorers of people.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.backends.protocol import ReadsRows
from clover_tvae.errors import CloverError
from clover_tvae.evaluation.membership import Scorer
from clover_tvae.metadata import Metadata

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.synthesizer import TVAESynthesizer

__all__ = ["attackers"]

_MAX_ROWS = 10_000  # of the released rows that the attacker learns
_FULL: dict[str, Any] = {"decoder": "autoregressive", "max_minutes": 10.0}
_QUICK: dict[str, Any] = {
    "decoder": "autoregressive",
    "compress_dims": (64, 64),
    "decompress_dims": (96, 96),
    "embedding_dim": 4,
    "batch_size": 256,
    "patience": 15,
    "max_minutes": 0.3,
}


def attackers(
    synthetic: pd.DataFrame,
    metadata: Metadata,
    synth: TVAESynthesizer | None = None,
    *,
    full: bool = False,
    seed: int = 0,
    tell: Callable[[str], object] = lambda text: None,
) -> dict[str, dict[str, Scorer]]:
    """Return the scorers that ``evaluation.measure`` takes.

    Args:
        synthetic: The rows that leave.
        metadata: What each column is.
        synth: The generator, where its file leaves too.
        full: Learn the rows with a network of the ordinary size, without a limit of twenty seconds.
        seed: Seed of the attackers' own training.
        tell: Called where an attack could not be made.

    References:
        Score by the likelihood of a model of the released rows, less that of a model of other people: DOMIAS (van
        Breugel et al., 2023, arXiv 2302.12580), with our own network as the density.
    """
    columns = tuple(column for column in metadata.columns if column.kind not in ("id", "ignore"))
    cells, names = Metadata(columns, relations=()), [column.name for column in columns]  # every column as it is

    def oddness_to(rows: pd.DataFrame, people: pd.DataFrame) -> NDArray[Any]:
        from clover_tvae.synthesizer import TVAESynthesizer

        options = {**(_FULL if full else _QUICK), "exact_values": True, "min_count": 1}
        rows = rows.sample(min(len(rows), _MAX_ROWS), random_state=seed % 2**32).reset_index(drop=True)
        model = TVAESynthesizer(rows[names], cells, random_state=seed, verbose=False, **options).fit()
        return model.anomaly_scores(people[names])["score"].to_numpy(dtype=float)

    def learnt(people: pd.DataFrame, others: pd.DataFrame) -> NDArray[Any]:
        try:
            return oddness_to(others, people) - oddness_to(synthetic, people)
        except CloverError as error:
            tell(f"the released rows could not be learnt: {error}")
            return np.zeros(len(people))

    def asked(people: pd.DataFrame, others: pd.DataFrame) -> NDArray[Any]:
        assert synth is not None
        return -synth.anomaly_scores(people)["score"].to_numpy(dtype=float)

    found: dict[str, dict[str, Scorer]] = {"membership": {"learn_the_rows": learnt}}
    if synth is not None and isinstance(synth._backend, ReadsRows):
        found["file"] = {"likelihood": asked}
    return found
