"""Shadow models: the attacker who can train the generator himself.

The likelihood-ratio attack of Carlini et al. (2022), carried over to synthetic tables: the real pipeline is fitted K
times, each time on a random half of the rows, so that every target is a member of about half of the fits. Its score in
one fit is minus the logarithm of the mean distance to its 5 nearest synthetic rows. To attack fit j, the scores of the
other K - 1 fits give each target a Gaussian with it in and one with it out, and the log-likelihood ratio of its score
in fit j is the attacker's guess. Leaving each fit out in turn, every target is attacked K times.

References:
    Carlini, Chien, Nasr, Song, Terzis, Tramèr, Membership Inference Attacks From First Principles, S&P 2022,
    arXiv 2112.03570.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.frames import takes_frames
from clover_tvae.columns.people import one_row_each
from clover_tvae.errors import Problem, TooFewRowsError
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figures
from clover_tvae.evaluation.frames import code_tables
from clover_tvae.evaluation.membership import (
    OUTLIER_NEIGHBOURS,
    OUTLIER_POOL,
    OUTLIER_SHARE,
    TINY,
    AttackScore,
    attack_figures,
    furthest,
    score_with_intervals,
)
from clover_tvae.evaluation.neighbours import MixedSpace, nearest
from clover_tvae.parameters import whole_number
from clover_tvae.seeds import Measure, generator, of_measure

_MIN_ROWS = 40
_LEAST_DEVIATION = 1e-3  # of log distances: keeps a likelihood finite where a target's scores agree


@takes_frames
def membership_shadow(
    fit_and_sample: Callable[[pd.DataFrame, int], pd.DataFrame],
    df: pd.DataFrame,
    metadata: Any = None,
    k: int = 8,
    seed: int = 0,
    n_targets: int = 1_000,
) -> Figures:
    """Attack a generator by training it K times on half tables; with a ``unit``, on the rows of half of the people.

    Args:
        fit_and_sample: Fits the whole pipeline on the given rows with the given seed and returns as many synthetic rows.
        df: All real rows, training and held-out together.
        metadata: A ``Metadata`` or what it is made of; without, dtypes decide.
        k: Number of fits, at least 4: each target needs fits with and without it.
        seed: Seed of halves, targets and fits.
        n_targets: Most random people attacked, and most outliers (the tenth of all rows furthest from 5 others).

    Returns:
        ``privacy.shadow_*``: AUC and shares found at 1% and 10% false alarms, for random people and outliers, with 95%
        bootstrap intervals over the people. A table ``shadow`` repeats them, one row a group.

    Raises:
        ConfigError: ``k`` below 4.
        TooFewRowsError: Fewer than 40 rows.
        DataError: A synthetic table does not fit ``df``.
    """
    k = whole_number(k, "k", least=4)
    if len(df) < _MIN_ROWS:
        raise TooFewRowsError(Problem("df", f"must have at least {_MIN_ROWS} rows, found {len(df)}"))
    rng = generator(of_measure(seed, Measure.SHADOW_HALVES))
    fit_seeds = of_measure(seed, Measure.SHADOW_FITS).generate_state(k)
    coded = code_tables({"real": df}, metadata)
    people = coded["real"].person_of_row
    n_people = coded["real"].n_people
    if n_people < _MIN_ROWS:
        raise TooFewRowsError(Problem("df", f"must have rows of at least {_MIN_ROWS} people, found {n_people}"))
    is_member = _balanced_halves(n_people, k, rng)[people]
    everyone = MixedSpace(coded["real"], coded).place(coded["real"])
    pool = rng.permutation(len(df))[:OUTLIER_POOL]
    position = np.full(len(df), -1)
    position[pool] = np.arange(len(pool))
    n_outliers = min(n_targets, max(10, round(OUTLIER_SHARE * n_people)))
    chosen = one_row_each(coded["real"].people, len(df), rng)  # a person of several rows is attacked by one of them
    each = np.sort(chosen)
    outliers = each[furthest(everyone.take(each), everyone.take(pool), position[each], n_outliers)]
    groups = {"random": np.sort(chosen[:n_targets]), "outliers": outliers}
    targets = np.union1d(groups["random"], groups["outliers"])

    scores = np.empty((2, len(targets), k))
    for fit in range(k):
        synthetic = fit_and_sample(df[is_member[:, fit]].reset_index(drop=True), int(fit_seeds[fit]))
        both = code_tables({"real": df, "synthetic": synthetic}, metadata)
        space = MixedSpace(both["real"], both)
        attacked, drawn = space.place(both["real"].take(targets)), space.place(both["synthetic"])
        distances, _ = nearest(attacked, drawn, OUTLIER_NEIGHBOURS)
        for score, distance in zip(scores, (distances[:, 0], distances.mean(axis=1)), strict=True):
            score[:, fit] = -np.log(distance + TINY)

    guesses = np.sum([_likelihood_ratios(score, is_member[targets]) for score in scores], axis=0)
    results = {
        group: {"shadow": _score_people(guesses[np.isin(targets, rows)], is_member[rows], rng)}
        for group, rows in groups.items()
    }

    def note(score: AttackScore) -> str:
        n = score.n_members + score.n_others
        return f"{k} shadow models, {n:,} guesses about {n // k:,} people."

    return attack_figures("shadow", results, note, seed=seed, disclosure=Disclosure())


def _balanced_halves(n_rows: int, k: int, rng: np.random.Generator) -> NDArray[Any]:
    """Which rows each fit trains on, (rows, k): half of the rows in every fit, and every row in half of the fits."""
    is_member = np.zeros((n_rows, k), dtype=bool)
    for fit in range(0, k, 2):
        is_member[rng.permutation(n_rows)[: n_rows // 2], fit] = True
        is_member[:, fit + 1 : fit + 2] = ~is_member[:, [fit]]
    return is_member


def _likelihood_ratios(scores: NDArray[Any], is_member: NDArray[Any]) -> NDArray[Any]:
    """Log-likelihood ratio of each target's score in each fit, member against not, from the other fits.

    With a fit its twin on the other half is left out too, so that each target has been in as many of the others as out
    of them: means over unequal numbers would by themselves be nearer or further, and give membership away with no leak.
    With few fits a target's own deviations are guesses, so one deviation is shared by all targets (as Carlini et al. do).

    Shape:
        both arguments and the result are (targets, k).
    """
    from scipy.stats import norm

    ratios = np.empty_like(scores)
    pairs = np.arange(scores.shape[1]) // 2  # fits come in pairs 0-1, 2-3, ...; the last of an odd number has no twin
    for fit, pair in enumerate(pairs):
        others = pairs != pair
        laws = (_gaussian(scores[:, others], counted[:, others]) for counted in (is_member, ~is_member))
        inside, outside = (norm.logpdf(scores[:, fit], *law) for law in laws)
        ratios[:, fit] = inside - outside
    return ratios


def _gaussian(scores: NDArray[Any], counted: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Mean of each target over the fits counted, and the deviation that all targets share."""
    counts = counted.sum(axis=1)
    means = np.where(counted, scores, 0.0).sum(axis=1) / np.maximum(counts, 1)
    freedom = int((counts - 1).clip(min=0).sum())
    if not freedom:
        return means, 1.0  # one fit a target: no deviation can be told, and any shared one ranks alike
    squared = np.where(counted, (scores - means[:, None]) ** 2, 0.0).sum()
    return means, max(float(np.sqrt(squared / freedom)), _LEAST_DEVIATION)


def _score_people(guesses: NDArray[Any], is_member: NDArray[Any], rng: np.random.Generator) -> AttackScore:
    """Score all guesses; the intervals draw people, as the guesses about one person in K fits are no K people."""

    def draw() -> tuple[NDArray[Any], NDArray[Any]]:
        people = rng.integers(0, len(guesses), len(guesses))
        drawn, inside = guesses[people], is_member[people]
        return drawn[inside], drawn[~inside]

    return score_with_intervals(guesses[is_member], guesses[~is_member], draw)
