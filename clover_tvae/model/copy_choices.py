"""Copy choices in a decoder: choices that mean "the same value as that column".

A copy choice may be drawn where its source is known and holds a number. A cell that equals a known source then has the
probability of every copy choice that gives it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clover_tvae.encoded import TableLayout
from clover_tvae.model.rows import Rows

__all__ = ["CopyChoices"]

#: A log-probability that stands for "never" and keeps its gradient finite.
_NEVER = -1e30


class CopyChoices(nn.Module):
    """Where the copy choices of a table stand in the groups of a head, and which of them are open.

    Args:
        layout: The columns.
        groups: The columns of each group of the head, in their order.
    """

    sources: Tensor
    numbered: Tensor
    columns: Tensor
    back: Tensor
    table: Tensor

    def __init__(self, layout: TableLayout, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        pairs = layout.copy_pairs
        #: The pairs of each column that has copy choices.
        self.of: dict[int, list[int]] = {}
        for p, pair in enumerate(pairs):
            self.of.setdefault(pair.column, []).append(p)
        #: Of each group with copy choices: the pairs, their rows in the group, and their choices.
        self.places: dict[int, tuple[list[int], list[int], list[int]]] = {}
        for g, columns in enumerate(groups):
            for p, pair in enumerate(pairs):
                if pair.column in columns:
                    place = self.places.setdefault(g, ([], [], []))
                    for held, value in zip(place, (p, columns.index(pair.column), pair.choice), strict=True):
                        held.append(value)
        gathered = [p for place in self.places.values() for p in place[0]]
        # One row a copying column, its pairs first, then the index of a sentinel that is never open.
        most = max(map(len, self.of.values()), default=0)
        padded = [own + [len(pairs)] * (most - len(own)) for own in self.of.values()]
        for name, values in {
            "sources": [pair.source for pair in pairs],
            "numbered": [layout.columns[pair.source].n_numbered for pair in pairs],
            "columns": list(self.of),
            "back": [gathered.index(p) for p in range(len(pairs))],
        }.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)
        table = torch.tensor(padded, dtype=torch.int64).view(len(padded), most)
        self.register_buffer("table", table, persistent=False)

    def open(self, rows: Rows, known: Tensor) -> Tensor | None:
        """Copy choices that may be drawn: the source is known and has a number. **Shape** ``(rows, copy pairs)``."""
        if not len(self.sources):
            return None
        choices = rows.choices[:, self.sources]
        return known[:, self.sources] & (choices >= 0) & (choices < self.numbered)

    def credit(self, cells: Tensor, copied: Tensor, rows: Rows, open_copies: Tensor) -> Tensor:
        """A cell that equals an open source has the probability of all copy choices that give it.

        **Shape** cells ``(rows, columns)``; copied, the log-probability of every copy choice in the order of
        ``places``, ``(rows, copy pairs)``.
        """
        holds = rows.equals & open_copies
        never = copied.new_full((len(copied), 1), _NEVER)
        by_pair = torch.cat([copied[:, self.back].masked_fill(~holds, _NEVER), never], 1)
        by_copy = by_pair[:, self.table].logsumexp(2)
        gains = (by_copy - cells[:, self.columns]).masked_fill(by_copy < 0.1 * _NEVER, 0.0)
        return cells.index_add(1, self.columns, gains)
