"""Singling out, linkability and inference: the three risks of the Article 29 Working Party, by Anonymeter's attacks.

Knows coded tables, and is the only module that imports anonymeter. Must not know torch, or how figures are shown.

Anonymeter sees columns named ``n0, c0, ...`` with numbers and category codes, never the data's names or texts. Missing
numbers are put to the median of the training rows, missing categories are a category. Every risk is the success of the
attack on training rows above its success on held-out rows (the control), as a share of what was left to gain; the
baseline is an attacker who guesses.

References:
    Giomi, Boenisch, Wehmeyer, Tasnádi, A Unified Framework for Quantifying Privacy Risk in Synthetic Data, PoPETs 2023,
    arXiv 2211.10459.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.errors import MissingExtraError
from clover_tvae.evaluation.frames import CodedTable, CodedTables
from clover_tvae.evaluation.seeds import generator, sequence

__all__ = ["Risk", "measure_risks", "risk_table"]

N_ATTACKS = 500
_MAX_ROWS = 10_000  # training rows, and held-out rows, in which singling out is judged
_MAX_SINGLE_QUERIES = 1_000  # queries of one column; values beyond that are not asked about
_COMBINATION_ROWS = 2_000  # synthetic rows whose combinations of columns are asked about
_COMBINATION_COLUMNS = 5  # columns of such a query
_MAX_ATTEMPTS = 4_000  # queries tried to find those that single out a synthetic row
_SMALLEST = 20  # fewest rows of each table for an attack to mean anything


@dataclass(frozen=True)
class Risk:
    """One attack's outcome.

    Args:
        name: ``singling_out_univariate``, ``singling_out_multivariate``, ``linkability`` or ``inference``.
        risk: Success above the control, 0 to 1; NaN if the attack could not be run.
        interval: 95% interval of ``risk``.
        main: Share of attacks on training rows that succeed.
        control: The same on held-out rows.
        baseline: The same for an attacker who guesses.
        n_attacks: Attacks tried.
        note: Anything particular.
    """

    name: str
    risk: float
    interval: tuple[float, float]
    main: float
    control: float
    baseline: float
    n_attacks: int
    note: str = ""


def measure_risks(
    tables: CodedTables, *, secret: Hashable | None = None, seed: int = 0, n_attacks: int = N_ATTACKS
) -> list[Risk]:
    """Run Anonymeter's attacks.

    Args:
        tables: With the roles ``train``, ``holdout`` and ``synthetic``.
        secret: The column to infer; by default the last category column, else the last number.
        seed: Seed of draws and attacks.
        n_attacks: Attacks of each kind, at most the rows of each table.

    Raises:
        MissingExtraError: anonymeter is not installed.
    """
    _evaluators()
    rng = generator(seed, 0xA29)
    fill = _medians(tables["train"])
    train, holdout = (_distinct(_frame(tables[role], fill)) for role in ("train", "holdout"))
    synthetic = _frame(tables["synthetic"], fill)
    n_rows = min(len(train), len(holdout), _MAX_ROWS)
    if min(n_rows, len(synthetic)) < _SMALLEST:
        return []
    # As many rows in both: Anonymeter would correct for the sizes by a fit on unseeded draws.
    train, holdout = (frame.iloc[rng.permutation(len(frame))[:n_rows]] for frame in (train, holdout))
    train, holdout = train.reset_index(drop=True), holdout.reset_index(drop=True)
    synthetic = synthetic.iloc[rng.permutation(len(synthetic))].reset_index(drop=True)
    n_attacks = min(n_attacks, n_rows, len(synthetic))
    with _quiet_and_seeded(seed):
        return [
            _singling_out_univariate(train, holdout, synthetic, seed),
            _singling_out_multivariate(train, holdout, synthetic, seed, n_attacks),
            _linkability(train, holdout, synthetic, n_attacks),
            _inference(train, holdout, synthetic, n_attacks, tables, secret),
        ]


def _evaluators() -> Any:
    try:
        import anonymeter.evaluators
    except ImportError as error:
        raise MissingExtraError(
            "singling out, linkability and inference need anonymeter: pip install '.[report]'; "
            "or measure privacy without them (attacks=False)"
        ) from error
    return anonymeter.evaluators


@contextmanager
def _quiet_and_seeded(seed: int) -> Iterator[None]:
    """Anonymeter draws from numpy's global generator: seed that for a while, and give the caller's state back."""
    logger = logging.getLogger("anonymeter")
    state, level = np.random.get_state(), logger.level  # noqa: NPY002
    np.random.seed(sequence(seed, 0xA29).generate_state(4))  # noqa: NPY002
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "attack is as good or worse as baseline": our figures say that themselves
            yield
    finally:
        logger.setLevel(level)
        np.random.set_state(state)  # noqa: NPY002


def _medians(table: CodedTable) -> np.ndarray:
    medians = np.zeros(table.numbers.shape[1])
    for column, values in enumerate(table.numbers.T):
        known = values[~np.isnan(values)]
        medians[column] = np.median(known) if len(known) else 0.0
    return medians


def _frame(table: CodedTable, fill: np.ndarray) -> pd.DataFrame:
    numbers = np.where(np.isnan(table.numbers), fill, table.numbers)
    columns: dict[str, Any] = {f"n{position}": numbers[:, position] for position in range(numbers.shape[1])}
    for position in range(table.codes.shape[1]):
        columns[f"c{position}"] = table.codes[:, position].astype(str).astype(object)
    return pd.DataFrame(columns)


def _distinct(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop_duplicates(ignore_index=True)


def _risk(name: str, n_attacks: int, n_success: int, n_control: int, baseline: float, note: str = "") -> Risk:
    from anonymeter.stats.confidence import EvaluationResults

    n_baseline = round(baseline * n_attacks)
    results = EvaluationResults(n_attacks, n_success=n_success, n_baseline=n_baseline, n_control=n_control)
    value, (low, high) = results.risk()
    main, control = n_success / n_attacks, n_control / n_attacks
    if control == 1.0:
        note = f"{note} The attack always succeeds on held-out rows too, so that no risk can be told from it.".strip()
    elif main <= baseline:
        note = f"{note} The attack does no better than guessing: it says little.".strip()
    return Risk(name, float(value), (float(low), float(high)), main, control, baseline, n_attacks, note)


def _no_risk(name: str, note: str) -> Risk:
    return Risk(name, np.nan, (np.nan, np.nan), np.nan, np.nan, np.nan, 0, note)


def _singling_out_univariate(train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, seed: int) -> Risk:
    from anonymeter.evaluators.singling_out_evaluator import univariate_singling_out_queries

    # Every query that the thinned table offers is asked: which of them Anonymeter would choose hangs on thread timing.
    thinned = _thinned(synthetic, generator(seed, 0x501))
    queries = univariate_singling_out_queries(
        df=_polars(thinned), n_queries=10 * _MAX_SINGLE_QUERIES, rng=generator(seed, 0x501)
    )
    return _singled_out("singling_out_univariate", queries, train, holdout, thinned, seed, n_columns=1)


def _singling_out_multivariate(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, seed: int, n_attacks: int
) -> Risk:
    from anonymeter.evaluators.singling_out_evaluator import multivariate_singling_out_queries

    n_columns = min(_COMBINATION_COLUMNS, train.shape[1])
    queries = multivariate_singling_out_queries(
        df=_polars(_distinct(synthetic.head(_COMBINATION_ROWS))),
        n_queries=n_attacks,
        n_cols=n_columns,
        max_attempts=_MAX_ATTEMPTS,
        rng=generator(seed, 0x502),
    )
    return _singled_out("singling_out_multivariate", queries, train, holdout, synthetic, seed, n_columns=n_columns)


def _polars(frame: pd.DataFrame) -> Any:
    import polars

    return polars.DataFrame({name: frame[name].to_numpy() for name in frame.columns})


def _thinned(synthetic: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Leave each number column so many values that occur once, its ends among them; the others become its median."""
    numbers = [name for name in synthetic.columns if name.startswith("n")]
    thinned = synthetic.copy()
    for name in numbers:
        values = synthetic[name].to_numpy().copy()
        distinct, first, counts = np.unique(values, return_index=True, return_counts=True)
        inner = first[(counts == 1) & (distinct != distinct[0]) & (distinct != distinct[-1])]
        dropped = rng.permutation(inner)[max(2, _MAX_SINGLE_QUERIES // len(numbers)) :]
        values[dropped] = np.median(values)
        thinned[name] = values
    return thinned


def _singled_out(
    name: str,
    queries: list[Any],
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    seed: int,
    *,
    n_columns: int,
) -> Risk:
    if not queries:
        return _no_risk(name, "No query singles out a synthetic row: the attack cannot be run.")
    baseline = _guessing(train, synthetic, len(queries), n_columns, generator(seed, 0x503))
    n_success, n_control = (_n_singling_out(frame, queries) for frame in (train, holdout))
    return _risk(name, len(queries), n_success, n_control, baseline)


def _guessing(
    train: pd.DataFrame, synthetic: pd.DataFrame, n_queries: int, n_columns: int, rng: np.random.Generator
) -> float:
    """Share of random queries that single out a training row: random columns, comparisons and synthetic values.

    This is Anonymeter's guessing attacker; its own draws from a set whose order no seed fixes.
    """
    cells = {name: train[name].to_numpy(dtype=np.float64) for name in train.columns}
    values = {name: np.unique(synthetic[name].to_numpy(dtype=np.float64)) for name in train.columns}
    numbers, texts = (np.greater_equal, np.less_equal, np.greater, np.less), (np.equal, np.not_equal)
    hits = 0
    for _ in range(n_queries):
        answers = np.ones(len(train), dtype=bool)
        for name in rng.choice(list(train.columns), n_columns, replace=False):
            compare = numbers[rng.integers(4)] if name.startswith("n") else texts[rng.integers(2)]
            answers &= compare(cells[name], rng.choice(values[name]))
        hits += answers.sum() == 1
    return float(hits / n_queries)


def _n_singling_out(frame: pd.DataFrame, queries: list[Any]) -> int:
    """Number of queries that exactly one row answers."""
    counts = _polars(frame).select([query.sum().alias(str(position)) for position, query in enumerate(queries)]).row(0)
    return sum(count == 1 for count in counts)


def _linkability(train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, n_attacks: int) -> Risk:
    name = "linkability"
    columns = list(train.columns)
    if len(columns) < 2:
        return _no_risk(name, "One column cannot be split in two.")
    halves = columns[::2], columns[1::2]
    evaluator = _evaluators().LinkabilityEvaluator(
        ori=train, syn=synthetic, control=holdout, n_attacks=n_attacks, aux_cols=halves, n_neighbors=1
    )
    results = evaluator.evaluate(n_jobs=1).results()
    # Guessing links a row where two random synthetic rows are the same one; Anonymeter draws that without a seed.
    return _risk(name, n_attacks, int(results.n_success), int(results.n_control), 1 / len(synthetic))


def _inference(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    n_attacks: int,
    tables: CodedTables,
    secret: Hashable | None,
) -> Risk:
    if train.shape[1] < 2:
        return _no_risk("inference", "One column leaves nothing to infer from.")
    if secret is None:
        secret = (tables.category_names or tables.number_names)[-1]
    is_number = secret in tables.number_names
    position = (tables.number_names if is_number else tables.category_names).index(secret)
    column = f"{'n' if is_number else 'c'}{position}"
    evaluator = _evaluators().InferenceEvaluator(
        ori=train,
        syn=synthetic,
        control=holdout,
        aux_cols=[name for name in train.columns if name != column],
        secret=column,
        regression=is_number,
        n_attacks=n_attacks,
    )
    results = evaluator.evaluate(n_jobs=1).results()
    note = f"Secret: column {secret!r}" + (", guessed to 5%." if is_number else ".")
    # The guessing attacker answers with the secret of some synthetic row. (Anonymeter 1.1 loses most of its guesses in
    # aligning their index with the targets', so that its own baseline is far too low.)
    guesses, answers = synthetic[column].to_numpy(), train[column].to_numpy()
    guesses = np.resize(guesses, len(answers))
    hits = np.abs(guesses - answers) <= 0.05 * np.abs(guesses) if is_number else guesses == answers
    baseline = float(hits.mean())
    return _risk("inference", n_attacks, int(results.n_success), int(results.n_control), baseline, note)


def risk_table(risks: list[Risk]) -> pd.DataFrame:
    """Return one row an attack: risk with its interval, success of the main attack, the control and the baseline."""
    return pd.DataFrame(
        [
            (risk.name, risk.risk, *risk.interval, risk.main, risk.control, risk.baseline, risk.n_attacks)
            for risk in risks
        ],
        columns=["attack", "risk", "risk_low", "risk_high", "main", "control", "baseline", "n_attacks"],
    )
