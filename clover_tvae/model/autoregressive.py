"""The autoregressive decoder: given ``z`` and any known cells, the distribution of every other cell.

``log p(x | z) = E_order sum_i log p(x_i | x_before_i, z)``: one network, trained with random sets of known columns, so
that any order of drawing, any condition, imputation and leave-one-out scores come from the same weights.

References:
    Uria, Murray & Larochelle 2014, A Deep and Tractable Density Estimator, arXiv 1310.1757 (order-agnostic training).
    Hoogeboom et al. 2022, Autoregressive Diffusion Models, arXiv 2110.02037 (eq. 5, the C/k weighting).
    Gorishniy, Rubachev & Babenko 2022, On Embeddings for Numerical Features, arXiv 2203.05556 (piecewise-linear encoding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clover_tvae.encoded import TableLayout
from clover_tvae.model.choices import ChoiceColumns, group_by_width, padding_of
from clover_tvae.model.copy_choices import CopyChoices
from clover_tvae.model.drawing import RowDrawer
from clover_tvae.model.mixture import PIECES, Mixture, normal_score, piecewise
from clover_tvae.model.products import Linear, linear, residual, sum_of_embeddings
from clover_tvae.model.rows import EVERY_CELL, Drawing, Rows, numbered_cells

#: The pieces of all ranks of a table together.
_MOST_PIECE_INPUTS = 2400
#: Gaussians a number.
_COMPONENTS = 8
#: A column of so many choices has a head of its own pace: half of its cells are known in training, and need no logits.
_WIDE = 512


class _Block(nn.Module):
    """Pre-norm residual block: ``x + W2 silu(W1 LayerNorm(x))``. **Shape** ``(rows, width)`` in and out."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = Linear(width, inner)
        self.down = Linear(inner, width)
        self.dropout = dropout

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.dropout or generator is None:
            return residual(x, self.norm, self.up, self.down)
        # Torch's dropout draws from the global generator, which belongs to the user.
        keep = x.new_empty(len(x), self.up.out_features, dtype=self.up.products)
        keep.bernoulli_(1.0 - self.dropout, generator=generator).div_(1.0 - self.dropout)
        return residual(x, self.norm, self.up, self.down, keep)


class _Group(NamedTuple):
    """Columns of like width that share one head and one log-softmax; ``width`` is the widest's."""

    columns: tuple[int, ...]
    width: int


class AutoregressiveDecoder(nn.Module):
    """One residual network from ``z`` and the known cells to the distribution of every other cell.

    Args:
        embedding_dim: Dimensions of the latent space.
        decompress_dims: One residual block each; the trunk is as wide as the widest, each block's inner width its own.
        layout: The columns, with ranks as numbers.
        dropout: Share of inner units left out in training.

    **Shape** of every method: see :class:`clover_tvae.model.rows.TableDecoder`.

    Example:
        >>> import torch
        >>> from clover_tvae.encoded import ColumnLayout, TableLayout
        >>> layout = TableLayout((ColumnLayout(3), ColumnLayout(2, n_numbered=1)), numbers="rank")
        >>> decoder = AutoregressiveDecoder(4, (32, 32), layout)
        >>> rows = Rows.blank(5, layout)
        >>> unknown = torch.zeros(5, 2, dtype=torch.bool)
        >>> drawn, _ = decoder.sample(torch.zeros(5, 4), rows, unknown, torch.Generator().manual_seed(1))
        >>> drawn.choices.shape
        torch.Size([5, 2])
    """

    starts: Tensor
    unknown: Tensor
    scalar_columns: Tensor
    back: Tensor
    members: Tensor
    padding: Tensor

    def __init__(
        self, embedding_dim: int, decompress_dims: Sequence[int], layout: TableLayout, dropout: float = 0.0
    ) -> None:
        super().__init__()
        assert layout.numbers == "rank"
        self.layout = layout
        self.width = width = max(decompress_dims)
        self.n_pieces = max(4, min(PIECES, _MOST_PIECE_INPUTS // max(1, layout.n_scalars)))
        self._place_inputs(embedding_dim)
        self.blocks = nn.ModuleList(_Block(width, inner, dropout) for inner in decompress_dims)
        self.norm = nn.LayerNorm(width)
        self.copies = CopyChoices(layout, self._place_heads())
        #: How many times each column's cells count while weights are learnt; ``None``: once. **Shape** ``(columns,)``.
        self.emphasis: Tensor | None
        self.register_buffer("emphasis", None, persistent=False)

    # -- construction -------------------------------------------------------------------------------------------------

    def _place_inputs(self, embedding_dim: int) -> None:
        """One embedding a base choice and one ``unknown`` a column; pieces of each number; z."""
        layout = self.layout
        *starts, n_embeddings = accumulate((column.n_base + 1 for column in layout.columns), initial=0)
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int64), persistent=False)
        unknown = [s + column.n_base for s, column in zip(starts, layout.columns, strict=True)]
        self.register_buffer("unknown", torch.tensor(unknown, dtype=torch.int64), persistent=False)
        self.cells = nn.Parameter(torch.empty(n_embeddings, self.width))
        n_inputs = layout.n_scalars * (self.n_pieces + 1)
        self.pieces = Linear(n_inputs, self.width, bias=False) if layout.n_scalars else None
        self.latent = Linear(embedding_dim, self.width)
        scalar_columns = torch.tensor(layout.scalar_columns, dtype=torch.int64)
        self.register_buffer("scalar_columns", scalar_columns, persistent=False)

    def _place_heads(self) -> dict[int, tuple[int, int]]:
        """Make the heads; return, of each column whose logits every row gets, its row among those and its first logit's row."""
        layout = self.layout
        widths = [column.n_choices for column in layout.columns]
        plain = [i for i in range(layout.n_columns) if not layout.columns[i].copies]
        copying = [i for i in range(layout.n_columns) if layout.columns[i].copies]
        self.groups: list[_Group] = []
        for columns in (plain, copying):
            for members in group_by_width([widths[i] for i in columns]):
                chosen = tuple(columns[m] for m in members)
                self.groups.append(_Group(chosen, max(widths[i] for i in chosen)))
        self.heads = nn.ModuleList(Linear(self.width, len(g.columns) * g.width) for g in self.groups)
        self.place = {i: (g, row) for g, group in enumerate(self.groups) for row, i in enumerate(group.columns)}
        self.mixtures = Linear(self.width, layout.n_scalars * 3 * _COMPONENTS) if layout.n_scalars else None
        is_wide = [
            g.width >= _WIDE and len(g.columns) == 1 and not layout.columns[g.columns[0]].copies for g in self.groups
        ]
        #: Heads whose logits every row gets, and those of wide columns.
        self.dense = [g for g, wide in enumerate(is_wide) if not wide]
        self.wide = [g for g, wide in enumerate(is_wide) if wide]
        # The padding enters by the bias: adding it to every row's logits would be a pass over all of them.
        dense = [self.groups[g] for g in self.dense]
        padding = [padding_of([widths[i] for i in group.columns], group.width) for group in dense]
        padding.append(np.zeros(layout.n_scalars * 3 * _COMPONENTS, np.float32))
        self.register_buffer("padding", torch.from_numpy(np.concatenate(padding)), persistent=False)
        members = [i for g in self.dense for i in self.groups[g].columns]
        order = members + [self.groups[g].columns[0] for g in self.wide]
        self.register_buffer("members", torch.tensor(members, dtype=torch.int64), persistent=False)
        self.register_buffer("back", torch.from_numpy(np.argsort(order)), persistent=False)
        spans = [self.groups[self.place[i][0]].width for i in members]
        self.columns = ChoiceColumns(spans)
        starts = accumulate(spans, initial=0)
        return {i: (row, start) for row, (i, start) in enumerate(zip(members, starts, strict=False))}

    def initialise(self, generator: torch.Generator, choice_frequencies: Sequence[Tensor] | None = None) -> None:
        """Draw all weights from ``generator``; start every head's bias at the log-frequencies, if they are given."""
        with torch.no_grad():
            # The sum of C embeddings starts with unit variance.
            self.cells.normal_(0.0, self.layout.n_columns**-0.5, generator=generator)
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    bound = layer.in_features**-0.5
                    layer.weight.uniform_(-bound, bound, generator=generator)
                    if layer.bias is not None:
                        layer.bias.zero_()
            for group, head in zip(self.groups, self.heads, strict=True):
                assert isinstance(head, Linear)
                head.weight.mul_(0.1)
                if choice_frequencies is not None:
                    bias = head.bias.view(len(group.columns), group.width)
                    for row, i in enumerate(group.columns):
                        counts = choice_frequencies[i]
                        bias[row, : len(counts)] = ((counts + 0.5) / (counts + 0.5).sum()).log()
            if self.mixtures is not None:
                self.mixtures.weight.mul_(0.1)
                bias = self.mixtures.bias.view(-1, 3, _COMPONENTS)
                bias[:, 1] = torch.linspace(-1.5, 1.5, _COMPONENTS)
                bias[:, 2] = math.log(0.5)

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices of the residual blocks, without embeddings and heads."""
        return [parameter for parameter in self.blocks.parameters() if parameter.ndim == 2]

    # -- the network --------------------------------------------------------------------------------------------------

    def embed(self, z: Tensor, rows: Rows, known: Tensor) -> Tensor:
        """Sum of the embeddings of all cells, known or not, and of z. **Shape** ``(rows, width)``."""
        index = torch.where(known, rows.choices + self.starts, self.unknown)
        hidden = sum_of_embeddings(index, self.cells, self.latent.products) + self.latent(z)
        if self.pieces is not None:
            used = known.index_select(1, self.scalar_columns) & numbered_cells(self.layout, rows.choices)
            pieces = piecewise(rows.scalars, self.n_pieces) * used.unsqueeze(2)
            hidden = hidden + self.pieces(pieces.flatten(1))
        return hidden

    def trunk(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The residual blocks; with a generator, with dropout. **Shape** ``(rows, width)`` in and out."""
        for block in self.blocks:
            hidden = block(hidden, generator)
        return self.norm(hidden)

    def outputs_of(self, i: int) -> tuple[Tensor, Tensor]:
        """Weights and biases of column ``i``'s logits and then, if it has numbers, of its mixture.

        **Shape** ``(outputs, width)``, ``(outputs,)``.
        """
        column = self.layout.columns[i]
        g, row = self.place[i]
        first = row * self.groups[g].width
        head: Linear = self.heads[g]  # type: ignore[assignment]
        parts = [(head, slice(first, first + column.n_choices))]
        if column.n_numbered and self.mixtures is not None:
            first = self.layout.scalar_of[i] * 3 * _COMPONENTS
            parts.append((self.mixtures, slice(first, first + 3 * _COMPONENTS)))
        weights, biases = zip(*((head.weight[span], head.bias[span]) for head, span in parts), strict=True)
        return torch.cat(weights), torch.cat(biases)

    def read(self, i: int, output: Tensor, open_copies: Tensor | None) -> tuple[Tensor, Mixture | None]:
        """Read what :meth:`outputs_of` gives: logits, and the mixture of the numbers.

        Copy choices that are not open are closed, without any all of them. **Shape** ``(rows, choices)``, ``(1, K, rows)``.
        """
        column = self.layout.columns[i]
        logits = output[:, : column.n_choices]
        mixture = (
            Mixture.of(output[:, column.n_choices :].t().view(1, 3, _COMPONENTS, -1)) if column.n_numbered else None
        )
        if column.copies:
            base, copies = logits[:, : column.n_base], logits[:, column.n_base :]
            closed = torch.ones_like(copies, dtype=torch.bool) if open_copies is None else ~open_copies
            logits = torch.cat([base, copies.masked_fill(closed, -torch.inf)], 1)
        return logits, mixture

    def inputs_of(self, i: int) -> tuple[Tensor, Tensor | None]:
        """What knowing a choice of column ``i``, and the pieces of its number, change in the input of the trunk.

        **Shape** ``(base choices, width)``, ``(pieces + 1, width)``.
        """
        column, start = self.layout.columns[i], int(self.starts[i])
        known, unknown = self.cells[start : start + column.n_base + 1].split([column.n_base, 1])
        of_choice = known - unknown
        if self.pieces is None or not column.n_numbered:
            return of_choice, None
        first = self.layout.scalar_of[i] * (self.n_pieces + 1)
        return of_choice, self.pieces.weight[:, first : first + self.n_pieces + 1].t().contiguous()

    def _cell_log_probability(self, hidden: Tensor, rows: Rows, known: Tensor) -> Tensor:
        """``log p(cell | known cells, z)`` of every cell that is not known, anything elsewhere. **Shape** ``(rows, columns)``."""
        dense: list[Linear] = [self.heads[g] for g in self.dense]  # type: ignore[misc]
        dense += [] if self.mixtures is None else [self.mixtures]
        none = hidden.new_empty(0)
        weight = torch.cat([none.view(0, self.width), *(head.weight for head in dense)])
        bias = torch.cat([none, *(head.bias for head in dense)]) + self.padding
        # Rows run along the last dimension: sums over a column's few choices are sums of long vectors.
        output = linear(weight, hidden, bias.unsqueeze(1), self.latent.products)
        open_copies = self.copies.open(rows, known) if self.copies.of else None
        if open_copies is not None:
            output.index_add_(0, self.copies.places, torch.where(open_copies, 0.0, -torch.inf).t())
        choices = rows.choices.t()
        found, totals, rest = self.columns.terms(output, choices.index_select(0, self.members))
        wide = [self._wide_column(g, hidden, choices, known) for g in self.wide]
        cells = torch.cat([found, *wide]).index_select(0, self.back)
        if self.mixtures is not None:
            mixture = Mixture.of(rest.view(-1, 3, _COMPONENTS, len(hidden)))
            density = mixture.log_density(normal_score(rows.scalars).t())
            density = density.masked_fill(~numbered_cells(self.layout, rows.choices).t(), 0.0)
            cells = cells.index_add(0, self.scalar_columns, density)
        cells = cells.t()
        if open_copies is not None:
            copied = output.index_select(0, self.copies.places) - totals.index_select(0, self.copies.rows)
            cells = self.copies.credit(cells, copied.t(), rows, open_copies)
        return cells

    def _wide_column(self, g: int, hidden: Tensor, choices: Tensor, known: Tensor) -> Tensor:
        """Log-probabilities of one column of many choices: no logits where the cell is known. **Shape** ``(1, rows)``."""
        head, i = self.heads[g], self.groups[g].columns[0]
        assert isinstance(head, Linear)
        wanted = (~known[:, i]).nonzero().squeeze(1)
        logits = linear(hidden[wanted], head.weight, head.bias, head.products)
        cells = -F.cross_entropy(logits, choices[i, wanted], reduction="none")
        return cells.new_zeros(len(hidden)).index_copy(0, wanted, cells).unsqueeze(0)

    # -- the seam -----------------------------------------------------------------------------------------------------

    def elbo_log_likelihood(self, z: Tensor, rows: Rows, generator: torch.Generator) -> Tensor:
        """Unbiased estimate of the order-agnostic ``log p(rows | z)``. **Shape** ``(rows,)``.

        Each row hides k of its C columns, k uniform in 1..C, and weighs their log-likelihood by C / k. The k of a
        batch are stratified: every value comes equally often, which takes variance out of the estimate.
        """
        n_rows, n_columns = rows.choices.shape
        device = z.device
        shuffled = torch.randperm(n_rows, generator=generator, device=device)
        offset = torch.randint(n_columns, (1,), generator=generator, device=device)
        n_hidden = (shuffled + offset) % n_columns + 1
        order = torch.rand(n_rows, n_columns, generator=generator, device=device).argsort(1)
        known = order >= n_hidden.unsqueeze(1)
        dropout = generator if self.training else None
        hidden = self.trunk(self.embed(z, rows, known), dropout)
        cells = self._cell_log_probability(hidden, rows, known).masked_fill(known, 0.0)
        if self.training and self.emphasis is not None:
            cells = cells * self.emphasis
        return cells.sum(1) * (n_columns / n_hidden)

    def emphasise(self, column: int, times: float) -> None:
        """Let the cells of one column count so many times while weights are learnt: what tells them is learnt first, and told as it was."""
        emphasis = torch.ones(self.layout.n_columns, device=self.cells.device)
        emphasis[column] = times
        self.emphasis = emphasis

    def log_likelihood(self, z: Tensor, rows: Rows, known: Tensor) -> Tensor:
        """``log p(cell | known cells, z)`` of every cell that is not known, 0 elsewhere. **Shape** ``(rows, columns)``."""
        hidden = self.trunk(self.embed(z, rows, known))
        return self._cell_log_probability(hidden, rows, known).masked_fill(known, 0.0)

    def cell_log_likelihood(self, z: Tensor, rows: Rows, known: Tensor, column: int) -> Tensor:
        """``log p(cell | known cells, z)`` of one column's cells, without the other columns' heads. **Shape** ``(rows,)``."""
        hidden = self.trunk(self.embed(z, rows, known))
        pairs = self.copies.of.get(column, [])
        open_copies = self.copies.open(rows, known, pairs) if pairs else None
        output = linear(hidden, *self.outputs_of(column), self.latent.products)
        logits, mixture = self.read(column, output, open_copies)
        logits = logits.log_softmax(1)
        cell = logits.gather(1, rows.choices[:, column : column + 1]).squeeze(1)
        layout = self.layout.columns[column]
        if mixture is not None:
            score = normal_score(rows.scalars[:, self.layout.scalar_of[column]]).unsqueeze(0)
            density = mixture.log_density(score).squeeze(0)
            cell = cell + density.masked_fill(rows.choices[:, column] >= layout.n_numbered, 0.0)
        if open_copies is not None:
            holds = rows.equals[:, pairs] & open_copies
            copied = logits[:, layout.n_base :].masked_fill(~holds, -torch.inf).logsumexp(1)
            cell = torch.where(holds.any(1), copied, cell)
        return cell

    def sample(
        self, z: Tensor, rows: Rows, known: Tensor, generator: torch.Generator, how: Drawing = EVERY_CELL
    ) -> tuple[Rows, Tensor]:
        """Draw the unknown cells: see :meth:`clover_tvae.model.drawing.RowDrawer.sample`."""
        return self.drawer().sample(z, rows, known, generator, how)

    def drawer(self) -> RowDrawer:
        """What draws many times from the weights as they are now."""
        return RowDrawer(self)
