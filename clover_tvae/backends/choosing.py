"""Which rows of a teacher its student learns: those that look real come oftener, as boosted trees judge.

A network that draws a row cell by cell goes on from its own errors, and a student makes them once more. Trees that learnt to
tell the teacher's rows from the table's say how many times likelier a row is among the table's; rows are kept in proportion
to that. Nothing but written rows is ever kept, and the trees are forgotten. They look at the people once more: what a teacher
with a privacy budget writes must be taken as it comes.

References:
    Azadi et al. 2019, Discriminator Rejection Sampling, arXiv 1810.06758 (section 3).
    Platt 1999, Probabilistic Outputs for Support Vector Machines (how far scores of rows that were not learnt are to be believed).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.metadata import Metadata
from clover_tvae.ratios import picked, trust
from clover_tvae.seeds import Choose, child, generator

__all__ = ["chosen_rows", "log_ratios", "rows_to_choose_from"]

logger = logging.getLogger(__name__)

#: Rows that a teacher writes for each one that is kept; trees cannot judge by fewer people, and find little in what more have taught.
_WRITTEN_A_ROW, _FEWEST_PEOPLE, _MOST_PEOPLE = 2.5, 200, 10_000
#: A student of fewer written rows a person, because the user wants few epochs, is a quick look.
_ROWS_A_PERSON = 5
#: Cells that are written beside those of as many rows as are kept: half a minute's; with fewer rows to choose from it is not worth it.
_MOST_CELLS, _LEAST_CHOICE = 5_000_000, 1.5
#: Where a first judgement spreads the log-ratios by less, more rows are not worth writing: the choice would bring 0.005 nats a row.
_LEAST_SPREAD = 0.1
#: Trees judge rows that they did not learn: parts of both tables, of which each is judged by trees that learnt the others. Of few
#: learnt rows, several such judgements agree better than one.
_FOLDS, _REPEATS, _FEW = 3, 3, 2_000
#: Bins of a number, and categories that are told apart, the rarest together: more are no better, and take as many times as long.
_BINS = 32
#: Boosting rounds, leaves, the most rows of either table that one of the models learns, and how many written ones for each of the table's.
_ROUNDS, _LEAVES, _MOST_LEARNT, _TIMES = 100, 15, 10_000, 4


def rows_to_choose_from(n_rows: int, n_people: int, n_columns: int) -> int:
    """Return how many rows a teacher writes so that ``n_rows`` can be chosen; as many, where there is no choice.

    Args:
        n_rows: Rows that are kept.
        n_people: People whom the teacher learnt.
        n_columns: Columns that it writes.

    Example:
        >>> rows_to_choose_from(6_000, 300, 35), rows_to_choose_from(600, 30, 5), rows_to_choose_from(20_000, 1_000, 900)
        (15000, 600, 20000)
    """
    if not _FEWEST_PEOPLE <= n_people < _MOST_PEOPLE or n_rows < _ROWS_A_PERSON * n_people:
        return n_rows
    n_written = min(round(_WRITTEN_A_ROW * n_rows), n_rows + _MOST_CELLS // max(1, n_columns))
    return n_written if n_written >= _LEAST_CHOICE * n_rows else n_rows


def chosen_rows(
    written: pd.DataFrame,
    write_more: Callable[[], pd.DataFrame],
    learnt: pd.DataFrame,
    metadata: Metadata,
    seed: np.random.SeedSequence,
) -> pd.DataFrame:
    """Return as many rows as were written first, chosen among these and more: those that look like learnt ones come oftener.

    Args:
        written: Rows that a teacher wrote; returned as they are, where trees hardly tell them from those that it learnt.
        write_more: Lets it write the others.
        learnt: Rows that it learnt.
        metadata: What the columns are.
        seed: Of the folds and the draw.
    """
    first = written[: _TIMES * len(learnt)]
    if log_ratios(first, learnt, metadata, child(seed, Choose.LOOK), n_repeats=1).std() < _LEAST_SPREAD:
        logger.info(
            "took the %s written rows as they are: trees hardly tell them from the table's", f"{len(written):,}"
        )
        return written
    every = pd.concat([written, write_more()], ignore_index=True)
    log_ratio = log_ratios(every, learnt, metadata, seed)
    rows = picked(log_ratio, len(written), generator(seed, Choose.ROWS))
    told = f"{len(written):,} of {len(every):,} written rows, those oftener that look like the table's"
    logger.info("chose %s, as far as trees tell them apart (log-ratios spread by %.2f)", told, log_ratio.std())
    return every.iloc[rows].reset_index(drop=True)


def log_ratios(
    written: pd.DataFrame,
    learnt: pd.DataFrame,
    metadata: Metadata,
    seed: np.random.SeedSequence,
    n_repeats: int | None = None,
) -> NDArray[np.float64]:
    """Return of each written row the log of how many times likelier it is among the learnt, as trees say that learnt neither it nor its fold.

    Args:
        written: Rows that a teacher wrote.
        learnt: Rows that it learnt; all rows of a person are in one fold.
        metadata: What the columns are.
        seed: Of the folds and the trees.
        n_repeats: Judgements that are summed; ``None``: several where few rows were learnt.

    **Shape** ``(written rows,)``.
    """
    from clover_tvae.evaluation.features import tree_matrix
    from clover_tvae.evaluation.frames import code_tables

    rng = generator(seed, Choose.TREES)
    coded = code_tables({"learnt": learnt, "synthetic": written}, metadata)
    tables, is_category = tree_matrix([coded["learnt"], coded["synthetic"]])
    real, made = (np.where(is_category, np.minimum(table, _BINS - 1), table) for table in tables)
    people = coded["learnt"].people
    whose = [np.arange(len(real)) if people is None else people, np.arange(len(made))]
    n_repeats = n_repeats or (_REPEATS if len(learnt) < _FEW else 1)
    scores = np.sum([_judged([real, made], whose, is_category, rng) for _ in range(n_repeats)], axis=0)
    labels = np.repeat([1, 0], [len(real), len(made)])
    return trust(scores, labels) * scores[len(real) :]


def _judged(
    tables: list[NDArray[np.float64]],
    whose: list[NDArray[np.int64]],
    is_category: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the scores of the rows of both tables, each of trees that learnt nobody of its fold: higher, likelier in the first."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    from clover_tvae.evaluation.features import filled_where_empty, tree_options

    folds = [rng.integers(_FOLDS, size=people.max() + 1)[people] for people in whose]
    rows, fold_of, scores = np.vstack(tables), np.concatenate(folds), np.empty(sum(map(len, tables)))
    for fold in range(_FOLDS):
        # Enough written rows to fill the leaves; more of them say no more of the few that are learnt.
        part, other = (rng.permutation(np.flatnonzero(of != fold))[:_MOST_LEARNT] for of in folds)
        other = len(tables[0]) + other[: _TIMES * len(part)]
        options = tree_options(is_category, int(rng.integers(2**32)))
        model = HistGradientBoostingClassifier(
            max_iter=_ROUNDS, max_leaf_nodes=_LEAVES, max_bins=_BINS, class_weight="balanced", **options
        )
        with threadpool_limits(1, "openmp"):
            features, labels = rows[np.concatenate([part, other])], np.repeat([1, 0], [len(part), len(other)])
            model.fit(filled_where_empty(features), labels)
            scores[fold_of == fold] = model.decision_function(rows[fold_of == fold])
    return scores
