"""Mixtures of Gaussians on the normal score of a rank: density, truncated mass, and draws.

A number is a rank q in [0, 1]; its normal score is ``u = Phi^-1(q)``. Densities are returned with respect to q, so that a
column that follows its own marginal and nothing else has log-density 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from clover_tvae.model.choices import draw_choice, uniform

#: Equal pieces of the piecewise-linear encoding of a rank; fewer where a table has very many numbers.
PIECES = 24
#: Log standard deviations are kept in here.
LOG_SIGMA_RANGE = (math.log(0.01), 1.5)
#: Ranks are kept this far from 0 and 1, so that normal scores stay within +-4.9.
_EDGE = 5e-7
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def normal_score(rank: Tensor) -> Tensor:
    """``Phi^-1(q)`` of ranks q in [0, 1], finite at both ends.

    Example:
        >>> normal_score(torch.tensor([0.5])).item()
        0.0
    """
    return torch.special.ndtri(rank.clamp(_EDGE, 1.0 - _EDGE))


def piecewise(rank: Tensor, n_pieces: int) -> Tensor:
    """Piece j of a rank q: ``clamp(2 (n q - j) - 1, -1, 1)``, then its normal score.

    Pieces of the rank see the middle of a column finely; its tails, where heavy-tailed columns move together, are one piece
    wide in rank but a straight line in normal score.

    **Shape** ``(rows, scalars)``, then ``(rows, scalars, pieces + 1)``.
    """
    pieces = torch.arange(n_pieces, device=rank.device, dtype=rank.dtype)
    encoded = (2.0 * n_pieces) * rank.unsqueeze(2) - (2.0 * pieces + 1.0)
    return torch.cat([encoded.clamp_(-1.0, 1.0), normal_score(rank).unsqueeze(2)], 2)


class Mixture(NamedTuple):
    """K Gaussians for each of several numbers. Rows run along the last dimension: sums over K are sums of long vectors.

    **Shape** each ``(numbers, K, rows)``.
    """

    log_weights: Tensor
    means: Tensor
    log_sigmas: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> Mixture:
        """Read the raw outputs of a head. **Shape** ``(numbers, 3, K, rows)``."""
        weights, means, log_sigmas = parameters.unbind(1)
        return cls(weights.log_softmax(1), means, log_sigmas.clamp(*LOG_SIGMA_RANGE))

    def log_density(self, score: Tensor) -> Tensor:
        """Log-density of the rank whose normal score is ``score``. **Shape** ``(numbers, rows)``."""
        distance = (score.unsqueeze(1) - self.means) * torch.exp(-self.log_sigmas)
        # log N(u; m, s) - log N(u; 0, 1): the change of variable from u to q.
        parts = self.log_weights - 0.5 * distance.square() - self.log_sigmas
        return parts.logsumexp(1) + 0.5 * score.square()

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Log-probability of each component between two ranks, weights included. **Shape** ``(numbers, rows)``; ``(numbers, K, rows)``."""
        low, high = self._bounds(lower, upper)
        return self.log_weights + (high - low).clamp_min(1e-300).log().to(self.log_weights.dtype)

    def _bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Distribution function of each component at both bounds, in float64."""
        sigmas = self.log_sigmas.double().exp()
        ends = []
        for rank, edge in ((lower, -torch.inf), (upper, torch.inf)):
            rank = rank.double()
            inside = torch.special.ndtri(rank.clamp(1e-12, 1.0 - 1e-12))
            # A bound at the very end is no bound: the mixture's tail beyond the last rank belongs to the last value.
            outside = rank <= 0.0 if edge < 0 else rank >= 1.0
            score = torch.where(outside, torch.full_like(inside, edge), inside)
            ends.append(torch.special.ndtr((score.unsqueeze(1) - self.means.double()) / sigmas))
        return ends[0], ends[1]

    def sample(self, generator: torch.Generator, lower: Tensor | None = None, upper: Tensor | None = None) -> Tensor:
        """Draw ranks, between two ranks if these are given. **Shape** ``(numbers, rows)``, in [0, 1]."""
        numbers, _, rows = self.means.shape
        weights = self.log_weights if lower is None or upper is None else self.log_mass(lower, upper)
        picked = draw_choice(weights.movedim(1, 2).flatten(0, 1), generator).view(numbers, 1, rows)
        share = uniform(rows, numbers, generator).t()
        mean = self.means.gather(1, picked).squeeze(1)
        sigma = self.log_sigmas.gather(1, picked).squeeze(1).exp()
        if lower is None or upper is None:
            return torch.special.ndtr(mean + sigma * torch.special.ndtri(share).to(mean.dtype))
        low, high = (end.gather(1, picked).squeeze(1) for end in self._bounds(lower, upper))
        inverse = torch.special.ndtri((low + share * (high - low)).clamp(1e-300, 1.0 - 1e-16))
        rank = torch.special.ndtr(mean.double() + sigma.double() * inverse).float()
        # Where a component has next to no mass inside, rounding may leave the bounds.
        return torch.minimum(torch.maximum(rank, lower), upper)

    def mode(self) -> Tensor:
        """The rank of the heaviest component's mean. **Shape** ``(numbers, rows)``."""
        picked = self.log_weights.argmax(1, keepdim=True)
        return torch.special.ndtr(self.means.gather(1, picked).squeeze(1))
