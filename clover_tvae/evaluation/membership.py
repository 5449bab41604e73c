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

from clover_tvae.columns.people import one_row_each
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.neighbours import MixedSpace, Points, nearest
from clover_tvae.seeds import Measure, generator, of_measure

__all__ = [
    "OUTLIER_NEIGHBOURS",
    "OUTLIER_POOL",
    "OUTLIER_SHARE",
    "TINY",
    "AttackScore",
    "attack_figures",
    "attack_membership",
    "furthest",
    "score_with_intervals",
]

OUTLIER_SHARE = 0.1  # of the candidates: the rows furthest from others
OUTLIER_POOL = 8_000  # real rows that "others" means
OUTLIER_NEIGHBOURS = 5
TINY = 1e-6  # keeps the logarithm finite at exact copies, far under any distance of two different rows

_N_TARGETS = 2_500  # most members, and most others, attacked
_NEIGHBOURS = (1, 5, 10, 20, 50)
_N_BOOTSTRAPS = 200
_N_LOTS = 200  # times that members and others are drawn by lot
#: The measures, and the others that a share found at 1% (10%) false alarms needs to raise one alarm: with fewer, guessing
#: scores far above it.
_FEWEST_OTHERS = {"auc": 1, "tpr1": 100, "tpr10": 10}


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

    At most half of the held-out rows are attacked, as the other half is the attacker's reference sample. A person of
    several rows is attacked by one of them, drawn at random.

    Args:
        tables: With the roles ``real`` (members), ``holdout`` (others) and ``synthetic``.
        seed: Seed of all draws.

    Returns:
        For ``"random"`` people and for ``"outliers"``, the tenth of as many people that lies furthest from 5 other real
        rows: the score of the attack ``"chosen"`` on the other half of the targets, then of each attack by itself.
    """
    rng = generator(of_measure(seed, Measure.MEMBERSHIP))
    train, holdout = (
        table.take(one_row_each(table.people, table.n_rows, rng)) for table in (tables["real"], tables["holdout"])
    )
    n_targets = min(_N_TARGETS, train.n_rows, holdout.n_rows // 2)
    n_candidates = min(2 * n_targets, train.n_rows, holdout.n_rows // 2)

    # The scale and the idea of an outlier must treat members and others alike, or they would give members away.
    n_pool = min(train.n_rows, holdout.n_rows, OUTLIER_POOL // 2)
    pooled = train.take(slice(n_pool)).append(holdout.take(slice(n_pool)))
    space = MixedSpace(pooled, tables)
    pool, synthetic = space.place(pooled), space.place(tables["synthetic"])
    people = [space.place(table.take(slice(n_candidates))) for table in (train, holdout)]
    reference = space.place(holdout.take(slice(n_candidates, None)))
    position = np.arange(n_candidates)
    n_outliers = max(1, round(OUTLIER_SHARE * n_candidates))
    outliers = [
        candidates.take(furthest(candidates, pool, np.where(position < n_pool, first + position, -1), n_outliers))
        for candidates, first in zip(people, (0, n_pool), strict=True)
    ]
    random = [candidates.take(slice(n_targets)) for candidates in people]
    found = {}
    for group, both in (("random", random), ("outliers", outliers)):
        inside, outside = (_scores(targets, synthetic, reference) for targets in both)
        found[group] = _attacked(inside, outside, rng)
    return found


def furthest(candidates: Points, pool: Points, itself: NDArray[Any], n_rows: int) -> NDArray[Any]:
    """Return the positions, in order, of the ``n_rows`` candidates furthest from 5 other rows of the pool.

    ``itself`` is the position of each candidate in the pool, -1 where it is not in it.
    """
    distances, _ = nearest(candidates, pool, OUTLIER_NEIGHBOURS, exclude=itself)
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
    inside, outside = (np.array(list(scores.values())) for scores in (members, others))
    chosen = _score(*_cross_fitted(inside, outside), rng=rng)
    return {"chosen": _against_chance(chosen, np.hstack([inside, outside]), rng), **by_attack}


def _cross_fitted(members: NDArray[Any], others: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores of the attack that is best on one half of the targets, for the other half; and the other way round.

    Shape:
        ``members`` and ``others`` are (attacks, people); of the result, (people,).
    """
    result = np.empty(members.shape[1]), np.empty(others.shape[1])
    for learnt, judged in ((0, 1), (1, 0)):
        halves = members[:, learnt::2], others[:, learnt::2]
        chosen = int(np.argmax([_auc(*scores) for scores in zip(*halves, strict=True)]))
        # Scores of two attacks are not alike; their ranks within the half that they are measured on are.
        inside, outside = members[chosen, judged::2], others[chosen, judged::2]
        ranks = (rankdata(np.concatenate([inside, outside])) - 0.5) / max(len(inside) + len(outside), 1)
        result[0][judged::2], result[1][judged::2] = ranks[: len(inside)], ranks[len(inside) :]
    return result


def _against_chance(score: AttackScore, pooled: NDArray[Any], rng: np.random.Generator) -> AttackScore:
    """Widen the intervals downwards to what the same choice of attacks finds among members and others drawn by lot.

    Where nobody was learnt, members and others are alike, so that this is exact: a lower end above chance is a false alarm
    in one case of 40, however few people there are.
    """
    lots = (pooled[:, rng.permutation(pooled.shape[1])] for _ in range(_N_LOTS))
    found = [_roc_measures(*_cross_fitted(lot[:, : score.n_members], lot[:, score.n_members :])) for lot in lots]
    margins = np.quantile(found, 0.975, axis=0) - np.array([0.5, 0.01, 0.1])
    intervals = tuple(
        (max(0.0, min(low, value - float(margin))), high)
        for (low, high), value, margin in zip(score.intervals, score.values, margins, strict=True)
    )
    return replace(score, intervals=intervals)


def _score(members: NDArray[Any], others: NDArray[Any], rng: np.random.Generator) -> AttackScore:
    return score_with_intervals(
        members,
        others,
        lambda: tuple(scores[rng.integers(0, len(scores), len(scores))] for scores in (members, others)),
    )


def score_with_intervals(
    members: NDArray[Any], others: NDArray[Any], draw: Callable[[], tuple[NDArray[Any], ...]]
) -> AttackScore:
    """Score an attack by the scores of members and others; ``draw`` returns those of people drawn with replacement.

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


def attack_figures(
    attack: str,
    results: Mapping[str, Mapping[str, AttackScore]],
    note: Callable[[AttackScore], str],
    *,
    seed: int,
    disclosure: Disclosure,
) -> Figures:
    """Return the figures of the first attack of each group, and a table of all.

    A share found at few false alarms is measured only where so few can be counted; a group of fewer than k people is not
    told of.

    Args:
        attack: ``membership`` or ``shadow``.
        results: The scores by group, ``random`` and ``outliers``, and by name.
        note: What a score rests on.
        seed: Seed of the draws.
        disclosure: Fewest people that a figure may rest on.
    """
    figures, rows = [], []
    for (group, scores), suffix in zip(results.items(), ("", "_outliers"), strict=True):
        main = next(iter(scores.values()))
        told = disclosure.may_name(min(main.n_members, main.n_others))
        n = main.n_members + main.n_others
        rows += [_table_row(group, name, score) for name, score in scores.items() if told]
        for place, (measure, fewest) in enumerate(_FEWEST_OTHERS.items()):
            why = ""
            if not told:
                why = f"Not shown: fewer than {disclosure.min_count} people were attacked."
            elif main.n_others < fewest:
                why = f"Not measured: {main.n_others:,} others were attacked, and this share needs {fewest:,}."
            value, interval = (None, None) if why else (main.values[place], main.intervals[place])
            options: dict[str, Any] = {"interval": interval, "note": why or note(main), "n": n, "seed": seed}
            figures.append(Figure.of(f"privacy.{attack}_{measure}{suffix}", value, **options))
    return Figures.of(figures, {attack: pd.DataFrame(rows)})


def _table_row(group: str, attack: str, score: AttackScore) -> dict[str, object]:
    row: dict[str, object] = {"group": group, "attack": attack, "n": score.n_members}
    for measure, value, (low, high) in zip(_FEWEST_OTHERS, score.values, score.intervals, strict=True):
        row |= {measure: value, f"{measure}_low": low, f"{measure}_high": high}
    return row
