"""The encoder: ``q(z | x)``, a Gaussian with a diagonal covariance.

It knows rows of numbers, or one-hot rows that are never built; it must not know columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clover_tvae.model.rows import OneHotRows

__all__ = ["Encoder", "gaussian_kl", "initialise"]

#: Bounds of the posterior's log-variance: std between e^-5 (0.0067) and e^2.5 (12); exp() and the KL stay finite.
LOGVAR_RANGE = (-10.0, 5.0)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights of the linear layers of ``module`` afresh from ``generator`` (He et al. 2015, arXiv 1502.01852).

    Torch's own initialisation draws from the global generator, which belongs to the user.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5 if layer.in_features else 0.0
            with torch.no_grad():
                layer.weight.uniform_(-bound, bound, generator=generator)
                if layer.bias is not None:
                    layer.bias.uniform_(-bound, bound, generator=generator)


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """``KL(N(mu, exp(logvar)) || N(0, 1))`` of each dimension, in nats (Kingma & Welling 2014, appendix B).

    **Shape** ``(rows, embedding_dim)`` in and out.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)


class Encoder(nn.Module):
    """Linear + ReLU of each of ``compress_dims``, then one head for the mean and one for the log-variance.

    Args:
        data_dim: Width of an input row: all choices one-hot, then the numbers.
        compress_dims: Widths of the hidden layers.
        embedding_dim: Dimensions of the latent space.

    **Shape** input ``(rows, data_dim)``, or :class:`OneHotRows` of that width; each output ``(rows, embedding_dim)``.

    References:
        Xu et al. 2019, Modeling Tabular Data using Conditional GAN, arXiv 1907.00503, section 4.4 (TVAE).

    Example:
        >>> import torch
        >>> mu, std, logvar = Encoder(10, (16, 16), 4)(torch.zeros(3, 10))
        >>> mu.shape, bool((std > 0).all())
        (torch.Size([3, 4]), True)
    """

    def __init__(self, data_dim: int, compress_dims: Sequence[int], embedding_dim: int) -> None:
        super().__init__()
        self.data_dim, self.embedding_dim = data_dim, embedding_dim
        widths = [data_dim, *compress_dims]
        self.layers = nn.ModuleList(nn.Linear(wide, narrow) for wide, narrow in pairwise(widths))
        self.mu = nn.Linear(widths[-1], embedding_dim)
        self.logvar = nn.Linear(widths[-1], embedding_dim)

    def forward(self, data: Tensor | OneHotRows) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, standard deviation and log-variance of ``q(z | x)``."""
        if not self.layers:
            dense = one_hot(data, self.data_dim) if isinstance(data, OneHotRows) else data
            return self._heads(dense)
        first: nn.Linear = self.layers[0]  # type: ignore[assignment]
        hidden = F.relu(_sparse_linear(data, first) if isinstance(data, OneHotRows) else first(data))
        for layer in self.layers[1:]:
            hidden = F.relu(layer(hidden))
        return self._heads(hidden)

    def _heads(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logvar = self.logvar(hidden).clamp(*LOGVAR_RANGE)
        return self.mu(hidden), torch.exp(0.5 * logvar), logvar


def one_hot(rows: OneHotRows, width: int) -> Tensor:
    """Build the one-hot matrix. **Shape** ``(rows, width)``."""
    n_scalars = rows.scalars.shape[1]
    dense = torch.zeros(len(rows.ones), width, device=rows.scalars.device)
    dense.scatter_(1, rows.ones, 1.0)
    if n_scalars:
        dense[:, width - n_scalars :] = rows.scalars
    return dense


def _sparse_linear(rows: OneHotRows, layer: nn.Linear) -> Tensor:
    """``layer(one-hot matrix)`` without the matrix: sum the weights' columns at the ones."""
    width, n_scalars = layer.in_features, rows.scalars.shape[1]
    if width <= 1024:
        # A dense product is faster than a gather as long as the rows are narrow.
        return layer(one_hot(rows, width))
    hidden = F.embedding_bag(rows.ones, layer.weight[:, : width - n_scalars].t().contiguous(), mode="sum")
    if n_scalars:
        hidden = hidden + rows.scalars @ layer.weight[:, width - n_scalars :].t()
    return hidden + layer.bias
