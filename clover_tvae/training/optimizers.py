"""The optimisers: Adam; Muon, momentum whose update is made orthogonal, for the matrices of hidden layers; and
the average of the weights along their way.

Neither is a ``torch.optim.Optimizer``: making the first of these imports torch's compiler, which takes
longer (1.5 s) than many a table takes to learn.

References:
    Kingma & Ba 2015, arXiv 1412.6980 (Adam); Loshchilov & Hutter 2019, arXiv 1711.05101 (decoupled weight decay).
    Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks.
    Amsel et al. 2025, The Polar Express, arXiv 2505.16932 (quintics of Newton-Schulz, each the best for where the last ends).
    arXiv 2604.15297 (on tabular networks).
    Measured here: benchmarks/README.md, "Ablations".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

#: Coefficients of quintics ``a x + b x^3 + c x^5``. Each has the least largest error from 1 on what the last makes of
#: singular values of 0.01 to 1 (a linear programme): 0.92, 0.71, 0.27 at the end; smaller values become 78 times as large. One
#: quintic (Jordan et al.) needs five steps. Validation ELBO of Adult and Default: five, four or three steps differ by less than
#: seeds do.
#: Rounding must not carry a value past the end of the next quintic's interval, where it would blow up: hence _MARGIN.
_QUINTICS = ((8.0934, -23.6204, 17.4462), (3.6366, -2.7219, 0.5365), (2.6613, -1.9772, 0.4526))
_MARGIN = 1.01


def orthogonal(matrices: Tensor, products: torch.dtype = torch.float32) -> Tensor:
    """Bring all singular values of matrices near 1 (between 0.7 and 1.3) by Newton-Schulz steps.

    **Shape** ``(matrices, rows, columns)`` in and out.

    Example:
        >>> import torch
        >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 1.0, 0.1])).unsqueeze(0)))
        >>> bool(((values > 0.5) & (values < 1.5)).all())
        True
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = (x / (_norms(x) + 1e-7)).to(products)
    gram = x @ x.mT
    # The fourth power of the spectral norm is at most the squared Frobenius norm of the Gram matrix: a closer bound than
    # the matrix's own.
    size = _norms(gram).sqrt() + 1e-7
    x, gram = x / size, gram / size.square()
    for i, (a, b, c) in enumerate(_QUINTICS):
        gram = x @ x.mT if i else gram
        quartic = torch.baddbmm(gram, gram, gram, beta=b / _MARGIN**3, alpha=c / _MARGIN**5)
        x = torch.baddbmm(x, quartic, x, beta=a / _MARGIN)
    return (x.mT if tall else x).to(matrices.dtype)


def _norms(matrices: Tensor) -> Tensor:
    return torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)


class Optimizer(Protocol):
    """Moves its parameters along the gradients that stand in them."""

    @property
    def memory(self) -> list[Tensor]:
        """What it remembers of the steps so far."""

    def step(self, rate: float) -> None:
        """Make one step of size ``rate``."""


class Adam:
    """Adam, by torch's fused kernel: one call for all matrices, one for all else.

    Args:
        parameters: What to move; every one must have a gradient at each step.
        betas: Decay rates of the two moments.
        weight_decay: For matrices only: never for biases, norms, or a learned sigma.
        decoupled: Weight decay apart from the gradient (AdamW) instead of as an L2 penalty (Adam).

    Example:
        >>> import torch
        >>> parameter = torch.nn.Parameter(torch.ones(1))
        >>> parameter.grad = torch.tensor([3.0])
        >>> Adam([parameter]).step(0.25)
        >>> round(parameter.item(), 4)
        0.75
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        every = list(parameters)
        self.betas = betas
        self.update = torch._fused_adamw_ if decoupled else torch._fused_adam_
        matrices, vectors = [p for p in every if p.ndim >= 2], [p for p in every if p.ndim < 2]
        self.groups = [_AdamGroup(matrices, weight_decay), _AdamGroup(vectors, 0.0)]

    @property
    def memory(self) -> list[Tensor]:
        return [tensor for group in self.groups for tensor in (*group.means, *group.squares, group.n_steps)]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Make one step of size ``rate``."""
        for group in self.groups:
            if not group.parameters:
                continue
            group.n_steps.add_(1.0)
            self.update(
                group.parameters,
                [p.grad for p in group.parameters if p.grad is not None],
                group.means,
                group.squares,
                [],
                [group.n_steps] * len(group.parameters),
                lr=rate,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=group.weight_decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )


class _AdamGroup:
    """Parameters of one weight decay, and the moments of their gradients."""

    def __init__(self, parameters: Sequence[nn.Parameter], weight_decay: float) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        # One count for all: they are always moved together.
        self.n_steps = torch.zeros((), device=self.parameters[0].device if self.parameters else None)


class Muon:
    """Nesterov momentum, made orthogonal: every direction of a hidden matrix is learnt at the same speed.

    Embeddings, heads, biases and norms want Adam instead. The step size is in units of the spectral norm.

    Args:
        parameters: Matrices.
        momentum: Decay of the mean gradient.
        weight_decay: Decoupled, as in AdamW.
        products: The type in which the updates are made orthogonal.
        run: Runs the updates of all matrices, perhaps side by side: ``run(update, matrices)`` yields each result.
        n_side_by_side: How many it runs at once: so many stacks are made of the matrices of one shape.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        products: torch.dtype = torch.float32,
        run: Callable[..., Iterable[Any]] = map,
        n_side_by_side: int = 1,
    ) -> None:
        self.parameters = list(parameters)
        of_shape: dict[torch.Size, list[int]] = {}
        for i, parameter in enumerate(self.parameters):
            of_shape.setdefault(parameter.shape, []).append(i)
        parts = [same[k::n_side_by_side] for same in of_shape.values() for k in range(n_side_by_side)]
        self._stacks = [part for part in parts if part]
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.momentum, self.weight_decay = momentum, weight_decay
        self.products = products
        self._run = run

    @property
    def memory(self) -> list[Tensor]:
        return self.means

    def step(self, rate: float) -> None:
        """Move every matrix by its orthogonalised momentum."""
        # The work is in the products of the matrices; each is its own, so any order and any stacks give the same result.
        list(self._run(lambda stack: self._move(stack, rate), self._stacks))

    @torch.no_grad()
    def _move(self, stack: Sequence[int], rate: float) -> None:
        parameters, means = ([of[i] for i in stack] for of in (self.parameters, self.means))
        gradients = torch.stack([parameter.grad for parameter in parameters if parameter.grad is not None])
        torch._foreach_lerp_(means, list(gradients), 1.0 - self.momentum)
        updates = orthogonal(gradients.lerp_(torch.stack(means), self.momentum), self.products)
        scale = max(1.0, updates.shape[1] / updates.shape[2]) ** 0.5
        torch._foreach_mul_(parameters, 1.0 - rate * self.weight_decay)
        torch._foreach_add_(parameters, list(updates), alpha=-rate * scale)


class Average:
    """Exponential moving average of a module's weights (Polyak & Juditsky 1992), with a warm start."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.live = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.mean = [parameter.detach().clone() for parameter in self.live]

    @torch.no_grad()
    def update(self) -> None:
        self.steps += 1
        # A young average must forget its random start: 1 - 1/t is the plain mean so far.
        decay = min(self.decay, self.steps / (self.steps + 9.0))
        torch._foreach_lerp_(self.mean, [parameter.detach() for parameter in self.live], 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averaged weights into the module for the length of the block."""
        kept = [parameter.data for parameter in self.live]
        for parameter, mean in zip(self.live, self.mean, strict=True):
            parameter.data = mean
        try:
            yield
        finally:
            for parameter, data in zip(self.live, kept, strict=True):
                parameter.data = data
