"""What a table is to predict, written anew: a student of few people loses it first.

A network that learns every column of few people spreads its strength over all of them, and a target that thirty columns tell a
little each becomes noise: of 300 employees trees of the written rows predicted who left with an AUC of .60, trees of the people
with .78; now with .68. Two models that learn nothing but the target, and are kept simple by cross-validation, know it better. So the cells of
``variable_to_predict`` in the written rows are drawn from what both say, each as far as people that neither saw agree with it;
the other cells stay. Their log-odds are drawn so far apart that the target is as well told as among the people, and the models
are forgotten. They look at the people once more: what a teacher with a privacy budget writes
must be taken as it comes.

References:
    Breiman 1996, Stacked Regressions (weights of models by cross-validation).
    Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv 1503.02531 (labels of one model teach another).
"""

from __future__ import annotations

import logging
import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.people import even_rows, people_of_each
from clover_tvae.metadata import Metadata
from clover_tvae.seeds import Label, generator

if TYPE_CHECKING:
    from clover_tvae.evaluation.frames import CodedTable

__all__ = ["labelled"]

logger = logging.getLogger(__name__)

#: Fewer people teach no model of a target; more than the most are not needed for one; more classes are no label.
_FEWEST_PEOPLE, _MOST_LEARNT, _MOST_CLASSES = 100, 5_000, 20
#: Parts of the people, of whom each is judged by models that saw the others.
_FOLDS = 5
#: Inverse strengths of the penalty among which the linear model chooses, and the trees' rounds, rate and leaves.
_STRENGTHS = 10.0 ** np.arange(-3, 2)
_ROUNDS, _RATE, _LEAVES = 100, 0.06, 12
#: Parts that the linear model has in what both say; the trees have the others.
_WEIGHTS = np.linspace(0, 1, 5)
#: By how many standard errors both together must know the target better than its shares.
_ERRORS = 2.0
#: Log-odds are drawn at most so many times as far apart as the models have them. A factor is tried out; many rows, few times, or few
#: rows many times, tell which is right.
_SHARPEST, _TRIED, _ROWS, _REPEATS = 2.0, 1.5, 1_000, range(4, 13)
#: Fewer nats between both are noise.
_LEAST_TOLD = 0.005
#: A student draws a target that is this much less told than the one it learnt.
_STUDENT = 1.1
#: No class is ruled out where models are judged.
_LEAST = 1e-6


def labelled(
    written: pd.DataFrame, learnt: pd.DataFrame, metadata: Metadata, seed: np.random.SeedSequence, min_count: int
) -> pd.DataFrame:
    """Return written rows with the cells of ``variable_to_predict`` drawn anew, given the rest of their rows.

    Cells that are missing, or hold a class of fewer than ``min_count`` people, stay as they are. All stay where the target is no
    category, where a relation that is kept speaks of it, and where nothing tells it better than its shares do, or all who have a class fall into one fold.

    Args:
        written: Rows that a teacher wrote.
        learnt: Rows that it learnt.
        metadata: What the columns are.
        seed: Of the folds, the trees and the draw.
        min_count: Fewest people of a class that is learnt.
    """
    target = metadata.variable_to_predict
    if target is None or any(target in one.columns for one in metadata.relations or () if one.handling == "keep"):
        return written
    from clover_tvae.evaluation.frames import code_tables

    tables = code_tables({"learnt": learnt, "written": written}, metadata)
    others = tables.without(target)
    if target not in tables.category_names or not others.names or tables["learnt"].n_people < _FEWEST_PEOPLE:
        return written
    answers, old = tables.cells("learnt", target), tables.cells("written", target)
    of = tables["learnt"].people
    even = np.arange(len(answers))[even_rows(of, min_count)]
    known = generator(seed, Label.PEOPLE).permutation(even[np.isin(answers[even], old[old >= 0])])[:_MOST_LEARNT]
    counts = people_of_each(answers[known], int(answers.max(initial=-1)) + 1, None if of is None else of[known])
    classes = np.flatnonzero(counts >= max(min_count, _FOLDS))
    if not 2 <= len(classes) <= _MOST_CLASSES:
        return written
    known, places = known[np.isin(answers[known], classes)], np.flatnonzero(np.isin(old, classes))
    people, rows = others["learnt"].take(known), others["written"].take(places)
    shares = _shares(people, np.searchsorted(classes, answers[known]), rows, generator(seed, Label.MODELS))
    if shares is None:
        return written
    drawn = _drawn(shares, generator(seed, Label.CELLS).random((len(places), 1)))
    example_of = np.array([np.flatnonzero(old == one)[0] for one in classes])  # a written row that has the class
    source = np.arange(len(written))
    source[places] = example_of[drawn]
    found = written.copy(deep=False)
    found[target] = written[target].iloc[source].set_axis(written.index)
    return found


def _shares(
    people: CodedTable, answers: NDArray[np.int64], rows: CodedTable, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Return the probability of each class in each written row; ``None`` where the shares of the classes say as much."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from threadpoolctl import threadpool_limits

    from clover_tvae.evaluation.features import filled_where_empty, one_hot_matrix, tree_matrix, tree_options

    (tree_cells, tree_rows), is_category = tree_matrix([people, rows])
    cells, row_cells = one_hot_matrix(people, [people, rows])
    tree_cells, counts = filled_where_empty(tree_cells), np.bincount(answers)
    parts = _folds(answers, people.person_of_row, len(counts), rng)
    if parts is None:
        return None
    for part, _ in parts:  # cells that are there for people of one fold alone
        empty = np.isnan(tree_cells[part]).all(axis=0)
        tree_cells[:, empty] = tree_rows[:, empty] = 0.0
    options = tree_options(is_category, int(rng.integers(2**32)))
    rounds = max(10, 2 * _ROUNDS // len(counts))  # with more than two classes each has a tree a round
    trees = HistGradientBoostingClassifier(max_iter=rounds, learning_rate=_RATE, max_leaf_nodes=_LEAVES, **options)
    lines = [LogisticRegression(C=strength, max_iter=500) for strength in _STRENGTHS]

    def of_others(model: Any, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cross_val_predict(model, features, answers, cv=parts, method="predict_proba"))

    losses = partial(_losses, answers=answers)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that one part lacks, a fit that needs more rounds
        linear, line = min(((of_others(line, cells), line) for line in lines), key=lambda told: losses(told[0]).mean())
        boosted = of_others(trees, tree_cells)
        by_weight = [losses(weight * linear + (1 - weight) * boosted) for weight in _WEIGHTS]
        best = int(np.argmin([lost.mean() for lost in by_weight]))
        guessed = losses(_guessed(answers))
        gain = guessed - by_weight[best]
        if gain.mean() <= _ERRORS * gain.std() / math.sqrt(people.n_people):
            return None
        text = "drew the target of written rows anew, from the rest of each: %.3f nats of people whom no model saw, %.3f by the shares"
        logger.info(text, by_weight[best].mean(), guessed.mean())
        weight = _WEIGHTS[best]
        by_line = line.fit(cells, answers).predict_proba(row_cells)
        by_trees = trees.fit(tree_cells, answers).predict_proba(tree_rows)
        shares = np.asarray(weight * by_line + (1 - weight) * by_trees)
        return _as_sharp_as(people, answers, cells, row_cells, shares, line, rng)


def _folds(
    answers: NDArray[np.int64], people: NDArray[np.int64], n_classes: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]] | None:
    """Return which rows models of each fold learn, and which they are judged by; ``None`` where all who have a class are in one fold."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=int(rng.integers(2**32)))
    if np.bincount(answers, minlength=n_classes).min() < _FOLDS:
        return None
    parts = list(folds.split(answers[:, None], answers, people))
    return None if any(len(np.unique(answers[part])) < n_classes for part, _ in parts) else parts


def _guessed(answers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the shares of the classes, as what is guessed of every row."""
    return np.tile(np.bincount(answers).astype(float), (len(answers), 1))


def _losses(shares: NDArray[np.float64], answers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the nats by which each answer surprises."""
    right = shares[np.arange(len(answers)), answers] / shares.sum(axis=1)
    return np.asarray(-np.log(np.maximum(right, _LEAST)))


def _sharpened(shares: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return probabilities whose log-odds are so much further apart, each class as frequent as before."""
    from scipy.special import softmax

    logs, shift = factor * np.log(np.maximum(shares, _LEAST)), np.zeros(shares.shape[1])
    for _ in range(20 if factor != 1 else 0):
        found = softmax(logs + shift, axis=1)
        shift += np.log(shares.mean(axis=0) / found.mean(axis=0))
    return np.asarray(softmax(logs + shift, axis=1))


def _as_sharp_as(
    people: CodedTable, answers: NDArray[np.int64], cells: NDArray[np.float64], row_cells: NDArray[np.float64],
    shares: NDArray[np.float64], line: Any, rng: np.random.Generator,
) -> NDArray[np.float64]:  # fmt: skip
    """Return probabilities from which answers are drawn that others like them tell as well as the people's tell theirs.

    A model that is kept simple is more cautious than the truth: drawn from its probabilities, answers are noisier than those of the
    people, and teach less. So what a linear model tells of others is measured among the people, and among as many rows.
    """
    from sklearn.model_selection import cross_val_predict

    def told(cells: NDArray[np.float64], answers: NDArray[np.int64], people: NDArray[np.int64]) -> float:
        """The nats by which the model knows answers of others better than the shares of the classes do."""
        parts = _folds(answers, people, shares.shape[1], rng)
        if parts is None:
            return math.nan
        by_line = cross_val_predict(line, cells, answers, cv=parts, method="predict_proba")
        return float((_losses(_guessed(answers), answers) - _losses(by_line, answers)).mean())

    n = min(len(answers), len(shares), _ROWS)
    repeats = min(max(4 * _ROWS // n, _REPEATS.start), _REPEATS.stop - 1)
    parts = [rng.permutation(len(answers))[:n] for _ in range(repeats)]
    goal = float(np.mean([told(cells[part], answers[part], people.person_of_row[part]) for part in parts]))
    parts, level = [rng.permutation(len(shares))[:n] for _ in parts], rng.random((len(shares), 1))
    as_it_is, tried = (
        float(np.mean([told(row_cells[part], drawn[part], part) for part in parts]))
        for drawn in (_drawn(_sharpened(shares, factor), level) for factor in (1.0, _TRIED))
    )
    is_told = tried > as_it_is + _LEAST_TOLD and not math.isnan(goal)
    factor = 1 + (_TRIED - 1) * (goal - as_it_is) / (tried - as_it_is) if is_told else 1.0
    factor = min(max(1.0, _STUDENT * factor), _SHARPEST)
    logger.info(
        "drew its log-odds %.2f times as far apart: rows tell %.3f nats so, people %.3f", factor, as_it_is, goal
    )
    return _sharpened(shares, factor)


def _drawn(shares: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the class at a level between 0 and 1 of each row's probabilities. **Shape** ``(rows,)``, of ``(rows, 1)`` levels."""
    reached = shares.cumsum(axis=1)
    return np.minimum((reached < level * reached[:, -1:]).sum(axis=1), shares.shape[1] - 1)
