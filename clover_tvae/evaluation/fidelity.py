"""Fidelity: does a synthetic table look like the real one? Columns, pairs, C2ST, relations and diagnostics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from clover_tvae.evaluation import diagnostics
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTable, CodedTables, code_tables
from clover_tvae.evaluation.relations import break_rates, find_relations, relation_table
from clover_tvae.evaluation.seeds import generator
from clover_tvae.evaluation.shape_and_trend import EDGES, Edges, pair_errors, shape_errors
from clover_tvae.evaluation.two_sample import C2ST_ITERATIONS, two_sample_auc
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
    frames = {"synthetic": synthetic} | ({} if holdout is None else {"holdout": holdout})

    measured, tables = _marginal_figures(coded, draws, seed, disclosure)
    for figures, more in (
        (_classifier_figures(coded, seed), {}),
        _relation_figures(coded, seed, disclosure),
        _category_figures(coded, seed, disclosure),
        _diagnostic_figures(coded, seed, disclosure, real, frames),
    ):
        measured += figures
        tables |= more
    notes = [] if holdout is not None else ["No holdout was given: no figure can be held against fresh real rows."]
    return Figures.of(measured, tables, notes)


Measured = tuple[list[Figure], dict[str, pd.DataFrame]]


def _of_others(coded: CodedTables, measure: Callable[[CodedTable], Any]) -> dict[str, Any]:
    """Measure each table held against the real one, by the figure's field that it fills."""
    return {role: measure(table) for role, table in coded.tables.items() if role != "real"}


def _figure(name: str, by_role: Mapping[str, float], n: int, seed: int, **more: Any) -> Figure:
    floors: dict[str, Any] = {role: by_role.get(role) for role in ("holdout", "bootstrap")}
    return Figure.of(name, by_role["synthetic"], n=n, seed=seed, **floors, **more)


def _marginal_figures(coded: CodedTables, draws: list[CodedTable], seed: int, disclosure: Disclosure) -> Measured:
    n_real, n_rows = coded["real"].n_rows, coded["synthetic"].n_rows
    shapes, shared, own = {}, {}, {}
    means: dict[str, dict[str, float]] = {}
    for role in coded.tables:
        if role != "real":
            shapes[role] = shape_errors(coded, "real", role)
            shared[role], own[role] = (pair_errors(coded, "real", role, edges) for edges in EDGES)
            means[role] = _means(shapes[role], shared[role], own[role])
    # One draw of few columns would be a noisy floor.
    floors = [means["bootstrap"]]
    for draw in draws[1:]:
        held = replace(coded, tables={"real": coded["real"], "draw": draw})
        floors.append(
            _means(shape_errors(held, "real", "draw"), *(pair_errors(held, "real", "draw", e) for e in EDGES))
        )
    means["bootstrap"] = {name: float(np.mean([floor[name] for floor in floors])) for name in floors[0]}
    # A fresh sample of m rows errs as sqrt(1/n + 1/m) against n rows; a bootstrap of those n rows only as sqrt(1/m).
    to_floor = math.sqrt(1 + n_rows / n_real)
    note = "" if "holdout" not in coded.tables else f"Holdout: {coded['holdout'].n_rows:,} rows."
    figures = [
        _figure(
            f"fidelity.{name}",
            {role: values[name] for role, values in means.items()},
            n_rows,
            seed,
            perfect=floor * to_floor,
            note=note,
        )
        for name, floor in means["bootstrap"].items()
    ]
    columns = pd.DataFrame({"column": pd.Series(coded.names, dtype=object)})
    columns["kind"] = ["number" if name in coded.number_names else "category" for name in coded.names]
    pairs = shared["synthetic"].drop(columns="error")
    for role in shapes:
        columns[role] = 100 * disclosure.errors(shapes[role].to_numpy(), coded, role)
        pairs[f"error_{role}"] = 100 * disclosure.errors(shared[role]["error"].to_numpy(), coded, role)
    pairs["error_own_edges"] = 100 * disclosure.errors(own["synthetic"]["error"].to_numpy(), coded, "synthetic")
    return figures, {
        "column_shapes": columns.sort_values("synthetic", ascending=False, ignore_index=True, kind="stable"),
        "pair_trends": pairs.sort_values("error_synthetic", ascending=False, ignore_index=True, kind="stable"),
    }


def _means(shapes: pd.Series, shared: pd.DataFrame, own: pd.DataFrame) -> dict[str, float]:
    """The four figures of columns and pairs, in percent."""
    errors = {"shape": shapes, "trend_shared": shared["error"], "trend_own": own["error"]}
    errors["trend_strong"] = own.loc[own["strong"], "error"]
    return {name: 100 * float(values.mean()) for name, values in errors.items()}


def _classifier_figures(coded: CodedTables, seed: int) -> list[Figure]:
    found = _of_others(coded, lambda table: two_sample_auc(coded["real"], table, seed=seed))
    areas, n_rows = {role: area for role, (area, _) in found.items()}, found["synthetic"][1]
    note = f"{C2ST_ITERATIONS} rounds of boosting, 3 folds, {n_rows:,} rows of each table."
    if math.isnan(areas["synthetic"]):
        note = f"Not measured: too few rows ({n_rows})."
    scores = {role: min(1.0, 1 - 2 * (area - 0.5)) for role, area in areas.items()}
    return [
        _figure("fidelity.c2st", areas, n_rows, seed, note=note),
        _figure("fidelity.c2st_score", scores, n_rows, seed, note=note),
    ]


def _relation_figures(coded: CodedTables, seed: int, disclosure: Disclosure) -> Measured:
    relations = find_relations(coded, seed=seed)
    rates = {role: break_rates(relations, table) for role, table in coded.tables.items() if role != "bootstrap"}
    shown = {
        role: 100 * (values if role == "synthetic" else disclosure.shares(values, coded[role].n_rows))
        for role, values in rates.items()
    }
    note = "" if relations else "No relation holds in 99.5% of the real rows that would not hold by chance."
    return [
        _figure(
            name,
            {role: float(summary(100 * values)) if relations else math.nan for role, values in rates.items()},
            len(relations),
            seed,
            note=f"{note} n is the number of relations.".strip(),
        )
        for name, summary in (("fidelity.relations_broken", np.mean), ("fidelity.relations_worst", np.max))
    ], {"relations": relation_table(relations, shown)}


def _category_figures(coded: CodedTables, seed: int, disclosure: Disclosure) -> Measured:
    real, n_rows = coded["real"], coded["synthetic"].n_rows
    present = _of_others(coded, lambda table: 100 * diagnostics.present_share(real, table))
    unseen = _of_others(coded, lambda table: 100 * diagnostics.unseen_share(real, table))
    figures = [
        _figure("fidelity.categories_present", present, n_rows, seed),
        _rare_frequency(coded, seed, disclosure),
        _figure("fidelity.unseen_categories", unseen, n_rows, seed),
    ]
    return figures, {"rare_categories": diagnostics.rare_table(coded, disclosure)}


def _rare_frequency(coded: CodedTables, seed: int, disclosure: Disclosure) -> Figure:
    """The frequency of rare categories; an exact ratio of a small count of real rows would tell how many they are."""
    name, real, n_rows = "fidelity.rare_frequency", coded["real"], coded["synthetic"].n_rows
    if disclosure.is_small(diagnostics.rare_rows(real, real)):
        note = f"Not shown: fewer than {disclosure.min_count} real rows hold a rare category."
        return Figure.of(name, None, n=n_rows, seed=seed, note=note)
    ratios = _of_others(coded, lambda table: diagnostics.rare_frequency_ratio(real, table))
    if "holdout" in ratios and disclosure.is_small(diagnostics.rare_rows(real, coded["holdout"])):
        del ratios["holdout"]
    interval = diagnostics.rare_frequency_interval(real, coded["synthetic"])
    return _figure(name, ratios, n_rows, seed, interval=interval)


def _diagnostic_figures(
    coded: CodedTables, seed: int, disclosure: Disclosure, real_frame: pd.DataFrame, frames: Mapping[str, pd.DataFrame]
) -> Measured:
    real, n_rows = coded["real"], coded["synthetic"].n_rows
    rates = {role: diagnostics.missing_rates(coded, table) for role, table in coded.tables.items()}
    told = {
        role: values if role in ("synthetic", "bootstrap") else disclosure.assumed_shares(values, coded[role].n_rows)
        for role, values in rates.items()
    }
    dtypes = {role: diagnostics.dtype_differences(real_frame, frame, coded.names) for role, frame in frames.items()}
    finer = _of_others(coded, lambda table: diagnostics.finer_columns(coded, real, table))
    outside = _of_others(coded, lambda table: 100 * diagnostics.out_of_range_share(real, table))
    repeated = _of_others(coded, lambda table: 100 * diagnostics.duplicate_share(table))
    gaps = {role: 100 * float((shares - told["real"]).abs().max()) for role, shares in told.items()}
    interval = _rate_interval(told["synthetic"], told["real"], n_rows, real.n_rows)
    figures = [
        _figure("fidelity.out_of_range", outside, n_rows, seed),
        _figure("fidelity.missing_rate", gaps, n_rows, seed, interval=interval),
        *(
            _figure(
                name,
                {role: float(len(columns)) for role, columns in found.items()},
                n_rows,
                seed,
                note=f"Columns: {', '.join(map(repr, found['synthetic']))}." if found["synthetic"] else "",
            )
            for name, found in (("fidelity.decimals", finer), ("fidelity.dtypes", dtypes))
        ),
        _figure(
            "fidelity.duplicates",
            repeated,
            n_rows,
            seed,
            perfect=100 * diagnostics.duplicate_share(real) if n_rows == real.n_rows else None,
        ),
    ]
    table = pd.DataFrame({"column": pd.Series(coded.names, dtype=object)})
    for role in ("real", "synthetic", "holdout"):
        if role in rates:
            shares = rates[role].to_numpy()
            table[role] = 100 * (shares if role == "synthetic" else disclosure.shares(shares, coded[role].n_rows))
    return figures, {"missing_rates": table}


def _rate_interval(rates: pd.Series, real: pd.Series, n_rows: int, n_real: int) -> tuple[float, float]:
    """95% interval of the largest difference of missing rates, in percent; wider the more columns it is the largest of."""
    gaps = (rates - real).abs()
    worst = int(gaps.to_numpy().argmax())
    pooled = (rates.iloc[worst] * n_rows + real.iloc[worst] * n_real) / (n_rows + n_real)
    z = float(norm.isf(0.025 / max(1, int((real > 0).sum()))))
    spread = z * math.sqrt(pooled * (1 - pooled) * (1 / n_rows + 1 / n_real))
    return 100 * max(0.0, gaps.iloc[worst] - spread), 100 * (gaps.iloc[worst] + spread)
