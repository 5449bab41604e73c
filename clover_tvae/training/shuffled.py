"""Rows in an order that is shuffled anew whenever all of them were seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clover_tvae.model.devices import torch_generator


class RowSource(Protocol):
    """Where a training takes its rows from.

    Args:
        n_rows: How many rows there are.
    """

    n_rows: int

    def begin(self, n_rows: int) -> None:
        """Make sure that the next ``n_rows`` rows are all different."""

    def take(self, n_rows: int) -> list[Tensor]:
        """Return the next rows, on the CPU: a tensor for each argument of the module, the rows first."""

    def state(self) -> dict[str, Any]:
        """Return where it stands, as tensors and plain values; :meth:`restore` goes on from there."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where another source of the same rows and seed stood."""

    def close(self) -> None:
        """Let the rows go."""


#: Called with the indices of the rows that are watched, and a seed: returns the source of all rows but those.
OtherRows = Callable[[NDArray[np.int64], np.random.SeedSequence], RowSource]


class ShuffledRows:
    """The rows of tensors in memory.

    Args:
        tensors: With one row per row each.
        seed: Fixes the order.
        kept: Indices of the rows that count; ``None``: all do.

    Example:
        >>> rows = ShuffledRows((torch.arange(4),), np.random.SeedSequence(1))
        >>> rows.begin(4)
        >>> sorted(rows.take(3)[0].tolist() + rows.take(1)[0].tolist())
        [0, 1, 2, 3]
    """

    def __init__(self, tensors: Sequence[Tensor], seed: np.random.SeedSequence, kept: Tensor | None = None) -> None:
        self.tensors, self.kept = tensors, kept
        self.n_rows = len(tensors[0] if kept is None else kept)
        self._shuffle, self._order = torch_generator(seed), torch.empty(0, dtype=torch.int64)

    def begin(self, n_rows: int) -> None:
        if len(self._order) < n_rows:
            self._order = torch.randperm(self.n_rows, generator=self._shuffle)

    def take(self, n_rows: int) -> list[Tensor]:
        index, self._order = self._order[:n_rows], self._order[n_rows:]
        index = index if self.kept is None else self.kept[index]
        return [tensor.index_select(0, index) for tensor in self.tensors]

    def state(self) -> dict[str, Any]:
        return {"shuffle": self._shuffle.get_state(), "order": self._order.clone()}

    def restore(self, state: dict[str, Any]) -> None:
        self._shuffle.set_state(state["shuffle"])
        self._order = state["order"]

    def close(self) -> None:
        self.tensors = ()
