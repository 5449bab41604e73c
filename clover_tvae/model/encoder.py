"""The encoder: ``q(z | x)``, a Gaussian with a diagonal covariance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clover_tvae.model.products import Linear, pairs_of, stacked
from clover_tvae.model.rows import OneHotRows

#: Bounds of the posterior's log-variance: std between e^-5 (0.0067) and e^2.5 (12); exp() and the KL stay finite.
LOGVAR_RANGE = (-10.0, 5.0)
#: A dense product is faster than a gather as long as the rows are no wider.
_WIDE = 1024


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


def draw_posterior(mu: Tensor, logvar: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Draw ``z = mu + std * noise`` and give the KL of each dimension, with ``logvar`` kept inside its bounds.

    ``KL(N(mu, exp(logvar)) || N(0, 1))`` in nats (Kingma & Welling 2014, appendix B), its gradient written down: a quarter
    of the passes over memory.

    Args:
        mu: Means.
        logvar: Log-variances as :meth:`Encoder.parameters_of` gives them, not yet inside their bounds.
        noise: Standard normal draws.

    **Shape** ``(rows, embedding_dim)`` each, results too.
    """
    z, kl = _Posterior.apply(mu, logvar, noise)  # type: ignore[no-untyped-call]
    return z, kl


class _Posterior(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mu: Tensor, logvar: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        ctx.of_parameters = mu.dtype
        mu, logvar = mu.to(noise.dtype), logvar.to(noise.dtype)
        bounded = logvar.clamp(*LOGVAR_RANGE)
        std = (bounded * 0.5).exp_()
        kl = bounded.add_(1.0).neg_().addcmul_(mu, mu).addcmul_(std, std).mul_(0.5)
        ctx.save_for_backward(mu, logvar, noise, std)
        return torch.addcmul(mu, std, noise), kl

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        mu, logvar, noise, std = ctx.saved_tensors
        of_z, of_kl = gradients
        of_logvar = (of_z * noise).mul_(std).addcmul_(std.square().sub_(1.0), of_kl).mul_(0.5)
        # The gradient of a clamp.
        of_logvar = torch.ops.aten.hardtanh_backward(of_logvar, logvar, *LOGVAR_RANGE)
        return torch.addcmul(of_z, of_kl, mu).to(ctx.of_parameters), of_logvar.to(ctx.of_parameters), None


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
        self.layers = nn.ModuleList(Linear(wide, narrow) for wide, narrow in pairwise(widths))
        self.mu = Linear(widths[-1], embedding_dim)
        self.logvar = Linear(widths[-1], embedding_dim)

    def forward(self, data: Tensor | OneHotRows) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, standard deviation and log-variance of ``q(z | x)``."""
        mu, logvar = (part.float() for part in self.parameters_of(data))
        logvar = logvar.clamp(*LOGVAR_RANGE)
        return mu, torch.exp(0.5 * logvar), logvar

    def parameters_of(self, data: Tensor | OneHotRows) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance of ``q(z | x)``, in the type of the products; the latter not yet inside its bounds."""
        layers: list[Any] = list(self.layers)
        products = self.mu.products
        if isinstance(data, OneHotRows):
            if layers and self.data_dim > _WIDE:
                data = torch.relu_(_sparse_linear(data, layers.pop(0)))
            else:
                data = one_hot(data, self.data_dim, products)
        weight = torch.cat([self.mu.weight, self.logvar.weight])
        bias = torch.cat([self.mu.bias, self.logvar.bias])
        mu, logvar = stacked(data, [*pairs_of(layers), (weight, bias)], len(layers), products).chunk(2, 1)
        return mu, logvar


def one_hot(rows: OneHotRows, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Build the one-hot matrix. **Shape** ``(rows, width)``."""
    n_scalars = rows.scalars.shape[1]
    dense = torch.zeros(len(rows.ones), width, dtype=dtype, device=rows.scalars.device)
    dense.scatter_(1, rows.ones, 1.0)
    if n_scalars:
        dense[:, width - n_scalars :] = rows.scalars
    return dense


def _sparse_linear(rows: OneHotRows, layer: nn.Linear) -> Tensor:
    """``layer(one-hot matrix)`` without the matrix: sum the weights' columns at the ones."""
    width, n_scalars = layer.in_features, rows.scalars.shape[1]
    hidden = F.embedding_bag(rows.ones, layer.weight[:, : width - n_scalars].t().contiguous(), mode="sum")
    if n_scalars:
        hidden = hidden + rows.scalars @ layer.weight[:, width - n_scalars :].t()
    return hidden + layer.bias
