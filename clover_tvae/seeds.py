"""The children of a seed: every purpose has numbers of its own, under a key that never changes, so a seed keeps its rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from clover_tvae.parameters import Parameters, whole_number

__all__ = [
    "Call", "Calls", "Choose", "Draw", "Fit", "Label", "Measure", "Read", "Sdv", "Seed", "Teach", "Train", "child",
    "generator", "mixed", "of_measure", "root",
]  # fmt: skip

Seed = int | np.random.SeedSequence | None


class Call(IntEnum):
    """Of the user's seed: what was called. Each call without a seed of its own takes the next number below it."""

    FIT, SAMPLE, BALANCE, IMPUTE, COMPLETE, TEACH, DATASET = range(7)


class Fit(IntEnum):
    """Of a fit."""

    TRANSFORMS, ENCODE, WEIGHTS, TRAINING, PRIOR, RELATIONS, SMOOTH, SCHEDULE, JUDGE = range(9)


class Train(IntEnum):
    """Of one training: which rows it watches, the order of the others, the noise of each shard, the noise of what it watches."""

    SPLIT, SHUFFLE, NOISE, VALIDATION = range(4)


class Teach(IntEnum):
    """Of a lesson: the rows that a teacher writes, the student that learns them, which rows it learns; more rows to choose from; their target."""

    ROWS, STUDENT, CHOICE, MORE, TARGET = range(5)


class Choose(IntEnum):
    """Of choosing among written rows: the trees that judge them, which rows are kept, and whether it is worth it."""

    TREES, ROWS, LOOK = range(3)


class Label(IntEnum):
    """Of drawing a target anew: which people its models learn, their folds and trees, the cells."""

    PEOPLE, MODELS, CELLS = range(3)


class Draw(IntEnum):
    """Of drawing rows: the rows, block by block, what their cells need to be written out, cells drawn again; later stretches."""

    ROWS, CELLS, AGAIN, STRETCH = range(4)


class Read(IntEnum):
    """Of reading rows that are given: coding them, drawing what they lack, writing the cells out; later stretches of partial rows.

    The numbers up to 24 are those of the rounds of ``backends.completing``, too.
    """

    ENCODE, ROWS, CELLS, STRETCH = 0, 1, 2, 64


class Sdv(IntEnum):
    """Of a call of SDV: the global generators, SDV's own, and one for each of its transformers."""

    GLOBALS, SYNTHESIZER, TRANSFORMER = range(3)


class Measure(IntEnum):
    """Of the seed of an evaluation."""

    MEMBERSHIP, RELATIONS, UTILITY, CLOSEST_RECORDS, ATTRIBUTE = 0x313, 0x4E1, 0x757, 0xDC6, 0xA77
    SHADOW_HALVES, BOOTSTRAP, TWO_SAMPLE, SHADOW_FITS, TARGETS = 0x5AD0, 0xB007, 0xC257, 0xF175, 0x7A26


def root(seed: Seed) -> np.random.SeedSequence:
    """Return the sequence of a user's seed; ``None`` draws one, and a sequence is itself.

    Raises:
        ConfigError: The seed is no whole number from 0 to 2^64 - 1.
    """
    if isinstance(seed, np.random.SeedSequence):
        return seed
    return np.random.SeedSequence(Parameters.of(random_state=seed).random_state)


def of_measure(seed: int, measure: Measure) -> np.random.SeedSequence:
    """Return the sequence of one measure of an evaluation.

    Raises:
        ConfigError: The seed is no whole number of at least 0.
    """
    return np.random.SeedSequence([whole_number(seed, "seed"), int(measure)])


def mixed(*numbers: int) -> int:
    """Return a seed of its own for some numbers, as a user may give one; for none, one out of the system's chance.

    Example:
        >>> mixed(1, 2) == mixed(1, 2) != mixed(2, 1)
        True
    """
    return int(np.random.SeedSequence(numbers or None).generate_state(1)[0])


def child(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """Return the child of ``seed`` for one purpose; unlike with ``spawn``, what was asked for before does not matter.

    Example:
        >>> child(root(7), Call.SAMPLE, 3).spawn_key
        (1, 3)
    """
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *map(int, key)))


def generator(seed: np.random.SeedSequence, *key: int) -> np.random.Generator:
    """Return numpy's generator of the child of ``seed`` for one purpose."""
    return np.random.default_rng(child(seed, *key))


@dataclass
class Calls:
    """The calls of one synthesizer that drew rows, and the identifiers that they made: the next goes on from both."""

    n_calls: int = 0
    n_ids: int = 0

    def seed(self, own: np.random.SeedSequence, purpose: Call, random_state: int | None) -> np.random.SeedSequence:
        """Return the seed of one call: the user's, or the next below the synthesizer's ``own``."""
        if random_state is not None:
            return child(root(random_state), purpose)
        self.n_calls += 1
        return child(own, purpose, self.n_calls)

    def first_id(self, n_rows: int, first_id: int | None, random_state: int | None) -> int:
        """Return how many identifiers come before the first of a call that draws rows."""
        if first_id is not None:
            return whole_number(first_id, "first_id", least=1) - 1
        if random_state is not None:  # it fixes the rows whole, whatever was drawn before
            return 0
        before, self.n_ids = self.n_ids, self.n_ids + n_rows
        return before
