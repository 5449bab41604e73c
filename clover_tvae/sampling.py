"""Sampling: blocks of rows with their own seeds, conditions without rejection, completion of partial rows.

Rows are drawn in blocks of :data:`BLOCK_ROWS`, always whole, each with its own seed and on one thread: neither the chunk
size, nor the number of threads or machines, changes a row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clover_tvae.encoded import EncodedTable
from clover_tvae.errors import ConditionError
from clover_tvae.model.devices import Strata, one_thread, torch_generator
from clover_tvae.model.rows import ConditionTensors, Drawing, Draws, Rows, Translate
from clover_tvae.model.schedule import one_by_one
from clover_tvae.model.vae import TabularVAE, inside_spreads, table_tensors
from clover_tvae.ratios import picked
from clover_tvae.seeds import child

__all__ = ["BLOCK_ROWS", "Sampler"]

#: Rows a block. Large enough that the matrix products dominate, small enough that one row does not cost a second.
BLOCK_ROWS = 1024
#: Each order of the columns errs in its own way, so the first block has several; in each of the others, one is as good, and faster.
_ORDERS_OF_THE_FIRST = 2
#: Blocks that a thread may be ahead of what is done with them.
_AHEAD = 4
#: Rows that are drawn for each one that a judge keeps.
_DRAWN_A_ROW = 2.5
#: Draws of z a row of a block, from which the conditions pick (importance resampling).
_CANDIDATES = {"rank": 4, "mode": 64}
_MOST_LOGITS = 2**25
#: Rounds of "encode the completed row, draw the gaps again" (Rezende et al. 2014, appendix F).
_COMPLETION_ROUNDS = {"rank": 2, "mode": 12}
#: Draws of z that a leave-one-out likelihood is averaged over.
_SCORE_DRAWS = 4

T = TypeVar("T")


def _in_order(tasks: Iterator[Callable[[], T]], n_threads: int) -> Iterator[T]:
    """Run tasks on up to ``n_threads`` threads, a few ahead, and hand their results on in order."""
    if n_threads == 1:
        with one_thread():
            for task in tasks:
                yield task()
        return
    with one_thread(), ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = []
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > _AHEAD * n_threads:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


class Sampler:
    """Draws encoded rows from a trained autoencoder.

    Args:
        vae: The autoencoder, which is not trained any more once this draws.
        translate: ``translate(column, source, choices, scalars, rng)``: cells of ``source``, coded as cells of
            ``column`` (for copy choices), on numpy arrays.
        n_threads: Blocks drawn at the same time; ``None`` for as many as torch may use.
        beside: Returns numbers of rows that are not among their cells, for the judge. **Shape** ``(rows, numbers)``, float32.
    """

    def __init__(
        self,
        vae: TabularVAE,
        translate: Callable[..., tuple[NDArray[Any], NDArray[Any]]] | None = None,
        n_threads: int | None = None,
        beside: Callable[[EncodedTable], NDArray[np.float32]] | None = None,
    ) -> None:
        self.vae = vae.eval()
        self._beside = beside
        self.layout = vae.layout
        self.n_threads = n_threads or min(torch.get_num_threads(), os.cpu_count() or 1)
        self._translate = translate

    @cached_property
    def _drawer(self) -> Draws:
        return self.vae.decoder.drawer()

    # -- drawing ------------------------------------------------------------------------------------------------------

    def blocks(
        self,
        n_rows: int,
        seed: np.random.SeedSequence,
        *,
        conditions: Mapping[int, ConditionTensors] | None = None,
        decode: str | None = None,
        steps: int | None = None,
        skip: int = 0,
    ) -> Iterator[EncodedTable]:
        """Yield the first ``n_rows`` rows of the endless table that ``seed`` fixes, block by block; of no rows, one block.

        The first ``skip`` of them are left out, and their blocks are not drawn. A row is drawn in at most ``steps`` passes of
        the network; ``None``: in as few as cost next to nothing.

        Raises:
            ConditionError: The conditions on several columns exclude each other.
        """
        first = skip // BLOCK_ROWS
        starts = range(first * BLOCK_ROWS, max(1, n_rows), BLOCK_ROWS)
        tasks = (
            lambda b=b: self._block(b, seed, conditions or {}, decode, steps) for b in range(first, first + len(starts))
        )
        for start, block in zip(starts, _in_order(tasks, self.n_threads), strict=True):
            yield block.take(slice(max(0, skip - start), n_rows - start))

    @torch.no_grad()
    def _block(
        self,
        index: int,
        seed: np.random.SeedSequence,
        conditions: Mapping[int, ConditionTensors],
        decode: str | None,
        steps: int | None,
    ) -> EncodedTable:
        kind = Strata if decode == "stratified" else torch.Generator
        generator = torch_generator(child(seed, index), self.vae.device, kind)
        # Rows that are to be more even than chance, or the likeliest, are taken as they come.
        is_judged = decode in (None, "sample") and self.vae.judge.is_on
        n_rows = round(_DRAWN_A_ROW * BLOCK_ROWS) if is_judged else BLOCK_ROWS
        rows, known, z = (
            self._conditioned(generator, conditions, n_rows) if conditions else self._fresh(generator, n_rows)
        )
        unconditioned = [i for i in range(self.layout.n_columns) if i not in conditions]
        n_orders = 1 if index else _ORDERS_OF_THE_FIRST
        shuffled = [self._shuffled(unconditioned, generator) for _ in range(n_orders)]
        orders = [self.vae.schedule.steps(columns, steps) for columns in shuffled]
        how = Drawing(orders, None, self._translator(generator), decode == "argmax")
        rows, _ = self._drawer.sample(z, rows, known, generator, how)
        table = _to_table(rows)
        if not is_judged:
            return table
        log_ratio = self.vae.judge.log_ratio(rows, self._numbers_beside(table)).double().cpu().numpy()
        return table.take(picked(log_ratio, BLOCK_ROWS, _numpy_generator(generator)))

    def _numbers_beside(self, table: EncodedTable) -> Tensor | None:
        return None if self._beside is None else torch.from_numpy(self._beside(table))

    def _fresh(self, generator: torch.Generator, n_rows: int, *, stratify: bool = True) -> tuple[Rows, Tensor, Tensor]:
        """Blank rows, nothing known, z from the prior."""
        device = self.vae.device
        z = self.vae.prior.draw(n_rows, generator, stratify=stratify)
        rows = Rows.blank(n_rows, self.layout, device)
        return rows, torch.zeros(rows.choices.shape, dtype=torch.bool, device=device), z

    def _shuffled(self, columns: list[int], generator: torch.Generator) -> list[int]:
        order = torch.randperm(len(columns), generator=generator, device=generator.device).tolist()
        return [columns[j] for j in order]

    def _conditioned(
        self, generator: torch.Generator, conditions: Mapping[int, ConditionTensors], n_rows: int
    ) -> tuple[Rows, Tensor, Tensor]:
        """Draw the conditioned columns and the z that go with them.

        ``p(x, z | condition)`` is ``p(z) p(x | z, condition)`` weighted by ``p(condition | z)``: draw many z, draw their
        conditioned columns inside the condition, and resample by weight (importance resampling, Rubin 1987). The
        candidates' number is fixed, so a rare condition takes no longer than a common one.
        """
        widest = max(self.layout.columns[i].n_choices for i in conditions)
        # Fewer candidates where a column has thousands of choices: their logits must fit into memory.
        candidates = max(4, min(_CANDIDATES[self.layout.numbers], _MOST_LOGITS // (n_rows * widest)))
        few = candidates <= _CANDIDATES["rank"]
        rows, known, z = self._fresh(generator, n_rows * candidates, stratify=few)
        conditions = {i: ConditionTensors(*(part.to(z.device) for part in c)) for i, c in conditions.items()}
        columns = self._shuffled(list(conditions), generator)
        how = Drawing([one_by_one(columns)], conditions, self._translator(generator))
        rows, log_weight = self._drawer.sample(z, rows, known, generator, how)
        if not bool(torch.isfinite(log_weight).any()):
            text = f"no row can meet the conditions on {len(conditions)} columns together"
            raise ConditionError(f"{text}; drop or widen one of them")
        places = _systematic(log_weight, n_rows, generator)
        known[:, columns] = True
        return rows.take(places), known[places], z[places]

    def _translator(self, generator: torch.Generator) -> Translate | None:
        translate = self._translate
        if translate is None:
            return None

        def on_tensors(column: int, source: int, choices: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
            rng = _numpy_generator(generator)
            coded = translate(column, source, choices.cpu().numpy(), scalars.cpu().numpy(), rng)
            return torch.from_numpy(coded[0]).long(), torch.from_numpy(coded[1]).float()

        return on_tensors

    def measure_steps(self, seed: np.random.SeedSequence) -> None:
        """Let the model find out which columns may be drawn together, on rows of its own."""
        schedule = self.vae.schedule
        if schedule.n_levels:
            generator = torch_generator(seed, self.vae.device)
            z = self.vae.prior.draw(schedule.rows_to_measure, generator)
            how = Drawing(translate=self._translator(generator))
            schedule.measure(self.vae.decoder, z, generator, how)

    def learn_to_judge(
        self,
        table: EncodedTable,
        ranks: Sequence[NDArray[np.float64] | None],
        n_drawn: int,
        seed: np.random.SeedSequence,
    ) -> float:
        """Let the model's judge learn how drawn rows differ from those of the table that the model was taught; return how far it tells them apart.

        Args:
            table: These rows.
            ranks: See :meth:`clover_tvae.model.judge.RowJudge.learn`.
            n_drawn: How many rows are drawn.
            seed: Of the rows that are drawn, and of those that test the judge.
        """
        drawn = EncodedTable.concatenate(list(self.blocks(n_drawn, child(seed, 0))))
        rng = np.random.default_rng(child(seed, 1))
        if table.spreads is not None:  # what is drawn lies somewhere inside
            inside = rng.random(table.scalars.shape, dtype=np.float32)
            table = EncodedTable(table.choices, table.scalars + table.spreads * inside, None, table.equals)
        both, device = (table, drawn), self.vae.device
        beside = [self._numbers_beside(rows) for rows in both]
        learnt_rows, drawn_rows = (Rows(*(part.cpu() for part in self._rows(rows, None))) for rows in both)
        spread = self.vae.judge.cpu().learn(learnt_rows, drawn_rows, ranks, rng, beside)
        self.vae.judge.to(device)
        return spread

    # -- completing ---------------------------------------------------------------------------------------------------

    def complete(
        self,
        table: EncodedTable,
        known: NDArray[Any],
        seed: np.random.SeedSequence,
        *,
        full: Collection[int] = (),
        argmax: bool = False,
    ) -> EncodedTable:
        """Draw the unknown cells of partial rows from the model, given the known ones.

        ``z`` is drawn by turns with the gaps: gaps from ``p(gaps | known, z)``, z from ``q(z | row)`` (pseudo-Gibbs,
        Rezende et al. 2014, arXiv 1401.4082, appendix F).

        Args:
            table: Rows; what stands in unknown cells does not matter.
            known: bool ``(rows, columns)``.
            seed: Fixes the draws of each block of rows.
            full: Columns whose gaps are never filled with ``missing``.
            argmax: Take the likeliest cells in the last round instead of drawing them.
        """
        tasks = (
            lambda start=start: self._complete_block(table, known, seed, start, full, argmax)
            for start in range(0, len(table), BLOCK_ROWS)
        )
        return EncodedTable.concatenate(list(_in_order(tasks, self.n_threads))) if len(table) else table

    @torch.no_grad()
    def _complete_block(
        self,
        table: EncodedTable,
        known: NDArray[Any],
        seed: np.random.SeedSequence,
        start: int,
        full: Collection[int],
        argmax: bool,
    ) -> EncodedTable:
        generator = torch_generator(child(seed, start // BLOCK_ROWS), self.vae.device)
        part = self._rows(table.take(slice(start, start + BLOCK_ROWS)), generator)
        given = torch.from_numpy(known[start : start + BLOCK_ROWS]).to(self.vae.device)
        ends = torch.tensor(
            [(p.column, p.source) for p in self.layout.copy_pairs], dtype=torch.int64, device=given.device
        )
        part = part._replace(equals=part.equals & given[:, ends.view(-1, 2)].all(2))
        conditions = {i: condition for i, condition in self._nothing_missing().items() if i in full}
        last = _COMPLETION_ROUNDS[self.layout.numbers]
        z = self.vae.prior.draw(len(part.choices), generator)
        for round_ in range(last + 1):
            if round_:
                mu, std = self.vae.posterior(part)
                z = mu + std * torch.randn(mu.shape, generator=generator, device=mu.device)
            columns = self._shuffled(list(range(self.layout.n_columns)), generator)
            how = Drawing([one_by_one(columns)], conditions, self._translator(generator), argmax and round_ == last)
            part, _ = self._drawer.sample(z, part, given, generator, how)
        return _to_table(part)

    def _nothing_missing(self) -> dict[int, ConditionTensors]:
        made = {}
        for i, column in enumerate(self.layout.columns):
            # A column that is always missing has nothing else to offer.
            if column.missing is not None and column.n_base > 1:
                choices = torch.arange(column.n_base, device=self.vae.device) != column.missing
                infinite = torch.full((column.n_numbered,), torch.inf, device=self.vae.device)
                made[i] = ConditionTensors(choices, -infinite, infinite)
        return made

    def without_missing(self, conditions: Mapping[int, ConditionTensors]) -> dict[int, ConditionTensors]:
        """The conditions, with ``missing`` forbidden in every column that has another choice."""
        merged = self._nothing_missing()
        for i, condition in conditions.items():
            if i in merged:
                condition = condition._replace(choices=condition.choices & merged[i].choices)
            merged[i] = condition
        return merged

    # -- scoring ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def leave_out(
        self, table: EncodedTable, seed: np.random.SeedSequence, parts: Iterable[Sequence[int]] | None = None
    ) -> NDArray[Any]:
        """``-log p(cell | every other cell)`` of every cell, in nats; NaN for masked cells (choice -1).

        The average over z is taken in probability. **Shape** ``(rows, columns)``.

        Args:
            table: The rows.
            seed: Of the draws of z.
            parts: The columns in parts: a cell is scored given the columns of all other parts; ``None``: each column is a part.
        """
        out = np.full(table.choices.shape, np.nan)
        parts = [[i] for i in range(self.layout.n_columns)] if parts is None else [list(part) for part in parts]
        with one_thread():
            for start in range(0, len(table), BLOCK_ROWS):
                generator = torch_generator(child(seed, start // BLOCK_ROWS), self.vae.device)
                block = table.take(slice(start, start + BLOCK_ROWS))
                rows, seen = self._rows(block, generator), torch.from_numpy(block.choices >= 0).to(self.vae.device)
                for columns in parts:
                    known = seen.clone()
                    known[:, columns] = False
                    draws = torch.stack([self._cells(rows, known, columns, generator) for _ in range(_SCORE_DRAWS)])
                    score = -(draws.logsumexp(0) - np.log(_SCORE_DRAWS))
                    score = torch.where(seen[:, columns], score, torch.nan)
                    out[start : start + BLOCK_ROWS, columns] = score.cpu().numpy()
        return out

    def _cells(self, rows: Rows, known: Tensor, columns: Sequence[int], generator: torch.Generator) -> Tensor:
        """``log p(cell | known, z)`` of columns, with z from the posterior of the row whose cells of them are drawn anew.

        The cells themselves must not reach z, or every cell would look plausible. **Shape** ``(rows, columns)``.
        """
        z = self.vae.prior.draw(len(rows.choices), generator)
        how = Drawing([[tuple(columns)]], translate=self._translator(generator))
        filled, _ = self._drawer.sample(z, rows, known, generator, how)
        mu, std = self.vae.posterior(filled)
        z = mu + std * torch.randn(mu.shape, generator=generator, device=mu.device)
        if len(columns) == 1:
            return self.vae.decoder.cell_log_likelihood(z, rows, known, columns[0]).unsqueeze(1)
        return self.vae.decoder.log_likelihood(z, rows, known)[:, columns]

    @torch.no_grad()
    def embed(self, table: EncodedTable) -> NDArray[Any]:
        """Mean of ``q(z | x)`` of every row. **Shape** ``(rows, embedding_dim)``."""
        with one_thread():
            parts = [z.cpu().numpy() for z in self._means(table)]
        return np.concatenate([np.zeros((0, self.vae.embedding_dim), np.float32), *parts])

    @torch.no_grad()
    def reconstruct(self, table: EncodedTable, seed: np.random.SeedSequence) -> EncodedTable:
        """Decode the posterior mean of every row into the likeliest choices."""
        parts = []
        with one_thread():
            for block, z in enumerate(self._means(table)):
                generator = torch_generator(child(seed, block), self.vae.device)
                blank = Rows.blank(len(z), self.layout, self.vae.device)
                how = Drawing(translate=self._translator(generator), argmax=True)
                rows, _ = self._drawer.sample(z, blank, torch.zeros_like(blank.choices).bool(), generator, how)
                parts.append(_to_table(rows))
        return EncodedTable.concatenate(parts) if parts else _to_table(Rows.blank(0, self.layout))

    def _means(self, table: EncodedTable) -> Iterator[Tensor]:
        for start in range(0, len(table), BLOCK_ROWS):
            yield self.vae.posterior(self._rows(table.take(slice(start, start + BLOCK_ROWS)), None))[0]

    def _rows(self, table: EncodedTable, generator: torch.Generator | None) -> Rows:
        """Tensors of encoded rows; each number is drawn inside its spread, or its middle where there is no generator."""
        choices, scalars, spreads, equals = (t.to(self.vae.device) for t in table_tensors(table, self.layout))
        # A masked choice (-1) stands for "unknown": any valid index does.
        return Rows(choices.long().clamp_min(0), inside_spreads(scalars, spreads, generator), equals)


def _systematic(log_weight: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Pick ``n`` indices with expected counts proportional to the weights (systematic resampling, Kitagawa 1996)."""
    weight = torch.softmax(log_weight.double(), 0)
    offset = torch.rand(1, generator=generator, device=weight.device, dtype=torch.float64)
    points = (torch.arange(n, device=weight.device, dtype=torch.float64) + offset) / n
    places = torch.searchsorted(weight.cumsum(0), points).clamp_max(len(weight) - 1)
    # In systematic order equal candidates lie side by side: shuffle, so that any slice of a block is a fair sample.
    return places[torch.randperm(n, generator=generator, device=weight.device)]


def _numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Return one that is seeded from a block's own generator, so that no block depends on another."""
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator, device=generator.device)))


def _to_table(rows: Rows) -> EncodedTable:
    choices, scalars = rows.choices.to(torch.int32).cpu().numpy(), rows.scalars.cpu().numpy()
    equals = rows.equals.cpu().numpy() if rows.equals.shape[1] else None
    return EncodedTable(choices, scalars, None, equals)
