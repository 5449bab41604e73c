"""Several generators of one table: the same split, the same seed, the same figures.

This module knows the synthesizer's public face and the evaluation. It prints nothing and writes no file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clover_tvae.errors import CloverError, ConfigError, Problem, did_you_mean
from clover_tvae.evaluation import measure
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import NOT_IN_SDV
from clover_tvae.synthesizer import Synthesizer
from clover_tvae.workflows.assessment import DEFAULT_HOLDOUT, split_holdout
from clover_tvae.workflows.timed import timed

GENERATORS: Mapping[str, Mapping[str, str]] = {
    "autoregressive": {"backend": "native", "decoder": "autoregressive"},
    "independent": {"backend": "native", "decoder": "independent"},
    "sdv": {"backend": "sdv"},
}


@dataclass(frozen=True)
class Comparison:
    """What ``report.build_comparison`` takes."""

    results: tuple[dict[str, Any], ...]
    facts: dict[str, Any]

    def __repr__(self) -> str:
        return f"Comparison({', '.join(str(result['name']) for result in self.results)})"

    def _repr_html_(self) -> str:
        from clover_tvae.report import build_comparison
        from clover_tvae.report.html_document import framed

        return framed(build_comparison(self.results, facts=self.facts), "Comparison of generators")

    def to_plain(self) -> dict[str, Any]:
        """Return the comparison as plain data; no value of the table is in it."""

        def plain(result: dict[str, Any]) -> dict[str, Any]:
            figures, history, sigmas = (result.get(key) for key in ("figures", "history", "sigmas"))
            named = sigmas and [{"column": str(name), "sigmas": values} for name, values in sigmas.items()]
            told = {"history": None if history is None else history.to_dict("records"), "sigmas": named}
            return {**result, "figures": None if figures is None else figures.to_plain(), **told}

        generators = [plain(result) for result in self.results]
        return {"format": "clover-tvae-comparison", "format_version": 1, "facts": self.facts, "generators": generators}


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
    tell: Callable[[str], object] = lambda text: None,
) -> Comparison:
    """Train each generator on the same rows, draw as many rows, and measure them against the same held-out rows.

    Args:
        df: The real rows; a part of them is held out unless ``holdout`` is given.
        generators: Names out of ``GENERATORS``.
        holdout: Real rows to hold out instead.
        holdout_fraction: Share of ``df`` to hold out.
        seed: Seed of split, training, sampling and evaluation.
        parameters: Further parameters of ``TVAESynthesizer``, for all alike, such as ``epochs``. SDV's TVAE goes without
            those that it does not have, such as ``max_minutes``.
        tell: Called with a line before each generator is trained, and as each of its stages ends.

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
    ConfigError.raise_any(problems)
    metadata.validate(df)
    if holdout is None:
        train, held = split_holdout(df, holdout_fraction, seed, metadata.unit)
    else:
        metadata.validate(holdout)
        train, held = df, holdout
    metadata = metadata.with_relations(train)  # alike for all
    results: list[dict[str, Any]] = []
    for name in generators:
        tell(f"{name}: learning ...")
        result: dict[str, Any] = {"name": name}
        results.append(result)
        options = {**(parameters or {}), **GENERATORS[name]}
        if options["backend"] == "sdv":
            options = {key: value for key, value in options.items() if key not in NOT_IN_SDV}
        try:
            with timed(f"{name}: learnt {len(train):,} rows", tell) as fit:
                synth = Synthesizer(train, metadata, random_state=seed, verbose=verbose, **options).fit()
            with timed(f"{name}: drew {len(train):,} rows", tell) as draw:
                synthetic = synth.sample(len(train), random_state=seed)
            with tempfile.TemporaryDirectory() as folder:
                synth.save(Path(folder, "generator.pkl"))
                n_bytes = Path(folder, "generator.pkl").stat().st_size
            result |= {
                "fit_seconds": fit.seconds,
                "sample_seconds": draw.seconds,
                "sampled_rows": len(synthetic),
                "mended_cells": sum(synth.mended_cells.values()),
                "file_bytes": n_bytes,
                "history": synth.history,
                "sigmas": synth.sigmas() or None,
                "has_student": (synth.card().get("privacy") or {}).get("mode") == "student",
            }
            with timed(f"{name}: measured them", tell):
                result["figures"] = measure(train, synthetic, held, metadata, seed=seed)
        except CloverError as error:
            result["error"] = str(error)
            tell(f"{name}: {error}")
    facts = {
        "Training rows": len(train),
        "Holdout rows": len(held),
        "Columns": len(metadata.columns),
        "Column to predict": metadata.variable_to_predict,
        "Seed": seed,
        **{str(key): value for key, value in (parameters or {}).items()},
    }
    return Comparison(tuple(results), facts)
