"""Columns of categories: categorical, boolean and ordinal. One choice a category, and ``missing``; no numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.cells import is_number, typed_key, values_from_plain, values_to_plain
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.labels import Labels, factorize, read_labels
from clover_tvae.columns.plain_data import check, fields, name_from_plain, name_to_plain, one_of
from clover_tvae.conditions import Condition, number_of
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import ConditionError, DataError
from clover_tvae.transforms.codes import ColumnCodes, ConditionCodes, Unseen

__all__ = ["CategoricalTransform"]

KINDS = ("categorical", "boolean", "ordinal")


@dataclass(frozen=True, eq=False)
class CategoricalTransform:
    """A fitted column of categories.

    Args:
        name: Name of the column.
        kind: ``categorical``, ``boolean`` or ``ordinal``.
        cells: Its dtype.
        categories: The distinct cells seen in training, in order; choice ``i`` is category ``i``.
        missing: Whether missing cells were seen in training.

    Example:
        >>> column = CategoricalTransform.fit(pd.Series(["b", "a", None, "a"]), "x")
        >>> column.encode(pd.Series(["a", "b", None]), np.random.default_rng(0), "error").choices.tolist()
        [0, 1, 2]
        >>> column.decode(np.array([2, 1]), None).tolist()
        [None, 'b']
    """

    name: Any
    kind: str
    cells: CellType
    categories: tuple[Any, ...]
    missing: bool

    @classmethod
    def fit(
        cls, values: pd.Series, name: Any, kind: str = "categorical", order: Sequence[Any] | None = None
    ) -> CategoricalTransform:
        """Learn the categories of a column.

        Args:
            values: The column.
            name: Its name.
            kind: ``categorical``, ``boolean`` or ``ordinal``.
            order: Of an ordinal column, lowest first; ``None`` for the order of its dtype, or sorted.

        Raises:
            IdentifierColumnError: A categorical column whose cells differ in nearly every row.
            ColumnTypeError: Cells of a type that cannot be learnt, outside ``order``, or not true and false.
        """
        labels, n_missing = read_labels(values, name, kind, order)
        return cls(name, kind, labels.cells, labels.values, n_missing > 0)

    @cached_property
    def labels(self) -> Labels:
        """Which category a cell is."""
        return Labels(self.cells, self.categories)

    @cached_property
    def numbers(self) -> tuple[Any, ...] | None:
        """The categories as numbers, where every one is a number or, as in a CSV file, reads as one; else ``None``."""
        numbers = tuple(map(number_of, self.categories))
        return None if None in numbers else numbers

    def _places(self, value: Any) -> list[int]:
        """Return which categories a value of a condition means: itself, or the texts that read as this number."""
        if (place := self.labels.place(value)) >= 0:
            return [place]
        return [i for i, number in enumerate(self.numbers or ()) if is_number(value) and number == value]

    @property
    def layout(self) -> ColumnLayout:
        """The choices: categories, then ``missing`` if it was seen."""
        n = len(self.categories)
        return ColumnLayout(n + self.missing, 0, n if self.missing else None)

    def encode(self, values: pd.Series, rng: np.random.Generator, unseen: Unseen) -> ColumnCodes:
        """Return the choice of every cell.

        Args:
            values: Cells, of the dtype of training or of another with equal values.
            rng: Not used: categories leave nothing to chance.
            unseen: ``mask`` gives cells that were never seen the choice -1, ``error`` refuses them.

        Raises:
            DataError: Cells that were never seen in training.
        """
        codes, found = factorize(values, CellType.of(values, self.name))
        missing = len(self.categories) if self.missing else -1  # the last place answers code -1
        choices = np.array([*map(self.labels.place, found), missing], dtype=np.int32)[codes]
        if unseen == "error" and (choices < 0).any():
            what = f"{int((choices < 0).sum())} cells hold values that were never seen in training"
            if not self.missing and (codes < 0).any():
                what += f" ({int((codes < 0).sum())} of them are missing, and the column never was)"
            raise DataError(f"{what}; remove those rows, or fit on data that have them", where_of(self.name))
        return ColumnCodes(choices)

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None = None) -> pd.Series:
        """Return the cells of the choices, in the dtype of training."""
        return self.cells.take([*self.categories, *([None] if self.missing else [])], choices)

    def allow(self, condition: Condition) -> ConditionCodes:
        """Return the categories that meet a condition.

        Raises:
            ConditionError: Unseen values, or a range on categories without an order.
        """
        n = len(self.categories)
        mask = np.zeros(n + self.missing, dtype=bool)
        in_order = self.kind == "ordinal" or self.cells.ordered
        condition.check("ordinal" if in_order else self.kind, "other" if self.numbers is None else "number")
        match condition.form:
            case "not missing":
                mask[:n] = True
            case "in" | "not in":
                places = [self._places(value) for value in condition.values]
                if unseen := [value for value, found in zip(condition.values, places, strict=True) if not found]:
                    raise ConditionError(self._unseen_message(unseen, len(places)))
                mask[[place for found in places for place in found]] = True
                if condition.form == "not in":
                    mask[:n] = ~mask[:n]
            case _:
                mask[:n] = self._in_range(condition, in_order)
        nothing = np.zeros(0, np.float32)
        return ConditionCodes(mask, nothing, nothing).with_missing(condition, self.layout)

    def _unseen_message(self, unseen: Sequence[Any], n_values: int) -> str:
        message = f"{len(unseen)} of {n_values} values were never seen in training"
        known, found = (sorted({type(value).__name__ for value in values}) for values in (self.categories, unseen))
        if not set(found) & set(known):
            message += f" (the column holds {', '.join(known) or 'no values'}, found {', '.join(found)})"
        return message + f"; it has {len(self.categories)} categories"

    def _in_range(self, condition: Condition, in_order: bool) -> NDArray[np.bool_]:
        keys: Sequence[Any] = self.numbers or ()
        low, high = condition.low, condition.high
        if in_order:
            keys = range(len(self.categories))
            low, high = (None if end is None else next(iter(self._places(end)), -1) for end in (low, high))
            if -1 in (low, high):
                raise ConditionError("an end of the range was never seen in training")
        above = [low is None or (key > low if condition.above else key >= low) for key in keys]
        below = [high is None or (key < high if condition.below else key <= high) for key in keys]
        return np.array([over and under for over, under in zip(above, below, strict=True)], dtype=bool)

    def meets(self, condition: Condition, choices: NDArray[Any], scalars: NDArray[Any] | None) -> NDArray[np.bool_]:
        """Return which cells, by choices, meet a condition."""
        return self.allow(condition).choices[choices]

    def to_plain(self) -> dict[str, Any]:
        """Return the fitted column as plain data."""
        plain = {"name": name_to_plain(self.name), "kind": self.kind, "cells": self.cells.to_plain()}
        return {**plain, "categories": values_to_plain(self.categories), "missing": self.missing}

    @classmethod
    def from_plain(cls, plain: Any) -> CategoricalTransform:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("name", "kind", "cells", "categories", "missing"), "categorical column")
        kind = one_of(plain["kind"], KINDS, "kind")
        check(type(plain["missing"]) is bool, "missing must be true or false")
        cells = CellType.from_plain(plain["cells"])
        categories = values_from_plain(plain["categories"])
        check(len(categories) + plain["missing"] >= 1, "a column must have at least one choice")
        made = cls(name_from_plain(plain["name"]), kind, cells, tuple(categories), plain["missing"])
        try:
            absent = cells.build([*made.categories, *([None] if made.missing else [])]).isna()
            built = cells.build(made.categories)
            back = [typed_key(value) for value in factorize(built, cells)[1]]
        except Exception as error:
            raise ValueError("the categories do not fit their dtype") from error
        check(set(back) == made.labels.places.keys(), "the categories do not fit their dtype")
        check(int(absent.sum()) == made.missing, "the dtype cannot hold missing cells")
        return made
