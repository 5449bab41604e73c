"""Encoded rows as tensors, what is known of them, and the seam that every decoder fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from clover_tvae.encoded import TableLayout


class Rows(NamedTuple):
    """A batch of encoded rows.

    Args:
        choices: The base choice of every cell. **Shape** ``(rows, columns)``, int64.
        scalars: The number of every cell that has one. **Shape** ``(rows, scalars)``, float32.
        equals: The cell equals the cell of its copy source. **Shape** ``(rows, copy pairs)``, bool.
    """

    choices: Tensor
    scalars: Tensor
    equals: Tensor

    def take(self, index: Tensor | slice) -> Rows:
        """Return the chosen rows."""
        return Rows(self.choices[index], self.scalars[index], self.equals[index])

    @classmethod
    def blank(cls, n_rows: int, layout: TableLayout, device: torch.device | str = "cpu") -> Rows:
        """Rows of zeros, to be filled column by column."""
        return cls(
            torch.zeros(n_rows, layout.n_columns, dtype=torch.int64, device=device),
            torch.zeros(n_rows, layout.n_scalars, device=device),
            torch.zeros(n_rows, len(layout.copy_pairs), dtype=torch.bool, device=device),
        )


class OneHotRows(NamedTuple):
    """The one-hot matrix of a batch, never built: where its ones are, and the numbers in its last places.

    Args:
        ones: Position of each one. **Shape** ``(rows, columns)``, int64.
        scalars: The last entries of every row. **Shape** ``(rows, scalars)``.
    """

    ones: Tensor
    scalars: Tensor


class ConditionTensors(NamedTuple):
    """What a condition leaves of one column, the same for every row.

    Args:
        choices: Allowed base choices. **Shape** ``(base choices,)``, bool.
        lower: Smallest allowed number of each numbered choice. **Shape** ``(numbered,)``.
        upper: Largest allowed number of each numbered choice. **Shape** ``(numbered,)``.
    """

    choices: Tensor
    lower: Tensor
    upper: Tensor

    def bounds(self, n_rows: int) -> tuple[Tensor, Tensor]:
        """Smallest and largest number of the one numbered choice of a column of ranks. **Shape** each ``(1, rows)``."""
        return self.lower[:1].expand(1, n_rows), self.upper[:1].expand(1, n_rows)


#: ``translate(column, source, choices, scalars)``: cells of ``source``, coded as cells of ``column`` (copy choices).
Translate = Callable[[int, int, Tensor, Tensor], tuple[Tensor, Tensor]]


class Drawing(NamedTuple):
    """What a decoder draws, and how.

    Args:
        orders: Steps that each draw some columns at once: all of them the same columns, and each for an equal part of the
            rows; ``None`` for all columns one by one, in a random order.
        conditions: What cells of some columns must meet.
        translate: What copy choices stand for; without it no cell is copied.
        argmax: Take the likeliest choices and numbers instead of drawing them; this loses rare categories.
    """

    orders: Sequence[Sequence[Sequence[int]]] | None = None
    conditions: Mapping[int, ConditionTensors] | None = None
    translate: Translate | None = None
    argmax: bool = False


EVERY_CELL = Drawing()


class Draws(Protocol):
    """What draws rows."""

    def sample(
        self, z: Tensor, rows: Rows, known: Tensor, generator: torch.Generator, how: Drawing = EVERY_CELL
    ) -> tuple[Rows, Tensor]:
        """Draw the unknown cells, and return ``log p(they meet their conditions | z)`` along the way.

        The second value is the importance weight of each row. **Shape** ``(rows,)``.
        """


class TableDecoder(Draws, Protocol):
    """What a decoder of tables offers; a third one needs no change in training, sampling, files or jobs."""

    layout: TableLayout

    def elbo_log_likelihood(self, z: Tensor, rows: Rows, generator: torch.Generator) -> Tensor:
        """Unbiased estimate of ``log p(rows | z)`` to train on. **Shape** ``(rows,)``."""

    def log_likelihood(self, z: Tensor, rows: Rows, known: Tensor) -> Tensor:
        """``log p(cell | known cells, z)`` of every cell that is not known, 0 elsewhere. **Shape** ``(rows, columns)``."""

    def cell_log_likelihood(self, z: Tensor, rows: Rows, known: Tensor, column: int) -> Tensor:
        """``log p(cell | known cells, z)`` of the cells of one column that is not known. **Shape** ``(rows,)``."""

    def drawer(self) -> Draws:
        """What draws many times from the weights as they are now."""


def numbered_cells(layout: TableLayout, choices: Tensor) -> Tensor:
    """Which scalars are in use: their column's choice carries a number. **Shape** ``(rows, scalars)``, bool."""
    columns = torch.tensor(layout.scalar_columns, dtype=torch.int64, device=choices.device)
    counts = torch.tensor(
        [layout.columns[i].n_numbered for i in layout.scalar_columns], dtype=torch.int64, device=choices.device
    )
    picked = choices.index_select(1, columns)
    return (picked >= 0) & (picked < counts)
