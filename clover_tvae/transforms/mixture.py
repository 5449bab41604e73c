"""Numbers by mode: mode-specific normalisation, as in the paper of TVAE.

This module knows one-dimensional Gaussian mixtures. It knows no pandas and no network.

References:
    Xu et al. 2019, Modeling tabular data using conditional GAN, arXiv 1907.00503, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.plain_data import array_from_plain, array_to_plain, check, fields, number
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import DataError
from clover_tvae.transforms.column import ColumnCodes, ConditionCodes, Unseen
from clover_tvae.transforms.numbers import Grid

__all__ = ["ModeCodec"]

MAX_MODES = 10  # the paper's
ATOM_SHARE, ATOM_ROWS = (
    0.05,
    20,
)  # values with more than this share of the rows and this many rows have no width: choices
MIN_WEIGHT = 0.005  # the paper's
MIN_MODE_ROWS = 20
MAX_WIDENING = 3.0  # beyond so many times its reach, a mode leaves a value to be clipped, as the paper does
MAX_BINS = 1_000
MAX_ITERATIONS, TOLERANCE = 100, 1e-4
CONCENTRATION = 0.001  # of the Dirichlet process: few modes unless the data ask for more
MIN_VARIANCE = 1e-8  # of a mode, in variances of the column
PRIOR_ROWS = 0.001  # what the prior of a mode's mean weighs: little, as it would widen far narrow modes
PRIOR_VARIANCE = 0.001  # what a mode is thought to have before it is seen, in variances of the column
WIDTHS = 4.0  # the scalar is (x - mu) / (4 sigma)
LIMIT = 0.99  # ... kept off the ends of the decoder's tanh
BLOCK_ROWS = 100_000


@dataclass(frozen=True, eq=False)
class ModeCodec:
    """Numbers of one column, by mode of a Gaussian mixture.

    Choices are the modes, then the atoms, then ``missing``. The mode of a cell is *drawn* from its responsibilities. An atom
    is a value that repeats (zero inflation, a cap): a Gaussian around it would give values near it, never it itself.

    Args:
        grid: Type, decimals and range of the values.
        centre: What is subtracted from the offset of a value before anything else.
        scale: What it is divided by then, positive.
        weights: Of the modes, summing to 1.
        means: Of the modes, after centring and scaling.
        sigmas: Standard deviations of the modes, likewise.
        atoms: Values that are choices of their own, ascending.
        missing: Whether missing cells were seen.
    """

    grid: Grid
    centre: float
    scale: float
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    atoms: NDArray[Any]
    missing: bool

    @classmethod
    def fit(cls, values: NDArray[Any], n_missing: int, grid: Grid) -> ModeCodec:
        """Learn the modes from the values, in at most 1,000 bins.

        Args:
            values: The numbers that are not missing.
            n_missing: How many cells are missing.
            grid: Type, decimals and range.
        """
        nothing = np.zeros(0)
        values = grid.cast(values)
        distinct, counts = np.unique(values, return_counts=True)
        heavy = (counts > ATOM_SHARE * len(values)) & (counts >= ATOM_ROWS) & (len(distinct) > 1)
        atoms = distinct[heavy]
        values = values[~np.isin(values, atoms)] if len(atoms) else values
        if not len(values):
            return cls(grid, 0.0, 1.0, nothing, nothing, nothing, atoms, n_missing > 0)
        x = grid.offset(values)
        # Divided by the largest first, so that the mean and the squares of 1e300 do not overflow.
        top = float(np.abs(x).max()) or 1.0
        centre, scale = float((x / top).mean()) * top, float((x / top).std()) * top
        if not scale > 1e-12 * top or x.min() == x.max():
            centre, scale = float(x[0]), max(abs(top) * 1e-9, grid.step, 1e-300)
        made = cls(grid, centre, scale, np.ones(1), np.zeros(1), np.ones(1), atoms, n_missing > 0)
        z = made._standardise(x)
        if x.min() == x.max():
            return made
        weights, means, sigmas = _mixture(z)
        return cls(grid, centre, scale, weights, means, sigmas, atoms, n_missing > 0)

    @property
    def layout(self) -> ColumnLayout:
        """The choices: modes, then atoms, then ``missing``."""
        n_modes, n = len(self.weights), len(self.weights) + len(self.atoms)
        return ColumnLayout(n + self.missing, n_modes, n if self.missing else None)

    def _standardise(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return (x / 2 - self.centre / 2) / (self.scale / 2)

    def encode(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """Return numbers as modes, drawn from their responsibilities, and scalars.

        Args:
            values: Numbers of any type.
            missing: Which of them are missing.
            rng: Draws the modes.
            unseen: ``mask``: numbers out of range, and missing cells where none was ever missing, get choice -1.
                ``error``: numbers are moved into the range instead.

        Raises:
            DataError: Missing cells in a column that never was missing, or numbers in one that always was.
        """
        n, n_modes = len(values), len(self.weights)
        choices, scalars = np.zeros(n, np.int32), np.zeros(n, np.float32)
        cast = self.grid.cast(values)
        outside = ((cast < self.grid.minimum) | (cast > self.grid.maximum)) & ~missing
        is_atom, atom = self._atoms_at(cast)
        n_known = n_modes + len(self.atoms)
        if not n_known:
            outside = ~missing
        elif not n_modes:
            outside = ~missing & ~is_atom
        bad_missing = int(missing.sum()) if not self.missing else 0
        if unseen == "error":
            if bad_missing:
                raise DataError(f"{bad_missing} cells are missing, and the column never was in training")
            if not n_known and outside.any():
                raise DataError(
                    f"{int(outside.sum())} cells hold numbers, and the column was always missing in training"
                )
        if n_modes:
            x = np.clip(cast, self.grid.dtype.type(self.grid.minimum), self.grid.dtype.type(self.grid.maximum))
            z = self._standardise(self.grid.offset(x))
            uniform = rng.random(n)
            for start in range(0, n, BLOCK_ROWS):
                part = slice(start, start + BLOCK_ROWS)
                choices[part], scalars[part] = self._draw(z[part], uniform[part])
        # Without modes every number is an atom, or takes the nearest.
        at_atom = is_atom if n_modes else np.full(n, n_known > 0)
        choices[at_atom] = n_modes + atom[at_atom]
        choices[missing] = n_known if self.missing else -1
        if unseen == "mask":
            choices[outside] = -1
        scalars[(choices < 0) | (choices >= n_modes)] = 0
        return ColumnCodes(choices, scalars if n_modes else None, None, int(outside.sum()) + bad_missing)

    def _atoms_at(self, values: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which values are atoms, and the nearest atom of each."""
        if not len(self.atoms):
            return np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=np.int64)
        right = np.clip(np.searchsorted(self.atoms, values), 0, len(self.atoms) - 1)
        left = np.maximum(right - 1, 0)
        # Halved, so that the distance between the ends of int64 or float64 does not overflow.
        half = values.astype(np.float64) / 2
        nearer = np.abs(self.atoms[left] / 2.0 - half) < np.abs(self.atoms[right] / 2.0 - half)
        nearest = np.where(self.atoms[right] == values, right, np.where(nearer, left, right))
        return self.atoms[nearest] == values, nearest

    def _draw(
        self, z: NDArray[np.float64], uniform: NDArray[np.float64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Draw the mode of each value and return its scalar there.

        Shape:
            z, uniform, choices and scalars ``(rows,)``; all tables inside ``(rows, modes)``.
        """
        offset = (z[:, None] - self.means) / self.sigmas  # (rows, modes)
        log = np.log(self.weights) - np.log(self.sigmas) - 0.5 * offset**2
        # A mode that the scalar cannot reach would clip the value: it counts only where no mode reaches it.
        reachable = np.abs(offset) <= WIDTHS * LIMIT
        log = np.where(reachable | ~reachable.any(axis=1, keepdims=True), log, -np.inf)
        share = np.exp(log - log.max(axis=1, keepdims=True))
        total = np.cumsum(share, axis=1)
        mode = (total < uniform[:, None] * total[:, -1:]).sum(axis=1)
        scalar = np.clip(offset[np.arange(len(z)), mode] / WIDTHS, -LIMIT, LIMIT)
        return mode.astype(np.int32), scalar.astype(np.float32)

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers of modes and scalars, and which are missing."""
        choices, n_modes = np.asarray(choices), len(self.weights)
        n_known = n_modes + len(self.atoms)
        missing = choices == n_known if self.missing else np.zeros(len(choices), dtype=bool)
        if n_modes and scalars is not None:
            mode = np.clip(choices, 0, n_modes - 1)
            z = self.means[mode] + WIDTHS * self.sigmas[mode] * np.asarray(scalars, dtype=np.float64)
            with np.errstate(over="ignore"):
                x = (z / 2 * self.scale + self.centre / 2) * 2
            out = self.grid.value(np.where(choices < n_modes, x, 0.0))
        else:
            out = np.zeros(len(choices), self.grid.dtype)
        at_atom = (choices >= n_modes) & (choices < n_known)
        if at_atom.any():
            out[at_atom] = self.atoms[choices[at_atom] - n_modes]
        return out, missing

    def allow(self, low: float, high: float) -> ConditionCodes:
        """Return the modes, and the scalars in each, of values in the closed range."""
        n_modes = len(self.weights)
        mask = np.zeros(self.layout.n_base, dtype=bool)
        grid = self.grid
        lower, upper = np.full(n_modes, -1, np.float32), np.full(n_modes, 1, np.float32)
        if low > grid.maximum or high < grid.minimum:
            return ConditionCodes(mask, lower, upper)
        mask[n_modes : n_modes + len(self.atoms)] = (self.atoms >= low) & (self.atoms <= high)
        if not n_modes:
            return ConditionCodes(mask, lower, upper)
        # Values within half a step of the range are rounded into it; beyond the column's own range they are moved into it.
        half = 0.49 * grid.step
        ends = np.array([-np.inf, np.inf])
        start = 0 if grid.kind == "float64" else grid.minimum  # what offsets are counted from
        if low > grid.minimum:
            ends[0] = float(low - start) - half
        if high < grid.maximum:
            ends[1] = float(high - start) + half
        scalar = (self._standardise(ends)[:, None] - self.means) / (WIDTHS * self.sigmas)  # (2, modes)
        lower, upper = (np.clip(bound, -1.0, 1.0).astype(np.float32) for bound in scalar)
        at = np.arange(n_modes, dtype=np.int32)
        for _ in range(8):
            lower = np.where(self.decode(at, lower)[0] < low, np.nextafter(lower, np.float32(2)), lower)
            upper = np.where(self.decode(at, upper)[0] > high, np.nextafter(upper, np.float32(-2)), upper)
        ends_inside = (self.decode(at, lower)[0] >= low) & (self.decode(at, upper)[0] <= high)
        mask[:n_modes] = ends_inside & (lower <= upper) & (scalar[0] <= 1) & (scalar[1] >= -1)
        return ConditionCodes(mask, lower, upper)

    def to_plain(self) -> dict[str, Any]:
        """Return the codec as plain data."""
        return {
            "grid": self.grid.to_plain(),
            "centre": self.centre,
            "scale": self.scale,
            "weights": array_to_plain(self.weights),
            "means": array_to_plain(self.means),
            "sigmas": array_to_plain(self.sigmas),
            "atoms": array_to_plain(self.atoms),
            "missing": self.missing,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> ModeCodec:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("grid", "centre", "scale", "weights", "means", "sigmas", "atoms", "missing"), "modes")
        grid = Grid.from_plain(plain["grid"])
        atoms = array_from_plain(plain["atoms"], "atoms", grid.code, low=grid.minimum, high=grid.maximum)
        check(bool((atoms[1:] > atoms[:-1]).all()) and len(atoms) <= 1 / ATOM_SHARE, "atoms must ascend, and be few")
        weights = array_from_plain(plain["weights"], "weights", "<f8", low=1e-300, high=1.0)
        means = array_from_plain(plain["means"], "means", "<f8")
        sigmas = array_from_plain(plain["sigmas"], "sigmas", "<f8", low=1e-300)
        check(len(weights) == len(means) == len(sigmas) <= MAX_MODES, "one weight, mean and sigma a mode are expected")
        check(type(plain["missing"]) is bool, "missing must be true or false")
        check(len(weights) + len(atoms) + plain["missing"] >= 1, "a column has at least one choice")
        centre, scale = number(plain["centre"], "centre"), number(plain["scale"], "scale", 0.0)
        check(scale > 0, "scale must be positive")
        return cls(grid, centre, scale, weights, means, sigmas, atoms, plain["missing"])


def _bins(z: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return at most 1,000 points that stand for all values: their places, rows, and the variance of the values in each.

    Distinct values where they are few; else bins of about equal numbers of rows.
    """
    distinct, counts = np.unique(z, return_counts=True)
    if len(distinct) <= MAX_BINS:
        return distinct, counts.astype(np.float64), np.zeros(len(distinct))
    place = ((np.cumsum(counts) - counts / 2) * (MAX_BINS / len(z))).astype(np.int64)
    rows = np.bincount(place, counts, MAX_BINS)
    used = rows > 0
    means = np.bincount(place, counts * distinct, MAX_BINS)[used] / rows[used]
    squares = np.bincount(place, counts * distinct**2, MAX_BINS)[used] / rows[used]
    return means, rows[used], np.maximum(squares - means**2, 0.0)


def _clusters(x: NDArray[np.float64], rows: NDArray[np.float64], n_clusters: int) -> NDArray[np.int64]:
    """Return the k-means cluster of each point, the best of all clusterings: on a line, dynamic programming finds it.

    Args:
        x: Ascending places ``(points,)``.
        rows: How many values stand at each.
        n_clusters: At most as many as points.

    References:
        Wang and Song 2011, Ckmeans.1d.dp, The R Journal 3(2), equation 1.
    """
    n = len(x)
    weight, first, second = (np.concatenate([[0.0], np.cumsum(rows * x**power)]) for power in range(3))
    # cost[i, j]: sum of squares about their mean of the points i to j, both included; infinite below the diagonal.
    weights = weight[None, 1:] - weight[:-1, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = (second[None, 1:] - second[:-1, None]) - (first[None, 1:] - first[:-1, None]) ** 2 / weights
    cost = np.where(np.arange(n)[:, None] <= np.arange(n), np.maximum(cost, 0.0), np.inf)
    best, starts = cost[0], []
    for _ in range(1, n_clusters):
        # The last cluster starts at i; the clusters before it end at i - 1.
        total = cost[1:] + best[:-1, None]
        start = total.argmin(axis=0)
        best = total[start, np.arange(n)]
        starts.append(start + 1)
    cluster, end = np.empty(n, dtype=np.int64), n
    for k in range(n_clusters - 1, 0, -1):
        begin = int(starts[k - 1][end - 1])
        cluster[begin:end], end = k, begin
    cluster[:end] = 0
    return cluster


def _mixture(z: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Return weights, means and sigmas of a Dirichlet process mixture of Gaussians, without its idle modes.

    Mean-field variational inference with truncated stick-breaking, on binned values: the variance inside a bin is part
    of every expectation, so that the bins do not make modes narrower. 1,000 bins take a hundredth of the time that rows do.

    Args:
        z: Standardised values ``(rows,)``.

    References:
        Blei and Jordan 2006, Variational inference for Dirichlet process mixtures, Bayesian Analysis 1(1), section 3.
        Bishop 2006, Pattern Recognition and Machine Learning, equations 10.58 to 10.66.
    """
    from scipy.special import digamma

    x, rows, within = _bins(z)  # (bins,) each
    n_modes = min(MAX_MODES, len(x))
    share = np.eye(n_modes)[_clusters(x, rows, n_modes)]  # responsibilities (bins, modes)
    n = rows.sum()
    mean_prior = (rows * x).sum() / n
    rate_prior = PRIOR_VARIANCE * 0.5 * (rows * (x**2 + within)).sum() / n
    bound = -np.inf
    for _ in range(MAX_ITERATIONS):
        held = share * rows[:, None]
        n_k = held.sum(axis=0) + 1e-10
        mean_k = (held * x[:, None]).sum(axis=0) / n_k
        variance_k = (held * ((x[:, None] - mean_k) ** 2 + within[:, None])).sum(axis=0) / n_k + MIN_VARIANCE
        # Normal-Gamma posterior of mean and precision, prior (mean_prior, PRIOR_ROWS, 1/2, rate_prior): Bishop 10.60 to 10.63.
        strength, shape = PRIOR_ROWS + n_k, 0.5 + n_k / 2
        means = (PRIOR_ROWS * mean_prior + n_k * mean_k) / strength
        rate = rate_prior + 0.5 * (n_k * variance_k + PRIOR_ROWS * n_k / strength * (mean_k - mean_prior) ** 2)
        # Stick-breaking Beta posterior: Blei and Jordan, equations 18 and 19.
        taken, left = 1.0 + n_k, CONCENTRATION + n_k[::-1].cumsum()[::-1] - n_k
        log_left = digamma(left) - digamma(taken + left)
        log_weight = digamma(taken) - digamma(taken + left) + np.concatenate([[0.0], log_left[:-1].cumsum()])
        square = (x[:, None] - means) ** 2 + within[:, None]
        log = log_weight + 0.5 * (digamma(shape) - np.log(rate) - 1.0 / strength - shape / rate * square)
        top = log.max(axis=1, keepdims=True)
        share = np.exp(log - top)
        total = share.sum(axis=1, keepdims=True)
        share /= total
        before, bound = bound, float((rows * (top + np.log(total))[:, 0]).sum() / n)
        if abs(bound - before) < TOLERANCE:
            break
    sigmas = np.sqrt(rate / shape)
    weights = (share * rows[:, None]).sum(axis=0) / n
    used = weights > MIN_WEIGHT
    # A light mode is kept where its values are out of reach of all others: a cap such as 99,999 would be clipped away.
    for k in np.flatnonzero(~used & (weights * n >= MIN_MODE_ROWS)):
        mine = x[share.argmax(axis=1) == k]
        near = np.abs(mine[:, None] - means[used]) <= WIDTHS * LIMIT * sigmas[used]
        used[k] = len(mine) > 0 and not near.any(axis=1).all()
    weights, means, sigmas = weights[used] / weights[used].sum(), means[used], sigmas[used]
    # Values a little out of reach of every mode would be clipped: their nearest mode is widened to hold them.
    excess = np.abs(x[:, None] - means) / (WIDTHS * LIMIT * sigmas)  # (bins, modes), above 1 out of reach
    nearest, excess = excess.argmin(axis=1), excess.min(axis=1)
    held = (excess > 1) & (excess <= MAX_WIDENING)
    wider = np.ones(len(means))
    np.maximum.at(wider, nearest[held], 1.001 * excess[held])
    return weights, means, sigmas * wider
