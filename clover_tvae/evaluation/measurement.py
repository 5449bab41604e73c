"""All figures of one evaluation: fidelity, utility and privacy together, as far as the tables allow."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clover_tvae.evaluation.fidelity import fidelity
from clover_tvae.evaluation.figures import Figures
from clover_tvae.evaluation.frames import resolve_metadata
from clover_tvae.evaluation.privacy import privacy
from clover_tvae.evaluation.utility import utility
from clover_tvae.parameters import MIN_COUNT

__all__ = ["measure"]


def measure(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame | None = None,
    metadata: Any = None,
    *,
    seed: int = 0,
    min_count: int = MIN_COUNT,
) -> Figures:
    """Measure everything that the tables allow.

    Args:
        real: The rows that the generator was trained on.
        synthetic: The synthetic rows.
        holdout: Real rows that the generator never saw; without them there is no utility and no privacy figure.
        metadata: A ``Metadata``, Clover's dict, a path, or ``None``; utility needs its variable to predict.
        seed: Seed of every draw.
        min_count: Fewest real rows that a cell of the figures' tables may show.

    Raises:
        DataError: The tables cannot be compared; all problems at once.
    """
    metadata = resolve_metadata(metadata)
    return (
        fidelity(real, synthetic, holdout, metadata, seed=seed, min_count=min_count)
        | utility(real, synthetic, holdout, metadata, seed=seed)
        | privacy(real, synthetic, holdout, metadata, seed=seed)
    )
