"""The classifier two-sample test: can gradient-boosted trees tell two tables apart?"""

from __future__ import annotations

import math

import numpy as np
from threadpoolctl import threadpool_limits

from clover_tvae.columns.people import joined_people
from clover_tvae.evaluation.features import filled_where_empty, tree_matrix, tree_options
from clover_tvae.evaluation.frames import CodedTable
from clover_tvae.seeds import Measure, generator, of_measure

C2ST_ITERATIONS = 100  # boosting rounds of 31 leaves at a rate of 0.1: scikit-learn's defaults, without early stopping
_MAX_ROWS = 20_000  # rows drawn from each table
_MAX_CELLS = 1_000_000  # of each table: a table of 200 columns is cut to 5,000 rows


def two_sample_auc(real: CodedTable, synthetic: CodedTable, *, seed: int, folds: int = 3) -> tuple[float, int]:
    """Return the area under the ROC curve of trees that tell two tables apart, and the rows used of each.

    Both tables are cut to the same number of rows, and to a million cells, by a seeded draw; the AUC is the mean over
    stratified folds, each scored on rows that its trees never saw. 0.5: they cannot be told apart; 1: always.

    Args:
        folds: Number of folds of people, at least 2; with fewer than two a fold the AUC is NaN.

    References:
        Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests, 2017, arXiv 1610.06545.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    n_columns = real.numbers.shape[1] + real.codes.shape[1]
    n_rows = min(real.n_rows, synthetic.n_rows, _MAX_ROWS, max(1_000, _MAX_CELLS // max(n_columns, 1)))
    if n_rows < 2 * folds:
        return float("nan"), n_rows
    rng = generator(of_measure(seed, Measure.TWO_SAMPLE))
    drawn = [table.draw(n_rows, rng) for table in (real, synthetic)]
    people = joined_people([(table.people, table.n_rows) for table in drawn])
    if any(table.people is not None and table.n_people < 2 * folds for table in drawn):
        return float("nan"), n_rows
    matrices, is_category = tree_matrix(drawn)
    features, labels = np.vstack(matrices), np.repeat([0, 1], n_rows)
    scores = []
    fold_by = StratifiedKFold if people is None else StratifiedGroupKFold  # nobody is on both sides
    splitter = fold_by(n_splits=folds, shuffle=True, random_state=seed % 2**32)
    for train, test in splitter.split(features, labels, people):
        model = HistGradientBoostingClassifier(max_iter=C2ST_ITERATIONS, **tree_options(is_category, seed))
        # Trees on small tables wait for each other's threads more than they work: on a busy machine one thread is fifteen
        # times faster; and sums that are split over threads round otherwise.
        with threadpool_limits(1, "openmp"):
            model.fit(filled_where_empty(features[train]), labels[train])
            scores.append(roc_auc_score(labels[test], model.predict_proba(features[test])[:, 1]))
    return float(np.mean(scores)), n_rows


def auc_interval(area: float, n_rows: int, z: float = 1.96) -> tuple[float, float]:
    """Return the interval of an AUC over ``n_rows`` rows of each table, ``z`` standard errors to each side.

    References:
        Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 143, 1982.

    Example:
        >>> [round(end, 2) for end in auc_interval(0.5, 100)]
        [0.42, 0.58]
    """
    both = area / (2 - area) + 2 * area**2 / (1 + area) - 2 * area**2
    error = math.sqrt(max(0.0, area * (1 - area) + (n_rows - 1) * both)) / max(n_rows, 1)
    low, high = np.clip([area - z * error, area + z * error], 0.0, 1.0).tolist()
    return low, high
