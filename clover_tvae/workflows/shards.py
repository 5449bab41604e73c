"""Any rows of the endless table that a generator and a seed fix, drawn anywhere: without those before them, and always the same.

A worker is given :class:`Wanted`, which holds paths and plain values, and opens the generator itself.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from clover_tvae.conditions import read_conditions
from clover_tvae.errors import ConfigError
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import whole_number
from clover_tvae.synthesizer import Synthesizer
from clover_tvae.tables import column_names, read_table, write_table
from clover_tvae.tables.parts import is_whole, part_name
from clover_tvae.tables.places import Copies, Folder, fetched, place_of
from clover_tvae.workflows.engines import Engine, Resources, Task
from clover_tvae.workflows.output import cut

#: Rows of a task: its first parts lie a block or a stretch beside those of another, whose rows it may have to draw, too.
_ROWS_A_TASK = 2**18


def sample_shard(
    generator: Synthesizer | str | Path, first_row: int, n_rows: int, seed: int, **how: Any
) -> pd.DataFrame:
    """Draw the rows ``first_row`` to ``first_row + n_rows - 1`` of the table that a generator and a seed fix.

    They are those of ``sample(first_row + n_rows, random_state=seed)``, whatever was drawn elsewhere, on machines of one kind.

    Args:
        generator: The generator, or its file, also in an object store.
        first_row: How many rows come before, at least 0.
        n_rows: How many, at least 0.
        **how: As for ``sample``: ``conditions`` (also all the partial rows), ``decode``, ``missing``, ``first_id`` (of the whole
            table), ``steps``.

    Returns:
        The rows, indexed by their numbers; of partial rows, by the index of these.

    Raises:
        ConditionError: No row can meet the conditions.
        ArtifactError: The file is refused.

    Example:
        >>> from clover_tvae import TVAESynthesizer
        >>> from clover_tvae.workflows import builtin_table
        >>> df = builtin_table("sklearn.iris")
        >>> synth = TVAESynthesizer(df, random_state=0, epochs=1, verbose=False, privacy="none").fit()
        >>> sample_shard(synth, 5_000, 3, seed=7).equals(synth.sample(5_003, random_state=7).iloc[5_000:])
        True
    """
    if isinstance(generator, str | Path):
        with fetched(generator) as path:
            generator = Synthesizer.load(path)
    return pd.concat([*shard_frames(generator, first_row, n_rows, seed, **how)])


def shard_frames(
    synth: Synthesizer, first_row: int, n_rows: int, seed: int, *, conditions: Any = None, **how: Any
) -> Iterator[pd.DataFrame]:
    """Yield the rows of :func:`sample_shard` in frames of flat size, at least one."""
    first_row, n_rows = whole_number(first_row, "first_row"), whole_number(n_rows, "n_rows")
    is_partial = conditions is not None and not isinstance(conditions, Mapping)
    # Partial rows are completed some together, also those after the last.
    last, left = None if is_partial else first_row + n_rows, n_rows
    for frame in synth.sample_frames(last, conditions, random_state=seed, skip=first_row, **how):
        yield frame.iloc[:left]
        if (left := left - len(frame)) <= 0:
            return


def _read_partial(path: Path, metadata: Metadata) -> pd.DataFrame:
    """Read a file of partial rows, which may lack columns of the table."""
    names = column_names(path)
    known = tuple(column for column in metadata.columns if column.name in names)
    return read_table(path, replace(metadata, columns=known, relations=(), unit=None, variable_to_predict=None))


@dataclass(frozen=True)
class Wanted:
    """Rows that are wanted, in words that travel: paths and plain values.

    Args:
        generator: The generator file, absolute or a URL.
        sha256: Its digest, as ``save`` returned it; another file is refused.
        n_rows: How many, the whole table; ``None``: as many as there are partial rows.
        where: Conditions as the command line writes them.
        given: A file of partial rows, one for each row.
        trust_pickle: Whether a generator of the sdv backend may be opened.
        decode: See ``sample``; as are the others.
        copies: Of files of object stores, where this process has fetched some; they do not travel.
    """

    generator: str
    sha256: str | None
    n_rows: int | None
    seed: int
    where: tuple[str, ...] = ()
    given: str | None = None
    device: str | None = None
    trust_pickle: bool = False
    decode: str | None = None
    missing: bool = True
    first_id: int = 1
    steps: int | None = None
    copies: Copies | None = field(default=None, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: neither the generator nor a row."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.compare}

    @functools.cached_property
    def synth(self) -> Synthesizer:
        """The generator, opened by the safe reader."""
        options = {"expected_sha256": self.sha256, "trust_pickle": self.trust_pickle, "device": self.device or "cpu"}
        with fetched(self.generator, self.copies) as path:
            return Synthesizer.load(path, **cast("dict[str, Any]", options))

    @functools.cached_property
    def conditions(self) -> Any:
        """What every row must meet, or the partial rows."""
        if self.given is not None:
            with fetched(self.given, self.copies) as path:
                rows = _read_partial(path, self.synth.metadata)
            if self.n_rows not in (None, len(rows)):
                text = f"must be the number of partial rows, {len(rows):,}, or be left out, found {self.n_rows:,}"
                raise ConfigError(text, "--rows")
            return rows
        if not self.where:
            return None
        synth = self.synth
        return read_conditions(self.where, synth.metadata, dict(synth.sample(0).dtypes), synth.check_conditions)

    def opened(self) -> Wanted:
        """Return the same rows, of no file but the one that is open here; another process opens it again."""
        opened = replace(self, sha256=self.synth.card()["sha256"], n_rows=self.count, copies=None)
        vars(opened).update(synth=self.synth, conditions=self.conditions)
        return opened

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.conditions) if self.n_rows is None else self.n_rows

    def frames(self, first_row: int = 0, stop: int | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows from ``first_row`` on, up to ``stop`` or the last, in frames of flat size."""
        first_row, stop = min(first_row, self.count), self.count if stop is None else min(stop, self.count)
        how = {key: getattr(self, key) for key in ("conditions", "decode", "missing", "first_id", "steps")}
        return shard_frames(self.synth, first_row, stop - first_row, self.seed, **how)


@functools.lru_cache(maxsize=1)
def _opened(wanted: Wanted) -> Wanted:
    """Return what is wanted with the generator that this process has opened for an earlier task, if it is the same."""
    return wanted


@dataclass(frozen=True)
class Parts:
    """Rows that go to a folder in parts.

    Args:
        rows_per_part: Rows a part; the last may have fewer.
        share: Which of how many shares of the parts are written here.
    """

    wanted: Wanted
    suffix: str
    rows_per_part: int
    share: tuple[int, int] = (0, 1)

    @property
    def counts(self) -> list[int]:
        """Rows of each part: one part where there is no row."""
        n_rows, size = self.wanted.count, self.rows_per_part
        return [min(size, n_rows - start) for start in range(0, max(1, n_rows), size)]

    @property
    def names(self) -> list[str]:
        return [part_name(index, self.suffix) for index in range(len(self.counts))]

    @property
    def span(self) -> tuple[int, int]:
        """The first part of this share, and the one after its last."""
        (i, n), n_parts = self.share, len(self.counts)
        return i * n_parts // n, (i + 1) * n_parts // n

    def groups(
        self, waiting: str | Path, engine: Engine, on_group: Any = lambda n_rows: None
    ) -> Iterator[Mapping[str, str]]:
        """Have the parts of this share written into a folder, and yield the digests of some at a time.

        Args:
            waiting: The folder, or the URL of one. Parts that are there already are kept.
            on_group: Called with the number of rows that some parts hold.

        Raises:
            WorkerLostError: A worker was killed, more often than it is tried again.
        """
        counts, (first, stop) = self.counts, self.span
        size = max(1, math.ceil(_ROWS_A_TASK / self.rows_per_part))
        if engine.n_workers is not None:  # each has something to do
            size = min(size, max(1, math.ceil((stop - first) / engine.n_workers)))
        needs = Resources(gpus=float((self.wanted.device or "").startswith("cuda")))
        spans = [(start, min(stop, start + size)) for start in range(first, stop, size)]
        tasks = (
            Task(k, f"rows {a * self.rows_per_part:,}", (self, str(waiting), a, b), needs)
            for k, (a, b) in enumerate(spans)
        )
        for k, found in engine.each(_write, tasks):
            if isinstance(found, Exception):
                raise found
            on_group(sum(counts[slice(*spans[k])]))
            yield found


def _write(parts: Parts, waiting: str, first: int, stop: int) -> dict[str, str]:
    """Write the parts from ``first`` to ``stop`` that are not there yet, each whole or not at all; return all their digests."""
    place = place_of(waiting)
    there, names = place.names(), {index: part_name(index, parts.suffix) for index in range(first, stop)}
    if isinstance(place, Folder):  # in a store a part is there once it is whole
        there = {name for name in names.values() if is_whole(place.path / name)}
    lacking = [index for index, name in names.items() if name not in there]
    if lacking:
        begin, end = lacking[0], lacking[-1] + 1
        frames = _opened(parts.wanted).frames(begin * parts.rows_per_part, end * parts.rows_per_part)
        for index, part in zip(itertools.count(begin), cut(frames, parts.rows_per_part), strict=False):
            with place.written(names[index]) as file:
                write_table(part, file)
    return {name: place.digest(name) for name in names.values()}
