"""A report on a fitted generator: its rows drawn, measured, and shown beside its card, curves and latent space.

Knows what a synthesizer offers (``sample``, ``encode``, ``card``, ``history``, ``metadata``), whatever its class. Must not
know torch, files or jobs.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from clover_tvae.errors import ConfigError
from clover_tvae.report.page import Report, build_report

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["about_generator", "report_on"]


def report_on(
    synth: Any, real: pd.DataFrame, holdout: pd.DataFrame | None = None, *, seed: int = 0, **options: Any
) -> Report:
    """Draw as many rows as were learnt and report on them.

    Args:
        synth: A fitted ``TVAESynthesizer``.
        real: The rows that it learnt.
        holdout: Real rows that it never saw; without them privacy and utility cannot be judged.
        seed: Seed of the rows and of the figures.
        **options: Further arguments of ``build_report``: ``figures``, ``min_count``, ``title``.

    Returns:
        The report.

    Raises:
        DataError: The tables do not fit the generator.
        MissingExtraError: A package of the extra ``report`` is not installed.
    """
    synthetic = synth.sample(len(real), random_state=seed)
    about = about_generator(synth, real, synthetic)
    return build_report(real, synthetic, holdout, synth.metadata, seed=seed, **about, **options)


def about_generator(synth: Any, real: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, Any]:
    """Return what a report shows of the generator itself, as arguments of ``build_report``.

    Returns:
        ``card`` and ``history``, and ``latent_real`` and ``latent_synthetic`` where the backend has an encoder.
    """
    about: dict[str, Any] = {"card": synth.card(), "history": synth.history}
    with contextlib.suppress(ConfigError):  # the sdv backend keeps no encoder: the table's own space is drawn then
        about |= {"latent_real": synth.encode(real), "latent_synthetic": synth.encode(synthetic)}
    return about
