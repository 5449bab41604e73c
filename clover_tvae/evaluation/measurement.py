"""All figures of one evaluation: fidelity, utility and privacy together, as far as the tables allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from clover_tvae.columns.frames import takes_frames
from clover_tvae.errors import CloverWarning, warn
from clover_tvae.evaluation.copies import require_fresh, without_learnt_holdout
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.fidelity import fidelity_figures
from clover_tvae.evaluation.figures import Figures
from clover_tvae.evaluation.frames import code_tables, read_frames, resolve_metadata
from clover_tvae.evaluation.membership import Scorer
from clover_tvae.evaluation.privacy import privacy_figures
from clover_tvae.evaluation.utility import utility_figures
from clover_tvae.parameters import MIN_COUNT


@takes_frames
def measure(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame | None = None,
    metadata: Any = None,
    *,
    seed: int = 0,
    min_count: int = MIN_COUNT,
    scorers: Mapping[str, Mapping[str, Scorer]] | None = None,
    learnt_holdout: str = "",
) -> Figures:
    """Measure everything that the tables allow.

    Args:
        real: The rows that the generator was trained on.
        holdout: Real rows that the generator never saw; without them there is no utility and no privacy figure.
        metadata: A ``Metadata``, Clover's dict, a path, or ``None``; utility needs its variable to predict.
        seed: Seed of every draw.
        min_count: Fewest real rows, of so many people, that a cell of the figures' tables may show.
        scorers: Further attacks by name, on the rows (``"membership"``) and on the file (``"file"``): each takes people and a
            sample of others, both real rows, and scores the people, higher for likelier members.
        learnt_holdout: Why the holdout may have been learnt (``Synthesizer.learnt_more``): then nothing is judged by it.

    Raises:
        DataError: The tables cannot be compared; all problems at once. Or the holdout holds the rows of the real table.
    """
    people = Disclosure(min_count)
    metadata = resolve_metadata(metadata)
    frames = read_frames({"real": real, "synthetic": synthetic, "holdout": holdout}, metadata)
    tables = code_tables(frames, metadata).in_one_order()
    require_fresh(tables)
    tables = without_learnt_holdout(tables, learnt_holdout)
    disclosure = Disclosure.of(min_count, tables)
    unit = getattr(metadata, "unit", None)
    if unit is not None and holdout is not None and holdout[unit].dropna().isin(real[unit]).any():
        warn(
            f"column {unit!r}: some people are in the training rows and in the held-out rows, and then privacy looks "
            "better than it is; hold people out whole",
            CloverWarning,
        )
    return (
        fidelity_figures(tables, frames, metadata, seed=seed, disclosure=disclosure)
        | utility_figures(tables, getattr(metadata, "variable_to_predict", None), seed=seed, disclosure=disclosure)
        | privacy_figures(tables, frames, scorers, seed=seed, disclosure=people)  # its attacks are on one row a person
    )
