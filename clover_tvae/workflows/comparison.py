"""Several generators of one table: the same split, the same seed, the same figures.

This module knows the synthesizer's public face and the evaluation. It prints nothing and writes no file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clover_tvae.errors import CloverError, ConfigError, Problem, did_you_mean
from clover_tvae.parameters import NOT_IN_SDV
from clover_tvae.workflows.split import DEFAULT_HOLDOUT, split_holdout

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.metadata import Metadata

__all__ = ["GENERATORS", "Comparison", "compare_generators"]

GENERATORS: Mapping[str, Mapping[str, str]] = {
    "autoregressive": {"backend": "native", "decoder": "autoregressive"},
    "independent": {"backend": "native", "decoder": "independent"},
    "sdv": {"backend": "sdv"},
}


@dataclass(frozen=True)
class Comparison:
    """What ``report.build_comparison`` takes.

    Args:
        results: One mapping a generator.
        facts: What they share.
    """

    results: tuple[dict[str, Any], ...]
    facts: dict[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Return the comparison as plain data; no value of the table is in it."""
        plain = []
        for result in self.results:
            figures = result.get("figures")
            history = result.get("history")
            plain.append(
                {
                    **{key: value for key, value in result.items() if key not in ("figures", "history", "sigmas")},
                    "figures": None if figures is None else figures.to_plain(),
                    "history": None if history is None else history.to_dict("records"),
                    "sigmas": None
                    if result.get("sigmas") is None
                    else [{"column": str(name), "sigmas": values} for name, values in result["sigmas"].items()],
                }
            )
        return {"format": "clover-tvae-comparison", "format_version": 1, "facts": self.facts, "generators": plain}


def compare_generators(
    df: pd.DataFrame,
    metadata: Metadata,
    *,
    generators: Sequence[str] = tuple(GENERATORS),
    holdout: pd.DataFrame | None = None,
    holdout_fraction: float = DEFAULT_HOLDOUT,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    verbose: bool = False,
    on_start: Callable[[str], object] = lambda name: None,
    on_done: Callable[[dict[str, Any]], object] = lambda result: None,
) -> Comparison:
    """Train each generator on the same rows, draw as many rows, and measure them against the same held-out rows.

    Args:
        df: The real rows; a part of them is held out unless ``holdout`` is given.
        metadata: What each column is.
        generators: Names out of ``GENERATORS``.
        holdout: Real rows to hold out instead.
        holdout_fraction: Share of ``df`` to hold out.
        seed: Seed of split, training, sampling and evaluation.
        parameters: Further parameters of ``TVAESynthesizer``, for all alike, such as ``epochs``. SDV's TVAE goes without
            those that it does not have, such as ``max_minutes``.
        verbose: Show the progress of training.
        on_start: Called with the name of each generator before it is trained.
        on_done: Called with each result.

    Returns:
        The comparison. A generator that fails with one of our errors is in it with its ``error``.

    Raises:
        ConfigError: An unknown or repeated generator.
        DataError: The table does not fit its metadata, or is too small to split.
    """
    problems = [
        Problem("generators", f"there is no {name!r}{did_you_mean(name, GENERATORS)}; known: {', '.join(GENERATORS)}")
        for name in generators
        if name not in GENERATORS
    ]
    if not generators or len(set(generators)) < len(generators):
        problems.append(Problem("generators", "must be at least one name, and each once"))
    if problems:
        raise ConfigError(problems)
    metadata.validate(df)
    if holdout is None:
        train, held = split_holdout(df, holdout_fraction, seed)
    else:
        metadata.validate(holdout)
        train, held = df, holdout
    results = []
    for name in generators:
        on_start(name)
        result = _result(name, train, held, metadata, seed, dict(parameters or {}), verbose)
        results.append(result)
        on_done(result)
    facts = {
        "Training rows": len(train),
        "Holdout rows": len(held),
        "Columns": len(metadata.columns),
        "Column to predict": metadata.variable_to_predict,
        "Seed": seed,
        **{str(key): value for key, value in (parameters or {}).items()},
    }
    return Comparison(tuple(results), facts)


def _result(
    name: str,
    train: pd.DataFrame,
    held: pd.DataFrame,
    metadata: Metadata,
    seed: int,
    parameters: dict[str, Any],
    verbose: bool,
) -> dict[str, Any]:
    from clover_tvae.evaluation import measure
    from clover_tvae.synthesizer import TVAESynthesizer

    result: dict[str, Any] = {"name": name}
    try:
        options = {**parameters, **GENERATORS[name]}
        if options.get("backend") == "sdv":
            options = {key: value for key, value in options.items() if key not in NOT_IN_SDV}
        started = time.perf_counter()
        synth = TVAESynthesizer(train, metadata, random_state=seed, verbose=verbose, **options).fit()
        fitted = time.perf_counter()
        synthetic = synth.sample(len(train), random_state=seed)
        drawn = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            synth.save(Path(folder, "generator.pkl"))
            n_bytes = Path(folder, "generator.pkl").stat().st_size
        result |= {
            "fit_seconds": fitted - started,
            "sample_seconds": drawn - fitted,
            "sampled_rows": len(synthetic),
            "file_bytes": n_bytes,
            "history": synth.history,
            "sigmas": _sigmas(synth),
        }
        result["figures"] = measure(train, synthetic, held, metadata, seed=seed)
    except CloverError as error:
        result["error"] = str(error)
    return result


def _sigmas(synth: Any) -> dict[Any, list[float]] | None:
    try:
        return synth.sigmas() or None
    except ConfigError:
        return None
