"""Where ``z`` is drawn from: a mixture of Gaussians, fitted to where the encoder puts the training rows.

Training pulls the aggregate posterior, the mean of ``q(z | x)`` over the rows, towards ``N(0, I)`` but not onto it; rows drawn
from ``N(0, I)`` then have slightly wrong shares of everything that ``z`` decides. A few Gaussians close most of the gap.

Own EM: scikit-learn's mixture is as good, but importing it takes longer than most tables' whole EM (benchmarks/README.md).

References:
    Tomczak & Welling 2018, VAE with a VampPrior, arXiv 1705.07120 (eq. 5: the best prior is the aggregate posterior).
    Ghosh et al. 2020, From Variational to Deterministic Autoencoders, arXiv 1903.12436 (a mixture fitted after training).
    Measured here: benchmarks/README.md, "Ablations".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clover_tvae.model.choices import draw_choice, uniform

#: Iterations of expectation and maximisation; they end sooner where the mean log-likelihood gains less than the tolerance.
_ITERATIONS, _TOLERANCE = 100, 2e-6
#: Every component is drawn towards N(0, I) as if so many more points of it had been seen.
_PRIOR_POINTS = 50.0
#: Points that are multiplied at a time.
_POINTS_A_PASS = 8_192


class LatentPrior(nn.Module):
    """``p(z) = sum_k w_k N(z; m_k, L_k L_k^T)``; with no components the standard normal.

    Args:
        embedding_dim: Dimensions of ``z``.
        n_components: Gaussians; 0 keeps ``N(0, I)``.

    Example:
        >>> import torch
        >>> prior = LatentPrior(2, n_components=2)
        >>> two = torch.cat([torch.randn(500, 2) - 3.0, torch.randn(500, 2) + 3.0])
        >>> _ = prior.fit(two, torch.Generator().manual_seed(1))
        >>> prior.draw(1000, torch.Generator().manual_seed(1)).abs().mean() > 2.0
        tensor(True)
    """

    log_weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, embedding_dim: int, n_components: int = 0) -> None:
        super().__init__()
        self.embedding_dim, self.n_components = embedding_dim, n_components
        if n_components:
            self.register_buffer("log_weights", torch.zeros(n_components))
            self.register_buffer("means", torch.zeros(n_components, embedding_dim))
            # fit gives the values, or a file does; torch.eye would take seconds to import on the device meta.
            self.register_buffer("factors", torch.zeros(n_components, embedding_dim, embedding_dim))

    def draw(self, n_rows: int, generator: torch.Generator, *, stratify: bool = True) -> Tensor:
        """Draw ``z``; without ``stratify`` as independent rows, whatever the generator.

        Strata are sorted for, which costs more than it brings where most rows are thrown away.

        **Shape** ``(rows, embedding_dim)``.
        """
        if stratify:
            noise = torch.special.ndtri(uniform(n_rows, self.embedding_dim, generator)).to(torch.float32)
        else:
            noise = torch.randn(n_rows, self.embedding_dim, generator=generator, device=generator.device)
        if not self.n_components:
            return noise
        component = draw_choice(self.log_weights.expand(n_rows, -1), generator)
        return self.means[component] + (self.factors[component] @ noise.unsqueeze(2)).squeeze(2)

    @torch.no_grad()
    def fit(self, z: Tensor, generator: torch.Generator) -> float:
        """Fit the mixture by expectation and maximisation (Dempster et al. 1977); return the mean log-likelihood, in nats.

        Args:
            z: Draws from the posteriors of the training rows. **Shape** ``(draws, embedding_dim)``.
            generator: Picks the points that the components start at.
        """
        if not self.n_components or not len(z):
            return math.nan
        z = z.cpu().double()  # some devices have no float64
        n, dim = z.shape
        start = torch.randperm(n, generator=generator, device=generator.device)[: self.n_components].cpu()
        eye = torch.eye(dim, dtype=z.dtype)
        means = z[start] if len(start) == self.n_components else z.new_zeros(self.n_components, dim)
        covariances = eye.repeat(self.n_components, 1, 1)
        log_weights = z.new_full((self.n_components,), -math.log(self.n_components))
        monomials, before = [_monomials(part) for part in z.split(_POINTS_A_PASS)], -math.inf
        for _ in range(_ITERATIONS):
            polynomials = _log_normal_polynomials(means, covariances)
            polynomials[:, -1] += log_weights
            held, first, second, now = _expected_moments(monomials, polynomials, dim)
            log_weights = ((held + 1.0) / (n + self.n_components)).log()
            means = first / (held + 1e-9).unsqueeze(1)
            scatter = second - held[:, None, None] * means.unsqueeze(2) * means.unsqueeze(1)
            covariances = (scatter + _PRIOR_POINTS * eye) / (held + _PRIOR_POINTS)[:, None, None]
            if now - before < _TOLERANCE:
                break
            before = now
        self.log_weights.copy_(log_weights)
        self.means.copy_(means)
        self.factors.copy_(torch.linalg.cholesky(covariances))
        return now


# A log-density of a Gaussian is a polynomial of degree 2, and so are the moments that its new mean and covariance are made
# of: with the monomials of z one below the other, both steps of an iteration are one matrix product each.


def _monomials(z: Tensor) -> Tensor:
    """``z_i z_j`` for ``i <= j``, then ``z_i``, then 1. **Shape** ``(dim (dim + 1) / 2 + dim + 1, points)``."""
    i, j = torch.triu_indices(z.shape[1], z.shape[1])
    rows = z.T.contiguous()
    return torch.cat([rows[i] * rows[j], rows, z.new_ones(1, len(z))])


def _log_normal_polynomials(means: Tensor, covariances: Tensor) -> Tensor:
    """Coefficients of every Gaussian's log-density. **Shape** ``(components, monomials)``."""
    dim = means.shape[1]
    factors = torch.linalg.cholesky(covariances)
    precisions = torch.cholesky_inverse(factors)
    i, j = torch.triu_indices(dim, dim)
    squares = precisions[:, i, j] * torch.where(i == j, -0.5, -1.0)
    linear = (precisions @ means.unsqueeze(2)).squeeze(2)
    log_det = factors.diagonal(dim1=1, dim2=2).log().sum(1)
    constant = -0.5 * (linear * means).sum(1) - log_det - 0.5 * dim * math.log(2.0 * math.pi)
    return torch.cat([squares, linear, constant.unsqueeze(1)], 1)


def _expected_moments(monomials: list[Tensor], polynomials: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """What each component holds: points, sum of ``z``, sum of ``z z^T``; and the mean log-likelihood of a point."""
    moments, total = torch.zeros_like(polynomials), 0.0
    for part in monomials:
        joint = polynomials @ part
        likelihood = joint.logsumexp(0)
        moments += (joint - likelihood).exp_() @ part.T
        total += float(likelihood.sum())
    i, j = torch.triu_indices(dim, dim)
    second = moments.new_zeros(len(moments), dim, dim)
    second[:, i, j] = second[:, j, i] = moments[:, : len(i)]
    return moments[:, -1], moments[:, len(i) : -1], second, total / sum(part.shape[1] for part in monomials)
