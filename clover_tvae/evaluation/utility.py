"""Utility: does a model trained on synthetic rows work on real ones?"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clover_tvae.columns.frames import takes_frames
from clover_tvae.errors import ColumnsMismatchError, did_you_mean
from clover_tvae.evaluation.copies import without_learnt_holdout
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.features import filled_where_empty, one_hot_matrix, tree_matrix, tree_options
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTable, CodedTables, code_tables, resolve_metadata
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.seeds import Measure, generator, of_measure

_MODEL_ROWS = 50_000  # most rows that a model is trained on, by a seeded draw
_LARGEST_ANSWER = 1e100  # a larger target is divided: sums of its squares overflow
_N_TARGETS = 5  # columns that are predicted in turn where none is named ...
_N_TRIED = 10  # ... of so many drawn; each costs four models
_GUESS = {"auc": 0.5, "r2": 0.0}  # what trees score that know nothing
_LEAST_LEARNT = 0.05  # a column that trees of real rows predict no better than so much above a guess is no target
_MAX_CLASSES = 30  # the most frequent classes of a target; rows of the others are left out


@takes_frames
def utility(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    test: pd.DataFrame | None,
    metadata: Any = None,
    target: Hashable | None = None,
    seed: int = 0,
    min_count: int = MIN_COUNT,
) -> Figures:
    """Measure how well models trained on synthetic rows work on real ones, beside models trained on real rows.

    Args:
        train: The real training rows.
        test: Real rows that neither saw.
        metadata: A ``Metadata`` or what it is made of; without, dtypes decide.
        target: The column to predict; by default the metadata's ``variable_to_predict``. Where there is none, up to five
            columns that can be predicted from the others, drawn by the seed, are predicted in turn.
        seed: Seed of draws and models.
        min_count: Fewest test rows that the recall of one class may rest on; see ``Disclosure``.

    Returns:
        The ``utility`` figures of the catalogue: ``value`` after training on synthetic rows, ``perfect`` after training
        on real rows. Without a target ``utility.loss`` alone, the median over the columns predicted in turn. Without test
        rows, or a column that can be predicted, there are none, and a note says so. Table: ``utility``.

    Raises:
        DataError: The tables cannot be compared, or do not have the target.
    """
    metadata = resolve_metadata(metadata)
    tables = without_learnt_holdout(
        code_tables({"real": train, "synthetic": synthetic, "holdout": test}, metadata).in_one_order()
    )
    target = getattr(metadata, "variable_to_predict", None) if target is None else target
    return utility_figures(tables, target, seed=seed, disclosure=Disclosure.of(min_count, tables))


def utility_figures(tables: CodedTables, target: Hashable | None, *, seed: int, disclosure: Disclosure) -> Figures:
    """Return what ``utility`` does, for tables in the roles ``real``, ``synthetic`` and perhaps ``holdout``."""
    if why := tables.learnt_holdout:
        return Figures.of([Figure.of("utility.loss", None, seed=seed, note=f"Not measured: {why}")], notes=[why])
    if "holdout" not in tables.tables:
        return Figures(notes=("Utility was not measured: no real rows to test on were given.",))
    if target is None:
        return _columns_in_turn(tables, seed, disclosure)
    scores = _scores_of_models(tables, target, seed, disclosure)
    note = f"Target: column {target!r}."
    options: dict[str, Any] = {"n": tables["holdout"].n_rows, "seed": seed}
    figures: list[Figure] = []
    losses: dict[str, float] = {}
    for row in scores.to_dict("records"):
        name = f"{row['model']}_{row['score']}"
        losses[name] = row["real"] - row["synthetic"]
        missing = " Not defined: test or training rows lack classes."
        if row["score"] == "rarest_recall":
            missing = f" Not defined, or not shown as it rests on fewer than {disclosure.min_count} test rows."
        told = note if np.isfinite(row["synthetic"]) else note + missing
        figures.append(Figure.of(f"utility.{name}", row["synthetic"], perfect=row["real"], note=told, **options))
    main = losses["trees_auc" if target in tables.category_names else "trees_r2"]
    loss = Figure.of("utility.loss", main, note=note, **options)
    return Figures.of([loss, *figures], {"utility": scores})


def _columns_in_turn(tables: CodedTables, seed: int, disclosure: Disclosure) -> Figures:
    """The median loss over a sample of the columns that trees of real rows predict from all others."""
    drawn = generator(of_measure(seed, Measure.TARGETS)).permutation(len(tables.names))[:_N_TRIED]
    found: dict[Hashable, pd.DataFrame] = {}
    losses: list[float] = []
    for name in (tables.names[at] for at in drawn):
        scores = _scores_of_models(tables, name, seed, disclosure)
        real, synthetic, guess = scores["real"][0], scores["synthetic"][0], _GUESS[scores["score"][0]]
        if real >= guess + _LEAST_LEARNT:  # not so where it is NaN
            found[name] = scores.assign(target=str(name))
            losses.append(real - (synthetic if np.isfinite(synthetic) else guess))
        if len(found) == _N_TARGETS:
            break
    if not found:
        tried = f"of {len(drawn)} columns tried none can be predicted from the others, not even by models of real rows"
        return Figures(notes=(f"Utility was not measured: no column to predict was named, and {tried}.",))
    told = ", ".join(f"{name!r} {loss:.3f}" for name, loss in zip(found, losses, strict=True))
    note = (
        f"No column to predict was named: the median of {len(found)}, drawn by the seed and predicted from all others; "
        f"from {min(losses):.3f} to {max(losses):.3f}: {told}."
    )
    figure = Figure.of("utility.loss", float(np.median(losses)), note=note, n=tables["holdout"].n_rows, seed=seed)
    return Figures.of([figure], {"utility": pd.concat(found.values(), ignore_index=True)})


@takes_frames
def tstr(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    test: pd.DataFrame,
    target: Hashable,
    metadata: Any = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Train on synthetic, test on real; beside it, train on real, test on real.

    Args:
        train: The real training rows.
        synthetic: The synthetic rows; cut to as many as ``train`` has.
        test: Real rows that neither saw.
        target: The column to predict: a category is classified, a number regressed.
        metadata: As for ``utility``.
        seed: Seed of draws and models.

    Returns:
        One row a ``model`` (``trees``, ``linear``) and ``score`` (``auc``, ``accuracy``, ``rarest_recall`` or ``r2``,
        ``mae``): ``synthetic`` and ``real``, the score after training on each; NaN where it is not defined.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def rows(n):
        ...     x = rng.normal(size=n)
        ...     return pd.DataFrame({"x": x, "sick": np.where(x + rng.normal(size=n) > 0, "yes", "no")})
        >>> scores = tstr(rows(500), rows(500), rows(500), "sick").set_index(["model", "score"])
        >>> bool(abs(scores.loc[("linear", "auc"), "synthetic"] - scores.loc[("linear", "auc"), "real"]) < 0.05)
        True
    """
    tables = code_tables({"real": train, "synthetic": synthetic, "holdout": test}, metadata)
    return _scores_of_models(tables, target, seed, Disclosure(1))


def _scores_of_models(tables: CodedTables, target: Hashable, seed: int, disclosure: Disclosure) -> pd.DataFrame:
    """The table of ``tstr``; a recall that rests on too few test rows is NaN."""
    if target not in tables.names:
        text = f"column {target!r} is none of the columns compared{did_you_mean(target, tables.names)}"
        raise ColumnsMismatchError(text, "target")
    rng = generator(of_measure(seed, Measure.UTILITY))
    n_rows = min(tables["real"].n_rows, _MODEL_ROWS)
    drawn = {role: tables[role].draw(n_rows, rng) for role in ("real", "synthetic")}
    tables = replace(tables, tables={**drawn, "holdout": tables["holdout"]})
    is_category = target in tables.category_names
    parts = {}
    for role, table in tables.without(target).tables.items():  # rows where the target is missing are left out
        answers = tables.cells(role, target)
        known = answers >= 0 if is_category else ~np.isnan(answers)
        parts[role] = table.take(known), answers[known]
    if is_category:
        real, synthetic = parts["real"][1], parts["synthetic"][1]
        kept = np.concatenate([_most_frequent(real), _most_frequent(synthetic[~np.isin(synthetic, real)])])
        for role, (table, answers) in parts.items():
            rows = np.isin(answers, kept)
            parts[role] = table.take(rows), answers[rows]
    test = parts["holdout"]
    rarest = _rarest(parts["real"][1], test[1]) if is_category else math.nan
    if disclosure.is_small((test[1] == rarest).sum()):
        rarest = math.nan
    scores = {role: _scores(parts[role], test, is_category, seed, rarest) for role in ("synthetic", "real")}
    names = ("auc", "accuracy", "rarest_recall") if is_category else ("r2", "mae")
    keys = [(model, name) for model in ("trees", "linear") for name in names]
    frame = pd.DataFrame(keys, columns=["model", "score"])
    return frame.assign(**{role: [found.get(key, math.nan) for key in keys] for role, found in scores.items()})


Matrix = NDArray[Any]
Part = tuple[CodedTable, NDArray[Any]]  # the other columns, and the answers


def _most_frequent(answers: NDArray[Any]) -> NDArray[Any]:
    classes, counts = np.unique(answers, return_counts=True)
    return classes[np.argsort(-counts, kind="stable")[:_MAX_CLASSES]]


def _rarest(train_answers: NDArray[Any], test_answers: NDArray[Any]) -> float:
    """The class that is rarest in the real training rows, of those that the test rows have."""
    classes, counts = np.unique(train_answers, return_counts=True)
    in_test = np.isin(classes, test_answers)
    return classes[in_test][counts[in_test].argmin()] if in_test.any() else math.nan


def _scores(train: Part, test: Part, is_category: bool, seed: int, rarest: float) -> dict[tuple[str, str], float]:
    """The scores of trees and of a linear model; none where there is too little to learn from or to test on."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    (table, answers), (test_table, test_answers) = train, test
    if len(answers) < 2 or len(test_answers) < 2 or table.numbers.shape[1] + table.codes.shape[1] == 0:
        return {}
    (features, test_features), is_tree_category = tree_matrix([table, test_table])
    linear_features, linear_test = one_hot_matrix(table, [table, test_table])
    options = tree_options(is_tree_category, seed)
    # One round grows a tree a class: fewer rounds where there are many keep the cost of two classes.
    rounds = max(10, min(100, 300 // len(np.unique(answers))))
    tools: tuple[Any, Any, Any] = HistGradientBoostingRegressor(**options), Ridge(), _regression
    if is_category:
        trees = HistGradientBoostingClassifier(max_iter=rounds, **options)
        tools = trees, LogisticRegression(max_iter=300), partial(_classification, rarest=rarest)
    tree_model, linear_model, measure = tools
    with threadpool_limits(1, "openmp"):  # as in two_sample_auc
        found = {
            "trees": measure(tree_model, filled_where_empty(features), test_features, answers, test_answers),
            "linear": measure(linear_model, linear_features, linear_test, answers, test_answers),
        }
    return {(name, score): value for name, scores in found.items() for score, value in scores.items()}


def _classification(
    model: Any, features: Matrix, test_features: Matrix, answers: Matrix, test_answers: Matrix, rarest: float
) -> dict[str, float]:
    classes = np.unique(answers)
    probabilities = np.ones((len(test_answers), 1))
    if len(classes) > 1:
        classes, probabilities = model.fit(features, answers).classes_, model.predict_proba(test_features)
    right = classes[probabilities.argmax(axis=1)] == test_answers
    of_rarest = test_answers == rarest
    return {
        "auc": _mean_auc(classes, probabilities, test_answers),
        "accuracy": float(right.mean()),
        "rarest_recall": float(right[of_rarest].mean()) if of_rarest.any() else math.nan,
    }


def _mean_auc(classes: NDArray[Any], probabilities: NDArray[Any], test_answers: NDArray[Any]) -> float:
    """Mean over the test's classes of one class against the rest; a class never seen in training scores 0.5."""
    from sklearn.metrics import roc_auc_score

    present = np.unique(test_answers)
    if len(present) < 2:
        return math.nan
    column_of = {label: column for column, label in enumerate(classes)}
    areas = [
        roc_auc_score(test_answers == label, probabilities[:, column_of[label]]) if label in column_of else 0.5
        for label in present
    ]
    return float(np.mean(areas))


def _regression(
    model: Any, features: Matrix, test_features: Matrix, answers: Matrix, test_answers: Matrix
) -> dict[str, float]:
    from sklearn.metrics import mean_absolute_error, r2_score

    unit = max(1.0, np.abs(answers).max() / _LARGEST_ANSWER)
    answers, test_answers = answers / unit, test_answers / unit
    guesses = model.fit(features, answers).predict(test_features)
    constant = test_answers.min() == test_answers.max()
    return {
        "r2": math.nan if constant else float(r2_score(test_answers, guesses)),
        "mae": unit * float(mean_absolute_error(test_answers, guesses)),
    }
