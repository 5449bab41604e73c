"""Logits of many columns at once: columns of like width share one padded log-softmax, so no loop runs over columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from clover_tvae.encoded import TableLayout
from clover_tvae.model.devices import Strata, precise

__all__ = ["ChoiceGroups", "chosen_choices", "draw_choice", "group_by_width", "padding_of", "uniform"]


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


def padding_of(width: int, widest: int) -> Tensor:
    """What is added to the biases of a column's logits, so that it has no choices but its own. **Shape** ``(widest,)``."""
    return torch.where(torch.arange(widest) < width, 0.0, -torch.inf)


class ChoiceGroups(nn.Module):
    """Log-probabilities of the choices of all columns, from one head that has a logit a choice and then the numbers.

    The head's rows stand in table order, which is what files hold. For a step they are gathered group by group, each
    column padded to the widest of its group: a gather of weights is much cheaper than one of every row's logits. Table
    rows run along the last dimension of the logits, so that sums over a column's few choices are sums of long vectors.

    Args:
        layout: The columns; their spans follow each other.
    """

    positions: Tensor
    padding: Tensor
    order: Tensor
    back: Tensor

    def __init__(self, layout: TableLayout) -> None:
        super().__init__()
        widths = [column.n_choices for column in layout.columns]
        self.spans = list(pairwise(accumulate(widths, initial=0)))
        groups = group_by_width(widths)
        #: Columns and widest of each group.
        self.shapes = [(len(members), max(widths[i] for i in members)) for members in groups]
        positions: list[Tensor] = []
        padding: list[Tensor] = []
        for members, (_, widest) in zip(groups, self.shapes, strict=True):
            # The padding gathers row 0, and its bias closes it.
            reach = torch.arange(widest).expand(len(members), widest)
            starts = torch.tensor([self.spans[i][0] for i in members])[:, None]
            inside = reach < torch.tensor([widths[i] for i in members])[:, None]
            positions.append(torch.where(inside, starts + reach, 0).flatten())
            padding += [padding_of(widths[i], widest) for i in members]
        n_choices = sum(widths)
        positions.append(torch.arange(n_choices, n_choices + layout.n_scalars))
        padding.append(torch.zeros(layout.n_scalars))
        order = torch.tensor([i for members in groups for i in members])
        self.register_buffer("positions", torch.cat(positions), persistent=False)
        self.register_buffer("padding", torch.cat(padding), persistent=False)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)

    def terms(self, hidden: Tensor, head: nn.Linear, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-probability of the chosen choice of every column, columns in ``self.order``, and the numbers.

        **Shape** hidden ``(rows, width)``, choices ``(rows, columns)``; results ``(rows, columns)``, ``(rows, scalars)``.
        """
        weight, bias = head.weight.index_select(0, self.positions), head.bias.index_select(0, self.positions)
        output = torch.addmm((bias + self.padding).unsqueeze(1), weight, hidden.t())
        chosen, _, numbers = chosen_choices(output, choices.t().index_select(0, self.order), self.shapes)
        return chosen.t(), numbers.t()


def chosen_choices(output: Tensor, chosen: Tensor, shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``log softmax(logits)[chosen]`` of each column, the log of each softmax's total, and what follows the logits.

    Args:
        output: Logits, each column padded to the widest of its group, then anything.
        chosen: A choice of every column.
        shapes: Columns and widest of each group.

    **Shape** output ``(logits + rest, rows)``, chosen ``(columns, rows)``; results ``(columns, rows)`` twice, ``(rest, rows)``.
    """
    found: tuple[Tensor, Tensor, Tensor] = _Chosen.apply(output, chosen, shapes)  # type: ignore[no-untyped-call]
    return found


class _Chosen(torch.autograd.Function):
    """:func:`chosen_choices`, its gradient written down, not recorded: ``onehot - softmax`` of the first, ``softmax`` of the total."""

    @staticmethod
    def forward(
        ctx: Any, output: Tensor, chosen: Tensor, shapes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        n_logits = sum(columns * widest for columns, widest in shapes)
        softmax = torch.empty_like(output[:n_logits])
        found, totals = (torch.empty_like(chosen, dtype=output.dtype) for _ in range(2))
        for block, inside, wanted, one, all_ in zip(
            *_blocks(shapes, output[:n_logits], softmax),
            *(_parts(shapes, columns) for columns in (chosen, found, totals)),
            strict=True,
        ):
            top = block.amax(1, keepdim=True)
            torch.sub(block, top, out=inside)
            total = inside.exp_().sum(1, keepdim=True)
            inside.div_(total)
            torch.add(total.log_(), top, out=all_)
            torch.sub(block.gather(1, wanted), all_, out=one)
        ctx.save_for_backward(softmax, chosen)
        ctx.shapes, ctx.n_logits = shapes, n_logits
        return found, totals, output[n_logits:].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        softmax, chosen = ctx.saved_tensors
        of_chosen, of_totals, of_rest = gradients
        gradient = softmax.new_empty(ctx.n_logits + len(of_rest), softmax.shape[1])
        gradient[ctx.n_logits :] = of_rest
        blocks, out = _blocks(ctx.shapes, softmax, gradient[: ctx.n_logits])
        above, spread = _parts(ctx.shapes, of_chosen), _parts(ctx.shapes, of_totals - of_chosen)
        for inside, block, wanted, one, all_ in zip(
            blocks, out, _parts(ctx.shapes, chosen), above, spread, strict=True
        ):
            torch.mul(inside, all_, out=block)
            block.scatter_add_(1, wanted, one)
        return gradient, None, None


def _blocks(shapes: Sequence[tuple[int, int]], *flat: Tensor) -> list[list[Tensor]]:
    """Cut matrices into views. **Shape** each ``(columns of the group, widest, rows)``."""
    sizes = [columns * widest for columns, widest in shapes]
    return [
        [part.unflatten(0, shape) for part, shape in zip(matrix.split(sizes), shapes, strict=True)] for matrix in flat
    ]


def _parts(shapes: Sequence[tuple[int, int]], columns: Tensor) -> list[Tensor]:
    """Cut a matrix of columns into the groups'. **Shape** each ``(columns of the group, 1, rows)``."""
    return [part.unsqueeze(1) for part in columns.split([n for n, _ in shapes])]


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
    reached = logits.to(precise(logits.device)).softmax(1).cumsum(1)
    # Divided by its end, it is 1 from the last possible choice on: no rounding reaches an impossible one.
    reached /= reached[:, -1:].clone()
    return (reached[:, :-1] < uniform(len(logits), 1, generator)).sum(1)
