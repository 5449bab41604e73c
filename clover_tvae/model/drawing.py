"""Rows drawn cell by cell from an autoregressive decoder whose weights stand still.

What every pass needs of the weights is made once: packed products of the trunk, and of each column its outputs' weights in
the type of the products and what knowing one of its choices adds to the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from clover_tvae.model.choices import draw_choice
from clover_tvae.model.mixture import Mixture, piecewise
from clover_tvae.model.products import FusedBlock, linear
from clover_tvae.model.rows import EVERY_CELL, ConditionTensors, Drawing, Rows
from clover_tvae.model.schedule import one_by_one

if TYPE_CHECKING:
    from clover_tvae.model.autoregressive import AutoregressiveDecoder

#: What a core's second cache is taken to hold where torch does not say it: bytes.
_CACHE = 2**20


class _Column(NamedTuple):
    """What drawing needs of the weights of one column.

    **Shape** outputs and their bias ``(outputs, width)``, ``(outputs,)``: logits, then the mixture's numbers; what a choice
    and the pieces of a number change in the input ``(base choices, width)``, ``(pieces + 1, width)``.
    """

    outputs: Tensor
    bias: Tensor
    of_choice: Tensor
    of_pieces: Tensor | None


class _Cells(NamedTuple):
    """Drawn cells of one column, and the log-probability of its condition.

    **Shape** ``(rows,)``; ``(rows,)`` or none; ``(rows, its copies)``; ``(rows,)``.
    """

    choice: Tensor
    scalar: Tensor | None
    equals: Tensor | None
    log_weight: Tensor | None


class RowDrawer:
    """Draws from the weights that a decoder has when this is made.

    Args:
        decoder: The decoder, which is not trained while this draws.
    """

    def __init__(self, decoder: AutoregressiveDecoder) -> None:
        self.decoder, self.layout = decoder, decoder.layout
        self.products = decoder.latent.products
        self._rows_a_pass = _rows_a_pass(decoder.width)
        self._trunk = self._fastest_trunk()
        self._columns = dict[int, _Column]()

    def _fastest_trunk(self) -> Callable[[Tensor], Tensor]:
        """The trunk without gradients: in bfloat16 throughout where products are, and fused."""
        decoder = self.decoder
        if self.products != torch.bfloat16 or not FusedBlock.is_there(decoder.cells.device):
            return decoder.trunk
        blocks = [FusedBlock(block.norm, block.up, block.down, self._rows_a_pass) for block in decoder.blocks]  # type: ignore[arg-type]

        def trunk(hidden: Tensor) -> Tensor:
            hidden = hidden.to(torch.bfloat16)
            for block in blocks:
                hidden = block(hidden)
            return decoder.norm(hidden)

        return trunk

    def _column(self, i: int) -> _Column:
        if (made := self._columns.get(i)) is None:
            weight, bias = self.decoder.outputs_of(i)
            made = _Column(weight.to(self.products), bias, *self.decoder.inputs_of(i))
            self._columns[i] = made
        return made

    @torch.no_grad()
    def sample(
        self, z: Tensor, rows: Rows, known: Tensor, generator: torch.Generator, how: Drawing = EVERY_CELL
    ) -> tuple[Rows, Tensor]:
        """Draw the unknown cells, by the steps given or one column at a time in a random order.

        Columns of one step do not see each other: see :mod:`clover_tvae.model.schedule`. **Shape** and results: see
        :class:`clover_tvae.model.rows.TableDecoder`.
        """
        conditions = how.conditions or {}
        rows = Rows(rows.choices.clone(), rows.scalars.clone(), rows.equals.clone())
        known = known.clone()
        log_weight = torch.zeros(len(z), device=z.device)
        # Drawn on the CPU, so that the order does not depend on the device.
        orders = how.orders or [
            one_by_one(torch.randperm(self.layout.n_columns, generator=generator, device=generator.device).tolist())
        ]
        # A column that no row knows is drawn for slices of rows, which are read and written without a copy; one that all know, not at all.
        is_blank, is_open = (~known).all(0).tolist(), (~known).any(0).tolist()
        orders = [[[i for i in step if is_open[i]] for step in order] for order in orders]
        ends = [len(z) * k // len(orders) for k in range(len(orders) + 1)]
        parts = [slice(*span) for span in pairwise(ends)]
        every = torch.arange(len(z), device=z.device)
        embedded = self.decoder.embed(z, rows, known)
        for step in zip_longest(*orders, fillvalue=[]):
            for columns, part in zip(step, parts, strict=True):
                if not columns:
                    continue
                index: slice | Tensor = part
                if not all(is_blank[i] for i in columns):
                    index = every[part][~known[part][:, columns].all(1)]
                inputs = embedded[index]
                if len(inputs) == 0:
                    continue
                hidden = self._seen(inputs)
                found: list[tuple[int, slice | Tensor, _Cells]] = []
                for i in columns:
                    at, seen = index, hidden
                    if isinstance(index, Tensor) and len(columns) > 1:
                        wanted = ~known[index, i]
                        at, seen = index[wanted], hidden[wanted]
                    found.append((i, at, self._draw(i, seen, rows, known, at, conditions.get(i), generator, how)))
                for i, at, drawn in found:
                    if drawn.log_weight is not None:
                        log_weight[at] += drawn.log_weight
                    change = self._change(i, drawn)
                    if isinstance(at, slice):
                        embedded[at].add_(change)
                    else:
                        embedded.index_add_(0, at, change)
                    known[at, i] = True
                    rows.choices[at, i] = drawn.choice
                    if drawn.scalar is not None:
                        rows.scalars[at, self.layout.scalar_of[i]] = drawn.scalar
                    if drawn.equals is not None:
                        for p, holds in zip(self.decoder.copies.of[i], drawn.equals.unbind(1), strict=True):
                            rows.equals[at, p] = holds
        return rows, log_weight

    def _seen(self, embedded: Tensor) -> Tensor:
        """What the outputs of columns see, in the type of the products. **Shape** ``(rows, width)``."""
        passes = [self._trunk(rows) for rows in embedded.split(self._rows_a_pass)]
        return (passes[0] if len(passes) == 1 else torch.cat(passes)).to(self.products)

    def _draw(
        self,
        i: int,
        hidden: Tensor,
        rows: Rows,
        known: Tensor,
        index: slice | Tensor,
        condition: ConditionTensors | None,
        generator: torch.Generator,
        how: Drawing,
    ) -> _Cells:
        """Draw the cells of column ``i`` in the rows ``index``."""
        column, of_column = self.layout.columns[i], self._column(i)
        own = self.decoder.copies.of.get(i, [])
        pairs = own if how.translate is not None else []
        held = rows.take(index) if pairs else rows
        output = linear(hidden, of_column.outputs, of_column.bias, self.products)
        open_copies = self.decoder.copies.open(held, known[index], pairs) if pairs else None
        logits, mixture = self.decoder.read(i, output, open_copies)
        weight, copies = None, dict[int, tuple[Tensor, Tensor]]()
        if condition is not None:
            copies = {c: self._copy(i, p, held, how) for c, p in enumerate(pairs)}
            logits = _restrict(logits.log_softmax(1), mixture, list(copies.values()), condition, column.n_base)
            weight = logits.logsumexp(1)
        choice = logits.argmax(1) if how.argmax else draw_choice(logits, generator)
        scalar = equals = None
        if mixture is not None:
            bounds = () if condition is None else condition.bounds(len(hidden))
            scalar = (mixture.mode() if how.argmax else mixture.sample(generator, *bounds)).squeeze(0)
        if own:
            equals = torch.zeros(len(hidden), len(own), dtype=torch.bool, device=hidden.device)
        for c, p in enumerate(pairs):
            assert equals is not None
            assert scalar is not None
            equals[:, c] = choice == column.n_base + c
            taken = equals[:, c].nonzero().squeeze(1)
            if len(taken) == 0:
                continue
            if c in copies:
                choice[taken], scalar[taken] = (part[taken] for part in copies[c])
            else:
                choice[taken], scalar[taken] = self._copy(i, p, held.take(taken), how)
        return _Cells(choice, scalar, equals, weight)

    def _copy(self, i: int, p: int, rows: Rows, how: Drawing) -> tuple[Tensor, Tensor]:
        """The source's cells, coded as cells of column ``i``."""
        source = self.layout.copy_pairs[p].source
        assert how.translate is not None
        choices, scalars = how.translate(
            i, source, rows.choices[:, source], rows.scalars[:, self.layout.scalar_of[source]]
        )
        return choices.to(rows.choices.device), scalars.to(rows.scalars.device)

    def _change(self, i: int, drawn: _Cells) -> Tensor:
        """What knowing column ``i`` adds to the input of the trunk. **Shape** ``(rows, width)``."""
        of_column = self._column(i)
        change = of_column.of_choice.index_select(0, drawn.choice)
        if drawn.scalar is not None and of_column.of_pieces is not None:
            used = (drawn.choice < self.layout.columns[i].n_numbered).view(-1, 1, 1)
            pieces = piecewise(drawn.scalar.unsqueeze(1), self.decoder.n_pieces) * used
            change.addmm_(pieces.flatten(1), of_column.of_pieces)
        return change


def _rows_a_pass(width: int) -> int:
    """Rows that pass the trunk together: their input, inside and sum in bfloat16 then stay in a core's cache."""
    told: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    cache = told.get("l2_cache_size") or _CACHE
    return 1024 if 3 * 1024 * width * 2 <= cache else 512


def _restrict(
    logits: Tensor,
    mixture: Mixture | None,
    copies: list[tuple[Tensor, Tensor]],
    condition: ConditionTensors,
    n_base: int,
) -> Tensor:
    """Take away from each choice the probability that the condition forbids. **Shape** ``(rows, choices)``."""
    base = logits[:, :n_base].masked_fill(~condition.choices, -torch.inf)
    if mixture is not None:
        base = torch.cat(
            [base[:, :1] + mixture.log_mass(*condition.bounds(len(logits))).logsumexp(1).t(), base[:, 1:]], 1
        )
    parts = [base]
    for c, (choice, scalar) in enumerate(copies):
        fits = condition.choices[choice]
        fits &= (choice > 0) | ((scalar >= condition.lower[0]) & (scalar <= condition.upper[0]))
        parts.append(logits[:, n_base + c].masked_fill(~fits, -torch.inf).unsqueeze(1))
    if not copies:
        parts.append(logits[:, n_base:])
    return torch.cat(parts, 1)
