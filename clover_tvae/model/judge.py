"""Which drawn rows are kept: those that look learnt come oftener, as boosted trees judge.

A network that draws a row cell by cell goes on from its own errors. Trees that learnt to tell its rows from those that it
learnt say how many times likelier a row is among the latter; of every few drawn rows some are kept, in proportion to that. The
trees see nothing but what the network was taught, and rows that it drew: they tell no more of anyone than the rows that it was taught.

References:
    Azadi et al. 2019, Discriminator Rejection Sampling, arXiv 1810.06758 (section 3).
    Friedman 2001, Greedy Function Approximation: A Gradient Boosting Machine (the trees).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clover_tvae.encoded import TableLayout
from clover_tvae.model.rows import Rows, numbered_cells
from clover_tvae.ratios import trust

__all__ = ["RowJudge"]

logger = logging.getLogger(__name__)

#: Decisions from a tree's root to its leaves, and bins of a number.
_DEPTH, _BINS = 5, 32
#: One in so many rows of either kind says how far the trees are to be believed; learnt rows below which there are none to spare.
_ONE_IN, _FEWEST = 4, 400
#: Where they spread the log-ratios by less, a choice would bring next to nothing.
_LEAST_SPREAD = 0.1
#: Rows by which written trees are held against the grown ones, and how far their scores may differ.
_CHECKED, _ROUNDING = 1_000, 0.01
#: Log-ratios are kept in here: those of a damaged file may be anything.
_MOST = 20.0
#: What stands for the number of a choice that is none: ranks begin at 0.
_NO_NUMBER = -1.0


class RowJudge(nn.Module):
    """Boosted trees over encoded rows, whole ones of one depth, as arrays that a generator file can hold.

    A column is what it is as a number, if it has numbers, and the place of its choice among those of the column, from those that are drawn
    too often to those that are drawn too seldom.

    Args:
        layout: The columns.
        n_trees: How many trees; 0: none, and no row is judged.

    Example:
        >>> from clover_tvae.encoded import ColumnLayout
        >>> layout = TableLayout((ColumnLayout(2), ColumnLayout(2)), numbers="rank")
        >>> cells = torch.randint(2, (2_000, 1), generator=torch.Generator().manual_seed(1))
        >>> alike = Rows.blank(2_000, layout)._replace(choices=cells.expand(-1, 2))
        >>> drawn = Rows.blank(2_000, layout)._replace(choices=torch.cat([cells, cells.flip(0)], 1))
        >>> judge = RowJudge(layout, n_trees=20)
        >>> judge.learn(alike, drawn, [None, None], np.random.default_rng(1)) > 1
        True
        >>> bool(judge.log_ratio(alike).mean() > judge.log_ratio(drawn).mean())
        True
    """

    starts: Tensor
    columns: Tensor
    first_node: Tensor
    first_leaf: Tensor
    numbers: Tensor
    places: Tensor
    features: Tensor
    thresholds: Tensor
    leaves: Tensor

    def __init__(self, layout: TableLayout, n_trees: int = 0) -> None:
        super().__init__()
        self.layout, self.n_trees = layout, n_trees
        if not n_trees:
            return
        widths = [column.n_base for column in layout.columns]
        fixed = {
            "starts": list(accumulate(widths, initial=0))[:-1],
            "columns": list(layout.scalar_columns),
            "first_node": [tree * (2**_DEPTH - 1) for tree in range(n_trees)],
            "first_leaf": [tree * 2**_DEPTH for tree in range(n_trees)],
        }
        for name, values in fixed.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)
        sizes = {"numbers": (sum(widths),), "places": (sum(widths),), "leaves": (n_trees, 2**_DEPTH)}
        sizes |= dict.fromkeys(("features", "thresholds"), (n_trees, 2**_DEPTH - 1))
        for name, size in sizes.items():
            self.register_buffer(name, torch.zeros(size))

    @property
    def is_on(self) -> bool:
        """Whether it has learnt anything."""
        return self.n_trees > 0 and bool(self.leaves.any())

    def cells(self, rows: Rows, beside: Tensor | None = None) -> Tensor:
        """What the trees see: numbers, places of choices, and more numbers of the rows, if there are any. **Shape** ``(rows, cells)``."""
        at = rows.choices + self.starts
        numbers = self.numbers[at.index_select(1, self.columns)]
        numbers = torch.where(numbered_cells(self.layout, rows.choices), rows.scalars, numbers)
        return torch.cat([numbers, self.places[at]] + ([] if beside is None else [beside.to(at.device)]), 1)

    @torch.no_grad()
    def log_ratio(self, rows: Rows, beside: Tensor | None = None) -> Tensor:
        """The log of how many times likelier each row is among the learnt than among the drawn. **Shape** ``(rows,)``."""
        return self._scores(self.cells(rows, beside))

    def _scores(self, cells: Tensor) -> Tensor:
        # Those of a damaged file are any numbers.
        features = self.features.flatten().long().clamp_(0, cells.shape[1] - 1)
        thresholds, node = self.thresholds.flatten(), self.first_node.expand(len(cells), -1)
        for _ in range(_DEPTH):
            # Nodes of a tree follow each other level by level: those below node k are 2k + 1 and 2k + 2.
            goes_right = cells.gather(1, features[node]) > thresholds[node]
            node = 2 * node - self.first_node + 1 + goes_right
        leaf = node - self.first_node - (2**_DEPTH - 1) + self.first_leaf
        return self.leaves.flatten()[leaf].sum(1).clamp(-_MOST, _MOST)

    @torch.no_grad()
    def learn(
        self,
        learnt: Rows,
        drawn: Rows,
        ranks: Sequence[NDArray[np.float64] | None],
        rng: np.random.Generator,
        beside: Sequence[Tensor | None] = (None, None),
    ) -> float:
        """Learn to tell rows apart; where that hardly works, nothing is judged.

        Args:
            learnt: Rows that a network was taught.
            drawn: Rows that it drew.
            ranks: Of each column with numbers the rank of each choice that is one, NaN of the others.
            rng: Which rows test the trees.
            beside: More numbers of the rows of either kind, none of them NaN. **Shape** each ``(rows, numbers)``.

        Returns:
            How far the log-ratios of rows that the trees did not learn spread; 0 where nothing is judged.
        """
        if not self.n_trees or len(learnt.choices) < _FEWEST:
            return 0.0
        self._place_choices(learnt.choices, drawn.choices, ranks)
        parts = [self.cells(rows, numbers) for rows, numbers in zip((learnt, drawn), beside, strict=True)]
        is_test = [torch.from_numpy(rng.permutation(len(part)) < len(part) // _ONE_IN) for part in parts]
        seen, test = (
            [part[which == kind] for part, which in zip(parts, is_test, strict=True)] for kind in (False, True)
        )
        self._grow(seen, int(rng.integers(2**32)))
        scores = torch.cat([self._scores(part) for part in test]).numpy()
        factor = trust(scores, np.repeat([1, 0], [*map(len, test)]))
        spread = factor * float(scores.std())
        if spread < _LEAST_SPREAD:
            factor = spread = 0.0
        self.leaves.mul_(factor)
        return spread

    def _place_choices(self, learnt: Tensor, drawn: Tensor, ranks: Sequence[NDArray[np.float64] | None]) -> None:
        for i, (column, start) in enumerate(zip(self.layout.columns, self.starts.tolist(), strict=True)):
            counts = [torch.bincount(choices[:, i], minlength=column.n_base) + 0.5 for choices in (learnt, drawn)]
            share = (counts[0] / len(learnt)).log() - (counts[1] / len(drawn)).log()
            span = slice(start, start + column.n_base)
            self.places[span] = share.argsort().argsort().float()
            rank = ranks[i]
            if rank is not None:
                self.numbers[span] = torch.from_numpy(np.nan_to_num(rank, nan=_NO_NUMBER)).float()

    def _grow(self, parts: Sequence[Tensor], seed: int) -> None:
        """Grow the trees, and write each as a whole one: below an early leaf all leaves are alike."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        options: dict[str, Any] = {"class_weight": "balanced", "early_stopping": False, "random_state": seed}
        model = HistGradientBoostingClassifier(max_iter=self.n_trees, max_depth=_DEPTH, max_bins=_BINS, **options)
        cells, is_learnt = torch.cat(list(parts)), np.repeat([1, 0], [*map(len, parts)])
        with threadpool_limits(1, "openmp"):
            model.fit(cells.numpy(), is_learnt)
            expected = model.decision_function(cells[:_CHECKED].numpy())
        arrays = [part.numpy() for part in (self.features, self.thresholds, self.leaves)]
        try:
            for tree, (grown,) in enumerate(model._predictors):
                _write(grown.nodes, *(array[tree] for array in arrays))
        except (AttributeError, TypeError, ValueError, IndexError):
            self.leaves.zero_()
        # Scikit-learn promises nobody what its grown trees look like: what was written must say the same.
        if np.ptp(self._scores(cells[:_CHECKED]).numpy() - expected) > _ROUNDING:
            logger.warning("this scikit-learn's trees cannot be read: drawn rows are not judged")
            self.leaves.zero_()


def _write(grown: NDArray[Any], features: NDArray[Any], thresholds: NDArray[Any], leaves: NDArray[Any]) -> None:
    """Write a grown tree as a whole one of :data:`_DEPTH`."""
    level, place = [0], 0  # the grown node that stands at each node of a level
    for _ in range(_DEPTH):
        below = []
        for node in level:
            one = grown[node]
            if not one["is_leaf"]:
                features[place], thresholds[place] = one["feature_idx"], _below(one["num_threshold"])
            below += [node, node] if one["is_leaf"] else [int(one["left"]), int(one["right"])]
            place += 1
        level = below
    leaves[:] = grown["value"][level]


def _below(threshold: float) -> np.float32:
    """Return the next float32 that is no greater: rounded up, it could reach the smallest number that lies above."""
    rounded = np.float32(threshold)
    return rounded if rounded <= threshold else np.nextafter(rounded, np.float32(-np.inf))
