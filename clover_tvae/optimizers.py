"""Muon: momentum whose update is made orthogonal, for the matrices of hidden layers.

It knows torch alone.

References:
    Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks (the quintic of Newton-Schulz).
    arXiv 2604.15297 (on tabular networks).
    Measured here: benchmarks/README.md, "Ablations".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonal"]

#: Coefficients of the quintic ``a x + b x^3 + c x^5``, whose iterates bring singular values close to 1 (Jordan et al. 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_STEPS = 5


def orthogonal(matrix: Tensor) -> Tensor:
    """Bring all singular values of a matrix near 1 (between about 0.7 and 1.2) by Newton-Schulz steps.

    **Shape** ``(rows, columns)`` in and out.

    Example:
        >>> import torch
        >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 1.0, 0.1]))))
        >>> bool(((values > 0.5) & (values < 1.5)).all())
        True
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    # The spectral norm is at most the Frobenius norm, so this starts inside the region of convergence.
    x = x / (x.norm() + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal: every direction of a hidden matrix is learnt at the same speed.

    Embeddings, heads, biases and norms want Adam instead.

    Args:
        parameters: Matrices.
        lr: Step size, in units of the spectral norm.
        momentum: Decay of the mean gradient.
        weight_decay: Decoupled, as in AdamW.
        run: Runs the updates of all matrices, perhaps side by side: ``run(update, matrices)`` yields each result.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        run: Callable[..., Iterable[Any]] = map,
    ) -> None:
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._run = run

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every matrix by its orthogonalised momentum."""
        for group in self.param_groups:
            # The work is in the products of the matrices; each is its own, so any order gives the same result.
            list(self._run(lambda parameter, group=group: self._move(parameter, group), group["params"]))

    def _move(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        with torch.no_grad():
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            mean = state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
            update = orthogonal(gradient.lerp(mean, group["momentum"]))
            scale = max(1.0, parameter.shape[0] / parameter.shape[1]) ** 0.5
            parameter.mul_(1.0 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)
