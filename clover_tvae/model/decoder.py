"""The paper's decoder: columns are independent given ``z``, and every number has a learned standard deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise

import torch
from torch import Tensor, nn

from clover_tvae.encoded import TableLayout
from clover_tvae.model.choices import ChoiceColumns, draw_choice, uniform
from clover_tvae.model.devices import precise
from clover_tvae.model.products import Linear, linear, pairs_of, stacked
from clover_tvae.model.rows import EVERY_CELL, Drawing, Rows, numbered_cells

#: Learned standard deviations are kept in here: below, the likelihood of a constant column grows without bound.
SIGMA_RANGE = (0.01, 1.0)
#: Rounds in which shares are matched, each closing most of what is left; and logits held at a time.
_ROUNDS_OF_SHARES, _MOST_LOGITS = 20, 2**24
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Decoder(nn.Module):
    """Linear + ReLU of each of ``decompress_dims``, then one Linear to a logit a choice and a mean a number.

    Args:
        embedding_dim: Dimensions of the latent space.
        decompress_dims: Widths of the hidden layers.
        data_dim: Width of an output row: all choices, then the numbers.
        layout: The columns of a table, for the likelihood and for sampling; ``None`` for a plain network, whose
            ``sigma`` then has one entry for each of ``data_dim`` outputs.

    Attributes:
        sigma: One learned standard deviation a number, starting at 0.1 and kept in [0.01, 1].

    **Shape** input ``(rows, embedding_dim)``, output ``(rows, data_dim)``.

    References:
        Xu et al. 2019, arXiv 1907.00503, section 4.4; Rybkin et al. 2021, sigma-VAE, arXiv 2006.13202.

    Example:
        >>> import torch
        >>> Decoder(4, (16, 16), 10)(torch.zeros(3, 4)).shape
        torch.Size([3, 10])
    """

    def __init__(
        self, embedding_dim: int, decompress_dims: Sequence[int], data_dim: int, layout: TableLayout | None = None
    ) -> None:
        super().__init__()
        widths = [embedding_dim, *decompress_dims]
        self.layers = nn.ModuleList(Linear(narrow, wide) for narrow, wide in pairwise(widths))
        self.last = Linear(widths[-1], data_dim)
        self.sigma = nn.Parameter(torch.full((data_dim if layout is None else layout.n_scalars,), 0.1))
        if layout is not None:
            assert data_dim == layout.n_choices + layout.n_scalars
            assert not layout.copy_pairs, "columns that are independent given z cannot copy each other"
            self.layout = layout
            widths = [column.n_choices for column in layout.columns]
            self.columns = ChoiceColumns(widths)
            self.spans = list(pairwise(accumulate(widths, initial=0)))

    def forward(self, z: Tensor) -> Tensor:
        """Return the raw outputs: logits of all choices, then the numbers before their tanh."""
        return self._outputs(self._hidden(z), 0, len(self.last.bias))

    def _hidden(self, z: Tensor) -> Tensor:
        return stacked(z, pairs_of(self.layers), len(self.layers), self.last.products)

    def _outputs(self, hidden: Tensor, start: int, end: int) -> Tensor:
        """Some of the raw outputs: the others are not computed."""
        return linear(hidden, self.last.weight[start:end], self.last.bias[start:end], self.last.products)

    def spread(self) -> Tensor:
        """The learned standard deviations, inside their bounds. **Shape** ``(scalars,)``."""
        return self.sigma.clamp(*SIGMA_RANGE)

    # -- the seam -----------------------------------------------------------------------------------------------------

    def elbo_log_likelihood(self, z: Tensor, rows: Rows, generator: torch.Generator) -> Tensor:
        """``log p(rows | z)``, exactly: nothing to draw. **Shape** ``(rows,)``."""
        choice, number = self._terms(z, rows)
        return choice.sum(1) + number.sum(1)

    def log_likelihood(self, z: Tensor, rows: Rows, known: Tensor) -> Tensor:
        """``log p(cell | z)`` of every cell that is not known, 0 elsewhere. **Shape** ``(rows, columns)``."""
        choice, number = self._terms(z, rows)
        cells = choice.clone()
        if self.layout.n_scalars:
            columns = torch.tensor(self.layout.scalar_columns, device=cells.device)
            cells.index_add_(1, columns, number)
        return cells.masked_fill(known, 0.0)

    def cell_log_likelihood(self, z: Tensor, rows: Rows, known: Tensor, column: int) -> Tensor:
        """``log p(cell | z)`` of one column's cells. **Shape** ``(rows,)``."""
        return self.log_likelihood(z, rows, known)[:, column]

    def _terms(self, z: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Log-probability of every choice, and log-density of every number."""
        hidden, last = self._hidden(z), self.last
        output = linear(last.weight, hidden, last.bias.unsqueeze(1), last.products)
        choice, _, numbers = self.columns.terms(output, rows.choices.t())
        sigma = self.spread()
        number = -0.5 * ((rows.scalars - torch.tanh(numbers.t())) / sigma).square() - (sigma.log() + _HALF_LOG_2PI)
        return choice.t(), number.masked_fill(~numbered_cells(self.layout, rows.choices), 0.0)

    @torch.no_grad()
    def match_shares(self, z: Tensor, choices: Tensor) -> None:
        """Move the bias of each choice until ``z`` of the prior draw it as often as the table holds it, missing cells included.

        Training fits the shares under the posteriors, whose mean is not quite the prior: without this, missing rates are up
        to 6 points off (benchmarks/README.md).

        Args:
            z: Draws from the prior. **Shape** ``(draws, embedding_dim)``.
            choices: The choices of the table. **Shape** ``(rows, columns)``.
        """
        hidden = self._hidden(z)
        for i, (start, end) in enumerate(self.spans):
            # What the table does not hold keeps its share: it is no less than one row's.
            least = 1 / len(choices)
            held = (torch.bincount(choices[:, i], minlength=end - start) * least).clamp_min(least)
            logits = self._outputs(hidden[: max(1_000, _MOST_LOGITS // (end - start))], start, end)
            # A moved bias multiplies the odds: no round needs a softmax of its own.
            odds = (logits - logits.amax(1, keepdim=True)).to(precise(z.device)).exp_()
            factors = torch.ones_like(odds[0])
            for _ in range(_ROUNDS_OF_SHARES):
                drawn = factors * ((1 / (odds @ factors)) @ odds) / len(odds)
                factors *= held / drawn.clamp_min(least)
            self.last.bias[start:end] += factors.log()

    def drawer(self) -> Decoder:
        """This decoder: it has nothing to prepare."""
        return self

    @torch.no_grad()
    def sample(
        self, z: Tensor, rows: Rows, known: Tensor, generator: torch.Generator, how: Drawing = EVERY_CELL
    ) -> tuple[Rows, Tensor]:
        """Draw every unknown cell on its own, given ``z``; ``argmax`` takes the mean of a number."""
        layout, conditions, argmax = self.layout, how.conditions or {}, how.argmax
        hidden = self._hidden(z)
        choices, scalars = rows.choices.clone(), rows.scalars.clone()
        log_weight = torch.zeros(len(z), device=z.device)
        means = torch.tanh(self._outputs(hidden, layout.n_choices, layout.n_choices + layout.n_scalars))
        sigma = self.spread()
        for i in range(layout.n_columns) if how.orders is None else chain.from_iterable(how.orders[0]):
            column, free = layout.columns[i], ~known[:, i]
            logits = self._outputs(hidden, *self.spans[i]).log_softmax(1)
            condition, s = conditions.get(i), layout.scalar_of.get(i)
            if condition is not None:
                logits = logits.masked_fill(~condition.choices, -torch.inf)
                if s is not None:
                    # Each mode has its own bounds: (rows, modes).
                    mass = _truncated_log_mass(means[:, s : s + 1], sigma[s], condition.lower, condition.upper)
                    logits = torch.cat([logits[:, : column.n_numbered] + mass, logits[:, column.n_numbered :]], 1)
                log_weight += torch.where(free, logits.logsumexp(1), 0.0)
            drawn = logits.argmax(1) if argmax else draw_choice(logits, generator)
            choices[:, i] = torch.where(free, drawn, choices[:, i])
            if s is not None:
                lower = upper = None
                if condition is not None:
                    mode = drawn.clamp(max=column.n_numbered - 1)
                    lower, upper = condition.lower[mode], condition.upper[mode]
                number = means[:, s] if argmax else _draw_number(means[:, s], sigma[s], lower, upper, generator)
                if argmax and lower is not None and upper is not None:
                    number = number.clamp(lower, upper)
                scalars[:, s] = torch.where(free, number, scalars[:, s])
        return Rows(choices, scalars, rows.equals), log_weight


def _truncated_log_mass(mean: Tensor, sigma: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Log-probability that ``N(mean, sigma)`` falls into each mode's bounds. **Shape** ``(rows, modes)``."""
    low = torch.special.ndtr(((lower - mean) / sigma).double())
    high = torch.special.ndtr(((upper - mean) / sigma).double())
    return (high - low).clamp_min(1e-300).log().float().masked_fill(upper < lower, -torch.inf)


def _draw_number(
    mean: Tensor, sigma: Tensor, lower: Tensor | None, upper: Tensor | None, generator: torch.Generator
) -> Tensor:
    """Draw from ``N(mean, sigma)``, or from the part of it inside the bounds, by inverting its distribution function."""
    if lower is None or upper is None:
        return mean + sigma * torch.special.ndtri(uniform(len(mean), 1, generator).squeeze(1)).to(mean.dtype)
    low = torch.special.ndtr(((lower - mean) / sigma).double())
    high = torch.special.ndtr(((upper - mean) / sigma).double())
    share = uniform(len(mean), 1, generator).squeeze(1)
    inverse = torch.special.ndtri((low + share * (high - low)).clamp(1e-300, 1.0 - 1e-16))
    return torch.minimum(torch.maximum((mean + sigma * inverse.float()), lower), upper)
