"""Distance to the closest record: are synthetic rows nearer to the training rows than to rows never seen?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.neighbours import MixedSpace, nearest
from clover_tvae.seeds import Measure, generator, of_measure

_LEVEL = 0.02  # of the held-out rows: the nearest, whose distance is "very near"
_SAME = 1e-9  # distances nearer than this are equal: float64 noise


@dataclass(frozen=True)
class ClosestRecords:
    """What the distances to the closest records say.

    Args:
        share: Share of synthetic rows nearer to the training rows than to as many held-out rows; ties count half.
        interval: 95% interval of ``share``. Synthetic rows that share a nearest real person count as one cluster.
        quantile_share: Share of synthetic rows nearer to a training row than the 2% of held-out rows nearest to one.
        quantile_interval: 95% interval of it, clusters as above; the distance itself is known from few held-out rows.
        n_synthetic: Synthetic rows used.
        n_reference: Training rows, and held-out rows, that ``share`` compares.
    """

    share: float
    interval: tuple[float, float]
    quantile_share: float
    quantile_interval: tuple[float, float]
    n_synthetic: int
    n_reference: int


def closest_records(tables: CodedTables, *, seed: int, max_rows: int = 5_000) -> ClosestRecords:
    """Compare the synthetic rows' distances to the training rows with those to held-out rows.

    Args:
        tables: In the roles ``real``, ``synthetic`` and ``holdout``.
        max_rows: Most synthetic, and most held-out, rows whose neighbours are sought. All training rows are searched.
    """
    rng = generator(of_measure(seed, Measure.CLOSEST_RECORDS))
    train, holdout, synthetic = tables["real"], tables["holdout"], tables["synthetic"]
    n_reference = min(train.n_rows, holdout.n_rows)
    shuffled, holdout = train.draw(train.n_rows, rng), holdout.draw(n_reference, rng)
    reference = shuffled.take(slice(n_reference)).append(holdout)
    people = reference.person_of_row
    trained = shuffled.person_of_row
    space = MixedSpace(reference, tables)
    targets, pool, held = (space.place(table) for table in (synthetic.draw(max_rows, rng), shuffled, holdout))
    to_train, nearest_at = nearest(targets, pool)
    near, near_at = nearest(targets, pool.take(slice(n_reference)))
    far, far_at = nearest(targets, held)
    held = held.take(slice(max_rows))
    n_held = len(np.unique(people[n_reference:][:max_rows]))
    held_to_train, _ = nearest(held, pool)

    gap = far[:, 0] - near[:, 0]
    wins = np.where(np.abs(gap) < _SAME, 0.5, (gap > 0).astype(np.float64))
    share = float(wins.mean())
    owner = np.where(gap > 0, near_at[:, 0], n_reference + far_at[:, 0])
    weights = np.bincount(people[owner]).astype(np.float64)
    error = float(np.sqrt(0.25 * (weights**2).sum()) / len(wins))
    interval = (max(0.0, share - 1.96 * error), min(1.0, share + 1.96 * error))
    quantile_share = _share_below_quantile(to_train[:, 0], held_to_train[:, 0])
    return ClosestRecords(
        share=share,
        interval=interval,
        quantile_share=quantile_share,
        quantile_interval=_quantile_interval(quantile_share, to_train[:, 0], trained[nearest_at[:, 0]], n_held),
        n_synthetic=len(targets),
        n_reference=n_reference,
    )


def _share_below_quantile(distances: NDArray[Any], reference: NDArray[Any]) -> float:
    """Share of ``distances`` under the reference's quantile; ties with it count as much as they do in the reference.

    Without that, a reference with more than 2% exact copies would hide all copies: no distance is under 0.
    """
    cut = np.quantile(reference, _LEVEL, method="inverted_cdf")
    (below_reference, at_reference), (below, at) = (
        ((values < cut - _SAME).mean(), (np.abs(values - cut) <= _SAME).mean()) for values in (reference, distances)
    )
    return float(below + (_LEVEL - below_reference) / at_reference * at)


def _quantile_interval(
    share: float, distances: NDArray[Any], nearest_at: NDArray[Any], n_held: int
) -> tuple[float, float]:
    """95% interval of the share below a quantile that is itself estimated, both errors added on the scale of logarithms.

    The share of fresh rows below the k-th smallest of m distances has the law Beta(k, m + 1 - k).
    """
    from scipy.stats import beta

    n = len(distances)
    below = np.argsort(distances, kind="stable")[: max(1, round(share * n))]
    clusters = np.bincount(nearest_at[below]).astype(np.float64)
    n_alone = n * clusters.sum() / (clusters**2).sum()
    z2 = 1.96**2
    centre = share + z2 / (2 * n_alone)
    spread = 1.96 * np.sqrt(share * (1 - share) / n_alone + z2 / (4 * n_alone**2))
    low, high = (centre - spread) / (1 + z2 / n_alone), (centre + spread) / (1 + z2 / n_alone)
    k = max(1, int(np.ceil(_LEVEL * n_held)))
    fewest, most = beta.ppf([0.025, 0.975], k, n_held + 1 - k) / (k / (n_held + 1))
    tiny = 1e-12
    down = np.hypot(np.log(max(share, tiny) / max(low, tiny)), np.log(most))
    up = np.hypot(np.log(max(high, tiny) / max(share, low, tiny)), np.log(1 / fewest))
    return float(share * np.exp(-down)), float(min(1.0, max(share, low) * np.exp(up)))
