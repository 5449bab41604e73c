"""Fidelity: does a synthetic table look like the real one?

Knows pandas, and brings together marginals, C2ST, support, relations and diagnostics. Must not know torch, or how the
synthetic table was made: it may come from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from clover_tvae.evaluation import diagnostics
from clover_tvae.evaluation.classifier import C2ST_ITERATIONS, two_sample_auc
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTable, CodedTables, code_tables
from clover_tvae.evaluation.marginals import Edges, pair_errors, shape_errors
from clover_tvae.evaluation.relations import break_rates, find_relations, relation_table
from clover_tvae.evaluation.seeds import generator
from clover_tvae.parameters import MIN_COUNT

__all__ = ["c2st", "column_shapes", "fidelity", "pair_trends", "shape_error", "trend_error"]

_N_BOOTSTRAPS = 5  # draws of the training rows that the floor of Shape and Trend is averaged over
_MANY_COLUMNS = 60  # above it one draw is enough: the mean over so many columns and pairs is steady by itself


def column_shapes(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None) -> pd.Series:
    """Return each column's shape error, from 0 to 1: one minus sdmetrics' Column Shapes score.

    Args:
        real: The real rows.
        synthetic: The synthetic rows.
        metadata: A ``Metadata`` or what it is made of; without, dtypes decide: text, categories and booleans are
            categories, the rest numbers. Identifiers and ignored columns are left out.

    Raises:
        DataError: The tables cannot be compared; all problems at once.

    Example:
        >>> real = pd.DataFrame({"age": [20, 30, 40, 50], "sex": ["F", "F", "M", "M"]})
        >>> synthetic = pd.DataFrame({"age": [20, 30, 40, 50], "sex": ["F", "M", "M", "M"]})
        >>> column_shapes(real, synthetic).to_dict()
        {'age': 0.0, 'sex': 0.25}
    """
    return shape_errors(code_tables({"real": real, "synthetic": synthetic}, metadata), "real", "synthetic")


def pair_trends(
    real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None, edges: Edges = "shared"
) -> pd.DataFrame:
    """Return each pair's trend error, from 0 to 1: one minus sdmetrics' Column Pair Trends score (``edges="own"``).

    Args:
        real: The real rows.
        synthetic: The synthetic rows.
        metadata: As for ``column_shapes``.
        edges: ``"shared"``: numbers in ten bins of the real table's range; ``"own"``: each table in its own range, as
            sdmetrics does.

    Returns:
        One row a pair: ``column_1, column_2, metric, error, real, synthetic, strength, strong``; see
        ``marginals.pair_errors``. Pairs with a constant column have no correlation and so no error (NaN).
    """
    return pair_errors(code_tables({"real": real, "synthetic": synthetic}, metadata), "real", "synthetic", edges)


def shape_error(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None) -> float:
    """Return the mean shape error over the columns, in percent."""
    return 100 * float(column_shapes(real, synthetic, metadata).mean())


def trend_error(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None, edges: Edges = "shared") -> float:
    """Return the mean trend error over the pairs of columns, in percent."""
    return 100 * float(pair_trends(real, synthetic, metadata, edges)["error"].mean())


def c2st(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None, seed: int = 0, folds: int = 3) -> float:
    """Return the AUC of gradient-boosted trees that tell real from synthetic: 0.5 is perfect, 1 always told apart.

    100 rounds of scikit-learn's ``HistGradientBoostingClassifier``, no early stopping; see
    ``classifier.two_sample_auc``.
    """
    tables = code_tables({"real": real, "synthetic": synthetic}, metadata)
    return two_sample_auc(tables["real"], tables["synthetic"], seed=seed, folds=folds)[0]


def fidelity(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame | None = None,
    metadata: Any = None,
    seed: int = 0,
    min_count: int = MIN_COUNT,
) -> Figures:
    """Measure how much a synthetic table looks like the real one, each figure beside what real rows score.

    Args:
        real: The rows that the generator was trained on.
        synthetic: The synthetic rows, as many as ``real`` for figures that compare with published ones.
        holdout: Real rows that the generator never saw; ``None`` leaves their figures empty.
        metadata: As for ``column_shapes``.
        seed: Seed of every draw.
        min_count: Fewest real rows, of training or holdout, that a cell of the tables may show; see ``Disclosure``.

    Returns:
        The ``fidelity`` figures of the catalogue. Beside each value stand the same figure for ``holdout``, and for a
        bootstrap of the training rows with as many rows as ``synthetic``. The perfect value of Shape and Trend is the
        floor of a fresh sample, from the bootstrap: it is held against rows that it shares, so its sampling error
        lacks one of two parts. Tables: ``column_shapes``, ``pair_trends``, ``missing_rates``, ``rare_categories``,
        ``relations``.

    Raises:
        DataError: The tables cannot be compared; all problems at once, names and counts but no values.
        ConfigError: ``min_count`` is no whole number of at least 1.
    """
    disclosure = Disclosure(min_count)
    coded = code_tables({"real": real, "synthetic": synthetic, "holdout": holdout}, metadata)
    rng = generator(seed, 0xB007)
    draws = [
        coded["real"].take(rng.integers(0, coded["real"].n_rows, coded["synthetic"].n_rows))
        for _ in range(_N_BOOTSTRAPS if len(coded.names) <= _MANY_COLUMNS else 1)
    ]
    coded = replace(coded, tables={**coded.tables, "bootstrap": draws[0]})
    frames = {"real": real, "synthetic": synthetic, "holdout": holdout}

    measured, tables = _marginal_figures(coded, draws, seed, disclosure)
    for figures, more in (
        (_classifier_figures(coded, seed), {}),
        _relation_figures(coded, seed, disclosure),
        _category_figures(coded, seed, disclosure),
        _diagnostic_figures(coded, frames, seed, disclosure),
    ):
        measured += figures
        tables |= more
    notes = [] if holdout is not None else ["No holdout was given: no figure can be held against fresh real rows."]
    return Figures.of(measured, tables, notes)


def _others(coded: CodedTables) -> dict[str, CodedTable]:
    """The tables held against the real one, by the figure's field that they fill."""
    return {role: table for role, table in coded.tables.items() if role != "real"}


def _figure(name: str, by_role: Mapping[str, float], n: int, seed: int, **more: Any) -> Figure:
    return Figure.of(
        name,
        by_role["synthetic"],
        holdout=by_role.get("holdout"),
        bootstrap=by_role.get("bootstrap"),
        n=n,
        seed=seed,
        **more,
    )


def _marginal_figures(
    coded: CodedTables, draws: list[CodedTable], seed: int, disclosure: Disclosure
) -> tuple[list[Figure], dict[str, pd.DataFrame]]:
    others = _others(coded)
    n_real, n_rows = coded["real"].n_rows, coded["synthetic"].n_rows
    shapes = {role: shape_errors(coded, "real", role) for role in others}
    shared = {role: pair_errors(coded, "real", role, "shared") for role in others}
    own = {role: pair_errors(coded, "real", role, "own") for role in others}
    strong = {role: pairs.loc[pairs["strong"]] for role, pairs in own.items()}
    # A fresh sample of m rows errs as sqrt(1/n + 1/m) against n rows; a bootstrap of those n rows only as sqrt(1/m).
    to_floor = math.sqrt(1 + n_rows / n_real)
    bootstrap = _bootstrap_means(coded, draws)
    note = "" if "holdout" not in coded.tables else f"Holdout: {coded['holdout'].n_rows:,} rows."
    figures = []
    for name, errors in (
        ("fidelity.shape", shapes),
        ("fidelity.trend_shared", {role: pairs["error"] for role, pairs in shared.items()}),
        ("fidelity.trend_own", {role: pairs["error"] for role, pairs in own.items()}),
        ("fidelity.trend_strong", {role: pairs["error"] for role, pairs in strong.items()}),
    ):
        means = {role: 100 * float(values.mean()) for role, values in errors.items()}
        means["bootstrap"] = bootstrap[name]
        figures.append(_figure(name, means, n_rows, seed, perfect=means["bootstrap"] * to_floor, note=note))

    columns = pd.DataFrame({"column": pd.Series(coded.names, dtype=object)})
    columns["kind"] = ["number" if name in coded.number_names else "category" for name in coded.names]
    for role, column_errors in shapes.items():
        columns[role] = 100 * column_errors.to_numpy()
    pairs = shared["synthetic"].drop(columns="error")
    for role, frame in shared.items():
        pairs[f"error_{role}"] = 100 * frame["error"]
    pairs["error_own_edges"] = 100 * own["synthetic"]["error"]
    for role in shapes:
        for frame, name in ((columns, role), (pairs, f"error_{role}")):
            frame[name] = 100 * disclosure.errors(frame[name].to_numpy() / 100, coded, role)
    own_errors = pairs["error_own_edges"].to_numpy() / 100
    pairs["error_own_edges"] = 100 * disclosure.errors(own_errors, coded, "synthetic")
    return figures, {
        "column_shapes": columns.sort_values("synthetic", ascending=False, ignore_index=True, kind="stable"),
        "pair_trends": pairs.sort_values("error_synthetic", ascending=False, ignore_index=True, kind="stable"),
    }


def _bootstrap_means(coded: CodedTables, draws: list[CodedTable]) -> dict[str, float]:
    """Mean over the draws of the four marginal figures: one draw of few columns would be a noisy floor."""
    values: dict[str, list[float]] = {}
    for draw in draws:
        held = replace(coded, tables={"real": coded["real"], "draw": draw})
        own = pair_errors(held, "real", "draw", "own")
        for name, errors in (
            ("fidelity.shape", shape_errors(held, "real", "draw")),
            ("fidelity.trend_shared", pair_errors(held, "real", "draw", "shared")["error"]),
            ("fidelity.trend_own", own["error"]),
            ("fidelity.trend_strong", own.loc[own["strong"], "error"]),
        ):
            values.setdefault(name, []).append(100 * float(errors.mean()))
    return {name: float(np.mean(means)) for name, means in values.items()}


def _classifier_figures(coded: CodedTables, seed: int) -> list[Figure]:
    areas, n_rows = {}, 0
    for role, table in _others(coded).items():
        areas[role], used = two_sample_auc(coded["real"], table, seed=seed)
        n_rows = used if role == "synthetic" else n_rows
    note = f"{C2ST_ITERATIONS} rounds of boosting, 3 folds, {n_rows:,} rows of each table."
    if math.isnan(areas["synthetic"]):
        note = f"Not measured: too few rows ({n_rows})."
    scores = {role: min(1.0, 1 - 2 * (area - 0.5)) for role, area in areas.items()}
    return [
        _figure("fidelity.c2st", areas, n_rows, seed, note=note),
        _figure("fidelity.c2st_score", scores, n_rows, seed, note=note),
    ]


def _rate_interval(rates: pd.Series, real: pd.Series, n_rows: int, n_real: int) -> tuple[float, float]:
    """95% interval of the largest difference of missing rates, in percent; wider the more columns it is the largest of."""
    gaps = (rates - real).abs()
    worst = int(gaps.to_numpy().argmax())
    pooled = (rates.iloc[worst] * n_rows + real.iloc[worst] * n_real) / (n_rows + n_real)
    z = float(norm.isf(0.025 / max(1, int((real > 0).sum()))))
    spread = z * math.sqrt(pooled * (1 - pooled) * (1 / n_rows + 1 / n_real))
    return 100 * max(0.0, gaps.iloc[worst] - spread), 100 * (gaps.iloc[worst] + spread)


def _relation_figures(
    coded: CodedTables, seed: int, disclosure: Disclosure
) -> tuple[list[Figure], dict[str, pd.DataFrame]]:
    relations = find_relations(coded, seed=seed)
    rates = {role: 100 * break_rates(relations, table) for role, table in coded.tables.items() if role != "bootstrap"}
    shown = {
        role: values if role == "synthetic" else 100 * disclosure.shares(values / 100, coded[role].n_rows)
        for role, values in rates.items()
    }
    table = relation_table(relations, shown)
    note = "" if relations else "No relation holds in 99.5% of the real rows that would not hold by chance."
    others = {role: values for role, values in rates.items() if role != "real"}
    return [
        _figure(
            name,
            {role: float(summary(values)) if len(values) else math.nan for role, values in others.items()},
            len(relations),
            seed,
            note=f"{note} n is the number of relations.".strip(),
        )
        for name, summary in (("fidelity.relations_broken", np.mean), ("fidelity.relations_worst", np.max))
    ], {"relations": table}


def _category_figures(
    coded: CodedTables, seed: int, disclosure: Disclosure
) -> tuple[list[Figure], dict[str, pd.DataFrame]]:
    real, others = coded["real"], _others(coded)
    n_rows = coded["synthetic"].n_rows
    present, unseen = (
        _figure(name, {role: 100 * measure(real, table) for role, table in others.items()}, n_rows, seed)
        for name, measure in (
            ("fidelity.categories_present", diagnostics.present_share),
            ("fidelity.unseen_categories", diagnostics.unseen_share),
        )
    )
    figures = [present, _rare_frequency(coded, seed, disclosure), unseen]
    named = {role: table for role, table in others.items() if role != "bootstrap"}
    return figures, {"rare_categories": diagnostics.rare_table(coded, real, named, disclosure)}


def _rare_frequency(coded: CodedTables, seed: int, disclosure: Disclosure) -> Figure:
    """The frequency of rare categories; an exact ratio of a small count of real rows would tell how many they are."""
    real, synthetic = coded["real"], coded["synthetic"]
    few = {
        role: disclosure.is_small(diagnostics.rare_rows(real, coded[role]))
        for role in ("real", "holdout")
        if role in coded.tables
    }
    if few["real"]:
        note = f"Not shown: fewer than {disclosure.min_count} real rows hold a rare category."
        return Figure.of("fidelity.rare_frequency", None, n=synthetic.n_rows, seed=seed, note=note)
    ratios = {
        role: diagnostics.rare_frequency_ratio(real, table)
        for role, table in _others(coded).items()
        if not few.get(role)
    }
    interval = diagnostics.rare_frequency_interval(real, synthetic)
    return _figure("fidelity.rare_frequency", ratios, synthetic.n_rows, seed, interval=interval)


def _diagnostic_figures(
    coded: CodedTables, frames: Mapping[str, pd.DataFrame | None], seed: int, disclosure: Disclosure
) -> tuple[list[Figure], dict[str, pd.DataFrame]]:
    real, others = coded["real"], _others(coded)
    n_rows = coded["synthetic"].n_rows
    rates = {role: diagnostics.missing_rates(coded, table) for role, table in {"real": real, **others}.items()}
    told = {
        role: values if role in ("synthetic", "bootstrap") else disclosure.assumed_shares(values, coded[role].n_rows)
        for role, values in rates.items()
    }
    real_frame = frames["real"]
    dtypes = {
        role: diagnostics.dtype_differences(real_frame, frame, coded.names)
        for role, frame in frames.items()
        if role != "real" and frame is not None and real_frame is not None
    }
    finer = {role: diagnostics.finer_columns(coded, real, table) for role, table in others.items()}
    named = {
        key: f"Columns: {', '.join(repr(name) for name in columns)}." if columns else ""
        for key, columns in (("dtypes", dtypes["synthetic"]), ("decimals", finer["synthetic"]))
    }
    figures = [
        _figure(
            "fidelity.out_of_range",
            {role: 100 * diagnostics.out_of_range_share(real, table) for role, table in others.items()},
            n_rows,
            seed,
        ),
        _figure(
            "fidelity.missing_rate",
            {role: 100 * float((told[role] - told["real"]).abs().max()) for role in others},
            n_rows,
            seed,
            interval=_rate_interval(told["synthetic"], told["real"], n_rows, real.n_rows),
        ),
        _figure(
            "fidelity.decimals",
            {role: float(len(columns)) for role, columns in finer.items()},
            n_rows,
            seed,
            note=named["decimals"],
        ),
        _figure(
            "fidelity.dtypes",
            {role: float(len(columns)) for role, columns in dtypes.items()},
            n_rows,
            seed,
            note=named["dtypes"],
        ),
        _figure(
            "fidelity.duplicates",
            {role: 100 * diagnostics.duplicate_share(table) for role, table in others.items()},
            n_rows,
            seed,
            perfect=100 * diagnostics.duplicate_share(real) if n_rows == real.n_rows else None,
        ),
    ]
    table = pd.DataFrame({"column": pd.Series(coded.names, dtype=object)})
    for role, values in rates.items():
        if role == "synthetic":
            table[role] = 100 * values.to_numpy()
        elif role != "bootstrap":
            table[role] = 100 * disclosure.shares(values.to_numpy(), coded[role].n_rows)
    return figures, {"missing_rates": table}
