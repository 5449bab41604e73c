"""Which columns may be drawn in one step: what the trained model itself says that two columns still tell of each other.

Columns that are drawn in one pass of the network do not see each other, so what they tell of each other is lost: in nats a row, their
mutual information given all that is known already. The model that was trained on all orders measures it on rows of its own,
by how much likelier a cell becomes when another is known too; no real row is looked at.

References:
    Hoogeboom et al. 2022, Autoregressive Diffusion Models, arXiv 2110.02037 (section 4: steps chosen by the model's own losses;
    there by the number of known cells alone, here for each pair of columns too).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clover_tvae.model.rows import Drawing, Rows, TableDecoder

#: What the steps of a row may lose together, where the user asks for no number of steps.
FREE_NATS = 0.02
#: Rows a level that are measured on, fewer where the table is wide: as many log-probabilities as so many cells of pairs of columns.
_ROWS_A_LEVEL, _PAIRS_OF_CELLS = 512, 2**23
#: A cell that is impossible is less likely by so much.
_MOST_NATS = 50.0
#: A list of steps that is too long is made anew with so many times the loss.
_LOOSER = 1.3


def one_by_one(columns: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the steps that draw one column each.

    Example:
        >>> one_by_one([2, 0])
        [(2,), (0,)]
    """
    return [(column,) for column in columns]


class Schedule(nn.Module):
    """What pairs of columns tell of each other, by how many columns are known.

    Args:
        n_columns: Columns of the table.
        n_levels: Equal parts of "how many columns are known" that are told apart; 0: nothing is measured, and every step
            draws one column.

    Example:
        >>> schedule = Schedule(3, n_levels=1)
        >>> schedule.gains[0] = torch.tensor([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
        >>> schedule.steps([0, 1, 2])
        [(0, 2), (1,)]
    """

    gains: Tensor

    def __init__(self, n_columns: int, n_levels: int = 0) -> None:
        super().__init__()
        self.n_columns, self.n_levels = n_columns, n_levels
        if n_levels:
            self.register_buffer("gains", torch.zeros(n_levels, n_columns, n_columns))

    @torch.no_grad()
    def measure(self, decoder: TableDecoder, z: Tensor, generator: torch.Generator, how: Drawing) -> None:
        """Draw a row for each ``z`` and measure on these rows.

        Args:
            decoder: The trained decoder.
            z: Draws from the prior. **Shape** ``(rows, embedding_dim)``.
            generator: Of the rows and of the order in which each gets to be known.
            how: What copy choices stand for.
        """
        n_rows, n_columns, device = len(z), self.n_columns, z.device
        blank = Rows.blank(n_rows, decoder.layout, device)
        rows, _ = decoder.sample(
            z, blank, torch.zeros(n_rows, n_columns, dtype=torch.bool, device=device), generator, how
        )
        place = torch.rand(n_rows, n_columns, generator=generator, device=device).argsort(1)
        sums = torch.zeros(3, self.n_levels, n_columns, n_columns, dtype=torch.float64, device=device)
        before = decoder.log_likelihood(z, rows, place < 0)
        for t in range(n_columns - 1):
            known = place <= t
            after = decoder.log_likelihood(z, rows, known)
            told = (place == t).double()
            gain = (
                (after - before)
                .double()
                .nan_to_num(nan=_MOST_NATS)
                .clamp(-_MOST_NATS, _MOST_NATS)
                .masked_fill(known, 0.0)
            )
            level = t * self.n_levels // n_columns
            for total, part in zip(sums[:, level], (gain, gain.square(), (~known).double()), strict=True):
                total += told.t() @ part
            before = after
        total, squares, counts = sums + sums.mT  # what two columns tell of each other is symmetric
        counts = counts.clamp_min(1.0)
        mean = total / counts
        # With its standard error: a pair must not be taken for independent because few rows were looked at.
        error = ((squares / counts - mean.square()).clamp_min(0.0) / counts).sqrt()
        self.gains.copy_(mean.clamp_min(0.0) + error)

    @property
    def rows_to_measure(self) -> int:
        """How many rows :meth:`measure` wants."""
        return max(256, min(_ROWS_A_LEVEL * self.n_levels, _PAIRS_OF_CELLS // max(1, self.n_columns**2)))

    def steps(self, columns: Sequence[int], n_steps: int | None = None) -> list[tuple[int, ...]]:
        """Divide columns into the steps that draw them.

        Args:
            columns: In a random order: the first one begins, and whenever a step is closed the next one that is left does.
            n_steps: At most so many; ``None`` for as few as lose nothing worth speaking of.

        Returns:
            The columns of each step; a step takes in those that tell least of the ones it has.
        """
        wanted = len(columns) if n_steps is None else n_steps
        if not self.n_levels or (n_steps is not None and n_steps >= len(columns)):
            return one_by_one(columns)
        gains = self.gains.cpu().numpy()
        nats = FREE_NATS
        found = _grouped(gains, columns, nats)
        while len(found) > wanted:
            nats *= _LOOSER
            found = _grouped(gains, columns, nats)
        return found

    def lost(self, steps: Sequence[Sequence[int]]) -> float:
        """Return what these steps lose, in nats a row."""
        lost, n_known, gains = 0.0, self.n_columns - sum(map(len, steps)), self.gains.cpu().numpy()
        for step in steps:
            level = gains[n_known * self.n_levels // self.n_columns]
            lost += level[np.ix_(step, step)][np.triu_indices(len(step), 1)].sum()
            n_known += len(step)
        return float(lost)


def _grouped(gains: NDArray[np.float32], columns: Sequence[int], nats: float) -> list[tuple[int, ...]]:
    """Steps that lose at most ``nats`` together, each at most its columns' share of them."""
    n_levels, n_columns, _ = gains.shape
    left, n_known, steps = list(columns), n_columns - len(columns), []
    while left:
        level = gains[min(n_known, n_columns - 1) * n_levels // n_columns]
        step, lost = [left.pop(0)], 0.0
        cost = level[step[0]].copy()
        while left:
            best = min(left, key=cost.__getitem__)
            if lost + cost[best] > nats * (len(step) + 1) / len(columns):
                break
            lost += float(cost[best])
            step.append(best)
            left.remove(best)
            cost += level[best]
        steps.append(tuple(step))
        n_known += len(step)
    return steps
