"""Utility: does a model trained on synthetic rows work on real ones?

Knows pandas, coded tables and scikit-learn. Must not know torch, or how the synthetic table was made.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.errors import ColumnsMismatchError, Problem, did_you_mean
from clover_tvae.evaluation.features import filled_where_empty, one_hot_matrix, tree_matrix
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTable, CodedTables, code_tables, resolve_metadata
from clover_tvae.evaluation.seeds import generator

__all__ = ["MODEL_ROWS", "tstr", "utility"]

MODEL_ROWS = 50_000  # most rows that a model is trained on, by a seeded draw
_LARGEST_ANSWER = 1e100  # a larger target is divided: sums of its squares overflow
MAX_CLASSES = 30  # the most frequent classes of a target; rows of the others are left out


def utility(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    test: pd.DataFrame | None,
    metadata: Any = None,
    target: Hashable | None = None,
    seed: int = 0,
) -> Figures:
    """Measure how well models trained on synthetic rows work on real ones, beside models trained on real rows.

    Args:
        train: The real training rows.
        synthetic: The synthetic rows.
        test: Real rows that neither saw.
        metadata: A ``Metadata`` or what it is made of; without, dtypes decide.
        target: The column to predict; by default the metadata's ``variable_to_predict``.
        seed: Seed of draws and models.

    Returns:
        The ``utility`` figures of the catalogue: ``value`` after training on synthetic rows, ``perfect`` after training
        on real rows. Without a target or test rows there are none, and a note says so. Table: ``utility``.

    Raises:
        DataError: The tables cannot be compared, or do not have the target.
    """
    metadata = resolve_metadata(metadata)
    target = getattr(metadata, "variable_to_predict", None) if target is None else target
    tables = code_tables({"train": train, "synthetic": synthetic, "test": test}, metadata)
    if target is None:
        return Figures.of([], notes=["Utility was not measured: no column to predict was named."])
    if test is None:
        return Figures.of([], notes=["Utility was not measured: no real rows to test on were given."])
    scores = scores_of_models(tables, target, seed=seed)
    figures: list[Figure] = []
    losses: dict[tuple[str, str], float] = {}
    for row in scores.to_dict("records"):
        key = row["model"], row["score"]
        losses[key] = row["real"] - row["synthetic"]
        missing = "" if np.isfinite(row["synthetic"]) else "Not defined: test or training rows lack classes."
        figures.append(
            Figure.of(
                f"utility.{key[0]}_{key[1]}",
                row["synthetic"],
                perfect=row["real"],
                n=len(test),
                seed=seed,
                note=f"Target: column {target!r}. {missing}".strip(),
            )
        )
    main = "auc" if target in tables.category_names else "r2"
    loss = Figure.of("utility.loss", losses["trees", main], n=len(test), seed=seed, note=f"Target: column {target!r}.")
    return Figures.of([loss, *figures], {"utility": scores})


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
        metadata: See ``frames.resolve_metadata``.
        seed: Seed of draws and models.

    Returns:
        One row a model and score: ``model`` (``trees``, ``linear``), ``score`` (``auc``, ``accuracy``,
        ``rarest_recall`` or ``r2``, ``mae``), ``synthetic`` and ``real``: the score after training on each. NaN where
        a score is not defined, such as an AUC where the test rows have one class.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def rows(n):
        ...     x = rng.normal(size=n)
        ...     return pd.DataFrame({"x": x, "sick": np.where(x + rng.normal(size=n) > 0, "yes", "no")})
        >>> scores = tstr(rows(500), rows(500), rows(500), "sick").set_index(["model", "score"])
        >>> bool(abs(scores.loc[("linear", "auc"), "synthetic"] - scores.loc[("linear", "auc"), "real"]) < 0.05)
        True
    """
    tables = code_tables({"train": train, "synthetic": synthetic, "test": test}, metadata)
    return scores_of_models(tables, target, seed=seed)


def scores_of_models(tables: CodedTables, target: Hashable, *, seed: int = 0) -> pd.DataFrame:
    """Return the table of ``tstr`` for coded tables with the roles ``train``, ``synthetic`` and ``test``."""
    if target not in tables.names:
        raise ColumnsMismatchError(
            Problem("target", f"column {target!r} is none of the columns compared{did_you_mean(target, tables.names)}")
        )
    rng = generator(seed, 0x757)
    n_rows = min(tables["train"].n_rows, MODEL_ROWS)
    drawn = {
        "real": _with_target(tables, tables["train"].take(rng.permutation(tables["train"].n_rows)[:n_rows]), target),
        "synthetic": _with_target(
            tables, tables["synthetic"].take(rng.permutation(tables["synthetic"].n_rows)[:n_rows]), target
        ),
    }
    test = _with_target(tables, tables["test"], target)
    is_category = target in tables.category_names
    if is_category:
        real_answers, answers = drawn["real"][1], drawn["synthetic"][1]
        known, invented = _most_frequent(real_answers), _most_frequent(answers[~np.isin(answers, real_answers)])
        kept = np.concatenate([known, invented])
        drawn, test = {role: _of_classes(part, kept) for role, part in drawn.items()}, _of_classes(test, kept)
    scores = {
        role: _scores(*part, *test, is_category=is_category, seed=seed, rarest=_rarest(drawn["real"][1], test[1]))
        for role, part in drawn.items()
    }
    keys = list(scores["real"])
    return pd.DataFrame(
        {
            "model": [model for model, _ in keys],
            "score": [score for _, score in keys],
            "synthetic": [scores["synthetic"][key] for key in keys],
            "real": [scores["real"][key] for key in keys],
        }
    )


def _with_target(tables: CodedTables, table: CodedTable, target: Hashable) -> tuple[CodedTable, np.ndarray]:
    """Split the target off; rows where it is missing are left out."""
    if target in tables.category_names:
        position = tables.category_names.index(target)
        answers = table.codes[:, position]
        known = answers >= 0
        rest = CodedTable(table.numbers, np.delete(table.codes, position, axis=1))
    else:
        position = tables.number_names.index(target)
        answers = table.numbers[:, position]
        known = ~np.isnan(answers)
        rest = CodedTable(np.delete(table.numbers, position, axis=1), table.codes)
    return rest.take(known), answers[known]


def _most_frequent(answers: np.ndarray) -> np.ndarray:
    classes, counts = np.unique(answers, return_counts=True)
    return classes[np.argsort(-counts, kind="stable")[:MAX_CLASSES]]


def _of_classes(part: tuple[CodedTable, np.ndarray], classes: np.ndarray) -> tuple[CodedTable, np.ndarray]:
    kept = np.isin(part[1], classes)
    return part[0].take(kept), part[1][kept]


def _rarest(train_answers: np.ndarray, test_answers: np.ndarray) -> float:
    """The class that is rarest in the real training rows, of those that the test rows have."""
    classes, counts = np.unique(train_answers, return_counts=True)
    in_test = np.isin(classes, test_answers)
    return classes[in_test][counts[in_test].argmin()] if in_test.any() else np.nan


def _scores(
    table: CodedTable,
    answers: np.ndarray,
    test_table: CodedTable,
    test_answers: np.ndarray,
    *,
    is_category: bool,
    seed: int,
    rarest: float,
) -> dict[tuple[str, str], float]:
    names = ("auc", "accuracy", "rarest_recall") if is_category else ("r2", "mae")
    empty = {("trees", name): float("nan") for name in names} | {("linear", name): float("nan") for name in names}
    enough_columns = table.numbers.shape[1] + table.codes.shape[1] > 0
    if len(answers) < 2 or len(test_answers) < 2 or not enough_columns:
        return empty
    if is_category:
        return empty | _classification(table, answers, test_table, test_answers, seed=seed, rarest=rarest)
    return empty | _regression(table, answers, test_table, test_answers, seed=seed)


def _classification(
    table: CodedTable,
    answers: np.ndarray,
    test_table: CodedTable,
    test_answers: np.ndarray,
    *,
    seed: int,
    rarest: float,
) -> dict[tuple[str, str], float]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    (features, test_features), is_category = tree_matrix([table, test_table])
    linear_features, linear_test = one_hot_matrix(table, [table, test_table])
    # One round grows a tree a class: fewer rounds where there are many keep the cost of two classes.
    rounds = max(10, min(100, 300 // len(np.unique(answers))))
    trees = HistGradientBoostingClassifier(
        max_iter=rounds, categorical_features=is_category, early_stopping=False, random_state=seed % 2**32
    )
    models = {
        "trees": (trees, filled_where_empty(features), test_features),
        "linear": (LogisticRegression(max_iter=300), linear_features, linear_test),
    }
    scores: dict[tuple[str, str], float] = {}
    classes = np.unique(answers)
    for name, (model, inputs, test_inputs) in models.items():
        if len(classes) == 1:
            probabilities = np.ones((len(test_answers), 1))
        else:
            model.fit(inputs, answers)
            classes, probabilities = model.classes_, model.predict_proba(test_inputs)
        guesses = classes[probabilities.argmax(axis=1)]
        of_rarest = test_answers == rarest
        scores[name, "auc"] = _mean_auc(classes, probabilities, test_answers)
        scores[name, "accuracy"] = float((guesses == test_answers).mean())
        scores[name, "rarest_recall"] = (
            float((guesses[of_rarest] == rarest).mean()) if of_rarest.any() else float("nan")
        )
    return scores


def _mean_auc(classes: np.ndarray, probabilities: np.ndarray, test_answers: np.ndarray) -> float:
    """Mean over the test's classes of one class against the rest; a class never seen in training scores 0.5."""
    from sklearn.metrics import roc_auc_score

    present = np.unique(test_answers)
    if len(present) < 2:
        return float("nan")
    column_of = {label: column for column, label in enumerate(classes)}
    areas = [
        roc_auc_score(test_answers == label, probabilities[:, column_of[label]]) if label in column_of else 0.5
        for label in present
    ]
    return float(np.mean(areas))


def _regression(
    table: CodedTable, answers: np.ndarray, test_table: CodedTable, test_answers: np.ndarray, *, seed: int
) -> dict[tuple[str, str], float]:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.metrics import mean_absolute_error, r2_score

    (features, test_features), is_category = tree_matrix([table, test_table])
    linear_features, linear_test = one_hot_matrix(table, [table, test_table])
    trees = HistGradientBoostingRegressor(
        categorical_features=is_category, early_stopping=False, random_state=seed % 2**32
    )
    models = {
        "trees": (trees, filled_where_empty(features), test_features),
        "linear": (Ridge(), linear_features, linear_test),
    }
    scores: dict[tuple[str, str], float] = {}
    unit = max(1.0, np.abs(answers).max() / _LARGEST_ANSWER)
    answers, test_answers = answers / unit, test_answers / unit
    for name, (model, inputs, test_inputs) in models.items():
        guesses = model.fit(inputs, answers).predict(test_inputs)
        constant = test_answers.min() == test_answers.max()
        scores[name, "r2"] = float("nan") if constant else float(r2_score(test_answers, guesses))
        scores[name, "mae"] = unit * float(mean_absolute_error(test_answers, guesses))
    return scores
