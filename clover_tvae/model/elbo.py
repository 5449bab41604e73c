"""What a variational autoencoder tells its trainer: the two halves of its evidence lower bound, a value a row.

It knows torch alone.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ElboTerms(NamedTuple):
    """The two halves of the negative evidence lower bound, one value a row, in nats (Kingma & Welling 2014, eq. 3).

    Args:
        reconstruction: ``-E_q[log p(x | z)]``, or an unbiased estimate of it. **Shape** ``(rows,)``.
        kl: ``KL(q(z | x) || p(z))``. **Shape** ``(rows,)``.
        loss: What is minimised, where it is not the sum of the two (free bits, a weighted reconstruction).
            **Shape** ``(rows,)``.
    """

    reconstruction: Tensor
    kl: Tensor
    loss: Tensor | None = None

    @property
    def objective(self) -> Tensor:
        """What is minimised. **Shape** ``(rows,)``."""
        return self.reconstruction + self.kl if self.loss is None else self.loss
