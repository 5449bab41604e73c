"""Columns of categories: categorical, boolean and ordinal. One choice a category, and ``missing``; no numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.cells import is_missing, is_number, typed_key, values_from_plain, values_to_plain
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.labels import Labels, factorize, read_labels
from clover_tvae.columns.people import People, count_people
from clover_tvae.columns.plain_data import check, fields, integer, name_from_plain, name_to_plain, one_of
from clover_tvae.conditions import Condition, number_of
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import ColumnTypeError, ConditionError, DataError, IdentifierColumnError
from clover_tvae.transforms.codes import ColumnCodes, ConditionCodes, Unseen

KINDS = ("categorical", "boolean", "ordinal")
#: What messages add to "never seen in training".
RARE = ", or only in fewer than min_count people"
_NOT_LEARNT = "categories of fewer than min_count people were not learnt"


@dataclass(frozen=True, eq=False)
class CategoricalTransform:
    """A fitted column of categories.

    Args:
        categories: The distinct cells of training that enough people hold, in order; choice ``i`` is category ``i``.
        missing: Whether enough cells were missing in training.
        rest: The category that every other value counts to; ``None``: it is unknown.
        order: Of an ordinal column, what its metadata declare.

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
    rest: Any = None
    order: tuple[Any, ...] | None = None

    @classmethod
    def fit(
        cls,
        values: pd.Series,
        name: Any,
        kind: str = "categorical",
        order: Sequence[Any] | None = None,
        *,
        rest: Any = None,
        least: int = 1,
        people: People | None = None,
    ) -> CategoricalTransform:
        """Learn the categories of a column.

        A rare category, held by fewer than ``least`` people, is not learnt: its rows count to ``rest``, in an ordinal column
        to the nearest category, else to the others as they are. So a column of two values, one of them rare, is learnt as
        the other alone: the hospital that must not lose the rare diagnosis is told by the warning of ``fit``, and merges
        it with others or gathers more people; to stop every wide table at its first rare flag would help nobody.

        Args:
            order: Of an ordinal column, lowest first; ``None`` for the order of its dtype, or sorted.
            rest: The category that rare ones count to.
            least: Fewest people on whom a category, or ``missing``, may rest.
            people: The number of the person of each row; ``None``: every row is one.

        Raises:
            IdentifierColumnError: A categorical column whose cells differ in nearly every row, or are all rare.
            ColumnTypeError: Cells of a type that cannot be learnt, outside ``order``, or not true and false.
        """
        labels, counts = read_labels(values, name, kind, order, people)
        cells, n_missing, counts = labels.cells, int(counts[-1]), counts[:-1]
        kept = [value for value, n in zip(labels.values, counts, strict=True) if n >= least]
        if rest is not None and labels.place(rest) < 0 and (counts < least).any():
            codes, found = factorize(values, cells)
            is_rare = np.append(counts[[labels.place(value) for value in found]] < least, False)[codes]
            if count_people(None if people is None else people[is_rare], int(is_rare.sum())) >= least:
                kept.append(rest)
        if rest is not None and rest not in kept:
            rest = None  # nobody, or too few people, would be in it
        if len(labels.values) and not kept:
            message = (
                f"must have a category of at least {least} people, found none among {len(counts)}: it may name people; declare "
                "it 'id' (dropped, or made anew) or 'ignore', or merge its categories"
            )
            raise IdentifierColumnError(message, where_of(name))
        if cells.family == "category" and least > 1:  # a dtype tells its categories: those of nobody may be of others
            told = {typed_key(value) for value in (*kept, *(order or ()))}
            levels = dict.fromkeys([*cells.categories, *([] if rest is None else [rest])])
            cells = replace(cells, categories=tuple(value for value in levels if typed_key(value) in told))
        made = cls(name, kind, cells, tuple(kept), n_missing >= least, rest, None if order is None else tuple(order))
        if rest is not None:
            made._check_rest()
        return made

    def _check_rest(self) -> None:
        """Refuse a category for the rest that is of another type than the others."""
        with contextlib.suppress(Exception):
            built = self.cells.build(self.categories)
            if {typed_key(value) for value in factorize(built, self.cells)[1]} == self.labels.places.keys():
                return
        message = f"'rest' must be of the type of the column, found {type(self.rest).__name__}"
        raise ColumnTypeError(message, where_of(self.name))

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
            rng: Draws the categories of rare cells, with ``fold``.
            unseen: ``mask`` gives cells that were not learnt the choice -1, ``error`` refuses them, ``fold`` has them count
                to the nearest category or to any. Where there is a ``rest``, they count to it.

        Raises:
            DataError: Cells that were never seen in training.
        """
        codes, found = factorize(values, CellType.of(values, self.name))
        missing = len(self.categories) if self.missing else -1  # the last place answers code -1
        places = np.array(list(map(self.labels.place, found)), dtype=np.int32)
        if self.rest is not None:
            places[places < 0] = self.labels.place(self.rest)
        elif unseen == "fold" and self.kind == "ordinal" and (places < 0).any() and self.categories:
            ordered = read_labels(values, self.name, self.kind, self.order)[0]
            kept = np.array([ordered.place(value) for value in self.categories])
            ranks = np.array([ordered.place(value) for value in found])
            places[places < 0] = np.abs(ranks[places < 0, None] - kept).argmin(axis=1)
        choices = np.append(places, np.int32(missing))[codes]
        if unseen == "fold":
            return ColumnCodes(choices).folded(rng, self.layout.missing)
        if unseen == "error" and (choices < 0).any():
            what = f"{int((choices < 0).sum())} cells hold values that were never seen in training{RARE}"
            if not self.missing and (codes < 0).any():
                what += f" ({int((codes < 0).sum())} of them are missing, and none was in training, or fewer than min_count)"
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
        n = len(self.categories)
        message = f"{len(unseen)} of {n_values} values are not among the {n} categories of this file; {_NOT_LEARNT}"
        message += ", and count to the one for the rest" if self.rest is not None else ""
        known, found = (sorted({type(value).__name__ for value in values}) for values in (self.categories, unseen))
        if not set(found) & set(known):
            message += f" (the column holds {', '.join(known) or 'no values'}, found {', '.join(found)})"
        return message

    def _in_range(self, condition: Condition, in_order: bool) -> NDArray[np.bool_]:
        keys: Sequence[Any] = self.numbers or ()
        low, high = condition.low, condition.high
        if in_order:
            keys = range(len(self.categories))
            low, high = (None if end is None else next(iter(self._places(end)), -1) for end in (low, high))
            if -1 in (low, high):
                text = f"an end of the range is not among the {len(self.categories)} categories of this file; {_NOT_LEARNT}"
                raise ConditionError(text)
        above = [low is None or (key > low if condition.above else key >= low) for key in keys]
        below = [high is None or (key < high if condition.below else key <= high) for key in keys]
        return np.array([over and under for over, under in zip(above, below, strict=True)], dtype=bool)

    def meets(self, condition: Condition, choices: NDArray[Any], scalars: NDArray[Any] | None) -> NDArray[np.bool_]:
        """Return which cells, by choices, meet a condition."""
        return self.allow(condition).choices[choices]

    def to_plain(self) -> dict[str, Any]:
        plain = {"name": name_to_plain(self.name), "kind": self.kind, "cells": self.cells.to_plain()}
        rest = {} if self.rest is None else {"rest": self.labels.place(self.rest)}
        return {**plain, "categories": values_to_plain(self.categories), "missing": self.missing, **rest}

    @classmethod
    def from_plain(cls, plain: Any) -> CategoricalTransform:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        names = ("name", "kind", "cells", "categories", "missing")
        has_rest = type(plain) is dict and "rest" in plain
        plain = fields(plain, (*names, "rest") if has_rest else names, "categorical column")
        kind = one_of(plain["kind"], KINDS, "kind")
        check(type(plain["missing"]) is bool, "missing must be true or false")
        cells = CellType.from_plain(plain["cells"])
        categories = values_from_plain(plain["categories"])
        check(len(categories) + plain["missing"] >= 1, "a column must have at least one choice")
        rest = categories[integer(plain["rest"], "rest", 0, len(categories) - 1)] if has_rest else None
        made = cls(name_from_plain(plain["name"]), kind, cells, tuple(categories), plain["missing"], rest)
        try:
            built = cells.build([*made.categories, *([None] if made.missing else [])]).tolist()
            # One by one: a table of values chosen to be slow to look up would take minutes to fill.
            back = [None if is_missing(value) else typed_key(value) for value in built]
        except Exception as error:
            raise ValueError("the categories do not fit their dtype") from error
        check(back[: len(categories)] == [*made.labels.places], "the categories do not fit their dtype")
        check(not made.missing or back[-1] is None, "the dtype cannot hold missing cells")
        return made
