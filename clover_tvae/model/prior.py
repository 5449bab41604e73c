"""Where ``z`` is drawn from: a mixture of Gaussians, fitted to where the encoder puts the training rows.

Training pulls the aggregate posterior, the mean of ``q(z | x)`` over the rows, towards ``N(0, I)`` but not onto it; rows drawn
from ``N(0, I)`` then have slightly wrong shares of everything that ``z`` decides. A few Gaussians close most of the gap.

It knows torch alone.

References:
    Tomczak & Welling 2018, VAE with a VampPrior, arXiv 1705.07120 (eq. 5: the best prior is the aggregate posterior).
    Ghosh et al. 2020, From Variational to Deterministic Autoencoders, arXiv 1903.12436 (a mixture fitted after training).
    Measured here: benchmarks/README.md, "Ablations".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clover_tvae.model.choices import draw_choice, stratified

__all__ = ["LatentPrior"]

#: Iterations of expectation and maximisation; they end sooner where the mean log-likelihood gains less than the tolerance.
_ITERATIONS, _TOLERANCE = 100, 2e-6
#: Every component is drawn towards N(0, I) as if so many more points of it had been seen.
_PRIOR_POINTS = 50.0


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
            self.register_buffer("factors", torch.eye(embedding_dim).repeat(n_components, 1, 1))

    def draw(self, n_rows: int, generator: torch.Generator, *, stratify: bool = True) -> Tensor:
        """Draw ``z``, stratified in every dimension (:func:`clover_tvae.model.choices.stratified`).

        Without ``stratify`` the rows are independent: strata are sorted for, which costs more than it brings where most
        rows are thrown away.

        **Shape** ``(rows, embedding_dim)``.
        """
        if stratify:
            uniform = stratified(n_rows, self.embedding_dim, generator)
            noise = torch.special.ndtri(uniform).to(torch.float32)
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
        before = -math.inf
        for _ in range(_ITERATIONS):
            joint = log_weights + _log_normal(z, means, torch.linalg.cholesky(covariances))
            total = joint.logsumexp(1)
            share = (joint - total.unsqueeze(1)).exp()
            held = share.sum(0)
            log_weights = ((held + 1.0) / (n + self.n_components)).log()
            means = share.T @ z / (held + 1e-9).unsqueeze(1)
            for k in range(self.n_components):
                offset = z - means[k]
                scatter = (share[:, k : k + 1] * offset).T @ offset
                covariances[k] = (scatter + _PRIOR_POINTS * eye) / (held[k] + _PRIOR_POINTS)
            now = float(total.mean())
            if now - before < _TOLERANCE:
                break
            before = now
        self.log_weights.copy_(log_weights)
        self.means.copy_(means)
        self.factors.copy_(torch.linalg.cholesky(covariances))
        return now


def _log_normal(z: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Log-density of every point under every Gaussian. **Shape** ``(points, components)``."""
    dim = z.shape[1]
    inverses = torch.linalg.solve_triangular(factors, torch.eye(dim, dtype=z.dtype).expand_as(factors), upper=False)
    columns = [((z - mean) @ inverse.T).square().sum(1) for mean, inverse in zip(means, inverses, strict=True)]
    log_det = factors.diagonal(dim1=1, dim2=2).log().sum(1)
    return -0.5 * torch.stack(columns, 1) - log_det - 0.5 * dim * math.log(2.0 * math.pi)
