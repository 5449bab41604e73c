"""Logits of many columns at once, their log-softmax without a loop over columns, and draws from them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clover_tvae.model.devices import Strata, precise


def group_by_width(widths: list[int]) -> list[list[int]]:
    """Group columns so that the widest of a group is at most twice as wide as its narrowest.

    Example:
        >>> group_by_width([2, 40, 3, 41])
        [[0, 2], [1, 3]]
    """
    groups: list[list[int]] = []
    for column in sorted(range(len(widths)), key=lambda i: (widths[i], i)):
        if groups and widths[column] <= 2 * widths[groups[-1][0]]:
            groups[-1].append(column)
        else:
            groups.append([column])
    return groups


def padding_of(widths: Sequence[int], widest: int) -> NDArray[Any]:
    """What is added to the biases of columns' logits, so that each has no choices but its own.

    An array of numpy, as are the indices of a network while it is made: computing with tensors of the device meta, on which
    the shapes of a file's weights are worked out, would first import torch's compiler for a second.

    **Shape** ``(columns * widest,)``.
    """
    return np.where(np.arange(widest) < np.array(widths)[:, None], np.float32(0.0), np.float32(-np.inf)).ravel()


class ChoiceColumns(nn.Module):
    """Where the logits of each column stand among those of all columns, which follow each other.

    Table rows run along the last dimension of the logits, so that sums over a column's few choices are sums of long vectors.

    Args:
        widths: Logits of each column.
    """

    owner: Tensor
    firsts: Tensor

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        owner = [i for i, width in enumerate(widths) for _ in range(width)]
        firsts = [[end - width] for end, width in zip(accumulate(widths), widths, strict=True)]
        self.register_buffer("owner", torch.tensor(owner, dtype=torch.int64), persistent=False)
        self.register_buffer("firsts", torch.tensor(firsts, dtype=torch.int64).view(-1, 1), persistent=False)

    def terms(self, output: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``log softmax(logits)[chosen]`` of each column, the log of each softmax's total, and what follows the logits.

        Args:
            output: Logits of all columns, then anything.
            chosen: A choice of every column.

        **Shape** output ``(logits + rest, rows)``, chosen ``(columns, rows)``; results ``(columns, rows)`` twice,
        ``(rest, rows)``.
        """
        found: tuple[Tensor, Tensor, Tensor] = _Chosen.apply(output, chosen + self.firsts, self.owner)  # type: ignore[no-untyped-call]
        return found


class _Chosen(torch.autograd.Function):
    """:meth:`ChoiceColumns.terms`, its gradient written down: ``onehot - softmax`` of the first, ``softmax`` of the total."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, wanted: Tensor, owner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, rest = output.tensor_split([len(owner)])
        top = logits.new_full(wanted.shape, -torch.inf)
        top.scatter_reduce_(0, owner.unsqueeze(1).expand_as(logits), logits, "amax")
        # One large tensor is written over and over: fresh memory takes longer than arithmetic.
        shares = top.index_select(0, owner)
        torch.sub(logits, shares, out=shares).exp_()
        totals = torch.zeros_like(top).index_add_(0, owner, shares)
        ctx.save_for_backward(shares, totals, wanted, owner)
        ends = totals.log().add_(top)
        return logits.gather(0, wanted).sub_(ends), ends, rest.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        shares, totals, wanted, owner = ctx.saved_tensors
        of_chosen, of_ends, of_rest = gradients
        gradient = torch.empty(len(owner) + len(of_rest), shares.shape[1], dtype=shares.dtype, device=shares.device)
        of_logits, rest = gradient.tensor_split([len(owner)])
        torch.index_select((of_ends - of_chosen) / totals, 0, owner, out=of_logits).mul_(shares)
        of_logits.scatter_add_(0, wanted, of_chosen)
        rest.copy_(of_rest)
        return gradient, None, None


def uniform(n_rows: int, n_numbers: int, generator: torch.Generator) -> Tensor:
    """Draw uniform numbers in (0, 1), independent ones unless the generator is one of :class:`Strata`.

    That one draws one row in each of ``n_rows`` equal strata of every column, in random order (Latin hypercube): together
    the numbers are more even than independent ones, so shares that come of them have less noise than shares of independent
    rows.

    **Shape** ``(n_rows, n_numbers)``, float64.

    References:
        McKay, Beckman & Conover 1979, Technometrics 21(2).
    """
    device, dtype = generator.device, precise(generator.device)
    numbers = torch.rand(n_rows, n_numbers, generator=generator, device=device, dtype=dtype)
    if isinstance(generator, Strata):
        order = torch.rand(n_rows, n_numbers, generator=generator, device=device).argsort(0)
        numbers = (order + numbers) / max(n_rows, 1)
    edge = 1e-12 if dtype == torch.float64 else 1e-7
    return numbers.clamp(edge, 1.0 - edge)


def draw_choice(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one choice a row from unnormalised log-probabilities. **Shape** ``(rows,)``."""
    reached = logits.softmax(1).to(precise(logits.device)).cumsum_(1)
    # The end stands in for 1: no rounding reaches a choice that is impossible, whose share ends where the last possible one's does.
    wanted = reached[:, -1:] * uniform(len(logits), 1, generator)
    # Weights of a damaged file may give logits that are no numbers: any choice will do.
    return torch.searchsorted(reached, wanted).squeeze(1).clamp_(max=logits.shape[1] - 1)
