"""How good a generator's rows are: real rows held out, synthetic ones drawn, measured against real rows, reported, and held against limits.

This module knows the synthesizer's public face, the evaluation and the report. It knows no job file and no command line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clover_tvae.columns.people import drawn_people, people_of
from clover_tvae.errors import ConfigError, TooFewRowsError
from clover_tvae.evaluation import Figures, check_limits, measure, membership_shadow
from clover_tvae.evaluation.limits import Limits
from clover_tvae.metadata import Metadata
from clover_tvae.workflows.attackers import file_attackers
from clover_tvae.workflows.timed import timed

if TYPE_CHECKING:
    from clover_tvae.report import Dossier
    from clover_tvae.synthesizer import Synthesizer

DEFAULT_HOLDOUT = 0.1  # share of the rows, as in the published protocols
_PURPOSE = 0x401D
_N_DRAWS = 10  # tables of the generator that a dossier tells of


def split_holdout(
    df: pd.DataFrame, fraction: float = DEFAULT_HOLDOUT, seed: int = 0, unit: Hashable | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to learn and the rows to hold out, both in their order, with fresh indices.

    Args:
        fraction: Share of the rows to hold out, above 0 and below 1.
        seed: The same seed and table give the same split.
        unit: The column that tells people apart: all rows of a person are on one side, and at most the share is held out.

    Raises:
        ConfigError: ``fraction`` is out of range.
        TooFewRowsError: Less than two rows would be left on a side.

    Example:
        >>> import pandas as pd
        >>> train, holdout = split_holdout(pd.DataFrame({"x": range(10)}), 0.3)
        >>> len(train), len(holdout), set(train["x"]) & set(holdout["x"])
        (7, 3, set())
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"must be a share of the rows above 0 and below 1, found {fraction:g}", "holdout")
    rng = np.random.default_rng(np.random.SeedSequence([seed, _PURPOSE]))
    held = drawn_people(people_of(df, unit), len(df), round(len(df) * fraction), rng)
    n_held = int(held.sum())
    if n_held < 2 or len(df) - n_held < 2:
        message = f"{fraction:g} of {len(df)} rows leaves fewer than 2 rows on a side; give more rows or another share"
        raise TooFewRowsError(message, "holdout")
    return df[~held].reset_index(drop=True), df[held].reset_index(drop=True)


def assess(
    synth: Synthesizer,
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    metadata: Metadata,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    report: Path | None = None,
    dossier: Path | None = None,
    about: Mapping[str, str] | None = None,
    title: str = "Synthetic data report",
    tell: Callable[[str], object] = lambda text: None,
) -> list[str]:
    """Draw as many rows as were learnt, measure them, write the pages, and say which limits are passed.

    Args:
        synth: A fitted synthesizer, which learnt ``train`` and never saw ``holdout``.
        seed: Seed of the rows and of the figures.
        report, dossier: Where to write them, the dossier as JSON, too; ``None`` writes none.
        about: Fields of the dossier.
        tell: Called with a line as each stage ends.

    Returns:
        A sentence for each limit that is passed.
    """
    with timed(f"drew {len(train):,} rows to measure", tell):
        synthetic = synth.sample(len(train), random_state=seed)
    with timed("measured them", tell):
        how: dict[str, Any] = {"seed": seed, "scorers": file_attackers(synth), "min_count": synth.min_count}
        figures = measure(train, synthetic, holdout, metadata, **how)
    if report is not None:
        from clover_tvae.report import about_generator, write_report

        with timed("wrote the report", tell):
            shown = about_generator(synth, train, synthetic)
            options: dict[str, Any] = {"figures": figures, "seed": seed, "title": title}
            write_report(report, train, synthetic, holdout=holdout, metadata=metadata, **options, **shown)
    if dossier is not None and holdout is not None:
        with timed("wrote the dossier", tell):
            said: dict[str, Any] = {"about": about or {}, "seed": seed, "min_count": synth.min_count}
            dossier_of(synth, train, synthetic, holdout, metadata, figures=figures, **said).save(dossier)
    return [str(breach) for breach in check_limits(figures, limits or {})]


def dossier_of(
    synth: Synthesizer | None,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame,
    metadata: Metadata,
    *,
    full: bool = False,
    **options: Any,
) -> Dossier:
    """Return the dossier of rows, with more draws of their generator where there is one.

    Args:
        synth: The generator, which learnt ``train`` and never saw ``holdout``.
        full: Whether the generator is trained anew, too, which takes hours.
        **options: Those of ``build_dossier``: ``figures``, ``about``, ``seed`` and ``min_count``.
    """
    from clover_tvae.report import build_dossier

    if synth is not None:
        options["card"] = synth.card()
        options["draws"] = (synth.sample(len(synthetic), random_state=i) for i in range(1, _N_DRAWS))
        options["refits"] = (refitted(synth, train, i) for i in range(1, _N_DRAWS)) if full else ()
    return build_dossier(train, synthetic, holdout, metadata, **options)


def attack_with_shadow_models(
    synth: Synthesizer, real: pd.DataFrame, holdout: pd.DataFrame | None, *, n_models: int, seed: int = 0
) -> Figures:
    """Train the generator's pipeline again and again on half tables, and guess who was in which half.

    Args:
        synth: A fitted synthesizer: its backend and parameters are what is trained again.
        holdout: Real rows that it never saw; they join the halves.
        n_models: Fits, at least 4; each takes about as long as the generator's own training.
        seed: Seed of halves, fits and targets.

    Returns:
        The ``privacy.shadow_*`` figures.

    Raises:
        ConfigError: ``n_models`` is below 4.
        TooFewRowsError: There are fewer than 40 rows.
    """
    everyone = real if holdout is None else pd.concat([real, holdout], ignore_index=True)
    return membership_shadow(partial(refitted, synth), everyone, synth.metadata, k=n_models, seed=seed)


def refitted(synth: Synthesizer, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Train the generator's pipeline again on these rows, and draw as many."""
    from clover_tvae.synthesizer import Synthesizer

    card = synth.card()
    known = inspect.signature(Synthesizer).parameters
    parameters = {name: value for name, value in card["parameters"].items() if name in known and value is not None}
    if card["privacy"]["mode"] == "student":  # its own sizes are not its teacher's: both find theirs again
        parameters = {name: parameters.get(name) for name in ("min_count", "exact_values")} | synth.given
    privacy = card["privacy"]["mode"] if card["backend"] == "native" else None
    options = parameters | {"privacy": privacy, "backend": card["backend"], "random_state": seed, "verbose": False}
    return Synthesizer(rows, synth.metadata, **options).fit().sample(len(rows), random_state=seed)
