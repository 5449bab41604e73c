"""Membership inference: can an attacker tell who was in the training rows?

The attacker holds a person's real row, the synthetic table and, for the density ratio, a sample of the population. No
generator is trained; ``shadow`` is the stronger attack that does.

Attacks, each a score that is higher for likelier members:

* ``distance_k``: minus the mean distance to the k nearest synthetic rows, for k = 1, 5, 10, 20, 50;
* ``density_k``: the logarithm of the mean distance to the k nearest rows of a reference sample, less that to the k
  nearest synthetic rows: a nearest-neighbour estimate of the density ratio of DOMIAS (van Breugel et al., 2023, arXiv
  2302.12580), up to a factor that no order depends on. The reference are held-out rows that are no targets.

The figure is an attack chosen on one half of the targets and measured on the other, and the other way round, so that
choosing the best of many attacks does not flatter the attacker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.neighbours import MixedSpace, Points, nearest, nearest_of_all
from clover_tvae.seeds import Measure, generator, of_measure

__all__ = [
    "MEASURES",
    "OUTLIER_POOL",
    "OUTLIER_SHARE",
    "TINY",
    "AttackScore",
    "attack_membership",
    "attack_table",
    "furthest",
    "score_with_intervals",
]

MEASURES = ("auc", "tpr1", "tpr10")
OUTLIER_SHARE = 0.1  # of the candidates: the rows furthest from others
OUTLIER_POOL = 8_000  # real rows that "others" means
TINY = 1e-6  # keeps the logarithm finite at exact copies, far under any distance of two different rows

_N_TARGETS = 2_500  # most members, and most others, attacked
_NEIGHBOURS = (1, 5, 10, 20, 50)
Rows = NDArray[Any] | slice

_N_BOOTSTRAPS = 200
_N_LOTS = 200  # times that members and others are drawn by lot


@dataclass(frozen=True)
class AttackScore:
    """How well scores tell members from others.

    Args:
        values: Area under the ROC curve, and the shares of members found at 1% and at 10% false alarms.
        intervals: 95% intervals of the three: a bootstrap over the targets, and for a chosen attack never narrower towards
            chance than what it finds where members and others are drawn by lot.
        n_members: Members attacked.
        n_others: Others attacked.
    """

    values: tuple[float, float, float]
    intervals: tuple[tuple[float, float], ...]
    n_members: int
    n_others: int


def attack_membership(tables: CodedTables, *, seed: int) -> dict[str, dict[str, AttackScore]]:
    """Attack random people and outliers.

    At most half of the held-out rows are attacked, as the other half is the attacker's reference sample.

    Args:
        tables: With the roles ``real`` (members), ``holdout`` (others) and ``synthetic``.
        seed: Seed of all draws.

    Returns:
        For ``"random"`` people and for ``"outliers"``, the tenth of as many people that lies furthest from 5 other real
        rows: the score of the attack ``"chosen"`` on the other half of the targets, then of each attack by itself.
    """
    rng = generator(of_measure(seed, Measure.MEMBERSHIP))
    train, holdout = (tables[role].draw(tables[role].n_rows, rng) for role in ("real", "holdout"))
    n_targets = min(_N_TARGETS, train.n_rows, holdout.n_rows // 2)
    n_candidates = min(2 * n_targets, train.n_rows, holdout.n_rows // 2)

    # The scale and the idea of an outlier must treat members and others alike, or they would give members away.
    n_pool = min(train.n_rows, holdout.n_rows, OUTLIER_POOL // 2)
    pools = [table.take(slice(n_pool)) for table in (train, holdout)]
    space = MixedSpace(pools[0].append(pools[1]), tables)
    own, other = (space.place(pool) for pool in pools)
    members, others = (space.place(table.take(slice(n_candidates))) for table in (train, holdout))
    reference = space.place(holdout.take(slice(n_candidates, None)))
    synthetic = space.place(tables["synthetic"])
    groups: dict[str, tuple[Rows, Rows]] = {
        "random": (slice(n_targets), slice(n_targets)),
        "outliers": (_furthest(members, own, other), _furthest(others, other, own)),
    }
    return {
        group: _attacked(
            _scores(members.take(inside), synthetic, reference),
            _scores(others.take(outside), synthetic, reference),
            rng,
        )
        for group, (inside, outside) in groups.items()
    }


def _furthest(candidates: Points, own_pool: Points, other_pool: Points) -> Rows:
    """Return the tenth of the candidates furthest from 5 real rows, themselves (first in their own pool) left out."""
    position = np.arange(len(candidates))
    k = min(5, len(own_pool) - 1)
    own, _ = nearest(candidates, own_pool, k, exclude=np.where(position < len(own_pool), position, -1))
    other, _ = nearest(candidates, other_pool, k)
    return furthest(nearest_of_all(k, own, other), max(1, round(OUTLIER_SHARE * len(candidates))))


def furthest(distances: NDArray[Any], n_rows: int) -> NDArray[Any]:
    """Return the positions, in order, of the ``n_rows`` rows that lie furthest from their neighbours.

    Shape:
        ``distances`` is (rows, neighbours).
    """
    return np.sort(np.argsort(-distances.mean(axis=1), kind="stable")[:n_rows])


def _scores(targets: Points, synthetic: Points, reference: Points) -> dict[str, NDArray[Any]]:
    to_synthetic, to_reference = (nearest(targets, pool, max(_NEIGHBOURS))[0] for pool in (synthetic, reference))
    scores: dict[str, NDArray[Any]] = {}
    for k in [k for k in _NEIGHBOURS if k <= to_synthetic.shape[1]]:
        near, far = (distances[:, :k].mean(axis=1) for distances in (to_synthetic, to_reference))
        scores[f"distance_{k}"] = -near
        if k <= to_reference.shape[1]:
            scores[f"density_{k}"] = np.log(far + TINY) - np.log(near + TINY)
    return scores


def _attacked(
    members: Mapping[str, NDArray[Any]], others: Mapping[str, NDArray[Any]], rng: np.random.Generator
) -> dict[str, AttackScore]:
    by_attack = {attack: _score(members[attack], others[attack], rng) for attack in members}
    chosen = _score(*_cross_fitted(members, others), rng)
    return {"chosen": _against_chance(chosen, members, others, rng), **by_attack}


def _cross_fitted(
    members: Mapping[str, NDArray[Any]], others: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores of the attack that is best on one half of the targets, for the other half; and the other way round."""
    n_members, n_others = (len(next(iter(scores.values()))) for scores in (members, others))
    member_half, other_half = np.arange(n_members) % 2 == 0, np.arange(n_others) % 2 == 0
    member_ranks, other_ranks = np.empty(n_members), np.empty(n_others)
    for half in (True, False):
        chosen = max(
            members,
            key=lambda attack: _auc(members[attack][member_half == half], others[attack][other_half == half]),
        )
        # Scores of two attacks are not alike; their ranks within the half that they are measured on are.
        inside, outside = members[chosen][member_half != half], others[chosen][other_half != half]
        ranks = (rankdata(np.concatenate([inside, outside])) - 0.5) / max(len(inside) + len(outside), 1)
        member_ranks[member_half != half], other_ranks[other_half != half] = ranks[: len(inside)], ranks[len(inside) :]
    return member_ranks, other_ranks


def _against_chance(
    score: AttackScore,
    members: Mapping[str, NDArray[Any]],
    others: Mapping[str, NDArray[Any]],
    rng: np.random.Generator,
) -> AttackScore:
    """Widen the intervals downwards to what the same choice of attacks finds among members and others drawn by lot.

    Where nobody was learnt, members and others are alike, so that this is exact: a lower end above chance is a false alarm
    in one case of 40, however few people there are.
    """
    pooled = np.array([np.concatenate([members[attack], others[attack]]) for attack in members])
    found = []
    for _ in range(_N_LOTS):
        halves = np.split(pooled[:, rng.permutation(pooled.shape[1])], [score.n_members], axis=1)
        found.append(_roc_measures(*_cross_fitted(*(dict(zip(members, half, strict=True)) for half in halves))))
    margins = np.quantile(found, 0.975, axis=0) - np.array([0.5, 0.01, 0.1])
    intervals = tuple(
        (max(0.0, min(low, value - float(margin))), high)
        for (low, high), value, margin in zip(score.intervals, score.values, margins, strict=True)
    )
    return replace(score, intervals=intervals)


def _score(members: NDArray[Any], others: NDArray[Any], rng: np.random.Generator) -> AttackScore:
    def draw() -> tuple[NDArray[Any], NDArray[Any]]:
        drawn = members[rng.integers(0, len(members), len(members))]
        return drawn, others[rng.integers(0, len(others), len(others))]

    return score_with_intervals(members, others, draw)


def score_with_intervals(
    members: NDArray[Any], others: NDArray[Any], draw: Callable[[], tuple[NDArray[Any], NDArray[Any]]]
) -> AttackScore:
    """Score an attack by the scores of members and others.

    For the bootstrap ``draw`` returns such scores of people drawn with replacement.

    Example:
        >>> members, others = np.array([2.0, 3.0]), np.array([0.0, 1.0])
        >>> score_with_intervals(members, others, lambda: (members, others)).values
        (1.0, 1.0, 1.0)
    """
    draws = [_roc_measures(*draw()) for _ in range(_N_BOOTSTRAPS)]
    low, high = np.quantile(draws, [0.025, 0.975], axis=0).tolist()
    return AttackScore(_roc_measures(members, others), tuple(zip(low, high, strict=True)), len(members), len(others))


def _roc_measures(members: NDArray[Any], others: NDArray[Any]) -> tuple[float, float, float]:
    """The AUC, and the shares of members found at 1% and 10% false alarms."""
    return _auc(members, others), _tpr_at(members, others, 0.01), _tpr_at(members, others, 0.1)


def _auc(members: NDArray[Any], others: NDArray[Any]) -> float:
    """P(member scores higher) + P(tie) / 2."""
    ordered = np.sort(others)
    below, not_above = np.searchsorted(ordered, members, side="left"), np.searchsorted(ordered, members, side="right")
    return float((below + not_above).mean() / (2 * len(others)))


def _tpr_at(members: NDArray[Any], others: NDArray[Any], false_alarms: float) -> float:
    """Share of members above the threshold that accuses the given share of others; ties are accused by lot."""
    threshold = np.sort(others)[::-1][min(int(false_alarms * len(others)), len(others) - 1)]
    above_others, at_others = (others > threshold).mean(), (others == threshold).mean()
    lot = (false_alarms - above_others) / at_others
    return float((members > threshold).mean() + np.clip(lot, 0.0, 1.0) * (members == threshold).mean())


def attack_table(results: Mapping[str, Mapping[str, AttackScore]]) -> pd.DataFrame:
    """Return one row a group and attack: AUC and shares found, with their intervals."""
    rows = []
    for group, attacks in results.items():
        for attack, score in attacks.items():
            row: dict[str, object] = {"group": group, "attack": attack, "n": score.n_members}
            for name, value, (low, high) in zip(MEASURES, score.values, score.intervals, strict=True):
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)
