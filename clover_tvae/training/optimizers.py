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


class FlatParameters:
    """Parameters as parts of one tensor: what is done to each of their numbers is then one operation, not one a parameter.

    Args:
        parameters: Made parts of :attr:`values`, in their order.

    Example:
        >>> import torch
        >>> weight, bias = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.zeros(2))
        >>> FlatParameters([weight, bias]).values.add_(1.0)
        tensor([2., 2., 2., 2., 2., 2., 1., 1.])
        >>> bias.tolist()
        [1.0, 1.0]

    Where the work is done, :meth:`close` it: whoever pickles a part writes the whole.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.values = joined(parameter.detach() for parameter in self.parameters)
        for parameter, part in zip(self.parameters, parts_of(self.values, self.parameters), strict=True):
            parameter.data = part

    def close(self) -> None:
        """Give each parameter a memory of its own."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone()


def joined(tensors: Iterable[Tensor]) -> Tensor:
    """Return tensors as one, flat and in a memory of its own."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def parts_of(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Undo :func:`joined`: return the parts of ``flat`` in the shapes of ``like``."""
    parts = flat.split([tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]


class Optimizer(Protocol):
    """Moves its parameters along their gradient."""

    @property
    def memory(self) -> list[Tensor]:
        """What it remembers of the steps so far."""

    def step(self, rate: float, gradient: Tensor) -> None:
        """Make one step of size ``rate`` along ``-gradient``, which has the shape of what is moved."""


class Adam:
    """Adam, by torch's fused kernel.

    Args:
        values: What to move, all in one.
        n_decayed: Only so many of them, the first ones, have a weight decay: never biases, norms, or a learned sigma.
        betas: Decay rates of the two moments.
        weight_decay: Of those.
        decoupled: Weight decay apart from the gradient (AdamW) instead of as an L2 penalty (Adam).

    Example:
        >>> import torch
        >>> value = torch.ones(1)
        >>> Adam(value).step(0.25, torch.tensor([3.0]))
        >>> round(value.item(), 4)
        0.75
    """

    def __init__(
        self,
        values: Tensor,
        n_decayed: int = 0,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        self.values, self.betas = values, betas
        self.parts = [(slice(0, n_decayed), weight_decay), (slice(n_decayed, len(values)), 0.0)]
        self.update = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self.means, self.squares = torch.zeros_like(values), torch.zeros_like(values)
        self.n_steps = torch.zeros((), device=values.device)

    @property
    def memory(self) -> list[Tensor]:
        return [self.means, self.squares, self.n_steps]

    @torch.no_grad()
    def step(self, rate: float, gradient: Tensor) -> None:
        """Make one step of size ``rate`` along ``-gradient``."""
        self.n_steps.add_(1.0)
        for part, weight_decay in self.parts:
            if part.start == part.stop:
                continue
            self.update(
                [self.values[part]],
                [gradient[part]],
                [self.means[part]],
                [self.squares[part]],
                [],
                [self.n_steps],
                lr=rate,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=weight_decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )


class Muon:
    """Nesterov momentum, made orthogonal: every direction of a hidden matrix is learnt at the same speed.

    Embeddings, heads, biases and norms want Adam instead. The step size is in units of the spectral norm.

    Args:
        matrices: What to move, in the order of their gradient.
        momentum: Decay of the mean gradient.
        weight_decay: Decoupled, as in AdamW.
        products: The type in which the updates are made orthogonal.
        run: Runs the updates of all matrices, perhaps side by side: ``run(update, matrices)`` yields each result.
        n_side_by_side: How many it runs at once: so many stacks are made of the matrices of one shape.
    """

    def __init__(
        self,
        matrices: Sequence[nn.Parameter],
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        products: torch.dtype = torch.float32,
        run: Callable[..., Iterable[Any]] = map,
        n_side_by_side: int = 1,
    ) -> None:
        self.matrices, self.means = matrices, torch.zeros_like(joined(matrices))
        of_shape: dict[torch.Size, list[int]] = {}
        for i, parameter in enumerate(matrices):
            of_shape.setdefault(parameter.shape, []).append(i)
        parts = [same[k::n_side_by_side] for same in of_shape.values() for k in range(n_side_by_side)]
        self._stacks = [part for part in parts if part]
        self.momentum, self.weight_decay = momentum, weight_decay
        self.products = products
        self._run = run

    @property
    def memory(self) -> list[Tensor]:
        return [self.means]

    @torch.no_grad()
    def step(self, rate: float, gradient: Tensor) -> None:
        """Move every matrix by its orthogonalised momentum."""
        self.means.lerp_(gradient, 1.0 - self.momentum)
        ahead = parts_of(gradient.lerp(self.means, self.momentum), self.matrices)
        # The work is in the products of the matrices; each is its own, so any order and any stacks give the same result.
        list(self._run(lambda stack: self._move(stack, ahead, rate), self._stacks))

    @torch.no_grad()
    def _move(self, stack: Sequence[int], ahead: Sequence[Tensor], rate: float) -> None:
        matrices: list[Tensor] = [self.matrices[i] for i in stack]
        updates = orthogonal(torch.stack([ahead[i] for i in stack]), self.products)
        scale = max(1.0, updates.shape[1] / updates.shape[2]) ** 0.5
        torch._foreach_mul_(matrices, 1.0 - rate * self.weight_decay)
        torch._foreach_add_(matrices, list(updates), alpha=-rate * scale)


class Average:
    """Exponential moving average of values along their way (Polyak & Juditsky 1992), with a warm start."""

    def __init__(self, values: Tensor, decay: float) -> None:
        self.values, self.decay = values, decay
        self.steps = 0
        self.mean = values.clone()

    def update(self) -> None:
        self.steps += 1
        # A young average must forget its random start: 1 - 1/t is the plain mean so far.
        decay = min(self.decay, self.steps / (self.steps + 9.0))
        self.mean.lerp_(self.values, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages in place of the values for the length of the block."""
        kept = self.values.clone()
        self.values.copy_(self.mean)
        try:
            yield
        finally:
            self.values.copy_(kept)
