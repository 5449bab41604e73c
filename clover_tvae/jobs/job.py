"""A job that may be run: what its file asks for, where its files lie, and its table."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clover_tvae.errors import ConfigError, UserError
from clover_tvae.evaluation.limits import Limits
from clover_tvae.files import file_digest, unmoved
from clover_tvae.jobs.spec import DatabaseOutput, DatabaseSpec, DatasetSpec, JobSpec
from clover_tvae.metadata import Column, Metadata
from clover_tvae.seeds import generator, root
from clover_tvae.tables import (
    Database,
    Dialect,
    dialect_of,
    is_beyond_memory,
    is_large,
    read_as,
    read_database,
    read_dataset,
    read_table,
    row_digest,
    table_digest,
)
from clover_tvae.tables.places import Copies, Store
from clover_tvae.workflows.assessment import DEFAULT_HOLDOUT, split_holdout
from clover_tvae.workflows.datasets import builtin_table

if TYPE_CHECKING:
    from clover_tvae.synthesizer import Synthesizer


def _inferred(df: pd.DataFrame, split: Callable[[Hashable | None], tuple[pd.DataFrame, pd.DataFrame]]) -> Metadata:
    """Infer metadata from the rows to learn; what these do not show, from all rows.

    That is a column whose cells that are held out are read in another way, one that all rows show to tell people apart, and
    every column where they do not show whose a row is.
    """
    metadata, told = _infer_quietly(df)
    train, holdout = split(metadata.unit)
    late = set(df.columns)
    with contextlib.suppress(UserError):  # next to nothing of the rows to learn can be learnt
        part, told_of_part = _infer_quietly(train)
        if part.unit == metadata.unit:
            late = {name for name in df.columns if _is_late(_of(part, name), _of(metadata, name), holdout[[name]])}
            told = [one for one in told if _about(one, late)] + [one for one in told_of_part if not _about(one, late)]
            columns = (_of(metadata if name in late else part, name) for name in df.columns)
            metadata = replace(part, columns=tuple(itertools.chain.from_iterable(columns)))
    for one in told:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return metadata


def _of(metadata: Metadata, name: Hashable) -> tuple[Column, ...]:
    """Return what metadata say of a column of the table: of a pair of numbers both."""
    return tuple(column for column in metadata.columns if name in (column.name, column.part_of))


def _about(told: warnings.WarningMessage, names: Iterable[Hashable]) -> bool:
    return str(told.message).startswith(tuple(f"column {name!r}: " for name in names))


def _infer_quietly(df: pd.DataFrame) -> tuple[Metadata, list[warnings.WarningMessage]]:
    """Infer metadata, and return the warnings instead of giving them."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        return Metadata.infer(df), told


def _is_late(columns: tuple[Column, ...], of_all: tuple[Column, ...], holdout: pd.DataFrame) -> bool:
    """Whether the rows to learn do not show what the column is."""
    is_modelled = any(column.modelled for column in columns)
    if not is_modelled or not any(column.modelled for column in of_all):
        return is_modelled
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of all rows it is told later
            Metadata(columns).validate(holdout)
    except UserError:
        return True
    return False


@dataclass(frozen=True)
class JobTable:
    """The real rows of a job.

    Args:
        holdout: The rows that are held out; ``None`` where all are learnt.
        synth: The synthesizer that is to learn ``train``; it has read it already.
        learnt: What decided on the reading (``plan.learnt_from``), taken before it: a table that has changed since is
            read again.
        warnings: What the user should know of the rows.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame | None
    metadata: Metadata
    synth: Synthesizer
    learnt: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass
class Job:
    """A valid job. ``load_jobs`` makes it and ``run_job`` runs it.

    Args:
        spec: What the job file says, defaults merged in.
        folder: The folder, absolute, that its paths are relative to and stay under.
        file: The job file, as the user called it.
        paths: Every path that the spec names, and where it leads.
        urls: Of the paths that are URLs of object stores: the whole URL.
        copies: Where files of object stores are read and written.
        record: Where the job keeps its record.
        metadata: What each column is; ``None`` where that is to be inferred, or is not given.
        limits: The bounds of figures; empty where there are none.
        table: The table, if the check has read it; it is let go after the run.
        rows: What was read of a database, and its digest: only the rows tell whether they have changed. The check keeps the digest
            alone, the run neither.
        found: The dialect of the CSV file that was read.
    """

    spec: JobSpec
    folder: Path
    file: str
    paths: Mapping[str, Path]
    record: Path
    metadata: Metadata | None = None
    limits: Limits = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    copies: Copies = field(default_factory=Copies, compare=False, repr=False)
    table: JobTable | None = field(default=None, compare=False, repr=False)
    rows: tuple[pd.DataFrame | None, str] | None = field(default=None, compare=False, repr=False)
    found: Dialect | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process, which reads the table itself."""
        return vars(self) | {"table": None, "rows": None, "found": None, "copies": Copies()}

    def let_go(self) -> None:
        """Let go of what was read."""
        self.table = self.rows = self.found = None
        self.copies.close()

    @property
    def name(self) -> str:
        return self.spec.name

    def path(self, text: str) -> Path:
        """Return where a path of the job file leads; that of a URL to a copy.

        Raises:
            TableFileError: A symbolic link that was made since the check leads it elsewhere; or a store refuses.
        """
        return Path(self.copies.here(self.urls[text])) if text in self.urls else unmoved(self.paths[text], text)

    def digest(self, said: object) -> str | None:
        """Return the sha256 of the file that a key may name; ``None`` where it names none, or none is there."""
        if not isinstance(said, str):
            return None
        if said not in self.urls:
            return file_digest(self.path(said))
        store = Store(self.urls[said])
        return store.digest() if store.kind() == "file" else None

    def is_there(self, text: str) -> bool:
        """Whether something is there where a path of the job file leads."""
        return Store(self.urls[text]).kind() is not None if text in self.urls else self.path(text).exists()

    def remove(self, text: str) -> None:
        """Take away the file where a path of the job file leads."""
        if text in self.urls:
            Store(self.urls[text]).remove("")
        else:
            self.path(text).unlink(missing_ok=True)

    def path_of(self, said: object) -> Path | None:
        """Return where a key leads that may name a file; ``None`` where it names none."""
        return self.path(said) if isinstance(said, str) else None

    @property
    def holdout_fraction(self) -> float | None:
        """The share of the data kept away from training; ``None`` where all of it is learnt."""
        if isinstance(self.spec.holdout, float):
            return self.spec.holdout
        return DEFAULT_HOLDOUT if self.spec.holdout is None and self.spec.assessed else None

    @property
    def checkpoint(self) -> Path | None:
        """Where the job keeps how far its training is; ``None`` where it does not."""
        return unmoved(self.record.with_suffix(".checkpoint")) if self.spec.checkpoint else None

    @property
    def has_data(self) -> bool:
        """Whether the table is on this machine."""
        if isinstance(self.spec.data, DatabaseSpec):
            return self.database(self.spec.data).is_known
        path = self.path_of(self.spec.data)
        return self.spec.data is not None and (path is None or path.exists())

    def database(self, said: DatabaseSpec | DatabaseOutput) -> Database:
        """Return a table of a database that the job names."""
        return said.database(None if said.file is None else self.path(said.file))

    def data_digest(self) -> str | None:
        """Return what tells whether the data have changed; ``None`` where they are not on this machine."""
        data = self.spec.data
        if isinstance(data, DatasetSpec):
            return data.dataset
        if isinstance(data, DatabaseSpec):
            if self.rows is None and self.has_data:
                self._database_rows()
            return None if self.rows is None else self.rows[1]
        return table_digest(self.path_of(data))

    def _database_rows(self) -> pd.DataFrame:
        """Return the rows of the database, which are read once."""
        assert isinstance(self.spec.data, DatabaseSpec)
        if self.rows is None or self.rows[0] is None:
            df = read_database(self.database(self.spec.data))
            self.rows = df, row_digest(df)
            return df
        return self.rows[0]

    def target(self, text: str) -> Path:
        """Return where a file goes that is written now, in a folder that is there.

        Raises:
            TableFileError: A symbolic link that was made since the check leads it elsewhere; or a store lets nothing be
                written.
            ConfigError: The folder cannot be made.
        """
        if text in self.urls:
            return self.copies.target(self.urls[text])
        path = self.path(text)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the folder cannot be made ({error.strerror})", path.parent.name) from None
        return path

    def read_data(self) -> pd.DataFrame:
        """Return the rows that the key ``data`` names.

        Raises:
            UserError: They cannot be read as the metadata describe them.
        """
        if isinstance(self.spec.data, DatasetSpec):
            return builtin_table(self.spec.data.dataset)
        if isinstance(self.spec.data, DatabaseSpec):
            return self._database_rows()
        if self.spec.data is None:  # the check tells it, unless the generator is in a store that only workers open
            raise ConfigError("is not there, and there is no key 'data' to learn it from", "generator_filepath")
        if is_large(self.path(self.spec.data)):  # a folder of files: all rows are held in memory here
            return read_dataset(self.path(self.spec.data), generator(root(0)))[0]
        df, self.found = read_as(self.path(self.spec.data), self.metadata, self.spec.missing, self.spec.read)
        return df

    def dialect(self) -> Dialect | None:
        """Return how the CSV file of the key ``data`` is written, or is said to be where it is not on this machine."""
        path = self.path_of(self.spec.data)
        if path is None or is_large(path):
            return None
        if self.found is None and path.is_file():
            self.found = dialect_of(path, self.metadata, self.spec.missing, self.spec.read)
        return self.found if path.is_file() else self.spec.read

    def read_table(self, learnt: Mapping[str, Any]) -> JobTable:
        """Read the table and fit its transforms: all but a file of held-out rows.

        Raises:
            UserError: The table does not fit its metadata, or cannot be learnt.
        """
        from clover_tvae.synthesizer import Synthesizer

        path = self.path_of(self.spec.data)
        if path is not None and is_beyond_memory(path):
            if self.holdout_fraction is not None:
                raise ConfigError("a table that is not held in memory needs a file of held-out rows", "holdout")
            synth = Synthesizer(path, self.metadata, verbose=False, **self.spec.synthesizer.given()).prepare()
            assert synth.table is not None
            return JobTable(synth.table, None, synth.metadata, synth, learnt)
        train, holdout, metadata = self.read_rows()
        synth = Synthesizer(train, metadata, verbose=False, **self.spec.synthesizer.given()).prepare()
        return JobTable(train, holdout, metadata, synth, learnt)

    def read_rows(self) -> tuple[pd.DataFrame, pd.DataFrame | None, Metadata]:
        """Return the rows to learn, those of the same table that are held out, and what each column is.

        What nobody says is inferred from the rows to learn: :func:`_inferred`.

        Raises:
            UserError: They cannot be read as the metadata describe them.
        """
        df, share = self.read_data(), self.holdout_fraction
        if share is None:
            return df, None, self.metadata or Metadata.infer(df)
        split = partial(split_holdout, df, share, self.spec.synthesizer.random_state or 0)
        metadata = _inferred(df, split) if self.metadata is None else self.metadata
        metadata.validate(df)
        return *split(metadata.unit), metadata

    def with_holdout(self, table: JobTable) -> JobTable:
        """Return the table with the held-out rows that the job names by a file, if it does.

        Raises:
            UserError: They do not fit the metadata.
        """
        if (path := self.path_of(self.spec.holdout)) is None:
            return table
        holdout = read_table(path, table.metadata, self.spec.missing, read=self.spec.read)
        table.metadata.validate(holdout)
        return replace(table, holdout=holdout)
