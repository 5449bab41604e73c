"""Evaluation of synthetic tables: two or three DataFrames in, figures out.

Knows nothing of torch or synthesizers: the synthetic rows may come from anywhere. Its modules import scipy and scikit-learn
where they use them: a job that only reads limits needs neither.
"""

from __future__ import annotations

from clover_tvae.evaluation.catalogue import CATALOGUE
from clover_tvae.evaluation.fidelity import c2st, column_shapes, fidelity, pair_trends, shape_error, trend_error
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.limits import Breach, check_limits
from clover_tvae.evaluation.measurement import measure
from clover_tvae.evaluation.privacy import dcr, membership_shadow, privacy
from clover_tvae.evaluation.utility import tstr, utility

__all__ = [
    "CATALOGUE", "Breach", "Figure", "Figures", "c2st", "check_limits", "column_shapes", "dcr", "fidelity", "measure",
    "membership_shadow", "pair_trends", "privacy", "shape_error", "trend_error", "tstr", "utility",
]  # fmt: skip
