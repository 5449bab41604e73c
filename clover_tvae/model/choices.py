"""Logits of many columns at once: columns of like width share one padded log-softmax, so no loop runs over columns.

It knows the layout; it must not know where the logits come from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clover_tvae.encoded import TableLayout

__all__ = ["ChoiceGroups", "draw_choice", "group_by_width"]


def group_by_width(widths: list[int], most_padding: float = 2.0) -> list[list[int]]:
    """Group columns so that the widest of a group is at most ``most_padding`` times as wide as its narrowest.

    Example:
        >>> group_by_width([2, 40, 3, 41])
        [[0, 2], [1, 3]]
    """
    groups: list[list[int]] = []
    for column in sorted(range(len(widths)), key=lambda i: (widths[i], i)):
        if groups and widths[column] <= most_padding * widths[groups[-1][0]]:
            groups[-1].append(column)
        else:
            groups.append([column])
    return groups


class ChoiceGroups(nn.Module):
    """Log-probabilities of the choices of all columns, from one flat matrix of logits in table order.

    Args:
        layout: The columns; their spans follow each other.
    """

    back: Tensor
    positions: Tensor

    def __init__(self, layout: TableLayout) -> None:
        super().__init__()
        widths = [column.n_choices for column in layout.columns]
        self.spans = [(sum(widths[:i]), sum(widths[: i + 1])) for i in range(len(widths))]
        self.n_groups, self.order = 0, list[int]()
        positions: list[Tensor] = []
        for members in group_by_width(widths):
            # positions: which logits a group gathers, (columns in the group, widest); the padding gathers logit 0.
            widest = max(widths[i] for i in members)
            reach = torch.arange(widest).expand(len(members), widest)
            starts = torch.tensor([self.spans[i][0] for i in members])[:, None]
            inside = reach < torch.tensor([widths[i] for i in members])[:, None]
            positions.append(torch.where(inside, starts + reach, 0).flatten())
            self._buffer("padding", torch.where(inside, 0.0, -torch.inf))
            self._buffer("members", torch.tensor(members))
            self.order += members
            self.n_groups += 1
        # One gather for all groups: its backward pass fills one matrix of zeros, not one a group.
        self.register_buffer("positions", torch.cat(positions), persistent=False)
        self.register_buffer("back", torch.tensor(self.order).argsort(), persistent=False)

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(f"{name}_{self.n_groups}", value, persistent=False)

    def log_probability(self, logits: Tensor, choices: Tensor) -> Tensor:
        """Log-probability of the chosen choice of every column.

        **Shape** logits ``(rows, choices of all columns)``, choices and result ``(rows, columns)``.
        """
        gathered, start, parts = logits.index_select(1, self.positions), 0, []
        for g in range(self.n_groups):
            padding: Tensor = getattr(self, f"padding_{g}")
            block = gathered[:, start : start + padding.numel()].view(-1, *padding.shape) + padding
            start += padding.numel()
            wanted = choices[:, getattr(self, f"members_{g}")].unsqueeze(2)
            parts.append((block.gather(2, wanted)).squeeze(2) - block.logsumexp(2))
        return torch.cat(parts, 1)[:, self.back]


def draw_choice(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one choice a row from unnormalised log-probabilities (Gumbel-max, Gumbel 1954). **Shape** ``(rows,)``."""
    noise = torch.empty_like(logits).exponential_(generator=generator)
    # -log of an exponential variate is a Gumbel variate; the floor keeps the log of an exact 0 finite.
    return (logits - noise.clamp_min(1e-30).log()).argmax(1)
