"""Copy choices in a decoder: choices that mean "the same value as that column".

A copy choice may be drawn where its source is known and holds a number. A cell that equals a known source then has the
probability of every copy choice that gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from clover_tvae.encoded import TableLayout
from clover_tvae.model.rows import Rows

#: A log-probability that stands for "never" and keeps its gradient finite.
_NEVER = -1e30


class CopyChoices(nn.Module):
    """Where the copy choices of a table stand among the logits of all columns, and which of them are open.

    Args:
        layout: The columns.
        firsts: Of each column that copies, its row among the columns and its first row among the logits.
    """

    sources: Tensor
    numbered: Tensor
    columns: Tensor
    places: Tensor
    rows: Tensor
    table: Tensor

    def __init__(self, layout: TableLayout, firsts: Mapping[int, tuple[int, int]]) -> None:
        super().__init__()
        pairs = layout.copy_pairs
        #: The pairs of each column that has copy choices.
        self.of: dict[int, list[int]] = {}
        for p, pair in enumerate(pairs):
            self.of.setdefault(pair.column, []).append(p)
        # One row a copying column, its pairs first, then the index of a sentinel that is never open.
        most = max(map(len, self.of.values()), default=0)
        padded = [own + [len(pairs)] * (most - len(own)) for own in self.of.values()]
        for name, values in {
            "sources": [pair.source for pair in pairs],
            "numbered": [layout.columns[pair.source].n_numbered for pair in pairs],
            "columns": list(self.of),
            "rows": [firsts[pair.column][0] for pair in pairs],
            "places": [firsts[pair.column][1] + pair.choice for pair in pairs],
        }.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)
        table = torch.tensor(padded, dtype=torch.int64).view(len(padded), most)
        self.register_buffer("table", table, persistent=False)

    def open(self, rows: Rows, known: Tensor, pairs: Sequence[int] | None = None) -> Tensor:
        """Copy choices, all or those of ``pairs``, that may be drawn: the source is known and has a number.

        **Shape** ``(rows, pairs)``.
        """
        sources, numbered = self.sources, self.numbered
        if pairs is not None:
            sources, numbered = sources[pairs], numbered[pairs]
        choices = rows.choices[:, sources]
        return known[:, sources] & (choices >= 0) & (choices < numbered)

    def credit(self, cells: Tensor, copied: Tensor, rows: Rows, open_copies: Tensor) -> Tensor:
        """A cell that equals an open source has the probability of all copy choices that give it.

        **Shape** cells ``(rows, columns)``; copied, the log-probability of every copy choice, ``(rows, copy pairs)``.
        """
        holds = rows.equals & open_copies
        never = copied.new_full((len(copied), 1), _NEVER)
        by_pair = torch.cat([copied.masked_fill(~holds, _NEVER), never], 1)
        by_copy = by_pair[:, self.table].logsumexp(2)
        gains = (by_copy - cells[:, self.columns]).masked_fill(by_copy < 0.1 * _NEVER, 0.0)
        return cells.index_add(1, self.columns, gains)
