"""How often a relation would be kept if the columns had nothing to do with each other, and how surprising that makes it.

Probabilities are natural logarithms, and upper bounds: a relation that is called surprising is at least that surprising.

References:
    Hoeffding 1963, Probability inequalities for sums of bounded random variables, equation 2.1;
    Benjamini & Hochberg 1995, Controlling the false discovery rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_p_kept(kept: float, trials: float, chance: float) -> float:
    """Bound the probability that at least ``kept`` of ``trials`` rows keep a relation that each keeps by ``chance``."""
    if trials <= 0 or kept <= trials * chance:
        return 0.0
    chance, share = max(chance, 1e-12), kept / trials
    rest = (1 - share) * np.log((1 - share) / (1 - chance)) if share < 1 else 0.0
    return float(-trials * (share * np.log(share / chance) + rest))


def log_p_narrow(n_values: int, content: float) -> float:
    """Return the probability that ``n_values`` drawn from a distribution span at most this share of it (1: all of it)."""
    if content >= 1 or n_values < 2:
        return 0.0
    logs = (n_values - 1) * np.log(max(content, 1e-12))
    return float(min(0.0, logs + np.log(n_values - (n_values - 1) * content)))


def chance_below(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Return the share of pairs of independent draws with the first at most the second."""
    high = np.sort(high)
    return float((len(high) - np.searchsorted(high, low, side="left")).mean() / len(high))


def chance_within(made: NDArray[np.float64], found: NDArray[np.float64], slack: float | NDArray[np.float64]) -> float:
    """Return the share of pairs of independent draws that differ by at most ``slack``, or the slack of the first."""
    found = np.sort(found)
    hits = np.searchsorted(found, made + slack, side="right") - np.searchsorted(found, made - slack, side="left")
    return float(hits.mean() / len(found))


def accepted(log_p: NDArray[np.float64], n_tried: int, false_discovery_rate: float) -> NDArray[np.bool_]:
    """Return which candidates the step-up procedure accepts; those of ``n_tried`` that are not listed have p = 1."""
    order = np.argsort(log_p, kind="stable")
    limits = np.log(false_discovery_rate) + np.log(np.arange(1, len(order) + 1)) - np.log(max(n_tried, len(order), 1))
    passing = np.flatnonzero(log_p[order] <= limits)
    made = np.zeros(len(order), dtype=bool)
    made[order[: passing[-1] + 1 if len(passing) else 0]] = True
    return made
