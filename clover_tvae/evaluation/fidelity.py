"""Fidelity: does a synthetic table look like the real one? Columns, pairs, C2ST, relations and diagnostics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.frames import takes_frames
from clover_tvae.columns.people import bootstrapped, people_of
from clover_tvae.evaluation import diagnostics
from clover_tvae.evaluation.copies import alike, without_learnt_holdout
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import (
    CodedTable,
    CodedTables,
    code_tables,
    column_kinds,
    read_frames,
    resolve_metadata,
)
from clover_tvae.evaluation.relations import break_rates, relation_table, relations_of
from clover_tvae.evaluation.shape_and_trend import Edges, pair_errors, shape_errors
from clover_tvae.evaluation.two_sample import C2ST_ITERATIONS, auc_interval, two_sample_auc
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.seeds import Measure, generator, of_measure

NO_HOLDOUT = "No real holdout was given: nothing can be judged but closeness to what was learnt."
WEAK = "The holdout is a weak yardstick"
_MANY_ALIKE = 0.05  # of the rows held out that equal a learnt one
_FEW_PEOPLE = 100  # with fewer held out the 95% interval of an AUC is wider than 0.08 on either side
_N_BOOTSTRAPS = 5  # draws of the training rows that the floor of Shape and Trend is averaged over
_MANY_COLUMNS = 60  # above it one draw is enough: the mean over so many columns and pairs is steady by itself


@takes_frames
def column_shapes(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None) -> pd.Series:
    """Return each column's shape error, from 0 to 1: one minus sdmetrics' Column Shapes score.

    Args:
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
    return shape_errors(code_tables({"real": real, "synthetic": synthetic}, metadata), "synthetic")


@takes_frames
def pair_trends(
    real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None, edges: Edges = "shared"
) -> pd.DataFrame:
    """Return each pair's trend error, from 0 to 1: one minus sdmetrics' Column Pair Trends score (``edges="own"``).

    Args:
        edges: See ``shape_and_trend.pair_errors``, as for what is returned.
    """
    return pair_errors(code_tables({"real": real, "synthetic": synthetic}, metadata), "synthetic", edges)


@takes_frames
def shape_error(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None) -> float:
    """Return the mean shape error over the columns, in percent."""
    return 100 * float(column_shapes(real, synthetic, metadata).mean())


@takes_frames
def trend_error(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None, edges: Edges = "shared") -> float:
    """Return the mean trend error over the pairs of columns, in percent."""
    return 100 * float(pair_trends(real, synthetic, metadata, edges)["error"].mean())


@takes_frames
def c2st(real: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any = None, seed: int = 0, folds: int = 3) -> float:
    """Return the AUC of trees that tell real from synthetic, 0.5 is perfect: see ``two_sample.two_sample_auc``."""
    tables = code_tables({"real": real, "synthetic": synthetic}, metadata)
    return two_sample_auc(tables["real"], tables["synthetic"], seed=seed, folds=folds)[0]


@takes_frames
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
        min_count: Fewest real rows that a cell of the tables may show; see ``Disclosure``.

    Returns:
        The ``fidelity`` figures of the catalogue: C2ST, Shape and Trend against ``holdout`` first, then how close the rows
        are to ``real``, each beside the same figure for ``holdout`` and for a bootstrap of the training rows with as many
        rows as ``synthetic``. The perfect value of Shape and Trend is the floor of a fresh sample. Tables: ``column_shapes``, ``pair_trends``, ``missing_rates``, ``relations``.

    Raises:
        DataError: The tables cannot be compared; all problems at once, names and counts but no values.
        ConfigError: ``min_count`` is no whole number of at least 1.
    """
    metadata = resolve_metadata(metadata)
    frames = read_frames({"real": real, "synthetic": synthetic, "holdout": holdout}, metadata)
    coded = without_learnt_holdout(code_tables(frames, metadata).in_one_order())
    return fidelity_figures(coded, frames, metadata, seed=seed, disclosure=Disclosure.of(min_count, coded))


def fidelity_figures(
    coded: CodedTables, frames: Mapping[str, pd.DataFrame | None], metadata: Any, *, seed: int, disclosure: Disclosure
) -> Figures:
    """Return what ``fidelity`` does, for tables in the roles ``real``, ``synthetic`` and perhaps ``holdout``."""
    frames = {role: frames[role] for role in coded.tables}
    rng = generator(of_measure(seed, Measure.BOOTSTRAP))
    draws = [
        coded["real"].take(bootstrapped(coded["real"].people, coded["real"].n_rows, coded["synthetic"].n_rows, rng))
        for _ in range(_N_BOOTSTRAPS if len(coded.names) <= _MANY_COLUMNS else 1)
    ]
    held = _Comparison(replace(coded, tables={**coded.tables, "bootstrap": draws[0]}), seed, disclosure)
    return (
        _held_out(coded, seed)
        | _classifier(held)
        | _marginals(held, draws)
        | _relations(held, frames, metadata)
        | _categories(held)
        | _diagnostics(held, frames)
    )


@dataclass(frozen=True)
class _Comparison:
    """The real table and those held against it, each in the role of the figure's field that it fills."""

    coded: CodedTables
    seed: int
    disclosure: Disclosure

    def of_others(self, measure: Callable[[CodedTable], Any]) -> dict[str, Any]:
        return {role: measure(table) for role, table in self.coded.tables.items() if role != "real"}

    def told(self, shares: NDArray[Any] | pd.Series, role: str) -> NDArray[Any]:
        """Shares of rows in percent, as far as they may be told."""
        return 100 * self.disclosure.shares(shares, self.coded, role)

    def figure(self, name: str, by_role: Mapping[str, float], *, n: int | None = None, **more: Any) -> Figure:
        floors: dict[str, Any] = {role: by_role.get(role) for role in ("holdout", "bootstrap")}
        n = self.coded["synthetic"].n_rows if n is None else n
        return Figure.of(f"fidelity.{name}", by_role["synthetic"], n=n, seed=self.seed, **floors, **more)


def _held_out(coded: CodedTables, seed: int) -> Figures:
    """The figures of fidelity: against rows that were not learnt, beside those of the learnt rows; and what weakens them."""
    names = ("c2st_heldout", "shape_heldout", "trend_heldout")
    if "holdout" not in coded.tables:
        note = f"Not measured: {coded.learnt_holdout or 'no holdout was given.'}"
        unmeasured = [Figure.of(f"fidelity.{name}", None, note=note) for name in names]
        return Figures.of(unmeasured, notes=[coded.learnt_holdout or NO_HOLDOUT])
    holdout = coded["holdout"]
    turned = replace(coded, tables={"real": holdout, "synthetic": coded["synthetic"], "holdout": coded["real"]})
    areas, shapes, trends = {}, {}, {}
    for role in ("synthetic", "holdout"):
        areas[role], n = two_sample_auc(holdout, turned[role], seed=seed)
        shapes[role] = 100 * float(shape_errors(turned, role).mean())
        trends[role] = 100 * float(pair_errors(turned, role)["error"].mean())
    note = f"Against {holdout.n_rows:,} held-out rows; 'real' is the same figure for the learnt rows."
    options: dict[str, Any] = {"n": coded["synthetic"].n_rows, "seed": seed, "note": note}
    figures = [
        Figure.of(f"fidelity.{name}", found["synthetic"], holdout=found["holdout"], **options)
        for name, found in zip(names, (areas, shapes, trends), strict=True)
    ]
    figures[0] = replace(figures[0], n=n, interval=auc_interval(areas["synthetic"], n))
    n_people = holdout.n_people
    why, so = alike(coded, _MANY_ALIKE)
    if not why and n_people < _FEW_PEOPLE:
        why, so = f"it is {n_people:,} people", ", and chance moves its figures"
    if auc_interval(areas["holdout"], n, z=3.0)[0] > 0.5:
        why = f"trees tell it from the learnt rows (AUC {areas['holdout']:.2f}): the two are not of one population"
        so = ""
    note = f"{WEAK}: {why}{so}. Neither a good nor a bad figure that rests on it says much."
    return replace(Figures.of(figures, notes=[note] if why else []), weak_holdout=why)


def _marginals(held: _Comparison, draws: list[CodedTable]) -> Figures:
    coded = held.coded
    distances = {role: _distances(coded, role) for role in coded.tables if role != "real"}
    means = {role: _means(*found) for role, found in distances.items()}
    # One draw of few columns would be a noisy floor.
    fresh = [replace(coded, tables={"real": coded["real"], "draw": draw}) for draw in draws[1:]]
    floors = [means["bootstrap"], *(_means(*_distances(tables, "draw")) for tables in fresh)]
    means["bootstrap"] = {name: float(np.mean([floor[name] for floor in floors])) for name in floors[0]}
    # A fresh sample of m rows errs as sqrt(1/n + 1/m) against n rows; a bootstrap of those n rows only as sqrt(1/m).
    to_floor = math.sqrt(1 + coded["synthetic"].n_rows / coded["real"].n_rows)
    note = "" if "holdout" not in coded.tables else f"Holdout: {coded['holdout'].n_rows:,} rows."
    figures = [
        held.figure(name, {role: found[name] for role, found in means.items()}, perfect=floor * to_floor, note=note)
        for name, floor in means["bootstrap"].items()
    ]
    columns = _column_table(coded)
    columns["kind"] = ["number" if name in coded.number_names else "category" for name in coded.names]
    pairs = distances["synthetic"][1].drop(columns="error")
    for role, (shapes, shared) in distances.items():
        columns[role] = 100 * held.disclosure.errors(shapes, coded, role)
        pairs[f"error_{role}"] = 100 * held.disclosure.errors(shared["error"], coded, role)
    for column in ("real", "strength"):
        pairs[column] = held.disclosure.errors(pairs[column], coded, "real")
    worst_first: dict[str, Any] = {"ascending": False, "ignore_index": True, "kind": "stable"}
    tables = {
        "column_shapes": columns.sort_values("synthetic", **worst_first),
        "pair_trends": pairs.sort_values("error_synthetic", **worst_first),
    }
    return Figures.of(figures, tables)


def _distances(coded: CodedTables, role: str) -> tuple[pd.Series, pd.DataFrame]:
    return shape_errors(coded, role), pair_errors(coded, role)


def _means(shapes: pd.Series, pairs: pd.DataFrame) -> dict[str, float]:
    return {"shape": 100 * float(shapes.mean()), "trend_shared": 100 * float(pairs["error"].mean())}


def _column_table(coded: CodedTables) -> pd.DataFrame:
    return pd.DataFrame({"column": pd.Series(coded.names, dtype=object)})


def _classifier(held: _Comparison) -> Figures:
    found = held.of_others(lambda table: two_sample_auc(held.coded["real"], table, seed=held.seed))
    areas, n = {role: area for role, (area, _) in found.items()}, found["synthetic"][1]
    note = f"{C2ST_ITERATIONS} rounds of boosting, 3 folds, {n:,} rows of each table."
    if math.isnan(areas["synthetic"]):
        note = f"Not measured: too few rows ({n})."
    return Figures.of([held.figure("c2st", areas, n=n, note=note)])


def _relations(held: _Comparison, frames: Mapping[str, pd.DataFrame | None], metadata: Any) -> Figures:
    given = {role: frame for role, frame in frames.items() if frame is not None}
    declared, kinds = getattr(metadata, "relations", None) or (), column_kinds(given["real"], metadata)
    if metadata is not None:
        kinds = {name: metadata.column(name).kind for name in kinds}
    people, rule = people_of(given["real"], getattr(metadata, "unit", None)), held.disclosure
    k = rule.min_count if people is None or rule.n_people is None else rule.n_people
    found = relations_of(given["real"], kinds, declared, seed=held.seed, min_count=k, people=people)
    rates = {role: break_rates(found, frame) for role, frame in given.items()}
    promised = np.array([relation.handling == "keep" for relation in found], dtype=bool)
    n, note = int(promised.sum()), "n is the number of relations to be kept; of others only the table tells."
    if not n:
        note = f"No relation is to be kept in every row. {note}"
    figures = []
    for name, summary in (("relations_broken", np.mean), ("relations_worst", np.max)):
        others = {role: values[promised] for role, values in rates.items() if role != "real"}
        broken = {role: float(summary(100 * values)) if n else math.nan for role, values in others.items()}
        figures.append(held.figure(name, broken, n=n, note=note))
    shown = {role: held.told(values, role) for role, values in rates.items()}
    return Figures.of(figures, {"relations": relation_table(found, shown)})


def _categories(held: _Comparison) -> Figures:
    """How categories fare; an exact ratio of a small count of rare real rows would tell how many they are."""
    counts = held.of_others(lambda table: diagnostics.CategoryCounts.of(held.coded["real"], table))
    found = {role: count.rare_frequency() for role, count in counts.items()}
    ratios = {role: ratio for role, (ratio, _) in found.items()}
    interval, note = found["synthetic"][1], ""
    if held.disclosure.is_small(counts["synthetic"].rare_rows()[0]):
        ratios, interval = {"synthetic": math.nan}, (math.nan, math.nan)
        note = f"Not shown: fewer than {held.disclosure.min_count} real rows hold a rare category."
    elif "holdout" in counts and held.disclosure.is_small(counts["holdout"].rare_rows()[1]):
        del ratios["holdout"]
    figures = [
        held.figure("categories_present", {role: 100 * count.present_share() for role, count in counts.items()}),
        held.figure("rare_frequency", ratios, interval=interval, note=note),
        held.figure("unseen_categories", {role: 100 * count.unseen_share() for role, count in counts.items()}),
    ]
    return Figures.of(figures)


def _diagnostics(held: _Comparison, frames: Mapping[str, pd.DataFrame | None]) -> Figures:
    coded, real, n_rows = held.coded, held.coded["real"], held.coded["synthetic"].n_rows
    rates = {role: diagnostics.missing_rates(coded, table) for role, table in coded.tables.items()}
    told = {
        role: values if role == "synthetic" else held.disclosure.assumed_shares(values, coded[role].n_rows)
        for role, values in rates.items()
    }
    gaps = {role: 100 * float((shares - told["real"]).abs().max()) for role, shares in told.items()}
    interval = _rate_interval(told["synthetic"], told["real"], n_rows, real.n_rows)
    there = {role: frame for role, frame in frames.items() if frame is not None}
    kinds = {role: {name: diagnostics.dtype_kind(frame[name]) for name in coded.names} for role, frame in there.items()}
    other_kinds = {
        role: [name for name in found if found[name] != kinds["real"][name]] for role, found in kinds.items()
    }
    finer = held.of_others(lambda table: diagnostics.finer_columns(coded, real, table))
    repeated = held.of_others(lambda table: 100 * diagnostics.duplicate_share(table))
    real_repeated = 100 * diagnostics.duplicate_share(real) if n_rows == real.n_rows else None
    beyond = held.of_others(lambda table: 100 * diagnostics.out_of_range_share(real, table))
    figures = [held.figure("out_of_range", beyond), held.figure("missing_rate", gaps, interval=interval)]
    for key, by_role in (("decimals", finer), ("dtypes", other_kinds)):
        note = f"Columns: {', '.join(map(repr, by_role['synthetic']))}." if by_role["synthetic"] else ""
        figures.append(held.figure(key, {role: float(len(names)) for role, names in by_role.items()}, note=note))
    figures.append(held.figure("duplicates", repeated, perfect=real_repeated))
    table = _column_table(coded)
    for role in kinds:
        table[role] = held.told(rates[role], role)
    return Figures.of(figures, {"missing_rates": table})


def _rate_interval(rates: pd.Series, real: pd.Series, n_rows: int, n_real: int) -> tuple[float, float]:
    """95% interval of the largest difference of missing rates, in percent; wider the more columns it is the largest of."""
    from scipy.stats import norm

    gaps = (rates - real).abs()
    worst = int(gaps.to_numpy().argmax())
    pooled = (rates.iloc[worst] * n_rows + real.iloc[worst] * n_real) / (n_rows + n_real)
    z = float(norm.isf(0.025 / max(1, int((real > 0).sum()))))
    spread = z * math.sqrt(pooled * (1 - pooled) * (1 / n_rows + 1 / n_real))
    return 100 * max(0.0, gaps.iloc[worst] - spread), 100 * (gaps.iloc[worst] + spread)
