"""Membership inference: can an attacker tell who was in the training rows?

The attacker holds a person's real row, the synthetic table and a sample of the population: held-out rows that are no
targets. No generator is trained here; ``shadow_models`` does that.

Attacks, each a score that is higher for likelier members:

* ``distance_k``: minus the mean distance to the k nearest synthetic rows, for k = 1, 5, 20;
* ``density_k``: the logarithm of the mean distance to the k nearest rows of the sample, less that to the k nearest
  synthetic rows: a nearest-neighbour estimate of the density ratio of DOMIAS (van Breugel et al., 2023, arXiv
  2302.12580), up to a factor that no order depends on;
* ``trees``: the margin of gradient-boosted trees that tell synthetic rows from the sample;
* ``marginals``: the likelihood ratio of the row's cells, one column after the other;
* whatever scorers are given: models of the released rows, or of the generator file.

The figure is the attack that does best on one half of the targets, measured on the other, and the other way round, so that
choosing the best of many attacks does not flatter the attacker. Its p-value is exact: that of the same choice where members
and others are drawn by lot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clover_tvae.columns.people import one_row_each
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.features import filled_where_empty, tree_matrix, tree_options
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTable, CodedTables
from clover_tvae.evaluation.neighbours import MixedSpace, Points, nearest
from clover_tvae.seeds import Measure, generator, of_measure

#: Takes people and a sample of others, both real rows, and scores the people: the higher, the likelier a member.
Scorer = Callable[[pd.DataFrame, pd.DataFrame], NDArray[Any]]

OUTLIER_SHARE = 0.1  # of the targets: the rows furthest from others
OUTLIER_POOL = 8_000  # real rows that "others" means
OUTLIER_NEIGHBOURS = 5
TINY = 1e-6  # keeps the logarithm finite at exact copies, far under any distance of two different rows

_N_TARGETS = 2_500  # most members, and most others, attacked
_NEIGHBOURS = (1, 5, 20)
_TREE_ROWS = 20_000  # most synthetic rows that the trees learn
_N_LEVELS = 32  # bins of a number's marginal
_N_BOOTSTRAPS = 200
_N_LOTS = 499  # times that members and others are drawn by lot
_CHANCE = np.array([0.5, 0.01, 0.1])  # what guessing gives of the three measures
#: The measures, and the others that a share found at 1% (10%) false alarms needs to raise one alarm: with fewer, guessing
#: scores far above it.
_FEWEST_OTHERS = {"auc": 1, "tpr1": 100, "tpr10": 10}


def file_scorers(anomaly_scores: Callable[[pd.DataFrame], pd.DataFrame]) -> dict[str, dict[str, Scorer]]:
    """Return the attack of who holds the generator file: a person is scored by how likely the file says they are."""
    return {"file": {"likelihood": lambda people, others: -anomaly_scores(people).iloc[:, 0].to_numpy(dtype=float)}}


@dataclass(frozen=True)
class AttackScore:
    """How well scores tell members from others.

    Args:
        values: Area under the ROC curve, and the shares of members found at 1% and at 10% false alarms.
        intervals: 95% intervals of the three: a bootstrap over the targets, and for a chosen attack never narrower towards
            chance than what it finds where members and others are drawn by lot.
        p: How often chance gives as much, of each of the three.
        seen_from: The AUC above which an attack would be told from chance, one test in 100 of nobody: the test's power.
    """

    values: tuple[float, float, float]
    intervals: tuple[tuple[float, float], ...]
    n_members: int
    n_others: int
    p: tuple[float, ...]
    seen_from: float | None = None

    @property
    def told(self) -> tuple[float, ...]:
        """The three values; NaN for a share that needs more others than were attacked."""
        pairs = zip(self.values, _FEWEST_OTHERS.values(), strict=True)
        return tuple(value if self.n_others >= fewest else math.nan for value, fewest in pairs)


def attack_membership(
    tables: CodedTables,
    frames: Mapping[str, pd.DataFrame | None] | None = None,
    scorers: Mapping[str, Mapping[str, Scorer]] | None = None,
    *,
    seed: int,
) -> dict[str, dict[str, dict[str, AttackScore]]]:
    """Attack random people and outliers.

    By the rows at most half of the held-out people are attacked, as the other half is the attacker's sample; by the file all of
    them: its likelihood needs no sample. A person of several rows is attacked by one of them, drawn at random.

    Args:
        tables: With the roles ``real`` (members), ``holdout`` (others) and ``synthetic``.
        frames: The same tables as DataFrames, for the scorers.
        scorers: Further attacks by name, on the rows (``"membership"``) and on the file (``"file"``).

    Returns:
        For ``"membership"``, and ``"file"`` where it is attacked: for ``"random"`` people and for ``"outliers"``, the tenth
        of them that lies furthest from 5 other real rows, the score of the attack ``"chosen"`` on the other half of the
        targets, then of each attack by itself.
    """
    rng = generator(of_measure(seed, Measure.MEMBERSHIP))
    inside, outside = (one_row_each(t.people, t.n_rows, rng) for t in (tables["real"], tables["holdout"]))
    n_members, n_held, n_others = (min(_N_TARGETS, n) for n in (len(inside), len(outside), len(outside) // 2))
    n_targets = {"membership": n_members + n_others, "file": n_members + n_held}
    people = tables["real"].take(inside[:n_members]).append(tables["holdout"].take(outside[:n_held]))
    by_rows = np.arange(n_targets["membership"])
    targets = people.take(by_rows)
    reference = tables["holdout"].take(outside[n_others:])
    synthetic = tables["synthetic"]

    # The scale and the idea of an outlier must treat members and others alike, or they would give members away.
    n_pool = min(len(inside), len(outside), OUTLIER_POOL // 2)
    pooled = tables["real"].take(inside[:n_pool]).append(tables["holdout"].take(outside[:n_pool]))
    space = MixedSpace(pooled, tables)
    placed, pool = space.place(people), space.place(pooled)
    is_member = np.arange(n_members + n_held) < n_members

    def outliers(n: int) -> NDArray[Any]:
        found = []
        for rows, first in ((np.arange(n_members), 0), (np.arange(n_members, n), n_pool)):
            position = np.arange(len(rows))
            itself = np.where(position < n_pool, first + position, -1)
            found.append(rows[furthest(placed.take(rows), pool, itself, max(1, round(OUTLIER_SHARE * len(rows))))])
        return np.concatenate(found)

    scores = {"membership": _distances(placed.take(by_rows), space.place(synthetic), space.place(reference))}
    scores["membership"]["trees"] = _tree_margins(targets, synthetic.draw(_TREE_ROWS, rng), reference, seed)
    scores["membership"]["marginals"] = _marginal_ratios(targets, synthetic, reference)
    if frames is not None and scorers:
        real, held = frames["real"], frames["holdout"]
        assert real is not None
        assert held is not None
        rows = pd.concat([real.iloc[inside[:n_members]], held.iloc[outside[:n_held]]], ignore_index=True)
        others = held.iloc[outside[n_others:]].reset_index(drop=True)
        for kind, attacks in scorers.items():
            found = {
                name: np.asarray(scorer(rows[: n_targets[kind]], others), dtype=np.float64)
                for name, scorer in attacks.items()
            }
            scores.setdefault(kind, {}).update(found)
    result = {}
    for kind, by_attack in scores.items():
        groups = {"random": np.arange(n_targets[kind]), "outliers": outliers(n_targets[kind])}
        result[kind] = {group: _attacked(by_attack, at, is_member[at], rng) for group, at in groups.items()}
    return result


def furthest(candidates: Points, pool: Points, itself: NDArray[Any], n_rows: int) -> NDArray[Any]:
    """Return the positions, in order, of the ``n_rows`` candidates furthest from 5 other rows of the pool.

    ``itself`` is the position of each candidate in the pool, -1 where it is not in it.
    """
    distances, _ = nearest(candidates, pool, OUTLIER_NEIGHBOURS, exclude=itself)
    return np.sort(np.argsort(-distances.mean(axis=1), kind="stable")[:n_rows])


def _distances(targets: Points, synthetic: Points, reference: Points) -> dict[str, NDArray[Any]]:
    to_synthetic, to_reference = (nearest(targets, pool, max(_NEIGHBOURS))[0] for pool in (synthetic, reference))
    scores: dict[str, NDArray[Any]] = {}
    for k in [k for k in _NEIGHBOURS if k <= to_synthetic.shape[1]]:
        near, far = (distances[:, :k].mean(axis=1) for distances in (to_synthetic, to_reference))
        scores[f"distance_{k}"] = -near
        if k <= to_reference.shape[1]:
            scores[f"density_{k}"] = np.log(far + TINY) - np.log(near + TINY)
    return scores


def _tree_margins(targets: CodedTable, synthetic: CodedTable, reference: CodedTable, seed: int) -> NDArray[Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    (features, rows, others), is_category = tree_matrix([targets, synthetic, reference])
    labels = np.repeat([1, 0], [len(rows), len(others)])
    options = {"max_iter": 120, "max_depth": 5, "min_samples_leaf": 5, **tree_options(is_category, seed)}
    model = HistGradientBoostingClassifier(class_weight="balanced", **options)
    with threadpool_limits(1, "openmp"):  # as in two_sample_auc
        model.fit(filled_where_empty(np.vstack([rows, others])), labels)
        return np.asarray(model.decision_function(features))


def _marginal_ratios(targets: CodedTable, synthetic: CodedTable, reference: CodedTable) -> NDArray[Any]:
    """Sum over the columns of the log-likelihood ratio of a cell, numbers in bins of the two tables' quantiles."""
    (features, rows, others), is_category = tree_matrix([targets, synthetic, reference])
    total = np.zeros(len(features))
    for column, category in enumerate(is_category):
        cells = [part[:, column] for part in (features, rows, others)]
        known = np.concatenate(cells[1:])
        known = np.unique(known[~np.isnan(known)])
        if not category and len(known) > _N_LEVELS:
            known = np.unique(np.quantile(np.concatenate(cells[1:]), np.linspace(0, 1, _N_LEVELS), method="lower"))
        levels = [np.where(np.isnan(part), 0, 1 + np.searchsorted(known, part)) for part in cells]
        counts = [np.bincount(part, minlength=len(known) + 2) + 0.5 for part in levels[1:]]
        total += np.log(counts[0] / counts[0].sum() / (counts[1] / counts[1].sum()))[levels[0]]
    return total


def _attacked(
    scores: Mapping[str, NDArray[Any]], rows: NDArray[Any], is_member: NDArray[Any], rng: np.random.Generator
) -> dict[str, AttackScore]:
    from scipy.stats import rankdata

    by_attack = {name: _score(found[rows][is_member], found[rows][~is_member], rng) for name, found in scores.items()}
    half = np.concatenate([np.arange(n) % 2 for n in (is_member.sum(), (~is_member).sum())])
    # Scores of two attacks are not alike; their ranks within the half that they are measured on are.
    ranks = np.empty((len(scores), len(rows)))
    for side in (0, 1):
        found = np.array([score[rows][half == side] for score in scores.values()])
        ranks[:, half == side] = (rankdata(found, axis=1) - 0.5) / found.shape[1]
    chosen = _cross_fitted(ranks, half, is_member)
    score = _score(chosen[:, is_member], chosen[:, ~is_member], rng)
    lots = np.empty((_N_LOTS, 3))
    for lot in lots:
        drawn = np.empty_like(is_member)
        for side in (0, 1):
            drawn[half == side] = rng.permutation(is_member[half == side])
        guessed = _cross_fitted(ranks, half, drawn)
        lot[:] = _roc_measures(guessed[:, drawn], guessed[:, ~drawn])
    return {"chosen": _against_chance(score, lots), **by_attack}


def _cross_fitted(ranks: NDArray[Any], half: NDArray[Any], is_member: NDArray[Any]) -> NDArray[Any]:
    """Ranks of the attack that is best on one half of the targets, for the other half; and the other way round.

    Shape:
        ``ranks`` is (attacks, people), the others are (people,); the result is (2, people): first of the attack of the best
        AUC, then of that which finds most members at 10% false alarms.
    """
    chosen = np.empty((2, ranks.shape[1]))
    for side in (0, 1):
        inside, outside = (ranks[:, (half != side) & mask] for mask in (is_member, ~is_member))
        place = max(0, outside.shape[1] - 1 - outside.shape[1] // 10)
        cut = np.partition(outside, place, axis=1)[:, [place]]
        for row, found in zip(chosen, (inside, inside > cut), strict=True):  # the mean rank orders as the AUC does
            row[half == side] = ranks[np.argmax(found.mean(axis=1)), half == side]
    return chosen


def _against_chance(score: AttackScore, lots: NDArray[Any]) -> AttackScore:
    """Give the p-values, and widen the intervals downwards to what the same choice of attacks finds by lot.

    Where nobody was learnt, members and others are alike, so that this is exact, however few people there are.
    """
    values = np.array(score.values)
    p = (1 + (lots >= values - 1e-12).sum(axis=0)) / (1 + len(lots))
    margins = np.quantile(lots, 0.975, axis=0) - _CHANCE
    intervals = tuple(
        (max(0.0, min(low, value - margin)), high)
        for (low, high), value, margin in zip(score.intervals, score.values, margins.tolist(), strict=True)
    )
    return replace(score, intervals=intervals, p=tuple(p.tolist()), seen_from=float(np.quantile(lots[:, 0], 0.99)))


def _score(members: NDArray[Any], others: NDArray[Any], rng: np.random.Generator) -> AttackScore:
    return score_with_intervals(
        members,
        others,
        lambda: tuple(scores[..., rng.integers(0, scores.shape[-1], scores.shape[-1])] for scores in (members, others)),
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
    from scipy.stats import norm

    draws = [_roc_measures(*draw()) for _ in range(_N_BOOTSTRAPS)]
    low, high = np.quantile(draws, [0.025, 0.975], axis=0).tolist()
    values = _roc_measures(members, others)
    p = norm.sf((np.array(values) - _CHANCE) / np.maximum(np.std(draws, axis=0), 1e-12))
    intervals = tuple(zip(low, high, strict=True))
    return AttackScore(values, intervals, members.shape[-1], others.shape[-1], tuple(p.tolist()))


def _roc_measures(members: NDArray[Any], others: NDArray[Any]) -> tuple[float, float, float]:
    """The AUC, and the shares of members found at 1% and 10% false alarms; of two rows of scores, by the second."""
    inside, outside = np.atleast_2d(members), np.sort(np.atleast_2d(others))
    return (auc(inside[0], outside[0]), _tpr_at(inside[-1], outside[-1], 0.01), _tpr_at(inside[-1], outside[-1], 0.1))


def auc(members: NDArray[Any], others: NDArray[Any]) -> float:
    """Return P(member scores higher) + P(tie) / 2, the area under the ROC curve (Mann and Whitney 1947)."""
    ordered = np.sort(others)
    below, not_above = np.searchsorted(ordered, members, side="left"), np.searchsorted(ordered, members, side="right")
    return float((below + not_above).mean() / (2 * len(others)))


def _tpr_at(members: NDArray[Any], others: NDArray[Any], false_alarms: float) -> float:
    """Share of members above the threshold that accuses the given share of others, who ascend; ties are accused by lot."""
    threshold = others[::-1][min(int(false_alarms * len(others)), len(others) - 1)]
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
        attack: ``membership``, ``file`` or ``shadow``.
        results: The scores by group, ``random`` and ``outliers``, and by name.
        note: What a score rests on.
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
            told_of: dict[str, Any] = {} if why else {"interval": main.intervals[place], "p": main.p[place]}
            value = None if why else main.values[place]
            options: dict[str, Any] = {**told_of, "note": why or note(main), "n": n, "seed": seed}
            figures.append(Figure.of(f"privacy.{attack}_{measure}{suffix}", value, **options))
    return Figures.of(figures, {attack: pd.DataFrame(rows)})


def _table_row(group: str, attack: str, score: AttackScore) -> dict[str, object]:
    row: dict[str, object] = {"group": group, "attack": attack, "n": score.n_members}
    for measure, value, interval in zip(_FEWEST_OTHERS, score.told, score.intervals, strict=True):
        low, high = (math.nan, math.nan) if math.isnan(value) else interval
        row |= {measure: value, f"{measure}_low": low, f"{measure}_high": high}
    return row
