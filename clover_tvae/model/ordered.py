"""Choices that are numbers, in order: while it learns, a network is told that 4 lies between 3 and 5.

A number that many rows share is a choice of its own, and to a network choices are names. So each of them has weights of
its own, plus what all numbers of its column share: a line of pieces over their ranks (Gorishniy, Rubachev & Babenko 2022,
arXiv 2203.05556). Few rows fix the line, and the own weights say what it does not. Once learnt, both are added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from clover_tvae.model.autoregressive import AutoregressiveDecoder
from clover_tvae.model.mixture import PIECES, piecewise
from clover_tvae.model.rows import TableDecoder

#: Adam moves every slope by as much: unscaled, 25 of them would move a choice 25 times as far as its own weights.
_SCALE = 0.2
#: Fewer numbers are as soon learnt one by one.
_FEWEST = 3


class _Lines(nn.Module):
    """What is added to some rows of a matrix: of each column, one line over the ranks of its choices."""

    basis: Tensor
    rows: Tensor
    used: Tensor

    def __init__(self, ranks: Sequence[Tensor], rows: Sequence[Tensor], width: int) -> None:
        super().__init__()
        basis = torch.zeros(len(ranks), max(map(len, ranks)), PIECES + 1)
        for column, rank in zip(basis, ranks, strict=True):
            column[: len(rank)] = _SCALE * piecewise(rank.unsqueeze(1), PIECES).squeeze(1)
        used = torch.cat([i * basis.shape[1] + torch.arange(len(rank)) for i, rank in enumerate(ranks)])
        for name, buffer in (("basis", basis), ("rows", torch.cat(list(rows))), ("used", used)):
            self.register_buffer(name, buffer, persistent=False)
        self.slopes = nn.Parameter(torch.zeros(len(ranks), PIECES + 1, width))

    def forward(self, weight: Tensor) -> Tensor:
        return weight.index_add(0, self.rows, torch.bmm(self.basis, self.slopes).flatten(0, 1)[self.used])


@contextmanager
def told_order(
    decoder: TableDecoder, ranks: Sequence[NDArray[Any] | None], generator: torch.Generator
) -> Iterator[None]:
    """Let an autoregressive decoder know the order of choices that are numbers, for the length of the block.

    Args:
        decoder: What learns in the block; another decoder has no such choices.
        ranks: Of each column the ranks of its choices in [0, 1], NaN of those that are no number; ``None``: it has none.
        generator: Source of the first lines.
    """
    columns, made = dict[int, tuple[Tensor, Tensor]](), list[tuple[nn.Module, str]]()
    for i, rank in enumerate(ranks):
        if rank is not None and len(places := np.flatnonzero(~np.isnan(rank))) >= _FEWEST:
            columns[i] = torch.from_numpy(places), torch.from_numpy(rank[places]).float()
    if not columns or not isinstance(decoder, AutoregressiveDecoder):
        yield
        return

    def add(module: nn.Module, name: str, firsts: dict[int, int]) -> _Lines:
        rows = [columns[i][0] + first for i, first in firsts.items()]
        lines = _Lines([columns[i][1] for i in firsts], rows, decoder.width)
        parametrize.register_parametrization(module, name, lines, unsafe=True)
        made.append((module, name))
        return lines

    lines = add(decoder, "cells", {i: int(decoder.starts[i]) for i in columns})
    with torch.no_grad():
        scale = 0.5 / _SCALE * (len(ranks) * (PIECES + 1)) ** -0.5
        lines.slopes.normal_(0.0, scale, generator=generator)
    for group, head in zip(decoder.groups, decoder.heads, strict=True):
        if firsts := {i: row * group.width for row, i in enumerate(group.columns) if i in columns}:
            add(head, "weight", firsts)
    try:
        yield
    finally:
        for module, name in made:
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
